//! Transitions one by one, and any order of what people, executions and crashes do to one row.
#![expect(clippy::unwrap_used, reason = "a test's own constants")]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::control::{Control, ControlError, Draft};
use super::*;
use crate::port::Clock as _;
use crate::testing::{Failure, World};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_795_255_200 + seconds).unwrap()
}

fn item(number: usize) -> Item {
    Item(Work::Move(MoveItem {
        queue: format!("q-{number}"),
        queue_arn: format!("arn:q-{number}"),
        destination: "d".into(),
        messages: 1,
    }))
}

fn draft(items: usize) -> Draft {
    Draft {
        id: None,
        kind: Kind::Redrive,
        what: "group 0123456789abcdef".into(),
        items: (0..items).map(item).collect(),
        groups: Vec::new(),
        pace: Pace { per_second: 50, budget: Some(Budget { percent: 10, failures_min: 5 }) },
        by: "anna".into(),
        valid_seconds: PLAN_SECONDS,
        retry_of: None,
    }
}

fn planned(items: u64) -> Operation {
    Operation {
        operation_id: OperationId::mint(at(0), 1),
        kind: Kind::Redrive,
        status: Status::Planned,
        plan: Plan {
            what: "all".into(),
            items,
            groups: Vec::new(),
            sha256: Sha256Hex::of(b""),
            expires_at: at(900),
        },
        pace: draft(1).pace,
        planned_by: "anna".into(),
        created_at: at(0),
        updated_at: at(0),
        started_by: None,
        reason: None,
        started_at: None,
        ended_at: None,
        begun: 0,
        in_flight: Vec::new(),
        counts: BTreeMap::new(),
        run: None,
        next_at: None,
        stopped: None,
        failure: None,
        retry_of: None,
        version: 1,
    }
}

fn run(number: u32) -> Run {
    Run { number, token: OperationId::mint(at(0), u128::from(number)), execution_arn: None }
}

fn running(items: u64) -> Operation {
    let mut operation = planned(items);
    operation.start(run(1), "anna", "T-1", at(1)).unwrap();
    operation
}

fn settle_all(operation: &mut Operation, outcome: Outcome, now: Timestamp) {
    let outcomes: Vec<_> = operation.in_flight.iter().map(|held| (held.item, outcome)).collect();
    operation.settle(&outcomes, now);
}

#[test]
fn a_plan_is_started_once_in_time_and_for_a_reason() {
    let mut operation = planned(3);
    assert_eq!(operation.start(run(1), "anna", "  ", at(1)).unwrap_err().code(), "operation_reason_missing");
    let expired = operation.start(run(1), "anna", "T-1", at(900)).unwrap_err();
    assert_eq!(expired.code(), "operation_plan_expired");
    assert!(expired.to_string().contains("make a new plan"), "{expired}");
    assert_eq!(operation, planned(3), "a refusal changes nothing");
    operation.start(run(1), "anna", "T-1", at(899)).unwrap();
    let again = operation.start(run(2), "ben", "T-1", at(899)).unwrap_err();
    assert_eq!(again.code(), "operation_already_started");
    assert!(again.to_string().contains("by anna"), "{again}");
    let long = "x".repeat(TEXT_CHARS_MAX + 1);
    assert_eq!(planned(3).start(run(1), "anna", &long, at(1)).unwrap_err().code(), "operation_text_too_long");
}

#[test]
fn what_is_in_progress_comes_to_its_end_after_a_pause_and_a_stop() {
    let mut operation = running(20);
    assert_eq!(operation.begin(at(1)), 0..8, "the first window");
    assert_eq!(operation.pause(at(2)).unwrap(), Change::Changed);
    assert_eq!(operation.pause(at(2)).unwrap(), Change::Already);
    assert!(operation.begin(at(9)).is_empty(), "nothing is begun while it is paused");
    assert!(operation.next(at(9)).goes_on, "8 are in progress");
    settle_all(&mut operation, Outcome::Released, at(9));
    assert_eq!((operation.status, operation.next(at(9))), (Status::Paused, Next::END));
    assert_eq!(operation.resume(run(2), at(10)).unwrap(), Change::Changed);
    assert_eq!(operation.begin(at(10)), 8..20, "the window has opened");
    assert_eq!(operation.stop(at(11)).unwrap(), Change::Changed);
    assert_eq!(operation.resume(run(3), at(11)).unwrap_err().code(), "operation_ended");
    assert_eq!(operation.pause(at(11)).unwrap_err().code(), "operation_ended");
    assert_eq!(operation.status, Status::Stopping);
    settle_all(&mut operation, Outcome::Released, at(12));
    assert_eq!((operation.status, operation.stopped), (Status::Stopped, Some(StopCause::Person)));
    assert_eq!(operation.stop(at(13)).unwrap(), Change::Already);
}

#[test]
fn a_paused_operation_stops_at_once_and_a_plan_is_withdrawn() {
    let mut operation = running(20);
    operation.pause(at(2)).unwrap();
    operation.stop(at(3)).unwrap();
    assert_eq!((operation.status, operation.ended_at), (Status::Stopped, Some(at(3))));
    let mut operation = planned(1);
    assert_eq!(operation.pause(at(1)).unwrap_err().code(), "operation_not_started");
    operation.stop(at(1)).unwrap();
    assert_eq!(operation.status, Status::Stopped);
}

#[test]
fn a_fix_that_does_not_fix_costs_a_window() {
    let mut operation = running(1_000);
    let mut now = 1;
    while operation.next(at(now)).goes_on {
        operation.begin(at(now));
        settle_all(&mut operation, Outcome::FailedAgain, at(now));
        now += 1;
        assert!(now < 100);
    }
    assert_eq!((operation.status, operation.stopped), (Status::Stopped, Some(StopCause::ErrorBudget)));
    assert_eq!((operation.finished(), operation.failed()), (8, 8));
    // What is in progress when the budget is spent is still waited for.
    let mut operation = running(1_000);
    operation.begin(at(1));
    operation.settle(&(0..5).map(|item| (item, Outcome::FailedAgain)).collect::<Vec<_>>(), at(2));
    assert_eq!((operation.status, operation.in_flight.len()), (Status::Stopping, 3));
}

#[test]
fn it_begins_no_more_than_its_pace() {
    let mut operation = running(1_000);
    operation.pace = Pace { per_second: 10, budget: None };
    let mut begun = 0;
    // Asked four times a second.
    for quarter in 0..80 {
        let now = Timestamp::from_millisecond(at(1).as_millisecond() + quarter * 250).unwrap();
        begun += operation.begin(now).count();
        settle_all(&mut operation, Outcome::Released, now);
        let allowed = 10 + usize::try_from(quarter).unwrap() * 250 * 10 / 1_000;
        assert!(begun <= allowed, "{begun} of {allowed} after {quarter} quarters");
    }
    assert!(begun > 150, "{begun}");
}

#[test]
fn a_failed_operation_is_resumed_or_stopped() {
    let mut operation = running(20);
    operation.begin(at(1));
    assert_eq!(operation.fail("denied", at(2)), Change::Changed);
    assert_eq!((operation.status, operation.failure.as_deref()), (Status::Failed, Some("denied")));
    let mut resumed = operation.clone();
    resumed.resume(run(2), at(3)).unwrap();
    assert_eq!((resumed.status, resumed.failure.clone()), (Status::Running, None));
    operation.stop(at(3)).unwrap();
    assert_eq!(operation.status, Status::Stopping, "8 are in progress");
    assert!(operation.needs_execution());
}

#[test]
fn one_execution_drives_an_operation() {
    let operation = running(1);
    let mine = run(1).token;
    assert_eq!(operation.standing(1, mine, at(1), at(2)), Standing::Drives);
    assert_eq!(
        operation.standing(1, run(7).token, at(1), at(2)),
        Standing::Superseded,
        "the other who pressed"
    );
    assert_eq!(
        operation.standing(2, mine, at(1), at(2)),
        Standing::Early,
        "its starter has not stored the row"
    );
    assert_eq!(operation.standing(2, mine, at(1), at(1 + EARLY_SECONDS_MAX)), Standing::Superseded);
    assert_eq!(planned(1).standing(1, mine, at(1), at(2)), Standing::Early);
}

#[test]
fn a_row_is_read_as_it_was_written() {
    let mut operation = running(20);
    operation.begin(at(1));
    operation.settle(&[(0, Outcome::Released), (3, Outcome::FailedAgain)], at(2));
    let text = serde_json::to_string(&operation).unwrap();
    assert_eq!(serde_json::from_str::<Operation>(&text).unwrap(), operation);
    assert!(text.contains(r#""counts":{"released":1,"failed_again":1}"#), "{text}");
    assert!("x".parse::<OperationId>().unwrap_err().to_string().contains("operation id"));
}

/// What happens to a row. Whoever acts has read the row at some time: `stale` versions ago.
#[derive(Debug, Clone)]
enum Step {
    Start { reason: bool },
    Pause,
    Resume,
    Stop,
    Fail,
    Begin,
    Settle { which: u8, outcome: u8 },
}

fn step() -> impl Strategy<Value = (Step, usize)> {
    let step = prop_oneof![
        1 => any::<bool>().prop_map(|reason| Step::Start { reason }),
        1 => Just(Step::Pause),
        2 => Just(Step::Resume),
        1 => Just(Step::Stop),
        1 => Just(Step::Fail),
        6 => Just(Step::Begin),
        8 => (any::<u8>(), any::<u8>()).prop_map(|(which, outcome)| Step::Settle { which, outcome }),
    ];
    (step, 0_usize..3)
}

proptest! {
    /// Whoever acts, in whatever order and on however old a row: nothing is begun or counted twice, a stop is for good, and the
    /// counts are those of the items.
    #[test]
    fn no_order_of_acts_breaks_an_operation(steps in proptest::collection::vec(step(), 1..120), items in 1_u64..40) {
        let mut versions = vec![planned(items)];
        let mut begun = BTreeSet::new();
        let mut counted = BTreeSet::new();
        let mut now = 1;
        for (step, stale) in steps {
            now += 1;
            let seen = versions[versions.len().saturating_sub(1 + stale)].clone();
            let stored = versions.last().unwrap().clone();
            let mut next = seen.clone();
            let mut range = 0..0;
            let mut settled = Vec::new();
            let _ = match step {
                Step::Start { reason } => {
                    let number = next.next_run_number();
                    next.start(run(number), "anna", if reason { "T-1" } else { "" }, at(now)).map(|()| Change::Changed)
                }
                Step::Pause => next.pause(at(now)),
                Step::Resume => {
                    let number = next.next_run_number();
                    next.resume(run(number), at(now))
                }
                Step::Stop => next.stop(at(now)),
                Step::Fail => Ok(next.fail("x", at(now))),
                Step::Begin => {
                    range = next.begin(at(now));
                    Ok(Change::Already)
                }
                Step::Settle { which, outcome } => {
                    let all = [Outcome::Released, Outcome::FailedAgain, Outcome::Taken, Outcome::Error];
                    if !next.in_flight.is_empty() {
                        let held = next.in_flight[usize::from(which) % next.in_flight.len()];
                        settled.push((held.item, all[usize::from(outcome) % all.len()]));
                    }
                    Ok(next.settle(&settled, at(now)))
                }
            };
            if next == seen {
                continue;
            }
            prop_assert_eq!(next.version, seen.version + 1, "each change has its version");
            // The conditional write of the table.
            if next.version != stored.version + 1 {
                continue;
            }
            for item in range {
                prop_assert!(begun.insert(item), "{} was begun twice", item);
                prop_assert!(stored.status == Status::Running, "begun while {:?}", stored.status);
            }
            for (item, _) in settled {
                prop_assert!(counted.insert(item), "{} was counted twice", item);
            }
            if stored.status.has_ended() {
                prop_assert!(false, "{:?} changed to {:?}", stored.status, next.status);
            }
            if stored.status == Status::Stopping {
                let ends = matches!(next.status, Status::Stopping | Status::Stopped | Status::Failed);
                prop_assert!(ends, "a stop became {:?}", next.status);
            }
            prop_assert_eq!(next.begun, begun.len() as u64);
            prop_assert_eq!(next.finished(), counted.len() as u64);
            prop_assert_eq!(next.finished() + next.in_flight.len() as u64 + next.waiting(), next.plan.items);
            prop_assert_eq!(next.status == Status::Completed, next.status.has_ended() && next.finished() == items && next.stopped != Some(StopCause::Person));
            prop_assert!(!next.status.has_ended() || next.in_flight.is_empty());
            prop_assert!(next.in_flight.len() as u64 <= WINDOW_MAX);
            versions.push(next);
        }
    }
}

fn control(world: &World) -> Control<'_> {
    Control { store: world, runs: world, clock: world }
}

fn refusal(result: Result<Operation, ControlError>) -> &'static str {
    match result {
        Err(ControlError::Refused(refusal)) => refusal.code(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_people_do_is_stored_with_the_change() {
    let world = World::new();
    let control = control(&world);
    assert_eq!(refusal(control.plan(Draft { items: Vec::new(), ..draft(1) }).await), "operation_empty");
    let mut fast = draft(1);
    fast.pace.per_second = 0;
    assert_eq!(refusal(control.plan(fast).await), "operation_out_of_bounds");
    let operation = control.plan(draft(250)).await.unwrap();
    let id = operation.operation_id;
    assert_eq!(world.state().executions.len(), 0, "a plan runs nothing");
    assert_eq!(refusal(control.start(id, "anna", "").await), "operation_reason_missing");
    assert_eq!(world.state().executions.len(), 0, "what is refused starts nothing");

    control.start(id, "anna", "T-1").await.unwrap();
    control.pause(id, "ben", Some("lunch")).await.unwrap();
    let paused_twice = control.pause(id, "carl", None).await.unwrap();
    assert_eq!(paused_twice.status, Status::Paused);
    control.resume(id, "ben", None).await.unwrap();
    control.stop(id, "anna", Some("enough")).await.unwrap();
    let acts = OperationStore::acts(&world, id).await.unwrap();
    let said: Vec<_> = acts.iter().map(|act| (act.verb, act.by.as_str(), act.reason.as_deref())).collect();
    assert_eq!(
        said,
        [
            (Verb::Planned, "anna", None),
            (Verb::Started, "anna", Some("T-1")),
            (Verb::Paused, "ben", Some("lunch")),
            (Verb::Resumed, "ben", None),
            (Verb::Stopped, "anna", Some("enough")),
        ],
        "who only confirmed is not named"
    );
    let operation = control.find(id).await.unwrap();
    assert_eq!((operation.status, operation.run.map(|run| run.number)), (Status::Stopped, Some(2)));
    let missing = OperationId::mint(world.now(), 99);
    assert_eq!(refusal(control.pause(missing, "anna", None).await), "operation_not_found");
}

#[tokio::test]
async fn an_expired_plan_is_refused() {
    let world = World::new();
    let control = control(&world);
    let id = control.plan(draft(1)).await.unwrap().operation_id;
    world.advance(PLAN_SECONDS);
    assert_eq!(refusal(control.start(id, "anna", "T-1").await), "operation_plan_expired");
}

/// The starter is gone between its two writes: the execution has started, the row does not name it.
#[tokio::test]
async fn a_start_that_is_cut_off_leaves_a_plan() {
    let world = World::new();
    let control = control(&world);
    let id = control.plan(draft(1)).await.unwrap().operation_id;
    // The row is read, the execution is started, the row is not stored.
    world.fail_next([Failure::None, Failure::None, Failure::Before]);
    assert!(matches!(control.start(id, "anna", "T-1").await, Err(ControlError::Fault(_))));
    let operation = control.find(id).await.unwrap();
    assert_eq!((operation.status, operation.run), (Status::Planned, None));
    assert_eq!(world.state().executions.len(), 1, "it ends by itself");
    assert_eq!(control.start(id, "anna", "T-1").await.unwrap().status, Status::Running);
}

#[tokio::test]
async fn an_operation_whose_execution_is_gone_gets_another() {
    let world = World::new();
    let control = control(&world);
    let id = control.plan(draft(20)).await.unwrap().operation_id;
    let operation = control.start(id, "anna", "T-1").await.unwrap();
    let arn = operation.run.unwrap().execution_arn.unwrap();
    world.state().executions.get_mut(&arn).unwrap().status = "ABORTED".into();
    let resumed = control.resume(id, "ben", None).await.unwrap();
    let run = resumed.run.unwrap();
    assert_eq!((resumed.status, run.number), (Status::Running, 2));
    assert_ne!(run.execution_arn.as_deref(), Some(arn.as_str()));
    let acts = OperationStore::acts(&world, id).await.unwrap();
    assert_eq!(acts.last().map(|act| act.verb), Some(Verb::Revived));
}

#[tokio::test]
async fn a_retry_is_of_what_failed_and_of_what_was_never_begun() {
    let world = World::new();
    let control = control(&world);
    let id = control.plan(draft(250)).await.unwrap().operation_id;
    assert_eq!(refusal(control.retry(id, "anna", 60).await), "operation_not_started");
    control.start(id, "anna", "T-1").await.unwrap();
    assert_eq!(refusal(control.retry(id, "anna", 60).await), "operation_out_of_bounds");
    {
        let mut state = world.state();
        let operation = state.operations.get_mut(&id).unwrap();
        operation.begun = 203;
        operation.status = Status::Stopped;
        for (place, outcome) in
            [(5, Outcome::FailedAgain), (6, Outcome::Released), (201, Outcome::Taken), (202, Outcome::Error)]
        {
            let row = ItemRow::new(id, place, format!("q-{place}"), at(0)).ended(outcome, "", at(1));
            state.item_rows.insert((id, place), row);
        }
    }
    let rest = control.retry(id, "ben", 60).await.unwrap();
    assert_eq!((rest.retry_of, rest.plan.items), (Some(id), 2 + 47));
    let names: Vec<String> =
        world.state().operation_items[&rest.operation_id].iter().map(Item::name).collect();
    assert_eq!((names[0].as_str(), names[1].as_str(), names[2].as_str()), ("q-5", "q-202", "q-203"));
}
