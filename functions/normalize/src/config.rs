//! Settings of the function.

use sluice_aws::config::{ConfigError, required};
use sluice_mapping::TrustKeys;

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
    /// `DRIFT_TABLE`
    pub drift_table: String,
    /// `BALANCE_TABLE`
    pub balance_table: String,
    /// `BUS_NAME`
    pub bus_name: String,
    /// `MAPPER_TRUST_KEYS`
    pub trust_keys: TrustKeys,
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
            drift_table: required(lookup, "DRIFT_TABLE", "the DynamoDB table of drift")?,
            balance_table: required(lookup, "BALANCE_TABLE", "the DynamoDB table of balances")?,
            bus_name: required(lookup, "BUS_NAME", "the EventBridge bus")?,
            trust_keys: trust_keys(lookup)?,
        })
    }
}

/// Without them no mapper could be believed: the function does not start.
fn trust_keys(lookup: &dyn Fn(&str) -> Option<String>) -> Result<TrustKeys, ConfigError> {
    let pem = required(
        lookup,
        "MAPPER_TRUST_KEYS",
        "the public keys whose signatures on mappers count, PEM, as `sluice mapper key` prints them",
    )?;
    TrustKeys::from_pem(&pem).map_err(|error| ConfigError::Unusable(format!("MAPPER_TRUST_KEYS: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_keys_to_trust_the_function_does_not_start() {
        let said = |keys: Option<&'static str>| {
            let lookup = move |name: &str| match name {
                "MAPPER_TRUST_KEYS" => keys.map(ToOwned::to_owned),
                _ => Some("x".to_owned()),
            };
            Config::from_env(&lookup).map(|_| ()).map_err(|error| error.to_string())
        };
        let missing = said(None).expect_err("there are none");
        assert!(missing.starts_with("the environment variable MAPPER_TRUST_KEYS is not set"), "{missing}");
        let wrong = said(Some("no key")).expect_err("it is none");
        assert!(wrong.contains("MAPPER_TRUST_KEYS: there is no public key in it"), "{wrong}");
    }
}
