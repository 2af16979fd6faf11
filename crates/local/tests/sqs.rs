//! SQS as AWS's own SDK sees it. The SDK verifies the MD5 of what it receives.

#![expect(clippy::unwrap_used, reason = "a panic is the test's failure")]

mod common;

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName,
    SendMessageBatchRequestEntry,
};
use common::idle_cloud;

async fn receive(client: &Client, url: &str) -> Vec<aws_sdk_sqs::types::Message> {
    let received = client.receive_message().queue_url(url).max_number_of_messages(10);
    let received = received
        .message_system_attribute_names(MessageSystemAttributeName::All)
        .message_attribute_names("All");
    received.send().await.unwrap().messages.unwrap_or_default()
}

async fn attribute(client: &Client, url: &str, name: QueueAttributeName) -> String {
    let attributes = client.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::All);
    attributes.send().await.unwrap().attributes.unwrap()[&name].clone()
}

#[tokio::test]
async fn a_message_is_hidden_counted_and_deleted() {
    let cloud = idle_cloud().await;
    let client = Client::new(&cloud.loopback_sdk_config());
    let url = client.get_queue_url().queue_name("sluice-dlq").send().await.unwrap().queue_url.unwrap();
    assert_eq!(url, format!("{}/000000000000/sluice-dlq", cloud.aws_url()));
    assert_eq!(attribute(&client, &url, QueueAttributeName::VisibilityTimeout).await, "60");
    assert_eq!(attribute(&client, &url, QueueAttributeName::MessageRetentionPeriod).await, "1209600");

    let text = |value: &str| {
        MessageAttributeValue::builder().data_type("String").string_value(value).build().unwrap()
    };
    let binary =
        MessageAttributeValue::builder().data_type("Binary.png").binary_value(Blob::new([0, 255, 7])).build();
    let number = MessageAttributeValue::builder().data_type("Number").string_value("-1.5").build().unwrap();
    client
        .send_message()
        .queue_url(&url)
        .message_body("{\"ingestId\": \"01J\", \"name\": \"Ærø\"}")
        .message_attributes("vendor", text("vendorA"))
        .message_attributes("picture", binary.unwrap())
        .message_attributes("amount", number)
        .send()
        .await
        .unwrap();
    assert_eq!(attribute(&client, &url, QueueAttributeName::ApproximateNumberOfMessages).await, "1");
    let received = receive(&client, &url).await;
    assert_eq!(received[0].body(), Some("{\"ingestId\": \"01J\", \"name\": \"Ærø\"}"));
    assert_eq!(received[0].attributes().unwrap()[&MessageSystemAttributeName::ApproximateReceiveCount], "1");
    assert!(received[0].attributes().unwrap().contains_key(&MessageSystemAttributeName::SentTimestamp));
    assert_eq!(
        received[0].message_attributes().unwrap()["picture"].binary_value(),
        Some(&Blob::new([0, 255, 7]))
    );
    assert!(receive(&client, &url).await.is_empty(), "in flight");
    assert_eq!(
        attribute(&client, &url, QueueAttributeName::ApproximateNumberOfMessagesNotVisible).await,
        "1"
    );

    let handle = received[0].receipt_handle().unwrap();
    client
        .change_message_visibility()
        .queue_url(&url)
        .receipt_handle(handle)
        .visibility_timeout(0)
        .send()
        .await
        .unwrap();
    let again = receive(&client, &url).await;
    assert_eq!(again[0].attributes().unwrap()[&MessageSystemAttributeName::ApproximateReceiveCount], "2");
    client.delete_message().queue_url(&url).receipt_handle(handle).send().await.unwrap();
    assert_eq!(
        attribute(&client, &url, QueueAttributeName::ApproximateNumberOfMessagesNotVisible).await,
        "1",
        "old receipt"
    );
    let handle = again[0].receipt_handle().unwrap();
    client.delete_message().queue_url(&url).receipt_handle(handle).send().await.unwrap();
    assert_eq!(
        attribute(&client, &url, QueueAttributeName::ApproximateNumberOfMessagesNotVisible).await,
        "0"
    );
    let error = client
        .change_message_visibility()
        .queue_url(&url)
        .receipt_handle(handle)
        .visibility_timeout(5)
        .send();
    assert!(error.await.unwrap_err().into_service_error().is_message_not_inflight());
    let error = client.delete_message().queue_url(&url).receipt_handle("nonsense").send().await.unwrap_err();
    assert!(error.into_service_error().is_receipt_handle_is_invalid());
}

#[tokio::test]
async fn a_message_that_is_received_too_often_reaches_the_dead_letter_queue() {
    let cloud = idle_cloud().await;
    let client = Client::new(&cloud.sdk_config());
    let policy = |arn: &str| format!("{{\"deadLetterTargetArn\": \"{arn}\", \"maxReceiveCount\": \"2\"}}");
    let create = |arn: &str| {
        let create =
            client.create_queue().queue_name("orders").attributes(QueueAttributeName::VisibilityTimeout, "0");
        create.attributes(QueueAttributeName::RedrivePolicy, policy(arn)).send()
    };
    let error = create("arn:aws:sqs:us-east-1:000000000000:absent").await.unwrap_err();
    assert_eq!(error.code(), Some("InvalidParameterValue"));
    let url = create("arn:aws:sqs:us-east-1:000000000000:sluice-dlq").await.unwrap().queue_url.unwrap();
    client.send_message().queue_url(&url).message_body("poison").send().await.unwrap();
    let mut receives = 0;
    loop {
        let received = client.receive_message().queue_url(&url).wait_time_seconds(1).send().await.unwrap();
        if received.messages().is_empty() {
            break;
        }
        receives += 1;
    }
    assert_eq!(receives, 2);
    let dead_letters =
        client.get_queue_url().queue_name("sluice-dlq").send().await.unwrap().queue_url.unwrap();
    let received = receive(&client, &dead_letters).await;
    assert_eq!(received[0].body(), Some("poison"));
    let source = &received[0].attributes().unwrap()[&MessageSystemAttributeName::DeadLetterQueueSourceArn];
    assert_eq!(source, "arn:aws:sqs:us-east-1:000000000000:orders");
    let sources = client.list_dead_letter_source_queues().queue_url(&dead_letters).send().await.unwrap();
    assert!(sources.queue_urls().contains(&url), "{sources:?}");
}

#[tokio::test]
async fn a_receiver_that_waits_is_woken_by_a_message_and_by_a_visibility_timeout() {
    let cloud = idle_cloud().await;
    let client = Client::new(&cloud.loopback_sdk_config());
    let url = client.create_queue().queue_name("q").send().await.unwrap().queue_url.unwrap();
    let waiting = tokio::spawn(
        client.receive_message().queue_url(&url).wait_time_seconds(20).visibility_timeout(1).send(),
    );
    tokio::time::sleep(Duration::from_millis(100)).await;
    client.send_message().queue_url(&url).message_body("hello").send().await.unwrap();
    let first = waiting.await.unwrap().unwrap();
    assert_eq!(first.messages()[0].body(), Some("hello"));
    let second = client.receive_message().queue_url(&url).wait_time_seconds(20).send().await.unwrap();
    assert_eq!(
        second.messages()[0].body(),
        Some("hello"),
        "visible again after a second, and nobody sent anything"
    );
}

#[tokio::test]
async fn batches_answer_for_each_entry_and_limits_have_their_names() {
    let cloud = idle_cloud().await;
    let client = Client::new(&cloud.sdk_config());
    let url =
        client.create_queue().queue_name("q").attributes(QueueAttributeName::MaximumMessageSize, "1024");
    let url = url.send().await.unwrap().queue_url.unwrap();
    let entry = |id: &str, body: &str| {
        SendMessageBatchRequestEntry::builder().id(id).message_body(body).build().unwrap()
    };
    let sent = client.send_message_batch().queue_url(&url).entries(entry("a", "one"));
    let sent =
        sent.entries(entry("b", &"x".repeat(1_025))).entries(entry("c", "bad \u{1}")).send().await.unwrap();
    assert_eq!(sent.successful().iter().map(|it| it.id()).collect::<Vec<_>>(), ["a"]);
    let failed: Vec<_> = sent.failed().iter().map(|it| (it.id(), it.code())).collect();
    assert_eq!(failed, [("b", "InvalidParameterValue"), ("c", "InvalidMessageContents")]);

    let received = receive(&client, &url).await;
    let delete = |id: &str, handle: &str| {
        DeleteMessageBatchRequestEntry::builder().id(id).receipt_handle(handle).build().unwrap()
    };
    let deleted = client
        .delete_message_batch()
        .queue_url(&url)
        .entries(delete("a", received[0].receipt_handle().unwrap()));
    let deleted = deleted.entries(delete("b", "nonsense")).send().await.unwrap();
    assert_eq!((deleted.successful().len(), deleted.failed()[0].code()), (1, "ReceiptHandleIsInvalid"));

    let none =
        client.send_message_batch().queue_url(&url).set_entries(Some(vec![])).send().await.unwrap_err();
    assert!(none.into_service_error().is_empty_batch_request());
    let eleven = (0..11).map(|id| entry(&id.to_string(), "x")).collect();
    let many =
        client.send_message_batch().queue_url(&url).set_entries(Some(eleven)).send().await.unwrap_err();
    assert!(many.into_service_error().is_too_many_entries_in_batch_request());
    let twice = client
        .send_message_batch()
        .queue_url(&url)
        .entries(entry("a", "1"))
        .entries(entry("a", "2"))
        .send()
        .await;
    assert!(twice.unwrap_err().into_service_error().is_batch_entry_ids_not_distinct());
    let missing =
        client.send_message().queue_url("http://x/000000000000/none").message_body("x").send().await;
    assert!(missing.unwrap_err().into_service_error().is_queue_does_not_exist());
    let differs =
        client.create_queue().queue_name("q").attributes(QueueAttributeName::DelaySeconds, "9").send().await;
    assert!(differs.unwrap_err().into_service_error().is_queue_name_exists());
    let fifo = client
        .create_queue()
        .queue_name("q.fifo")
        .attributes(QueueAttributeName::FifoQueue, "true")
        .send()
        .await;
    assert_eq!(fifo.unwrap_err().code(), Some("AWS.SimpleQueueService.UnsupportedOperation"));
    let eleven =
        client.receive_message().queue_url(&url).max_number_of_messages(11).send().await.unwrap_err();
    assert_eq!(eleven.code(), Some("InvalidParameterValue"));
    client.send_message().queue_url(&url).message_body("x").send().await.unwrap();
    client.purge_queue().queue_url(&url).send().await.unwrap();
    assert!(receive(&client, &url).await.is_empty());
    client.delete_queue().queue_url(&url).send().await.unwrap();
    assert!(!client.list_queues().send().await.unwrap().queue_urls().contains(&url));
}
