//! Every bound of the service, in one place; those of the language itself are in [`sluice_asl::limits`].
//!
//! Source: "Step Functions service quotas" of the Developer Guide and the API reference, unless another is named.

pub use sluice_asl::limits::{
    DATA_BYTES_MAX, DEFINITION_BYTES_MAX, EXPRESS_DURATION_MS, REDRIVE_HISTORY_EVENTS_MAX, REDRIVE_PERIOD_MS,
};

/// The longest name of a state machine or an execution, in characters.
pub const NAME_CHARS_MAX: usize = 80;

/// How long a closed execution is kept, and its name taken: 90 days.
pub const RETENTION_MS: i64 = 90 * 24 * 60 * 60 * 1000;

/// How long a client token makes `RedriveExecution` idempotent: 15 minutes after its first use.
pub const CLIENT_TOKEN_MS: i64 = 15 * 60 * 1000;

/// How many client tokens of one execution are remembered.
pub const CLIENT_TOKENS_MAX: usize = 10;

/// The longest client token of `RedriveExecution`, in characters.
pub const CLIENT_TOKEN_CHARS_MAX: usize = 64;

/// The longest `error` of `StopExecution`, in characters.
pub const ERROR_CHARS_MAX: usize = 256;

/// The longest `cause` of `StopExecution`, in characters.
pub const CAUSE_CHARS_MAX: usize = 32_768;

/// The longest ARN, in characters.
pub const ARN_CHARS_MAX: usize = 256;

/// The longest ARN of a Map Run, in characters.
pub const MAP_RUN_ARN_CHARS_MAX: usize = 2_000;

/// The most items of one page.
pub const PAGE_ITEMS_MAX: u32 = 1_000;

/// The items of a page when the caller does not say.
pub const PAGE_ITEMS_DEFAULT: u32 = 100;

/// A page of the history ends early once it holds this many bytes (ours; AWS does not document its own).
pub const HISTORY_PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How long `TestState` runs at most: five minutes.
pub const TEST_STATE_SECONDS_MAX: u64 = 5 * 60;

/// The most versions of one state machine.
pub const VERSIONS_MAX: i64 = 1_000;

/// The most aliases of one state machine.
pub const ALIASES_MAX: usize = 100;

/// The longest name of an alias, in characters.
pub const ALIAS_NAME_CHARS_MAX: usize = 80;

/// The longest description of a version or an alias, in characters.
pub const DESCRIPTION_CHARS_MAX: usize = 256;

/// The most activities.
pub const ACTIVITIES_MAX: i64 = 10_000;

/// How long `GetActivityTask` waits for a task: a minute.
pub const POLL_SECONDS_MAX: u64 = 60;

/// The longest task token, in characters.
pub const TASK_TOKEN_CHARS_MAX: usize = 2_048;

/// The most tags of one resource.
pub const TAGS_MAX: usize = 50;

/// Express executions are billed in steps of this many milliseconds.
pub const BILLED_DURATION_STEP_MS: i64 = 100;

/// Express executions are billed in steps of this much memory. The local service reports one step.
pub const BILLED_MEMORY_STEP_MB: i64 = 64;
