//! Tasks that call the services of the local cloud: DynamoDB, S3, SQS and EventBridge, by
//! TestState.
//!
//! Names of errors and causes are those that AWS recorded (localstack/localstack,
//! tests/aws/services/stepfunctions/v2/services/test_dynamodb_task_service.snapshot.json,
//! test_aws_sdk_task_service.snapshot.json,
//! error_handling/test_task_service_dynamodb.snapshot.json).

#![expect(clippy::unwrap_used, reason = "a panic is the test's failure")]
#![allow(clippy::needless_pass_by_value, reason = "`json!` literals are handed over")]

mod common;

use common::{idle_cloud, signed};
use serde_json::{Value, json};
use sluice_local::Cloud;

async fn call(cloud: &Cloud, operation: &str, body: &Value) -> Value {
    let request = reqwest::Client::new()
        .post(cloud.aws_url())
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", format!("AWSStepFunctions.{operation}"))
        .body(body.to_string());
    signed(cloud, "states", request).await.json().await.unwrap()
}

/// The result of one task.
async fn task(cloud: &Cloud, resource: &str, arguments: Value) -> Value {
    let state = json!({
        "QueryLanguage": "JSONata", "Type": "Task", "Resource": format!("arn:aws:states:::{resource}"),
        "Arguments": arguments, "End": true,
    });
    let mut answer = call(cloud, "TestState", &json!({"definition": state.to_string()})).await;
    if let Some(output) = answer["output"].as_str() {
        answer["output"] = serde_json::from_str(output).unwrap();
    }
    answer
}

async fn output(cloud: &Cloud, resource: &str, arguments: Value) -> Value {
    let answer = task(cloud, resource, arguments).await;
    assert_eq!(answer["status"], "SUCCEEDED", "{resource}: {answer}");
    answer["output"].clone()
}

async fn error(cloud: &Cloud, resource: &str, arguments: Value) -> (String, String) {
    let answer = task(cloud, resource, arguments).await;
    assert_eq!(answer["status"], "FAILED", "{resource}: {answer}");
    let text = |member: &str| answer[member].as_str().unwrap_or_default().to_owned();
    (text("error"), text("cause"))
}

#[tokio::test]
async fn items_are_put_read_updated_queried_and_deleted() {
    let cloud = idle_cloud().await;
    let key = json!({"vendorId": {"S": "v"}, "externalEventId": {"S": "e"}});
    let mut item = key.clone();
    item["n"] = json!({"N": "1"});
    let put = json!({"TableName": "sluice-ledger", "Item": item});
    let answer = output(&cloud, "dynamodb:putItem", put.clone()).await;
    assert_eq!(answer["SdkHttpMetadata"]["HttpStatusCode"], 200);
    let get = json!({"TableName": "sluice-ledger", "Key": key});
    assert_eq!(output(&cloud, "dynamodb:getItem", get.clone()).await["Item"], item);
    // The SDK's integration answers what the service answers, and nothing else.
    assert_eq!(output(&cloud, "aws-sdk:dynamodb:getItem", get.clone()).await, json!({"Item": item}));
    let update = json!({
        "TableName": "sluice-ledger", "Key": key, "UpdateExpression": "SET n = :n",
        "ExpressionAttributeValues": {":n": {"N": "2"}}, "ReturnValues": "UPDATED_NEW",
    });
    assert_eq!(output(&cloud, "dynamodb:updateItem", update).await["Attributes"], json!({"n": {"N": "2"}}));
    let query = json!({
        "TableName": "sluice-ledger", "KeyConditionExpression": "vendorId = :v",
        "ExpressionAttributeValues": {":v": {"S": "v"}},
    });
    assert_eq!(output(&cloud, "aws-sdk:dynamodb:query", query).await["Count"], 1);
    output(&cloud, "dynamodb:deleteItem", get.clone()).await;
    assert!(output(&cloud, "dynamodb:getItem", get).await.get("Item").is_none());

    let mut conditional = put;
    conditional["ConditionExpression"] = "attribute_exists(n)".into();
    let (name, cause) = error(&cloud, "dynamodb:putItem", conditional.clone()).await;
    assert_eq!(name, "DynamoDB.ConditionalCheckFailedException");
    let begin = "The conditional request failed (Service: AmazonDynamoDBv2; Status Code: 400; Error Code: \
                 ConditionalCheckFailedException; Request ID: ";
    assert!(cause.starts_with(begin) && cause.ends_with("; Proxy: null)"), "{cause}");
    let (name, cause) = error(&cloud, "aws-sdk:dynamodb:putItem", conditional).await;
    assert_eq!(name, "DynamoDb.ConditionalCheckFailedException");
    let begin = "The conditional request failed (Service: DynamoDb, Status Code: 400, Request ID: ";
    assert!(cause.starts_with(begin), "{cause}");
    let nowhere = json!({"TableName": "nowhere", "Key": {"a": {"S": "b"}}});
    assert_eq!(error(&cloud, "dynamodb:getItem", nowhere).await.0, "DynamoDB.ResourceNotFoundException");
}

#[tokio::test]
async fn objects_messages_and_events_are_handed_over() {
    let cloud = idle_cloud().await;
    let at = |more: Value| {
        let mut arguments = json!({"Bucket": "sluice-normalized", "Key": "k"});
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        arguments
    };
    let put = output(&cloud, "aws-sdk:s3:putObject", at(json!({"Body": {"a": 1}}))).await;
    let got = output(&cloud, "aws-sdk:s3:getObject", at(json!({}))).await;
    assert_eq!((&got["Body"], &got["ContentLength"]), (&json!("{\"a\":1}"), &json!(7)));
    assert_eq!(got["ETag"], put["ETag"]);
    let (name, _) = error(&cloud, "aws-sdk:s3:getObject", at(json!({"Key": "missing"}))).await;
    assert_eq!(name, "S3.NoSuchKeyException");
    let (name, _) =
        error(&cloud, "aws-sdk:s3:putObject", at(json!({"Bucket": "sluice-raw", "Body": ""}))).await;
    assert_eq!(name, "S3.AccessDeniedException", "write-once");
    let big = at(json!({"Body": "{% $join([1..70000].('abcd')) %}"}));
    let (name, _) = error(&cloud, "aws-sdk:s3:putObject", big).await;
    assert_eq!(name, "States.DataLimitExceeded");
    let unknown = at(json!({"VersionId": "1"}));
    assert_eq!(error(&cloud, "aws-sdk:s3:getObject", unknown).await.0, "States.Runtime");

    let found = output(&cloud, "aws-sdk:sqs:getQueueUrl", json!({"QueueName": "sluice-dlq"})).await;
    let url = found["QueueUrl"].as_str().unwrap();
    let message = json!({"QueueUrl": url, "MessageBody": "hello"});
    let sent = output(&cloud, "aws-sdk:sqs:sendMessage", message).await;
    assert_eq!(sent["MD5OfMessageBody"], "5d41402abc4b2a76b9719d911017c592");
    assert!(sent.get("SdkHttpMetadata").is_none());
    let (name, _) = error(&cloud, "aws-sdk:sqs:getQueueUrl", json!({"QueueName": "nowhere"})).await;
    assert!(name.starts_with("Sqs.") && name.ends_with("Exception"), "{name}");

    let entry = json!({"EventBusName": "sluice", "Source": "s", "DetailType": "t", "Detail": "{}"});
    let answer = output(&cloud, "aws-sdk:eventbridge:putEvents", json!({"Entries": [entry]})).await;
    assert_eq!((&answer["FailedEntryCount"], answer["Entries"].as_array().unwrap().len()), (&json!(0), 1));
    let bad = json!({"EventBusName": "sluice", "Source": "s", "DetailType": "t", "Detail": "no JSON"});
    let answer = output(&cloud, "aws-sdk:eventbridge:putEvents", json!({"Entries": [bad]})).await;
    assert_eq!(answer["FailedEntryCount"], 1, "entries that failed are no error");
}

#[tokio::test]
async fn a_message_carries_a_token_and_its_holder_ends_the_task() {
    let cloud = idle_cloud().await;
    let found = output(&cloud, "aws-sdk:sqs:getQueueUrl", json!({"QueueName": "sluice-dlq"})).await;
    let machine = json!({"QueryLanguage": "JSONata", "StartAt": "Ask", "States": {"Ask": {
        "Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "End": true,
        "Arguments": {"QueueUrl": found["QueueUrl"], "MessageBody": {"token": "{% $states.context.Task.Token %}"}},
    }}});
    let role = "arn:aws:iam::000000000000:role/r";
    let body = json!({"name": "ask", "definition": machine.to_string(), "roleArn": role});
    let created = call(&cloud, "CreateStateMachine", &body).await;
    let body = json!({"stateMachineArn": created["stateMachineArn"]});
    let started = call(&cloud, "StartExecution", &body).await;
    let queues = aws_sdk_sqs::Client::new(&cloud.loopback_sdk_config());
    let received = queues
        .receive_message()
        .queue_url(found["QueueUrl"].as_str().unwrap())
        .wait_time_seconds(20)
        .send()
        .await
        .unwrap();
    let message: Value = serde_json::from_str(received.messages()[0].body().unwrap()).unwrap();
    let body = json!({"taskToken": message["token"], "output": "\"done\""});
    assert_eq!(call(&cloud, "SendTaskSuccess", &body).await, json!({}));
    let described = json!({"executionArn": started["executionArn"]});
    loop {
        let execution = call(&cloud, "DescribeExecution", &described).await;
        if execution["status"] != "RUNNING" {
            assert_eq!(execution["output"], "\"done\"");
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
