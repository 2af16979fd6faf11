//! Why something is not done to an operation.

use super::{ITEMS_MAX, OperationId, Status, TEXT_CHARS_MAX};

/// Why a change is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody may start it any more.
    #[error("the plan of operation {id} expired at {at}: make a new plan")]
    PlanExpired {
        /// Which.
        id: OperationId,
        /// When.
        at: String,
    },
    /// A bulk act needs a reason.
    #[error("operation {0} is not started without a reason: say why (--reason)")]
    ReasonMissing(OperationId),
    /// A reason or a name that is too long.
    #[error("the {what} of an operation is at most {TEXT_CHARS_MAX} characters long")]
    TextTooLong {
        /// Reason or name.
        what: &'static str,
    },
    /// It was started before.
    #[error("operation {id} was started already{}: it is {}", by.as_deref().map(|by| format!(" by {by}")).unwrap_or_default(), status.word())]
    AlreadyStarted {
        /// Which.
        id: OperationId,
        /// By whom.
        by: Option<String>,
        /// Where it is now.
        status: Status,
    },
    /// It was planned and never started.
    #[error("operation {0} has not been started")]
    NotStarted(OperationId),
    /// It has ended, or is about to.
    #[error("operation {id} is {}: make a new one of its rest (`sluice operations retry {id}`)", status.word())]
    Ended {
        /// Which.
        id: OperationId,
        /// How.
        status: Status,
    },
    /// The plan has no items.
    #[error("there is nothing to do: no item matches")]
    Empty,
    /// The plan has too many items.
    #[error("{0} items match, and one operation takes at most {ITEMS_MAX}: narrow the selection")]
    TooMany(usize),
    /// A pace or a validity outside its bounds.
    #[error("{0}")]
    OutOfBounds(String),
    /// There is no such operation.
    #[error("there is no operation {0}")]
    NotFound(OperationId),
    /// Others changed the row again and again.
    #[error("operation {0} is being changed by others: try again")]
    Contended(OperationId),
}

impl Refusal {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::PlanExpired { .. } => "operation_plan_expired",
            Self::ReasonMissing(_) => "operation_reason_missing",
            Self::TextTooLong { .. } => "operation_text_too_long",
            Self::AlreadyStarted { .. } => "operation_already_started",
            Self::NotStarted(_) => "operation_not_started",
            Self::Ended { .. } => "operation_ended",
            Self::Empty => "operation_empty",
            Self::TooMany(_) => "operation_too_large",
            Self::OutOfBounds(_) => "operation_out_of_bounds",
            Self::NotFound(_) => "operation_not_found",
            Self::Contended(_) => "operation_contended",
        }
    }
}

pub(super) fn bounded(what: &'static str, text: &str) -> Result<(), Refusal> {
    if text.chars().count() > TEXT_CHARS_MAX { Err(Refusal::TextTooLong { what }) } else { Ok(()) }
}
