//! Settings of the function.

use sluice_aws::config::{ConfigError, required};

/// Names of what it reads, writes and starts.
#[derive(Debug, Clone)]
pub struct Config {
    /// `LEDGER_TABLE`
    pub ledger_table: String,
    /// `QUARANTINE_TABLE`
    pub quarantine_table: String,
    /// `CANONICAL_STATE_TABLE`
    pub canonical_state_table: String,
    /// `BALANCE_TABLE`
    pub balance_table: String,
    /// `VENDORS_TABLE`
    pub vendors_table: String,
    /// `RAW_BUCKET`
    pub raw_bucket: String,
    /// `NORMALIZED_BUCKET`
    pub normalized_bucket: String,
    /// `RECOVER_STATE_MACHINE_ARN`
    pub recover_state_machine_arn: String,
}

impl Config {
    /// Fails with the name of the first variable that is missing.
    pub fn from_env(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        Ok(Self {
            ledger_table: required(lookup, "LEDGER_TABLE", "the DynamoDB table of the ledger")?,
            quarantine_table: required(
                lookup,
                "QUARANTINE_TABLE",
                "the DynamoDB table of quarantined events",
            )?,
            canonical_state_table: required(
                lookup,
                "CANONICAL_STATE_TABLE",
                "the DynamoDB table of canonical state",
            )?,
            balance_table: required(lookup, "BALANCE_TABLE", "the DynamoDB table of balances")?,
            vendors_table: required(lookup, "VENDORS_TABLE", "the DynamoDB table of vendors")?,
            raw_bucket: required(lookup, "RAW_BUCKET", "the bucket of verbatim requests")?,
            normalized_bucket: required(lookup, "NORMALIZED_BUCKET", "the bucket of normalized documents")?,
            recover_state_machine_arn: required(
                lookup,
                "RECOVER_STATE_MACHINE_ARN",
                "the state machine that runs an event again",
            )?,
        })
    }
}
