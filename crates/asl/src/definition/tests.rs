//! Every refusal, by name and place.

#![expect(clippy::unwrap_used, reason = "tests")]
