//! Activities and task tokens on the wire.

use serde_json::{Value, json};

use super::request::Request;
use super::{TOKEN_CHARS_MAX, date, page_token, token};
use crate::activities::{Activity, Report};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::limits::{
    ARN_CHARS_MAX, CAUSE_CHARS_MAX, DATA_BYTES_MAX, ERROR_CHARS_MAX, NAME_CHARS_MAX, TASK_TOKEN_CHARS_MAX,
};

fn shown(activity: &Activity) -> Value {
    json!({
        "activityArn": activity.arn,
        "name": activity.name,
        "creationDate": date(activity.created_at),
    })
}

impl Engine {
    pub(super) async fn create_activity(&self, mut request: Request) -> Result<Value> {
        let name = request.text("name")?;
        if !request.tags()?.is_empty() {
            let why = "tags of activities are not supported by the local service";
            return Err(Error::Validation(why.to_owned()));
        }
        let activity = self.inner.create_activity(name).await?;
        Ok(json!({"activityArn": activity.arn, "creationDate": date(activity.created_at)}))
    }

    pub(super) async fn describe_activity(&self, mut request: Request) -> Result<Value> {
        let arn = request.short_text("activityArn", ARN_CHARS_MAX)?;
        Ok(shown(&self.inner.activity(&arn).await?))
    }

    pub(super) async fn delete_activity(&self, mut request: Request) -> Result<Value> {
        let arn = request.short_text("activityArn", ARN_CHARS_MAX)?;
        self.inner.delete_activity(&arn).await?;
        Ok(json!({}))
    }

    pub(super) async fn list_activities(&self, mut request: Request) -> Result<Value> {
        let limit = request.page_items()?;
        let scope = json!(["ListActivities"]);
        let after: Option<String> = page_token(&mut request, &scope, TOKEN_CHARS_MAX)?;
        let mut activities = self.inner.list_activities(after.unwrap_or_default(), limit + 1).await?;
        let more = activities.len() > limit as usize;
        activities.truncate(limit as usize);
        let mut answer = json!({"activities": activities.iter().map(shown).collect::<Vec<_>>()});
        if let Some(last) = activities.last().filter(|_| more) {
            answer["nextToken"] = token(&scope, &json!(last.name)).into();
        }
        Ok(answer)
    }

    pub(super) async fn activity_task(&self, mut request: Request) -> Result<Value> {
        let arn = request.short_text("activityArn", ARN_CHARS_MAX)?;
        let worker = request.bounded_text("workerName", NAME_CHARS_MAX)?;
        Ok(match self.inner.activity_task(&arn, worker).await? {
            Some((token, input)) => json!({"taskToken": token, "input": input}),
            None => json!({"taskToken": null}),
        })
    }

    pub(super) async fn task_success(&self, mut request: Request) -> Result<Value> {
        let token = request.short_text("taskToken", TASK_TOKEN_CHARS_MAX)?;
        let output = request.text("output")?;
        if output.len() > DATA_BYTES_MAX {
            let limit = format!("Member must have length less than or equal to {DATA_BYTES_MAX}");
            return Err(Error::constraint("(not shown)", "output", &limit));
        }
        let output =
            serde_json::from_str(&output).map_err(|error| Error::InvalidOutput(error.to_string()))?;
        self.inner.report(&token, Report::Succeeded(output)).await?;
        Ok(json!({}))
    }

    pub(super) async fn task_failure(&self, mut request: Request) -> Result<Value> {
        let token = request.short_text("taskToken", TASK_TOKEN_CHARS_MAX)?;
        let error = request.bounded_text("error", ERROR_CHARS_MAX)?.unwrap_or_default();
        let cause = request.bounded_text("cause", CAUSE_CHARS_MAX)?;
        self.inner.report(&token, Report::Failed { error, cause }).await?;
        Ok(json!({}))
    }

    pub(super) async fn task_heartbeat(&self, mut request: Request) -> Result<Value> {
        let token = request.short_text("taskToken", TASK_TOKEN_CHARS_MAX)?;
        self.inner.report(&token, Report::Heartbeat).await?;
        Ok(json!({}))
    }
}
