//! `sluice operations`.

use clap::{Args, Subcommand};
use sluice_ops::operations::{OperationId, PLAN_SECONDS, PLAN_SECONDS_MAX};

use super::By;

/// `sluice operations`.
#[derive(Debug, Subcommand)]
pub enum OperationsCommand {
    /// List operations, latest first.
    Ls {
        /// Most operations listed.
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        limit: u32,
        /// Only those before this one: the end of the last list.
        #[arg(long, value_name = "ID")]
        before: Option<OperationId>,
    },
    /// Show an operation: how far it is, who did what, what failed and why.
    Show {
        /// The operation.
        #[arg(value_name = "ID")]
        id: OperationId,
        /// List the items that succeeded as well.
        #[arg(long)]
        all: bool,
    },
    /// Start a plan that `sluice redrive --plan` or `sluice operations retry --plan` has made.
    Start {
        /// The plan.
        #[arg(value_name = "ID")]
        id: OperationId,
        /// Why, for the record.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Who.
        #[command(flatten)]
        by: By,
    },
    /// Begin nothing more until it is resumed. What is in progress comes to its end.
    Pause(ActArgs),
    /// Let an operation go on that was paused, that failed, or whose execution is gone.
    Resume(ActArgs),
    /// Begin nothing more, for good. What is in progress comes to its end, the rest stays as it is.
    Stop(ActArgs),
    /// Make a new operation of what failed and of what was never begun, and start it.
    Retry {
        /// An operation that has ended.
        #[arg(value_name = "ID")]
        id: OperationId,
        /// Make the plan and do not start it.
        #[arg(long)]
        plan: bool,
        /// Why, for the record.
        #[arg(long, value_name = "TEXT", required_unless_present = "plan")]
        reason: Option<String>,
        /// Until when.
        #[command(flatten)]
        valid: ValidFor,
        /// Who.
        #[command(flatten)]
        by: By,
    },
}

/// What is done to an operation, for the record.
#[derive(Debug, Args)]
pub struct ActArgs {
    /// The operation.
    #[arg(value_name = "ID")]
    pub id: OperationId,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Who.
    #[command(flatten)]
    pub by: By,
}

/// How long a plan may be started.
#[derive(Debug, Clone, Copy, Args)]
pub struct ValidFor {
    /// How long the plan may be started, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = PLAN_SECONDS, value_parser = clap::value_parser!(i64).range(1..=PLAN_SECONDS_MAX))]
    pub valid_for: i64,
}
