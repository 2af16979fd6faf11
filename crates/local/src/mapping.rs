//! What API Gateway's templates do, in one place: an HTTP request to the input of `intake`, and the outcome of the
//! execution to an HTTP answer. The Velocity templates that CDK deploys must give the same for the same request.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::request::Parts;
use sluice_core::intake::{Answer, Request};
use sluice_core::problem::{Kind, Problem};

use crate::machines::SyncOutcome;

/// The input of `intake`: method, path without its query, address of the client, id of the request, every header, and
/// base64 of the exact bytes.
pub fn intake_input(parts: &Parts, source_ip: &str, request_id: &str, body: &[u8]) -> Request {
    Request {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        source_ip: source_ip.to_owned(),
        request_id: request_id.to_owned(),
        headers: headers(&parts.headers),
        body: STANDARD.encode(body),
    }
}

/// Names in lower case. Of a header that came more than once the last value counts, as in `$input.params().header`; bytes
/// that are not UTF-8 become U+FFFD.
fn headers(headers: &HeaderMap) -> BTreeMap<String, String> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

/// The answer that `intake` gave. A failed or timed-out execution, and an output that is no answer, is 503 with
/// `Retry-After`: an internal fault is never the vendor's.
pub fn answer(outcome: SyncOutcome) -> Answer {
    match outcome {
        SyncOutcome::Succeeded(output) => serde_json::from_value(output).unwrap_or_else(|error| {
            tracing::error!(%error, "the output of intake is not an answer");
            unavailable()
        }),
        SyncOutcome::Failed { error, cause } => {
            tracing::error!(error, cause, "intake failed");
            unavailable()
        }
        SyncOutcome::TimedOut => {
            tracing::error!("intake timed out");
            unavailable()
        }
    }
}

/// 503
pub fn unavailable() -> Answer {
    Problem::new(Kind::Unavailable, "the event was not accepted; send it again").into_answer()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is the test's failure")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_header_and_the_exact_bytes_are_handed_over() {
        let request = http::Request::post("/v1/events?debug=1")
            .header("X-Api-Key", "it's \"quoted\"")
            .header("X-Twice", "first")
            .header("x-twice", "second")
            .header("X-Latin", http::HeaderValue::from_bytes(b"caf\xe9").unwrap())
            .body(())
            .unwrap();
        let (parts, ()) = request.into_parts();
        let input = intake_input(&parts, "127.0.0.1", "id-1", b"{\"a\":1.10}\n\xff");
        let value = serde_json::to_value(&input).unwrap();
        assert_eq!(value["path"], "/v1/events");
        assert_eq!(value["sourceIp"], "127.0.0.1");
        assert_eq!(
            value["headers"],
            json!({"x-api-key": "it's \"quoted\"", "x-latin": "caf\u{FFFD}", "x-twice": "second"})
        );
        assert_eq!(input.body_bytes().unwrap(), b"{\"a\":1.10}\n\xff");
    }

    #[test]
    fn only_an_answer_is_an_answer() {
        let output =
            json!({"statusCode": 202, "headers": {"content-type": "application/json"}, "body": "{}"});
        assert_eq!(answer(SyncOutcome::Succeeded(output)).status_code, 202);
        for outcome in [
            SyncOutcome::Succeeded(json!({"body": "{}"})),
            SyncOutcome::Failed { error: "Rejected".into(), cause: String::new() },
            SyncOutcome::TimedOut,
        ] {
            let answer = answer(outcome);
            assert_eq!((answer.status_code, answer.headers["retry-after"].as_str()), (503, "1"));
            assert_eq!(answer.headers["content-type"], "application/problem+json");
        }
    }
}
