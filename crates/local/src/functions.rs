//! Lambda: functions that run in this process, with the time-out and the error reports that they have on AWS.
//!
//! A panic or a time-out of one invocation never reaches another. What is not enforced: memory and AWS's concurrency.
//!
//! Who waits for an answer comes first: all other functions together have [`BEHIND_PER_CORE`] invocations a core, so that a backlog
//! delays itself and not the acknowledgement of what arrives.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::topology::Topology;

/// Invocations at once of functions that nobody waits for, a core. With two of them a backlog is worked off a tenth sooner, and
/// the slow acknowledgements take half as long again (`cargo xtask bench local`).
const BEHIND_PER_CORE: usize = 1;

/// The code of the functions.
#[async_trait]
pub trait Functions: Send + Sync + 'static {
    /// Invokes the function with that name (`sluice-accept`).
    async fn invoke(&self, name: &str, payload: Value) -> Result<Value, FunctionError>;
}

/// An error that a function reported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error_type}: {error_message}")]
pub struct FunctionError {
    /// The name that ASL matches.
    pub error_type: String,
    /// What happened.
    pub error_message: String,
}

/// Why an invocation has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvokeError {
    /// There is no function of that name.
    #[error("function not found: {0}")]
    NotFound(String),
    /// The function reported an error.
    #[error(transparent)]
    Function(FunctionError),
    /// The function panicked.
    #[error("the function panicked: {0}")]
    Panicked(String),
    /// The function took longer than its time-out.
    #[error("the function timed out after {0} seconds")]
    TimedOut(u64),
}

impl InvokeError {
    /// The error name and the cause that Step Functions shows for a `lambda:invoke` task.
    ///
    /// An error that carries an `errorType` has that name, and the function's payload as its cause. Without one the name is
    /// `Lambda.Unknown` ("Handling errors in Step Functions workflows", Developer Guide, which also gives the text).
    pub fn as_task_error(&self) -> (String, String) {
        match self {
            Self::NotFound(name) => {
                let text = format!("Function not found: {}", crate::arn::function(name));
                ("Lambda.ResourceNotFoundException".to_owned(), text)
            }
            Self::Function(error) => (error.error_type.clone(), self.payload().to_string()),
            Self::Panicked(_) | Self::TimedOut(_) => {
                let text = "The cause could not be determined because Lambda did not return an error type. Returned payload: ";
                ("Lambda.Unknown".to_owned(), format!("{text}{}", self.payload()))
            }
        }
    }

    /// The payload of an `Invoke` whose `FunctionError` is `Unhandled`.
    pub fn payload(&self) -> Value {
        match self {
            Self::Function(error) => {
                json!({"errorType": error.error_type, "errorMessage": error.error_message})
            }
            Self::TimedOut(seconds) => {
                let id = crate::wire::request_id();
                json!({"errorMessage": format!("{} {id} Task timed out after {seconds}.00 seconds", jiff::Timestamp::now())})
            }
            Self::NotFound(_) | Self::Panicked(_) => json!({"errorMessage": self.to_string()}),
        }
    }
}

/// Runs invocations.
#[derive(Clone)]
pub(crate) struct FunctionHost {
    functions: Arc<dyn Functions>,
    timeouts_seconds: Arc<BTreeMap<String, u64>>,
    first: Arc<BTreeSet<String>>,
    behind: Arc<Semaphore>,
}

impl std::fmt::Debug for FunctionHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FunctionHost")
            .field("timeouts_seconds", &self.timeouts_seconds)
            .finish_non_exhaustive()
    }
}

impl FunctionHost {
    /// `first` are the names of the functions for whose answer a sender waits.
    pub(crate) fn new(topology: &Topology, functions: Arc<dyn Functions>, first: BTreeSet<String>) -> Self {
        let timeouts = topology.functions.iter().map(|it| (it.name.clone(), it.timeout_seconds)).collect();
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            functions,
            timeouts_seconds: Arc::new(timeouts),
            first: Arc::new(first),
            behind: Arc::new(Semaphore::new(cores * BEHIND_PER_CORE)),
        }
    }

    /// `reference` is a name or an ARN.
    pub(crate) async fn invoke(&self, reference: &str, payload: Value) -> Result<Value, InvokeError> {
        self.invoke_in_turn(reference, payload, || ()).await
    }

    /// The same; what `wait` gives is held while the invocation waits for its turn.
    pub(crate) async fn invoke_in_turn<W>(
        &self,
        reference: &str,
        payload: Value,
        wait: impl FnOnce() -> W,
    ) -> Result<Value, InvokeError> {
        let name = crate::arn::function_name(reference);
        let Some(&seconds) = self.timeouts_seconds.get(name) else {
            return Err(InvokeError::NotFound(name.to_owned()));
        };
        // Its time runs from when it runs, as on AWS, where nothing waits for a turn.
        let _turn = if self.first.contains(name) {
            None
        } else if let Ok(turn) = self.behind.try_acquire() {
            Some(turn)
        } else {
            let _wait = wait();
            // Nobody closes it.
            self.behind.acquire().await.ok()
        };
        let invocation = AssertUnwindSafe(self.functions.invoke(name, payload)).catch_unwind();
        match tokio::time::timeout(Duration::from_secs(seconds), invocation).await {
            Ok(Ok(result)) => result.map_err(InvokeError::Function),
            Ok(Err(panic)) => Err(InvokeError::Panicked(panic_text(&*panic))),
            Err(_elapsed) => Err(InvokeError::TimedOut(seconds)),
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
        .to_owned()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is the test's failure")]
mod tests {
    use super::*;

    struct Misbehaving;

    #[async_trait]
    impl Functions for Misbehaving {
        async fn invoke(&self, name: &str, payload: Value) -> Result<Value, FunctionError> {
            match name {
                "sluice-accept" => Ok(payload),
                "sluice-normalize" => Err(FunctionError {
                    error_type: "Rejected".into(),
                    error_message: "{\"code\":\"x\"}".into(),
                }),
                "sluice-quarantine" => panic!("at the disco"),
                _ => std::future::pending().await,
            }
        }
    }

    fn host() -> FunctionHost {
        let mut topology = Topology::parse(include_str!("../../../state-machines/topology.json")).unwrap();
        for function in topology.functions.iter_mut().filter(|function| function.name == "sluice-relay") {
            function.timeout_seconds = 1;
        }
        FunctionHost::new(&topology, Arc::new(Misbehaving), BTreeSet::from(["sluice-accept".to_owned()]))
    }

    #[tokio::test]
    async fn who_waits_for_an_answer_does_not_wait_for_a_backlog() {
        let host = host();
        let backlog = futures::future::join_all((0..100).map(|_| host.invoke("sluice-apply", json!({}))));
        let answer = async {
            while host.behind.available_permits() > 0 {
                tokio::task::yield_now().await;
            }
            host.invoke("sluice-accept", json!({"a": 1})).await
        };
        tokio::select! {
            ended = backlog => panic!("nothing of it ends: {}", ended.len()),
            answer = answer => assert_eq!(answer.unwrap(), json!({"a": 1})),
        }
        assert!(host.behind.available_permits() > 0, "what is dropped gives its turn back");
    }

    #[tokio::test]
    async fn who_waits_for_a_turn_is_told_and_who_has_one_is_not() {
        let host = host();
        let waited = || panic!("there was a turn");
        assert!(host.invoke_in_turn("sluice-normalize", json!({}), waited).await.is_err());
        let turns = host.behind.available_permits();
        let _taken = host.behind.acquire_many(u32::try_from(turns).unwrap()).await.unwrap();
        let told = std::cell::Cell::new(false);
        let waiting = host.invoke_in_turn("sluice-normalize", json!({}), || told.set(true));
        assert!(futures::poll!(Box::pin(waiting)).is_pending());
        assert!(told.get());
    }

    #[tokio::test]
    async fn every_outcome_is_reported_as_step_functions_would_see_it() {
        let host = host();
        let arn = crate::arn::function("sluice-accept");
        assert_eq!(host.invoke(&arn, json!({"a": 1})).await.unwrap(), json!({"a": 1}));

        let (name, cause) = host.invoke("sluice-normalize", json!({})).await.unwrap_err().as_task_error();
        assert_eq!(name, "Rejected");
        let cause: Value = serde_json::from_str(&cause).unwrap();
        assert_eq!(cause, json!({"errorType": "Rejected", "errorMessage": "{\"code\":\"x\"}"}));

        let (name, cause) = host.invoke("sluice-quarantine", json!({})).await.unwrap_err().as_task_error();
        assert_eq!(name, "Lambda.Unknown");
        assert!(cause.contains("at the disco"), "{cause}");

        let (name, cause) = host.invoke("sluice-relay", json!({})).await.unwrap_err().as_task_error();
        assert_eq!(name, "Lambda.Unknown");
        assert!(cause.contains("Task timed out after 1.00 seconds"), "{cause}");

        let error = host.invoke("nobody", json!({})).await.unwrap_err();
        assert_eq!(error.as_task_error().0, "Lambda.ResourceNotFoundException");
    }
}
