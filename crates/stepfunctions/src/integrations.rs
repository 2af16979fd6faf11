//! What a Task state calls, and `states:startExecution`, which the engine answers itself.
//!
//! Follows "Start a new AWS Step Functions state machine from a running execution" of the Developer Guide; output and error
//! texts follow recorded histories of AWS.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use serde_json::{Value, json};

use crate::engine::{Inner, Payload};
use crate::error::{Error, Result};
use crate::map_run::MapRunCounts;

/// The `Resource` that the engine answers itself.
pub const START_EXECUTION: &str = "arn:aws:states:::states:startExecution";

/// The other one: what has become of a Map Run.
pub const DESCRIBE_MAP_RUN: &str = "arn:aws:states:::aws-sdk:sfn:describeMapRun";

/// Carries out tasks: everything a state machine's `Resource` can name, except [`START_EXECUTION`] and [`DESCRIBE_MAP_RUN`].
///
/// An implementation that holds the [`Engine`](crate::Engine) keeps it alive; end such an engine with
/// [`Engine::shutdown`](crate::Engine::shutdown).
#[async_trait]
pub trait Integrations: Send + Sync + 'static {
    /// Runs one attempt of one task. `arguments` are the state's evaluated `Arguments`; the answer is `$states.result`, with
    /// the envelope that AWS gives it (for `lambda:invoke`: `ExecutedVersion`, `Payload`, `StatusCode`, …).
    ///
    /// The future is dropped when the result is not wanted any more: the task's time is out, a parallel branch has failed,
    /// or the execution was stopped. After a crash an unfinished task is run again, so a task runs at least once.
    ///
    /// # Errors
    /// The error name that `Retry` and `Catch` match, and its cause.
    async fn invoke(
        &self,
        resource: &str,
        arguments: Value,
        context: &TaskContext,
    ) -> std::result::Result<Value, TaskError>;

    /// Reads a part of an object, for an `ItemReader` of `s3:getObject`: at most `bytes_max` bytes from `offset` on. At the end of
    /// the object, and beyond, no bytes.
    ///
    /// # Errors
    /// Why not, as the service names it (`S3.NoSuchKey`, …); it becomes the cause of `States.ItemReaderFailed`.
    async fn read_object(
        &self,
        bucket: &str,
        key: &str,
        offset: u64,
        bytes_max: u64,
    ) -> std::result::Result<ObjectPart, TaskError> {
        let _ = (offset, bytes_max);
        Err(TaskError::new(
            "S3.NotImplemented",
            format!("there is no s3://{bucket}/{key}: nothing here reads objects"),
        ))
    }

    /// Writes an object of JSON, for a `ResultWriter` of `s3:putObject`; one that is there is replaced.
    ///
    /// # Errors
    /// Why not, as the service names it; it becomes the cause of `States.ResultWriterFailed`.
    async fn write_object(&self, bucket: &str, key: &str, body: Bytes) -> std::result::Result<(), TaskError> {
        let _ = body;
        Err(TaskError::new(
            "S3.NotImplemented",
            format!("s3://{bucket}/{key} was not written: nothing here writes objects"),
        ))
    }
}

/// A part of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectPart {
    /// The bytes that were asked for, as far as there are any.
    pub bytes: Bytes,
    /// The object's entity tag: another one is another object.
    pub etag: String,
    /// Bytes of the whole object.
    pub size: u64,
}

/// Which task is run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TaskContext {
    /// The execution that runs it.
    pub execution_arn: Arc<str>,
    /// The state machine of the execution.
    pub state_machine_arn: Arc<str>,
    /// The Task state's name.
    pub state_name: Arc<str>,
    /// 0 for the first attempt of this visit to the state, then 1, 2, …
    pub retry_count: u32,
    /// The state's `TimeoutSeconds`. The engine enforces it by dropping the future. It runs from the start of the task, or
    /// from the end of its wait ([`TaskContext::wait_for_turn`]).
    pub timeout: Option<Duration>,
    pub(crate) turn: Arc<TurnState>,
}

impl TaskContext {
    /// Says that the task has not begun yet, since what runs it is busy: until the answer is dropped, the state's timeout does
    /// not run, and then it runs anew. To be held and dropped within the future of [`Integrations::invoke`] only.
    #[must_use]
    pub fn wait_for_turn(&self) -> TurnWait {
        self.turn.waits.fetch_add(1, Ordering::SeqCst);
        TurnWait(Arc::clone(&self.turn))
    }
}

/// A task's wait for its turn.
#[derive(Debug)]
pub struct TurnWait(Arc<TurnState>);

impl Drop for TurnWait {
    fn drop(&mut self) {
        self.0.begun.store(true, Ordering::SeqCst);
        self.0.waits.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whether a task waits, and whether it has begun since its timer was looked at.
#[derive(Debug, Default)]
pub(crate) struct TurnState {
    waits: AtomicUsize,
    begun: AtomicBool,
}

impl TurnState {
    pub(crate) fn is_waiting(&self) -> bool {
        self.waits.load(Ordering::SeqCst) > 0
    }

    /// True once after each wait.
    pub(crate) fn take_begun(&self) -> bool {
        self.begun.swap(false, Ordering::SeqCst)
    }
}

/// A failed task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskError {
    /// The error name, e.g. `Lambda.TooManyRequestsException`, or the `errorType` of a function.
    pub error: String,
    /// For a Lambda function the JSON text of its error.
    pub cause: Option<String>,
}

impl TaskError {
    /// An error with a cause.
    pub fn new(error: impl Into<String>, cause: impl Into<String>) -> Self {
        TaskError { error: error.into(), cause: Some(cause.into()) }
    }
}

/// Runs one attempt of a task: what the engine answers itself, or what the integrations do.
pub(crate) async fn dispatch(
    inner: &Arc<Inner>,
    resource: &str,
    arguments: Value,
    context: &TaskContext,
) -> std::result::Result<Value, TaskError> {
    // What a task that waits for its token calls is the same; only its end is another.
    let resource = resource.strip_suffix(".waitForTaskToken").unwrap_or(resource);
    let invocation = async {
        match resource {
            START_EXECUTION => start_execution(inner, arguments).await,
            DESCRIBE_MAP_RUN => describe_map_run(inner, arguments).await,
            _ => inner.integrations.invoke(resource, arguments, context).await,
        }
    };
    // A panic fails the task, as a crash of a function does, and not the engine.
    AssertUnwindSafe(invocation).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!(resource, state = %context.state_name, "a task panicked");
        let error = if resource.contains(":lambda:") { "Lambda.Unknown" } else { "States.TaskFailed" };
        Err(TaskError::new(error, "the task panicked"))
    })
}

/// `states:startExecution`: starts an execution and answers at once, whatever becomes of it.
pub(crate) async fn start_execution(
    inner: &Arc<Inner>,
    arguments: Value,
) -> std::result::Result<Value, TaskError> {
    let request_id = inner.uuid();
    match start(inner, arguments).await {
        Ok((arn, started_at)) => {
            let content_type = "application/x-amz-json-1.0";
            Ok(json!({
                "ExecutionArn": arn,
                "SdkHttpMetadata": {
                    "AllHttpHeaders": {"Content-Type": [content_type], "x-amzn-RequestId": [request_id]},
                    "HttpHeaders": {"Content-Type": content_type, "x-amzn-RequestId": request_id},
                    "HttpStatusCode": 200,
                },
                "SdkResponseMetadata": {"RequestId": request_id},
                "StartDate": started_at,
            }))
        }
        Err(error) => Err(TaskError {
            error: error.task_error_name(),
            cause: Some(format!(
                "{error} (Service: AWSStepFunctions; Status Code: {}; Error Code: {}; Request ID: {request_id}; Proxy: null)",
                error.http_status(),
                error.code(),
            )),
        }),
    }
}

/// `aws-sdk:sfn:describeMapRun`: the answer of `DescribeMapRun` with the names that AWS SDK integrations have, in Pascal case and
/// times as text ("Learning to use AWS service SDK integrations").
pub(crate) async fn describe_map_run(
    inner: &Arc<Inner>,
    arguments: Value,
) -> std::result::Result<Value, TaskError> {
    let describe = async {
        let Value::Object(mut arguments) = arguments else {
            return Err(Error::Validation(
                "the arguments of sfn:describeMapRun are not an object".to_owned(),
            ));
        };
        let arn = match arguments.remove("MapRunArn") {
            Some(Value::String(arn)) => arn,
            _ => return Err(Error::missing("mapRunArn")),
        };
        if let Some(member) = arguments.keys().next() {
            return Err(Error::Validation(format!(
                "the field {member} is not supported by sfn:describeMapRun"
            )));
        }
        inner.map_run(&arn).await
    };
    let run = describe.await.map_err(|error: Error| {
        let name = error.task_error_name();
        TaskError::new(name.replacen("StepFunctions.", "Sfn.", 1), error.to_string())
    })?;
    let counts = |counts: &MapRunCounts| {
        json!({
            "Pending": counts.pending, "Running": counts.running, "Succeeded": counts.succeeded,
            "Failed": counts.failed, "TimedOut": counts.timed_out, "Aborted": counts.aborted,
            "Total": counts.total, "ResultsWritten": counts.results_written,
            "FailuresNotRedrivable": counts.failures_not_redrivable, "PendingRedrive": counts.pending_redrive,
        })
    };
    let mut answer = json!({
        "MapRunArn": run.map_run_arn,
        "ExecutionArn": run.execution_arn,
        "Status": run.status.name(),
        "StartDate": run.started_at.to_string(),
        "MaxConcurrency": run.max_concurrency,
        "ToleratedFailureCount": run.tolerated_failure_count,
        "ToleratedFailurePercentage": run.tolerated_failure_percentage,
        "ItemCounts": counts(&run.items),
        "ExecutionCounts": counts(&run.executions),
        "RedriveCount": run.redrive_count,
    });
    if let Some(at) = run.stopped_at {
        answer["StopDate"] = at.to_string().into();
    }
    if let Some(at) = run.redriven_at {
        answer["RedriveDate"] = at.to_string().into();
    }
    Ok(answer)
}

async fn start(inner: &Arc<Inner>, arguments: Value) -> Result<(String, f64)> {
    let Value::Object(mut arguments) = arguments else {
        return Err(Error::Validation("the arguments of states:startExecution are not an object".to_owned()));
    };
    let mut text = |member: &str| match arguments.remove(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(Error::Validation(format!("{member} must be a string, and is {other}"))),
    };
    let machine = text("StateMachineArn")?.ok_or_else(|| Error::missing("stateMachineArn"))?;
    let name = text("Name")?;
    let trace_header = text("TraceHeader")?;
    let input = match arguments.remove("Input") {
        None | Some(Value::Null) => Payload::empty(),
        // As for the API, a string is the JSON text of the input; anything else is the input itself.
        Some(Value::String(text)) => Payload::parse(text)?,
        Some(value) => Payload::from_value(value)?,
    };
    if let Some(member) = arguments.keys().next() {
        return Err(Error::Validation(format!(
            "the field {member} is not supported by states:startExecution"
        )));
    }
    let started = inner.start(&machine, name, input, trace_header).await?;
    Ok((started.execution_arn, started.started_at.as_epoch_seconds()))
}
