//! What Sluice means, without saying how it is stored or transported.
//!
//! Types, the envelope, contracts, canonical events, the error taxonomy and the ports that the functions call. No I/O,
//! no `aws-*`, no `wasmtime`: the adapters are `sluice-aws` and `sluice-mapper-host`. `tests/tests/tidy.rs` holds this.
//!
//! ```
//! use sluice_core::{envelope, json};
//! let body = br#"{"vendorId":"vendorA","externalEventId":"evt-1","eventType":"inventory_update",
//!                 "occurredAt":"2026-01-01T00:00:00Z","payload":{"qty":12}}"#;
//! let parsed = envelope::Envelope::parse(body, "2026-01-02T00:00:00Z".parse().unwrap()).unwrap();
//! assert_eq!(parsed.vendor_id.as_str(), "vendorA");
//! assert_eq!(parsed.payload, br#"{"qty":12}"#);
//! # let _ = json::parse(body);
//! ```

pub mod balance;
pub mod books;
pub mod bundle;
pub mod canonical;
pub mod contract;
pub mod digest;
pub mod drift;
pub mod envelope;
pub mod fault;
pub mod health;
pub mod id;
pub mod intake;
pub mod json;
pub mod limits;
pub mod native;
pub mod operation;
pub mod payload;
pub mod port;
pub mod problem;
pub mod quarantine;
pub mod receipt;
pub mod record;
pub mod schema;
pub mod signature;
pub mod state;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod text;

pub use jiff;

pub use fault::{Class, Code, Fault};
