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
        staged: None,
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
    use sluice_core::limits::{BODY_BYTES_MAX, HEADERS_BYTES_MAX};

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

    /// A file that the mapping templates of API Gateway are held to as well, rendered by Velocity (`cdk/test/velocity.test.ts`).
    fn corpus(text: &str) -> serde_json::Value {
        serde_json::from_str(text).unwrap()
    }

    fn bytes_of(body: &serde_json::Value) -> Vec<u8> {
        let decode = |name: &str| STANDARD.decode(body[name].as_str().unwrap()).unwrap();
        match body["bytes"].as_u64() {
            Some(length) => decode("repeat").into_iter().cycle().take(length.try_into().unwrap()).collect(),
            None => decode("base64"),
        }
    }

    #[test]
    fn requests_become_what_the_templates_of_api_gateway_make_of_them() {
        let corpus = corpus(include_str!("../../../cdk/test/corpus/requests.json"));
        assert_eq!(
            corpus["limits"],
            json!({"bodyBytesMax": BODY_BYTES_MAX, "headersBytesMax": HEADERS_BYTES_MAX})
        );
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let (mut compared, mut refused, mut not_http) = (0, 0, 0);
        for case in corpus["cases"].as_array().unwrap() {
            let name = &case["name"];
            let mut path = text(&case["resourcePath"]);
            for (parameter, value) in case["pathParameters"].as_object().unwrap() {
                path = path.replace(&format!("{{{parameter}}}"), value.as_str().unwrap());
            }
            let mut headers = HeaderMap::new();
            let mut possible = true;
            for header in case["headers"].as_array().unwrap() {
                let header_name = http::HeaderName::try_from(text(&header[0])).unwrap();
                match http::HeaderValue::from_bytes(header[1].as_str().unwrap().as_bytes()) {
                    Ok(value) => drop(headers.append(header_name, value)),
                    Err(_) => possible = false,
                }
            }
            assert_eq!(!possible, case["notHttp"] == true, "{name}");
            if !possible {
                not_http += 1;
                continue;
            }
            let body = bytes_of(&case["body"]);
            match case["refused"].as_str() {
                // The front door decides both before it maps; the templates must know the same limits.
                Some("body-too-large") => assert!(body.len() > BODY_BYTES_MAX, "{name}"),
                Some("headers-too-large") => {
                    let all: usize =
                        headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
                    assert!(all > HEADERS_BYTES_MAX, "{name}");
                }
                other => assert_eq!(other, None, "{name}"),
            }
            if case["refused"].is_string() {
                refused += 1;
                continue;
            }
            let mut request =
                http::Request::builder().method(case["method"].as_str().unwrap()).uri(path).body(()).unwrap();
            *request.headers_mut() = headers;
            let (parts, ()) = request.into_parts();
            let input = intake_input(
                &parts,
                corpus["sourceIp"].as_str().unwrap(),
                corpus["requestId"].as_str().unwrap(),
                &body,
            );
            assert_eq!(input.body_bytes().unwrap(), body, "{name}");
            let mut document = serde_json::to_value(&input).unwrap();
            document.as_object_mut().unwrap().remove("body");
            assert_eq!(document, case["expected"], "{name}");
            compared += 1;
        }
        assert!(compared >= 20 && refused >= 4 && not_http == 1, "{compared} {refused} {not_http}");
    }

    #[test]
    fn outcomes_become_what_the_templates_of_api_gateway_make_of_them() {
        let corpus = corpus(include_str!("../../../cdk/test/corpus/answers.json"));
        let mut compared = 0;
        for case in corpus["cases"].as_array().unwrap() {
            // Where Step Functions refused there is no execution, and nothing like it on one machine.
            let Some(execution) = case.get("execution") else { continue };
            let outcome = match execution["status"].as_str().unwrap() {
                "SUCCEEDED" => SyncOutcome::Succeeded(
                    serde_json::from_str(execution["output"].as_str().unwrap()).unwrap(),
                ),
                "TIMED_OUT" => SyncOutcome::TimedOut,
                _ => SyncOutcome::Failed {
                    error: execution["error"].as_str().unwrap().to_owned(),
                    cause: execution["cause"].as_str().unwrap().to_owned(),
                },
            };
            let (answer, expected) = (answer(outcome), &case["expected"]);
            let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
            assert_eq!(json!(answer.status_code), expected["status"], "{}", case["name"]);
            assert_eq!(json!(answer.headers), expected["headers"], "{}", case["name"]);
            assert_eq!(body, expected["body"], "{}", case["name"]);
            compared += 1;
        }
        assert!(compared >= 15, "{compared}");
    }

    /// The templates hand over `content-type` and `retry-after`, and no other header.
    #[test]
    fn answers_have_no_header_that_the_templates_would_drop() {
        for kind in Kind::ALL {
            let answer = Problem::new(kind, "x").into_answer();
            assert!(
                answer.headers.keys().all(|name| ["content-type", "retry-after"].contains(&name.as_str())),
                "{kind:?}"
            );
        }
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
