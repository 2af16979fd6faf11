//! `apply` on the local cloud's DynamoDB, S3 and SQS, with AWS's SDK: what one transaction holds and what it does not.

#![expect(clippy::unwrap_used, reason = "a panic is the test's failure")]

mod common;

use std::collections::BTreeSet;

use aws_sdk_s3::primitives::ByteStream;
use common::idle_cloud;
use serde_json::{Value, json};
use sluice_aws::canonical::DynamoCanonical;
use sluice_aws::divergence::DynamoDivergence;
use sluice_core::digest::Sha256Hex;
use sluice_core::port::CanonicalStore as _;
use sluice_core::record::DivergenceRow;
use sluice_core::state::{DivergenceKind, Entity};
use sluice_local::Cloud;

const INGEST_ID: &str = "01KAJ3Y3R00000000000000001";

/// Stores a document of levels (sku, second, quantity) and gives its message. `made`: number of the document.
async fn message(cloud: &Cloud, made: u32, lines: &[(String, u32, u32)]) -> Value {
    let mut document = Vec::new();
    for (sku, second, quantity) in lines {
        let line = json!({
            "ingestId": INGEST_ID, "vendorId": "vendorA", "externalEventId": "e", "eventType": "InventoryUpdated",
            "schemaVersion": "1.0", "occurredAt": format!("2026-01-01T00:{:02}:{:02}Z", second / 60, second % 60),
            "data": {"warehouseId": "ROA", "sku": sku, "quantityOnHand": quantity},
            "rawRef": {"bucket": "sluice-raw", "key": "raw/k"},
        });
        document.extend(line.to_string().into_bytes());
        document.push(b'\n');
    }
    let sha256 = Sha256Hex::of(&document);
    let key = format!("normalized/InventoryUpdated/{INGEST_ID}.json");
    let s3 = aws_sdk_s3::Client::new(&cloud.loopback_sdk_config());
    s3.put_object()
        .bucket("sluice-normalized")
        .key(&key)
        .body(ByteStream::from(document))
        .send()
        .await
        .unwrap();
    let detail = json!({
        "vendorId": "vendorA", "externalEventId": "e", "ingestId": INGEST_ID, "eventType": "x", "schemaVersion": "1",
        "occurredAt": "2026-01-01T00:00:00Z", "receivedAt": "2026-01-01T00:00:00Z",
        "rawRef": {"bucket": "sluice-raw", "key": "raw/k"}, "rawSha256": "0".repeat(64),
        "normalized": {"ref": {"bucket": "sluice-normalized", "key": key}, "sha256": sha256, "events": lines.len(),
            "eventType": "InventoryUpdated", "schemaVersion": "1.0", "bundle": "0".repeat(64), "fuel": 1,
            "at": format!("2026-01-01T01:00:{made:02}.000Z")},
    });
    let body = json!({"detail-type": "event.normalized", "detail": detail}).to_string();
    json!({"messageId": "m", "body": body, "attributes": {"ApproximateReceiveCount": "1"},
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:sluice-inventory"})
}

async fn divergence(divergence: &DynamoDivergence) -> Vec<DivergenceKind> {
    let rows = divergence.list(None, None).await.unwrap();
    rows.into_iter()
        .map(|row| match row {
            DivergenceRow::State(row) => row.kind,
            DivergenceRow::Submission(row) => panic!("{row:?}"),
        })
        .collect()
}

#[tokio::test]
async fn a_large_document_and_then_another_mapping_of_it() {
    let cloud = idle_cloud().await;
    let environment = cloud.topology().environment(&cloud.aws_url());
    let sdk = cloud.loopback_sdk_config();
    let deps =
        sluice_apply::Deps::from_environment(&sdk, &|name: &str| environment.get(name).cloned()).unwrap();
    let canonical = DynamoCanonical::new(&sdk, "sluice-canonical-state", "sluice-divergence");
    let diverged = DynamoDivergence::new(&sdk, "sluice-divergence");
    let none = json!({"batchItemFailures": []});

    // 150 articles, and 130 levels of one, each older than the one before it: 129 are stale.
    let mut lines: Vec<(String, u32, u32)> =
        (0..150).map(|number| (format!("S{number}"), 1, number)).collect();
    lines.extend((0..130).map(|number| ("hot".to_owned(), 1_000 - number, number)));
    let large = message(&cloud, 1, &lines).await;
    let batch = |message: &Value| json!({"Records": [message]});
    assert_eq!(sluice_apply::handle(&deps, batch(&large)).await.unwrap(), none);
    let page = canonical.list("inventory#ROA#", 1_000).await.unwrap();
    assert_eq!((page.states.len(), page.more), (151, false));
    let hot = Entity::inventory("ROA", "hot");
    let history = canonical.history(&hot, None).await.unwrap();
    assert_eq!(history.len(), 130);
    assert!(history.is_sorted_by_key(|row| row.mark.source));
    let after = history[99].mark.source;
    assert_eq!(canonical.history(&hot, Some(after)).await.unwrap().len(), 30);
    assert_eq!(divergence(&diverged).await, vec![DivergenceKind::Stale; 129]);

    // Again: nothing is written.
    let before = page.states;
    assert_eq!(sluice_apply::handle(&deps, batch(&large)).await.unwrap(), none);
    assert_eq!(canonical.list("", 1_000).await.unwrap().states, before);

    // The mapper was wrong: it is one article, and in another place.
    let small = message(&cloud, 2, &[("hot".to_owned(), 5, 7), ("new".to_owned(), 5, 8)]).await;
    assert_eq!(sluice_apply::handle(&deps, batch(&small)).await.unwrap(), none);
    let states = canonical.list("", 1_000).await.unwrap().states;
    let alive: Vec<(&str, &str)> = states
        .iter()
        .filter(|state| state.contributions > 0)
        .map(|state| (state.entity.as_str(), state.view.fields["quantityOnHand"].value.as_str()))
        .collect();
    assert_eq!(alive, [("inventory#ROA#hot", "7"), ("inventory#ROA#new", "8")]);
    assert!(divergence(&diverged).await.is_empty());
    let effects = canonical.read(&[INGEST_ID.parse().unwrap()], &[]).await.unwrap().effects;
    assert!(effects[0].done);
    // The entities of both documents are listed, in rows of their own: 150 articles, "hot" and "new".
    let entities: BTreeSet<Entity> = canonical.entities(&effects[0]).await.unwrap().into_iter().collect();
    assert_eq!(entities.len(), 152);
    assert!(entities.contains(&hot) && entities.contains(&Entity::inventory("ROA", "new")));

    // What cannot succeed is where its queue's redrive policy sends dead letters, as it was.
    let arn = "arn:aws:sqs:us-east-1:000000000000:sluice-inventory";
    let broken = json!({"messageId": "m", "body": "{}", "eventSourceARN": arn});
    assert_eq!(sluice_apply::handle(&deps, batch(&broken)).await.unwrap(), none);
    let sqs = aws_sdk_sqs::Client::new(&sdk);
    let url = format!("{}/000000000000/sluice-inventory-dlq", cloud.aws_url());
    let received = sqs.receive_message().queue_url(&url).message_attribute_names("All").send().await.unwrap();
    let letter = &received.messages()[0];
    assert_eq!(letter.body(), Some("{}"));
    let cause = letter.message_attributes().unwrap()["cause"].string_value().unwrap();
    let cause: Value = serde_json::from_str(cause).unwrap();
    assert_eq!(cause["code"], "input_malformed");

    // Of a queue without one it stays where it is.
    let nowhere =
        json!({"messageId": "m", "body": "{}", "eventSourceARN": arn.replace("-inventory", "-dlq")});
    let again = json!({"batchItemFailures": [{"itemIdentifier": "m"}]});
    assert_eq!(sluice_apply::handle(&deps, batch(&nowhere)).await.unwrap(), again);
}
