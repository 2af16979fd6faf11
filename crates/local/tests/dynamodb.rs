//! DynamoDB as AWS's own SDK sees it: what the ledger relies on.

#![expect(clippy::unwrap_used, reason = "a panic is the test's failure")]

mod common;

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use common::idle_cloud;

fn item(event: &str, ingest_id: &str) -> HashMap<String, AttributeValue> {
    let text = |value: &str| AttributeValue::S(value.to_owned());
    HashMap::from([
        ("vendorId".to_owned(), text("vendorA")),
        ("externalEventId".to_owned(), text(event)),
        ("ingestId".to_owned(), text(ingest_id)),
        ("statusShard".to_owned(), text("RECEIVED#3")),
        ("receivedAt".to_owned(), text("2026-11-21T08:00:00Z")),
        ("rawBytes".to_owned(), AttributeValue::N("12345678901234567890.5".to_owned())),
    ])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_writers_that_race_for_a_key_one_wins_and_the_others_see_its_item() {
    let cloud = idle_cloud().await;
    for (config, event) in [(cloud.loopback_sdk_config(), "socket"), (cloud.sdk_config(), "in-process")] {
        let client = Client::new(&config);
        let puts = (0..64).map(|number| {
            let put = client.put_item().table_name("sluice-ledger");
            put.set_item(Some(item(event, &format!("ingest-{number}"))))
                .condition_expression("attribute_not_exists(vendorId)")
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
                .send()
        });
        let results = futures::future::join_all(puts).await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        let stored = client
            .get_item()
            .table_name("sluice-ledger")
            .key("vendorId", AttributeValue::S("vendorA".into()))
            .key("externalEventId", AttributeValue::S(event.into()))
            .consistent_read(true)
            .send()
            .await
            .unwrap()
            .item
            .unwrap();
        assert_eq!(
            stored["rawBytes"],
            AttributeValue::N("12345678901234567890.5".into()),
            "no digit is lost"
        );
        for error in results.into_iter().filter_map(Result::err) {
            let PutItemError::ConditionalCheckFailedException(failed) = error.into_service_error() else {
                panic!("another error")
            };
            assert_eq!(failed.item.unwrap(), stored);
        }
    }
}

#[tokio::test]
async fn indexes_follow_their_table() {
    let cloud = idle_cloud().await;
    let client = Client::new(&cloud.sdk_config());
    client.put_item().table_name("sluice-ledger").set_item(Some(item("e1", "i1"))).send().await.unwrap();
    let query = |index: &str, name: &str, value: &str| {
        let query =
            client.query().table_name("sluice-ledger").index_name(index).key_condition_expression("#k = :v");
        query
            .expression_attribute_names("#k", name)
            .expression_attribute_values(":v", AttributeValue::S(value.into()))
            .send()
    };
    assert_eq!(query("by-ingest-id", "ingestId", "i1").await.unwrap().count, 1);
    assert_eq!(query("by-status", "statusShard", "RECEIVED#3").await.unwrap().count, 1);
    client
        .update_item()
        .table_name("sluice-ledger")
        .key("vendorId", AttributeValue::S("vendorA".into()))
        .key("externalEventId", AttributeValue::S("e1".into()))
        .update_expression("SET statusShard = :to")
        .condition_expression("statusShard = :from")
        .expression_attribute_values(":to", AttributeValue::S("NORMALIZED#3".into()))
        .expression_attribute_values(":from", AttributeValue::S("RECEIVED#3".into()))
        .send()
        .await
        .unwrap();
    assert_eq!(query("by-status", "statusShard", "RECEIVED#3").await.unwrap().count, 0);
    assert_eq!(query("by-status", "statusShard", "NORMALIZED#3").await.unwrap().count, 1);
}

#[tokio::test]
async fn a_table_describes_itself_in_this_account_and_region() {
    let cloud = idle_cloud().await;
    let client = Client::new(&cloud.loopback_sdk_config());
    let table = client.describe_table().table_name("sluice-ledger").send().await.unwrap().table.unwrap();
    assert_eq!(table.table_arn(), Some("arn:aws:dynamodb:us-east-1:000000000000:table/sluice-ledger"));
    assert!(
        table
            .latest_stream_arn()
            .unwrap()
            .starts_with("arn:aws:dynamodb:us-east-1:000000000000:table/sluice-ledger/stream/")
    );
    let tagged = client.list_tags_of_resource().resource_arn(table.table_arn().unwrap()).send().await;
    assert!(tagged.is_ok(), "{tagged:?}");
    let tables = client.list_tables().send().await.unwrap();
    let mut declared: Vec<&str> = cloud.topology().tables.iter().map(|table| table.name.as_str()).collect();
    declared.sort_unstable();
    assert_eq!(tables.table_names(), declared);
    let missing = client.describe_table().table_name("nope").send().await.unwrap_err();
    assert!(missing.into_service_error().is_resource_not_found_exception());
}
