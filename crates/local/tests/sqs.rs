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
use common::{Scripted, idle_cloud, options_in, start};

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

const DEAD: &str = "arn:aws:sqs:us-east-1:000000000000:dead";

/// `work`, whose messages die at their second receive, and `dead`, with this many messages that died and that were sent there.
async fn dead_letters(client: &Client, died: usize, sent: usize) -> (String, String) {
    let create = |name: &str| client.create_queue().queue_name(name);
    let dead = create("dead").send().await.unwrap().queue_url.unwrap();
    let policy = format!(r#"{{"deadLetterTargetArn":"{DEAD}","maxReceiveCount":1}}"#);
    let work = create("work").attributes(QueueAttributeName::RedrivePolicy, policy).send().await.unwrap();
    let work = work.queue_url.unwrap();
    for number in 0..died {
        client.send_message().queue_url(&work).message_body(format!("died {number}")).send().await.unwrap();
    }
    for _ in 0..2 {
        let receive = client.receive_message().queue_url(&work).max_number_of_messages(10);
        receive.visibility_timeout(0).send().await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for number in 0..sent {
        client.send_message().queue_url(&dead).message_body(format!("sent {number}")).send().await.unwrap();
    }
    assert_eq!(depth(client, &dead).await, died + sent);
    (work, dead)
}

async fn depth(client: &Client, url: &str) -> usize {
    attribute(client, url, QueueAttributeName::ApproximateNumberOfMessages).await.parse().unwrap()
}

async fn last_move(client: &Client) -> aws_sdk_sqs::types::ListMessageMoveTasksResultEntry {
    let tasks = client.list_message_move_tasks().source_arn(DEAD).send().await.unwrap();
    tasks.results.unwrap().remove(0)
}

async fn ended(client: &Client) -> aws_sdk_sqs::types::ListMessageMoveTasksResultEntry {
    loop {
        let task = last_move(client).await;
        if task.status() != Some("RUNNING") {
            return task;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn dead_letters_move_back_to_where_they_came_from() {
    let cloud = idle_cloud().await;
    let client = Client::new(&cloud.loopback_sdk_config());
    let (work, dead) = dead_letters(&client, 3, 0).await;
    let before = receive(&client, &dead).await;
    assert_eq!(before.len(), 3);
    for message in &before {
        let handle = message.receipt_handle().unwrap();
        let give_back = client.change_message_visibility().queue_url(&dead).receipt_handle(handle);
        give_back.visibility_timeout(0).send().await.unwrap();
    }
    let handle = client.start_message_move_task().source_arn(DEAD).send().await.unwrap().task_handle.unwrap();
    let task = ended(&client).await;
    assert_eq!((task.status(), task.failure_reason()), (Some("COMPLETED"), None));
    assert_eq!(
        (task.approximate_number_of_messages_moved, task.approximate_number_of_messages_to_move),
        (3, Some(3))
    );
    assert_eq!((task.source_arn(), task.destination_arn(), task.task_handle()), (Some(DEAD), None, None));
    assert_eq!((depth(&client, &dead).await, depth(&client, &work).await), (0, 3));
    let after = receive(&client, &work).await;
    let mut bodies: Vec<&str> = after.iter().filter_map(|message| message.body()).collect();
    bodies.sort_unstable();
    assert_eq!(bodies, ["died 0", "died 1", "died 2"]);
    for message in &after {
        let attributes = message.attributes().unwrap();
        assert_eq!(attributes[&MessageSystemAttributeName::ApproximateReceiveCount], "1", "a new message");
        assert!(!attributes.contains_key(&MessageSystemAttributeName::DeadLetterQueueSourceArn));
        assert!(before.iter().all(|old| old.message_id() != message.message_id()), "with a new id");
    }
    let over = client.cancel_message_move_task().task_handle(handle).send().await.unwrap_err();
    assert_eq!(over.code(), Some("AWS.SimpleQueueService.UnsupportedOperation"));
}

#[tokio::test]
async fn a_message_that_no_queue_gave_up_needs_a_destination() {
    let cloud = idle_cloud().await;
    let client = Client::new(&cloud.loopback_sdk_config());
    let (work, dead) = dead_letters(&client, 1, 1).await;
    client.start_message_move_task().source_arn(DEAD).send().await.unwrap();
    let task = ended(&client).await;
    assert_eq!(
        (task.status(), task.failure_reason()),
        (Some("FAILED"), Some("CouldNotDetermineMessageSource"))
    );
    assert_eq!((depth(&client, &dead).await, depth(&client, &work).await), (1, 1), "what could go is gone");
    let to_work = "arn:aws:sqs:us-east-1:000000000000:work";
    client.start_message_move_task().source_arn(DEAD).destination_arn(to_work).send().await.unwrap();
    let task = ended(&client).await;
    assert_eq!((task.status(), task.destination_arn()), (Some("COMPLETED"), Some(to_work)));
    assert_eq!((depth(&client, &dead).await, depth(&client, &work).await), (0, 2));
    let all = client.list_message_move_tasks().source_arn(DEAD).max_results(10).send().await.unwrap();
    let statuses: Vec<_> = all.results().iter().filter_map(|task| task.status()).collect();
    assert_eq!(statuses, ["COMPLETED", "FAILED"], "latest first");
}

#[tokio::test]
async fn a_move_keeps_its_rate_survives_a_restart_and_can_be_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let cloud = start(options_in(folder.path()), Scripted::idle()).await;
    let client = Client::new(&cloud.loopback_sdk_config());
    dead_letters(&client, 5, 0).await;
    let start_move = |client: &Client, arn: &str| client.start_message_move_task().source_arn(arn);
    let slow = start_move(&client, DEAD).max_number_of_messages_per_second(2).send().await.unwrap();
    assert!(slow.task_handle.is_some());
    let task = last_move(&client).await;
    assert_eq!((task.status(), task.max_number_of_messages_per_second()), (Some("RUNNING"), Some(2)));
    assert!(task.approximate_number_of_messages_moved < 5 && task.task_handle().is_some());
    let second = start_move(&client, DEAD).send().await.unwrap_err();
    assert_eq!(second.code(), Some("InvalidParameterValue"), "one at a time");
    drop(cloud);

    let cloud = start(options_in(folder.path()), Scripted::idle()).await;
    let client = Client::new(&cloud.loopback_sdk_config());
    let task = last_move(&client).await;
    assert_eq!(task.status(), Some("RUNNING"), "{task:?}");
    let cancelled = client.cancel_message_move_task().task_handle(task.task_handle().unwrap());
    let moved = cancelled.send().await.unwrap().approximate_number_of_messages_moved;
    assert_eq!(last_move(&client).await.status(), Some("CANCELLED"));
    let dead = client.get_queue_url().queue_name("dead").send().await.unwrap().queue_url.unwrap();
    assert_eq!(depth(&client, &dead).await, 5 - usize::try_from(moved).unwrap(), "the rest stays");
    start_move(&client, DEAD).send().await.unwrap();
    assert_eq!(ended(&client).await.status(), Some("COMPLETED"));
    assert_eq!(depth(&client, &dead).await, 0);
}

#[tokio::test]
async fn what_cannot_be_moved_is_refused_as_aws_does() {
    let cloud = idle_cloud().await;
    let client = Client::new(&cloud.loopback_sdk_config());
    dead_letters(&client, 0, 0).await;
    let code = async |source: &str, destination: Option<&str>, rate: Option<i32>| {
        let start = client.start_message_move_task().source_arn(source);
        let start = start.set_destination_arn(destination.map(str::to_owned));
        let refused = start.set_max_number_of_messages_per_second(rate).send().await.unwrap_err();
        refused.code().unwrap().to_owned()
    };
    let arn = |name: &str| format!("arn:aws:sqs:us-east-1:000000000000:{name}");
    assert_eq!(code(&arn("nobody"), None, None).await, "ResourceNotFoundException");
    assert_eq!(code(&arn("work"), None, None).await, "InvalidParameterValue", "no dead-letter queue");
    assert_eq!(code(&arn("sluice-dlq"), None, None).await, "InvalidParameterValue");
    assert_eq!(code(DEAD, Some(&arn("nobody")), None).await, "ResourceNotFoundException");
    assert_eq!(code(DEAD, Some(DEAD), None).await, "InvalidParameterValue");
    assert_eq!(code(DEAD, None, Some(501)).await, "InvalidParameterValue");
    let handle = client.cancel_message_move_task().task_handle("nonsense").send().await.unwrap_err();
    assert_eq!(handle.code(), Some("InvalidParameterValue"));
}
