//! Small definitions with the histories that AWS records for them, then the rules one by one, then chance.
//!
//! Each execution is replayed after every input and must be the same in every part.

#![expect(clippy::unwrap_used, clippy::needless_pass_by_value, reason = "tests")]

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// 2026-11-21T08:30:00Z.
const START: i64 = 1_795_249_800_000;

struct Run {
    execution: Execution,
    journal: Vec<Input>,
    effects: Vec<Effect>,
    now: i64,
}

fn definition(machine_type: MachineType, asl: &Value) -> Arc<Definition> {
    let parsed = Definition::parse(&asl.to_string(), machine_type);
    Arc::new(parsed.unwrap_or_else(|errors| panic!("{errors}")))
}

fn machine(start_at: &str, states: Value) -> Value {
    json!({"QueryLanguage": "JSONata", "StartAt": start_at, "States": states})
}

fn task(more: Value) -> Value {
    let mut task = json!({"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": true});
    let Value::Object(more) = more else { panic!("{more}") };
    let members = task.as_object_mut().unwrap();
    if more.contains_key("Next") {
        members.remove("End");
    }
    members.extend(more);
    task
}

fn standard(start_at: &str, states: Value, input: Value) -> Run {
    Run::start(definition(MachineType::Standard, &machine(start_at, states)), input)
}

impl Run {
    fn start(definition: Arc<Definition>, input: Value) -> Run {
        let start = InputKind::Start(Start { input, ..Start::example() });
        let input = Input { at: Timestamp::from_millis(START), seed: 1, kind: start };
        let (execution, effects) = Execution::start(definition, input.clone()).unwrap();
        let run = Run { execution, journal: vec![input], effects, now: START };
        run.check();
        run
    }

    fn check(&self) {
        let replayed =
            Execution::replay(Arc::clone(&self.execution.definition), self.journal.clone()).unwrap();
        assert_eq!(everything(&replayed), everything(&self.execution));
        consistent(&self.execution);
    }

    fn try_apply(&mut self, kind: InputKind) -> Result<(), ApplyError> {
        let input = Input { at: Timestamp::from_millis(self.now), seed: self.now as u64 ^ 0xabcd, kind };
        let before = everything(&self.execution);
        match self.execution.apply(input.clone()) {
            Ok(effects) => {
                self.effects = effects;
                self.journal.push(input);
                self.check();
                Ok(())
            }
            Err(error) => {
                assert_eq!(everything(&self.execution), before, "a refused input changes nothing");
                Err(error)
            }
        }
    }

    fn apply(&mut self, kind: InputKind) -> &mut Self {
        self.now += 1000;
        self.try_apply(kind).unwrap();
        self
    }

    fn tasks(&self) -> Vec<ScheduledTask> {
        let pending = self.execution.pending().into_iter();
        pending
            .filter_map(|effect| if let Effect::ScheduleTask(task) = effect { Some(task) } else { None })
            .collect()
    }

    fn timers(&self) -> Vec<(Timestamp, TimerId)> {
        let pending = self.execution.pending().into_iter();
        let mut timers: Vec<_> = pending
            .filter_map(
                |effect| if let Effect::SetTimer { timer, at } = effect { Some((at, timer)) } else { None },
            )
            .collect();
        timers.sort();
        timers
    }

    fn map_runs(&self) -> Vec<Arc<MapRun>> {
        let pending = self.execution.pending().into_iter();
        pending
            .filter_map(|effect| if let Effect::StartMapRun(run) = effect { Some(run) } else { None })
            .collect()
    }

    fn map_run(&self) -> Arc<MapRun> {
        self.map_runs().pop().unwrap_or_else(|| panic!("no map run: {:?}", self.execution.status))
    }

    fn map_succeeds(&mut self, output: Value) -> &mut Self {
        let task = self.map_run().task;
        self.apply(InputKind::MapRunSucceeded { task, output })
    }

    fn map_fails(&mut self, error: &str) -> &mut Self {
        let task = self.map_run().task;
        self.apply(InputKind::MapRunFailed { task, error: error.to_owned(), cause: Some("why".to_owned()) })
    }

    fn task(&self, state: &str) -> ScheduledTask {
        self.tasks()
            .into_iter()
            .find(|task| &*task.state_name == state)
            .unwrap_or_else(|| panic!("no {state}: {:?}", self.execution.status))
    }

    fn succeed(&mut self, state: &str, output: Value) -> &mut Self {
        let task = self.task(state).task;
        self.apply(InputKind::TaskSucceeded { task, output })
    }

    fn fail(&mut self, state: &str, error: &str) -> &mut Self {
        let task = self.task(state).task;
        self.apply(InputKind::TaskFailed { task, error: error.to_owned(), cause: Some("why".to_owned()) })
    }

    /// The earliest timer, at its time.
    fn fire(&mut self) -> &mut Self {
        let (at, timer) = self.timers()[0];
        self.now = self.now.max(at.as_millis() - 1000);
        self.apply(InputKind::TimerFired { timer })
    }

    fn redrive(&mut self) -> &mut Self {
        self.apply(InputKind::Redrive)
    }

    fn output(&self) -> Value {
        match self.execution.status() {
            Status::Succeeded { output } => Value::clone(output),
            other => panic!("{other:?}"),
        }
    }

    fn failed(&self) -> (String, String) {
        match self.execution.status() {
            Status::Failed { error, cause } => {
                (error.clone().unwrap_or_default(), cause.clone().unwrap_or_default())
            }
            other => panic!("{other:?}"),
        }
    }

    /// One line for each event: `id<-previousEventId type details`.
    fn history(&self) -> String {
        let mut lines = String::new();
        for event in self.execution.history() {
            let wire = serde_json::to_value(event).unwrap();
            let details = wire
                .as_object()
                .unwrap()
                .iter()
                .find(|(name, _)| name.ends_with("EventDetails"))
                .map(|(_, details)| details);
            let shown = details.map(|details| {
                let mut details = details.clone();
                details
                    .as_object_mut()
                    .unwrap()
                    .retain(|name, _| !name.ends_with("Details") && name != "roleArn");
                details.to_string()
            });
            let (id, previous, name) = (event.id, event.previous_event_id, event.event_type.name());
            writeln!(lines, "{id}<-{previous} {name} {}", shown.unwrap_or_default()).unwrap();
        }
        lines
    }
}

/// All that an execution holds.
fn everything(execution: &Execution) -> String {
    let Execution {
        definition: _,
        started_with,
        input,
        region,
        status,
        start_date,
        stop_date,
        redrive_count,
        redrive_date,
        history,
        last_event,
        history_full,
        threads,
        tasks,
        timers,
        last_id,
        variables_bytes,
        probe: _,
    } = execution;
    format!(
        "{:?}",
        (
            (started_with, input, region, status, start_date, stop_date, redrive_count, redrive_date),
            (history, last_event, history_full, threads, tasks, timers, last_id, variables_bytes)
        )
    )
}

/// What is true of every execution at every moment.
fn consistent(execution: &Execution) {
    let running = matches!(execution.status, Status::Running);
    assert_eq!(running, execution.stop_date.is_none());
    for (index, event) in execution.history.iter().enumerate() {
        assert_eq!(event.id, index as u64 + 1);
        assert!(event.previous_event_id < event.id);
    }
    if !running {
        assert!(execution.pending().is_empty(), "nothing is under way after the end");
    } else {
        assert!(!execution.pending().is_empty(), "a running execution waits for something");
        for (id, thread) in &execution.threads {
            assert!(!matches!(thread.phase, Phase::Ready), "thread {id:?} was forgotten");
        }
    }
    for (task, id) in &execution.tasks {
        assert!(match &execution.threads[id].phase {
            Phase::Task(running) => running.scheduled.task == *task,
            Phase::Mapping(mapping) => mapping == task,
            _ => false,
        });
    }
    let variables = execution.threads.values().flat_map(|thread| thread.variables.values());
    assert_eq!(execution.variables_bytes, variables.map(|variable| variable.bytes).sum::<usize>());
    for thread in execution.threads.values() {
        if let Some(join) = &thread.join {
            assert_eq!(join.remaining, join.results.iter().filter(|result| result.is_none()).count());
            for (child, result) in join.children.iter().zip(&join.results) {
                assert!(child.is_none() || result.is_none());
            }
        }
    }
}

// ── Histories ────────────────────────────────────────────────────────────────

#[test]
fn history_of_a_task_with_all_its_fields() {
    let mut run = standard(
        "T",
        json!({"T": task(json!({
            "Arguments": {"FunctionName": "f", "Payload": {"id": "{% $states.input.id %}"}},
            "TimeoutSeconds": 5, "HeartbeatSeconds": 2,
            "Output": {"got": "{% $states.result.Payload %}", "old": "{% $exists($seen) %}"},
            "Assign": {"seen": "{% $states.result.Payload.n %}", "all": {"x": [1, "{% $states.input.id %}"]}},
        }))}),
        json!({"id": "i-1"}),
    );
    let started = run.task("T").task;
    run.apply(InputKind::TaskStarted { task: started });
    run.succeed("T", json!({"Payload": {"n": 7}}));
    insta::assert_snapshot!(run.history());
    let wire = serde_json::to_value(&run.execution.history()[2]).unwrap();
    insta::assert_json_snapshot!(wire);
    insta::assert_json_snapshot!(serde_json::to_value(&run.execution.history()[5]).unwrap());
}

#[test]
fn history_of_pass_choice_wait_succeed() {
    let mut run = standard(
        "P",
        json!({
            "P": {"Type": "Pass", "Output": {"n": "{% $states.input.n + 1 %}"}, "Assign": {"was": "{% $states.input.n %}"}, "Next": "Big?"},
            "Big?": {"Type": "Choice", "Choices": [
                {"Condition": "{% $states.input.n > 10 %}", "Next": "Done"},
                {"Condition": "{% $states.input.n > 1 %}", "Output": "{% [$states.input.n, $was] %}", "Assign": {"was": "chosen"}, "Next": "W"},
            ], "Default": "Done"},
            "W": {"Type": "Wait", "Seconds": "{% $states.input[0] %}", "Next": "Done"},
            "Done": {"Type": "Succeed", "Output": {"was": "{% $was %}"}},
        }),
        json!({"n": 1}),
    );
    assert_eq!(run.timers()[0].0.as_millis(), START + 2000);
    run.fire();
    insta::assert_snapshot!(run.history());
}

#[test]
fn history_of_a_retry_and_a_catch() {
    let mut run = standard(
        "T",
        json!({
            "T": task(json!({
                "Retry": [{"ErrorEquals": ["Soft"], "IntervalSeconds": 3, "MaxAttempts": 2, "BackoffRate": 2}],
                "Catch": [
                    {"ErrorEquals": ["Other"], "Next": "Caught"},
                    {"ErrorEquals": ["States.ALL"], "Output": {"error": "{% $states.errorOutput %}", "tries": "{% $states.context.State.RetryCount %}"}, "Assign": {"e": "{% $states.errorOutput.Error %}"}, "Next": "Caught"},
                ],
            })),
            "Caught": {"Type": "Pass", "End": true},
        }),
        json!({}),
    );
    run.fail("T", "Soft");
    assert_eq!(run.timers()[0].0.as_millis() - run.now, 3000);
    run.fire().fail("T", "Soft");
    assert_eq!(run.timers()[0].0.as_millis() - run.now, 6000);
    run.fire().fail("T", "Soft");
    insta::assert_snapshot!(run.history());
}

#[test]
fn history_of_a_parallel() {
    let mut run = standard(
        "P",
        json!({
            "P": {"Type": "Parallel", "Arguments": {"x": "{% $states.input.n %}"}, "Next": "After", "Branches": [
                {"StartAt": "A1", "States": {"A1": {"Type": "Pass", "Next": "A2"}, "A2": task(json!({}))}},
                {"StartAt": "B1", "States": {"B1": {"Type": "Pass", "End": true}}},
            ]},
            "After": {"Type": "Pass", "End": true},
        }),
        json!({"n": 1}),
    );
    run.succeed("A2", json!("a"));
    assert_eq!(run.output(), json!(["a", {"x": 1}]));
    insta::assert_snapshot!(run.history());
}

#[test]
fn history_of_a_parallel_that_is_retried_and_fails() {
    let mut run = standard(
        "P",
        json!({"P": {"Type": "Parallel", "Branches": [{"StartAt": "Boom", "States": {"Boom": {"Type": "Fail", "Error": "MyError", "Cause": "my cause"}}}],
            "Retry": [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 1}], "End": true}}),
        json!({}),
    );
    run.fire();
    assert_eq!(run.failed(), ("MyError".into(), "my cause".into()));
    insta::assert_snapshot!(run.history());
}

#[test]
fn history_of_a_parallel_that_is_caught() {
    let run = standard(
        "P",
        json!({
            "P": {"Type": "Parallel", "Branches": [{"StartAt": "Undef", "States": {"Undef": {"Type": "Pass", "Output": {"v": "{% $states.input.missing %}"}, "End": true}}}],
                "Catch": [{"ErrorEquals": ["States.BranchFailed"], "Next": "Handled"}], "End": true},
            "Handled": {"Type": "Pass", "End": true},
        }),
        json!({"x": "a"}),
    );
    insta::assert_snapshot!(run.history());
}

#[test]
fn history_of_siblings_that_are_aborted() {
    let branch = |name: &str, state: Value| json!({"StartAt": name, "States": {name: state}});
    let mut run = standard(
        "P",
        json!({
            "P": {"Type": "Parallel", "Branches": [
                branch("Send", task(json!({}))),
                branch("Idle", json!({"Type": "Wait", "Seconds": 60, "End": true})),
                branch("Inner", json!({"Type": "Parallel", "Branches": [branch("Deep", task(json!({"TimeoutSeconds": 9})))], "End": true})),
                branch("Fine", json!({"Type": "Pass", "End": true})),
            ], "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Handled"}], "End": true},
            "Handled": {"Type": "Pass", "End": true},
        }),
        json!({}),
    );
    let deep = run.task("Deep").task;
    run.fail("Send", "Bad");
    assert!(run.effects.contains(&Effect::CancelTask { task: deep }));
    assert_eq!(
        run.effects.iter().filter(|effect| matches!(effect, Effect::CancelTimer { .. })).count(),
        3,
        "the wait's, the task's and the execution's"
    );
    insta::assert_snapshot!(run.history());
}

#[test]
fn history_of_a_catch_that_fails_itself() {
    let run = standard(
        "P",
        json!({
            "P": {"Type": "Parallel", "Branches": [{"StartAt": "Boom", "States": {"Boom": {"Type": "Fail", "Error": "MyError", "Cause": "my cause"}}}],
                "Catch": [{"ErrorEquals": ["Other"], "Next": "Done"}, {"ErrorEquals": ["States.ALL"], "Output": {"v": "{% $states.input.missing %}"}, "Next": "Done"}], "End": true},
            "Done": {"Type": "Pass", "End": true},
        }),
        json!({"x": "a"}),
    );
    insta::assert_snapshot!(run.history());
}

fn iterate(more: Value, states: Value, start: &str) -> Value {
    let mut map = json!({"Type": "Map", "ItemProcessor": {"ProcessorConfig": {"Mode": "INLINE"}, "StartAt": start, "States": states}, "End": true});
    let Value::Object(more) = more else { panic!("{more}") };
    map.as_object_mut().unwrap().extend(more);
    json!({"M": map})
}

#[test]
fn history_of_a_map_one_by_one() {
    let states = json!({"Process": {"Type": "Pass", "End": true}});
    let run = standard(
        "M",
        iterate(json!({"Items": "{% $states.input.items %}", "MaxConcurrency": 1}), states, "Process"),
        json!({"items": [1, 2]}),
    );
    assert_eq!(run.output(), json!([1, 2]));
    insta::assert_snapshot!(run.history());
}

#[test]
fn history_of_a_map_that_times_out() {
    let states = json!({"LambdaInvoke": task(json!({"TimeoutSeconds": 5}))});
    let mut run = standard("M", iterate(json!({}), states, "LambdaInvoke"), json!([1, 2, 3]));
    for task in run.tasks() {
        run.now -= 1000;
        run.apply(InputKind::TaskStarted { task: task.task });
    }
    run.fire();
    assert_eq!(run.failed(), ("States.Timeout".into(), String::new()));
    insta::assert_snapshot!(run.history());
}

#[test]
fn history_of_a_map_over_nothing_and_of_one_without_items() {
    let states = json!({"I": {"Type": "Pass", "End": true}});
    let run = standard("M", iterate(json!({"Items": []}), states.clone(), "I"), json!({}));
    insta::assert_snapshot!("map_over_nothing", run.history());
    let run = standard(
        "M",
        iterate(json!({"Items": "{% $states.input.missing %}"}), states.clone(), "I"),
        json!({}),
    );
    insta::assert_snapshot!("map_items_undefined", run.history());
    let run = standard("M", iterate(json!({}), states, "I"), json!("text"));
    insta::assert_snapshot!("map_over_a_text", run.history());
}

#[test]
fn history_of_a_failure_in_arguments_for_each_attempt() {
    let states = json!({"Send": task(json!({
        "Arguments": {"QueueUrl": "q", "MessageBody": "{% $states.input.missing %}"},
        "Retry": [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 1}],
    }))});
    let mut run = standard("Send", states, json!({"x": "a"}));
    run.fire();
    insta::assert_snapshot!(run.history());
}

#[test]
fn history_of_a_choice_without_a_match_and_its_redrive() {
    let states = json!({
        "C": {"Type": "Choice", "Choices": [{"Condition": "{% $exists($states.context.Execution.RedriveCount) and $states.context.Execution.RedriveCount > 1 %}", "Next": "Done"}]},
        "Done": {"Type": "Succeed", "Output": "{% $states.context.Execution.RedriveTime %}"},
    });
    let mut run = standard("C", states, json!({}));
    run.redrive().redrive();
    assert_eq!(run.output(), json!("2026-11-21T08:30:02.000Z"));
    insta::assert_snapshot!(run.history());
}

#[test]
fn history_of_a_stop_and_of_a_timeout() {
    let mut asl = machine("T", json!({"T": task(json!({}))}));
    asl["TimeoutSeconds"] = json!(30);
    let definition = definition(MachineType::Standard, &asl);
    let mut run = Run::start(Arc::clone(&definition), json!({}));
    run.fire();
    assert_eq!(run.execution.status().name(), "TIMED_OUT");
    assert!(matches!(run.effects[..], [Effect::CancelTask { .. }, Effect::Finished]), "{:?}", run.effects);
    run.redrive();
    assert_eq!(run.timers()[0].0.as_millis() - run.now, 30_000, "the machine's timeout starts anew");
    run.apply(InputKind::Stop { error: Some("E".into()), cause: None });
    run.apply(InputKind::Stop { error: None, cause: None });
    insta::assert_snapshot!(run.history());
}

// ── Retry and Catch ──────────────────────────────────────────────────────────

fn caught(errors: &[&str], error: &str) -> bool {
    let states = json!({"T": task(json!({"Catch": [{"ErrorEquals": errors, "Next": "C"}]})), "C": {"Type": "Succeed"}});
    let mut run = standard("T", states, json!({}));
    run.fail("T", error);
    run.execution.status().name() == "SUCCEEDED"
}

#[test]
fn wildcards_match_what_aws_says() {
    for (names, error, expected) in [
        (["States.ALL"], "Anything", true),
        (["States.ALL"], "States.Timeout", true),
        (["States.ALL"], "States.DataLimitExceeded", false),
        (["States.ALL"], "States.Runtime", false),
        (["States.Runtime"], "States.Runtime", false),
        (["States.DataLimitExceeded"], "States.DataLimitExceeded", true),
        (["States.TaskFailed"], "Anything", true),
        (["States.TaskFailed"], "States.QueryEvaluationError", true),
        (["States.TaskFailed"], "States.Timeout", false),
        (["States.TaskFailed"], "States.DataLimitExceeded", false),
        (["States.Timeout"], "States.HeartbeatTimeout", true),
        (["States.Timeout"], "Anything", false),
        (["States.BranchFailed"], "Anything", false),
        (["A"], "A", true),
        (["A"], "a", false),
    ] {
        assert_eq!(caught(&names, error), expected, "{names:?} {error}");
    }
}

#[test]
fn retriers_count_apart_and_start_anew_with_the_state() {
    let states = json!({
        "T": task(json!({
            "Retry": [{"ErrorEquals": ["A"], "MaxAttempts": 1}, {"ErrorEquals": ["B"], "MaxAttempts": 1}, {"ErrorEquals": ["C"], "MaxAttempts": 0}, {"ErrorEquals": ["States.ALL"]}],
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Again"}],
        })),
        "Again": {"Type": "Pass", "Next": "T"},
    });
    let mut run = standard("T", states, json!({}));
    run.fail("T", "A").fire().fail("T", "B").fire();
    assert_eq!(run.task("T").retry_count, 2);
    run.fail("T", "A");
    assert_eq!(run.task("T").retry_count, 0, "caught, and entered again");
    run.fail("T", "A").fire();
    assert_eq!(run.task("T").retry_count, 1);
    run.fail("T", "C");
    assert_eq!(run.task("T").retry_count, 0, "no attempts, and the first that matches decides");
    for _ in 0..3 {
        run.fail("T", "D").fire();
    }
    assert_eq!(run.task("T").retry_count, 3, "three attempts unless said otherwise");
}

#[test]
fn delays_grow_up_to_their_bound_and_jitter_stays_below() {
    let delays = |retrier: Value, attempts: usize| -> Vec<i64> {
        let mut retrier = retrier;
        retrier["ErrorEquals"] = json!(["States.ALL"]);
        retrier["MaxAttempts"] = json!(99);
        let mut run = standard("T", json!({"T": task(json!({"Retry": [retrier]}))}), json!({}));
        (0..attempts)
            .map(|_| {
                run.fail("T", "E");
                let delay = run.timers()[0].0.as_millis() - run.now;
                run.fire();
                delay
            })
            .collect()
    };
    assert_eq!(delays(json!({}), 4), [1000, 2000, 4000, 8000]);
    assert_eq!(
        delays(json!({"IntervalSeconds": 2, "BackoffRate": 1.5, "MaxDelaySeconds": 4}), 4),
        [2000, 3000, 4000, 4000]
    );
    let jittered = delays(json!({"IntervalSeconds": 10, "BackoffRate": 1, "JitterStrategy": "FULL"}), 30);
    assert!(jittered.iter().all(|delay| (0..10_000).contains(delay)), "{jittered:?}");
    assert!(jittered.iter().any(|delay| *delay < 5000) && jittered.iter().any(|delay| *delay > 5000));
}

#[test]
fn an_enormous_backoff_saturates() {
    let states = json!({"T": task(json!({"Retry": [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 99_999_999, "BackoffRate": 1e300, "MaxAttempts": 5}]}))});
    let mut run = standard("T", states, json!({}));
    run.fail("T", "E");
    let (_, retry) = *run.timers().last().unwrap();
    run.now = START + 400 * 24 * 3600 * 1000;
    run.fire();
    assert_eq!(run.execution.status().name(), "TIMED_OUT", "a year is over first");
    assert_eq!(run.try_apply(InputKind::TimerFired { timer: retry }), Ok(()));
}

#[test]
fn a_failed_output_is_retried_and_caught_like_any_error() {
    let states = json!({
        "T": task(json!({"Output": "{% $states.result.x %}", "Retry": [{"ErrorEquals": ["States.QueryEvaluationError"], "MaxAttempts": 1}], "Catch": [{"ErrorEquals": ["States.TaskFailed"], "Next": "C"}]})),
        "C": {"Type": "Succeed", "Output": "{% $states.input.Error %}"},
    });
    let mut run = standard("T", states.clone(), json!({}));
    run.succeed("T", json!({})).fire().succeed("T", json!({"x": 1}));
    assert_eq!(run.output(), json!(1));
    let mut run = standard("T", states, json!({}));
    run.succeed("T", json!({})).fire().succeed("T", json!({}));
    assert_eq!(run.output(), json!("States.QueryEvaluationError"));
}

#[test]
fn the_error_output_always_has_a_cause() {
    let states = json!({"T": task(json!({"TimeoutSeconds": 1, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "C"}]})), "C": {"Type": "Pass", "End": true}});
    let mut run = standard("T", states, json!({"gone": true}));
    let late = run.task("T").task;
    run.fire();
    assert_eq!(run.output(), json!({"Error": "States.Timeout", "Cause": ""}));
    assert_eq!(run.effects[0], Effect::CancelTask { task: late });
    let before = run.history();
    run.apply(InputKind::TaskSucceeded { task: late, output: json!(1) })
        .apply(InputKind::TaskStarted { task: late });
    assert_eq!(run.history(), before);
}

// ── Data ─────────────────────────────────────────────────────────────────────

#[test]
fn output_and_assign_see_the_old_variables() {
    let states = json!({
        "A": {"Type": "Pass", "Assign": {"x": 1, "y": "{% $states.input.n %}"}, "Next": "B"},
        "B": {"Type": "Pass", "Assign": {"x": "{% $y %}", "y": "{% $x %}"}, "Output": "{% [$x, $y] %}", "Next": "C"},
        "C": {"Type": "Pass", "Output": {"before": "{% $states.input %}", "after": "{% [$x, $y] %}"}, "End": true},
    });
    assert_eq!(standard("A", states, json!({"n": 2})).output(), json!({"before": [1, 2], "after": [2, 1]}));
}

#[test]
fn scopes_are_read_from_within_and_not_written() {
    let states = json!({
        "A": {"Type": "Pass", "Assign": {"outer": "o"}, "Next": "P"},
        "P": {"Type": "Parallel", "Next": "M", "Branches": [
            {"StartAt": "L", "States": {"L": {"Type": "Pass", "Assign": {"inner": "l"}, "Next": "L2"}, "L2": {"Type": "Pass", "Output": "{% $outer & $inner %}", "End": true}}},
            {"StartAt": "R", "States": {"R": {"Type": "Pass", "Output": "{% $outer & ($exists($inner) ? 'leak' : 'r') %}", "End": true}}},
        ]},
        "M": {"Type": "Map", "ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Pass", "Assign": {"inner": "{% $states.input %}"}, "Next": "J"}, "J": {"Type": "Pass", "Output": "{% $outer & $inner & $states.context.Map.Item.Index %}", "End": true}}}, "Next": "Z"},
        "Z": {"Type": "Pass", "Output": "{% {'all': $states.input, 'leak': $exists($inner)} %}", "End": true},
    });
    assert_eq!(standard("A", states, json!({})).output(), json!({"all": ["ool0", "oor1"], "leak": false}));
}

#[test]
fn the_context_object_is_aws_s() {
    let mut run =
        standard("T", json!({"T": task(json!({"Arguments": "{% $states.context %}"}))}), json!({"in": 1}));
    let expected = json!({
        "Execution": {"Id": "arn:aws:states:us-east-1:000000000000:execution:example:run-1", "Input": {"in": 1}, "Name": "run-1", "RoleArn": "arn:aws:iam::000000000000:role/example", "StartTime": "2026-11-21T08:30:00.000Z"},
        "State": {"EnteredTime": "2026-11-21T08:30:00.000Z", "Name": "T", "RetryCount": 0},
        "StateMachine": {"Id": "arn:aws:states:us-east-1:000000000000:stateMachine:example", "Name": "example"},
    });
    assert_eq!(*run.task("T").arguments, expected);
    run.fail("T", "E").redrive();
    let arguments = run.task("T").arguments;
    assert_eq!(arguments["Execution"]["RedriveCount"], 1);
    assert_eq!(arguments["Execution"]["RedriveTime"], "2026-11-21T08:30:02.000Z");
    assert_eq!(arguments["State"], expected["State"]);
}

#[test]
fn item_selector_and_nested_items() {
    let states = iterate(
        json!({"Items": "{% $states.input.rows %}", "ItemSelector": {"i": "{% $states.context.Map.Item.Index %}", "v": "{% $states.context.Map.Item.Value %}", "all": "{% $count($states.input.rows) %}"}}),
        json!({"Inner": {"Type": "Map", "Items": "{% $states.input.v %}", "ItemProcessor": {"StartAt": "X", "States": {"X": {"Type": "Pass", "Output": "{% [$states.context.Map.Item.Index, $states.input] %}", "End": true}}}, "Output": {"outer": "{% $states.context.Map.Item.Index %}", "rows": "{% $states.result %}", "all": "{% $states.input.all %}"}, "End": true}}),
        "Inner",
    );
    let output = standard("M", states, json!({"rows": [[10], [20, 30]]})).output();
    assert_eq!(
        output,
        json!([{"outer": 0, "rows": [[0, 10]], "all": 2}, {"outer": 1, "rows": [[0, 20], [1, 30]], "all": 2}])
    );
}

#[test]
fn a_map_goes_over_the_members_of_an_object() {
    let states = iterate(
        json!({"Items": {"b": 1, "a": "{% $states.input %}"}, "ItemSelector": "{% $states.context.Map.Item.Key & $string($states.context.Map.Item.Value) %}"}),
        json!({"I": {"Type": "Pass", "End": true}}),
        "I",
    );
    assert_eq!(standard("M", states, json!(2)).output(), json!(["b1", "a2"]));
    // Without an ItemSelector an iteration is given the pair.
    let states = iterate(
        json!({"ToleratedFailureCount": 1, "ToleratedFailurePercentage": "{% 5 %}"}),
        json!({"I": {"Type": "Pass", "End": true}}),
        "I",
    );
    let output = standard("M", states, json!({"b": 1, "a": [2]})).output();
    assert_eq!(output, json!([{"Key": "b", "Value": 1}, {"Key": "a", "Value": [2]}]));
}

#[test]
fn concurrency_is_bounded() {
    let waiting = |more: Value, items: usize| {
        let states = iterate(more, json!({"T": task(json!({}))}), "T");
        standard("M", states, json!((0..items).collect::<Vec<_>>())).tasks().len()
    };
    assert_eq!(waiting(json!({}), 100), 40);
    assert_eq!(waiting(json!({"MaxConcurrency": 0}), 100), 40);
    assert_eq!(waiting(json!({"MaxConcurrency": 3}), 100), 3);
    assert_eq!(waiting(json!({"MaxConcurrency": "{% $count($states.input) - 98 %}"}), 100), 2);
    assert_eq!(waiting(json!({"MaxConcurrency": 1000}), 100), 40);
    let states = iterate(json!({"MaxConcurrency": 2}), json!({"T": task(json!({}))}), "T");
    let mut run = standard("M", states, json!([1, 2, 3]));
    let second = run.tasks()[1].task;
    run.apply(InputKind::TaskSucceeded { task: second, output: json!("b") });
    assert_eq!(run.tasks().len(), 2);
    run.succeed("T", json!("a")).succeed("T", json!("c"));
    assert_eq!(run.output(), json!(["a", "b", "c"]), "in the items' order");
}

fn big(bytes: usize) -> Value {
    json!("x".repeat(bytes - 2))
}

#[test]
fn the_limit_is_262144_bytes_everywhere() {
    let pass = json!({"P": {"Type": "Pass", "End": true}});
    assert_eq!(standard("P", pass.clone(), big(262_144)).execution.status().name(), "SUCCEEDED");
    let mut over = standard("P", pass, big(262_145));
    assert_eq!(over.failed().0, "States.DataLimitExceeded");
    over.redrive();
    assert_eq!(over.failed().0, "States.DataLimitExceeded", "a redrive does not let it in");

    let mut run = standard("T", json!({"T": task(json!({}))}), json!({}));
    run.succeed("T", big(262_144));
    assert_eq!(run.execution.status().name(), "SUCCEEDED");
    let states = json!({"T": task(json!({"Catch": [{"ErrorEquals": ["States.ALL"], "Next": "All"}]})), "All": {"Type": "Succeed"}});
    let mut run = standard("T", states, json!({}));
    run.succeed("T", big(262_145));
    let message = "The state/task 'lambda' returned a result with a size exceeding the maximum number of bytes service limit.";
    assert_eq!(run.failed(), ("States.DataLimitExceeded".into(), message.into()));
    assert!(run.history().contains("TaskFailed"));

    let half = json!({"half": "x".repeat(131_072)});
    let twice = "{% $states.input.half & $states.input.half %}";
    for (states, errors) in [
        (json!({"P": {"Type": "Pass", "Output": twice, "End": true}}), "Output"),
        (json!({"P": task(json!({"Arguments": {"a": twice}}))}), "Arguments"),
        (json!({"P": {"Type": "Pass", "Assign": {"a": twice}, "End": true}}), "one variable"),
        (
            json!({"P": {"Type": "Pass", "Assign": {"a": "{% $states.input %}", "b": "{% $states.input %}"}, "End": true}}),
            "one Assign",
        ),
        (
            json!({"P": {"Type": "Parallel", "Branches": [{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}, {"StartAt": "B", "States": {"B": {"Type": "Pass", "End": true}}}], "End": true}}),
            "all results",
        ),
        (
            json!({"P": {"Type": "Map", "Items": ["{% $states.input %}", "{% $states.input %}"], "ItemProcessor": {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}, "End": true}}),
            "items",
        ),
        (
            json!({"P": {"Type": "Map", "Items": [1], "ItemSelector": twice, "ItemProcessor": {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}, "End": true}}),
            "a selected item",
        ),
    ] {
        assert_eq!(standard("P", states, half.clone()).failed().0, "States.DataLimitExceeded", "{errors}");
    }
}

#[test]
fn variables_together_hold_ten_mebibytes() {
    let states = json!({
        "A": {"Type": "Pass", "Assign": {"n": "{% $exists($n) ? $n + 1 : 1 %}"}, "Next": "M"},
        "M": {"Type": "Map", "MaxConcurrency": 40, "Items": "{% [1..45] %}", "ItemProcessor": {"StartAt": "V", "States": {"V": {"Type": "Pass", "Assign": {"v": "{% $states.context.Execution.Input %}"}, "Next": "T"}, "T": task(json!({}))}}, "End": true},
    });
    assert_eq!(
        standard("A", states.clone(), big(262_000)).execution.status().name(),
        "RUNNING",
        "40 times 262,000 is just within"
    );
    assert_eq!(
        standard("A", states, big(262_144)).failed().0,
        "States.DataLimitExceeded",
        "a byte for n makes it too much"
    );
}

#[test]
fn data_may_not_nest_without_end() {
    let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!([inner]));
    let states = json!({"T": task(json!({"Output": {"deeper": "{% $states.result %}"}}))});
    let mut run = standard("T", states.clone(), json!({}));
    run.succeed("T", nested(99));
    assert_eq!(run.execution.status().name(), "SUCCEEDED");
    for levels in [100, 101, 127] {
        let mut run = standard("T", states.clone(), json!({}));
        run.succeed("T", nested(levels));
        assert_eq!(run.failed().0, "States.DataLimitExceeded", "{levels}");
    }
}

// ── Times ────────────────────────────────────────────────────────────────────

#[test]
fn waits_end_at_their_time() {
    let wait = |field: &str, value: Value| {
        standard(
            "W",
            json!({"W": {"Type": "Wait", field: value, "End": true}}),
            json!({"s": 3, "t": "2026-11-21T09:30:05+01:00"}),
        )
    };
    for (field, value, until) in [
        ("Seconds", json!(7), 7000),
        ("Seconds", json!("{% $states.input.s %}"), 3000),
        ("Timestamp", json!("2026-11-21T08:30:01.5Z"), 1500),
        ("Timestamp", json!("{% $states.input.t %}"), 5000),
    ] {
        let mut run = wait(field, value.clone());
        assert_eq!(run.timers()[0].0.as_millis(), START + until, "{field} {value}");
        run.fire();
        assert_eq!(run.execution.status().name(), "SUCCEEDED");
    }
    for (field, value) in [
        ("Seconds", json!(0)),
        ("Timestamp", json!("2026-11-21T08:30:00Z")),
        ("Timestamp", json!("1999-01-01T00:00:00Z")),
    ] {
        assert_eq!(
            wait(field, value.clone()).execution.status().name(),
            "SUCCEEDED",
            "{field} {value} is over"
        );
    }
    for (field, value) in [
        ("Seconds", json!("{% -1 %}")),
        ("Seconds", json!("{% 1.5 %}")),
        ("Seconds", json!("{% '3' %}")),
        ("Seconds", json!("{% 100000000 %}")),
        ("Timestamp", json!("{% 5 %}")),
    ] {
        let (error, cause) = wait(field, value.clone()).failed();
        assert_eq!(error, "States.QueryEvaluationError", "{value}");
        assert!(
            cause.contains(&format!("specified for the field '{field}' returned an unexpected result type")),
            "{cause}"
        );
    }
    let (error, cause) = wait("Timestamp", json!("{% 'soon' %}")).failed();
    assert_eq!(error, "States.QueryEvaluationError");
    assert!(
        cause.ends_with(
            "The Timestamp field cannot be parsed as an ISO-8601 extended offset date-time format string: soon"
        ),
        "{cause}"
    );
}

#[test]
fn a_timer_that_fires_early_is_set_again() {
    let mut run = standard("W", json!({"W": {"Type": "Wait", "Seconds": 60, "End": true}}), json!({}));
    let (at, timer) = run.timers()[0];
    run.apply(InputKind::TimerFired { timer });
    assert_eq!(run.effects, [Effect::SetTimer { timer, at }]);
    run.fire();
    assert_eq!(run.execution.status().name(), "SUCCEEDED");
}

#[test]
fn a_task_s_times_may_be_expressions() {
    let run = standard(
        "T",
        json!({"T": task(json!({"TimeoutSeconds": "{% $states.input.t %}", "HeartbeatSeconds": "{% 1 + 1 %}"}))}),
        json!({"t": 9}),
    );
    let scheduled = run.task("T");
    assert_eq!((scheduled.timeout_seconds, scheduled.heartbeat_seconds), (Some(9), Some(2)));
    assert_eq!(run.timers()[0].0.as_millis(), START + 9000);
    let run = standard("T", json!({"T": task(json!({"TimeoutSeconds": "{% 0 %}"}))}), json!({}));
    assert!(run.failed().1.contains(
        "'TimeoutSeconds' returned an unexpected result type. Expected 'integer between 1 and 99999999'"
    ));
}

#[test]
fn an_express_execution_has_five_minutes_and_no_redrive() {
    let mut asl = machine("T", json!({"T": task(json!({}))}));
    let run = Run::start(definition(MachineType::Express, &asl), json!({}));
    assert_eq!(run.timers()[0].0.as_millis(), START + 300_000);
    asl["TimeoutSeconds"] = json!(400);
    let mut run = Run::start(definition(MachineType::Express, &asl), json!({}));
    assert_eq!(run.timers()[0].0.as_millis(), START + 300_000);
    run.fire();
    assert_eq!(run.execution.status().name(), "TIMED_OUT");
    assert_eq!(run.try_apply(InputKind::Redrive), Err(ApplyError::NotRedrivable(NotRedrivable::Express)));
}

// ── Bounds ───────────────────────────────────────────────────────────────────

fn endless() -> Value {
    machine(
        "A",
        json!({"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Choice", "Choices": [{"Condition": "{% $states.input.stop = true %}", "Next": "Z"}], "Default": "A"}, "Z": {"Type": "Succeed"}}),
    )
}

#[test]
fn a_standard_execution_fails_with_its_25000th_event() {
    let start =
        Input { at: Timestamp::from_millis(START), seed: 0, kind: InputKind::Start(Start::example()) };
    let (execution, effects) =
        Execution::start(definition(MachineType::Standard, &endless()), start).unwrap();
    let history = execution.history();
    assert_eq!(history.len(), 25_000);
    let last = serde_json::to_value(&history[24_999]).unwrap();
    assert_eq!(
        (last["id"].as_u64(), last["previousEventId"].as_u64(), last["type"].as_str()),
        (Some(25_000), Some(24_999), Some("ExecutionFailed"))
    );
    assert_eq!(
        last["executionFailedEventDetails"],
        json!({"error": "States.Runtime", "cause": "The execution reached the maximum number of history events (25000)."})
    );
    assert_eq!(execution.redrivable(Timestamp::from_millis(START)), Err(NotRedrivable::HistoryLimit));
    assert_eq!(effects, [Effect::Finished]);
}

#[test]
fn an_express_execution_cannot_go_round_for_ever() {
    let start = Start { keep_history: false, ..Start::example() };
    let start = Input { at: Timestamp::from_millis(START), seed: 0, kind: InputKind::Start(start) };
    let (execution, _) = Execution::start(definition(MachineType::Express, &endless()), start).unwrap();
    let Status::Failed { error, cause } = execution.status() else { panic!("{:?}", execution.status()) };
    assert_eq!(error.as_deref(), Some("States.Runtime"));
    assert_eq!(
        cause.as_deref(),
        Some("The execution made 100000 state transitions without waiting for a task or a time.")
    );
    assert!(execution.history().is_empty());
    assert!(execution.history_length() > 100_000);
}

#[test]
fn what_a_full_history_has_no_place_for_is_not_started() {
    let states = json!({
        "N": {"Type": "Pass", "Assign": {"n": 0}, "Next": "A"},
        "A": {"Type": "Pass", "Assign": {"n": "{% $n + 1 %}"}, "Next": "B"},
        "B": {"Type": "Choice", "Choices": [{"Condition": "{% $n < 6248 %}", "Next": "A"}], "Default": "T"},
        "T": task(json!({"TimeoutSeconds": 9})),
    });
    let start =
        Input { at: Timestamp::from_millis(START), seed: 0, kind: InputKind::Start(Start::example()) };
    let (mut execution, effects) =
        Execution::start(definition(MachineType::Standard, &machine("N", states)), start).unwrap();
    assert_eq!(execution.history_length(), 24_997);
    let Some(Effect::ScheduleTask(scheduled)) =
        effects.iter().find(|effect| matches!(effect, Effect::ScheduleTask(_)))
    else {
        panic!("{effects:?}")
    };
    let input = Input {
        at: Timestamp::from_millis(START),
        seed: 0,
        kind: InputKind::TaskSucceeded { task: scheduled.task, output: json!(1) },
    };
    execution.apply(input).unwrap();
    assert_eq!(execution.history_length(), 25_000);
    assert!(
        matches!(execution.status(), Status::Failed { error: Some(error), .. } if error == "States.Runtime"),
        "the exit was event 25,000"
    );
}

#[test]
fn unknown_tasks_and_timers_are_refused() {
    let mut run = standard("T", json!({"T": task(json!({}))}), json!({}));
    for id in [0, 99, u64::MAX] {
        assert_eq!(
            run.try_apply(InputKind::TaskStarted { task: TaskId(id) }),
            Err(ApplyError::UnknownTask(TaskId(id)))
        );
        assert_eq!(
            run.try_apply(InputKind::TimerFired { timer: TimerId(id) }),
            Err(ApplyError::UnknownTimer(TimerId(id)))
        );
    }
    assert_eq!(run.try_apply(InputKind::Start(Start::example())), Err(ApplyError::AlreadyStarted));
    assert_eq!(run.try_apply(InputKind::Redrive), Err(ApplyError::NotRedrivable(NotRedrivable::Running)));
    let not_a_start = Input { at: Timestamp::from_millis(0), seed: 0, kind: InputKind::Redrive };
    let definition = Arc::clone(run.execution.definition());
    assert_eq!(
        Execution::start(Arc::clone(&definition), not_a_start.clone()).unwrap_err(),
        ApplyError::NotStarted
    );
    assert_eq!(Execution::replay(Arc::clone(&definition), []).unwrap_err(), ReplayError::Empty);
    let journal = [run.journal[0].clone(), not_a_start];
    assert_eq!(
        Execution::replay(definition, journal).unwrap_err(),
        ReplayError::Input { index: 1, source: ApplyError::NotRedrivable(NotRedrivable::Running) }
    );
}

#[test]
fn effects_that_a_turn_takes_back_are_not_issued() {
    let states = json!({"P": {"Type": "Parallel", "Branches": [
        {"StartAt": "T", "States": {"T": task(json!({"TimeoutSeconds": 3}))}},
        {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "E"}}},
    ], "End": true}});
    let run = standard("P", states, json!({}));
    assert_eq!(run.effects, [Effect::Finished]);
    assert_eq!(*run.execution.status(), Status::Failed { error: Some("E".into()), cause: None });
}

#[test]
fn long_errors_are_cut() {
    let mut run = standard("T", json!({"T": task(json!({}))}), json!({}));
    let task = run.task("T").task;
    run.apply(InputKind::TaskFailed { task, error: "é".repeat(300), cause: Some("é".repeat(40_000)) });
    let (error, cause) = run.failed();
    assert_eq!((error.chars().count(), cause.chars().count()), (256, 32_768));
}

#[test]
fn fail_states_evaluate_their_fields() {
    let fail = |fields: Value| {
        let mut state = json!({"Type": "Fail"});
        state.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        standard("F", json!({"F": state}), json!({"code": "E7"})).execution.status().clone()
    };
    assert_eq!(fail(json!({})), Status::Failed { error: None, cause: None });
    assert_eq!(
        fail(json!({"Error": "{% $states.input.code %}", "Cause": "{% 'because ' & $states.input.code %}"})),
        Status::Failed { error: Some("E7".into()), cause: Some("because E7".into()) }
    );
    assert!(
        matches!(fail(json!({"Error": "{% 5 %}"})), Status::Failed { error: Some(error), .. } if error == "States.QueryEvaluationError")
    );
}

// ── Redrive ──────────────────────────────────────────────────────────────────

#[test]
fn a_redriven_fail_state_fails_again() {
    let mut run = standard(
        "P",
        json!({"P": {"Type": "Pass", "Next": "F"}, "F": {"Type": "Fail", "Error": "E"}}),
        json!({}),
    );
    run.redrive();
    insta::assert_snapshot!(run.history());
}

#[test]
fn only_the_branches_that_did_not_succeed_are_redriven() {
    let branch = |name: &str| json!({"StartAt": name, "States": {name: task(json!({"Retry": [{"ErrorEquals": ["Soft"], "MaxAttempts": 1}]}))}});
    let mut run = standard(
        "P",
        json!({"P": {"Type": "Parallel", "Branches": [branch("A"), branch("B"), branch("C")], "End": true}}),
        json!({}),
    );
    run.succeed("A", json!("a")).fail("B", "Soft").fire().fail("B", "Soft");
    assert_eq!(run.execution.status().name(), "FAILED");
    run.redrive();
    let names: Vec<_> = run.tasks().iter().map(|task| task.state_name.to_string()).collect();
    assert_eq!(names, ["B", "C"]);
    run.fail("B", "Soft").fire();
    assert_eq!(run.task("B").retry_count, 1, "retries are counted from zero");
    run.succeed("B", json!("b")).succeed("C", json!("c"));
    assert_eq!(run.output(), json!(["a", "b", "c"]));
    insta::assert_snapshot!(run.history());
}

#[test]
fn only_the_iterations_that_did_not_succeed_are_redriven() {
    let states = iterate(
        json!({"MaxConcurrency": 2}),
        json!({"T": task(json!({"Assign": {"v": "{% $states.input %}"}, "Next": "U"})), "U": task(json!({"Arguments": "{% $v %}"}))}),
        "T",
    );
    let mut run = standard("M", states, json!([1, 2, 3, 4]));
    run.succeed("T", json!("t1")).succeed("U", json!("u1")).fail("T", "Bad");
    assert_eq!(run.execution.status().name(), "FAILED");
    run.redrive();
    assert_eq!(run.tasks().len(), 2, "the failed and the aborted one, as many as may run at once");
    for n in 2..=4 {
        run.succeed("T", json!(format!("t{n}")));
        assert_eq!(*run.task("U").arguments, json!(n));
        run.succeed("U", json!(format!("u{n}")));
    }
    assert_eq!(run.output(), json!(["u1", "u2", "u3", "u4"]));
}

#[test]
fn a_join_that_failed_is_redriven_without_its_branches_unless_it_was_too_large() {
    let states = json!({"P": {"Type": "Parallel", "Branches": [{"StartAt": "A", "States": {"A": task(json!({}))}}], "Output": "{% $exists($states.context.Execution.RedriveCount) ? $states.result : $nothing %}", "End": true}});
    let mut run = standard("P", states, json!({}));
    run.succeed("A", json!("a"));
    assert_eq!(run.failed().0, "States.QueryEvaluationError");
    run.redrive();
    assert_eq!(run.output(), json!(["a"]));

    let branch = |name: &str| json!({"StartAt": name, "States": {name: task(json!({}))}});
    let mut run = standard(
        "P",
        json!({"P": {"Type": "Parallel", "Branches": [branch("A"), branch("B")], "End": true}}),
        json!({}),
    );
    run.succeed("A", big(200_000)).succeed("B", big(200_000));
    assert_eq!(run.failed().0, "States.DataLimitExceeded");
    run.redrive();
    assert_eq!(run.tasks().len(), 2, "all branches run again");
    run.succeed("A", json!(1)).succeed("B", json!(2));
    assert_eq!(run.output(), json!([1, 2]));
}

#[test]
fn a_wait_is_redriven_from_its_beginning() {
    let mut asl = machine("W", json!({"W": {"Type": "Wait", "Seconds": 60, "End": true}}));
    asl["TimeoutSeconds"] = json!(10);
    let mut run = Run::start(definition(MachineType::Standard, &asl), json!({}));
    run.fire();
    assert_eq!(run.execution.status().name(), "TIMED_OUT");
    run.redrive();
    assert_eq!(run.timers()[1].0.as_millis() - run.now, 60_000);
    let until = "2026-11-21T08:31:00Z";
    let mut run = standard("W", json!({"W": {"Type": "Wait", "Timestamp": until, "End": true}}), json!({}));
    run.apply(InputKind::Stop { error: None, cause: None });
    run.now += 3_600_000;
    run.redrive();
    assert_eq!(run.execution.status().name(), "SUCCEEDED", "its time has passed");
}

#[test]
fn redrives_are_bounded() {
    let mut run = standard("F", json!({"F": {"Type": "Fail"}}), json!({}));
    run.execution.redrive_count = limits::REDRIVES_MAX;
    assert_eq!(run.execution.redrivable(Timestamp::from_millis(run.now)), Err(NotRedrivable::RedriveLimit));
    run.execution.redrive_count = 0;
    let year = Timestamp::from_millis(START + limits::STANDARD_DURATION_MS);
    run.execution.stop_date = Some(year);
    assert_eq!(run.execution.redrivable(year), Err(NotRedrivable::DurationExceeded));
    assert_eq!(NotRedrivable::Running.to_string(), "Execution is RUNNING and cannot be redriven");
}

// ── Chance ───────────────────────────────────────────────────────────────────

/// Everything at once: nesting, retries, catches, waits, variables, randomness.
/// A Distributed Map over what its reader reads.
fn spread(more: Value) -> Value {
    let mut map = json!({
        "Type": "Map", "End": true,
        "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}, "StartAt": "Child", "States": {"Child": {"Type": "Succeed"}}},
        "ItemReader": {"Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": {"InputType": "JSONL"}, "Arguments": {"Bucket": "b", "Key": "k"}},
    });
    let Value::Object(more) = more else { panic!("{more}") };
    for (name, value) in more {
        if value.is_null() {
            map.as_object_mut().unwrap().remove(&name);
        } else {
            map[name] = value;
        }
    }
    map
}

// ── Distributed Map ──────────────────────────────────────────────────────────

/// The arn's last part is random.
fn without_ids(run: &Run, map: &MapRun) -> String {
    run.history().replace(&*map.id, "<id>")
}

#[test]
fn history_of_a_map_run_and_what_it_is_to_do() {
    let map = spread(json!({
        "Label": "Spread", "MaxConcurrency": "{% $states.input.n %}", "ToleratedFailurePercentage": 2.5, "ToleratedFailureCount": 3,
        "ItemReader": {"Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": {"InputType": "JSONL", "MaxItems": 9},
                       "Arguments": {"Bucket": "b", "Key": "{% 'in/' & $states.input.key %}"}},
        "ItemBatcher": {"MaxItemsPerBatch": 4, "BatchInput": {"n": "{% $states.input.n %}"}},
        "ResultWriter": {"Resource": "arn:aws:states:::s3:putObject", "Arguments": {"Bucket": "b", "Prefix": "out"}},
        "Output": "{% $states.result.MapRunArn %}",
    }));
    let mut run = standard("M", json!({"M": map}), json!({"n": 7, "key": "k.jsonl"}));
    let map = run.map_run();
    assert_eq!(*map.arn, *format!("arn:aws:states:us-east-1:000000000000:mapRun:example/Spread:{}", map.id));
    assert_eq!(&*map.child_machine_arn, "arn:aws:states:us-east-1:000000000000:stateMachine:example/Spread");
    let ItemSource::Object { bucket, key, input_type, max_items } = &map.items else {
        panic!("{:?}", map.items)
    };
    assert_eq!(
        (bucket.as_str(), key.as_str(), *input_type, *max_items),
        ("b", "in/k.jsonl", crate::InputType::JsonLines, Some(9))
    );
    assert_eq!(
        (map.max_concurrency, map.tolerated_failure_count, map.tolerated_failure_percentage),
        (7, 3, 2.5)
    );
    assert_eq!(map.batching.as_ref().unwrap().input.as_deref(), Some(&json!({"n": 7})));
    assert_eq!(map.writer.destination, Some(("b".to_owned(), "out".to_owned())));
    assert_eq!(map.writer.transformation, crate::Transformation::None);
    run.map_succeeds(json!({"MapRunArn": &*map.arn}));
    assert_eq!(run.output(), json!(&*map.arn));
    insta::assert_snapshot!(without_ids(&run, &map));
}

#[test]
fn history_of_a_map_run_that_fails_is_redriven_and_is_caught() {
    let states = json!({"M": spread(json!({"Label": "L"}))});
    let mut run = standard("M", states, json!({}));
    let first = run.map_run();
    run.map_fails("States.ExceedToleratedFailureThreshold");
    assert_eq!(run.failed().0, "States.ExceedToleratedFailureThreshold");
    run.redrive();
    let again = run.map_run();
    assert_eq!((&again.arn, again.redrive_count), (&first.arn, 1));
    assert_ne!(again.task, first.task, "a late report of the first attempt is told apart");
    run.apply(InputKind::MapRunSucceeded { task: first.task, output: json!([]) });
    assert_eq!(run.execution.status().name(), "RUNNING");
    run.map_succeeds(json!([1]));
    assert_eq!(run.output(), json!([1]));
    insta::assert_snapshot!(without_ids(&run, &first));

    let mut caught = standard(
        "M",
        json!({"M": spread(json!({"Catch": [{"ErrorEquals": ["States.ItemReaderFailed"], "Next": "E"}]})), "E": {"Type": "Succeed"}}),
        json!({}),
    );
    caught.map_fails("States.ItemReaderFailed");
    assert_eq!(caught.output(), json!({"Error": "States.ItemReaderFailed", "Cause": "why"}));
}

#[test]
fn a_map_run_is_stopped_with_its_execution_or_its_branch_and_redriven_with_it() {
    let mut run = standard("M", json!({"M": spread(json!({"Label": "L"}))}), json!({}));
    let first = run.map_run();
    run.apply(InputKind::Stop { error: None, cause: None });
    assert_eq!(run.effects[0], Effect::StopMapRun { task: first.task, arn: Arc::clone(&first.arn) });
    run.redrive();
    assert_eq!((&run.map_run().arn, run.map_run().redrive_count), (&first.arn, 1));

    let mut run = standard(
        "P",
        json!({"P": {"Type": "Parallel", "End": true, "Branches": [
            {"StartAt": "M", "States": {"M": spread(json!({"Label": "L"}))}}, {"StartAt": "T", "States": {"T": task(json!({}))}},
        ]}}),
        json!({}),
    );
    let first = run.map_run();
    run.fail("T", "Broken");
    assert!(run.effects.contains(&Effect::StopMapRun { task: first.task, arn: Arc::clone(&first.arn) }));
    assert!(run.history().contains("MapRunAborted"), "{}", run.history());
    run.redrive();
    assert_eq!(run.map_run().redrive_count, 1);
}

#[test]
fn a_map_run_is_started_anew_when_the_state_is_retried_or_its_data_was_too_large() {
    let retry = json!([{"ErrorEquals": ["Soft"], "MaxAttempts": 1}]);
    let mut run = standard("M", json!({"M": spread(json!({"Retry": retry}))}), json!({}));
    let first = run.map_run();
    run.map_fails("Soft").fire();
    assert_ne!(run.map_run().arn, first.arn);
    assert_eq!(run.map_run().redrive_count, 0);
    let second = run.map_run();
    run.map_fails("States.DataLimitExceeded");
    run.redrive();
    assert_ne!(run.map_run().arn, second.arn);
    let third = run.map_run();
    run.map_succeeds(big(300_000));
    assert_eq!(run.failed().0, "States.DataLimitExceeded");
    run.redrive();
    assert_ne!(run.map_run().arn, third.arn);
}

/// The run ended well and the state could not be left: its children are not run again for that.
#[test]
fn a_result_is_not_computed_a_second_time() {
    let map =
        spread(json!({"Output": ["{% $states.context.Execution.RedriveCount %}", "{% $states.result %}"]}));
    let mut run = standard("M", json!({"M": map}), json!({}));
    run.map_succeeds(json!("done"));
    assert_eq!(run.failed().0, "States.QueryEvaluationError");
    run.redrive();
    assert_eq!(run.output(), json!([1, "done"]));
}

#[test]
fn an_item_selector_sees_what_the_state_saw_and_the_item() {
    let map = spread(json!({
        "Label": "L", "ItemReader": null, "Items": "{% $states.input.items %}",
        "ItemSelector": {"i": "{% $states.context.Map.Item.Index %}", "v": "{% $states.context.Map.Item.Value %}", "all": "{% $states.input.x %}",
                         "var": "{% $kept %}", "name": "{% $states.context.Execution.Name %}", "r": "{% $random() %}", "at": "{% $now() %}"},
    }));
    let states = json!({"A": {"Type": "Pass", "Assign": {"kept": "{% 1 + 1 %}"}, "Next": "M"}, "M": map});
    let run = standard("A", states, json!({"items": [{"a": 1}, 2], "x": true}));
    let map = run.map_run();
    assert_eq!(map.items, ItemSource::Inline(Arc::new(json!([{"a": 1}, 2]))));
    let first = map.item_input(0, None, &Arc::new(json!({"a": 1}))).unwrap();
    let again = map.item_input(0, None, &Arc::new(json!({"a": 1}))).unwrap();
    let second = map.item_input(1, None, &Arc::new(json!(2))).unwrap();
    assert_eq!(first, again);
    assert_ne!(first["r"], second["r"]);
    assert_eq!(
        (&first["i"], &first["v"], &first["all"], &first["var"]),
        (&json!(0), &json!({"a": 1}), &json!(true), &json!(2))
    );
    assert_eq!((&first["name"], &second["i"], &second["v"]), (&json!("run-1"), &json!(1), &json!(2)));

    let broken = spread(json!({"ItemSelector": "{% $states.context.Map.Item.Value.none %}"}));
    let run = standard("M", json!({"M": broken}), json!({}));
    let fault = run.map_run().item_input(4, None, &Arc::new(json!({}))).unwrap_err();
    assert_eq!(fault.error, "States.QueryEvaluationError");
    assert!(
        fault.cause.contains("at item 4. The JSONata expression '$states.context.Map.Item.Value.none'"),
        "{fault}"
    );
    let large = standard("M", json!({"M": spread(json!({}))}), json!({})).map_run().item_input(
        0,
        None,
        &Arc::new(big(300_000)),
    );
    assert_eq!(large.unwrap_err().error, "States.DataLimitExceeded");
}

fn everything_machine(distributed: bool) -> Value {
    let retry = json!([{"ErrorEquals": ["Soft"], "MaxAttempts": 2, "JitterStrategy": "FULL"}, {"ErrorEquals": ["States.Timeout"], "MaxAttempts": 1}]);
    let mut asl = machine(
        "Init",
        json!({
            "Init": {"Type": "Pass", "Assign": {"total": 0, "id": "{% $uuid() %}"}, "Next": "Ask"},
            "Ask": task(json!({"Arguments": {"id": "{% $id %}", "r": "{% $random() %}"}, "TimeoutSeconds": 30, "Retry": retry, "Assign": {"total": "{% $total + 1 %}"}, "Catch": [{"ErrorEquals": ["Hard"], "Assign": {"total": "{% $total + 100 %}"}, "Output": {"items": []}, "Next": "Fan"}], "Next": "Fan"})),
            "Fan": {"Type": "Parallel", "Retry": retry, "Catch": [{"ErrorEquals": ["States.TaskFailed"], "Next": "Again?"}], "Next": "Again?", "Branches": [
                {"StartAt": "Each", "States": {"Each": {"Type": "Map", "Items": "{% [1..4] %}", "MaxConcurrency": 2, "Retry": [{"ErrorEquals": ["Soft"], "MaxAttempts": 1}], "End": true, "ItemProcessor": {"StartAt": "Work", "States": {
                    "Work": task(json!({"TimeoutSeconds": 20, "Retry": retry, "Assign": {"mine": "{% $states.input %}"}, "Next": "Rest"})),
                    "Rest": {"Type": "Wait", "Seconds": "{% $mine %}", "Next": "Ok?"},
                    "Ok?": {"Type": "Choice", "Choices": [{"Condition": "{% $mine != 3 or $states.input.ok = true %}", "Next": "Fine"}]},
                    "Fine": {"Type": "Succeed", "Output": "{% $mine * $total %}"},
                }}}}},
                {"StartAt": "Nap", "States": {"Nap": {"Type": "Wait", "Seconds": 5, "Next": "Side"}, "Side": task(json!({"Output": "{% $states.result.x %}"}))}},
            ]},
            "Again?": {"Type": "Choice", "Choices": [{"Condition": "{% $total < 3 %}", "Next": "Ask"}], "Default": "End"},
            "End": {"Type": "Pass", "Output": {"total": "{% $total %}", "at": "{% $now() %}"}, "End": true},
        }),
    );
    if distributed {
        let retry = json!([{"ErrorEquals": ["Soft"], "MaxAttempts": 1}]);
        let map = spread(json!({"Label": "L", "Retry": retry, "Output": "{% $states.result.x %}"}));
        asl["States"]["Fan"]["Branches"]
            .as_array_mut()
            .unwrap()
            .push(json!({"StartAt": "Spread", "States": {"Spread": map}}));
    }
    asl["TimeoutSeconds"] = json!(600);
    asl
}

#[derive(Clone, Debug)]
enum Step {
    Started(usize),
    Succeed(usize, u8),
    Fail(usize, u8),
    Fire(usize),
    Mapped(usize, u8),
    /// An id of any time, mostly one that is over.
    Stale(u64, u8),
    Stop,
    Redrive,
    Later(u32),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => any::<usize>().prop_map(Step::Started),
        8 => (any::<usize>(), any::<u8>()).prop_map(|(which, how)| Step::Succeed(which, how)),
        4 => (any::<usize>(), any::<u8>()).prop_map(|(which, how)| Step::Fail(which, how)),
        6 => any::<usize>().prop_map(Step::Fire),
        4 => (any::<usize>(), any::<u8>()).prop_map(|(which, how)| Step::Mapped(which, how)),
        2 => (0..60u64, any::<u8>()).prop_map(|(id, how)| Step::Stale(id, how)),
        1 => Just(Step::Stop),
        2 => Just(Step::Redrive),
        2 => (0..40_000u32).prop_map(Step::Later),
    ]
}

fn choose<T>(from: Vec<T>, which: usize) -> Option<T> {
    let length = from.len();
    if length == 0 { None } else { from.into_iter().nth(which % length) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// At every prefix, the journal's replay is the live execution in all its parts.
    #[test]
    fn replay_is_the_live_execution(steps in prop::collection::vec(any_step(), 1..60), express in any::<bool>()) {
        let machine_type = if express { MachineType::Express } else { MachineType::Standard };
        let mut run = Run::start(definition(machine_type, &everything_machine(!express)), json!({}));
        for step in steps {
            let errors = ["Soft", "Hard", "States.Timeout", "Odd", "States.Runtime", "States.DataLimitExceeded"];
            let outputs = [json!({"x": 1, "ok": true}), json!({"x": 2}), json!(null), big(100_000)];
            let kind = match step {
                Step::Started(which) => choose(run.tasks(), which).map(|task| InputKind::TaskStarted { task: task.task }),
                Step::Succeed(which, how) => choose(run.tasks(), which).map(|task| InputKind::TaskSucceeded { task: task.task, output: outputs[usize::from(how) % 4].clone() }),
                Step::Fail(which, how) => choose(run.tasks(), which).map(|task| InputKind::TaskFailed { task: task.task, error: errors[usize::from(how) % 6].to_owned(), cause: None }),
                Step::Fire(which) => choose(run.timers(), which).map(|(at, timer)| {
                    run.now = run.now.max(at.as_millis());
                    InputKind::TimerFired { timer }
                }),
                Step::Mapped(which, how) => choose(run.map_runs(), which).map(|map| match how % 10 {
                    how @ 0..4 => InputKind::MapRunSucceeded { task: map.task, output: outputs[usize::from(how)].clone() },
                    how => InputKind::MapRunFailed { task: map.task, error: errors[usize::from(how - 4)].to_owned(), cause: None },
                }),
                Step::Stale(id, how) => Some(match how % 4 {
                    0 => InputKind::TimerFired { timer: TimerId(id) },
                    1 => InputKind::MapRunSucceeded { task: TaskId(id), output: json!({"x": 1}) },
                    2 => InputKind::MapRunFailed { task: TaskId(id), error: "Late".to_owned(), cause: None },
                    _ => InputKind::TaskFailed { task: TaskId(id), error: "Late".to_owned(), cause: None },
                }),
                Step::Stop => Some(InputKind::Stop { error: None, cause: Some("stopped".to_owned()) }),
                Step::Redrive => Some(InputKind::Redrive),
                Step::Later(millis) => {
                    run.now += i64::from(millis);
                    None
                }
            };
            if let Some(kind) = kind {
                // Checks the replay, whether the input is taken or refused.
                let _ = run.try_apply(kind);
            }
        }
    }

    /// With a worker that always answers well, every execution comes to its end.
    #[test]
    fn good_answers_lead_to_the_end(order in prop::collection::vec(any::<usize>(), 200)) {
        let mut run = Run::start(definition(MachineType::Standard, &everything_machine(true)), json!({}));
        for which in order {
            if !run.map_runs().is_empty() && (which % 3 == 0 || run.tasks().is_empty()) {
                run.map_succeeds(json!({"x": 1}));
            } else if let Some(task) = choose(run.tasks(), which) {
                run.apply(InputKind::TaskSucceeded { task: task.task, output: json!({"x": 1, "ok": true}) });
            } else if !run.timers().is_empty() {
                run.fire();
            }
        }
        prop_assert_eq!(run.output()["total"].as_u64(), Some(3));
    }
}
