//! Settings of the function.

use sluice_aws::config::{ConfigError, required};

/// Names of what it writes and runs.
#[derive(Debug, Clone)]
pub struct Config {
    /// `UPLOADS_BUCKET`
    pub uploads_bucket: String,
    /// `INTAKE_STATE_MACHINE_ARN`
    pub intake_state_machine_arn: String,
}

impl Config {
    /// Fails with the name of the first variable that is missing.
    pub fn from_env(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        Ok(Self {
            uploads_bucket: required(lookup, "UPLOADS_BUCKET", "the S3 bucket of large bodies on their way")?,
            intake_state_machine_arn: required(
                lookup,
                "INTAKE_STATE_MACHINE_ARN",
                "the state machine intake",
            )?,
        })
    }
}
