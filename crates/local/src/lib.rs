//! The local cloud: what Sluice uses of AWS, in one process on 127.0.0.1.
//!
//! The functions are the same crates with the same SDK clients as on AWS, and the services answer AWS's own protocols, so
//! that `aws --endpoint-url`, boto3 and the SDKs work unchanged. It is a single-node default and a test bed: both listeners
//! are on the loopback interface and nowhere else, the AWS endpoint answers who has signed with the access key of the data
//! folder, and neither answers a web page ([`credentials`]).

pub mod arn;
mod client;
mod cloud;
pub mod credentials;
mod disk;
mod dynamodb;
mod endpoint;
mod events;
mod front_door;
mod functions;
mod gate;
mod integrations;
mod kms;
mod machines;
pub mod mapping;
mod poller;
mod private;
mod product;
mod relay;
mod s3;
mod schedule;
mod server;
mod shares;
mod sigv4;
mod sqlite;
mod sqs;
mod step_functions;
pub mod topology;
mod turns;
mod usage_plan;
mod wire;

pub use cloud::{
    BoxError, Cloud, Data, Definitions, FunctionSetup, MachineDefinition, MachineSetup, MakeFunctions,
    MakeMachines, Options, StartError, Transport,
};
pub use dynamodb::DynamoDbError;
pub use events::pattern::PatternError;
pub use functions::{FunctionError, Functions, InvokeError};
pub use integrations::{Integrations, TaskFailure};
pub use machines::{ExecutionError, StateMachines, SyncOutcome};
