//! A local Step Functions: runs [`sluice_asl`] executions durably, and answers on AWS's own protocol.
//!
//! [`Engine`] keeps machines, executions and their journals in one SQLite file. Standard executions are event-sourced:
//! every input is committed before its effects are carried out, so after `kill -9` they go on where they were. Express
//! executions run in memory; asynchronous ones are journaled at start and end and run at least once. What a Task calls is
//! behind the [`Integrations`] trait; `states:startExecution` is answered by the engine itself. [`Engine::handle`] takes
//! AWS JSON 1.0 requests, so that the AWS SDKs, boto3 and the AWS CLI work unchanged.
//!
//! Not here: a server, signatures, Distributed Map, activities, versions and aliases.

mod api;
mod arn;
mod clock;
mod engine;
mod error;
mod express;
mod integrations;
mod journal;
pub mod limits;
mod machine;
mod standard;
mod worker;

pub use clock::{Clock, SystemClock, TokioClock};
pub use engine::{Engine, Options, Payload, Started};
pub use error::{Error, Result};
pub use express::{ExpressFailure, SyncResult, SyncStatus};
pub use integrations::{Integrations, START_EXECUTION, TaskContext, TaskError};
pub use journal::{Commits, JournalError, Location};
pub use machine::{Configuration, StateMachine, StateMachineSpec, StateMachineUpdate, Version};
pub use sluice_asl::{MachineType, Timestamp};
pub use standard::{Description, ExecutionFilter, ExecutionPage, ExecutionStatus, Place, Summary};
