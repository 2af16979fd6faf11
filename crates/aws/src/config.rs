//! Settings from the environment. A missing one is named when the function starts, not when the first event needs it.

/// A setting that is missing or wrong.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not set, or empty.
    #[error("the environment variable {0} is not set: it must name {1}")]
    Missing(&'static str, &'static str),
    /// All settings are there, but the function cannot be made of them.
    #[error("the function cannot be made: {0}")]
    Unusable(String),
}

/// Reads a variable that must be there; `purpose` completes "it must name …".
pub fn required(
    lookup: &dyn Fn(&str) -> Option<String>,
    name: &'static str,
    purpose: &'static str,
) -> Result<String, ConfigError> {
    lookup(name).filter(|value| !value.is_empty()).ok_or(ConfigError::Missing(name, purpose))
}

/// The process's environment.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_variable_is_named() {
        let error =
            required(&|_| Some(String::new()), "LEDGER_TABLE", "the ledger").map_err(|e| e.to_string());
        assert_eq!(
            error,
            Err("the environment variable LEDGER_TABLE is not set: it must name the ledger".into())
        );
    }
}
