//! One batch of a replay or a correction: an execution of the `replay` machine under a name of the operation's.

use sluice_core::Fault;
use sluice_core::operation::{ItemRow, Kind, Operation, Outcome, ReplayItem, Tally};

use crate::Slice;

impl Slice<'_> {
    /// Starts a batch, or looks after it; gives its row.
    pub(crate) async fn replay(
        &self,
        operation: &Operation,
        item: &ReplayItem,
        held: Option<ItemRow>,
        fresh: &ItemRow,
    ) -> Result<ItemRow, Fault> {
        let row = held.unwrap_or_else(|| fresh.clone());
        let Some(arn) = row.execution_arn.clone() else {
            // The name makes it one execution, however often it is asked for.
            let name = format!("{}-{}", operation.operation_id, row.item);
            let arn = self.deps.replays.start(&name, item, operation.pace.per_second).await?;
            let row = ItemRow { execution_arn: Some(arn), ..row };
            self.deps.operations.put_item_row(&row).await?;
            return Ok(row);
        };
        let now = self.deps.now();
        let Some(execution) = self.deps.replays.describe(&arn).await? else {
            return Ok(row.ended(
                Outcome::NotFound,
                "Step Functions does not have its execution any more",
                now,
            ));
        };
        if execution.is_running() {
            return Ok(row);
        }
        if !execution.has_succeeded() {
            return Ok(row.ended(Outcome::Error, format!("its execution is {}", execution.status), now));
        }
        let output = execution.output.unwrap_or_default();
        let number = |member: &str| output["events"][member].as_u64().unwrap_or_default();
        let tally =
            Tally { total: number("total"), succeeded: number("succeeded"), failed: number("failed") };
        let (whole, partly, done) = match operation.kind {
            Kind::Correct => (Outcome::Corrected, Outcome::PartlyCorrected, "corrected"),
            Kind::Replay | Kind::Redrive | Kind::DeadLetters | Kind::Release => {
                (Outcome::Replayed, Outcome::PartlyReplayed, "normalized")
            }
        };
        let outcome = if tally.failed == 0 { whole } else { partly };
        let message = format!("{} of {} events were {done}", tally.succeeded, tally.total);
        Ok(ItemRow { tally: Some(tally), ..row }.ended(outcome, message, now))
    }
}
