//! The use cases of operations: functions over the AWS clients that return plain serializable
//! documents.
//!
//! `crates/cli` prints the documents, `crates/console` serves them: one JSON document for both.
//! This crate prints nothing, parses no command line and knows no exit code. What goes wrong is an
//! [`error::OpsError`], of which the callers make exit codes and HTTP statuses. A use case that
//! takes long tells a [`progress::Progress`] what it does.
//!
//! Start at [`cloud::Cloud`], which makes the clients of AWS or of the local cloud.

pub mod audit;
pub mod balance;
pub mod bundles;
#[cfg(feature = "mapping")]
pub mod case;
pub mod cloud;
pub mod conflicts;
#[cfg(feature = "mapping")]
pub mod correct;
pub mod diff;
pub mod divergence;
pub mod dlq;
pub mod document;
pub mod drift;
pub mod error;
pub mod event;
pub mod events;
pub mod execution;
pub mod executions;
#[cfg(feature = "mapping")]
pub mod fixtures;
pub mod group_detail;
pub mod health;
pub mod hold;
pub mod identity;
#[cfg(feature = "mapping")]
pub mod loaded;
pub mod mappers;
pub mod names;
pub mod operations;
pub mod overview;
pub mod part;
pub mod payload;
pub mod people;
pub mod pointer;
pub mod progress;
pub mod quarantine;
pub mod redrive;
pub mod replay;
pub mod search;
pub mod secrets;
#[cfg(feature = "mapping")]
pub mod shadow;
pub mod state;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(feature = "mapping")]
pub mod trace;
pub mod vendors;
