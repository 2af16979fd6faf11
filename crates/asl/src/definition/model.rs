//! The compiled form: names resolved to indexes, expressions parsed, every default in place.

use std::sync::Arc;

use serde_json::Value;

use super::Definition;
use crate::template::Template;

/// Index of a machine within its [`super::Definition`]; 0 is the definition's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MachineId(pub(crate) usize);

impl MachineId {
    pub(crate) const ROOT: MachineId = MachineId(0);
}

/// States with a beginning: the definition itself, a branch, or an item processor.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) start: usize,
    pub(crate) states: Vec<State>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) name: Arc<str>,
    pub(crate) comment: Option<Box<str>>,
    pub(crate) kind: StateKind,
    pub(crate) output: Option<Template>,
    /// Variable names with the templates of their values.
    pub(crate) assign: Vec<(Arc<str>, Template)>,
    pub(crate) retry: Vec<Retrier>,
    pub(crate) catch: Vec<Catcher>,
}

#[derive(Debug)]
pub(crate) enum StateKind {
    Task(Task),
    Pass(Transition),
    Choice { rules: Vec<Rule>, default: Option<usize> },
    Wait { until: Waiting, then: Transition },
    Succeed,
    Fail(Failing),
    Parallel { arguments: Option<Template>, branches: Vec<MachineId>, then: Transition },
    Map(Mapping),
}

/// Where to go when a state is done; a state of the same machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transition {
    Next(usize),
    End,
}

#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) resource: Arc<str>,
    /// `lambda` of `arn:aws:states:::lambda:invoke`.
    pub(crate) resource_type: Arc<str>,
    /// `invoke` of `arn:aws:states:::lambda:invoke`.
    pub(crate) action: Arc<str>,
    pub(crate) pattern: Pattern,
    pub(crate) arguments: Option<Template>,
    pub(crate) timeout: Option<Seconds>,
    pub(crate) heartbeat: Option<Seconds>,
    pub(crate) then: Transition,
}

/// Where a task's result comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// From the call itself.
    Request,
    /// `.waitForTaskToken`: from whoever has the token that the call handed on.
    Callback,
    /// From a worker that asks for work of the activity.
    Activity,
}

impl Pattern {
    pub(crate) fn of(resource: &str) -> Self {
        if resource.ends_with(CALLBACK_SUFFIX) {
            Pattern::Callback
        } else if is_activity(resource) {
            Pattern::Activity
        } else {
            Pattern::Request
        }
    }
}

/// What a resource ends with whose task waits for its token.
pub(crate) const CALLBACK_SUFFIX: &str = ".waitForTaskToken";

/// Whether a resource is `arn:aws:states:<region>:<account>:activity:<name>`.
fn is_activity(resource: &str) -> bool {
    let parts: Vec<&str> = resource.split(':').collect();
    matches!(parts[..], ["arn", _, "states", region, account, "activity", name]
        if !region.is_empty() && !account.is_empty() && !name.is_empty())
}

/// A number of seconds, or the expression that gives it.
#[derive(Debug)]
pub(crate) struct Seconds(pub(crate) Template);

#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) condition: Template,
    pub(crate) next: usize,
    pub(crate) output: Option<Template>,
    pub(crate) assign: Vec<(Arc<str>, Template)>,
}

#[derive(Debug)]
pub(crate) enum Waiting {
    Seconds(Seconds),
    Timestamp(Template),
}

#[derive(Debug)]
pub(crate) struct Failing {
    pub(crate) error: Option<Template>,
    pub(crate) cause: Option<Template>,
}

#[derive(Debug)]
pub(crate) struct Mapping {
    pub(crate) items: Option<Template>,
    pub(crate) selector: Option<Template>,
    pub(crate) max_concurrency: Option<Template>,
    pub(crate) tolerated_count: Option<Template>,
    pub(crate) tolerated_percentage: Option<Template>,
    pub(crate) processor: Processor,
    pub(crate) then: Transition,
}

/// What runs an item.
#[derive(Debug)]
pub(crate) enum Processor {
    /// States of this definition, in the execution itself.
    Inline(MachineId),
    /// Executions of their own.
    Distributed(Box<Distributed>),
}

/// What only a Map in Distributed mode has.
#[derive(Debug)]
pub(crate) struct Distributed {
    /// What every child execution runs; it sees nothing of the states around it.
    pub(crate) child: Arc<Definition>,
    pub(crate) label: Option<Arc<str>>,
    pub(crate) reader: Option<Reader>,
    pub(crate) batcher: Option<Batcher>,
    pub(crate) writer: Writer,
}

/// An `ItemReader` of `s3:getObject`.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) bucket: Template,
    pub(crate) key: Template,
    pub(crate) input_type: InputType,
    pub(crate) max_items: Option<Template>,
}

/// How the object of an `ItemReader` holds its items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputType {
    /// One JSON array.
    Json,
    /// One JSON value a line.
    JsonLines,
}

#[derive(Debug)]
pub(crate) struct Batcher {
    pub(crate) max_items: Option<Template>,
    pub(crate) max_bytes: Option<Template>,
    pub(crate) input: Option<Template>,
}

#[derive(Debug)]
pub(crate) struct Writer {
    /// Bucket and prefix of `s3:putObject`; the results are the state's without it.
    pub(crate) destination: Option<(Template, Option<Template>)>,
    pub(crate) transformation: Transformation,
    pub(crate) output_type: OutputType,
}

/// `WriterConfig.Transformation`: what becomes of a child's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transformation {
    /// The output with everything that is known of the child.
    None,
    /// The output alone.
    Compact,
    /// The output, or the elements of an output that is an array.
    Flatten,
}

/// `WriterConfig.OutputType`: how the results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputType {
    /// One JSON array.
    Json,
    /// One JSON value a line.
    JsonLines,
}

#[derive(Debug)]
pub(crate) struct Retrier {
    pub(crate) errors: ErrorNames,
    pub(crate) interval_seconds: f64,
    pub(crate) max_attempts: u32,
    pub(crate) backoff_rate: f64,
    pub(crate) max_delay_seconds: Option<f64>,
    pub(crate) jitter: Jitter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Jitter {
    None,
    Full,
}

#[derive(Debug)]
pub(crate) struct Catcher {
    pub(crate) errors: ErrorNames,
    pub(crate) next: usize,
    pub(crate) output: Option<Template>,
    pub(crate) assign: Vec<(Arc<str>, Template)>,
}

/// An `ErrorEquals`.
#[derive(Debug)]
pub(crate) struct ErrorNames(pub(crate) Vec<String>);

impl ErrorNames {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether this names `error` ("Handling errors in Step Functions workflows"). `States.Runtime` is never retried or caught;
    /// no wildcard matches `States.DataLimitExceeded`; `States.TaskFailed` is every other error but `States.Timeout`; the error of
    /// a branch is `States.BranchFailed` as well.
    pub(crate) fn matches(&self, error: &str, of_branch: bool) -> bool {
        if error == "States.Runtime" {
            return false;
        }
        self.iter().any(|name| match name {
            _ if name == error => true,
            "States.ALL" => error != "States.DataLimitExceeded",
            "States.TaskFailed" => error != "States.DataLimitExceeded" && error != "States.Timeout",
            "States.Timeout" => error == "States.HeartbeatTimeout",
            "States.BranchFailed" => of_branch && error != "States.DataLimitExceeded",
            _ => false,
        })
    }
}

impl Seconds {
    /// The number, if the definition gives it.
    pub(crate) fn literal(&self) -> Option<u64> {
        self.0.literal().and_then(|value| whole_seconds(value))
    }
}

/// A value as a number of whole seconds; 3 and 3.0 alike.
pub(crate) fn whole_seconds(value: &Value) -> Option<u64> {
    let number = value.as_number()?;
    if let Some(seconds) = number.as_u64() {
        return Some(seconds);
    }
    let float = number.as_f64()?;
    (float.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&float)).then_some(float as u64)
}
