//! The `recover` execution of a quarantined event, as Step Functions describes it.

use aws_sdk_sfn::operation::describe_execution::DescribeExecutionOutput;
use aws_sdk_sfn::types::{ExecutionRedriveStatus, ExecutionStatus};
use aws_smithy_types::DateTime;
use jiff::Timestamp;
use serde::Serialize;
use sluice_aws::error::fault;

use crate::cloud::Cloud;
use crate::document::{millis, millis_opt};
use crate::error::OpsError;

/// What `DescribeExecution` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Execution {
    /// Its ARN.
    pub arn: String,
    /// `<vendorId>.<ingestId>-<replay>`.
    pub name: String,
    /// `RUNNING`, `SUCCEEDED`, `FAILED`, `TIMED_OUT`, `ABORTED`.
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
    /// Whether `RedriveExecution` would take it.
    pub redrivable: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redrive_reason: Option<String>,
    /// The console's page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

impl Execution {
    /// Describes an execution; `None` if Step Functions does not know it any more (it forgets after
    /// 90 days).
    ///
    /// # Errors
    /// When Step Functions does not answer.
    pub async fn describe(cloud: &Cloud, arn: &str) -> Result<Option<Self>, OpsError> {
        let answer = cloud.stepfunctions().describe_execution().execution_arn(arn).send().await;
        match answer {
            Ok(description) => Ok(Some(Self::from_description(&description, cloud.execution_link(arn)))),
            Err(error)
                if error.as_service_error().is_some_and(|error| error.is_execution_does_not_exist()) =>
            {
                Ok(None)
            }
            Err(error) => Err(fault("describe the execution", error).into()),
        }
    }

    pub(crate) fn from_description(description: &DescribeExecutionOutput, link: Option<String>) -> Self {
        let arn = description.execution_arn().to_owned();
        let name = description.name().or_else(|| arn.rsplit(':').next()).unwrap_or_default().to_owned();
        Self {
            name,
            status: description.status().as_str().to_owned(),
            started_at: sdk_time(description.start_date()),
            stopped_at: description.stop_date().map(sdk_time),
            redrive_count: description.redrive_count().unwrap_or_default(),
            redriven_at: description.redrive_date().map(sdk_time),
            redrivable: description.redrive_status() == Some(&ExecutionRedriveStatus::Redrivable),
            redrive_reason: description.redrive_status_reason().map(ToOwned::to_owned),
            link,
            arn,
        }
    }

    /// Whether it is still at work.
    pub fn is_running(&self) -> bool {
        matches!(
            ExecutionStatus::from(self.status.as_str()),
            ExecutionStatus::Running | ExecutionStatus::PendingRedrive
        )
    }

    /// Whether it came to its good end.
    pub fn has_succeeded(&self) -> bool {
        ExecutionStatus::from(self.status.as_str()) == ExecutionStatus::Succeeded
    }
}

/// The SDK's time as ours; what cannot be a time is the epoch.
pub(crate) fn sdk_time(at: &DateTime) -> Timestamp {
    at.to_millis()
        .ok()
        .and_then(|millis| Timestamp::from_millisecond(millis).ok())
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use super::*;

    #[test]
    fn a_description_becomes_the_documented_members() {
        let description = DescribeExecutionOutput::builder()
            .execution_arn("arn:aws:states:us-east-1:000000000000:execution:sluice-recover:01X-0")
            .state_machine_arn("arn:m")
            .status(ExecutionStatus::Failed)
            .start_date(DateTime::from_millis(1_795_255_200_123))
            .stop_date(DateTime::from_millis(1_795_255_201_000))
            .redrive_status(ExecutionRedriveStatus::Redrivable)
            .build()
            .unwrap();
        let execution = Execution::from_description(&description, None);
        assert!(!execution.is_running() && !execution.has_succeeded() && execution.redrivable);
        insta::assert_snapshot!(serde_json::to_string_pretty(&execution).unwrap(), @r#"
        {
          "arn": "arn:aws:states:us-east-1:000000000000:execution:sluice-recover:01X-0",
          "name": "01X-0",
          "status": "FAILED",
          "startedAt": "2026-11-21T10:00:00.123Z",
          "stoppedAt": "2026-11-21T10:00:01.000Z",
          "redriveCount": 0,
          "redrivable": true
        }
        "#);
    }
}
