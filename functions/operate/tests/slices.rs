//! Slices against the ports in memory, cut off anywhere.
#![expect(clippy::unwrap_used, reason = "a test's own constants")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::{Value, json};
use sluice_core::Fault;
use sluice_core::operation::control::{Control, Draft};
use sluice_core::operation::{
    Budget, Dead, ExecutionState, Item, Kind, Method, MoveItem, MoveState, Moves, Operation, OperationId,
    Outcome, Pace, RedriveItem, ReleaseItem, ReplayItem, Replays, Seen, Status, Work,
};
use sluice_core::port::Clock as _;
use sluice_core::record::{LedgerRow, QuarantineRow, QuarantineStatus, Status as EventStatus};
use sluice_core::testing::{Failure, World};
use sluice_operate::{Deps, handle};

/// SQS with one queue, and a replay machine of which every batch succeeds.
#[derive(Default)]
struct Elsewhere {
    moves: Mutex<Vec<Dead>>,
    replays: Mutex<Vec<(String, u64)>>,
    clock: World,
}

#[async_trait]
impl Moves for Elsewhere {
    async fn start(&self, _queue_arn: &str, _destination: &str, _per_second: u32) -> Result<(), Fault> {
        let started_at = self.clock.now();
        let dead = Dead {
            handle: Some("h".into()),
            state: MoveState::Running,
            started_at,
            moved: 3,
            to_move: Some(9),
            reason: None,
        };
        self.moves.lock().unwrap().insert(0, dead);
        Ok(())
    }

    async fn list(&self, _queue_arn: &str) -> Result<Vec<Dead>, Fault> {
        Ok(self.moves.lock().unwrap().clone())
    }

    async fn cancel(&self, _handle: &str) -> Result<(), Fault> {
        self.moves.lock().unwrap()[0].state = MoveState::Cancelled;
        Ok(())
    }
}

#[async_trait]
impl Replays for Elsewhere {
    async fn start(&self, name: &str, item: &ReplayItem, _concurrency: u32) -> Result<String, Fault> {
        let mut replays = self.replays.lock().unwrap();
        if !replays.iter().any(|(held, _)| held == name) {
            replays.push((name.to_owned(), item.events));
        }
        Ok(name.to_owned())
    }

    async fn describe(&self, execution_arn: &str) -> Result<Option<ExecutionState>, Fault> {
        let replays = self.replays.lock().unwrap();
        let Some((_, events)) = replays.iter().find(|(held, _)| held == execution_arn) else {
            return Ok(None);
        };
        let output = json!({"events": {"total": events, "succeeded": events - 1, "failed": 1}});
        Ok(Some(ExecutionState { status: "SUCCEEDED".into(), redrive_count: 0, output: Some(output) }))
    }
}

struct Rig {
    world: World,
    elsewhere: Arc<Elsewhere>,
    deps: Deps,
}

fn ingest_id(number: usize) -> String {
    format!("01KAJ3Y3R0000000000000{number:04}")
}

fn arn(number: usize) -> String {
    format!("arn:aws:states:r:1:execution:sluice-recover:{}-0", ingest_id(number))
}

fn quarantine_row(number: usize) -> QuarantineRow {
    serde_json::from_value(json!({
        "vendorId": "vendorA", "ingestId": ingest_id(number), "externalEventId": format!("e-{number}"),
        "eventType": "t", "status": "OPEN", "fingerprint": "0123456789abcdef", "attempts": 1,
        "cause": {"error": "Rejected", "code": "mapper_refused", "message": "no"}, "executionArn": arn(number),
        "rawRef": {"bucket": "b", "key": "k"}, "receivedAt": "2026-11-21T09:00:00Z",
        "firstSeenAt": "2026-11-21T09:00:00Z", "lastSeenAt": "2026-11-21T09:00:00Z"
    }))
    .unwrap()
}

fn ledger_row(number: usize) -> LedgerRow {
    serde_json::from_value(json!({
        "vendorId": "vendorA", "externalEventId": format!("e-{number}"), "ingestId": ingest_id(number),
        "eventType": "t", "schemaVersion": "1", "occurredAt": "2026-11-21T09:00:00Z",
        "receivedAt": "2026-11-21T09:00:00Z", "updatedAt": "2026-11-21T09:00:00Z", "status": "QUARANTINED",
        "statusShard": "QUARANTINED#1", "rawRef": {"bucket": "b", "key": "k"}, "rawSha256": "0".repeat(64),
        "rawBytes": 17, "payloadSha256": "1".repeat(64), "contentType": "application/json"
    }))
    .unwrap()
}

fn item(number: usize) -> Item {
    let row = quarantine_row(number);
    Item(Work::Redrive(RedriveItem {
        ingest_id: row.ingest_id,
        vendor_id: row.vendor_id.clone(),
        external_event_id: row.external_event_id.clone(),
        method: Method::Redrive,
        seen: Seen::from(&row),
        redrive_count: 0,
    }))
}

fn draft(kind: Kind, items: Vec<Item>) -> Draft {
    Draft {
        id: None,
        kind,
        what: "all".into(),
        items,
        groups: Vec::new(),
        pace: Pace { per_second: 300, budget: Some(Budget { percent: 10, failures_min: 5 }) },
        by: "anna".into(),
        valid_seconds: 900,
        retry_of: None,
    }
}

impl Rig {
    fn new(events: usize) -> Self {
        let world = World::new();
        {
            let mut state = world.state();
            for number in 0..events {
                let (row, ledger) = (quarantine_row(number), ledger_row(number));
                let failed = ExecutionState { status: "FAILED".into(), redrive_count: 0, output: None };
                state.executions.insert(arn(number), failed);
                state.quarantine.insert((row.vendor_id.clone(), row.ingest_id), row);
                state.ledger.insert(ledger.key.clone(), ledger);
            }
        }
        let elsewhere = Arc::new(Elsewhere { clock: world.clone(), ..Elsewhere::default() });
        let deps = Deps {
            operations: Arc::new(world.clone()),
            ledger: Arc::new(world.clone()),
            quarantine: Arc::new(world.clone()),
            executions: Arc::new(world.clone()),
            reruns: Arc::new(world.clone()),
            moves: elsewhere.clone(),
            replays: elsewhere.clone(),
            clock: Arc::new(world.clone()),
        };
        Self { world, elsewhere, deps }
    }

    fn control(&self) -> Control<'_> {
        Control { store: &self.world, runs: &self.world, clock: &self.world }
    }

    async fn started(&self, draft: Draft) -> OperationId {
        let id = self.control().plan(draft).await.unwrap().operation_id;
        self.control().start(id, "anna", "T-1").await.unwrap().operation_id
    }

    fn operation(&self, id: OperationId) -> Operation {
        self.world.state().operations[&id].clone()
    }

    fn input(&self, id: OperationId) -> Value {
        let run = self.operation(id).run.unwrap();
        json!({"operationId": id, "run": {"number": run.number, "token": run.token},
            "executionArn": run.execution_arn, "startedAt": self.world.now().to_string()})
    }

    async fn slice(&self, id: OperationId) -> Result<bool, Fault> {
        let answer = handle(&self.deps, self.input(id)).await?;
        Ok(answer["continue"] == true)
    }

    /// What `recover` does to every event that was redriven: a fix that helps, or none.
    fn recover(&self, fixed: impl Fn(usize) -> bool) {
        let mut state = self.world.state();
        let now = state.now_or_default();
        for number in 0..state.quarantine.len() {
            let execution = state.executions.get_mut(&arn(number)).unwrap();
            if execution.status != "RUNNING" {
                continue;
            }
            let attempts = u64::try_from(execution.redrive_count).unwrap() + 1;
            let fixed = fixed(number);
            execution.status = if fixed { "SUCCEEDED" } else { "FAILED" }.into();
            let row = quarantine_row(number);
            let held = state.quarantine.get_mut(&(row.vendor_id, row.ingest_id)).unwrap();
            held.last_seen_at = now;
            if fixed {
                held.status = QuarantineStatus::Released;
            } else {
                held.attempts = attempts;
            }
        }
    }

    /// Slices and recoveries in turn until the operation has ended.
    async fn to_its_end(&self, id: OperationId, fixed: impl Fn(usize) -> bool + Copy) {
        for _ in 0..10_000 {
            self.world.advance(1);
            let goes_on = self.slice(id).await.is_ok_and(|goes_on| goes_on);
            self.recover(fixed);
            if !goes_on && !self.operation(id).needs_execution() {
                return;
            }
        }
        panic!("it does not end: {:?}", self.operation(id));
    }

    fn redrives(&self) -> usize {
        self.world.state().redrive_tokens.len()
    }
}

#[tokio::test]
async fn every_event_is_redriven_once_and_released() {
    let rig = Rig::new(250);
    let id = rig.started(draft(Kind::Redrive, (0..250).map(item).collect())).await;
    rig.to_its_end(id, |_| true).await;
    let operation = rig.operation(id);
    assert_eq!((operation.status, operation.count(Outcome::Released)), (Status::Completed, 250));
    assert_eq!(rig.redrives(), 250);
    assert!(rig.world.state().holders.values().all(|holder| holder.settled));
}

/// Every call fails before or after its effect at some time. Whatever is cut off, no event is redriven twice.
#[tokio::test]
async fn a_slice_that_is_cut_off_anywhere_writes_no_second_effect() {
    for at in 0..60 {
        for failure in [Failure::Before, Failure::After] {
            let rig = Rig::new(3);
            let id = rig.started(draft(Kind::Redrive, (0..3).map(item).collect())).await;
            rig.world.fail_next(std::iter::repeat_n(Failure::None, at).chain([failure]));
            rig.to_its_end(id, |_| true).await;
            let operation = rig.operation(id);
            let said = format!("{failure:?} at call {at}: {operation:?}");
            assert_eq!(
                (operation.status, operation.count(Outcome::Released)),
                (Status::Completed, 3),
                "{said}"
            );
            assert_eq!(rig.redrives(), 3, "{said}");
            let executions = rig.world.state().executions.clone();
            assert!((0..3).all(|number| executions[&arn(number)].redrive_count == 1), "{said}");
        }
    }
}

#[tokio::test]
async fn a_fix_that_does_not_fix_stops_at_the_budget_and_the_rest_is_retried() {
    let rig = Rig::new(100);
    let id = rig.started(draft(Kind::Redrive, (0..100).map(item).collect())).await;
    rig.to_its_end(id, |_| false).await;
    let operation = rig.operation(id);
    assert_eq!((operation.status, operation.count(Outcome::FailedAgain)), (Status::Stopped, 8));
    assert_eq!(rig.redrives(), 8, "the rest is untouched");
    let row = rig.world.state().item_rows[&(id, 0)].clone();
    assert_eq!(row.message, "mapper_refused: no");

    rig.world.advance(60);
    let rest = rig.control().retry(id, "ben", 900).await.unwrap().operation_id;
    rig.control().start(rest, "ben", "now it is fixed").await.unwrap();
    rig.to_its_end(rest, |_| true).await;
    assert_eq!(rig.operation(rest).count(Outcome::Released), 100);
    assert_eq!(rig.redrives(), 108);
}

#[tokio::test]
async fn of_two_operations_over_one_event_one_runs_it() {
    let rig = Rig::new(40);
    let items = || (0..40).map(item).collect::<Vec<_>>();
    let first = rig.started(draft(Kind::Redrive, items())).await;
    let second = rig.started(draft(Kind::Redrive, items())).await;
    rig.world.advance(1);
    rig.slice(first).await.unwrap();
    rig.to_its_end(second, |_| true).await;
    rig.to_its_end(first, |_| true).await;
    let (one, two) = (rig.operation(first), rig.operation(second));
    assert_eq!(one.count(Outcome::Released) + two.count(Outcome::Released), 40);
    assert_eq!(one.count(Outcome::Taken) + two.count(Outcome::Taken), 40);
    assert_eq!(two.count(Outcome::Taken), 8, "what the first had begun");
    assert_eq!(rig.redrives(), 40);
    let row = rig.world.state().item_rows[&(second, 0)].clone();
    assert_eq!(row.taken_by, Some(first));
    assert!(row.message.contains(&first.to_string()), "{}", row.message);
}

#[tokio::test]
async fn what_left_the_quarantine_or_changed_since_the_plan_is_seen() {
    let rig = Rig::new(4);
    let id = rig.started(draft(Kind::Redrive, (0..4).map(item).collect())).await;
    {
        let mut state = rig.world.state();
        let now = state.now_or_default();
        let key = |number| (quarantine_row(number).vendor_id, quarantine_row(number).ingest_id);
        state.quarantine.get_mut(&key(0)).unwrap().status = QuarantineStatus::Discarded;
        // Redriven in the AWS console, and failed again.
        let held = state.quarantine.get_mut(&key(1)).unwrap();
        (held.attempts, held.last_seen_at) = (2, now);
        state.executions.get_mut(&arn(1)).unwrap().redrive_count = 1;
        // Step Functions has forgotten it.
        state.executions.remove(&arn(2));
    }
    for _ in 0..5 {
        rig.world.advance(10);
        rig.slice(id).await.unwrap();
        let mut state = rig.world.state();
        for (number, count) in [(1, 2), (3, 1)] {
            let execution = state.executions.get_mut(&arn(number)).unwrap();
            assert!(execution.redrive_count == count || execution.status != "RUNNING");
            execution.status = "SUCCEEDED".into();
        }
    }
    let operation = rig.operation(id);
    assert_eq!((operation.count(Outcome::NotQuarantined), operation.count(Outcome::Released)), (1, 2));
    let state = rig.world.state();
    assert_eq!(state.reruns.len(), 1, "what is forgotten runs as a new execution");
    assert!(state.reruns.keys().all(|name| name.contains(&ingest_id(2))));
}

#[tokio::test]
async fn a_pause_that_comes_between_two_slices_holds() {
    let rig = Rig::new(100);
    let id = rig.started(draft(Kind::Redrive, (0..100).map(item).collect())).await;
    rig.world.advance(1);
    rig.slice(id).await.unwrap();
    rig.control().pause(id, "ben", None).await.unwrap();
    let old = rig.input(id);
    rig.to_its_end(id, |_| true).await;
    assert_eq!((rig.operation(id).finished(), rig.redrives()), (8, 8));
    rig.control().resume(id, "ben", None).await.unwrap();
    // The execution from before the pause is still about: it ends without a word.
    let answer = handle(&rig.deps, old).await.unwrap();
    assert_eq!((&answer["continue"], rig.redrives()), (&json!(false), 8));
    rig.to_its_end(id, |_| true).await;
    assert_eq!(rig.operation(id).count(Outcome::Released), 100);
}

#[tokio::test]
async fn an_execution_that_cannot_go_on_says_why() {
    let rig = Rig::new(1);
    let id = rig.started(draft(Kind::Redrive, vec![item(0)])).await;
    let mut input = rig.input(id);
    let cause = json!({"errorType": "Misconfigured", "errorMessage": r#"{"code":"denied","message":"no access to the table"}"#});
    input["error"] = json!({"Error": "Misconfigured", "Cause": cause.to_string()});
    assert_eq!(handle(&rig.deps, input).await.unwrap()["continue"], false);
    let operation = rig.operation(id);
    assert_eq!(
        (operation.status, operation.failure.as_deref()),
        (Status::Failed, Some("denied: no access to the table"))
    );
    let unknown = json!({"operationId": ingest_id(9), "run": {"number": 1, "token": ingest_id(9)},
        "executionArn": "arn:x", "startedAt": "2026-11-21T10:00:00Z"});
    assert_eq!(handle(&rig.deps, unknown).await.unwrap()["continue"], false);
    assert_eq!(handle(&rig.deps, json!({"operationId": 1})).await.unwrap_err().error_type(), "Misconfigured");
}

#[tokio::test]
async fn dead_letters_are_moved_and_a_stop_cancels() {
    let rig = Rig::new(0);
    let queue = |queue: &str| {
        Item(Work::Move(MoveItem {
            queue: queue.into(),
            queue_arn: format!("arn:aws:sqs:r:1:{queue}"),
            destination: "sluice-orders".into(),
            messages: 9,
        }))
    };
    let id = rig.started(draft(Kind::DeadLetters, vec![queue("sluice-orders-dlq")])).await;
    assert!(rig.slice(id).await.unwrap());
    assert!(rig.slice(id).await.unwrap());
    assert_eq!(rig.elsewhere.moves.lock().unwrap().len(), 1, "it is started once");
    rig.control().stop(id, "ben", None).await.unwrap();
    rig.slice(id).await.unwrap();
    assert!(!rig.slice(id).await.unwrap());
    let operation = rig.operation(id);
    assert_eq!((operation.status, operation.count(Outcome::NotMoved)), (Status::Stopped, 1));

    rig.world.advance(60);
    let id = rig.control().retry(id, "ben", 900).await.unwrap().operation_id;
    rig.control().start(id, "ben", "T-2").await.unwrap();
    assert!(rig.slice(id).await.unwrap());
    rig.elsewhere.moves.lock().unwrap()[0].state = MoveState::Completed;
    assert!(!rig.slice(id).await.unwrap());
    assert_eq!(rig.operation(id).count(Outcome::Moved), 1);
    assert_eq!(rig.elsewhere.moves.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn batches_are_replayed_and_corrected_one_after_the_other() {
    for (kind, outcome, done) in [
        (Kind::Replay, Outcome::PartlyReplayed, "normalized"),
        (Kind::Correct, Outcome::PartlyCorrected, "corrected"),
    ] {
        let rig = Rig::new(0);
        let batch = |number: u64| {
            let at = |key: String| sluice_core::id::ObjectRef { bucket: "b".into(), key };
            let manifest = at(format!("m-{number}"));
            let item = ReplayItem { manifest, results: at("r".into()), events: 10 + number };
            Item(if kind == Kind::Correct { Work::Correct(item) } else { Work::Replay(item) })
        };
        let mut draft = draft(kind, vec![batch(0), batch(1)]);
        draft.pace.budget = None;
        let id = rig.started(draft).await;
        assert!(rig.slice(id).await.unwrap());
        assert_eq!(rig.elsewhere.replays.lock().unwrap().len(), 1);
        while rig.slice(id).await.unwrap() {
            rig.world.advance(1);
        }
        let operation = rig.operation(id);
        assert_eq!((operation.status, operation.count(outcome)), (Status::Completed, 2));
        let names: Vec<String> =
            rig.elsewhere.replays.lock().unwrap().iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(names, [format!("{id}-0"), format!("{id}-1")]);
        let message = format!("10 of 11 events were {done}");
        assert_eq!(rig.world.state().item_rows[&(id, 1)].message, message);
    }
}

/// A row that waits for its vendor's release.
fn held_row(number: usize) -> LedgerRow {
    let mut row = ledger_row(number);
    (row.status, row.status_shard) = (EventStatus::Held, EventStatus::Held.shard(row.ingest_id));
    row.waited = serde_json::from_value(json!({"since": "2026-11-21T09:00:01Z",
        "hold": {"by": "ben", "reason": "a bad export", "at": "2026-11-21T09:00:00Z"}}))
    .unwrap();
    row
}

#[tokio::test]
async fn each_event_that_waits_is_let_go_once_wherever_a_slice_is_cut_off() {
    for at in 0..40 {
        for failure in [Failure::Before, Failure::After] {
            let rig = Rig::new(0);
            let mut items = Vec::new();
            for number in 0..4 {
                let row = held_row(number);
                items.push(Item(Work::Release(ReleaseItem {
                    ingest_id: row.ingest_id,
                    key: row.key.clone(),
                })));
                rig.world.state().ledger.insert(row.key.clone(), row);
            }
            let id = rig.started(draft(Kind::Release, items)).await;
            // One went on by itself meanwhile.
            rig.world.state().ledger.get_mut(&held_row(3).key).unwrap().status = EventStatus::Normalized;
            rig.world.fail_next(std::iter::repeat_n(Failure::None, at).chain([failure]));
            rig.to_its_end(id, |_| true).await;
            let operation = rig.operation(id);
            let said = format!("{failure:?} at call {at}: {operation:?}");
            assert_eq!(operation.status, Status::Completed, "{said}");
            assert_eq!(
                (operation.count(Outcome::LetGo), operation.count(Outcome::NotHeld)),
                (3, 1),
                "{said}"
            );
            for number in 0..3 {
                let row = rig.world.state().ledger[&held_row(number).key].clone();
                let let_go = row.waited.unwrap().let_go.unwrap();
                assert_eq!((row.status, let_go.by.as_str()), (EventStatus::Received, "anna"), "{said}");
                assert!(let_go.reason.ends_with(": T-1"), "{}", let_go.reason);
            }
        }
    }
}
