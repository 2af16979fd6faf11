//! What the row of an execution says of when it has something to do.

#![expect(clippy::unwrap_used, reason = "tests")]

use async_trait::async_trait;
use serde_json::{Value, json};
use sluice_asl::MachineType;

use super::*;
use crate::{
    Clock, Commits, Engine, Integrations, Location, Payload, StateMachineSpec, TaskContext, TaskError,
    TokioClock,
};

/// Its tasks never end.
struct Hanging;

#[async_trait]
impl Integrations for Hanging {
    async fn invoke(&self, _: &str, _: Value, _: &TaskContext) -> std::result::Result<Value, TaskError> {
        std::future::pending().await
    }
}

async fn wake_at(inner: &Inner) -> Option<i64> {
    let read = |c: &Connection| c.query_row("SELECT wake_at FROM executions", [], |row| row.get(0));
    inner.journal.read(read).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_step_of_a_sleeper_says_in_its_own_commit_that_it_is_awake() {
    let options =
        Options { commits: Commits::Inline, seed: Some(1), resume_later: true, ..Options::default() };
    let clock: Arc<dyn Clock> = Arc::new(TokioClock::starting_at(stamp(0)));
    let engine = Engine::open(&Location::Memory, Arc::new(Hanging), clock, options).await.unwrap();
    let states = json!({
        "Rest": {"Type": "Wait", "Seconds": 100, "Next": "Call"},
        "Call": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Arguments": {"FunctionName": "f"}, "End": true},
    });
    let asl = json!({"QueryLanguage": "JSONata", "StartAt": "Rest", "States": states}).to_string();
    let spec = StateMachineSpec::new("m", MachineType::Standard, asl);
    let machine = engine.put_state_machine(spec).await.unwrap();
    engine.start_execution(&machine.arn, Some("e"), Payload::empty()).await.unwrap();

    let mut drive = engine.inner.take_up(1).await.unwrap();
    let timer = drive.execution.pending().into_iter().find_map(|effect| match effect {
        Effect::SetTimer { timer, .. } => Some(timer),
        _ => None,
    });
    // Longer than its timer runs, so that what is left of the sleep would delay it.
    drive.sleep(stamp(1_000_000)).await.unwrap();
    assert_eq!(wake_at(&engine.inner).await, Some(1_000_000));
    tokio::time::sleep(Duration::from_secs(101)).await;
    drive.step(InputKind::TimerFired { timer: timer.unwrap() }, None).await.unwrap();
    // The engine crashes here: nothing but the journal is left.
    let awake = wake_at(&engine.inner).await;
    assert_eq!(awake, Some(number(drive.last)));
    assert!(awake <= Some(number(engine.inner.now())));
}
