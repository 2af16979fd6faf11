//! Who is let in: what both listeners refuse before they look at a request, and what the AWS endpoint refuses beyond that.
//!
//! A listener on the loopback interface is reached by every program of the machine, and by every page in its browser. So
//! 1. a request is for a name of this machine ([`Hosts`]): a page whose own name was made to lead here is not answered;
//! 2. no page calls ([`page`]): a browser says of each request that it is one, and from where;
//! 3. the AWS endpoint answers who has signed with the access key of the data folder ([`Gate`]), which a page cannot read.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use s3s::Body;
use serde_json::json;
pub(crate) use sluice_loopback::page;

use crate::credentials::{self, AccessKey};
use crate::sigv4::{Refused, Signed};
use crate::wire::{self, Protocol, ServiceError};

/// Largest request of a service other than S3, in bytes: DynamoDB's 16 MB.
pub(crate) const REQUEST_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What clients put before the host of a call that is answered at its end (`StartSyncExecution`).
const SYNC_PREFIX: &str = "sync-";

const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");

/// The hosts that a listener answers for: those of [`sluice_loopback`], and buckets before the name.
#[derive(Debug, Clone)]
pub(crate) struct Hosts {
    names: sluice_loopback::Hosts,
    buckets: String,
}

/// A host that is answered for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    /// The bucket that the name began with, as in `bucket.localhost`.
    bucket: Option<String>,
}

impl Hosts {
    /// Those of a listener on the loopback interface, and further ones, each as the header says it.
    pub(crate) fn of(listener: SocketAddr, further: &BTreeSet<String>) -> Self {
        let names = sluice_loopback::Hosts::of(listener, further);
        Self { names, buckets: format!(".localhost:{}", listener.port()) }
    }

    /// The host of a request; what is wrong with it, if it is not one of these.
    pub(crate) fn check<B>(&self, request: &Request<B>) -> Result<Host, &'static str> {
        let named = sluice_loopback::named(request)?;
        let name = named.strip_prefix(SYNC_PREFIX).unwrap_or(&named);
        if self.names.has(name) {
            return Ok(Host { bucket: None });
        }
        match name.strip_suffix(&self.buckets) {
            Some(bucket) if is_bucket(bucket) => Ok(Host { bucket: Some(bucket.to_owned()) }),
            _ => Err(
                "this is not a host that is served here; `sluice dev --allow-host HOST` adds one, such as a \
                      tunnel's",
            ),
        }
    }
}

/// Whether a name may be a bucket's ("General purpose bucket naming rules", Amazon S3 User Guide).
fn is_bucket(name: &str) -> bool {
    (3..=63).contains(&name.len())
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'))
}

/// The answer to a page.
pub(crate) fn refused_page(header: &HeaderName) -> Response<Bytes> {
    let detail =
        format!("the header {header} says that a web page has made this request; pages are not answered");
    problem(StatusCode::FORBIDDEN, "Forbidden", &detail)
}

/// The answer to a request for another host.
pub(crate) fn misdirected(detail: &str) -> Response<Bytes> {
    problem(StatusCode::MISDIRECTED_REQUEST, "Misdirected Request", detail)
}

/// A refusal that is no answer of a service: a problem document without a type of its own (RFC 9457).
fn problem(status: StatusCode, title: &str, detail: &str) -> Response<Bytes> {
    let document =
        json!({"type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail});
    let mut response = Response::new(Bytes::from(document.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}

/// For whom a call is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Whoever has the access key of the data folder: a person, and the tools that a person runs.
    Operator,
    /// The functions of this process.
    Functions,
}

/// The access keys, and where the operator's is.
#[derive(Debug)]
pub(crate) struct Keys {
    operator: AccessKey,
    functions: AccessKey,
    file: PathBuf,
}

impl Keys {
    /// `file` holds the operator's key. The functions' lives as long as this process.
    pub(crate) fn new(operator: AccessKey, file: PathBuf) -> Self {
        Self { operator, functions: AccessKey::generate(), file }
    }

    /// The key of a caller.
    pub(crate) fn of(&self, caller: Caller) -> &AccessKey {
        match caller {
            Caller::Operator => &self.operator,
            Caller::Functions => &self.functions,
        }
    }

    fn find(&self, id: &str) -> Option<(Caller, &AccessKey)> {
        let all = [Caller::Operator, Caller::Functions];
        all.into_iter().map(|caller| (caller, self.of(caller))).find(|(_, key)| key.id == id)
    }
}

/// The gate of the AWS endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    pub(crate) hosts: Hosts,
    pub(crate) keys: Arc<Keys>,
}

impl Gate {
    /// The request, ready for a service, and for whom it is made; or the answer of who is not let in.
    pub(crate) async fn admit(
        &self,
        request: Request<Body>,
    ) -> Result<(Caller, Request<Body>), Response<Bytes>> {
        let host = self.hosts.check(&request).map_err(misdirected)?;
        if let Some(header) = page(request.headers()) {
            return Err(refused_page(header));
        }
        let (mut parts, mut body) = request.into_parts();
        let refuse = |refused: &Refused| self.refuse(&parts, refused);
        let signed = Signed::parse(&parts).map_err(|refused| refuse(&refused))?;
        let (caller, key) = self.keys.find(signed.key_id()).ok_or_else(|| refuse(&Refused::UnknownKey))?;
        let covered = if signed.covers_body(&parts.headers) {
            let bytes = body.store_all_limited(REQUEST_BYTES_MAX).await.map_err(|error| unread(&error))?;
            body = Body::from(bytes.clone());
            bytes
        } else {
            Bytes::new()
        };
        signed.verify(&parts, &covered, key, jiff::Timestamp::now()).map_err(|refused| refuse(&refused))?;
        if let Some(bucket) = host.bucket {
            parts.uri = path_style(&bucket, &parts.uri).unwrap_or(parts.uri);
        }
        Ok((caller, Request::from_parts(parts, body)))
    }

    /// The answer in the words of AWS, and of the service that was asked as far as it is known.
    fn refuse(&self, parts: &http::request::Parts, refused: &Refused) -> Response<Bytes> {
        let file = self.file();
        let message =
            format!("{refused}. The access key of this local cloud is in {file} (`sluice --local env`)");
        let json = parts.headers.contains_key(&TARGET) || parts.uri.path().starts_with("/2015-03-31/");
        let mut response = if json {
            let name = match refused {
                Refused::Missing => "MissingAuthenticationTokenException",
                Refused::Malformed(_) => "IncompleteSignatureException",
                Refused::UnknownKey => "UnrecognizedClientException",
                Refused::Mismatch | Refused::Expired => "InvalidSignatureException",
            };
            let error = ServiceError { status: StatusCode::FORBIDDEN, ..ServiceError::client(name, message) };
            let mut response = wire::failure(Protocol::Json10, &error);
            response.headers_mut().insert(ERROR_TYPE, HeaderValue::from_static(name));
            response
        } else {
            let code = match refused {
                Refused::Missing => "AccessDenied",
                Refused::Malformed(_) => "AuthorizationHeaderMalformed",
                Refused::UnknownKey => "InvalidAccessKeyId",
                Refused::Mismatch => "SignatureDoesNotMatch",
                Refused::Expired => "RequestTimeTooSkewed",
            };
            let message = message.replace('&', "&amp;").replace('<', "&lt;");
            let xml = format!(
                "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
            );
            let mut response = Response::new(Bytes::from(xml));
            *response.status_mut() = StatusCode::FORBIDDEN;
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
            response
        };
        if let Ok(file) = HeaderValue::try_from(file) {
            response.headers_mut().insert(credentials::HEADER, file);
        }
        response
    }

    fn file(&self) -> String {
        let file = &self.keys.file;
        std::path::absolute(file).unwrap_or_else(|_| file.clone()).display().to_string()
    }
}

/// A body that cannot be read to its end.
pub(crate) fn unread(error: &dyn std::fmt::Display) -> Response<Bytes> {
    let message = format!("the request cannot be read, or is over {REQUEST_BYTES_MAX} bytes: {error}");
    wire::failure(Protocol::Json10, &ServiceError::client("RequestEntityTooLarge", message))
}

/// `/key` of `bucket.localhost` as `/bucket/key`.
fn path_style(bucket: &str, uri: &Uri) -> Option<Uri> {
    let rest = uri.path_and_query()?.as_str();
    format!("/{bucket}{rest}").parse().ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is the test's failure")]
mod tests {
    use super::*;

    fn hosts() -> Hosts {
        Hosts::of("127.0.0.1:8788".parse().unwrap(), &BTreeSet::from(["Shop.tunnel.example".to_owned()]))
    }

    fn check(uri: &str, names: &[&str]) -> Option<Host> {
        let mut request = Request::post(uri);
        for name in names {
            request = request.header("host", *name);
        }
        hosts().check(&request.body(()).unwrap()).ok()
    }

    #[test]
    fn a_host_is_one_of_this_machine_by_its_port() {
        for name in [
            "127.0.0.1:8788",
            "localhost:8788",
            "LOCALHOST:8788",
            "[::1]:8788",
            "sync-localhost:8788",
            "shop.tunnel.example",
        ] {
            assert_eq!(check("/", &[name]), Some(Host { bucket: None }), "{name}");
        }
        for name in [
            "evil.example",
            "evil.example:8788",
            "127.0.0.1",
            "127.0.0.1:8787",
            "127.0.0.1:8788.evil.example",
            "127.0.0.1.evil.example:8788",
            "localhost.:8788",
            "a:b@localhost:8788",
            "0.0.0.0:8788",
            "tunnel.example",
            "x.shop.tunnel.example",
            "",
        ] {
            assert_eq!(check("/", &[name]), None, "{name}");
        }
        assert_eq!(check("/", &[]), None);
        assert_eq!(check("/", &["localhost:8788", "localhost:8788"]), None, "twice");
        assert_eq!(check("http://evil.example/", &["localhost:8788"]), None, "by its target");
        assert!(check("http://localhost:8788/", &["localhost:8788"]).is_some());
    }

    #[test]
    fn a_bucket_may_stand_before_the_name() {
        assert_eq!(
            check("/", &["sluice-raw.localhost:8788"]),
            Some(Host { bucket: Some("sluice-raw".into()) })
        );
        for name in [
            "sluice-raw.localhost:1",
            "sluice-raw.127.0.0.1:8788",
            "a.localhost:8788",
            "a_b_c.localhost:8788",
        ] {
            assert_eq!(check("/", &[name]), None, "{name}");
        }
        let uri = "/raw/a%20b?versions".parse().unwrap();
        assert_eq!(path_style("sluice-raw", &uri).unwrap(), "/sluice-raw/raw/a%20b?versions");
    }
}
