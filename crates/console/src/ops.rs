//! What the console asks for, and of whom: the documents of `sluice-ops`, behind a trait.
//!
//! The console knows no AWS. It reads the same JSON documents that `sluice --json` prints; who
//! answers is whoever implements
//! [`Ops`]: the command line over the clients of one cloud, or a test over documents that it has in
//! memory.

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sluice_core::id::{EventType, IngestId, VendorId};

/// A question about the cloud. Equal questions have equal answers for a moment, so answers are
/// shared.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase", tag = "ask")]
pub enum Question {
    /// All that the first page says.
    Overview,
    /// Balances of vendors by hour.
    Hours {
        /// Only of this vendor.
        vendor: Option<VendorId>,
        /// Only this hour, as in `2026-11-21T10`.
        hour: Option<String>,
    },
    /// Events, newest first.
    Events(EventFilter),
    /// All about one event.
    Event {
        /// Which.
        id: IngestId,
    },
    /// Where each member of an event's canonical events comes from.
    Trace {
        /// Which.
        id: IngestId,
    },
    /// Quarantined events by what they fail of.
    Groups {
        /// Those that are resolved, too.
        all: bool,
    },
    /// One group, with its events and what it takes to judge it.
    Group {
        /// Its fingerprint.
        fingerprint: String,
        /// The event to show; the latest, if none is named.
        example: Option<IngestId>,
    },
    /// What a candidate mapper would make of a vendor's stored events.
    Shadow {
        /// Whose.
        vendor: VendorId,
        /// Which kind.
        event_type: EventType,
        /// The candidate's digest, or its first digits.
        candidate: String,
    },
    /// All operations, newest first.
    Operations,
    /// One of them.
    Operation {
        /// Its id.
        id: String,
    },
    /// Executions of a state machine, newest first.
    Executions {
        /// Which machine.
        machine: Option<String>,
        /// Only with this status.
        status: Option<String>,
    },
    /// One execution, its definition and its history.
    Execution {
        /// Its ARN.
        arn: String,
    },
    /// All vendors, with their health.
    Vendors,
    /// All about one vendor.
    Vendor {
        /// Which.
        id: VendorId,
    },
    /// All active mappers.
    Mappers,
    /// One mapper: active, history, canary.
    Mapper {
        /// Whose.
        vendor: VendorId,
        /// For what.
        event_type: EventType,
    },
    /// Which members of messages the active mapper reads.
    Lineage {
        /// Whose.
        vendor: VendorId,
        /// For what.
        event_type: EventType,
    },
    /// Dead-letter queues.
    DeadLetters,
    /// Statements that contradict each other.
    Divergence {
        /// Only of this kind.
        kind: Option<String>,
        /// Only about this.
        subject: Option<String>,
    },
    /// Submissions under an identity that another payload has.
    Conflicts {
        /// Those that were accepted, too.
        all: bool,
        /// Only of this vendor.
        vendor: Option<VendorId>,
    },
    /// Who did what, and why.
    Audit {
        /// Only what this person did.
        by: Option<String>,
    },
}

impl Question {
    /// Whether the answer is too costly, or too short-lived, to be asked for again by itself.
    pub fn is_once(&self) -> bool {
        matches!(self, Self::Shadow { .. } | Self::Trace { .. } | Self::Lineage { .. })
    }
}

/// Which events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventFilter {
    /// Of this vendor.
    pub vendor: Option<VendorId>,
    /// Of this kind.
    pub event_type: Option<EventType>,
    /// With this status.
    pub status: Option<String>,
    /// With this id of the vendor's.
    pub external_id: Option<String>,
    /// Received then or later.
    pub since: Option<Timestamp>,
    /// Received before then.
    pub until: Option<Timestamp>,
    /// With this member in the stored request: a pointer and a value, `/sku=ABC-001`.
    pub member: Option<String>,
    /// Older than this event of the page before.
    pub after: Option<String>,
}

/// What a bulk act is done to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Selection {
    /// One.
    Event(IngestId),
    /// All open ones of a group.
    Group(String),
    /// All open ones of a vendor.
    Vendor(VendorId),
    /// What an operation did not bring to a good end.
    Rest(String),
    /// The messages of a dead-letter queue.
    DeadLetters(String),
}

/// Something to be done. The person and the reason go into the record before the act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "act")]
pub enum Act {
    /// A group is known to somebody.
    Acknowledge {
        /// Its fingerprint.
        fingerprint: String,
    },
    /// Freezes what would be run again, as an operation that nobody has started yet.
    Plan {
        /// What is selected.
        selection: Selection,
        /// Items begun per second.
        per_second: u32,
        /// The share of failures, in percent, at which it stops by itself.
        budget_percent: u32,
    },
    /// Start, pause, resume or stop an operation.
    Operation {
        /// Its id.
        id: String,
        /// Which of them.
        change: OperationChange,
    },
    /// A mapper becomes active, or is tried on a share of the events.
    Promote {
        /// Whose.
        vendor: VendorId,
        /// For what.
        event_type: EventType,
        /// The bundle's digest.
        bundle: String,
        /// The share of events, if it is tried only.
        canary_percent: Option<u8>,
    },
    /// The mapper before becomes active again, or a canary ends.
    RollBack {
        /// Whose.
        vendor: VendorId,
        /// For what.
        event_type: EventType,
    },
    /// A vendor is let in, or is not.
    SetEnabled {
        /// Whom.
        vendor: VendorId,
        /// Whether.
        enabled: bool,
    },
    /// A vendor's events are accepted and wait, or go on.
    SetHold {
        /// Whose.
        vendor: VendorId,
        /// Whether they wait.
        on_hold: bool,
    },
    /// A move of dead letters stops.
    CancelMove {
        /// From where.
        queue: String,
    },
    /// A submission that was refused, or is kept, goes on.
    AcceptConflict {
        /// Which.
        id: IngestId,
    },
}

/// What is done with an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OperationChange {
    /// Does what was planned.
    Start,
    /// Starts nothing more for now.
    Pause,
    /// Goes on.
    Resume,
    /// Starts nothing more, ever.
    Stop,
}

/// Who does something, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Because {
    /// The person, as AWS or the operating system names them.
    pub by: String,
    /// The reason.
    pub reason: String,
}

/// A stored object of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// The request as it was received.
    Raw,
    /// What it was normalized to.
    Normalized,
    /// All that its outcome follows from, as one file.
    Case,
}

/// Why there is no answer. The members are those of an unknown part of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// `failed`, `invalid`, `not_found`, `refused` or `unavailable`.
    pub kind: String,
    /// The fault's code, if a service failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What failed.
    pub message: String,
    /// What lies behind it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Failure {
    /// A kind and a message.
    pub fn new(kind: &str, message: impl Into<String>) -> Self {
        Self { kind: kind.into(), code: None, message: message.into(), causes: Vec::new(), hint: None }
    }

    /// The IAM action that is missing, if that is what is wrong.
    pub fn denied(&self) -> Option<String> {
        let said = std::iter::once(&self.message).chain(&self.causes);
        let named = said.filter_map(|text| text.split_once("to perform: ")).map(|(_, rest)| {
            rest.chars()
                .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, ':' | '*' | '-'))
                .collect::<String>()
        });
        named.into_iter().find(|action| action.contains(':'))
    }

    /// The HTTP status of a page that has nothing else to say.
    pub fn status(&self) -> http::StatusCode {
        match self.kind.as_str() {
            "invalid" => http::StatusCode::BAD_REQUEST,
            "not_found" => http::StatusCode::NOT_FOUND,
            "refused" => http::StatusCode::CONFLICT,
            "unavailable" => http::StatusCode::SERVICE_UNAVAILABLE,
            _ => http::StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// Who answers. Documents are those of `sluice --json`, an act answers with the document of its
/// command.
#[async_trait]
pub trait Ops: Send + Sync + 'static {
    /// Answers a question.
    async fn read(&self, question: &Question) -> Result<Value, Failure>;

    /// The bytes of a stored object.
    async fn bytes(&self, id: IngestId, stored: Stored) -> Result<Bytes, Failure>;

    /// Does something. What is done is recorded with `because` before it is done.
    async fn act(&self, act: &Act, because: &Because) -> Result<Value, Failure>;
}
