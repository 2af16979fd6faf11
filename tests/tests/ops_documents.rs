//! The use cases of `sluice-ops` against a running local cloud: what a console shows of an event, of
//! a group, of the whole, and what it says when nobody answers.
#![expect(clippy::unwrap_used, reason = "a panic is the test's failure")]

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use sluice_core::record::Status;
use sluice_ops::cloud::Cloud;
use sluice_ops::error::Kind;
use sluice_ops::events::{self, Filter};
use sluice_ops::executions;
use sluice_ops::payload::Member;
use sluice_ops::redrive::{Method, Plan, Selection};
use sluice_ops::search::{self, Search};
use sluice_ops::{balance, event, group_detail, overview, people, quarantine};
use sluice_tests::Dev;

/// Generous: a loaded machine is slow.
const WAIT_MAX: Duration = Duration::from_secs(180);

const KEY: &str = "acme-key";

/// A mapper that says the same of every message.
fn module() -> Vec<u8> {
    let output = json!([{"eventType": "InventoryUpdated", "schemaVersion": "1.0",
        "occurredAt": "2026-01-02T03:04:05Z",
        "data": {"warehouseId": "W", "sku": "S", "quantityOnHand": 1}}])
    .to_string();
    wat::parse_str(format!(
        r#"(module (memory (export "memory") 17) (data (i32.const 1024) "{}")
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
            (func (export "map") (param i32 i32 i32 i32) (result i32)
              (i32.store8 (i32.const 16) (i32.const 0))
              (i32.store (i32.const 20) (i32.const 1024))
              (i32.store (i32.const 24) (i32.const {})) (i32.const 16)))"#,
        output.replace('"', "\\\""),
        output.len()
    ))
    .unwrap()
}

fn sluice(dev: &Dev, arguments: &[&str]) {
    let output = dev.sluice(&["--json"]).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
}

/// A vendor whose messages have a `qty`, and the mapper of these.
fn install(dev: &Dev, folder: &Path) {
    std::fs::create_dir_all(folder.join("schema")).unwrap();
    let contract = "vendorId = 'acme'\neventType = 'stock'\n\n[payload]\ndefaultVersion = '1'\n\
        versions = { 1 = 'schema/1.schema.json' }\n\n[canonical]\ntype = 'InventoryUpdated'\nversion = '1.0'\n";
    std::fs::write(folder.join("mapper.toml"), contract).unwrap();
    let schema = json!({"type": "object", "required": ["qty"],
        "properties": {"qty": {"type": "integer"}, "sku": {"type": "string"}}});
    std::fs::write(folder.join("schema/1.schema.json"), schema.to_string()).unwrap();
    let wasm = folder.join("module.wasm");
    std::fs::write(&wasm, module()).unwrap();
    sluice(dev, &["vendors", "add", "--id", "acme", "--key", KEY]);
    let (folder, wasm) = (folder.to_str().unwrap(), wasm.to_str().unwrap());
    sluice(dev, &["mapper", "publish", folder, "--wasm", wasm, "--no-test"]);
}

async fn send(dev: &Dev, id: &str, payload: &serde_json::Value) {
    let envelope = json!({"vendorId": "acme", "externalEventId": id, "eventType": "stock",
        "occurredAt": "2026-01-02T03:04:05Z", "payload": payload});
    let answer = reqwest::Client::new()
        .post(format!("{}/v1/events", dev.api()))
        .header("x-api-key", KEY)
        .header("content-type", "application/json")
        .body(envelope.to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 202, "{}", answer.text().await.unwrap());
}

fn connect(dev: &Dev) -> Cloud {
    let text = std::fs::read_to_string(dev.credentials()).unwrap();
    let value = |name: &str| {
        let mut pairs = text.lines().filter_map(|line| line.split_once(" = "));
        pairs.find(|(found, _)| *found == name).unwrap().1.to_owned()
    };
    Cloud::local(dev.aws(), &value("aws_access_key_id"), &value("aws_secret_access_key"))
}

/// Until the events are at their ends: normalized, or in quarantine with an execution that waits.
async fn until_settled(cloud: &Cloud, normalized: usize, quarantined: usize) {
    let deadline = Instant::now() + WAIT_MAX;
    loop {
        let list = events::list(cloud, &Filter::default()).await.unwrap();
        let count = |status| list.events.iter().filter(|event| event.status == status).count();
        let held = quarantine::list(cloud, None, false).await.unwrap().quarantine;
        let mut waiting = 0;
        for row in &held {
            let execution = executions::describe(cloud, &row.execution_arn).await.unwrap();
            waiting += usize::from(execution.execution.redrivable);
        }
        if (count(Status::Normalized), waiting) == (normalized, quarantined) {
            return;
        }
        assert!(Instant::now() < deadline, "{list:?} {held:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_console_sees_what_waits_why_and_who_acted() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&["--ephemeral"]);
    install(&dev, folder.path());
    for number in 1..=3 {
        send(&dev, &format!("good-{number}"), &json!({"qty": number, "sku": format!("A-{number}")})).await;
    }
    let cloud = connect(&dev);
    until_settled(&cloud, 3, 0).await;
    for number in 1..=2 {
        send(&dev, &format!("bad-{number}"), &json!({"qty": "many", "sku": format!("B-{number}")})).await;
    }
    until_settled(&cloud, 3, 2).await;

    // Page by page, each event once.
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = events::list(&cloud, &Filter { limit: 2, after, ..Filter::default() }).await.unwrap();
        seen.extend(page.events.iter().map(|event| event.external_event_id.clone()));
        let last = page.events.last().unwrap();
        after = Some((last.received_at, last.ingest_id));
        if !page.more {
            break;
        }
    }
    assert_eq!(seen, ["bad-2", "bad-1", "good-3", "good-2", "good-1"]);
    let by_id = Filter { external_event_id: Some("bad-1".parse().unwrap()), ..Filter::default() };
    let found = events::list(&cloud, &by_id).await.unwrap().events;
    assert_eq!((found.len(), found[0].status), (1, Status::Quarantined));
    let life = event::life(&cloud, found[0].ingest_id).await.unwrap();
    assert!(life.problems().is_empty() && life.execution.is_some_and(|execution| execution.redrivable));

    // The group, and why it is there.
    let groups = quarantine::groups(&cloud, None, false).await.unwrap().groups;
    assert_eq!((groups.len(), groups[0].open), (1, 2));
    let group = group_detail::show(&cloud, &groups[0].fingerprint, 1).await.unwrap();
    assert!(group.sentence.starts_with("2 events of acme (stock) wait: "), "{}", group.sentence);
    assert_eq!((group.events, group.examples.len()), (2, 1));
    let compared = group.compared.known().unwrap();
    let pointers: Vec<&str> = compared.differences.iter().map(|one| one.pointer.as_str()).collect();
    assert!(compared.good.is_some(), "{compared:?}");
    assert_eq!(pointers, ["/qty", "/sku"]);
    let contract = group.contract.known().unwrap().as_ref().unwrap();
    assert_eq!((contract.schema.as_deref(), contract.changed_since), (Some("schema/1.schema.json"), false));
    assert!(group.drift.known().is_some(), "{:?}", group.drift);

    // By a member of the payload.
    let search = Search {
        filter: Filter::default(),
        member: Member::parse("/sku").unwrap(),
        value: Some("A-2".into()),
        looked_at_max: 100,
    };
    let found = search::by_member(&cloud, &search).await.unwrap();
    assert_eq!((found.events.len(), found.looked_at, found.more), (1, 5, false));
    assert_eq!(found.events[0].event.external_event_id, "good-2");

    // Executions, as Step Functions tells them.
    let machines = executions::machines(&cloud).await.unwrap();
    let express = machines.iter().find(|machine| machine.express).unwrap();
    let of = |machine: &str| executions::Filter {
        machine: machine.to_owned(),
        status: Some("FAILED".into()),
        limit: 10,
        token: None,
    };
    let failed = executions::list(&cloud, &of("sluice-recover")).await.unwrap().executions;
    assert_eq!(failed.len(), 2);
    assert!(failed.iter().all(|one| one.redrivable_until.is_some()));
    let refused = executions::list(&cloud, &of(&express.name)).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Refused);
    let detail = executions::describe(&cloud, &failed[0].arn).await.unwrap();
    assert!(detail.definition.contains("AwaitRedrive") && detail.input.is_some() && detail.error.is_some());
    let history = executions::history(&cloud, &failed[0].arn, 1_000).await.unwrap();
    assert_eq!(history.events[0].kind, "ExecutionStarted");
    assert!(history.events.iter().any(|entry| entry.state.as_deref() == Some("AwaitRedrive")));
    assert!(executions::history(&cloud, &failed[0].arn, 2).await.unwrap().truncated);

    // The whole in one sentence, and a plan.
    let whole = overview::read(&cloud, overview::HOURS_DEFAULT).await;
    let waiting = whole.quarantine.known().unwrap();
    assert_eq!((waiting.events, waiting.groups, waiting.unacknowledged), (2, 1, 1));
    assert_eq!(whole.in_flight.known().unwrap().events, 0);
    assert!(
        whole.queues.known().unwrap().iter().any(|queue| queue.queue == "sluice-dlq" && queue.waiting == 2)
    );
    assert_eq!(whole.books.known().unwrap().hours.len(), 24);
    assert!(whole.canaries.known().unwrap().is_empty());
    let balance = balance::count(&cloud, None, &()).await.unwrap();
    assert!(balance.balanced && balance.settled, "{balance:?}");
    let selection = Selection { group: Some(groups[0].fingerprint.clone()), ..Selection::default() };
    let (plan, given_up) = Plan::make(&cloud, &selection, &()).await.unwrap();
    assert_eq!((plan.entries.len(), given_up.len()), (2, 0));
    assert!(plan.entries.iter().all(|entry| entry.method == Method::Redrive));

    // Who acted, and why.
    let known = quarantine::resolution("ada".into(), "ticket 7".into());
    quarantine::acknowledge(&cloud, &groups[0].fingerprint, known).await.unwrap();
    let filter = people::Filter { by: Some("ada".into()), on: None, since: None, limit: 10 };
    let acts = people::acts(&cloud, &filter).await.unwrap();
    assert_eq!(acts.acts.len(), 1);
    assert_eq!(
        (acts.acts[0].what.as_str(), acts.acts[0].reason.as_deref()),
        ("acknowledged", Some("ticket 7"))
    );
    assert!(acts.people.len() > 1 && acts.unknown.is_empty(), "{acts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cloud_that_does_not_answer_is_unknown_and_not_empty() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", taken.local_addr().unwrap());
    drop(taken);
    let cloud = Cloud::local(&url, "SLUICEAAAAAAAAAAAAAA", "secret");
    let document = serde_json::to_value(overview::read(&cloud, 1).await).unwrap();
    for part in ["books", "inFlight", "quarantine", "canaries", "queues"] {
        assert_eq!(document[part]["unknown"]["kind"], "unavailable", "{document}");
    }
    let error = events::list(&cloud, &Filter::default()).await.unwrap_err();
    assert_eq!((error.kind(), error.http_status()), (Kind::Unavailable, 503));
}
