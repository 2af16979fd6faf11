//! The picture of each of our machines, and of executions that the engine has run, as snapshots.
//!
//! The same pictures are left as files in `target/tmp/graph/`, light and dark, to be looked at.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use sluice_asl::{Definition, Effect, Execution, Input, InputKind, MachineType, Start, TaskId, Timestamp};
use sluice_graph::{Event, Graph, Items, Options, Outcome, Run, Theme};

const DAY_MS: i64 = 86_400_000;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../state-machines")
}

fn definition(file: &str) -> Arc<Definition> {
    let text = std::fs::read_to_string(folder().join(file)).expect("a state machine");
    let kind = if file.starts_with("re") { MachineType::Standard } else { MachineType::Express };
    Arc::new(Definition::parse(&text, kind).expect("it loads"))
}

/// Leaves the picture as files, and returns what a page shows.
fn picture(name: &str, graph: &Graph, run: &Run) -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("graph");
    std::fs::create_dir_all(&folder).expect("a folder");
    for (theme, suffix) in [(Theme::Light, "light"), (Theme::Dark, "dark")] {
        let options = Options { title: name, standalone: Some(theme), ..Options::default() };
        std::fs::write(folder.join(format!("{name}-{suffix}.svg")), graph.svg(run, &options))
            .expect("a file");
    }
    let link = |state: &str| format!("#state-{state}");
    graph.svg(run, &Options { title: name, id: "x-", link: Some(&link), standalone: None })
}

fn outline(graph: &Graph, run: &Run) -> String {
    let mut text = String::new();
    for item in graph.outline(run) {
        text.push_str(&"  ".repeat(item.depth));
        if !item.name.is_empty() {
            text.push_str(&item.name);
            text.push_str(". ");
        }
        text.push_str(&item.text);
        text.push('\n');
    }
    text
}

/// An execution in the engine, with what its tasks answer.
struct Story {
    execution: Execution,
    effects: Vec<Effect>,
    now: i64,
}

impl Story {
    fn start(definition: Arc<Definition>, input: Value) -> Story {
        let start = Start { input, ..Start::example() };
        let first = Input { at: Timestamp::from_millis(0), seed: 1, kind: InputKind::Start(start) };
        let (execution, effects) = Execution::start(definition, first).expect("it starts");
        Story { execution, effects, now: 0 }
    }

    fn apply(&mut self, after_ms: i64, kind: InputKind) -> &mut Self {
        self.now += after_ms;
        let input = Input { at: Timestamp::from_millis(self.now), seed: 1, kind };
        self.effects = self.execution.apply(input).expect("it is taken");
        self
    }

    /// The task that waits longest.
    fn task(&self) -> TaskId {
        let pending = self.execution.pending();
        let task = pending.into_iter().find_map(|effect| match effect {
            Effect::ScheduleTask(task) => Some(task.task),
            Effect::StartMapRun(run) => Some(run.task),
            _ => None,
        });
        task.unwrap_or_else(|| panic!("no task: {:?}", self.execution.status()))
    }

    fn succeed(&mut self, after_ms: i64, output: Value) -> &mut Self {
        let task = self.task();
        self.apply(after_ms, InputKind::TaskSucceeded { task, output })
    }

    fn fail(&mut self, after_ms: i64, error: &str, cause: &str) -> &mut Self {
        let task = self.task();
        let (error, cause) = (error.to_owned(), Some(cause.to_owned()));
        self.apply(after_ms, InputKind::TaskFailed { task, error, cause })
    }

    /// The wait before a retry is over.
    fn wait(&mut self) -> &mut Self {
        let timers = self.execution.pending().into_iter().filter_map(|effect| match effect {
            Effect::SetTimer { timer, at } => Some((at, timer)),
            _ => None,
        });
        let (at, timer) = timers.min().expect("a timer");
        self.apply(at.as_millis() - self.now, InputKind::TimerFired { timer })
    }

    fn events(&self) -> Vec<Event> {
        self.execution.history().iter().map(Event::from).collect()
    }

    fn run(&self) -> Run {
        Run::from_history(&self.events())
    }
}

fn lambda(payload: impl Into<Value>) -> Value {
    json!({"StatusCode": 200, "Payload": payload.into()})
}

/// A quarantined event that fails once more after a redrive.
fn failed_again() -> Story {
    let event = json!({"ingestId": "01J", "vendorId": "vendorA"});
    let error = json!({"Error": "MAPPER_REJECTED", "Cause": "{}"});
    let mut story = Story::start(definition("recover.asl.json"), json!({"event": event, "error": error}));
    let quarantined = lambda(json!({"status": "QUARANTINED", "deadLetter": {}}));
    story.succeed(180, quarantined.clone()).succeed(40, json!({"MessageId": "m"}));
    story.fail(30, "mapper_refused", "The mapper refused the message.");
    story.apply(DAY_MS, InputKind::Redrive).succeed(25, lambda(json!({})));
    story.fail(90, "Lambda.TooManyRequestsException", "Rate exceeded").wait();
    story.fail(310, "CANONICAL_SCHEMA_VIOLATION", "{\"errorMessage\": \"/data/quantity is not a number\"}");
    story.succeed(120, quarantined).succeed(35, json!({"MessageId": "m"}));
    story.fail(28, "canonical_schema_violation", "The document has 1 fault.");
    story
}

#[test]
fn each_machine_has_its_picture() {
    let mut files: Vec<String> = std::fs::read_dir(folder())
        .expect("the machines")
        .map(|entry| entry.expect("a file").file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".asl.json"))
        .collect();
    files.sort();
    assert!(files.len() >= 4, "{files:?}");
    for file in files {
        let name = file.trim_end_matches(".asl.json");
        let graph = Graph::of(&definition(&file));
        insta::assert_snapshot!(name, picture(name, &graph, &Run::none()));
        insta::assert_snapshot!(format!("{name}-outline"), outline(&graph, &Run::none()));
    }
}

#[test]
fn a_failed_execution_shows_where_and_why() {
    let story = failed_again();
    let run = story.run();
    assert_eq!((run.outcome, run.redrives), (Outcome::Failed, 1));
    let await_redrive = run.state("AwaitRedrive");
    assert_eq!(
        (await_redrive.outcome, await_redrive.visits, await_redrive.redrives),
        (Outcome::Failed, 2, 1)
    );
    assert!(
        await_redrive.time_ms < 1_000,
        "the day before the redrive is not its: {}",
        await_redrive.time_ms
    );
    let normalize = run.state("Normalize");
    assert_eq!((normalize.outcome, normalize.retries), (Outcome::Caught, 1));
    assert_eq!(normalize.error.as_deref(), Some("CANONICAL_SCHEMA_VIOLATION"));
    assert_eq!(run.state("Release").outcome, Outcome::NotReached);
    let graph = Graph::of(&definition("recover.asl.json"));
    insta::assert_snapshot!("recover-failed", picture("recover-failed", &graph, &run));
    insta::assert_snapshot!("recover-failed-outline", outline(&graph, &run));
}

#[test]
fn a_redriven_execution_that_succeeds_shows_its_way() {
    let mut story = failed_again();
    story.apply(DAY_MS, InputKind::Redrive).succeed(22, lambda(json!({})));
    story.succeed(200, lambda(json!({"status": "NORMALIZED"}))).succeed(70, lambda(json!({})));
    let run = story.run();
    assert_eq!((run.outcome, run.redrives), (Outcome::Succeeded, 2));
    assert_eq!(run.state("Normalize").outcome, Outcome::Succeeded);
    assert_eq!(run.state("AwaitRedrive").redrives, 2);
    let graph = Graph::of(&definition("recover.asl.json"));
    insta::assert_snapshot!("recover-redriven", picture("recover-redriven", &graph, &run));
}

#[test]
fn a_map_run_shows_its_items() {
    let input = json!({"manifest": {"bucket": "b", "key": "k"}, "results": {"bucket": "b", "prefix": "p"}});
    let story = Story::start(definition("replay.asl.json"), input);
    let run = story.run().with_items("ReplayEvents", Items { total: 1_200, succeeded: 830, failed: 12 });
    assert_eq!(run.state("ReplayEvents").outcome, Outcome::Running);
    let graph = Graph::of(&definition("replay.asl.json"));
    insta::assert_snapshot!("replay-running", picture("replay-running", &graph, &run));
    let child = graph.of_items("ReplayEvents").expect("it has children");
    let names: Vec<String> = child.outline(&Run::none()).into_iter().map(|item| item.name).collect();
    assert!(
        names.contains(&"StillFails".to_owned()) && !names.contains(&"CountEvents".to_owned()),
        "{names:?}"
    );
    assert!(graph.of_items("CountEvents").is_none());
}

/// Branches in a Map in a Parallel, a self-loop, a timeout, an abort, and names that are hostile.
fn everything() -> Arc<Definition> {
    let task = |next: &str| json!({"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Arguments": {"FunctionName": "f"}, "Next": next});
    let mut left = task("Wait");
    left["TimeoutSeconds"] = json!(5);
    left["Catch"] = json!([{"ErrorEquals": ["A.Error", "B.Error", "C.Error", "D.Error.With.A.Long.Name"], "Next": "Wait"}]);
    let hostile = "<b onclick='x'>\u{202e}evil</b>\u{1b}[31m a name that goes on and on and on and on 12";
    let asl = json!({"QueryLanguage": "JSONata", "StartAt": "Both", "States": {
        "Both": {"Type": "Parallel", "Next": "Again?", "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Broken"}], "Branches": [
            {"StartAt": "Left", "States": {"Left": left, "Wait": {"Type": "Wait", "Seconds": 1, "End": true}}},
            {"StartAt": "Each", "States": {"Each": {"Type": "Map", "Items": [1, 2], "End": true, "ItemProcessor": {
                "StartAt": hostile, "States": {hostile: {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage",
                    "Arguments": {"QueueUrl": "q", "MessageBody": "m"}, "End": true}}}}}},
        ]},
        "Again?": {"Type": "Choice", "Choices": [
            {"Condition": "{% $states.input[0] = 1 %}", "Next": "Again?"},
            {"Condition": "{% $states.input[0] = 2 and $states.input[1] = 'something quite long' %}", "Next": "Both"},
        ], "Default": "Done"},
        "Done": {"Type": "Succeed"}, "Broken": {"Type": "Fail", "Error": "E"}}});
    Arc::new(Definition::parse(&asl.to_string(), MachineType::Standard).expect("it loads"))
}

#[test]
fn what_is_nested_and_what_is_hostile_is_shown() {
    let definition = everything();
    let mut story = Story::start(Arc::clone(&definition), json!({}));
    story.succeed(900, lambda(json!(1)));
    story.fail(600, "SQS.<Error>", "\u{202e}<script>alert(1)</script>");
    let run = story.run();
    assert_eq!(run.state("Both").outcome, Outcome::Caught, "{run:?}");
    assert_eq!(run.state("Left").outcome, Outcome::Succeeded);
    assert_eq!(run.state("Wait").outcome, Outcome::Aborted);
    assert_eq!(run.state("Each").outcome, Outcome::Failed);
    assert_eq!(run.state("Each").error.as_deref(), Some("SQS.<Error>"));
    let graph = Graph::of(&definition);
    let svg = picture("everything", &graph, &run);
    for bad in ["<b", "<script", "\u{202e}", "\u{1b}", " style=", "<style"] {
        assert!(
            !svg.contains(bad) || bad == " onclick" && !svg.contains("<b onclick"),
            "{bad:?} is in the picture"
        );
    }
    insta::assert_snapshot!("everything", svg);
    insta::assert_snapshot!("everything-outline", outline(&graph, &run));
}

#[test]
fn a_history_is_read_alike_in_each_of_its_forms() {
    let story = failed_again();
    let own = story.events();
    let wire: Vec<Value> =
        story.execution.history().iter().map(|event| serde_json::to_value(event).expect("JSON")).collect();
    let read: Vec<Event> = wire.iter().filter_map(Event::from_value).collect();
    assert_eq!(read, own);
    // As Step Functions logs it: texts for numbers, and `details`.
    let logged: Vec<Event> = story
        .execution
        .history()
        .iter()
        .zip(&wire)
        .filter_map(|(event, wire)| {
            let details = wire
                .as_object()
                .and_then(|members| members.iter().find(|(name, _)| name.ends_with("Details")));
            Event::from_value(&json!({
                "id": event.id.to_string(), "type": event.event_type.name(),
                "previous_event_id": event.previous_event_id.to_string(),
                "event_timestamp": event.timestamp.as_millis().to_string(),
                "details": details.map(|(_, details)| details), "execution_arn": "arn",
            }))
        })
        .collect();
    assert_eq!(logged, own);
    let mut shuffled = own.clone();
    shuffled.reverse();
    assert_eq!(Run::from_history(&shuffled), Run::from_history(&own));
    for junk in
        [json!(null), json!({}), json!({"type": "TaskFailed"}), json!({"type": 1, "id": "x", "timestamp": 0})]
    {
        assert_eq!(Event::from_value(&junk), None);
    }
}

/// Any part of a history can be shown: a page shows executions while they run, and AWS answers page by page.
#[test]
fn every_beginning_of_a_history_can_be_shown() {
    let mut story = failed_again();
    story.apply(DAY_MS, InputKind::Redrive);
    let (graph, events) = (Graph::of(&definition("recover.asl.json")), story.events());
    let mut outcomes = BTreeMap::new();
    for length in 0..=events.len() {
        let run = Run::from_history(&events[..length]);
        *outcomes.entry(format!("{:?}", run.outcome)).or_insert(0) += 1;
        assert!(graph.svg(&run, &Options::default()).ends_with("</svg>\n"));
    }
    assert_eq!(outcomes.keys().collect::<Vec<_>>(), ["Failed", "NotReached", "Running"]);
}
