//! From samples of a vendor's messages to a proposed mapping.
//!
//! Pure: samples and a canonical schema in, proposals out; no I/O, no clock, no network, and the same samples always give the same
//! proposals. What is not sure enough is not asserted: a member that must be there and has no source is `mapping_incomplete`.

mod engine;
pub mod learn;
pub mod leaves;
mod members;
mod model;
mod pairs;
mod proof;
mod report;
mod transform;
mod words;

pub use members::OCCURRED_AT;
pub use model::Model;
pub use pairs::{FEATURES, Prior};
pub use proof::Proof;
pub use report::{Alternative, Documents, Evidence, Proposal, Report, suggest, suit};
pub use transform::Transform;
pub use words::words;
