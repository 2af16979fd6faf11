//! The Amazon States Language as a pure, event-sourced state machine.
//!
//! The journal of an execution is the ordered list of its [`Input`]s, and its state is what replaying them gives. Nothing
//! in this crate does I/O, reads a clock or draws a random number: every input carries its time and a seed, and what must
//! happen outside is returned as [`Effect`]s. The one exception is named in [`limits::EXPRESSION_TIMEOUT_MS`].
//!
//! ```
//! use std::sync::Arc;
//! use sluice_asl::{Definition, Effect, Execution, Input, InputKind, MachineType, Start, Status, Timestamp};
//!
//! let asl = r#"{"QueryLanguage": "JSONata", "StartAt": "Hello", "States": {
//!     "Hello": {"Type": "Pass", "Output": {"greeting": "{% 'Hello, ' & $states.input.name %}"}, "End": true}}}"#;
//! let definition = Arc::new(Definition::parse(asl, MachineType::Express)?);
//! let start = Start { input: serde_json::json!({"name": "Ada"}), ..Start::example() };
//! let input = Input { at: Timestamp::from_millis(0), seed: 7, kind: InputKind::Start(start) };
//! let (execution, effects) = Execution::start(definition, input)?;
//! assert!(matches!(effects[..], [Effect::Finished]));
//! let Status::Succeeded { output } = execution.status() else { panic!("{:?}", execution.status()) };
//! assert_eq!(output["greeting"], "Hello, Ada");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Only the JSONata query language is run. Whatever the engine does not support is refused by [`Definition::parse`], by
//! name and with the state's path, never ignored. The specification is AWS's own: the Amazon States Language
//! (states-language.net) and the Step Functions Developer Guide; each module names the pages it follows.

mod data;
mod definition;
mod execution;
mod history;
mod input;
mod jsonata;
pub mod limits;
mod random;
mod substitute;
mod template;
mod time;

pub use definition::{
    Definition, DefinitionError, DefinitionErrors, InputType, MachineShape, MachineType, OutputType,
    ParseOptions, RetryShape, SUPPORTED_RESOURCES, SingleState, StateShape, StateType, Transformation,
    TransitionShape, When,
};
pub use execution::{
    ApplyError, Batching, Effect, Execution, Inspection, ItemSource, MapFault, MapRun, NotRedrivable,
    ReplayError, ResultWriter, ScheduledTask, StartedWith, StateTest, Status, TestMock, TestOutcome,
    TestSetup,
};
pub use history::{Details, EventType, HistoryEvent};
pub use input::{Input, InputKind, Start, TaskId, TimerId};
pub use substitute::{SubstitutionError, placeholders, substitute};
pub use time::Timestamp;
