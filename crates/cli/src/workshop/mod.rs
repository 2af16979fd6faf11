//! A bundle on its author's machine: made, built, checked, run and tested before anything is published.
//!
//! Everything here runs a mapper by the code that `normalize` runs (`sluice_mapping`), within the same limits, so that no limit
//! surprises its author in production.

pub mod build;
pub mod bundle;
pub mod check;
pub mod diff;
pub mod fixtures;
pub mod redact;
pub mod request;
pub mod requests;
pub mod sample;
pub mod scaffold;
pub mod text;
pub mod trial;
pub mod typegen;
