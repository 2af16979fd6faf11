//! Answers that are not success: `application/problem+json` (RFC 9457) with the faults of the document.

use serde::Serialize;

use crate::fault::FieldFault;
use crate::intake::Answer;
use crate::limits::{BODY_BYTES_MAX, FAULTS_LISTED_MAX, UPLOAD_BYTES_MAX};

/// One kind of problem: its code is the last part of `type`, its status and title are fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 400
    EnvelopeInvalid,
    /// 400
    MessageInvalid,
    /// 400
    BodyUnreadable,
    /// 400
    EventTypeUnknown,
    /// 401
    Unauthenticated,
    /// 401
    SignatureInvalid,
    /// 403
    VendorMismatch,
    /// 403
    VendorDisabled,
    /// 404
    NotFound,
    /// 405
    MethodNotAllowed,
    /// 409
    Conflict,
    /// 413
    BodyTooLarge,
    /// 415
    ContentTypeUnsupported,
    /// 429
    TooManyRequests,
    /// 431
    HeadersTooLarge,
    /// 503
    Unavailable,
}

impl Kind {
    /// All of them, in the order of their status.
    pub const ALL: [Self; 16] = [
        Self::EnvelopeInvalid,
        Self::MessageInvalid,
        Self::BodyUnreadable,
        Self::EventTypeUnknown,
        Self::Unauthenticated,
        Self::SignatureInvalid,
        Self::VendorMismatch,
        Self::VendorDisabled,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Conflict,
        Self::BodyTooLarge,
        Self::ContentTypeUnsupported,
        Self::TooManyRequests,
        Self::HeadersTooLarge,
        Self::Unavailable,
    ];

    /// Code, HTTP status, title.
    fn parts(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::EnvelopeInvalid => ("envelope-invalid", 400, "The envelope is not valid"),
            Self::MessageInvalid => ("message-invalid", 400, "The message is not valid"),
            Self::BodyUnreadable => ("body-unreadable", 400, "The body cannot be read"),
            Self::EventTypeUnknown => {
                ("event-type-unknown", 400, "The event type is not known for this vendor")
            }
            Self::Unauthenticated => ("unauthenticated", 401, "The API key is missing or not known"),
            Self::SignatureInvalid => ("signature-invalid", 401, "The signature does not prove the sender"),
            Self::VendorMismatch => ("vendor-mismatch", 403, "The API key belongs to another vendor"),
            Self::VendorDisabled => ("vendor-disabled", 403, "The vendor is disabled"),
            Self::NotFound => ("not-found", 404, "There is nothing here"),
            Self::MethodNotAllowed => ("method-not-allowed", 405, "The method is not allowed here"),
            Self::Conflict => ("conflict", 409, "The event was accepted before with another payload"),
            Self::BodyTooLarge => ("body-too-large", 413, "The body is too large"),
            Self::ContentTypeUnsupported => {
                ("content-type-unsupported", 415, "The content type is not supported")
            }
            Self::TooManyRequests => ("too-many-requests", 429, "Too many requests"),
            Self::HeadersTooLarge => ("headers-too-large", 431, "The request headers are too large"),
            Self::Unavailable => ("unavailable", 503, "The service cannot take the event now"),
        }
    }

    /// Stable, the last part of `type`.
    pub fn code(self) -> &'static str {
        self.parts().0
    }

    /// HTTP status.
    pub fn status(self) -> u16 {
        self.parts().1
    }

    /// The same for every problem of this kind.
    pub fn title(self) -> &'static str {
        self.parts().2
    }
}

/// A problem document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    kind: Kind,
    detail: String,
    errors: Vec<FieldFault>,
    ingest_id: Option<String>,
}

impl Problem {
    /// `detail` says what is wrong with this request and what to do.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), errors: Vec::new(), ingest_id: None }
    }

    /// 413 of a body that is over the bound of its path: what the bound is, and what to do.
    pub fn body_too_large(path: &str) -> Self {
        let detail = if path.starts_with("/v1/uploads/") {
            format!("the body may have at most {UPLOAD_BYTES_MAX} bytes (5 MiB): send the message in parts")
        } else if path.starts_with("/v1/sources/") {
            format!(
                "the body may have at most {BODY_BYTES_MAX} bytes here: send it to /v1/uploads/{{vendorId}}, which takes {UPLOAD_BYTES_MAX}, or with content-encoding: gzip"
            )
        } else {
            format!(
                "the body may have at most {BODY_BYTES_MAX} bytes: send fewer lines, or with content-encoding: gzip"
            )
        };
        Self::new(Kind::BodyTooLarge, detail)
    }

    /// With the faults of the document; beyond [`FAULTS_LISTED_MAX`] only their number is said.
    #[must_use]
    pub fn with_errors(mut self, mut errors: Vec<FieldFault>) -> Self {
        if errors.len() > FAULTS_LISTED_MAX {
            self.detail = format!(
                "{} ({} faults, the first {FAULTS_LISTED_MAX} are listed)",
                self.detail,
                errors.len()
            );
            errors.truncate(FAULTS_LISTED_MAX);
        }
        self.errors = errors;
        self
    }

    /// With the id of the event that was accepted before.
    #[must_use]
    pub fn with_ingest_id(mut self, ingest_id: crate::id::IngestId) -> Self {
        self.ingest_id = Some(ingest_id.to_string());
        self
    }

    /// The kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// As an answer. 429 and 503 carry `Retry-After: 1`.
    pub fn into_answer(self) -> Answer {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Document<'a> {
            r#type: String,
            title: &'a str,
            status: u16,
            detail: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            ingest_id: Option<&'a str>,
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            errors: &'a [FieldFault],
        }
        let (code, status, title) = self.kind.parts();
        let document = Document {
            r#type: format!("urn:sluice:problem:{code}"),
            title,
            status,
            detail: &self.detail,
            ingest_id: self.ingest_id.as_deref(),
            errors: &self.errors,
        };
        let mut answer =
            Answer::json(status, &document).with_header("content-type", "application/problem+json");
        if matches!(self.kind, Kind::TooManyRequests | Kind::Unavailable) {
            answer = answer.with_header("retry-after", "1");
        }
        answer
    }
}
