//! `operate`: one slice of an operation. Looks at what is in progress, begins the next items as pace and window allow, and says
//! when to come back.
//!
//! Nothing waits here: the state machine does. A slice that is cut off anywhere, or runs beside another, is harmless:
//! - items are begun by storing the operation's row under its version, before anything is done to them;
//! - what is done to an item is told by its own row, which is written first, so that doing it again is the same act;
//! - an outcome is counted once, since it takes the item out of those in progress.

mod config;
mod moves;
mod redrive;
mod release;
mod replay;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use futures::{StreamExt as _, TryStreamExt as _};
use serde::Deserialize;
use serde_json::Value;
use sluice_aws::SdkConfig;
use sluice_aws::config::ConfigError;
use sluice_core::fault::{CaughtError, Cause};
use sluice_core::jiff::Timestamp;
use sluice_core::operation::{
    CHUNK_ITEMS, Change, Executions, ITEM_SECONDS_MAX, Item, ItemRow, ItemState, Moves, Next, Operation,
    OperationId, OperationStore, Outcome, Replays, Standing, Work,
};
use sluice_core::port::{Clock, Ledger, QuarantineStore, Reruns};
use sluice_core::{Class, Code, Fault};

pub use config::Config;

/// Items worked on at once.
const AT_ONCE: usize = 8;

/// How often the row is read again when somebody else was quicker.
const TRIES_MAX: usize = 10;

/// Executions described by one slice at most: `DescribeExecution` has a bucket of 300, refilled by 10 to 15 a second.
const DESCRIPTIONS_MAX: usize = 10;

/// What the function needs of the world.
#[derive(Clone)]
pub struct Deps {
    /// Operations.
    pub operations: Arc<dyn OperationStore>,
    /// Life cycle of events.
    pub ledger: Arc<dyn Ledger>,
    /// Rows for ops.
    pub quarantine: Arc<dyn QuarantineStore>,
    /// Redrives events.
    pub executions: Arc<dyn Executions>,
    /// Runs events again that cannot be redriven.
    pub reruns: Arc<dyn Reruns>,
    /// Moves dead letters.
    pub moves: Arc<dyn Moves>,
    /// Replays batches.
    pub replays: Arc<dyn Replays>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Deps {
    /// On AWS, or on the local cloud if the configuration points there.
    pub fn new(sdk: &SdkConfig, config: Config) -> Self {
        use sluice_aws::executions::{SfnExecutions, SfnReplays};
        Self {
            operations: Arc::new(sluice_aws::operations::DynamoOperations::new(sdk, config.operations_table)),
            ledger: Arc::new(sluice_aws::ledger::DynamoLedger::new(sdk, config.ledger_table)),
            quarantine: Arc::new(sluice_aws::quarantine::DynamoQuarantine::new(sdk, config.quarantine_table)),
            executions: Arc::new(SfnExecutions::new(sdk)),
            reruns: Arc::new(sluice_aws::recoveries::SfnReruns::new(sdk, config.recover_state_machine_arn)),
            moves: Arc::new(sluice_aws::moves::SqsMoves::new(sdk)),
            replays: Arc::new(SfnReplays::new(sdk, config.replay_state_machine_arn)),
            clock: Arc::new(sluice_aws::clock::SystemClock),
        }
    }

    /// With the settings of the environment.
    pub fn from_environment(
        sdk: &SdkConfig,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        Ok(Self::new(sdk, Config::from_env(lookup)?))
    }

    /// Now, to the millisecond that rows hold.
    fn now(&self) -> Timestamp {
        let now = self.clock.now();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Input {
    operation_id: OperationId,
    run: RunInput,
    /// The execution that asks.
    execution_arn: String,
    /// When that execution was started.
    started_at: Timestamp,
    /// Why the execution cannot go on: no slice is run.
    #[serde(default)]
    error: Option<CaughtError>,
}

#[derive(Deserialize)]
struct RunInput {
    number: u32,
    token: OperationId,
}

/// Gives `{"continue", "waitSeconds"}`.
pub async fn handle(deps: &Deps, input: Value) -> Result<Value, Fault> {
    let started = Instant::now();
    let input: Input = serde_json::from_value(input).map_err(|error| {
        Fault::new(
            Code::InputMalformed,
            "the input is not {operationId, run: {number, token}, executionArn, startedAt, error?}",
        )
        .with_source(error)
    })?;
    let next = match &input.error {
        Some(error) => give_up(deps, &input, error).await?,
        None => slice(deps, &input).await?,
    };
    tracing::info!(
        operationId = %input.operation_id,
        run = input.run.number,
        goesOn = next.goes_on,
        waitSeconds = next.wait_seconds,
        latencyMs = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        "operated"
    );
    serde_json::to_value(next)
        .map_err(|error| Fault::new(Code::RowMalformed, "failed to write the answer").with_source(error))
}

/// The row, if this execution drives it; else what follows.
async fn driven(deps: &Deps, input: &Input) -> Result<Result<Operation, Next>, Fault> {
    let Some(operation) = deps.operations.find(input.operation_id).await? else {
        tracing::warn!(operationId = %input.operation_id, "there is no such operation: nothing is done");
        return Ok(Err(Next::END));
    };
    let RunInput { number, token } = input.run;
    Ok(match operation.standing(number, token, input.started_at, deps.now()) {
        Standing::Drives => Ok(operation),
        Standing::Early => Err(Next::after(1)),
        Standing::Superseded => Err(Next::END),
    })
}

/// Stores a change that is decided anew as long as somebody else is quicker. `Err` as in [`driven`].
async fn store<T>(
    deps: &Deps,
    input: &Input,
    mut operation: Operation,
    mut change: impl FnMut(&mut Operation) -> Option<T>,
) -> Result<Result<(Operation, Option<T>), Next>, Fault> {
    for _ in 0..TRIES_MAX {
        let mut next = operation.clone();
        let Some(value) = change(&mut next) else { return Ok(Ok((operation, None))) };
        if let Some(run) = &mut next.run {
            run.execution_arn = Some(input.execution_arn.clone());
        }
        if deps.operations.replace(&next, None).await? {
            return Ok(Ok((next, Some(value))));
        }
        operation = match driven(deps, input).await? {
            Ok(operation) => operation,
            Err(next) => return Ok(Err(next)),
        };
    }
    Err(Fault::new(Code::ConcurrentWrite, format!("operation {} is written by others", input.operation_id)))
}

async fn give_up(deps: &Deps, input: &Input, error: &CaughtError) -> Result<Next, Fault> {
    let operation = match driven(deps, input).await? {
        Ok(operation) => operation,
        Err(_) => return Ok(Next::END),
    };
    let cause = Cause::from(error);
    let message = format!("{}: {}", cause.code, cause.message);
    let _ = store(deps, input, operation, |operation| {
        (operation.fail(&message, deps.now()) == Change::Changed).then_some(())
    })
    .await?;
    Ok(Next::END)
}

async fn slice(deps: &Deps, input: &Input) -> Result<Next, Fault> {
    let mut operation = match driven(deps, input).await? {
        Ok(operation) => operation,
        Err(next) => return Ok(next),
    };
    let slice = Slice { deps, descriptions: AtomicUsize::new(0) };
    let before: Vec<u64> = operation.in_flight.iter().map(|held| held.item).collect();
    // Twice: what was in progress first, so that the window is known; then what this slice begins.
    for begins in [false, true] {
        let items = if begins {
            match store(deps, input, operation, |operation| {
                let range = operation.begin(deps.now());
                (!range.is_empty()).then_some(range)
            })
            .await?
            {
                Ok((stored, range)) => {
                    operation = stored;
                    range.map(Vec::from_iter).unwrap_or_default()
                }
                Err(next) => return Ok(next),
            }
        } else {
            before.clone()
        };
        let outcomes = slice.advance(&operation, &items).await?;
        match store(deps, input, operation, |operation| {
            (operation.settle(&outcomes, deps.now()) == Change::Changed).then_some(())
        })
        .await?
        {
            Ok((stored, _)) => operation = stored,
            Err(next) => return Ok(next),
        }
    }
    Ok(operation.next(deps.now()))
}

/// One slice's work.
struct Slice<'a> {
    deps: &'a Deps,
    /// Executions that were described.
    descriptions: AtomicUsize,
}

impl Slice<'_> {
    /// Works on items that are in progress; gives those that came to an outcome.
    async fn advance(&self, operation: &Operation, items: &[u64]) -> Result<Vec<(u64, Outcome)>, Fault> {
        let mut frozen: BTreeMap<u64, Vec<Item>> = BTreeMap::new();
        for item in items {
            let chunk = item / CHUNK_ITEMS as u64;
            if let std::collections::btree_map::Entry::Vacant(vacant) = frozen.entry(chunk) {
                vacant.insert(self.deps.operations.items(operation.operation_id, chunk).await?);
            }
        }
        let mut works = Vec::with_capacity(items.len());
        for place in items {
            let (chunk, offset) = (place / CHUNK_ITEMS as u64, place % CHUNK_ITEMS as u64);
            let offset = usize::try_from(offset).unwrap_or(usize::MAX);
            let item = frozen.get(&chunk).and_then(|items| items.get(offset)).ok_or_else(|| {
                let message = format!("operation {} has no item {place} in its plan", operation.operation_id);
                Fault::new(Code::RowMalformed, message)
            })?;
            works.push(self.item(operation, *place, item));
        }
        let outcomes: Vec<Option<(u64, Outcome)>> =
            futures::stream::iter(works).buffer_unordered(AT_ONCE).try_collect().await?;
        Ok(outcomes.into_iter().flatten().collect())
    }

    /// Works on one item. What goes wrong with it is its outcome, unless trying again may help.
    async fn item(
        &self,
        operation: &Operation,
        place: u64,
        item: &Item,
    ) -> Result<Option<(u64, Outcome)>, Fault> {
        let store = &self.deps.operations;
        let now = self.deps.now();
        let held = store.item_row(operation.operation_id, place).await?;
        if let Some(row) = &held
            && row.state == ItemState::Done
        {
            return Ok(row.outcome.map(|outcome| (place, outcome)));
        }
        let fresh = ItemRow::new(operation.operation_id, place, item.name(), now);
        let worked = match &item.0 {
            Work::Redrive(work) => self.redrive(operation, work, held, &fresh).await,
            Work::Move(work) => self.dead_letters(operation, work, held, &fresh).await,
            Work::Replay(work) | Work::Correct(work) => self.replay(operation, work, held, &fresh).await,
            Work::Release(work) => self.release(operation, work, held, &fresh).await,
        };
        let row = match worked {
            Ok(row) => row,
            Err(fault) => {
                // It may have come further than what was read at first.
                let stored = store.item_row(operation.operation_id, place).await?;
                let row = stored.clone().unwrap_or(fresh);
                if fault.code.class() == Class::Retryable && row.age_seconds(now) < ITEM_SECONDS_MAX {
                    tracing::warn!(operationId = %operation.operation_id, item = place, %fault, "an item is tried again");
                    if stored.is_none() {
                        // Its age counts from here.
                        store.put_item_row(&row).await?;
                    }
                    return Ok(None);
                }
                row.ended(Outcome::Error, fault.to_string(), now)
            }
        };
        if row.state == ItemState::Done {
            store.put_item_row(&row).await?;
            if let (Work::Redrive(work), false) = (&item.0, row.outcome == Some(Outcome::Taken)) {
                self.give_back(operation, work).await?;
            }
        }
        Ok(row.outcome.map(|outcome| (place, outcome)))
    }

    /// Whether one more execution may be described in this slice.
    fn may_describe(&self) -> bool {
        self.descriptions.fetch_add(1, Ordering::Relaxed) < DESCRIPTIONS_MAX
    }
}
