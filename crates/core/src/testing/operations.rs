//! Operations in memory.

use async_trait::async_trait;
use jiff::Timestamp;

use super::World;
use crate::fault::{Code, Fault};
use crate::id::IngestId;
use crate::operation::{
    Act, Asked, CHUNK_ITEMS, ExecutionState, Executions, Holder, Item, ItemRow, Operation, OperationId,
    OperationStore, Run, Runs,
};

#[async_trait]
impl OperationStore for World {
    async fn find(&self, id: OperationId) -> Result<Option<Operation>, Fault> {
        self.call(|state| Ok(state.operations.get(&id).cloned()))
    }

    async fn create(&self, operation: &Operation, items: &[Item], act: &Act) -> Result<(), Fault> {
        self.call(|state| {
            let id = operation.operation_id;
            state.operation_items.insert(id, items.to_vec());
            state.operations.entry(id).or_insert_with(|| operation.clone());
            state.operation_acts.push(act.clone());
            Ok(())
        })
    }

    async fn replace(&self, operation: &Operation, act: Option<&Act>) -> Result<bool, Fault> {
        self.call(|state| {
            let Some(held) = state.operations.get_mut(&operation.operation_id) else {
                return Err(Fault::new(Code::RowMalformed, "there is no such operation"));
            };
            if held.version + 1 != operation.version {
                return Ok(false);
            }
            *held = operation.clone();
            state.operation_acts.extend(act.cloned());
            Ok(true)
        })
    }

    async fn list(&self, before: Option<OperationId>, limit: usize) -> Result<Vec<Operation>, Fault> {
        self.call(|state| {
            let all = state.operations.values().rev();
            let wanted = all.filter(|it| before.is_none_or(|before| it.operation_id < before));
            Ok(wanted.take(limit).cloned().collect())
        })
    }

    async fn items(&self, id: OperationId, chunk: u64) -> Result<Vec<Item>, Fault> {
        self.call(|state| {
            let items = state.operation_items.get(&id).into_iter().flatten();
            let from = usize::try_from(chunk).unwrap_or(usize::MAX).saturating_mul(CHUNK_ITEMS);
            Ok(items.skip(from).take(CHUNK_ITEMS).cloned().collect())
        })
    }

    async fn item_row(&self, id: OperationId, item: u64) -> Result<Option<ItemRow>, Fault> {
        self.call(|state| Ok(state.item_rows.get(&(id, item)).cloned()))
    }

    async fn put_item_row(&self, row: &ItemRow) -> Result<(), Fault> {
        self.call(|state| {
            state.item_rows.insert((row.operation_id, row.item), row.clone());
            Ok(())
        })
    }

    async fn item_rows(&self, id: OperationId, from: u64, limit: usize) -> Result<Vec<ItemRow>, Fault> {
        self.call(|state| {
            let rows = state.item_rows.range((id, from)..=(id, u64::MAX));
            Ok(rows.take(limit).map(|(_, row)| row.clone()).collect())
        })
    }

    async fn acts(&self, id: OperationId) -> Result<Vec<Act>, Fault> {
        self.call(|state| {
            Ok(state.operation_acts.iter().filter(|act| act.operation_id == id).cloned().collect())
        })
    }

    async fn hold(
        &self,
        event: IngestId,
        mine: &Holder,
        planned_at: Timestamp,
    ) -> Result<Option<Holder>, Fault> {
        self.call(|state| {
            if let Some(held) = state.holders.get(&event)
                && held.operation_id != mine.operation_id
                && !(held.settled && held.held_at <= planned_at)
            {
                return Ok(Some(held.clone()));
            }
            state.holders.insert(event, mine.clone());
            Ok(None)
        })
    }

    async fn settle_hold(&self, event: IngestId, mine: &Holder) -> Result<(), Fault> {
        self.call(|state| {
            if let Some(held) =
                state.holders.get_mut(&event).filter(|held| held.operation_id == mine.operation_id)
            {
                *held = Holder { settled: true, ..mine.clone() };
            }
            Ok(())
        })
    }
}

#[async_trait]
impl Runs for World {
    async fn start(&self, id: OperationId, run: &Run) -> Result<String, Fault> {
        self.call(|state| {
            let arn = format!("arn:x:operate:{id}-{}", run.token);
            state.executions.insert(arn.clone(), running(0));
            Ok(arn)
        })
    }

    async fn describe(&self, execution_arn: &str) -> Result<Option<ExecutionState>, Fault> {
        self.call(|state| Ok(state.executions.get(execution_arn).cloned()))
    }
}

#[async_trait]
impl Executions for World {
    async fn redrive(&self, execution_arn: &str, token: &str) -> Result<Asked, Fault> {
        self.call(|state| {
            if state.redrive_tokens.contains(token) {
                return Ok(Asked::Redriven);
            }
            let Some(execution) = state.executions.get_mut(execution_arn) else { return Ok(Asked::Unknown) };
            if execution.is_running() || execution.has_succeeded() {
                return Ok(Asked::Refused(format!(
                    "Execution is {} and cannot be redriven",
                    execution.status
                )));
            }
            *execution = running(execution.redrive_count + 1);
            state.redrive_tokens.insert(token.to_owned());
            Ok(Asked::Redriven)
        })
    }

    async fn describe(&self, execution_arn: &str) -> Result<Option<ExecutionState>, Fault> {
        Runs::describe(self, execution_arn).await
    }
}

fn running(redrive_count: i32) -> ExecutionState {
    ExecutionState { status: "RUNNING".to_owned(), redrive_count, output: None }
}
