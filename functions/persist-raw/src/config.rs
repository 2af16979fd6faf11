//! Settings of the function.

use sluice_aws::config::{ConfigError, required};

/// Names of what it writes.
#[derive(Debug, Clone)]
pub struct Config {
    /// `LEDGER_TABLE`
    pub ledger_table: String,
    /// `DIVERGENCE_TABLE`
    pub divergence_table: String,
    /// `RAW_BUCKET`
    pub raw_bucket: String,
    /// `UPLOADS_BUCKET`
    pub uploads_bucket: String,
}

impl Config {
    /// Fails with the name of the first variable that is missing.
    pub fn from_env(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        Ok(Self {
            ledger_table: required(lookup, "LEDGER_TABLE", "the DynamoDB table of the ledger")?,
            divergence_table: required(lookup, "DIVERGENCE_TABLE", "the DynamoDB table of divergences")?,
            raw_bucket: required(lookup, "RAW_BUCKET", "the S3 bucket of raw requests")?,
            uploads_bucket: required(lookup, "UPLOADS_BUCKET", "the S3 bucket of large bodies on their way")?,
        })
    }
}
