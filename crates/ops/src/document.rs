//! Serde forms that the documents share.

use jiff::Timestamp;

/// A time in a document: RFC 3339 with milliseconds.
///
/// # Errors
/// Those of the serializer.
pub fn millis<S: serde::Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    sluice_core::id::millis::serialize(at, serializer)
}

/// As [`millis`], where there may be none.
///
/// # Errors
/// Those of the serializer.
pub fn millis_opt<S: serde::Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => millis(at, serializer),
        None => serializer.serialize_none(),
    }
}
