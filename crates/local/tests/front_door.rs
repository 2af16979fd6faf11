//! The ingest API and the composition from outside.

#![expect(clippy::unwrap_used, reason = "a panic is the test's failure")]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{Scripted, failure, idle_cloud, options, options_in, signed, start};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use sluice_local::{Cloud, FunctionSetup, Functions, Options, StartError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;

/// `Accept` that answers with what it was given.
fn echo() -> Arc<Scripted> {
    Scripted::new(|name, payload| async move {
        assert_eq!(name, "sluice-accept");
        let answer = json!({"statusCode": 200, "headers": {"content-type": "application/json", "x-custom": "yes"},
            "body": payload.to_string()});
        Ok(json!({"answer": answer}))
    })
}

async fn problem(response: reqwest::Response) -> (StatusCode, Value) {
    let status = response.status();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    (status, serde_json::from_str(&response.text().await.unwrap()).unwrap())
}

#[tokio::test]
async fn intake_gets_the_exact_bytes_and_its_answer_is_the_answer() {
    let cloud = start(options(), echo()).await;
    let url = format!("{}/v1/events", cloud.ingest_url());
    let body = "{\"a\": 1.10, \"b\": \"\u{e9}\", \"a\": 2}\r\n";
    let response = Client::new()
        .post(&url)
        .header("X-Api-Key", "it's")
        .header("content-type", "application/json; charset=utf-8");
    let response = response.body(body).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-custom"], "yes");
    assert!(response.headers().contains_key("x-amzn-requestid"));
    let input: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(STANDARD.decode(input["body"].as_str().unwrap()).unwrap(), body.as_bytes());
    assert_eq!(input["headers"]["x-api-key"], "it's");
    assert_eq!(input["headers"]["content-type"], "application/json; charset=utf-8");
    assert!(input["headers"]["x-amzn-trace-id"].as_str().unwrap().starts_with("Root=1-"));
    assert_eq!(
        (&input["method"], &input["path"], &input["sourceIp"]),
        (&json!("POST"), &json!("/v1/events"), &json!("127.0.0.1"))
    );
}

#[tokio::test]
async fn until_it_is_opened_everyone_is_told_to_come_again() {
    let cloud = start(Options { opened_later: true, ..options() }, echo()).await;
    let client = Client::new();
    let health = format!("{}/healthz", cloud.ingest_url());
    for request in [client.get(&health), client.post(format!("{}/v1/events", cloud.ingest_url())).body("{}")]
    {
        let response = request.send().await.unwrap();
        assert!(response.headers().contains_key("retry-after"), "{response:?}");
        let (status, document) = problem(response).await;
        assert_eq!((status.as_u16(), &document["type"]), (503, &json!("urn:sluice:problem:unavailable")));
    }
    cloud.open();
    assert_eq!(client.get(&health).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn paths_methods_and_origins_are_decided_at_the_door() {
    let allowed = Options { cors_origins: BTreeSet::from(["https://ops.example".to_owned()]), ..options() };
    let cloud = start(allowed, echo()).await;
    let client = Client::new();
    let url = |path: &str| format!("{}{path}", cloud.ingest_url());
    let health = client.get(url("/healthz")).send().await.unwrap();
    assert_eq!(
        (health.status(), health.text().await.unwrap()),
        (StatusCode::OK, "{\"status\":\"ok\"}".to_owned())
    );

    let (status, document) = problem(client.get(url("/v2/events")).send().await.unwrap()).await;
    assert_eq!((status.as_u16(), &document["type"]), (404, &json!("urn:sluice:problem:not-found")));
    let response = client.get(url("/v1/events")).send().await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["allow"]), (405, &"POST".parse().unwrap()));
    problem(response).await;

    let preflight = |origin: &'static str| {
        let request = client.request(Method::OPTIONS, url("/v1/events")).header("origin", origin);
        request.header("access-control-request-method", "POST").send()
    };
    let response = preflight("https://ops.example").await.unwrap();
    assert_eq!(response.status(), 204);
    assert_eq!(response.headers()["access-control-allow-origin"], "https://ops.example");
    assert_eq!(response.headers()["access-control-allow-methods"], "POST");
    let response = preflight("https://evil.example").await.unwrap();
    assert_eq!(response.status(), 405);
    assert!(!response.headers().contains_key("access-control-allow-origin"));
    let posted = client
        .post(url("/v1/events"))
        .header("origin", "https://ops.example")
        .body("{}")
        .send()
        .await
        .unwrap();
    assert_eq!(posted.headers()["access-control-allow-origin"], "https://ops.example");

    let strict = idle_cloud().await;
    let response = client.request(Method::OPTIONS, format!("{}/v1/events", strict.ingest_url()));
    let response = response.header("origin", "https://ops.example").send().await.unwrap();
    assert_eq!(response.status(), 405, "no origin is allowed by default");
}

/// `HOST` in the request is the listener's.
async fn raw(cloud: &Cloud, request: &str, then: Option<&[u8]>) -> String {
    let address = cloud.ingest_url().replace("http://", "");
    let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
    stream.write_all(request.replace("HOST", &address).as_bytes()).await.unwrap();
    if let Some(rest) = then {
        stream.write_all(rest).await.unwrap();
    }
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn sizes_are_bounded_and_a_body_that_is_cut_short_is_refused() {
    let cloud = start(options(), echo()).await;
    let url = format!("{}/v1/events", cloud.ingest_url());
    let client = Client::new();
    let exactly = client.post(&url).body("x".repeat(190_000)).send().await.unwrap();
    assert_eq!(exactly.status(), 200);
    let (status, document) = problem(client.post(&url).body("x".repeat(190_001)).send().await.unwrap()).await;
    assert_eq!((status.as_u16(), &document["type"]), (413, &json!("urn:sluice:problem:body-too-large")));

    // Declared and not sent: the answer does not wait for it.
    let answer =
        raw(&cloud, "POST /v1/events HTTP/1.1\r\nhost: HOST\r\ncontent-length: 99999999\r\n\r\n", None).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("connection: close"), "{answer}");
    // Not declared: chunks are counted.
    let chunk = [b"ffff\r\n".as_slice(), &[b'x'; 0xffff], b"\r\n"].concat();
    let head = "POST /v1/events HTTP/1.1\r\nhost: HOST\r\ntransfer-encoding: chunked\r\n\r\n";
    let answer =
        raw(&cloud, head, Some(&[chunk.clone(), chunk.clone(), chunk, b"0\r\n\r\n".to_vec()].concat())).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    let answer =
        raw(&cloud, "POST /v1/events HTTP/1.1\r\nhost: HOST\r\ncontent-length: 10\r\n\r\n{\"a\"", None).await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("body-unreadable"), "{answer}");

    let (status, document) =
        problem(client.post(&url).header("x-long", "y".repeat(6_000)).send().await.unwrap()).await;
    assert_eq!((status.as_u16(), &document["type"]), (431, &json!("urn:sluice:problem:headers-too-large")));
    let health = client.get(format!("{}/healthz", cloud.ingest_url())).send().await.unwrap();
    assert_eq!(health.status(), 200, "and the next request is served");
}

#[tokio::test]
async fn a_fault_of_ours_is_503_and_too_many_at_once_is_429() {
    let rejected = Scripted::new(|_, _| async { Err(failure("Rejected", "a bug")) });
    let panicking = Scripted::new(|_, payload| async move { panic!("{}", payload["path"]) });
    let nonsense = Scripted::new(|_, _| async { Ok(json!({"answer": {"statusCode": "two hundred"}})) });
    for functions in [rejected, panicking, nonsense] {
        let cloud = start(options(), functions).await;
        let response =
            Client::new().post(format!("{}/v1/events", cloud.ingest_url())).body("{}").send().await.unwrap();
        assert_eq!(response.headers()["retry-after"], "1");
        assert_eq!(problem(response).await.0, 503);
    }

    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let slow = Scripted::new(move |_, _| {
        let held = Arc::clone(&held);
        async move {
            let _permit = held.acquire().await.unwrap();
            Ok(json!({"answer": {"statusCode": 202, "headers": {}, "body": "{}"}}))
        }
    });
    let cloud = start(Options { in_flight_max: 2, ..options() }, slow).await;
    let url = format!("{}/v1/events", cloud.ingest_url());
    let client = Client::new();
    let waiting: Vec<_> = (0..2).map(|_| tokio::spawn(client.post(&url).body("{}").send())).collect();
    let refused = loop {
        // Both must have arrived before the third.
        let response = client.post(&url).body("{}").timeout(Duration::from_millis(300)).send().await;
        match response {
            Ok(response) => break response,
            Err(error) => assert!(error.is_timeout(), "{error}"),
        }
    };
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(problem(refused).await.0, 429);
    gate.add_permits(16);
    for response in waiting {
        let status = response.await.unwrap().unwrap().status();
        assert!(status == 202 || status == 429, "{status}");
    }
}

#[tokio::test]
async fn a_folder_and_a_port_in_use_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let cloud = start(options_in(folder.path()), Scripted::idle()).await;
    let second = |options: Options| async move {
        let make = |_: &FunctionSetup<'_>| -> Result<Arc<dyn Functions>, sluice_local::BoxError> {
            Ok(Scripted::idle())
        };
        Cloud::start_with_functions(options, Box::new(make)).await.unwrap_err()
    };
    let error = second(options_in(folder.path())).await;
    let text = error.to_string();
    assert!(matches!(error, StartError::Locked { .. }), "{text}");
    assert!(text.contains(&format!("pid {}", std::process::id())) && text.contains("--ephemeral"), "{text}");

    let port = cloud.ingest_url().rsplit(':').next().unwrap().parse().unwrap();
    let error = second(Options { ingest_port: port, ..options() }).await;
    assert!(
        error.to_string().contains(&format!("port {port}")) && error.to_string().contains("--port"),
        "{error}"
    );
    let error = second(Options { aws_port: port, ..options() }).await;
    assert!(error.to_string().contains("--aws-port"), "{error}");
    cloud.shutdown().await;
    start(options_in(folder.path()), Scripted::idle()).await;
}

#[tokio::test]
async fn the_endpoint_answers_lambda_and_sts_and_names_what_it_does_not_have() {
    let functions = Scripted::new(|name, payload| async move {
        match payload["mode"].as_str() {
            Some("fail") => Err(failure("Rejected", "no")),
            _ => Ok(json!({"name": name, "payload": payload})),
        }
    });
    let cloud = start(options(), functions).await;
    let client = Client::new();
    let invoke = |function: &str, body: Value| {
        let url = format!("{}/2015-03-31/functions/{function}/invocations", cloud.aws_url());
        let request = client.post(url).body(body.to_string());
        let cloud = &cloud;
        async move { signed(cloud, "lambda", request).await }
    };
    let response = invoke("sluice-accept", json!({"a": 1})).await;
    assert_eq!(
        (response.status().as_u16(), response.headers().contains_key("x-amz-function-error")),
        (200, false)
    );
    let answer: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(answer, json!({"name": "sluice-accept", "payload": {"a": 1}}));
    let arn = "arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Asluice-accept";
    assert_eq!(invoke(arn, json!({})).await.status(), 200);
    let response = invoke("sluice-accept", json!({"mode": "fail"})).await;
    assert_eq!(response.headers()["x-amz-function-error"], "Unhandled");
    assert_eq!(response.text().await.unwrap(), "{\"errorType\":\"Rejected\",\"errorMessage\":\"no\"}");
    let response = invoke("nope", json!({})).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["x-amzn-errortype"]),
        (404, &"ResourceNotFoundException".parse().unwrap())
    );

    let response = client.post(cloud.aws_url()).header("content-type", "application/x-www-form-urlencoded");
    let response = response.body("Action=GetCallerIdentity&Version=2011-06-15");
    let response = signed(&cloud, "sts", response).await;
    assert!(response.text().await.unwrap().contains("<Account>000000000000</Account>"));
    let response =
        client.post(cloud.aws_url()).header("x-amz-target", "Kinesis_20131202.PutRecord").body("{}");
    let response = signed(&cloud, "kinesis", response).await;
    assert_eq!(response.status(), 400);
    assert!(response.text().await.unwrap().contains("no service Kinesis_20131202"));
    let response =
        client.post(cloud.aws_url()).header("x-amz-target", "AWSStepFunctions.ListStateMachines").body("{}");
    let machines: Value =
        serde_json::from_str(&signed(&cloud, "states", response).await.text().await.unwrap()).unwrap();
    let names: Vec<_> =
        machines["stateMachines"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "sluice-intake",
            "sluice-normalize",
            "sluice-operate",
            "sluice-recover",
            "sluice-replay",
            "sluice-start-recover"
        ]
    );
}

/// Requests whose bodies never come to their end, each on a connection of its own.
async fn stalled(cloud: &Cloud, count: usize, headers: &str) -> Vec<tokio::net::TcpStream> {
    let address = cloud.ingest_url().replace("http://", "");
    let head =
        format!("POST /v1/events HTTP/1.1\r\nhost: {address}\r\n{headers}content-length: 1000\r\n\r\n{{");
    let mut streams = Vec::with_capacity(count);
    for _ in 0..count {
        let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        streams.push(stream);
    }
    streams
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_do_not_come_take_the_places_of_nobody_else() {
    let cloud = start(options(), echo()).await;
    let vendors = sluice_aws::vendors::DynamoVendors::new(&cloud.sdk_config(), "sluice-vendors");
    for vendor in ["acme", "idle"] {
        let profile = json!({"vendorId": vendor, "enabled": true,
            "apiKeySha256": [sluice_core::digest::Sha256Hex::of(format!("{vendor}-key").as_bytes())]});
        vendors.add_vendor(&serde_json::from_value(profile).unwrap()).await.unwrap();
    }
    // More than there are places, of strangers and of one vendor.
    let mut strangers = stalled(&cloud, 300, "").await;
    let vendor = stalled(&cloud, 300, "x-api-key: idle-key\r\n").await;
    let url = format!("{}/v1/events", cloud.ingest_url());
    let status = async |client: Client, key: &str| {
        let request = client.post(&url).header("x-api-key", key).body("{}");
        request.send().await.unwrap().status().as_u16()
    };
    let elsewhere = || Client::builder().local_address("127.0.0.2".parse::<std::net::IpAddr>().ok()).build();
    // The strangers and the vendor have filled their shares: wait until the last of them is refused.
    while status(Client::new(), "").await != 429 || status(Client::new(), "idle-key").await != 429 {
        tokio::task::yield_now().await;
    }
    assert_eq!(status(Client::new(), "acme-key").await, 200, "another vendor");
    assert_eq!(status(elsewhere().unwrap(), "").await, 200, "an address of which nothing is waited for");

    // What does not come is not waited for long, and its place is free again.
    let mut answer = Vec::new();
    strangers.remove(0).read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("bytes of it every"), "{answer}");
    drop((strangers, vendor));
    while status(Client::new(), "").await != 200 || status(Client::new(), "idle-key").await != 200 {
        tokio::task::yield_now().await;
    }
}
