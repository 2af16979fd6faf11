//! Routes: a normalized event reaches its queue, and the queue its function, as Lambda's event source mappings do it.

#![expect(clippy::unwrap_used, reason = "a panic is the test's failure")]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use aws_sdk_sqs::types::QueueAttributeName;
use common::{Scripted, failure, options, options_in, start};
use serde_json::{Value, json};
use sluice_local::{Cloud, Definitions, Options};

async fn put(cloud: &Cloud, event_type: &str, vendor: &str, ids: &[String]) {
    let client = aws_sdk_eventbridge::Client::new(&cloud.sdk_config());
    for ids in ids.chunks(10) {
        let entries = ids.iter().map(|id| {
            let detail = json!({"ingestId": id, "vendorId": vendor, "normalized": {"eventType": event_type}});
            PutEventsRequestEntry::builder()
                .event_bus_name("sluice")
                .source("sluice")
                .detail_type("event.normalized")
                .detail(detail.to_string())
                .build()
        });
        let put = client.put_events().set_entries(Some(entries.collect())).send().await.unwrap();
        assert_eq!(put.failed_entry_count(), 0);
    }
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}{number}")).collect()
}

fn records(payload: &Value) -> &Vec<Value> {
    payload["Records"].as_array().unwrap()
}

fn id(record: &Value) -> String {
    let body: Value = serde_json::from_str(record["body"].as_str().unwrap()).unwrap();
    body["detail"]["ingestId"].as_str().unwrap().to_owned()
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..400 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("not within ten seconds: {what}");
}

#[tokio::test]
async fn a_message_has_the_shape_that_lambda_gives_it() {
    let calls: Arc<Mutex<Vec<Value>>> = Arc::default();
    let seen = Arc::clone(&calls);
    let functions = Scripted::new(move |name, payload| {
        if name == "sluice-apply" {
            seen.lock().unwrap().push(payload);
        }
        async { Ok(json!({"batchItemFailures": []})) }
    });
    let cloud = start(options(), functions).await;
    put(&cloud, "InventoryUpdated", "vendorA", &names("i", 1)).await;
    put(&cloud, "OrderPlaced", "vendorA", &names("o", 1)).await;
    cloud.wait_idle().await;
    let calls = calls.lock().unwrap();
    let mut arns: Vec<&str> =
        calls.iter().flat_map(records).map(|record| record["eventSourceARN"].as_str().unwrap()).collect();
    arns.sort_unstable();
    assert_eq!(
        arns,
        [
            "arn:aws:sqs:us-east-1:000000000000:sluice-inventory",
            "arn:aws:sqs:us-east-1:000000000000:sluice-orders"
        ]
    );
    let record = &records(&calls[0])[0];
    assert_eq!((&record["eventSource"], &record["awsRegion"]), (&json!("aws:sqs"), &json!("us-east-1")));
    assert_eq!(record["attributes"]["ApproximateReceiveCount"], "1");
    assert_eq!(record["messageAttributes"], json!({}));
    for member in ["messageId", "receiptHandle", "md5OfBody"] {
        assert!(!record[member].as_str().unwrap().is_empty(), "{member}");
    }
    let body: Value = serde_json::from_str(record["body"].as_str().unwrap()).unwrap();
    assert_eq!((&body["detail-type"], &body["source"]), (&json!("event.normalized"), &json!("sluice")));
}

#[tokio::test]
async fn under_load_the_queue_of_a_higher_priority_is_drained_first() {
    let order: Arc<Mutex<Vec<String>>> = Arc::default();
    let open = Arc::new(AtomicBool::new(false));
    let (seen, gate) = (Arc::clone(&order), Arc::clone(&open));
    let functions = Scripted::new(move |name, payload| {
        let (seen, gate) = (Arc::clone(&seen), Arc::clone(&gate));
        async move {
            if name == "sluice-apply" {
                while !gate.load(Ordering::Relaxed) {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                seen.lock().unwrap().extend(records(&payload).iter().map(id));
            }
            Ok(json!({}))
        }
    });
    let cloud = start(options(), functions).await;
    // The first batches take every slot before the gate opens.
    put(&cloud, "OrderPlaced", "vendorA", &names("low", 200)).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    put(&cloud, "OrderCancelled", "vendorA", &names("high", 60)).await;
    open.store(true, Ordering::Relaxed);
    cloud.wait_idle().await;
    let order = order.lock().unwrap();
    assert_eq!(order.len(), 260);
    let last_high = order.iter().rposition(|id| id.starts_with("high")).unwrap();
    let low_before = order[..last_high].iter().filter(|id| id.starts_with("low")).count();
    // Those four batches, and as many as may end between two of the others.
    assert!(low_before <= 80, "{low_before} of the lower priority came before the last of the higher one");
}

#[tokio::test]
async fn a_reported_message_comes_again_and_then_goes_to_the_dead_letter_queue() {
    let seen: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let calls = Arc::clone(&seen);
    let functions = Scripted::new(move |name, payload| {
        let calls = Arc::clone(&calls);
        async move {
            if name != "sluice-apply" {
                return Ok(json!({}));
            }
            let mut calls = calls.lock().unwrap();
            let mut failures = Vec::new();
            for record in records(&payload) {
                let receives = record["attributes"]["ApproximateReceiveCount"].as_str().unwrap();
                calls.push((id(record), receives.to_owned()));
                if id(record) == "bad1" {
                    failures.push(json!({"itemIdentifier": record["messageId"]}));
                }
                if id(record) == "worse0" {
                    return Err(failure("Retryable", "the whole batch"));
                }
            }
            Ok(json!({"batchItemFailures": failures}))
        }
    });
    let mut topology: Value =
        serde_json::from_str(include_str!("../../../state-machines/topology.json")).unwrap();
    for queue in topology["queues"].as_array_mut().unwrap() {
        if queue["id"] == "Inventory" || queue["id"] == "Orders" {
            queue["redrive"]["maxReceiveCount"] = 2.into();
        }
    }
    let definitions = Definitions::with_topology(topology.to_string());
    let cloud = start(Options { definitions, ..options() }, functions).await;
    let sqs = aws_sdk_sqs::Client::new(&cloud.sdk_config());
    let url = |name: &str| format!("{}/000000000000/{name}", cloud.aws_url());
    for name in ["sluice-inventory", "sluice-orders"] {
        let set = sqs.set_queue_attributes().queue_url(url(name));
        set.attributes(QueueAttributeName::VisibilityTimeout, "1").send().await.unwrap();
    }
    put(&cloud, "InventoryUpdated", "vendorA", &["good0".into(), "bad1".into(), "good2".into()]).await;
    put(&cloud, "OrderPlaced", "vendorA", &["worse0".into()]).await;
    let waiting = async |name: &str| {
        let attributes = sqs
            .get_queue_attributes()
            .queue_url(url(name))
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessages);
        let attributes = attributes.send().await.unwrap().attributes.unwrap();
        attributes[&QueueAttributeName::ApproximateNumberOfMessages].clone()
    };
    for name in ["sluice-inventory-dlq", "sluice-orders-dlq"] {
        eventually("a dead letter", async || waiting(name).await == "1").await;
    }
    cloud.wait_idle().await;
    let mut seen = seen.lock().unwrap().clone();
    seen.sort();
    let seen: Vec<(&str, &str)> = seen.iter().map(|(id, count)| (id.as_str(), count.as_str())).collect();
    assert_eq!(
        seen,
        [("bad1", "1"), ("bad1", "2"), ("good0", "1"), ("good2", "1"), ("worse0", "1"), ("worse0", "2")]
    );
}

#[tokio::test]
async fn what_was_in_flight_when_the_process_ended_is_delivered_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let taken = Arc::new(AtomicBool::new(false));
    let mark = Arc::clone(&taken);
    let hanging = Scripted::new(move |name, _| {
        if name == "sluice-apply" {
            mark.store(true, Ordering::Relaxed);
        }
        std::future::pending()
    });
    let cloud = start(options_in(folder.path()), hanging).await;
    put(&cloud, "InventoryUpdated", "vendorA", &names("i", 3)).await;
    eventually("the function has the messages", async || taken.load(Ordering::Relaxed)).await;
    drop(cloud);

    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let calls = Arc::clone(&seen);
    let functions = Scripted::new(move |name, payload| {
        if name == "sluice-apply" {
            calls.lock().unwrap().extend(records(&payload).iter().map(id));
        }
        async { Ok(json!({})) }
    });
    let cloud = start(options_in(folder.path()), functions).await;
    // Not after the visibility timeout of two minutes.
    eventually("all three", async || seen.lock().unwrap().len() == 3).await;
    cloud.wait_idle().await;
}

#[tokio::test]
async fn a_vendor_with_a_route_of_its_own_takes_only_that_one() {
    let seen: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let calls = Arc::clone(&seen);
    let functions = Scripted::new(move |name, payload| {
        if name == "sluice-apply" {
            let queue = |record: &Value| {
                record["eventSourceARN"].as_str().unwrap().rsplit(':').next().unwrap().to_owned()
            };
            calls.lock().unwrap().extend(records(&payload).iter().map(|record| (id(record), queue(record))));
        }
        async { Ok(json!({})) }
    });
    let mut topology: Value =
        serde_json::from_str(include_str!("../../../state-machines/topology.json")).unwrap();
    let routes = topology["routes"].as_array_mut().unwrap();
    let mut own = routes.iter().find(|route| route["queue"] == "OrdersPriority").unwrap().clone();
    (own["id"], own["eventType"], own["sources"]) = (json!("Big"), json!("OrderPlaced"), json!(["big"]));
    routes.push(own);
    let definitions = Definitions::with_topology(topology.to_string());
    let cloud = start(Options { definitions, ..options() }, functions).await;
    put(&cloud, "OrderPlaced", "big", &["b".into()]).await;
    put(&cloud, "OrderPlaced", "small", &["s".into()]).await;
    cloud.wait_idle().await;
    let mut seen = seen.lock().unwrap().clone();
    seen.sort();
    let expected = [("b", "sluice-orders-priority"), ("s", "sluice-orders")];
    assert_eq!(seen, expected.map(|(id, queue)| (id.to_owned(), queue.to_owned())));
}

#[tokio::test]
async fn a_batching_window_waits_for_a_full_batch_and_no_longer() {
    let sizes: Arc<Mutex<Vec<usize>>> = Arc::default();
    let calls = Arc::clone(&sizes);
    let functions = Scripted::new(move |name, payload| {
        if name == "sluice-apply" {
            calls.lock().unwrap().push(records(&payload).len());
        }
        async { Ok(json!({})) }
    });
    let mut topology: Value =
        serde_json::from_str(include_str!("../../../state-machines/topology.json")).unwrap();
    let route = &mut topology["routes"][0];
    (route["batchSize"], route["maximumBatchingWindowSeconds"]) = (json!(8), json!(2));
    topology["queues"][1]["visibilityTimeoutSeconds"] = 200.into();
    let definitions = Definitions::with_topology(topology.to_string());
    let cloud = start(Options { definitions, ..options() }, functions).await;
    for part in ["a", "b", "c"] {
        put(&cloud, "InventoryUpdated", "vendorA", &names(part, 4)).await;
    }
    cloud.wait_idle().await;
    assert_eq!(*sizes.lock().unwrap(), [8, 4], "full at once, the rest when the window ends");
}
