//! Settings of the function.

use sluice_aws::config::{ConfigError, required};

/// Names of what it reads, and where it counts.
#[derive(Debug, Clone)]
pub struct Config {
    /// `LEDGER_TABLE`
    pub ledger_table: String,
    /// `VENDORS_TABLE`
    pub vendors_table: String,
    /// `BALANCE_TABLE`
    pub balance_table: String,
    /// `UPLOADS_BUCKET`
    pub uploads_bucket: String,
}

impl Config {
    /// Fails with the name of the first variable that is missing.
    pub fn from_env(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        Ok(Self {
            ledger_table: required(lookup, "LEDGER_TABLE", "the DynamoDB table of the ledger")?,
            vendors_table: required(lookup, "VENDORS_TABLE", "the DynamoDB table of vendors")?,
            balance_table: required(lookup, "BALANCE_TABLE", "the DynamoDB table of balances")?,
            uploads_bucket: required(lookup, "UPLOADS_BUCKET", "the S3 bucket of large bodies on their way")?,
        })
    }
}
