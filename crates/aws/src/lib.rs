//! The ports of `sluice-core` on AWS: DynamoDB, S3, SQS, EventBridge and Step Functions by AWS's own SDK, and the frame of a
//! Lambda function.
//!
//! Non-goal: decisions. An adapter moves a row or an object and classifies what went wrong; what follows is the function's
//! business. The local cloud is reached by the same clients, pointed at loopback: there is no second implementation.

pub mod balance;
pub mod books;
pub mod bundles;
pub mod bus;
pub mod canonical;
mod client;
pub mod clock;
pub mod config;
pub mod dead_letters;
pub mod divergence;
pub mod drift;
mod emf;
pub mod error;
pub mod executions;
pub mod intake;
mod item;
pub mod lambda;
pub mod ledger;
pub mod metric;
pub mod moves;
pub mod normalized;
pub mod operations;
pub mod quarantine;
pub mod raw;
pub mod recoveries;
pub mod stage;
pub mod uploads;
pub mod vendors;

pub use aws_config::SdkConfig;
