//! `TestState`: one state, with or without a mock, and what can be seen on the way.
//!
//! Sources: the API reference of `TestState`, "Using TestState API to test a state" of the
//! Developer Guide, and AWS's recorded answers for messages. A state is run with the integrations
//! of this engine; nothing is journaled. JSONPath states are refused by name, as everywhere.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use sluice_asl::{
    Definition, Inspection, ParseOptions, ScheduledTask, SingleState, Start, StateTest, TestMock,
    TestOutcome, TestSetup,
};

use super::mocks::{self, Validation};
use super::put;
use super::request::Request;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::integrations::{TaskContext, TaskError, dispatch};
use crate::limits::{ARN_CHARS_MAX, DATA_BYTES_MAX, DEFINITION_BYTES_MAX, TEST_STATE_SECONDS_MAX};

/// What `stateConfiguration` says.
#[derive(Default)]
struct Configuration {
    retry_count: u32,
    error_caused_by: Option<String>,
    failed_iterations: u64,
    reader_items: Option<Vec<Value>>,
}

impl Engine {
    pub(super) async fn test_state(&self, mut request: Request) -> Result<Value> {
        let text = request.text("definition")?;
        if text.is_empty() || text.len() > DEFINITION_BYTES_MAX {
            let limit = format!("Member must have length between 1 and {DEFINITION_BYTES_MAX}");
            return Err(Error::constraint("(not shown)", "definition", &limit));
        }
        request.bounded_text("roleArn", ARN_CHARS_MAX)?;
        let name = request.bounded_text("stateName", 80)?;
        let input = request.optional_text("input")?.unwrap_or_else(|| "{}".to_owned());
        if input.len() > DATA_BYTES_MAX {
            let limit = format!("Member must have length less than or equal to {DATA_BYTES_MAX}");
            return Err(Error::constraint("(not shown)", "input", &limit));
        }
        let level = request.choice("inspectionLevel", &["INFO", "DEBUG", "TRACE"])?.unwrap_or("INFO");
        let reveals = request.flag("revealSecrets")?.unwrap_or(false);
        let variables = match request.optional_text("variables")? {
            None => BTreeMap::new(),
            Some(text) => serde_json::from_str(&text)
                .map_err(|_| Error::Validation("Variables must be a JSON object.".to_owned()))?,
        };
        let context = request.optional_text("context")?;
        let configuration = configuration(&mut request)?;
        let mock = request.object("mock")?;
        if mock.is_some() && reveals {
            let why = "TestState does not support RevealSecrets when a mock is specified.";
            return Err(Error::Validation(why.to_owned()));
        }
        let single = Definition::parse_state(&text, name.as_deref(), &ParseOptions::default())
            .map_err(Error::InvalidDefinition)?;
        let Some(SingleState { definition, state, name }) = single else {
            let name = name.unwrap_or_default();
            return Err(Error::Validation(format!("State not found in the definition: '{name}'")));
        };
        let mock = mock.map(|mock| read_mock(&mock, &state)).transpose()?;
        expect_testable(&state, mock.is_some())?;
        let context = context.map(|context| mocks::context(&context, &state)).transpose()?;
        let value: Value =
            serde_json::from_str(&input).map_err(|error| Error::InvalidExecutionInput(error.to_string()))?;
        let within = configuration.error_caused_by.as_deref();
        if let Some(within) = within
            && !mocks::contains(&state, within)
        {
            let why = format!("There is no state '{within}' in the state '{name}' to cause the error.");
            return Err(Error::Validation(why));
        }
        let setup = TestSetup {
            start: self.test_start(value),
            variables,
            context,
            mock,
            retry_count: configuration.retry_count,
            error_of_branch: within.is_some(),
            failed_iterations: configuration.failed_iterations,
            reader_items: configuration.reader_items,
        };
        let (outcome, inspection) = self.run_test(Arc::new(definition), setup).await?;
        Ok(answer(outcome, inspection, &input, level))
    }

    /// Names that are nobody's, as AWS makes them up.
    fn test_start(&self, input: Value) -> Start {
        let inner = &self.inner;
        let (machine, name) = (inner.uuid(), inner.uuid());
        let (region, account) = (&inner.options.region, &inner.options.account);
        Start {
            execution_arn: format!("arn:aws:states:{region}:{account}:express:{machine}:{name}"),
            execution_name: name,
            role_arn: format!("arn:aws:iam::{account}:role/sluice-local"),
            state_machine_arn: inner.machine_arn(&machine),
            state_machine_name: machine,
            input,
            keep_history: true,
        }
    }

    async fn run_test(
        &self,
        definition: Arc<Definition>,
        setup: TestSetup,
    ) -> Result<(TestOutcome, Inspection)> {
        let inner = &self.inner;
        let failed = |error: sluice_asl::ApplyError| Error::Internal(error.to_string());
        let machine_arn: Arc<str> = setup.start.state_machine_arn.as_str().into();
        let execution_arn: Arc<str> = setup.start.execution_arn.as_str().into();
        // What holds `Rc`s must not be held over an await, so the test is kept between two of its
        // steps only.
        let mut test = StateTest::start(definition, setup, inner.now(), inner.seed()).map_err(failed)?;
        if let Some(task) = test.task().cloned() {
            let result = self.run_tested_task(task, execution_arn, machine_arn).await;
            let result = result.map_err(|TaskError { error, cause }| (error, cause));
            test.finish(result, inner.now(), inner.seed()).map_err(failed)?;
        }
        Ok(test.report())
    }

    async fn run_tested_task(
        &self,
        task: ScheduledTask,
        execution_arn: Arc<str>,
        state_machine_arn: Arc<str>,
    ) -> std::result::Result<Value, TaskError> {
        let most = Duration::from_secs(TEST_STATE_SECONDS_MAX);
        let timeout = task.timeout_seconds.map(Duration::from_secs);
        let context = TaskContext {
            execution_arn,
            state_machine_arn,
            state_name: task.state_name,
            retry_count: task.retry_count,
            timeout,
            turn: Arc::default(),
        };
        let arguments = Arc::unwrap_or_clone(task.arguments);
        let run = dispatch(&self.inner, &task.resource, arguments, &context);
        match tokio::time::timeout(timeout.unwrap_or(most).min(most), run).await {
            Ok(result) => result,
            Err(_) => Err(TaskError { error: "States.Timeout".to_owned(), cause: None }),
        }
    }
}

/// Refuses what cannot be run as it stands, in AWS's words.
fn expect_testable(state: &Value, mocked: bool) -> Result<()> {
    let text = |field: &str| state.get(field).and_then(Value::as_str).unwrap_or_default();
    let (kind, resource) = (text("Type"), text("Resource"));
    if mocked && !matches!(kind, "Task" | "Map" | "Parallel") {
        let why = format!("State type '{kind}' is not supported when a mock is specified");
        return Err(Error::Validation(why));
    }
    if !mocked && matches!(kind, "Map" | "Parallel") {
        let why = "TestState API does not support Map or Parallel states. Supported state types include: [Task, Wait, Pass, Succeed, \
                   Fail, Choice]";
        return Err(Error::Untestable(why.to_owned()));
    }
    if !mocked && (mocks::is_callback(resource) || resource.contains(":activity:")) {
        let why = format!(
            "TestState API does not support the resource '{resource}' without a mock: it waits for an answer from outside"
        );
        return Err(Error::Untestable(why));
    }
    Ok(())
}

fn configuration(request: &mut Request) -> Result<Configuration> {
    let Some(Value::Object(members)) = request.object("stateConfiguration")? else {
        return Ok(Configuration::default());
    };
    let mut members = Request::of(members);
    let reader_items = match members.optional_text("mapItemReaderData")? {
        None => None,
        Some(text) => match serde_json::from_str::<Value>(&text) {
            Ok(Value::Array(items)) => Some(items),
            _ => return Err(Error::Validation("mapItemReaderData must be a JSON array.".to_owned())),
        },
    };
    Ok(Configuration {
        retry_count: members
            .count("retrierRetryCount")?
            .map_or(0, |count| u32::try_from(count).unwrap_or(u32::MAX)),
        error_caused_by: members.bounded_text("errorCausedByState", 80)?,
        failed_iterations: members.count("mapIterationFailureCount")?.unwrap_or(0),
        reader_items,
    })
}

fn read_mock(mock: &Value, state: &Value) -> Result<TestMock> {
    let mut members = Request::of(mock.as_object().cloned().unwrap_or_default());
    let validation = match members.choice("fieldValidationMode", &["STRICT", "PRESENT", "NONE"])? {
        Some("NONE") => Validation::None,
        Some("PRESENT") => Validation::Present,
        _ => Validation::Strict,
    };
    let result = members.optional_text("result")?;
    let error = members.object("errorOutput")?;
    match (result, error) {
        (Some(_), Some(_)) => Err(Error::Validation(
            "A test mock should have only one of the following fields: [result, errorOutput].".to_owned(),
        )),
        (None, None) => Err(Error::Validation(
            "A test mock must have one of the following fields: [result, errorOutput].".to_owned(),
        )),
        (None, Some(error)) => {
            let mut members = Request::of(error.as_object().cloned().unwrap_or_default());
            Ok(Err((members.optional_text("error")?, members.optional_text("cause")?)))
        }
        (Some(text), None) => {
            let result: Value = serde_json::from_str(&text)
                .map_err(|_| Error::Validation("Mocked result must be valid JSON.".to_owned()))?;
            mocks::check_result(&result, state, validation)?;
            Ok(Ok(result))
        }
    }
}

fn answer(outcome: TestOutcome, inspection: Inspection, input: &str, level: &str) -> Value {
    let mut answer = json!({});
    let (status, output, next, error, cause) = match outcome {
        TestOutcome::Succeeded { output, next } => ("SUCCEEDED", Some(output), next, None, None),
        TestOutcome::Caught { output, next, error, cause } => {
            ("CAUGHT_ERROR", Some(output), next, error, cause)
        }
        TestOutcome::Retriable { error, cause } => ("RETRIABLE", None, None, error, cause),
        TestOutcome::Failed { error, cause } => ("FAILED", None, None, error, cause),
    };
    answer["status"] = status.into();
    put(&mut answer, "output", output.map(|output| output.to_string()));
    put(&mut answer, "nextState", next);
    put(&mut answer, "error", error);
    put(&mut answer, "cause", cause);
    if level != "INFO" {
        answer["inspectionData"] = inspected(inspection, input);
    }
    answer
}

fn inspected(seen: Inspection, input: &str) -> Value {
    let mut data = json!({"input": input});
    put(&mut data, "afterArguments", seen.after_arguments.map(|value| value.to_string()));
    put(&mut data, "afterItemSelector", seen.after_item_selector.map(|value| value.to_string()));
    put(&mut data, "result", seen.result.map(|value| value.to_string()));
    put(&mut data, "maxConcurrency", seen.max_concurrency);
    put(&mut data, "toleratedFailureCount", seen.tolerated_failure_count);
    put(&mut data, "toleratedFailurePercentage", seen.tolerated_failure_percentage);
    if !seen.variables.is_empty() {
        data["variables"] = json!(seen.variables).to_string().into();
    }
    let mut details = Map::new();
    for (member, value) in [
        ("catchIndex", seen.catch_index.map(|index| index as u64)),
        ("retryIndex", seen.retry_index.map(|index| index as u64)),
        ("retryBackoffIntervalSeconds", seen.retry_backoff_seconds),
    ] {
        if let Some(value) = value {
            details.insert(member.to_owned(), value.into());
        }
    }
    if !details.is_empty() {
        data["errorDetails"] = Value::Object(details);
    }
    data
}
