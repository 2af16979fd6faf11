//! The AWS SDK for Rust as a client. Its requests are handed to the handler in the process, through the SDK's own connector
//! interface: what the SDK puts on the wire and reads from it is the same, without a server or TLS in the tests.

use std::sync::{Arc, Mutex};

use aws_sdk_sfn::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sfn::error::ProvideErrorMetadata;
use aws_sdk_sfn::types::{
    ExecutionRedriveStatus, ExecutionStatus, HistoryEventType, StateMachineType, SyncExecutionStatus,
};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use sluice_stepfunctions::Engine;

use crate::support::*;

#[derive(Clone)]
struct Handler {
    engine: Engine,
    hosts: Arc<Mutex<Vec<String>>>,
}

impl std::fmt::Debug for Handler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handler")
    }
}

impl HttpConnector for Handler {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let this = self.clone();
        HttpConnectorFuture::new(async move {
            this.hosts.lock().unwrap().push(request.uri().to_owned());
            let target = request.headers().get("x-amz-target").unwrap().to_owned();
            assert_eq!(request.headers().get("content-type"), Some("application/x-amz-json-1.0"));
            let body = Bytes::copy_from_slice(request.body().bytes().unwrap());
            let response = this.engine.handle(&target, body).await;
            let (head, body) = response.into_parts();
            let mut answer = HttpResponse::new(head.status.as_u16().try_into().unwrap(), SdkBody::from(body));
            for (name, value) in &head.headers {
                answer.headers_mut().insert(name.as_str().to_owned(), value.to_str().unwrap().to_owned());
            }
            Ok(answer)
        })
    }
}

fn client(engine: &Engine) -> (aws_sdk_sfn::Client, Arc<Mutex<Vec<String>>>) {
    let hosts = Arc::new(Mutex::default());
    let handler = Handler { engine: engine.clone(), hosts: Arc::clone(&hosts) };
    let config = aws_sdk_sfn::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url("http://127.0.0.1:8788")
        .credentials_provider(Credentials::new("any", "any", None, None, "test"))
        .http_client(http_client_fn(move |_, _| SharedHttpConnector::new(handler.clone())))
        .build();
    (aws_sdk_sfn::Client::from_conf(config), hosts)
}

#[tokio::test]
async fn the_sdk_creates_runs_lists_and_redrives() {
    let fake = Fake::new(|call| match call.earlier {
        0 => Reply::Err("Broken", "at first"),
        _ => healthy(call),
    });
    let engine = open_real(&sluice_stepfunctions::Location::Memory, &fake).await;
    let (client, hosts) = client(&engine);
    let definition = asl(serde_json::json!({"Normalize": task("sluice-normalize", None)}));
    let role = "arn:aws:iam::000000000000:role/r";
    let standard = client
        .create_state_machine()
        .name("s")
        .definition(&definition)
        .role_arn(role)
        .send()
        .await
        .unwrap()
        .state_machine_arn;
    let express = client
        .create_state_machine()
        .name("x")
        .definition(&definition)
        .role_arn(role)
        .r#type(StateMachineType::Express)
        .send()
        .await
        .unwrap()
        .state_machine_arn;
    let described = client.describe_state_machine().state_machine_arn(&express).send().await.unwrap();
    assert_eq!((described.r#type, described.definition), (StateMachineType::Express, definition));

    let started = client
        .start_execution()
        .state_machine_arn(&standard)
        .name("e")
        .input("{\"ingestId\":\"1\"}")
        .send()
        .await;
    let arn = started.unwrap().execution_arn;
    idle(&engine).await;
    let failed = client.describe_execution().execution_arn(&arn).send().await.unwrap();
    assert_eq!((failed.status, failed.error.as_deref()), (ExecutionStatus::Failed, Some("Broken")));
    assert_eq!(failed.redrive_status, Some(ExecutionRedriveStatus::Redrivable));
    let again = client.start_execution().state_machine_arn(&standard).name("e").send().await.unwrap_err();
    assert!(again.into_service_error().is_execution_already_exists());

    // The SDK adds a client token of its own.
    let redriven = client.redrive_execution().execution_arn(&arn).send().await.unwrap();
    idle(&engine).await;
    let done = client.describe_execution().execution_arn(&arn).send().await.unwrap();
    assert_eq!((done.status, done.redrive_count), (ExecutionStatus::Succeeded, Some(1)));
    assert_eq!(done.redrive_date, Some(redriven.redrive_date));
    let refused =
        client.redrive_execution().execution_arn(&arn).send().await.unwrap_err().into_service_error();
    assert!(refused.is_execution_not_redrivable());
    assert_eq!(refused.message(), Some("Execution is SUCCEEDED and cannot be redriven"));

    let listed = client.list_executions().state_machine_arn(&standard).send().await.unwrap();
    assert_eq!(listed.executions.len(), 1);
    let mut events =
        client.get_execution_history().execution_arn(&arn).max_results(3).into_paginator().items().send();
    let mut types = Vec::new();
    while let Some(event) = events.next().await {
        types.push(event.unwrap().r#type);
    }
    assert!(types.contains(&HistoryEventType::ExecutionRedriven), "{types:?}");
    assert_eq!(types.last(), Some(&HistoryEventType::ExecutionSucceeded));

    let result = client
        .start_sync_execution()
        .state_machine_arn(&express)
        .input("{\"ingestId\":\"2\"}")
        .send()
        .await
        .unwrap();
    assert_eq!(result.status, SyncExecutionStatus::Succeeded);
    assert_eq!(result.output.as_deref(), Some("{\"status\":\"NORMALIZED\",\"ingestId\":\"2\"}"));
    assert_eq!(result.billing_details.unwrap().billed_memory_used_in_mb, 64);
    let last = hosts.lock().unwrap().last().cloned().unwrap();
    assert!(last.starts_with("http://sync-127.0.0.1:8788"), "{last}");

    let stopped = client.stop_execution().execution_arn(&arn).send().await.unwrap();
    assert_eq!(Some(stopped.stop_date), done.stop_date);
    client.delete_state_machine().state_machine_arn(&standard).send().await.unwrap();
    let gone = client.describe_execution().execution_arn(&arn).send().await.unwrap_err();
    assert!(gone.into_service_error().is_execution_does_not_exist());
    let machines = client.list_state_machines().into_paginator().items().send().try_collect().await.unwrap();
    assert_eq!(machines.len(), 1);
}
