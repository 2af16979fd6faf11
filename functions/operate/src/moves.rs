//! Dead letters of one queue: a move task of SQS's. SQS cannot pause a move, so a pause lets it come to its end; a stop cancels it.

use sluice_core::Fault;
use sluice_core::jiff::SignedDuration;
use sluice_core::operation::{Dead, ItemRow, MoveItem, MoveState, Operation, Outcome, Status, Tally};

use crate::Slice;

/// How far SQS's clock may be behind ours, in seconds.
const CLOCKS_SECONDS: i64 = 10;

impl Slice<'_> {
    /// Starts a move, or looks after it; gives its row.
    pub(crate) async fn dead_letters(
        &self,
        operation: &Operation,
        item: &MoveItem,
        held: Option<ItemRow>,
        fresh: &ItemRow,
    ) -> Result<ItemRow, Fault> {
        let moves = &self.deps.moves;
        let latest = moves.list(&item.queue_arn).await?.into_iter().next();
        let running = latest.as_ref().filter(|latest| latest.state == MoveState::Running);
        let Some(row) = held else {
            // Stored before it is started: a slice that is cut off finds the move that it has started.
            self.deps.operations.put_item_row(fresh).await?;
            if running.is_none() {
                moves.start(&item.queue_arn, &item.destination, operation.pace.per_second).await?;
            }
            return Ok(fresh.clone());
        };
        let oldest = row.begun_at - SignedDuration::from_secs(CLOCKS_SECONDS);
        let now = self.deps.now();
        match latest {
            Some(latest) if latest.state == MoveState::Running => {
                let tally = tally(&latest);
                if operation.status == Status::Stopping
                    && let Some(handle) = &latest.handle
                {
                    moves.cancel(handle).await?;
                }
                Ok(ItemRow { tally: Some(tally), ..row })
            }
            Some(latest) if latest.started_at >= oldest => {
                let tally = tally(&latest);
                let row = ItemRow { tally: Some(tally), ..row };
                let moved = tally.succeeded;
                Ok(match latest.state {
                    MoveState::Completed => {
                        row.ended(Outcome::Moved, format!("{moved} moved to {}", item.destination), now)
                    }
                    MoveState::Cancelled => {
                        row.ended(Outcome::NotMoved, format!("cancelled after {moved} were moved"), now)
                    }
                    MoveState::Failed | MoveState::Running => {
                        let why = latest.reason.unwrap_or_default();
                        row.ended(
                            Outcome::NotMoved,
                            format!("SQS gave up after {moved} were moved: {why}"),
                            now,
                        )
                    }
                })
            }
            // Nothing of our time: the start was cut off.
            _ => {
                moves.start(&item.queue_arn, &item.destination, operation.pace.per_second).await?;
                Ok(row)
            }
        }
    }
}

fn tally(dead: &Dead) -> Tally {
    Tally { total: dead.to_move.unwrap_or(dead.moved), succeeded: dead.moved, failed: 0 }
}
