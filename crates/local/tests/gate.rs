//! Who is let in: no foreign host, no web page, nobody without the access key of the data folder.

#![expect(clippy::unwrap_used, reason = "a panic is the test's failure")]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Scripted, access_key, idle_cloud, options, sign_request, signed, signed_by, start};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use sluice_local::credentials::AccessKey;
use sluice_local::{Cloud, Options, Transport};

/// Counts what is invoked.
fn counting() -> (Arc<Scripted>, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let functions = Scripted::new(move |name, _| {
        if name == "sluice-accept" {
            counted.fetch_add(1, Ordering::Relaxed);
        }
        async { Ok(json!({"answer": {"statusCode": 200, "headers": {}, "body": "{}"}})) }
    });
    (functions, count)
}

/// What an attacker would call on the AWS endpoint: a name, the service, the request.
fn attacks(client: &Client, cloud: &Cloud) -> Vec<(&'static str, &'static str, RequestBuilder)> {
    let url = |path: &str| format!("{}{path}", cloud.aws_url());
    let json = |target: &str, body: Value| {
        let request = client.post(url("/")).header("x-amz-target", target);
        request.header("content-type", "application/x-amz-json-1.1").body(body.to_string())
    };
    let sign =
        json!({"KeyId": "alias/sluice-mappers", "Message": "bQ==", "SigningAlgorithm": "ECDSA_SHA_256"});
    let vendor = json!({"TableName": "sluice-vendors", "Item": {"pk": {"S": "evil"}, "sk": {"S": "evil"}}});
    let invoke = client.post(url("/2015-03-31/functions/sluice-accept/invocations"));
    vec![
        ("the signing key", "kms", json("TrentService.Sign", sign)),
        ("the vendors' table", "dynamodb", json("DynamoDB_20120810.PutItem", vendor)),
        (
            "the mappers' bucket",
            "s3",
            client.put(url("/sluice-mappers/bundles/evil.json")).header("if-none-match", "*").body("{}"),
        ),
        ("a document", "s3", client.get(url("/sluice-normalized/x"))),
        ("a list of keys", "s3", client.get(url("/sluice-raw?list-type=2"))),
        ("a function, without a preflight", "lambda", invoke.header("content-type", "text/plain").body("{}")),
        ("an execution", "states", json("AWSStepFunctions.ListStateMachines", json!({}))),
    ]
}

#[tokio::test]
async fn a_foreign_host_is_answered_on_neither_port() {
    let (functions, invoked) = counting();
    let cloud = start(options(), functions).await;
    let client = Client::new();
    for host in ["evil.example", "evil.example:80", "127.0.0.1", "127.0.0.1.evil.example"] {
        for (what, service, request) in attacks(&client, &cloud) {
            // Signed well: a page cannot do that, and yet the name decides first.
            let answer = signed(&cloud, service, request.header("host", host)).await;
            assert_eq!(answer.status(), 421, "{host}: {what}");
        }
        for request in [
            client.get(format!("{}/healthz", cloud.ingest_url())),
            client.post(format!("{}/v1/events", cloud.ingest_url())).body("{}"),
        ] {
            let answer = request.header("host", host).send().await.unwrap();
            assert_eq!(answer.status(), 421, "{host}");
            assert_eq!(answer.headers()["content-type"], "application/problem+json");
        }
    }
    assert_eq!(invoked.load(Ordering::Relaxed), 0);
    let of_own = client.get(format!("{}/healthz", cloud.ingest_url()).replace("127.0.0.1", "localhost"));
    assert_eq!(of_own.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_tunnel_is_answered_once_it_is_named() {
    let allowed = Options { allowed_hosts: BTreeSet::from(["shop.tunnel.example".to_owned()]), ..options() };
    let (functions, invoked) = counting();
    let cloud = start(allowed, functions).await;
    let post = Client::new().post(format!("{}/v1/events", cloud.ingest_url())).body("{}");
    let answer = post.header("host", "shop.tunnel.example").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), invoked.load(Ordering::Relaxed)), (200, 1));
}

#[tokio::test]
async fn a_web_page_is_answered_on_neither_port() {
    let (functions, invoked) = counting();
    let allowed = Options { cors_origins: BTreeSet::from(["https://ops.example".to_owned()]), ..options() };
    let cloud = start(allowed, functions).await;
    let client = Client::new();
    let signs = [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")];
    for (name, value) in signs {
        for (what, service, request) in attacks(&client, &cloud) {
            let answer = signed(&cloud, service, request.header(name, value)).await;
            assert_eq!(answer.status(), 403, "{name}: {what}");
            assert!(!answer.headers().contains_key("access-control-allow-origin"));
        }
        for path in ["/v1/events", "/v1/orders", "/v1/sources/shop"] {
            let post = client.post(format!("{}{path}", cloud.ingest_url())).body("{}");
            let answer = post.header("content-type", "text/plain").header(name, value).send().await.unwrap();
            assert_eq!(answer.status(), 403, "{name}: {path}");
        }
    }
    assert_eq!(invoked.load(Ordering::Relaxed), 0);

    let post = || client.post(format!("{}/v1/events", cloud.ingest_url())).body("{}");
    let page = post().header("origin", "https://ops.example").header("sec-fetch-site", "cross-site");
    assert_eq!(page.send().await.unwrap().status(), 200, "a page that may");
    let node = post().header("sec-fetch-mode", "cors");
    assert_eq!(node.send().await.unwrap().status(), 200, "a server that uses Node's fetch");
    let read = client.get(format!("{}/healthz", cloud.ingest_url())).header("origin", "https://evil.example");
    assert_eq!(read.send().await.unwrap().status(), 200, "a page may ask, and cannot read the answer");
}

#[tokio::test]
async fn who_has_not_signed_with_the_key_of_the_folder_gets_nothing() {
    let (functions, invoked) = counting();
    let cloud = start(options(), functions).await;
    let client = Client::new();
    let key = access_key(&cloud);
    let guessed = AccessKey { secret: "guessed".into(), ..key.clone() };
    let other = access_key(&idle_cloud().await);
    let file = cloud.credentials_file();
    for (what, _, request) in attacks(&client, &cloud) {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 403, "{what}, unsigned");
        assert_eq!(
            answer.headers()["x-sluice-credentials"],
            file.to_str().unwrap(),
            "it says where the key is"
        );
        let said = answer.text().await.unwrap();
        assert!(!said.contains(&key.id) && !said.contains(&key.secret), "{said}");
    }
    for (what, _, request) in attacks(&client, &cloud) {
        let claim = format!("AWS4-HMAC-SHA256 Credential={}/20261121/us-east-1/s3/aws4_request", key.id);
        assert_eq!(
            request.header("authorization", claim).send().await.unwrap().status(),
            403,
            "{what}, claimed"
        );
    }
    for wrong in [&guessed, &other] {
        for (what, service, request) in attacks(&client, &cloud) {
            assert_eq!(signed_by(wrong, service, request).await.status(), 403, "{what}, wrongly signed");
        }
    }
    let form = "--x\r\ncontent-disposition: form-data; name=\"key\"\r\n\r\nnormalized/x.json\r\n--x\r\n\
                content-disposition: form-data; name=\"file\"\r\n\r\n{}\r\n--x--\r\n";
    let form = client.post(format!("{}/sluice-normalized", cloud.aws_url())).body(form);
    let answer = form.header("content-type", "multipart/form-data; boundary=x").send().await.unwrap();
    assert_eq!(answer.status(), 403, "a form");
    assert_eq!(invoked.load(Ordering::Relaxed), 0);

    let list = client.get(format!("{}/sluice-normalized?list-type=2", cloud.aws_url()));
    let list = signed(&cloud, "s3", list).await.text().await.unwrap();
    assert!(list.contains("<KeyCount>0</KeyCount>"), "{list}");
    let items = client.post(cloud.aws_url()).header("x-amz-target", "DynamoDB_20120810.Scan");
    let items = items.body(json!({"TableName": "sluice-vendors"}).to_string());
    let items: Value =
        serde_json::from_str(&signed(&cloud, "dynamodb", items).await.text().await.unwrap()).unwrap();
    assert_eq!(items["Count"], 0, "{items}");
}

#[tokio::test]
async fn a_signature_covers_the_body_and_odd_keys() {
    let cloud = idle_cloud().await;
    let client = Client::new();
    let url = format!("{}/sluice-normalized/a%2Fb/c%20d(e)'f:g+h", cloud.aws_url());
    let put = signed(&cloud, "s3", client.put(&url).body("genuine")).await;
    assert_eq!(put.status(), 200);
    // As somebody would who has seen a signed request.
    let (client, mut changed) = sign_request(&access_key(&cloud), "s3", client.put(&url).body("genuine"));
    *changed.body_mut() = Some("forged".into());
    assert!(!client.execute(changed).await.unwrap().status().is_success());
    let vendors = client.post(cloud.aws_url()).header("x-amz-target", "DynamoDB_20120810.ListTables");
    let (_, mut changed) = sign_request(&access_key(&cloud), "dynamodb", vendors.body("{}"));
    *changed.body_mut() = Some("{\"Limit\": 1}".into());
    assert_eq!(client.execute(changed).await.unwrap().status(), 403);
    let get = signed(&cloud, "s3", client.get(&url)).await;
    assert_eq!(get.text().await.unwrap(), "genuine");
}

#[tokio::test]
async fn a_bucket_may_be_in_the_host() {
    let cloud = idle_cloud().await;
    let address = cloud.aws_url().trim_start_matches("http://").parse::<std::net::SocketAddr>().unwrap();
    let client = Client::builder().resolve("sluice-normalized.localhost", address).build().unwrap();
    let url = format!("http://sluice-normalized.localhost:{}/some/key", address.port());
    assert_eq!(signed(&cloud, "s3", client.put(&url).body("here")).await.status(), 200);
    let by_path = client.get(format!("{}/sluice-normalized/some/key", cloud.aws_url()));
    assert_eq!(signed(&cloud, "s3", by_path).await.text().await.unwrap(), "here");
}

#[tokio::test]
async fn functions_over_the_socket_have_a_key_that_does_not_sign_mappers() {
    use std::sync::Mutex;

    let config = Arc::new(Mutex::new(None));
    let kept = Arc::clone(&config);
    let make = move |setup: &sluice_local::FunctionSetup<'_>| {
        *kept.lock().unwrap() = Some(setup.sdk_config.clone());
        Ok(Scripted::idle() as Arc<dyn sluice_local::Functions>)
    };
    let loopback = Options { transport: Transport::Loopback, ..options() };
    let cloud = Cloud::start_with_functions(loopback, Box::new(make)).await.unwrap();
    let config = config.lock().unwrap().clone().unwrap();
    let tables = aws_sdk_dynamodb::Client::new(&config).list_tables().send().await.unwrap();
    assert!(tables.table_names().contains(&"sluice-ledger".to_owned()));
    let credentials = config.credentials_provider().unwrap();
    let theirs = aws_credential_types::provider::ProvideCredentials::provide_credentials(&credentials);
    let theirs = theirs.await.unwrap();
    let theirs = AccessKey { id: theirs.access_key_id().into(), secret: theirs.secret_access_key().into() };
    assert_ne!(theirs, access_key(&cloud));
    let sign =
        json!({"KeyId": "alias/sluice-mappers", "Message": "bQ==", "SigningAlgorithm": "ECDSA_SHA_256"});
    let sign = || {
        Client::new().post(cloud.aws_url()).header("x-amz-target", "TrentService.Sign").body(sign.to_string())
    };
    let answer = signed_by(&theirs, "kms", sign()).await;
    assert_eq!(answer.status(), 400);
    assert!(answer.text().await.unwrap().contains("AccessDeniedException"));
    assert_eq!(signed(&cloud, "kms", sign()).await.status(), 200);
}
