//! Settings of the function.

use sluice_aws::config::{ConfigError, required};

/// Names of what it writes.
#[derive(Debug, Clone)]
pub struct Config {
    /// `LEDGER_TABLE`
    pub ledger_table: String,
    /// `QUARANTINE_TABLE`
    pub quarantine_table: String,
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
        })
    }
}
