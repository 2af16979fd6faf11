//! Queues as the sources of functions, as Lambda's event source mappings do it, with `ReportBatchItemFailures` ("Using Lambda with
//! Amazon SQS", Lambda Developer Guide); and of Express machines that are waited for, as EventBridge Pipes do it ("Amazon
//! EventBridge Pipes batching and concurrency", User Guide): both answer with `batchItemFailures`.
//!
//! Invariants: a message is deleted only after its handler was done with it; one that the handler reports, or whose invocation or
//! execution failed, stays hidden for the queue's visibility timeout and comes again, until the redrive policy moves it away.
//! Whenever there is room for one more batch, it goes to the queue of the highest priority that has messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::functions::FunctionHost;
use crate::machines::{StateMachines, SyncOutcome};
use crate::sqs::{Sqs, Taken};
use crate::topology::{QueueMapping, Topology};

/// Batches at once, of all mappings together, and of all pipes together. On AWS it would be thousands; here they share a machine.
const BATCHES_MAX: usize = 4;

/// How long the first message waits for others: a batch costs an invocation and two transactions, however small it is.
const LINGER: Duration = Duration::from_millis(3);

/// How long to wait after the queues could not be read.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The poller of all mappings, or of all pipes.
#[derive(Debug)]
pub(crate) struct Poller {
    sqs: Arc<Sqs>,
    /// Highest priority first.
    mappings: Vec<Arc<Mapping>>,
    slots: Arc<Semaphore>,
    freed: Arc<Notify>,
}

#[derive(Debug)]
struct Mapping {
    queue: String,
    target: Target,
    batch_size: usize,
    maximum_concurrency: usize,
    batching_window: Duration,
    running: AtomicUsize,
}

/// What gets the messages.
enum Target {
    Function(FunctionHost, String),
    Machine(Arc<dyn StateMachines>, String),
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Target {
    fn name(&self) -> &str {
        match self {
            Self::Function(_, name) | Self::Machine(_, name) => name,
        }
    }

    /// What it answers to some messages.
    async fn call(&self, records: Vec<Value>) -> Result<Value, String> {
        match self {
            Self::Function(functions, name) => {
                let answer = functions.invoke(name, json!({ "Records": records })).await;
                answer.map_err(|error| error.to_string())
            }
            Self::Machine(machines, name) => {
                let outcome = machines.start_sync(name, Value::Array(records).to_string()).await;
                match outcome.map_err(|error| error.to_string())? {
                    SyncOutcome::Succeeded(output) => Ok(output),
                    SyncOutcome::Failed { error, cause } => {
                        Err(format!("its execution failed: {error}: {cause}"))
                    }
                    SyncOutcome::TimedOut => Err("its execution timed out".to_owned()),
                }
            }
        }
    }
}

/// Messages that wait for their batch to be full.
#[derive(Default)]
struct Pending {
    messages: Vec<Taken>,
    due: Option<Instant>,
}

type NextBatch = (Arc<Mapping>, Vec<Taken>);

impl Poller {
    /// The routes' queues. The topology must have been checked.
    pub(crate) fn of_routes(topology: &Topology, sqs: &Arc<Sqs>, functions: &FunctionHost) -> Self {
        let mapping = |settings: QueueMapping| {
            let function = topology.function(&settings.function)?.name.clone();
            Some(Arc::new(Mapping {
                queue: topology.queue(&settings.queue)?.name.clone(),
                target: Target::Function(functions.clone(), function),
                batch_size: settings.batch_size,
                maximum_concurrency: settings.maximum_concurrency.unwrap_or(usize::MAX),
                batching_window: Duration::from_secs(settings.maximum_batching_window_seconds),
                running: AtomicUsize::new(0),
            }))
        };
        Self::new(sqs, topology.queue_mappings().into_iter().filter_map(mapping).collect())
    }

    /// The pipes' queues. The topology must have been checked.
    pub(crate) fn of_pipes(topology: &Topology, sqs: &Arc<Sqs>, machines: &Arc<dyn StateMachines>) -> Self {
        let mapping = |pipe: &crate::topology::Pipe| {
            let machine = topology.state_machine(&pipe.state_machine)?.name.clone();
            Some(Arc::new(Mapping {
                queue: topology.queue(&pipe.queue)?.name.clone(),
                target: Target::Machine(Arc::clone(machines), machine),
                batch_size: pipe.batch_size,
                maximum_concurrency: usize::MAX,
                batching_window: Duration::ZERO,
                running: AtomicUsize::new(0),
            }))
        };
        Self::new(sqs, topology.pipes.iter().filter_map(mapping).collect())
    }

    fn new(sqs: &Arc<Sqs>, mappings: Vec<Arc<Mapping>>) -> Self {
        let slots = Arc::new(Semaphore::new(BATCHES_MAX));
        Self { sqs: Arc::clone(sqs), mappings, slots, freed: Arc::default() }
    }

    /// Works until it is dropped.
    pub(crate) async fn run(&self) {
        for mapping in &self.mappings {
            if let Err(error) = self.sqs.release_taken(&mapping.queue) {
                tracing::warn!(
                    queue = mapping.queue,
                    error = error.message,
                    "messages stay hidden for a while"
                );
            }
        }
        let mut sent = self.sqs.sent();
        let mut pending: Vec<Pending> = self.mappings.iter().map(|_| Pending::default()).collect();
        let mut running = JoinSet::new();
        loop {
            let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else { return };
            while running.try_join_next().is_some() {}
            let (mapping, batch) = loop {
                sent.mark_unchanged();
                match self.next(&mut pending) {
                    Ok(Some(next)) => break next,
                    Ok(None) => {}
                    Err(error) => {
                        tracing::error!(error, "the queues cannot be read");
                        tokio::time::sleep(RETRY_DELAY).await;
                        continue;
                    }
                }
                let due = self.next_due(&pending);
                tokio::select! {
                    changed = sent.changed() => {
                        if changed.is_err() {
                            return;
                        }
                        tokio::time::sleep(LINGER).await;
                    }
                    () = self.freed.notified() => {}
                    () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
                }
            };
            mapping.running.fetch_add(1, Ordering::Relaxed);
            let (sqs, freed) = (Arc::clone(&self.sqs), Arc::clone(&self.freed));
            running.spawn(async move {
                work(&sqs, &mapping, batch).await;
                mapping.running.fetch_sub(1, Ordering::Relaxed);
                drop(slot);
                freed.notify_one();
            });
        }
    }

    /// The next batch, of the first mapping that has one.
    fn next(&self, pending: &mut [Pending]) -> Result<Option<NextBatch>, String> {
        for (mapping, pending) in self.mappings.iter().zip(pending) {
            if mapping.running.load(Ordering::Relaxed) >= mapping.maximum_concurrency {
                continue;
            }
            let room = mapping.batch_size.saturating_sub(pending.messages.len());
            let taken = self.sqs.take(&mapping.queue, room).map_err(|error| error.message)?;
            pending.messages.extend(taken);
            if pending.messages.is_empty() {
                continue;
            }
            let due = *pending.due.get_or_insert_with(|| Instant::now() + mapping.batching_window);
            if pending.messages.len() >= mapping.batch_size || Instant::now() >= due {
                pending.due = None;
                return Ok(Some((Arc::clone(mapping), std::mem::take(&mut pending.messages))));
            }
        }
        Ok(None)
    }

    /// When a hidden message becomes visible, or a batching window ends.
    fn next_due(&self, pending: &[Pending]) -> Option<Instant> {
        let visible = self.mappings.iter().filter_map(|mapping| self.sqs.next_visible_in(&mapping.queue));
        let windows = pending.iter().filter_map(|pending| pending.due);
        visible.map(|wait| Instant::now() + wait).chain(windows).min()
    }

    /// Whether no mapped queue has a message, hidden ones included.
    pub(crate) fn is_idle(&self) -> bool {
        self.mappings.iter().all(|mapping| self.sqs.is_empty(&mapping.queue))
    }
}

async fn work(sqs: &Sqs, mapping: &Mapping, batch: Vec<Taken>) {
    let (records, receipts): (Vec<Value>, Vec<Receipt>) = batch
        .into_iter()
        .map(|taken| (taken.record, Receipt { message_id: taken.message_id, receipt: taken.receipt }))
        .unzip();
    let handler = mapping.target.name();
    let answer = match mapping.target.call(records).await {
        Ok(answer) => answer,
        Err(error) => {
            tracing::warn!(
                handler,
                queue = mapping.queue,
                error,
                "messages were not handled: they come again"
            );
            return;
        }
    };
    let Some(failed) = failed(&receipts, &answer) else {
        tracing::warn!(
            handler,
            queue = mapping.queue,
            %answer,
            "the answer names no messages of the batch: all of them come again"
        );
        return;
    };
    if !failed.is_empty() {
        tracing::warn!(
            handler,
            queue = mapping.queue,
            failed = failed.len(),
            of = receipts.len(),
            "messages come again"
        );
    }
    let done: Vec<(i64, i64)> =
        receipts.iter().filter(|it| !failed.contains(&it.message_id.as_str())).map(|it| it.receipt).collect();
    if let Err(error) = sqs.delete_taken(&mapping.queue, &done) {
        // They come again: at least once.
        tracing::error!(queue = mapping.queue, error = error.message, "messages were not deleted");
    }
}

struct Receipt {
    message_id: String,
    receipt: (i64, i64),
}

/// The messages that an answer reports: none for an answer that is empty or says nothing; `None` for one that names what is not in
/// the batch, which fails all of it.
fn failed<'a>(batch: &[Receipt], answer: &'a Value) -> Option<Vec<&'a str>> {
    let failures = match answer.get("batchItemFailures") {
        None | Some(Value::Null) => return Some(Vec::new()),
        Some(Value::Array(failures)) => failures,
        Some(_) => return None,
    };
    let of_batch = |failure: &'a Value| {
        let id = failure["itemIdentifier"].as_str()?;
        batch.iter().any(|it| it.message_id == id).then_some(id)
    };
    failures.iter().map(of_batch).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_as_lambda_reads_it() {
        let batch: Vec<Receipt> =
            ["a", "b"].iter().map(|id| Receipt { message_id: (*id).to_owned(), receipt: (0, 0) }).collect();
        let cases: [(Value, Option<Vec<&str>>); 9] = [
            (Value::Null, Some(vec![])),
            (json!({}), Some(vec![])),
            (json!({"batchItemFailures": null}), Some(vec![])),
            (json!({"batchItemFailures": []}), Some(vec![])),
            (json!({"batchItemFailures": [{"itemIdentifier": "b"}]}), Some(vec!["b"])),
            (json!({"batchItemFailures": [{"itemIdentifier": "c"}]}), None),
            (json!({"batchItemFailures": [{"itemIdentifier": ""}]}), None),
            (json!({"batchItemFailures": [{"id": "a"}]}), None),
            (json!({"batchItemFailures": "a"}), None),
        ];
        for (answer, expected) in cases {
            assert_eq!(failed(&batch, &answer), expected, "{answer}");
        }
    }
}
