//! The API on AWS's own wire protocol, AWS JSON 1.0.
//!
//! Sources: the Step Functions API reference and its Smithy model for members and errors; "AWS JSON 1.0 protocol" of
//! Smithy for the wire; recorded answers of AWS for messages. Dates are epoch seconds with milliseconds.
//!
//! The host is not looked at: the SDKs put `sync-` before it for `StartSyncExecution`. Signatures are not checked.

mod request;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Map, Value, json};
use sluice_asl::{Definition, HistoryEvent, MachineType, Timestamp};

use crate::arn::{Arn, expect_execution, expect_state_machine, parse};
use crate::engine::{Engine, Payload, Started};
use crate::error::{Error, Result};
use crate::express::SyncResult;
use crate::limits::{
    ARN_CHARS_MAX, CAUSE_CHARS_MAX, CLIENT_TOKEN_CHARS_MAX, ERROR_CHARS_MAX, HISTORY_PAGE_BYTES_MAX,
    MAP_RUN_ARN_CHARS_MAX,
};
use crate::machine::{Configuration, StateMachine, StateMachineSpec, StateMachineUpdate, type_name};
use crate::map_run::{MapChild, MapChildFilter, MapChildStatus, MapRunCounts, MapRunUpdate, map_machine};
use crate::standard::{ExecutionFilter, ExecutionStatus, Place, Summary};
use request::Request;

/// What `X-Amz-Target` begins with.
const TARGET_PREFIX: &str = "AWSStepFunctions.";

const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.0");

/// The longest `nextToken`, in characters.
const TOKEN_CHARS_MAX: usize = 1_024;

/// The most diagnostics of `ValidateStateMachineDefinition`.
const DIAGNOSTICS_MAX: usize = 100;

impl Engine {
    /// Answers one request: `target` is the `X-Amz-Target` header, e.g. `AWSStepFunctions.StartExecution`, and `body` the
    /// request's body. Errors are answers too: 400 with `__type` and `message`, 5xx for faults of the engine.
    pub async fn handle(&self, target: &str, body: Bytes) -> Response<Bytes> {
        let request_id = self.inner.uuid();
        let answer = self.answer(target, &body).await;
        let (status, error_type, body) = match answer {
            Ok(answer) => (StatusCode::OK, None, answer),
            Err(error) => {
                if error.http_status() >= 500 {
                    tracing::error!(target, %error, "a step functions request failed");
                }
                let status =
                    StatusCode::from_u16(error.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let code = error.code();
                (status, Some(code), json!({"__type": code, "message": error.to_string()}))
            }
        };
        let mut response = Response::new(Bytes::from(body.to_string()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(http::header::CONTENT_TYPE, CONTENT_TYPE);
        if let Ok(request_id) = HeaderValue::from_str(&request_id) {
            headers.insert("x-amzn-requestid", request_id);
        }
        if let Some(code) = error_type {
            headers.insert("x-amzn-errortype", HeaderValue::from_static(code));
        }
        response
    }

    async fn answer(&self, target: &str, body: &[u8]) -> Result<Value> {
        let unknown = || Error::UnknownOperation(target.to_owned());
        let operation = target.strip_prefix(TARGET_PREFIX).ok_or_else(unknown)?;
        let request = Request::parse(body);
        match operation {
            "CreateStateMachine" => self.create(request?).await,
            "UpdateStateMachine" => self.update(request?).await,
            "DeleteStateMachine" => self.delete(request?).await,
            "DescribeStateMachine" => self.describe(request?),
            "DescribeStateMachineForExecution" => self.describe_for_execution(request?).await,
            "ListStateMachines" => self.list_machines(request?),
            "ValidateStateMachineDefinition" => validate(request?),
            "StartExecution" => self.start(request?).await,
            "StartSyncExecution" => self.start_and_wait(request?).await,
            "StopExecution" => self.stop(request?).await,
            "RedriveExecution" => self.redrive(request?).await,
            "DescribeExecution" => self.describe_run(request?).await,
            "ListExecutions" => self.list_runs(request?).await,
            "ListMapRuns" => self.list_maps(request?).await,
            "DescribeMapRun" => self.describe_map(request?).await,
            "UpdateMapRun" => self.update_map(request?).await,
            "GetExecutionHistory" => self.history(request?).await,
            "TagResource" => self.tag(request?).await,
            "UntagResource" => self.untag(request?).await,
            "ListTagsForResource" => self.tags(request?).await,
            _ => Err(unknown()),
        }
    }

    async fn create(&self, mut request: Request) -> Result<Value> {
        refuse_publishing(&mut request)?;
        let defaults = Configuration::default();
        let spec = StateMachineSpec {
            name: request.text("name")?,
            machine_type: machine_type(&mut request)?,
            definition: request.text("definition")?,
            role_arn: request.short_text("roleArn", ARN_CHARS_MAX)?,
            configuration: Configuration {
                logging: request.object("loggingConfiguration")?.unwrap_or(defaults.logging),
                tracing: request.object("tracingConfiguration")?.unwrap_or(defaults.tracing),
            },
            tags: request.tags()?,
        };
        let machine = self.create_state_machine(spec).await?;
        Ok(json!({"stateMachineArn": &*machine.arn, "creationDate": date(machine.created_at)}))
    }

    async fn update(&self, mut request: Request) -> Result<Value> {
        refuse_publishing(&mut request)?;
        let arn = arn(&mut request, "stateMachineArn")?;
        let update = StateMachineUpdate {
            definition: request.optional_text("definition")?,
            role_arn: request.bounded_text("roleArn", ARN_CHARS_MAX)?,
            logging: request.object("loggingConfiguration")?,
            tracing: request.object("tracingConfiguration")?,
        };
        let machine = self.update_state_machine(&arn, update).await?;
        let mut answer = json!({"updateDate": date(machine.version.updated_at)});
        put(&mut answer, "revisionId", machine.version.revision_id.as_deref());
        Ok(answer)
    }

    async fn delete(&self, mut request: Request) -> Result<Value> {
        self.delete_state_machine(&arn(&mut request, "stateMachineArn")?).await?;
        Ok(json!({}))
    }

    fn describe(&self, mut request: Request) -> Result<Value> {
        let arn = arn(&mut request, "stateMachineArn")?;
        let with_data = included_data(&mut request)?;
        let machine = self.describe_state_machine(&arn)?;
        let version = &machine.version;
        let mut answer = json!({
            "stateMachineArn": &*machine.arn,
            "name": machine.name,
            "status": if machine.deleting { "DELETING" } else { "ACTIVE" },
            "definition": if with_data { version.asl.as_str() } else { "" },
            "roleArn": version.role_arn,
            "type": type_name(machine.machine_type),
            "creationDate": date(machine.created_at),
            "loggingConfiguration": version.configuration.logging,
            "tracingConfiguration": version.configuration.tracing,
        });
        put(&mut answer, "revisionId", version.revision_id.as_deref());
        Ok(answer)
    }

    async fn describe_for_execution(&self, mut request: Request) -> Result<Value> {
        let arn = arn(&mut request, "executionArn")?;
        let with_data = included_data(&mut request)?;
        let execution = self.describe_execution(&arn).await?;
        let version = &execution.version;
        let name = execution.state_machine_arn.rsplit(':').next().unwrap_or_default();
        let mut answer = json!({
            "stateMachineArn": execution.state_machine_arn,
            "name": name,
            "definition": if with_data { version.asl.as_str() } else { "" },
            "roleArn": version.role_arn,
            "updateDate": date(version.updated_at),
            "loggingConfiguration": version.configuration.logging,
            "tracingConfiguration": version.configuration.tracing,
        });
        put(&mut answer, "revisionId", version.revision_id.as_deref());
        Ok(answer)
    }

    fn list_machines(&self, mut request: Request) -> Result<Value> {
        let limit = request.page_items()? as usize;
        let scope = json!(["ListStateMachines"]);
        let after: Option<String> = page_token(&mut request, &scope, TOKEN_CHARS_MAX)?;
        let machines = self.state_machines();
        let rest = machines.iter().filter(|machine| after.as_ref().is_none_or(|after| machine.name > *after));
        let page: Vec<_> = rest.take(limit + 1).collect();
        let shown = &page[..page.len().min(limit)];
        let mut answer =
            json!({"stateMachines": shown.iter().map(|machine| item(machine)).collect::<Vec<_>>()});
        if page.len() > limit
            && let Some(last) = shown.last()
        {
            answer["nextToken"] = token(&scope, &json!(last.name)).into();
        }
        Ok(answer)
    }

    async fn start(&self, mut request: Request) -> Result<Value> {
        let arn = arn(&mut request, "stateMachineArn")?;
        let name = request.optional_text("name")?;
        let input = input(&mut request)?;
        let trace_header = request.bounded_text("traceHeader", ARN_CHARS_MAX)?;
        let Started { execution_arn, started_at } = self.inner.start(&arn, name, input, trace_header).await?;
        Ok(json!({"executionArn": execution_arn, "startDate": date(started_at)}))
    }

    async fn start_and_wait(&self, mut request: Request) -> Result<Value> {
        let arn = arn(&mut request, "stateMachineArn")?;
        let name = request.optional_text("name")?;
        let text = request.optional_text("input")?.unwrap_or_else(|| "{}".to_owned());
        let trace_header = request.bounded_text("traceHeader", ARN_CHARS_MAX)?;
        let with_data = included_data(&mut request)?;
        let input = Payload::parse(text.as_str())?;
        let result = self.start_sync(&arn, name.as_deref(), input).await?;
        let (duration, memory) = (result.billed_duration_ms(), result.billed_memory_mb());
        let SyncResult {
            execution_arn,
            name,
            state_machine_arn,
            status,
            output,
            error,
            cause,
            started_at,
            stopped_at,
        } = result;
        let mut answer = json!({
            "executionArn": execution_arn,
            "stateMachineArn": &*state_machine_arn,
            "name": name,
            "startDate": date(started_at),
            "stopDate": date(stopped_at),
            "status": status.name(),
            "inputDetails": {"included": with_data},
            "outputDetails": {"included": with_data},
            "billingDetails": {"billedDurationInMilliseconds": duration, "billedMemoryUsedInMB": memory},
        });
        if with_data {
            answer["input"] = text.into();
            put(&mut answer, "output", output.map(|output| output.to_string()));
        }
        put(&mut answer, "error", error);
        put(&mut answer, "cause", cause);
        put(&mut answer, "traceHeader", trace_header);
        Ok(answer)
    }

    async fn stop(&self, mut request: Request) -> Result<Value> {
        let arn = arn(&mut request, "executionArn")?;
        let error = request.bounded_text("error", ERROR_CHARS_MAX)?;
        let cause = request.bounded_text("cause", CAUSE_CHARS_MAX)?;
        let stopped_at = self.stop_execution(&arn, error, cause).await?;
        Ok(json!({"stopDate": date(stopped_at)}))
    }

    async fn redrive(&self, mut request: Request) -> Result<Value> {
        let arn = arn(&mut request, "executionArn")?;
        let client_token = request.bounded_text("clientToken", CLIENT_TOKEN_CHARS_MAX)?;
        let redriven_at = self.redrive_execution(&arn, client_token).await?;
        Ok(json!({"redriveDate": date(redriven_at)}))
    }

    async fn describe_run(&self, mut request: Request) -> Result<Value> {
        let arn = arn(&mut request, "executionArn")?;
        let with_data = included_data(&mut request)?;
        // Of all Express executions only the children of Map Runs can be described.
        if matches!(parse(&arn)?, Arn::Express { machine } if machine.contains('/')) {
            return Ok(map_child(self.describe_map_child(&arn).await?, Some(with_data)));
        }
        let execution = self.describe_execution(&arn).await?;
        let mut answer = run(&execution.summary, &execution.state_machine_arn);
        answer["redriveStatus"] =
            if execution.not_redrivable.is_some() { "NOT_REDRIVABLE" } else { "REDRIVABLE" }.into();
        put(&mut answer, "redriveStatusReason", execution.not_redrivable);
        answer["inputDetails"] = json!({"included": with_data});
        if with_data {
            answer["input"] = execution.input.into();
            put(&mut answer, "output", execution.output);
        }
        if execution.summary.status == ExecutionStatus::Succeeded {
            answer["outputDetails"] = json!({"included": with_data});
        }
        put(&mut answer, "error", execution.error);
        put(&mut answer, "cause", execution.cause);
        put(&mut answer, "traceHeader", execution.trace_header);
        Ok(answer)
    }

    async fn list_runs(&self, mut request: Request) -> Result<Value> {
        const PENDING_REDRIVE: &str = "PENDING_REDRIVE";
        let names = ["SUCCEEDED", "TIMED_OUT", PENDING_REDRIVE, "ABORTED", "FAILED", "RUNNING"];
        let map_run = request.bounded_text("mapRunArn", MAP_RUN_ARN_CHARS_MAX)?;
        let machine = request.bounded_text("stateMachineArn", ARN_CHARS_MAX)?;
        let status = request.choice("statusFilter", &names)?;
        let redriven = request.choice("redriveFilter", &["REDRIVEN", "NOT_REDRIVEN"])?;
        let arn = match (machine, map_run) {
            (Some(arn), None) => arn,
            (None, Some(arn)) => return self.list_children(&arn, status, redriven, request).await,
            (Some(_), Some(_)) => {
                let why = "Must provide either State Machine ARN or Map Run ARN, not both";
                return Err(Error::Validation(why.to_owned()));
            }
            (None, None) => {
                return Err(Error::Validation("Must provide State Machine ARN or Map Run ARN".to_owned()));
            }
        };
        let limit = request.page_items()?;
        let scope = json!(["ListExecutions", arn, status, redriven]);
        let after: Option<(i64, i64)> = page_token(&mut request, &scope, 3 * TOKEN_CHARS_MAX + 24)?;
        let filter = ExecutionFilter {
            status: status.and_then(ExecutionStatus::from_name),
            redriven: redriven.map(|redriven| redriven == "REDRIVEN"),
            limit,
            after: after.map(|(time, id)| Place(time, id)),
        };
        let mut page = self.list_executions(&arn, filter).await?;
        if status == Some(PENDING_REDRIVE) {
            // Only children of a Map Run can wait for a redrive.
            page.executions.clear();
            page.next = None;
        }
        let executions: Vec<Value> = page.executions.iter().map(|summary| run(summary, &arn)).collect();
        let mut answer = json!({"executions": executions});
        if let Some(Place(time, id)) = page.next {
            answer["nextToken"] = token(&scope, &json!([time, id])).into();
        }
        Ok(answer)
    }

    async fn list_children(
        &self,
        arn: &str,
        status: Option<&str>,
        redriven: Option<&str>,
        mut request: Request,
    ) -> Result<Value> {
        let limit = request.page_items()?;
        let scope = json!(["ListExecutions", arn, status, redriven]);
        let before: Option<u64> = page_token(&mut request, &scope, 8 * TOKEN_CHARS_MAX)?;
        let filter = MapChildFilter { status: status.and_then(MapChildStatus::from_name), limit, before };
        let (children, next) = self.list_map_children(arn, filter).await?;
        // As AWS may: a page has fewer than were asked for, and there are more.
        let wanted = children.into_iter().filter(|child| {
            redriven.is_none_or(|redriven| (redriven == "REDRIVEN") == (child.redrive_count > 0))
        });
        let children: Vec<Value> = wanted.map(|child| map_child(child, None)).collect();
        let mut answer = json!({"executions": children});
        if let Some(index) = next {
            answer["nextToken"] = token(&scope, &json!(index)).into();
        }
        Ok(answer)
    }

    async fn list_maps(&self, mut request: Request) -> Result<Value> {
        let arn = arn(&mut request, "executionArn")?;
        let limit = request.page_items()?;
        let scope = json!(["ListMapRuns", arn]);
        let after: Option<i64> = page_token(&mut request, &scope, TOKEN_CHARS_MAX)?;
        let (runs, next) = self.list_map_runs(&arn, limit, after).await?;
        let runs: Vec<Value> = runs
            .into_iter()
            .map(|run| {
                let mut item = json!({
                    "executionArn": run.execution_arn,
                    "stateMachineArn": map_machine(&run.map_run_arn),
                    "mapRunArn": run.map_run_arn,
                    "startDate": date(run.started_at),
                });
                put(&mut item, "stopDate", run.stopped_at.map(date));
                item
            })
            .collect();
        let mut answer = json!({"mapRuns": runs});
        if let Some(id) = next {
            answer["nextToken"] = token(&scope, &json!(id)).into();
        }
        Ok(answer)
    }

    async fn describe_map(&self, mut request: Request) -> Result<Value> {
        let arn = request.short_text("mapRunArn", MAP_RUN_ARN_CHARS_MAX)?;
        let run = self.describe_map_run(&arn).await?;
        let mut answer = json!({
            "mapRunArn": run.map_run_arn,
            "executionArn": run.execution_arn,
            "status": run.status.name(),
            "startDate": date(run.started_at),
            "maxConcurrency": run.max_concurrency,
            "toleratedFailureCount": run.tolerated_failure_count,
            "toleratedFailurePercentage": run.tolerated_failure_percentage,
            "itemCounts": counts(&run.items),
            "executionCounts": counts(&run.executions),
            "redriveCount": run.redrive_count,
        });
        put(&mut answer, "stopDate", run.stopped_at.map(date));
        put(&mut answer, "redriveDate", run.redriven_at.map(date));
        Ok(answer)
    }

    async fn update_map(&self, mut request: Request) -> Result<Value> {
        let arn = request.short_text("mapRunArn", MAP_RUN_ARN_CHARS_MAX)?;
        let update = MapRunUpdate {
            max_concurrency: request.count("maxConcurrency")?,
            tolerated_failure_count: request.count("toleratedFailureCount")?,
            tolerated_failure_percentage: request.percentage("toleratedFailurePercentage")?,
        };
        self.update_map_run(&arn, update).await?;
        Ok(json!({}))
    }

    async fn history(&self, mut request: Request) -> Result<Value> {
        let arn = arn(&mut request, "executionArn")?;
        expect_execution(&arn)?;
        let reverse = request.flag("reverseOrder")?.unwrap_or(false);
        let with_data = request.flag("includeExecutionData")?.unwrap_or(true);
        let limit = request.page_items()? as usize;
        let scope = json!(["GetExecutionHistory", arn, reverse]);
        let after: Option<u64> = page_token(&mut request, &scope, TOKEN_CHARS_MAX)?;
        let (events, last) = self
            .with_execution(&arn, move |execution| {
                page_of(execution.history(), reverse, with_data, limit, after)
            })
            .await?;
        let mut answer = json!({"events": events});
        if let Some(last) = last {
            answer["nextToken"] = token(&scope, &json!(last)).into();
        }
        Ok(answer)
    }

    fn tagged(&self, request: &mut Request) -> Result<std::sync::Arc<StateMachine>> {
        let arn = arn(request, "resourceArn")?;
        match self.describe_state_machine(&arn) {
            Err(Error::StateMachineDoesNotExist(arn)) => Err(Error::ResourceNotFound(arn)),
            found => found,
        }
    }

    async fn tag(&self, mut request: Request) -> Result<Value> {
        let machine = self.tagged(&mut request)?;
        let tags = request.tags()?;
        self.inner.tag(&machine, tags).await?;
        Ok(json!({}))
    }

    async fn untag(&self, mut request: Request) -> Result<Value> {
        let machine = self.tagged(&mut request)?;
        let keys = request.texts("tagKeys")?;
        self.inner.untag(machine.id, keys).await?;
        Ok(json!({}))
    }

    async fn tags(&self, mut request: Request) -> Result<Value> {
        let machine = self.tagged(&mut request)?;
        let tags = self.inner.tags(machine.id).await?;
        let tags: Vec<Value> =
            tags.into_iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
        Ok(json!({"tags": tags}))
    }
}

fn validate(mut request: Request) -> Result<Value> {
    let definition = request.text("definition")?;
    let machine_type = machine_type(&mut request)?;
    request.choice("severity", &["ERROR", "WARNING"])?;
    let limit = match request.page_items()? as usize {
        limit if limit <= DIAGNOSTICS_MAX => limit,
        limit => {
            let most = format!("Member must have value less than or equal to {DIAGNOSTICS_MAX}");
            return Err(Error::constraint(&limit.to_string(), "maxResults", &most));
        }
    };
    let faults =
        Definition::parse(&definition, machine_type).err().map(|faults| faults.0).unwrap_or_default();
    let diagnostics: Vec<Value> = faults
        .iter()
        .take(limit)
        .map(|fault| {
            json!({
                "severity": "ERROR",
                "code": "SCHEMA_VALIDATION_FAILED",
                "message": fault.message,
                "location": if fault.path.is_empty() { "/" } else { fault.path.as_str() },
            })
        })
        .collect();
    Ok(json!({
        "result": if faults.is_empty() { "OK" } else { "FAIL" },
        "diagnostics": diagnostics,
        "truncated": faults.len() > limit,
    }))
}

fn counts(counts: &MapRunCounts) -> Value {
    json!({
        "pending": counts.pending,
        "running": counts.running,
        "succeeded": counts.succeeded,
        "failed": counts.failed,
        "timedOut": counts.timed_out,
        "aborted": counts.aborted,
        "total": counts.total,
        "resultsWritten": counts.results_written,
        "failuresNotRedrivable": counts.failures_not_redrivable,
        "pendingRedrive": counts.pending_redrive,
    })
}

/// A child as `ListExecutions` shows it, or, with or without its data, `DescribeExecution`.
fn map_child(child: MapChild, described: Option<bool>) -> Value {
    let mut answer = json!({
        "executionArn": child.execution_arn,
        "stateMachineArn": child.state_machine_arn,
        "mapRunArn": child.map_run_arn,
        "name": child.name,
        "status": child.status.name(),
        "startDate": date(child.started_at),
        "redriveCount": child.redrive_count,
    });
    put(&mut answer, "stopDate", child.stopped_at.map(date));
    put(&mut answer, "redriveDate", child.redriven_at.map(date));
    let Some(with_data) = described else {
        answer["itemCount"] = child.item_count.into();
        return answer;
    };
    let (redrive, reason) = child.redrive_status();
    answer["redriveStatus"] = redrive.into();
    put(&mut answer, "redriveStatusReason", reason);
    answer["inputDetails"] = json!({"included": with_data && child.input.is_some()});
    if child.output.is_some() {
        answer["outputDetails"] = json!({"included": with_data});
    }
    if with_data {
        put(&mut answer, "input", child.input);
        put(&mut answer, "output", child.output);
    }
    put(&mut answer, "error", child.error);
    put(&mut answer, "cause", child.cause);
    answer
}

fn date(at: Timestamp) -> Value {
    at.as_epoch_seconds().into()
}

fn put(answer: &mut Value, member: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        answer[member] = value.into();
    }
}

fn item(machine: &StateMachine) -> Value {
    json!({
        "stateMachineArn": &*machine.arn,
        "name": machine.name,
        "type": type_name(machine.machine_type),
        "creationDate": date(machine.created_at),
    })
}

fn run(summary: &Summary, machine_arn: &str) -> Value {
    let mut run = json!({
        "executionArn": summary.execution_arn,
        "stateMachineArn": machine_arn,
        "name": summary.name,
        "status": summary.status.name(),
        "startDate": date(summary.started_at),
        "redriveCount": summary.redrive_count,
    });
    put(&mut run, "stopDate", summary.stopped_at.map(date));
    put(&mut run, "redriveDate", summary.redriven_at.map(date));
    run
}

/// One page of a history, and the id of its last event if there are more.
fn page_of(
    history: &[HistoryEvent],
    reverse: bool,
    with_data: bool,
    limit: usize,
    after: Option<u64>,
) -> (Vec<Value>, Option<u64>) {
    let in_order: Box<dyn Iterator<Item = &HistoryEvent>> =
        if reverse { Box::new(history.iter().rev()) } else { Box::new(history.iter()) };
    let is_later = |event: &&HistoryEvent| {
        after.is_none_or(|after| if reverse { event.id < after } else { event.id > after })
    };
    let mut events = Vec::new();
    let mut bytes = 0;
    let mut last = 0;
    for event in in_order.filter(is_later) {
        if events.len() >= limit || bytes >= HISTORY_PAGE_BYTES_MAX {
            return (events, Some(last));
        }
        // Writing it cannot fail: it is maps of strings and numbers.
        let mut value = serde_json::to_value(event).unwrap_or_default();
        if !with_data {
            strip_data(&mut value);
        }
        bytes += value.to_string().len();
        last = event.id;
        events.push(value);
    }
    (events, None)
}

/// `includeExecutionData: false`.
fn strip_data(event: &mut Value) {
    let Some(members) = event.as_object_mut() else { return };
    for (_, details) in members.iter_mut().filter(|(name, _)| name.ends_with("EventDetails")) {
        let Some(details) = details.as_object_mut() else { continue };
        const DATA: [&str; 7] = [
            "input",
            "inputDetails",
            "output",
            "outputDetails",
            "parameters",
            "assignedVariables",
            "assignedVariablesDetails",
        ];
        details.retain(|name, _| !DATA.contains(&name.as_str()));
    }
}

fn arn(request: &mut Request, member: &str) -> Result<String> {
    let arn = request.short_text(member, ARN_CHARS_MAX)?;
    if member == "stateMachineArn" {
        match expect_state_machine(&arn) {
            Ok(()) | Err(Error::StateMachineDoesNotExist(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(arn)
}

fn machine_type(request: &mut Request) -> Result<MachineType> {
    let name = request.choice("type", &["STANDARD", "EXPRESS"])?;
    Ok(if name == Some("EXPRESS") { MachineType::Express } else { MachineType::Standard })
}

/// Whether input, output and definition are wanted.
fn included_data(request: &mut Request) -> Result<bool> {
    Ok(request.choice("includedData", &["ALL_DATA", "METADATA_ONLY"])? != Some("METADATA_ONLY"))
}

fn input(request: &mut Request) -> Result<Payload> {
    match request.optional_text("input")? {
        Some(text) => Payload::parse(text),
        None => Ok(Payload::empty()),
    }
}

fn refuse_publishing(request: &mut Request) -> Result<()> {
    if request.flag("publish")? == Some(true) || request.optional_text("versionDescription")?.is_some() {
        return Err(Error::Validation(
            "state machine versions are not supported by the local service".to_owned(),
        ));
    }
    Ok(())
}

/// A page token: where the next page begins, and for which question. Opaque to callers.
fn token(scope: &Value, place: &Value) -> String {
    let mut members = Map::new();
    members.insert("s".to_owned(), scope.clone());
    members.insert("p".to_owned(), place.clone());
    URL_SAFE_NO_PAD.encode(Value::Object(members).to_string())
}

fn page_token<T: serde::de::DeserializeOwned>(
    request: &mut Request,
    scope: &Value,
    chars_max: usize,
) -> Result<Option<T>> {
    let Some(text) = request.bounded_text("nextToken", chars_max)? else { return Ok(None) };
    let place = || {
        let mut token: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(&text).ok()?).ok()?;
        if token.get("s") != Some(scope) {
            return None;
        }
        serde_json::from_value(token.get_mut("p")?.take()).ok()
    };
    match place() {
        Some(place) => Ok(Some(place)),
        None => Err(Error::InvalidToken(format!("Invalid token: {text}"))),
    }
}
