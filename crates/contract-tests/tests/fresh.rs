//! A fresh answer is read after it is asked for: it joins no cached load that is under way.

#![expect(clippy::unwrap_used, reason = "a panic is the test's failure")]

use std::sync::Arc;
use std::time::Duration;

use sluice_aws::vendors::{DynamoVendors, VendorEdit};
use sluice_core::Fault;
use sluice_core::port::{Freshness, VendorDirectory as _};
use sluice_local::{Cloud, Data, Options};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// Reads one request to the end of its body.
async fn read(stream: &mut TcpStream) {
    let mut request = Vec::new();
    let mut buffer = [0; 4_096];
    loop {
        let text = String::from_utf8_lossy(&request).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            if length.map_or(0, |length| length.trim().parse().unwrap()) <= body.len() {
                return;
            }
        }
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0, "the request has an end");
        request.extend_from_slice(&buffer[..count]);
    }
}

async fn answer(mut stream: TcpStream, enabled: bool) {
    let body = format!(
        r#"{{"Item":{{"vendorId":{{"S":"v"}},"record":{{"S":"profile"}},"enabled":{{"BOOL":{enabled}}},"apiKeySha256":{{"L":[]}}}}}}"#
    );
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fresh_read_does_not_join_a_cached_one() {
    // Only for its credentials: the table is the listener below.
    let options = Options { ingest_port: 0, aws_port: 0, data: Data::Ephemeral, ..Options::default() };
    let cloud = Cloud::start(options).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let sdk = cloud.loopback_sdk_config().into_builder().endpoint_url(url).build();
    let table = DynamoVendors::new(&sdk, "sluice-vendors");

    let (asked, let_go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (told, held) = (Arc::clone(&asked), Arc::clone(&let_go));
    let server = tokio::spawn(async move {
        // The first answer was read before the vendor was disabled, and is on its way for long.
        let (mut first, _) = listener.accept().await.unwrap();
        read(&mut first).await;
        told.notify_one();
        let (mut second, _) = listener.accept().await.unwrap();
        read(&mut second).await;
        answer(second, false).await;
        held.notified().await;
        answer(first, true).await;
    });
    let cached = tokio::spawn({
        let table = table.clone();
        async move { table.profile(&"v".parse().unwrap(), Freshness::Cached).await }
    });
    asked.notified().await;
    let mut seen = None;
    let vendor = "v".parse().unwrap();
    let fresh = table.edit_vendor(&vendor, |held| -> Result<Option<VendorEdit>, Fault> {
        seen = held.map(|profile| profile.enabled);
        Ok(None)
    });
    // Who joins the first load waits for ever: this bound is for the one that fails.
    tokio::time::timeout(Duration::from_secs(60), fresh)
        .await
        .expect("it waits for the cached load")
        .unwrap();
    assert_eq!(seen, Some(false));
    let_go.notify_one();
    assert!(cached.await.unwrap().unwrap().unwrap().enabled);
    server.await.unwrap();
    cloud.shutdown().await;
}
