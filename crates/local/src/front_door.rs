//! The ingest API: what API Gateway is on AWS. It reads a request within bounds, runs `intake`, and answers what it says.
//!
//! Decided here, as API Gateway decides it: the host, the path, the method, CORS, the size and completeness of the request, how
//! fast each vendor may send, and how many requests are in flight. Everything about the content is decided by `Accept`.
//!
//! A body takes time that its sender chooses. So a body is waited for in a place of its own ([`Shares`]), of which those with a known key
//! have their own, and only a whole request takes one of the places in which it is answered.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::future::Either;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ALLOW, CONNECTION, CONTENT_LENGTH, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Incoming};
use sluice_core::id::VendorId;
use sluice_core::intake::{Answer, proves_sender};
use sluice_core::limits::{BODY_BYTES_MAX, HEADERS_BYTES_MAX, UPLOAD_BYTES_MAX};
use sluice_core::problem::{Kind, Problem};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::disk::Disk;
use crate::functions::FunctionHost;
use crate::gate::{self, Hosts};
use crate::machines::{StateMachines, SyncOutcome};
use crate::shares::Shares;
use crate::usage_plan::UsagePlan;
use crate::{mapping, wire};

/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// How often it is looked at how fast a body arrives.
const RATE_WINDOW: Duration = Duration::from_secs(3);

/// What must arrive of a body in that time, in bytes, unless it is at its end.
const RATE_WINDOW_BYTES_MIN: usize = 8 * 1024;

/// Bodies that are waited for at once from senders with a known key, and of one vendor.
const WAITING_KNOWN_MAX: usize = 1_024;
const WAITING_OF_VENDOR_MAX: usize = 256;

/// Bodies that are waited for at once from all others, and from one address.
const WAITING_UNPROVED_MAX: usize = 256;
const WAITING_OF_ADDRESS_MAX: usize = 64;

/// How much of a refused body is still read, so that the client sees the answer and not a reset connection.
const DISCARDED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Uploads whose bodies are held at once. Each is in memory some eight times for a moment (as sent, as base64, in the function and in
/// the store), so this bounds all of them to some 170 MB.
const UPLOADS_AT_ONCE: usize = 4;

/// How long an upload waits for its turn.
const UPLOAD_TURN_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a refused body is still read.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const TRACE_ID: HeaderName = HeaderName::from_static("x-amzn-trace-id");

/// The headers that a browser may send.
const CORS_HEADERS: &str =
    "content-type,content-encoding,x-api-key,webhook-id,webhook-timestamp,webhook-signature";

const DISK_FULL: &str = "the disk with the data folder is full: nothing new is accepted, and nothing that was acknowledged is \
     lost; free some space, and send it again";

const HEALTH: &str = "/healthz";
const UPLOADS: &str = "/v1/uploads/{vendorId}";

/// The paths, as in `schemas/openapi.yaml`, and their methods. A segment in braces stands for any one that is not empty.
const ROUTES: &[(&str, &str)] = &[
    ("/v1/events", "POST"),
    ("/v1/events/{ingestId}", "GET"),
    ("/v1/orders", "POST"),
    ("/v1/sources/{vendorId}", "POST"),
    (UPLOADS, "POST"),
    (HEALTH, "GET"),
];

fn route(path: &str) -> Option<(&'static str, &'static str)> {
    let matches = |template: &str| {
        let (mut given, mut wanted) = (path.split('/'), template.split('/'));
        loop {
            match (given.next(), wanted.next()) {
                (None, None) => return true,
                (Some(segment), Some(name)) if name.starts_with('{') && !segment.is_empty() => {}
                (Some(segment), Some(name)) if segment == name => {}
                _ => return false,
            }
        }
    };
    ROUTES.iter().copied().find(|(template, _)| matches(template))
}

/// The service.
pub(crate) struct FrontDoor {
    intake: Intake,
    upload: Upload,
    usage_plan: UsagePlan,
    hosts: Hosts,
    disk: Arc<Disk>,
    origins: BTreeSet<String>,
    in_flight: Semaphore,
    in_flight_max: usize,
    /// Of the places in flight, those that a sender without a proof may take.
    unproved: Semaphore,
    waiting_known: Shares<VendorId>,
    waiting_unproved: Shares<IpAddr>,
    open: AtomicBool,
}

/// The state machine that answers requests.
pub(crate) struct Intake {
    /// Where it runs.
    pub(crate) machines: Arc<dyn StateMachines>,
    /// Its name.
    pub(crate) name: String,
}

/// The function behind `/v1/uploads`, and how many of its requests are held at once.
pub(crate) struct Upload {
    functions: FunctionHost,
    name: String,
    turns: Semaphore,
}

impl Upload {
    pub(crate) fn new(functions: FunctionHost, name: String) -> Self {
        Self { functions, name, turns: Semaphore::new(UPLOADS_AT_ONCE) }
    }

    async fn answer(&self, input: &sluice_core::intake::Request) -> Answer {
        let input = serde_json::to_value(input)
            .unwrap_or_else(|error| unreachable!("a request has string keys and no failing field: {error}"));
        match self.functions.invoke(&self.name, input).await {
            Ok(output) => mapping::answer(SyncOutcome::Succeeded(output)),
            Err(error) => {
                let (error, cause) = error.as_task_error();
                mapping::answer(SyncOutcome::Failed { error, cause })
            }
        }
    }
}

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unread {
    TooLarge,
    CutShort,
    TooSlow,
}

impl FrontDoor {
    /// `origins` may call from a browser. Shut until [`FrontDoor::open`].
    pub(crate) fn new(
        intake: Intake,
        upload: Upload,
        usage_plan: UsagePlan,
        hosts: Hosts,
        disk: Arc<Disk>,
        origins: BTreeSet<String>,
        in_flight_max: usize,
    ) -> Self {
        Self {
            intake,
            upload,
            usage_plan,
            hosts,
            disk,
            origins,
            in_flight: Semaphore::new(in_flight_max),
            in_flight_max,
            unproved: Semaphore::new(in_flight_max - in_flight_max / 4),
            waiting_known: Shares::new(WAITING_KNOWN_MAX, WAITING_OF_VENDOR_MAX),
            waiting_unproved: Shares::new(WAITING_UNPROVED_MAX, WAITING_OF_ADDRESS_MAX),
            open: AtomicBool::new(false),
        }
    }

    /// From now on events are taken. Before, whoever asks is told to ask again: vendors and mappers may not be there yet.
    pub(crate) fn open(&self) {
        self.open.store(true, Ordering::Release);
    }

    /// Requests that are being answered.
    pub(crate) fn in_flight(&self) -> usize {
        let answered = self.in_flight_max - self.in_flight.available_permits();
        answered + self.waiting_known.taken() + self.waiting_unproved.taken()
    }

    /// One request.
    pub(crate) async fn handle(&self, request: Request<Incoming>, client: SocketAddr) -> Response<Bytes> {
        let host = self.hosts.check(&request);
        let (mut parts, body) = request.into_parts();
        if let Err(detail) = host {
            return unread(gate::misdirected(detail), body);
        }
        let request_id = wire::request_id();
        let origin = parts
            .headers
            .get(ORIGIN)
            .filter(|it| it.to_str().is_ok_and(|it| self.origins.contains(it)))
            .cloned();
        // A page may read nothing that is here without a key, so only what could change something is refused.
        if let Some(header) = gate::page(&parts.headers)
            && origin.is_none()
            && !matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS)
        {
            return unread(gate::refused_page(header), body);
        }
        let path = parts.uri.path();
        let mut response = match route(path) {
            None => respond(Problem::new(Kind::NotFound, format!("there is no {path} here")).into_answer()),
            Some((_, method)) if parts.method == Method::OPTIONS && origin.is_some() => preflight(method),
            Some((_, method)) if parts.method != *method => not_allowed(method),
            Some(_) if !self.open.load(Ordering::Acquire) => {
                refuse(Problem::new(Kind::Unavailable, "the local cloud is starting; send it again"), body)
            }
            Some((_, "POST")) if self.disk.is_low() => {
                refuse(Problem::new(Kind::Unavailable, DISK_FULL), body)
            }
            Some((HEALTH, _)) => respond(Answer::json(200, &serde_json::json!({"status": "ok"}))),
            Some((template, _)) => {
                if !parts.headers.contains_key(TRACE_ID)
                    && let Ok(value) = HeaderValue::try_from(trace_id())
                {
                    parts.headers.insert(TRACE_ID, value);
                }
                self.ingest(&parts, body, client, &request_id, template == UPLOADS).await
            }
        };
        if let Ok(value) = HeaderValue::try_from(request_id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        if let Some(origin) = origin {
            response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            response.headers_mut().insert(VARY, HeaderValue::from_static("origin"));
        }
        response
    }

    async fn ingest(
        &self,
        parts: &http::request::Parts,
        body: Incoming,
        client: SocketAddr,
        request_id: &str,
        is_upload: bool,
    ) -> Response<Bytes> {
        let header_bytes: usize =
            parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if header_bytes > HEADERS_BYTES_MAX {
            let detail =
                format!("the headers have {header_bytes} bytes; at most {HEADERS_BYTES_MAX} are allowed");
            return refuse(Problem::new(Kind::HeadersTooLarge, detail), body);
        }
        let mut body = body;
        if let Some(problem) = repeated(&parts.headers) {
            return refuse(problem, body);
        }
        let owner = self.usage_plan.owner(&parts.headers).await;
        let place = match &owner {
            Some(owner) => {
                if let Err(problem) = self.usage_plan.admit(owner).await {
                    return refuse(problem, body);
                }
                self.waiting_known.take(owner.vendor_id.clone()).map(Either::Left)
            }
            None => self.waiting_unproved.take(client.ip()).map(Either::Right),
        };
        let Some(place) = place else {
            let detail = "too many of your requests have not been sent to their end; send it again later";
            return refuse(Problem::new(Kind::TooManyRequests, detail), body);
        };
        let bytes_max = if is_upload { UPLOAD_BYTES_MAX } else { BODY_BYTES_MAX };
        // What says that it is too large waits for nothing.
        let turn = if is_upload && !is_declared_larger(&parts.headers, bytes_max) {
            match tokio::time::timeout(UPLOAD_TURN_TIMEOUT, self.upload.turns.acquire()).await {
                Ok(Ok(turn)) => Some(turn),
                _ => {
                    let detail = format!("{UPLOADS_AT_ONCE} uploads are being answered; send it again later");
                    return refuse(Problem::new(Kind::TooManyRequests, detail), body);
                }
            }
        } else {
            None
        };
        let body = match read(&parts.headers, &mut body, bytes_max).await {
            Ok(bytes) => bytes,
            Err(Unread::TooLarge) => return refuse(Problem::body_too_large(parts.uri.path()), body),
            Err(Unread::CutShort) => {
                let detail = "the body ended before its length was reached";
                return refuse(Problem::new(Kind::BodyUnreadable, detail), body);
            }
            Err(Unread::TooSlow) => {
                let detail = format!(
                    "the body must arrive within {} seconds, and at least {RATE_WINDOW_BYTES_MIN} bytes of it every {}",
                    BODY_TIMEOUT.as_secs(),
                    RATE_WINDOW.as_secs()
                );
                return refuse(Problem::new(Kind::BodyUnreadable, detail), body);
            }
        };
        drop(place);
        let input = mapping::intake_input(parts, &client.ip().to_string(), request_id, &body);
        let proved = match owner {
            Some(_) => Ok(true),
            None => self.usage_plan.judge(&input, &body, client.ip()).await,
        };
        let proved = match proved {
            Ok(proved) => proved,
            Err(problem) => return respond(problem.into_answer()),
        };
        let unproved = if proved { None } else { Some(self.unproved.try_acquire()) };
        let (Some(Ok(_)) | None, Ok(_permit)) = (&unproved, self.in_flight.try_acquire()) else {
            let detail = format!("{} requests are being answered; send it again later", self.in_flight_max);
            return respond(Problem::new(Kind::TooManyRequests, detail).into_answer());
        };
        if is_upload {
            drop(body);
            let answer = self.upload.answer(&input).await;
            drop(turn);
            return respond(answer);
        }
        let input = match serde_json::to_string(&input) {
            Ok(input) => input,
            Err(error) => unreachable!("a request has string keys and no failing field: {error}"),
        };
        respond(match self.intake.machines.start_sync(&self.intake.name, input).await {
            Ok(outcome) => {
                let answer = mapping::answer(outcome);
                // It may have filled up since it was asked.
                if answer.status_code == Kind::Unavailable.status() && self.disk.is_low() {
                    Problem::new(Kind::Unavailable, DISK_FULL).into_answer()
                } else {
                    answer
                }
            }
            Err(error) => {
                tracing::error!(%error, "intake was not started");
                mapping::unavailable()
            }
        })
    }
}

/// 401, if a header that proves the sender came more than once: the usage plan and `Accept` must read the same one.
fn repeated(headers: &HeaderMap) -> Option<Problem> {
    let name = headers
        .keys()
        .map(HeaderName::as_str)
        .find(|name| proves_sender(name) && headers.get_all(*name).iter().nth(1).is_some())?;
    let kind = if name == "x-api-key" { Kind::Unauthenticated } else { Kind::SignatureInvalid };
    Some(Problem::new(kind, format!("the header {name} came more than once: send it once")))
}

fn is_declared_larger(headers: &HeaderMap, bytes_max: usize) -> bool {
    let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    declared.is_some_and(|length| length > bytes_max as u64)
}

/// Reads no more than the limit and one frame.
async fn read(headers: &HeaderMap, body: &mut Incoming, bytes_max: usize) -> Result<Bytes, Unread> {
    if is_declared_larger(headers, bytes_max) {
        return Err(Unread::TooLarge);
    }
    let reading = async {
        let mut first: Option<Bytes> = None;
        let mut all = BytesMut::new();
        let (mut window_ends, mut arrived) = (Instant::now() + RATE_WINDOW, 0);
        loop {
            let frame = match tokio::time::timeout_at(window_ends, body.frame()).await {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(_) if arrived < RATE_WINDOW_BYTES_MIN => return Err(Unread::TooSlow),
                Err(_) => {
                    (window_ends, arrived) = (Instant::now() + RATE_WINDOW, 0);
                    continue;
                }
            };
            let Ok(data) = frame.map_err(|_| Unread::CutShort)?.into_data() else { continue };
            arrived += data.len();
            if first.as_ref().map_or(0, Bytes::len) + all.len() + data.len() > bytes_max {
                return Err(Unread::TooLarge);
            }
            match first.take() {
                None if all.is_empty() => first = Some(data),
                before => {
                    all.extend_from_slice(&before.unwrap_or_default());
                    all.extend_from_slice(&data);
                }
            }
        }
        Ok(first.unwrap_or_else(|| all.freeze()))
    };
    tokio::time::timeout(BODY_TIMEOUT, reading).await.unwrap_or(Err(Unread::TooSlow))
}

fn respond(answer: Answer) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(answer.body));
    *response.status_mut() =
        StatusCode::from_u16(answer.status_code).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    for (name, value) in answer.headers {
        match (HeaderName::try_from(&name), HeaderValue::try_from(value)) {
            (Ok(name), Ok(value)) => drop(response.headers_mut().insert(name, value)),
            _ => tracing::warn!(name, "an answer has a header that HTTP does not allow"),
        }
    }
    response
}

/// A refusal before the body was read to its end: the rest is thrown away, within bounds, and the connection closed.
fn refuse(problem: Problem, body: Incoming) -> Response<Bytes> {
    unread(respond(problem.into_answer()), body)
}

fn unread(mut response: Response<Bytes>, mut body: Incoming) -> Response<Bytes> {
    if !body.is_end_stream() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        tokio::spawn(tokio::time::timeout(DISCARD_TIMEOUT, async move {
            let mut discarded = 0;
            while let Some(Ok(frame)) = body.frame().await {
                discarded += frame.data_ref().map_or(0, Bytes::len);
                if discarded > DISCARDED_BYTES_MAX {
                    break;
                }
            }
        }));
    }
    response
}

fn not_allowed(method: &'static str) -> Response<Bytes> {
    let problem = Problem::new(Kind::MethodNotAllowed, format!("use {method}"));
    let mut response = respond(problem.into_answer());
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(method));
    response
}

fn preflight(method: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(method));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(CORS_HEADERS));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    response
}

/// `Root=1-<time>-<id>`, as API Gateway adds it ("X-Ray tracing header", X-Ray Developer Guide).
fn trace_id() -> String {
    let seconds = wire::now_ms() / 1_000;
    let id = rand::random::<u128>() >> 32;
    format!("Root=1-{seconds:08x}-{id:024x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_proves_the_sender_comes_once() {
        for (name, refused) in [
            ("x-api-key", true),
            ("webhook-id", true),
            ("x-shopify-hmac-sha256", true),
            ("x-wc-webhook-signature", true),
            ("x-signature", true),
            ("accept", false),
            ("x-shopify-topic", false),
        ] {
            let name = HeaderName::from_static(name);
            let mut headers = HeaderMap::new();
            headers.append(name.clone(), HeaderValue::from_static("a"));
            assert!(repeated(&headers).is_none(), "{name}");
            headers.append(name.clone(), HeaderValue::from_static("a"));
            let problem = repeated(&headers);
            assert_eq!(problem.is_some(), refused, "{name}");
            assert!(problem.is_none_or(|problem| problem.into_answer().status_code == 401));
        }
    }

    #[test]
    fn a_path_is_one_of_the_routes_or_nothing() {
        for (path, template) in [
            ("/v1/events", "/v1/events"),
            ("/v1/events/01KF0Q4S8R6D1ZJ8W9T3C5V7XN", "/v1/events/{ingestId}"),
            ("/v1/sources/shop", "/v1/sources/{vendorId}"),
            ("/v1/uploads/shop", "/v1/uploads/{vendorId}"),
            ("/v1/orders", "/v1/orders"),
        ] {
            assert_eq!(route(path).map(|(template, _)| template), Some(template), "{path}");
        }
        for path in [
            "",
            "/",
            "/v1",
            "/v1/events/",
            "/v1/events/a/b",
            "/v1/sources",
            "/v1/sources/",
            "/v1/orders/1",
            "v1/events",
        ] {
            assert_eq!(route(path), None, "{path}");
        }
    }
}
