//! A part of a document that may be unknown: each part has its own error, and none is shown as zero.

use serde::Serialize;

use crate::error::{OpsError, Unknown};

/// What is known of a part, or why it is not: `{"known": …}` or `{"unknown": {…}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Part<T> {
    /// The part.
    Known(T),
    /// Why it could not be had.
    Unknown(Unknown),
}

impl<T> Part<T> {
    /// The part, if it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(part) => Some(part),
            Self::Unknown(_) => None,
        }
    }

    /// Why it is not known.
    pub fn unknown(&self) -> Option<&Unknown> {
        match self {
            Self::Known(_) => None,
            Self::Unknown(unknown) => Some(unknown),
        }
    }
}

impl<T> From<Result<T, OpsError>> for Part<T> {
    fn from(result: Result<T, OpsError>) -> Self {
        match result {
            Ok(part) => Self::Known(part),
            Err(error) => Self::Unknown(Unknown::from(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use sluice_core::{Code, Fault};

    use super::*;

    #[test]
    fn a_part_that_is_away_says_so_and_is_not_zero() {
        let part = Part::from(Ok::<_, OpsError>(3));
        assert_eq!(serde_json::to_value(&part).unwrap_or_default(), serde_json::json!({"known": 3}));
        let away: Part<u32> = Part::from(Err(OpsError::from(Fault::new(Code::Throttled, "throttled"))));
        assert_eq!(away.known(), None);
        assert_eq!(
            serde_json::to_value(&away).unwrap_or_default(),
            serde_json::json!({"unknown": {"kind": "unavailable", "code": "throttled", "message": "throttled"}})
        );
    }
}
