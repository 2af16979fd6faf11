//! Settings of the function.

use sluice_aws::config::{ConfigError, required};

/// Names of what it writes to.
#[derive(Debug, Clone)]
pub struct Config {
    /// `BUS_NAME`
    pub bus_name: String,
}

impl Config {
    /// Fails with the name of the first variable that is missing.
    pub fn from_env(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        Ok(Self { bus_name: required(lookup, "BUS_NAME", "the EventBridge bus")? })
    }
}
