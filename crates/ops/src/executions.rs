//! Executions of the state machines, as Step Functions lists and tells them; with the definition
//! that each ran.
//!
//! Step Functions keeps no list and no history of Express executions: for their machines there is a
//! definition only.

use aws_sdk_sfn::operation::describe_execution::DescribeExecutionOutput;
use aws_sdk_sfn::types::{ExecutionListItem, ExecutionStatus, HistoryEvent, StateMachineType};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use sluice_aws::error::fault;

use crate::cloud::Cloud;
use crate::document::{millis, millis_opt};
use crate::error::OpsError;
use crate::execution::{Execution, sdk_time};

/// How long after its end an execution can be redriven, in days (`RedriveExecution`, AWS Step
/// Functions API Reference).
pub const REDRIVE_DAYS: i64 = 14;

/// Most executions of one list.
pub const LISTED_MAX: i32 = 1_000;

/// Most events of a history that are read: the bound of a Standard execution on AWS.
pub const HISTORY_EVENTS_MAX: usize = 25_000;

/// A state machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// Whether it is an Express one, whose executions are not listed.
    pub express: bool,
    /// When it was made.
    #[serde(serialize_with = "millis")]
    pub created_at: Timestamp,
}

/// A machine's definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Definition {
    /// The machine's ARN.
    pub machine_arn: String,
    /// The machine's name.
    pub machine: String,
    /// The text in the Amazon States Language.
    pub definition: String,
    /// When it was last changed.
    #[serde(serialize_with = "millis")]
    pub updated_at: Timestamp,
}

/// Which executions.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Of the machine of this name.
    pub machine: String,
    /// With this status: `RUNNING`, `SUCCEEDED`, `FAILED`, `TIMED_OUT`, `ABORTED` or
    /// `PENDING_REDRIVE`.
    pub status: Option<String>,
    /// Most executions listed.
    pub limit: i32,
    /// What an earlier list gave to go on with.
    pub token: Option<String>,
}

/// Executions, the latest start first.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecutionList {
    /// The machine.
    pub machine: Machine,
    /// The executions.
    pub executions: Vec<Summary>,
    /// Goes on with the next ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

/// One execution of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// `RUNNING`, `SUCCEEDED`, `FAILED`, `TIMED_OUT`, `ABORTED` or `PENDING_REDRIVE`.
    pub status: String,
    /// When it was started.
    #[serde(serialize_with = "millis")]
    pub started_at: Timestamp,
    /// When it ended.
    #[serde(serialize_with = "millis_opt", skip_serializing_if = "Option::is_none")]
    pub stopped_at: Option<Timestamp>,
    /// How often it was redriven.
    pub redrive_count: i32,
    /// When it was last redriven.
    #[serde(serialize_with = "millis_opt", skip_serializing_if = "Option::is_none")]
    pub redriven_at: Option<Timestamp>,
    /// Until when it can be redriven, if it failed.
    #[serde(serialize_with = "millis_opt", skip_serializing_if = "Option::is_none")]
    pub redrivable_until: Option<Timestamp>,
    /// The AWS console's page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

/// All that Step Functions says of one execution.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecutionDetail {
    /// As beside an event.
    #[serde(flatten)]
    pub execution: Execution,
    /// The machine's ARN.
    pub machine_arn: String,
    /// The machine's name.
    pub machine: String,
    /// Until when it can be redriven, if it failed.
    #[serde(serialize_with = "millis_opt", skip_serializing_if = "Option::is_none")]
    pub redrivable_until: Option<Timestamp>,
    /// What it was started with, as JSON text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// What it ended with, as JSON text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Name of the error that it failed with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The definition that it runs, in the Amazon States Language.
    pub definition: String,
}

/// The history of one execution.
#[derive(Debug, Serialize)]
pub struct History {
    /// Its ARN.
    pub arn: String,
    /// In the order of their ids.
    pub events: Vec<Entry>,
    /// There are more events than were asked for.
    pub truncated: bool,
}

/// One event of a history, with whichever members its type has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// From 1, without gaps.
    pub id: i64,
    /// The event that led to this one; 0 for the first.
    pub previous_event_id: i64,
    /// When.
    #[serde(serialize_with = "millis")]
    pub at: Timestamp,
    /// AWS's name of the type, e.g. `TaskStateEntered`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The state that is entered or left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// What a task calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// JSON text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// JSON text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// The error's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Position of a Map's item, or its number of items where the Map starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<i32>,
    /// How often the execution had been redriven then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redrive_count: Option<i32>,
    /// The run of a Distributed Map.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map_run_arn: Option<String>,
}

/// Lists the state machines by name.
///
/// # Errors
/// When Step Functions does not answer.
pub async fn machines(cloud: &Cloud) -> Result<Vec<Machine>, OpsError> {
    let client = cloud.stepfunctions();
    let mut machines = Vec::new();
    let mut token: Option<String> = None;
    loop {
        let page = client.list_state_machines().set_next_token(token).send().await;
        let page = page.map_err(|error| fault("list the state machines", error))?;
        machines.extend(page.state_machines.into_iter().map(|machine| Machine {
            arn: machine.state_machine_arn,
            name: machine.name,
            express: machine.r#type == StateMachineType::Express,
            created_at: sdk_time(&machine.creation_date),
        }));
        token = page.next_token;
        if token.is_none() {
            break;
        }
    }
    machines.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(machines)
}

async fn machine(cloud: &Cloud, name: &str) -> Result<Machine, OpsError> {
    let found = machines(cloud).await?.into_iter().find(|machine| machine.name == name);
    found.ok_or_else(|| {
        OpsError::not_found(format!("there is no state machine {name}"))
            .with_hint("the list of state machines has those of this account and region")
    })
}

/// The definition of the machine of this name, as it is now.
///
/// # Errors
/// When there is no such machine, and when Step Functions does not answer.
pub async fn definition(cloud: &Cloud, name: &str) -> Result<Definition, OpsError> {
    let machine = machine(cloud, name).await?;
    let answer = cloud.stepfunctions().describe_state_machine().state_machine_arn(&machine.arn).send().await;
    let answer = answer.map_err(|error| fault("describe the state machine", error))?;
    Ok(Definition {
        machine_arn: machine.arn,
        machine: machine.name,
        updated_at: sdk_time(answer.creation_date()),
        definition: answer.definition,
    })
}

/// Lists executions of a Standard machine.
///
/// # Errors
/// When there is no such machine or status, when the machine is an Express one, and when Step
/// Functions does not answer.
pub async fn list(cloud: &Cloud, filter: &Filter) -> Result<ExecutionList, OpsError> {
    let status = filter.status.as_deref().map(known_status).transpose()?;
    let machine = machine(cloud, &filter.machine).await?;
    if machine.express {
        let name = &machine.name;
        return Err(OpsError::refused(format!(
            "{name} is an Express machine: its executions are not listed"
        ))
        .with_hint(
            "look for the event in the list of events; the log group of the machine has its failures",
        ));
    }
    let answer = cloud
        .stepfunctions()
        .list_executions()
        .state_machine_arn(&machine.arn)
        .set_status_filter(status)
        .max_results(filter.limit.clamp(1, LISTED_MAX))
        .set_next_token(filter.token.clone())
        .send()
        .await
        .map_err(|error| fault("list the executions", error))?;
    let executions = answer.executions.iter().map(|item| Summary::new(item, cloud)).collect();
    Ok(ExecutionList { machine, executions, next_token: answer.next_token })
}

fn known_status(text: &str) -> Result<ExecutionStatus, OpsError> {
    ExecutionStatus::try_parse(&text.to_ascii_uppercase()).map_err(|_| {
        OpsError::invalid(format!("there is no status {text}"))
            .with_hint(format!("one of {}", ExecutionStatus::values().join(", ")))
    })
}

/// Until when an execution can be redriven; `None` if it did not fail.
fn redrivable_until(status: &ExecutionStatus, stopped_at: Option<Timestamp>) -> Option<Timestamp> {
    let failed =
        matches!(status, ExecutionStatus::Failed | ExecutionStatus::TimedOut | ExecutionStatus::Aborted);
    stopped_at.filter(|_| failed)?.checked_add(SignedDuration::from_hours(REDRIVE_DAYS * 24)).ok()
}

impl Summary {
    fn new(item: &ExecutionListItem, cloud: &Cloud) -> Self {
        let stopped_at = item.stop_date.as_ref().map(sdk_time);
        Self {
            arn: item.execution_arn.clone(),
            name: item.name.clone(),
            status: item.status.as_str().to_owned(),
            started_at: sdk_time(&item.start_date),
            stopped_at,
            redrive_count: item.redrive_count.unwrap_or_default(),
            redriven_at: item.redrive_date.as_ref().map(sdk_time),
            redrivable_until: redrivable_until(&item.status, stopped_at),
            link: cloud.execution_link(&item.execution_arn),
        }
    }
}

/// Describes an execution, with the definition that it runs.
///
/// # Errors
/// When Step Functions does not know it, or does not answer.
pub async fn describe(cloud: &Cloud, arn: &str) -> Result<ExecutionDetail, OpsError> {
    let client = cloud.stepfunctions();
    let described = async {
        match client.describe_execution().execution_arn(arn).send().await {
            Ok(answer) => Ok(answer),
            Err(error)
                if error.as_service_error().is_some_and(|error| error.is_execution_does_not_exist()) =>
            {
                Err(unknown(arn))
            }
            Err(error) => Err(fault("describe the execution", error).into()),
        }
    };
    let description = described.await?;
    let machine = client.describe_state_machine_for_execution().execution_arn(arn).send().await;
    let machine = machine.map_err(|error| fault("describe the execution's state machine", error))?;
    Ok(ExecutionDetail::new(&description, machine.name, machine.definition, cloud.execution_link(arn)))
}

fn unknown(arn: &str) -> OpsError {
    OpsError::not_found(format!("Step Functions does not know the execution {arn}"))
        .with_hint("it forgets an execution 90 days after its end")
}

impl ExecutionDetail {
    fn new(
        description: &DescribeExecutionOutput,
        machine: String,
        definition: String,
        link: Option<String>,
    ) -> Self {
        let execution = Execution::from_description(description, link);
        Self {
            redrivable_until: redrivable_until(description.status(), execution.stopped_at),
            execution,
            machine_arn: description.state_machine_arn().to_owned(),
            machine,
            input: description.input().map(ToOwned::to_owned),
            output: description.output().map(ToOwned::to_owned),
            error: description.error().map(ToOwned::to_owned),
            cause: description.cause().map(ToOwned::to_owned),
            definition,
        }
    }
}

/// Reads the history of an execution, the first events first, at most `events_max` of them.
///
/// # Errors
/// When Step Functions does not know the execution, or does not answer.
pub async fn history(cloud: &Cloud, arn: &str, events_max: usize) -> Result<History, OpsError> {
    let client = cloud.stepfunctions();
    let wanted = events_max.clamp(1, HISTORY_EVENTS_MAX);
    let mut events: Vec<Entry> = Vec::new();
    let mut token: Option<String> = None;
    loop {
        let page = client
            .get_execution_history()
            .execution_arn(arn)
            .include_execution_data(true)
            .max_results(i32::try_from(wanted.min(1_000)).unwrap_or(1_000))
            .set_next_token(token)
            .send()
            .await;
        let page = match page {
            Ok(page) => page,
            Err(error)
                if error.as_service_error().is_some_and(|error| error.is_execution_does_not_exist()) =>
            {
                return Err(unknown(arn));
            }
            Err(error) => return Err(fault("read the history of the execution", error).into()),
        };
        events.extend(page.events.iter().map(Entry::from));
        token = page.next_token;
        if token.is_none() || events.len() >= wanted {
            let truncated = token.is_some() || events.len() > wanted;
            events.truncate(wanted);
            return Ok(History { arn: arn.to_owned(), events, truncated });
        }
    }
}

impl From<&HistoryEvent> for Entry {
    fn from(event: &HistoryEvent) -> Self {
        let mut entry = Self {
            id: event.id,
            previous_event_id: event.previous_event_id,
            at: sdk_time(&event.timestamp),
            kind: event.r#type.as_str().to_owned(),
            state: None,
            resource: None,
            input: None,
            output: None,
            error: None,
            cause: None,
            index: None,
            redrive_count: None,
            map_run_arn: None,
        };
        macro_rules! failure {
            ($($details:ident),+ $(,)?) => {
                $( if let Some(found) = &event.$details {
                    entry.error.clone_from(&found.error);
                    entry.cause.clone_from(&found.cause);
                } )+
            };
        }
        failure!(
            task_failed_event_details,
            task_timed_out_event_details,
            task_start_failed_event_details,
            task_submit_failed_event_details,
            lambda_function_failed_event_details,
            lambda_function_schedule_failed_event_details,
            lambda_function_start_failed_event_details,
            lambda_function_timed_out_event_details,
            execution_failed_event_details,
            execution_aborted_event_details,
            execution_timed_out_event_details,
            map_run_failed_event_details,
            evaluation_failed_event_details,
        );
        macro_rules! resource {
            ($($details:ident),+ $(,)?) => {
                $( if let Some(found) = &event.$details {
                    entry.resource = Some(format!("{}:{}", found.resource_type, found.resource));
                } )+
            };
        }
        resource!(
            task_scheduled_event_details,
            task_started_event_details,
            task_submitted_event_details,
            task_succeeded_event_details,
            task_failed_event_details,
            task_timed_out_event_details,
            task_start_failed_event_details,
            task_submit_failed_event_details,
        );
        if let Some(found) = &event.state_entered_event_details {
            entry.state = Some(found.name.clone());
            entry.input.clone_from(&found.input);
        }
        if let Some(found) = &event.state_exited_event_details {
            entry.state = Some(found.name.clone());
            entry.output.clone_from(&found.output);
        }
        if let Some(found) = &event.evaluation_failed_event_details {
            entry.state = Some(found.state.clone());
        }
        if let Some(found) = &event.task_scheduled_event_details {
            entry.input = Some(found.parameters.clone());
        }
        if let Some(found) = &event.lambda_function_scheduled_event_details {
            entry.resource = Some(found.resource.clone());
            entry.input.clone_from(&found.input);
        }
        if let Some(found) = &event.execution_started_event_details {
            entry.input.clone_from(&found.input);
        }
        macro_rules! output {
            ($($details:ident),+ $(,)?) => {
                $( if let Some(found) = &event.$details {
                    entry.output.clone_from(&found.output);
                } )+
            };
        }
        output!(
            task_submitted_event_details,
            task_succeeded_event_details,
            lambda_function_succeeded_event_details,
            execution_succeeded_event_details,
        );
        if let Some(found) = &event.map_state_started_event_details {
            entry.index = Some(found.length);
        }
        for found in [
            &event.map_iteration_started_event_details,
            &event.map_iteration_succeeded_event_details,
            &event.map_iteration_failed_event_details,
            &event.map_iteration_aborted_event_details,
        ]
        .into_iter()
        .flatten()
        {
            entry.state.clone_from(&found.name);
            entry.index = Some(found.index);
        }
        if let Some(found) = &event.execution_redriven_event_details {
            entry.redrive_count = found.redrive_count;
        }
        if let Some(found) = &event.map_run_started_event_details {
            entry.map_run_arn.clone_from(&found.map_run_arn);
        }
        if let Some(found) = &event.map_run_redriven_event_details {
            entry.map_run_arn.clone_from(&found.map_run_arn);
            entry.redrive_count = found.redrive_count;
        }
        entry
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use aws_sdk_sfn::types::{
        HistoryEventType, StateEnteredEventDetails, TaskFailedEventDetails, TaskScheduledEventDetails,
    };
    use aws_smithy_types::DateTime;

    use super::*;

    fn event(id: i64, kind: HistoryEventType) -> aws_sdk_sfn::types::builders::HistoryEventBuilder {
        HistoryEvent::builder()
            .id(id)
            .previous_event_id(id - 1)
            .timestamp(DateTime::from_millis(1_795_255_200_123))
            .r#type(kind)
    }

    #[test]
    fn an_event_of_a_history_has_the_members_of_its_type() {
        let entered = StateEnteredEventDetails::builder().name("Normalize").input("{}").build().unwrap();
        let entered = event(2, HistoryEventType::TaskStateEntered).state_entered_event_details(entered);
        let scheduled = TaskScheduledEventDetails::builder()
            .resource_type("lambda")
            .resource("invoke")
            .region("us-east-1")
            .parameters("{\"a\":1}")
            .build()
            .unwrap();
        let scheduled = event(3, HistoryEventType::TaskScheduled).task_scheduled_event_details(scheduled);
        let failed = TaskFailedEventDetails::builder()
            .resource_type("lambda")
            .resource("invoke")
            .error("Rejected")
            .cause("words")
            .build()
            .unwrap();
        let failed = event(4, HistoryEventType::TaskFailed).task_failed_event_details(failed);
        let entries: Vec<Entry> =
            [entered, scheduled, failed].map(|event| Entry::from(&event.build().unwrap())).to_vec();
        insta::assert_snapshot!(serde_json::to_string(&entries).unwrap(), @r#"[{"id":2,"previousEventId":1,"at":"2026-11-21T10:00:00.123Z","type":"TaskStateEntered","state":"Normalize","input":"{}"},{"id":3,"previousEventId":2,"at":"2026-11-21T10:00:00.123Z","type":"TaskScheduled","resource":"lambda:invoke","input":"{\"a\":1}"},{"id":4,"previousEventId":3,"at":"2026-11-21T10:00:00.123Z","type":"TaskFailed","resource":"lambda:invoke","error":"Rejected","cause":"words"}]"#);
    }

    #[test]
    fn only_what_failed_can_be_redriven_and_for_a_fortnight() {
        let at: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let until = |status: &str| redrivable_until(&status.into(), Some(at));
        assert_eq!(until("FAILED"), Some("2026-12-05T10:00:00Z".parse().unwrap()));
        assert_eq!(until("ABORTED"), until("TIMED_OUT"));
        assert_eq!(until("SUCCEEDED"), None);
        assert_eq!(redrivable_until(&ExecutionStatus::Running, None), None);
    }

    #[test]
    fn a_status_is_one_of_awss() {
        assert_eq!(known_status("failed").unwrap(), ExecutionStatus::Failed);
        let error = known_status("BROKEN").unwrap_err();
        assert!(error.hint().is_some_and(|hint| hint.contains("TIMED_OUT")));
    }
}
