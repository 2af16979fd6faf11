//! The AWS SDK for Rust as a client. Its requests are handed to the handler in the process, through the SDK's own connector
//! interface: what the SDK puts on the wire and reads from it is the same, without a server or TLS in the tests.

use std::sync::{Arc, Mutex};

use aws_sdk_sfn::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sfn::error::ProvideErrorMetadata;
use aws_sdk_sfn::types::{
    ExecutionRedriveStatus, ExecutionStatus, HistoryEventType, MapRunStatus, StateMachineType,
    SyncExecutionStatus,
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

#[tokio::test]
async fn the_sdk_follows_changes_and_redrives_a_map_run() {
    let fake = Fake::new(|call| match call.payload["n"].as_u64() {
        Some(3) if call.earlier < 6 => Reply::Err("Broken", "at first"),
        n => Reply::Ok(n.into()),
    });
    fake.put_object("in.jsonl", lines(6));
    let engine = open_real(&sluice_stepfunctions::Location::Memory, &fake).await;
    let (client, _) = client(&engine);
    let map = spread(serde_json::json!({"MaxConcurrency": 1, "ToleratedFailurePercentage": 0.5}));
    let machine = put(&engine, "m", sluice_stepfunctions::MachineType::Standard, map).await;
    let arn =
        client.start_execution().state_machine_arn(&machine).name("e").send().await.unwrap().execution_arn;
    idle(&engine).await;

    let listed = client.list_map_runs().execution_arn(&arn).send().await.unwrap().map_runs;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].state_machine_arn, machine_arn("m/L"));
    assert!(listed[0].stop_date.is_some());
    let run = listed[0].map_run_arn.clone();
    let described = client.describe_map_run().map_run_arn(&run).send().await.unwrap();
    assert_eq!((described.status, described.max_concurrency), (MapRunStatus::Failed, 1));
    assert_eq!(
        (described.execution_arn.as_str(), described.tolerated_failure_percentage),
        (arn.as_str(), 0.5)
    );
    let counts = described.item_counts.unwrap();
    assert_eq!((counts.total, counts.succeeded, counts.failed, counts.pending), (6, 3, 1, 2));
    assert_eq!(described.execution_counts.unwrap().failures_not_redrivable, Some(0));

    let failed =
        client.list_executions().map_run_arn(&run).status_filter(ExecutionStatus::Failed).send().await;
    let failed = failed.unwrap().executions;
    assert_eq!((failed.len(), failed[0].item_count), (1, Some(1)));
    assert_eq!(failed[0].map_run_arn.as_deref(), Some(run.as_str()));
    let child = client.describe_execution().execution_arn(&failed[0].execution_arn).send().await.unwrap();
    assert_eq!((child.error.as_deref(), child.input.as_deref()), (Some("Broken"), Some("{\"n\": 3}")));
    assert_eq!(child.redrive_status, Some(ExecutionRedriveStatus::RedrivableByMapRun));
    assert_eq!(child.map_run_arn.as_deref(), Some(run.as_str()));

    let refused = client.update_map_run().map_run_arn(&run).max_concurrency(5).send().await.unwrap_err();
    assert_eq!(refused.into_service_error().message(), Some("Map Run is FAILED and cannot be updated"));
    let nobody = client.describe_map_run().map_run_arn(format!("{run}0")).send().await.unwrap_err();
    assert!(nobody.into_service_error().is_resource_not_found());
    let both =
        client.list_executions().map_run_arn(&run).state_machine_arn(&machine).send().await.unwrap_err();
    assert_eq!(both.into_service_error().code(), Some("ValidationException"));

    client.redrive_execution().execution_arn(&arn).send().await.unwrap();
    idle(&engine).await;
    let described = client.describe_map_run().map_run_arn(&run).send().await.unwrap();
    assert_eq!((described.status, described.redrive_count), (MapRunStatus::Succeeded, Some(1)));
    let children = client.list_executions().map_run_arn(&run).max_results(2).into_paginator().items().send();
    let children = children.try_collect().await.unwrap();
    assert_eq!(children.len(), 6);
    assert!(children.iter().all(|child| child.status == ExecutionStatus::Succeeded));
    let mut events = client.get_execution_history().execution_arn(&arn).into_paginator().items().send();
    let mut types = Vec::new();
    while let Some(event) = events.next().await {
        let event = event.unwrap();
        if let Some(details) = event.map_run_redriven_event_details {
            assert_eq!(
                (details.map_run_arn.as_deref(), details.redrive_count),
                (Some(run.as_str()), Some(1))
            );
        }
        types.push(event.r#type);
    }
    for expected in [
        HistoryEventType::MapRunStarted,
        HistoryEventType::MapRunFailed,
        HistoryEventType::MapRunRedriven,
        HistoryEventType::MapRunSucceeded,
    ] {
        assert!(types.contains(&expected), "{types:?}");
    }
}
