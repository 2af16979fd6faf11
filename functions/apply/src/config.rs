//! Settings of the function.

use sluice_aws::config::{ConfigError, required};

/// Names of what it reads and writes.
#[derive(Debug, Clone)]
pub struct Config {
    /// `CANONICAL_STATE_TABLE`
    pub canonical_state_table: String,
    /// `DIVERGENCE_TABLE`
    pub divergence_table: String,
    /// `LEDGER_TABLE`
    pub ledger_table: String,
    /// `NORMALIZED_BUCKET`
    pub normalized_bucket: String,
}

impl Config {
    /// Fails with the name of the first variable that is missing.
    pub fn from_env(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        Ok(Self {
            canonical_state_table: required(
                lookup,
                "CANONICAL_STATE_TABLE",
                "the DynamoDB table of canonical state",
            )?,
            divergence_table: required(lookup, "DIVERGENCE_TABLE", "the DynamoDB table of divergence")?,
            ledger_table: required(lookup, "LEDGER_TABLE", "the DynamoDB table of the ledger")?,
            normalized_bucket: required(
                lookup,
                "NORMALIZED_BUCKET",
                "the S3 bucket of normalized documents",
            )?,
        })
    }
}
