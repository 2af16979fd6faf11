//! Settings of the function.

use sluice_aws::config::{ConfigError, required};

/// Names of what it reads, writes and starts.
#[derive(Debug, Clone)]
pub struct Config {
    /// `OPERATIONS_TABLE`
    pub operations_table: String,
    /// `LEDGER_TABLE`
    pub ledger_table: String,
    /// `QUARANTINE_TABLE`
    pub quarantine_table: String,
    /// `RECOVER_STATE_MACHINE_ARN`
    pub recover_state_machine_arn: String,
    /// `REPLAY_STATE_MACHINE_ARN`
    pub replay_state_machine_arn: String,
}

impl Config {
    /// Fails with the name of the first variable that is missing.
    pub fn from_env(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        Ok(Self {
            operations_table: required(lookup, "OPERATIONS_TABLE", "the DynamoDB table of operations")?,
            ledger_table: required(lookup, "LEDGER_TABLE", "the DynamoDB table of the ledger")?,
            quarantine_table: required(
                lookup,
                "QUARANTINE_TABLE",
                "the DynamoDB table of quarantined events",
            )?,
            recover_state_machine_arn: required(
                lookup,
                "RECOVER_STATE_MACHINE_ARN",
                "the state machine that runs an event again",
            )?,
            replay_state_machine_arn: required(
                lookup,
                "REPLAY_STATE_MACHINE_ARN",
                "the state machine that replays events",
            )?,
        })
    }
}
