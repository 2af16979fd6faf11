//! Executions, their histories and their Map Runs.

use serde_json::{Value, json};
use sluice_asl::HistoryEvent;

use super::request::Request;
use super::{TOKEN_CHARS_MAX, arn, date, included_data, page_token, put, token};
use crate::arn::{Arn, expect_execution, parse};
use crate::engine::{Engine, Payload, Started};
use crate::error::{Error, Result};
use crate::express::SyncResult;
use crate::limits::{
    ARN_CHARS_MAX, CAUSE_CHARS_MAX, CLIENT_TOKEN_CHARS_MAX, ERROR_CHARS_MAX, HISTORY_PAGE_BYTES_MAX,
    MAP_RUN_ARN_CHARS_MAX,
};
use crate::map_run::{MapChild, MapChildFilter, MapChildStatus, MapRunCounts, MapRunUpdate, map_machine};
use crate::standard::{ExecutionFilter, ExecutionStatus, Place, Summary};
use crate::versions::split;

impl Engine {
    pub(super) async fn start(&self, mut request: Request) -> Result<Value> {
        let arn = arn(&mut request, "stateMachineArn")?;
        let name = request.optional_text("name")?;
        let input = input(&mut request)?;
        let trace_header = request.bounded_text("traceHeader", ARN_CHARS_MAX)?;
        let Started { execution_arn, started_at } = self.inner.start(&arn, name, input, trace_header).await?;
        Ok(json!({"executionArn": execution_arn, "startDate": date(started_at)}))
    }

    pub(super) async fn start_and_wait(&self, mut request: Request) -> Result<Value> {
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

    pub(super) async fn stop(&self, mut request: Request) -> Result<Value> {
        let arn = arn(&mut request, "executionArn")?;
        let error = request.bounded_text("error", ERROR_CHARS_MAX)?;
        let cause = request.bounded_text("cause", CAUSE_CHARS_MAX)?;
        let stopped_at = self.stop_execution(&arn, error, cause).await?;
        Ok(json!({"stopDate": date(stopped_at)}))
    }

    pub(super) async fn redrive(&self, mut request: Request) -> Result<Value> {
        let arn = arn(&mut request, "executionArn")?;
        let client_token = request.bounded_text("clientToken", CLIENT_TOKEN_CHARS_MAX)?;
        let redriven_at = self.redrive_execution(&arn, client_token).await?;
        Ok(json!({"redriveDate": date(redriven_at)}))
    }

    pub(super) async fn describe_run(&self, mut request: Request) -> Result<Value> {
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

    pub(super) async fn list_runs(&self, mut request: Request) -> Result<Value> {
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
        if status == Some(PENDING_REDRIVE) {
            // Only children of a Map Run can wait for a redrive.
            let why = "You must specify mapRunArn if you provide a PENDING_REDRIVE statusFilter";
            return Err(Error::Validation(why.to_owned()));
        }
        let limit = request.page_items()?;
        let scope = json!(["ListExecutions", arn, status, redriven]);
        let after: Option<(i64, i64)> = page_token(&mut request, &scope, 3 * TOKEN_CHARS_MAX + 24)?;
        let filter = ExecutionFilter {
            status: status.and_then(ExecutionStatus::from_name),
            redriven: redriven.map(|redriven| redriven == "REDRIVEN"),
            limit,
            after: after.map(|(time, id)| Place(time, id)),
        };
        let page = self.list_executions(&arn, filter).await?;
        let (machine, _) = split(&arn)?;
        let executions: Vec<Value> = page.executions.iter().map(|summary| run(summary, machine)).collect();
        let mut answer = json!({"executions": executions});
        if let Some(Place(time, id)) = page.next {
            answer["nextToken"] = token(&scope, &json!([time, id])).into();
        }
        Ok(answer)
    }

    pub(super) async fn list_children(
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

    pub(super) async fn list_maps(&self, mut request: Request) -> Result<Value> {
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

    pub(super) async fn describe_map(&self, mut request: Request) -> Result<Value> {
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

    pub(super) async fn update_map(&self, mut request: Request) -> Result<Value> {
        let arn = request.short_text("mapRunArn", MAP_RUN_ARN_CHARS_MAX)?;
        let update = MapRunUpdate {
            max_concurrency: request.count("maxConcurrency")?,
            tolerated_failure_count: request.count("toleratedFailureCount")?,
            tolerated_failure_percentage: request.percentage("toleratedFailurePercentage")?,
        };
        self.update_map_run(&arn, update).await?;
        Ok(json!({}))
    }

    pub(super) async fn history(&self, mut request: Request) -> Result<Value> {
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
    // "For Express executions `redriveDate` is not set" (API reference).
    put(&mut answer, "stopDate", child.stopped_at.map(date));
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

fn run(summary: &Summary, machine_arn: &str) -> Value {
    let mut run = json!({
        "executionArn": summary.execution_arn,
        "stateMachineArn": machine_arn,
        "name": summary.name,
        "status": summary.status.name(),
        "startDate": date(summary.started_at),
        "redriveCount": summary.redrive_count,
    });
    if let Some(version) = summary.origin.version {
        run["stateMachineVersionArn"] = format!("{machine_arn}:{version}").into();
    }
    if let Some(alias) = &summary.origin.alias {
        run["stateMachineAliasArn"] = format!("{machine_arn}:{alias}").into();
    }
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

fn input(request: &mut Request) -> Result<Payload> {
    match request.optional_text("input")? {
        Some(text) => Payload::parse(text),
        None => Ok(Payload::empty()),
    }
}
