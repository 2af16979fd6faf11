//! The bus, the stream and the state machines together: what is acknowledged is delivered.

#![expect(clippy::unwrap_used, reason = "a panic is the test's failure")]

mod common;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use common::{Scripted, failure, options, options_in, start};
use serde_json::{Value, json};
use sluice_local::{Cloud, FunctionError};

type Calls = Arc<Mutex<Vec<(String, Value)>>>;

fn recording(calls: &Calls) -> Arc<Scripted> {
    let calls = Arc::clone(calls);
    Scripted::new(move |name, payload| {
        calls.lock().unwrap().push((name, payload));
        async { Ok(json!({})) }
    })
}

fn of(calls: &Calls, function: &str) -> Vec<Value> {
    calls
        .lock()
        .unwrap()
        .iter()
        .filter(|(name, _)| name == function)
        .map(|(_, payload)| payload.clone())
        .collect()
}

fn entry(
    detail_type: &str,
    detail: &str,
) -> aws_sdk_eventbridge::types::builders::PutEventsRequestEntryBuilder {
    PutEventsRequestEntry::builder()
        .event_bus_name("sluice")
        .source("sluice")
        .detail_type(detail_type)
        .detail(detail)
}

#[tokio::test]
async fn a_matching_event_goes_to_its_queue_and_through_its_pipe_and_each_entry_has_its_own_result() {
    let calls = Calls::default();
    let cloud = start(options(), recording(&calls)).await;
    let client = Client::new(&cloud.loopback_sdk_config());
    let put = client
        .put_events()
        .entries(
            entry("ingest.accepted", "{\"ingestId\": \"01A\", \"amount\": 12345678901234567890}").build(),
        )
        .entries(entry("event.normalized", "{\"ingestId\": \"01B\"}").build())
        .entries(entry("ingest.accepted", "not json").build())
        .entries(entry("ingest.accepted", "[1]").build())
        .entries(PutEventsRequestEntry::builder().source("sluice").detail_type("x").build())
        .entries(entry("ingest.accepted", "{}").event_bus_name("nope").build())
        .entries(entry("ingest.accepted", "{}").event_bus_name("default").build())
        .entries(entry("ingest.accepted", "{}").source("aws.s3").build())
        .send()
        .await
        .unwrap();
    assert_eq!(put.failed_entry_count(), 5);
    let codes: Vec<_> = put.entries().iter().map(|it| it.error_code().unwrap_or("-")).collect();
    assert_eq!(
        codes,
        [
            "-",
            "-",
            "MalformedDetail",
            "MalformedDetail",
            "InvalidArgument",
            "InvalidArgument",
            "-",
            "NotAuthorizedForSourceException"
        ]
    );
    assert!(put.entries()[0].event_id().is_some());
    cloud.wait_idle().await;
    let normalized = of(&calls, "sluice-normalize");
    assert_eq!(normalized.len(), 1);
    assert_eq!(normalized[0]["ingestId"], "01A", "the input path is $.detail");

    let none = client.put_events().set_entries(Some(vec![])).send().await.unwrap_err();
    assert_eq!(aws_sdk_eventbridge::error::ProvideErrorMetadata::code(&none), Some("ValidationException"));
    let eleven = vec![entry("x", "{}").build(); 11];
    assert!(client.put_events().set_entries(Some(eleven)).send().await.is_err());
    let large = format!("{{\"x\": \"{}\"}}", "x".repeat(1_048_576));
    assert!(client.put_events().entries(entry("x", &large).build()).send().await.is_err());
}

#[tokio::test]
async fn the_rules_of_the_topology_can_be_read() {
    let cloud = common::idle_cloud().await;
    let client = Client::new(&cloud.sdk_config());
    let buses = client.list_event_buses().send().await.unwrap();
    assert_eq!(
        buses.event_buses().iter().map(|it| it.name().unwrap()).collect::<Vec<_>>(),
        ["default", "sluice"]
    );
    let rules = client.list_rules().event_bus_name("sluice").send().await.unwrap();
    assert_eq!(rules.rules()[0].name(), Some("normalize-accepted"));
    let rule =
        client.describe_rule().event_bus_name("sluice").name("normalize-accepted").send().await.unwrap();
    assert!(rule.event_pattern().unwrap().contains("ingest.accepted"));
    let targets = client
        .list_targets_by_rule()
        .event_bus_name("sluice")
        .rule("normalize-accepted")
        .send()
        .await
        .unwrap();
    assert_eq!(targets.targets()[0].arn(), "arn:aws:sqs:us-east-1:000000000000:sluice-normalize");
    assert_eq!(targets.targets()[0].input_path(), Some("$.detail"));
    let missing = client.describe_rule().event_bus_name("sluice").name("nope").send().await.unwrap_err();
    assert!(missing.into_service_error().is_resource_not_found_exception());
}

async fn put_row(cloud: &Cloud, id: &str) {
    let client = aws_sdk_dynamodb::Client::new(&cloud.sdk_config());
    let text = |value: &str| AttributeValue::S(value.to_owned());
    let item = HashMap::from([
        ("vendorId".to_owned(), text("v")),
        ("externalEventId".to_owned(), text(id)),
        ("ingestId".to_owned(), text(id)),
    ]);
    client.put_item().table_name("sluice-ledger").set_item(Some(item)).send().await.unwrap();
}

fn ids(batch: &Value) -> Vec<String> {
    let records = batch["Records"].as_array().unwrap();
    records
        .iter()
        .map(|it| it["dynamodb"]["Keys"]["externalEventId"]["S"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn the_relay_gets_each_record_in_order_in_the_shape_of_lambda() {
    let calls = Calls::default();
    let cloud = start(options(), recording(&calls)).await;
    for number in 0..250 {
        put_row(&cloud, &format!("e{number:03}")).await;
    }
    let client = aws_sdk_dynamodb::Client::new(&cloud.sdk_config());
    let key = |name: &str, value: &str| (name.to_owned(), AttributeValue::S(value.to_owned()));
    let keys = HashMap::from([key("vendorId", "v"), key("externalEventId", "e000")]);
    client
        .update_item()
        .table_name("sluice-ledger")
        .set_key(Some(keys.clone()))
        .update_expression("SET #s = :s")
        .expression_attribute_names("#s", "status")
        .expression_attribute_values(":s", AttributeValue::S("NORMALIZED".into()))
        .send()
        .await
        .unwrap();
    client.delete_item().table_name("sluice-ledger").set_key(Some(keys)).send().await.unwrap();
    cloud.wait_idle().await;
    let batches = of(&calls, "sluice-relay");
    assert!(batches.iter().all(|batch| batch["Records"].as_array().unwrap().len() <= 100));
    let seen: Vec<String> = batches.iter().flat_map(ids).collect();
    let mut expected: Vec<String> = (0..250).map(|number| format!("e{number:03}")).collect();
    expected.extend(["e000".to_owned(), "e000".to_owned()]);
    assert_eq!(seen, expected);
    let records: Vec<Value> =
        batches.iter().flat_map(|batch| batch["Records"].as_array().unwrap().clone()).collect();
    assert_eq!(records[0]["eventName"], "INSERT");
    assert_eq!(records[0]["eventSource"], "aws:dynamodb");
    assert_eq!(records[0]["eventVersion"], "1.1");
    assert_eq!(records[0]["awsRegion"], "us-east-1");
    assert_eq!(records[0]["dynamodb"]["StreamViewType"], "NEW_AND_OLD_IMAGES");
    assert_eq!(records[0]["dynamodb"]["NewImage"]["ingestId"]["S"], "e000");
    assert!(records[0]["dynamodb"].get("OldImage").is_none());
    assert_eq!(records[250]["eventName"], "MODIFY");
    assert_eq!(records[250]["dynamodb"]["NewImage"]["status"]["S"], "NORMALIZED");
    assert!(records[250]["dynamodb"]["OldImage"].get("status").is_none());
    assert_eq!(records[251]["eventName"], "REMOVE");
    assert!(records[251]["dynamodb"].get("NewImage").is_none());
    let numbers: Vec<&str> =
        records.iter().map(|it| it["dynamodb"]["SequenceNumber"].as_str().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]));
}

#[tokio::test]
async fn a_partial_failure_is_retried_from_the_lowest_failed_record() {
    let calls = Calls::default();
    let recorded = Arc::clone(&calls);
    // Fails the third record once, and the whole batch that begins with it once more.
    let functions = Scripted::new(move |name, payload| {
        let mut calls = recorded.lock().unwrap();
        let attempt = calls
            .iter()
            .filter(|(_, batch): &&(String, Value)| ids(batch).contains(&"e2".to_owned()))
            .count();
        let third = ids(&payload).iter().position(|id| id == "e2");
        let answer: Result<Value, FunctionError> = match (attempt, third) {
            (0, Some(at)) => {
                let id = payload["Records"][at]["dynamodb"]["SequenceNumber"].clone();
                Ok(json!({"batchItemFailures": [{"itemIdentifier": id}]}))
            }
            (1, Some(_)) => Err(failure("Retryable", "again")),
            _ => Ok(json!({"batchItemFailures": []})),
        };
        calls.push((name, payload));
        async { answer }
    });
    let cloud = start(options(), functions).await;
    for number in 0..5 {
        put_row(&cloud, &format!("e{number}")).await;
    }
    cloud.wait_idle().await;
    let batches: Vec<Vec<String>> = calls.lock().unwrap().iter().map(|(_, payload)| ids(payload)).collect();
    let handed: Vec<&String> = batches.iter().flatten().filter(|id| id.as_str() == "e2").collect();
    assert_eq!(handed.len(), 3, "{batches:?}");
    for before in ["e0", "e1"] {
        assert_eq!(batches.iter().flatten().filter(|id| id.as_str() == before).count(), 1, "{batches:?}");
    }
    let mut last = batches.iter().flatten().cloned().collect::<Vec<_>>();
    last.sort();
    last.dedup();
    assert_eq!(last, ["e0", "e1", "e2", "e3", "e4"]);
    let retried = batches.iter().filter(|batch| batch.contains(&"e2".to_owned())).skip(1);
    assert!(retried.into_iter().all(|batch| batch[0] == "e2"), "from the failed record on: {batches:?}");
}

#[tokio::test]
async fn what_was_not_relayed_before_a_crash_is_relayed_after_it_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let calls = Calls::default();
    let failing = Scripted::new(|_, _| async { Err(failure("Retryable", "down")) });
    let cloud = start(options_in(folder.path()), failing).await;
    for number in 0..3 {
        put_row(&cloud, &format!("e{number}")).await;
    }
    let s3 = aws_sdk_s3::Client::new(&cloud.sdk_config());
    let body = aws_sdk_s3::primitives::ByteStream::from_static(b"raw");
    s3.put_object().bucket("sluice-raw").key("raw/k").if_none_match("*").body(body).send().await.unwrap();
    let sqs = aws_sdk_sqs::Client::new(&cloud.sdk_config());
    let url = format!("{}/000000000000/sluice-dlq", cloud.aws_url());
    sqs.send_message().queue_url(&url).message_body("kept").send().await.unwrap();
    drop(cloud);

    let cloud = start(options_in(folder.path()), recording(&calls)).await;
    cloud.wait_idle().await;
    assert_eq!(of(&calls, "sluice-relay").iter().flat_map(ids).collect::<Vec<_>>(), ["e0", "e1", "e2"]);
    let s3 = aws_sdk_s3::Client::new(&cloud.sdk_config());
    let object = s3.get_object().bucket("sluice-raw").key("raw/k").send().await.unwrap();
    assert_eq!(object.body.collect().await.unwrap().to_vec(), b"raw");
    let sqs = aws_sdk_sqs::Client::new(&cloud.sdk_config());
    let url = format!("{}/000000000000/sluice-dlq", cloud.aws_url());
    let received = sqs.receive_message().queue_url(&url).send().await.unwrap();
    assert_eq!(received.messages()[0].body(), Some("kept"));
    cloud.shutdown().await;

    let cloud = start(options_in(folder.path()), recording(&calls)).await;
    put_row(&cloud, "e3").await;
    cloud.wait_idle().await;
    let again: Vec<String> = of(&calls, "sluice-relay").iter().flat_map(ids).collect();
    assert_eq!(again, ["e0", "e1", "e2", "e3"], "the checkpoint is kept");
}
