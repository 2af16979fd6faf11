//! A local Step Functions: runs [`sluice_asl`] executions durably, and answers on AWS's own protocol.
//!
//! [`Engine`] keeps machines, executions and their journals in one SQLite file. Standard executions are event-sourced:
//! every input is committed before its effects are carried out, so after `kill -9` they go on where they were. Express
//! executions run in memory; asynchronous ones are journaled at start and end and run at least once. What a Task calls is
//! behind the [`Integrations`] trait; `states:startExecution` is answered by the engine itself. [`Engine::handle`] takes
//! AWS JSON 1.0 requests, so that the AWS SDKs, boto3 and the AWS CLI work unchanged.
//!
//! ```
//! use std::sync::Arc;
//! use serde_json::{Value, json};
//! use sluice_stepfunctions::{
//!     Engine, Integrations, Location, MachineType, Options, Payload, StateMachineSpec, SystemClock, TaskContext, TaskError,
//! };
//!
//! struct Greeter;
//!
//! #[async_trait::async_trait]
//! impl Integrations for Greeter {
//!     async fn invoke(&self, _resource: &str, arguments: Value, _: &TaskContext) -> Result<Value, TaskError> {
//!         Ok(json!({"StatusCode": 200, "Payload": format!("Hello, {}", arguments["Payload"].as_str().unwrap_or("you"))}))
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sluice_stepfunctions::Error> {
//! let engine =
//!     Engine::open(&Location::Memory, Arc::new(Greeter), Arc::new(SystemClock), Options::default()).await?;
//! let asl = r#"{"QueryLanguage": "JSONata", "StartAt": "Greet", "States": {"Greet": {
//!     "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke",
//!     "Arguments": {"FunctionName": "greet", "Payload": "{% $states.input.name %}"},
//!     "Output": "{% $states.result.Payload %}", "End": true}}}"#;
//! let machine = engine.put_state_machine(StateMachineSpec::new("greet", MachineType::Express, asl)).await?;
//! let result = engine.start_sync(&machine.arn, None, Payload::from_value(json!({"name": "Ada"}))?).await?;
//! assert_eq!(result.output.as_deref(), Some(&json!("Hello, Ada")));
//! # Ok(()) }
//! ```
//!
//! A Distributed Map runs its children as Express executions, journals their ends in batches, and streams its items: see
//! [`Engine::describe_map_run`].
//!
//! Not here: a server, signatures, Distributed Maps of Standard executions.

mod activities;
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
mod map_run;
mod standard;
mod versions;
mod worker;

pub use clock::{Clock, SystemClock, TokioClock};
pub use engine::{Engine, Options, Payload, Started};
pub use error::{Error, Result};
pub use express::{ExpressFailure, SyncResult, SyncStatus};
pub use integrations::{
    DESCRIBE_MAP_RUN, Integrations, ObjectPart, START_EXECUTION, TaskContext, TaskError, TurnWait,
};
pub use journal::{Commits, JournalError, Location};
pub use machine::{Configuration, StateMachine, StateMachineSpec, StateMachineUpdate, Version};
pub use map_run::{
    MapChild, MapChildFilter, MapChildStatus, MapRunCounts, MapRunDescription, MapRunStatus, MapRunUpdate,
};
pub use sluice_asl::{MachineType, Timestamp};
pub use standard::{Description, ExecutionFilter, ExecutionPage, ExecutionStatus, Place, Summary};
pub use versions::Origin;
