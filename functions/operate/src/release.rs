//! One event that waited while its vendor was on hold: let go, so that the ledger's stream tells it as it told the acceptance.

use sluice_core::Fault;
use sluice_core::operation::{ItemRow, Operation, Outcome, ReleaseItem};
use sluice_core::record::Resolution;

use crate::Slice;

impl Slice<'_> {
    /// Lets an event go. Doing so again is no second act, since the row does not say HELD any more.
    pub(crate) async fn release(
        &self,
        operation: &Operation,
        item: &ReleaseItem,
        held: Option<ItemRow>,
        fresh: &ItemRow,
    ) -> Result<ItemRow, Fault> {
        let now = self.deps.now();
        let row = held.unwrap_or_else(|| fresh.clone());
        let by = Resolution {
            by: operation.started_by.clone().unwrap_or_else(|| operation.planned_by.clone()),
            reason: format!(
                "operation {}: {}",
                operation.operation_id,
                operation.reason.as_deref().unwrap_or_default()
            ),
            at: now,
        };
        if self.deps.ledger.let_go(&item.key, item.ingest_id, &by).await? {
            return Ok(row.ended(Outcome::LetGo, "let go", now));
        }
        let ledger = self.deps.ledger.find(&item.key).await?.filter(|row| row.ingest_id == item.ingest_id);
        let Some(ledger) = ledger else {
            let message = "the ledger does not have it any more: run `sluice audit`";
            return Ok(row.ended(Outcome::NotFound, message, now));
        };
        // A slice before this one may have let it go, and have been cut off before it could say so.
        let let_go = ledger.waited.and_then(|waited| waited.let_go);
        Ok(match let_go {
            Some(before) if before.reason == by.reason => row.ended(Outcome::LetGo, "let go", now),
            _ => row.ended(Outcome::NotHeld, format!("its status is {}", ledger.status.as_str()), now),
        })
    }
}
