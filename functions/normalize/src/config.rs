//! Settings of the function.

use sluice_aws::config::{ConfigError, required};

/// Names of what it reads and writes.
#[derive(Debug, Clone)]
pub struct Config {
    /// `LEDGER_TABLE`
    pub ledger_table: String,
    /// `VENDORS_TABLE`
    pub vendors_table: String,
    /// `RAW_BUCKET`
    pub raw_bucket: String,
    /// `NORMALIZED_BUCKET`
    pub normalized_bucket: String,
    /// `MAPPERS_BUCKET`
    pub mappers_bucket: String,
}

impl Config {
    /// Fails with the name of the first variable that is missing.
    pub fn from_env(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        Ok(Self {
            ledger_table: required(lookup, "LEDGER_TABLE", "the DynamoDB table of the ledger")?,
            vendors_table: required(lookup, "VENDORS_TABLE", "the DynamoDB table of vendors")?,
            raw_bucket: required(lookup, "RAW_BUCKET", "the S3 bucket of raw requests")?,
            normalized_bucket: required(
                lookup,
                "NORMALIZED_BUCKET",
                "the S3 bucket of normalized documents",
            )?,
            mappers_bucket: required(lookup, "MAPPERS_BUCKET", "the S3 bucket of mapper bundles")?,
        })
    }
}
