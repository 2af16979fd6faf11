//! Every bound of the engine, in one place.
//!
//! Sources: "Step Functions service quotas" and "Passing data between states with variables" of the Developer Guide.

/// The largest state input, output, task argument or task result, as UTF-8 bytes of its JSON. Beyond it the execution
/// fails with `States.DataLimitExceeded`.
pub const DATA_BYTES_MAX: usize = 262_144;

/// The most events in the history of a Standard execution; the 25,000th event is the execution's failure.
pub const HISTORY_EVENTS_MAX: u64 = 25_000;

/// An execution can be redriven while its history is shorter than this.
pub const REDRIVE_HISTORY_EVENTS_MAX: u64 = 24_999;

/// How long after it closed an execution can be redriven: 14 days.
pub const REDRIVE_PERIOD_MS: i64 = 14 * 24 * 60 * 60 * 1000;

/// The most redrives of one execution. AWS documents 1,000 for a Map Run and none for an execution; unbounded is not an option here.
pub const REDRIVES_MAX: u32 = 1_000;

/// The longest a Standard execution may run: one year.
pub const STANDARD_DURATION_MS: i64 = 365 * 24 * 60 * 60 * 1000;

/// The longest an Express execution may run: five minutes.
pub const EXPRESS_DURATION_MS: i64 = 5 * 60 * 1000;

/// State transitions that one [`Input`](crate::Input) may cause in an Express execution. AWS bounds such a loop by the five
/// minutes an Express execution may take, which mean nothing to an engine without a clock. A Standard execution is bounded by
/// [`HISTORY_EVENTS_MAX`].
pub const EXPRESS_TRANSITIONS_MAX: u32 = 100_000;

/// The longest state name, in characters.
pub const STATE_NAME_CHARS_MAX: usize = 80;

/// The longest definition, in bytes (quota "Maximum state machine definition size", 1 MB).
pub const DEFINITION_BYTES_MAX: usize = 1_048_576;

/// The longest variable name, in Unicode characters.
pub const VARIABLE_NAME_CHARS_MAX: usize = 80;

/// The largest single variable, in bytes of JSON.
pub const VARIABLE_BYTES_MAX: usize = 262_144;

/// All that one `Assign` may store, in bytes of JSON.
pub const ASSIGN_BYTES_MAX: usize = 262_144;

/// All the variables of one execution together, in bytes of JSON: 10 MiB.
pub const VARIABLES_BYTES_MAX: usize = 10 * 1024 * 1024;

/// Iterations of an inline Map that run at once when `MaxConcurrency` is 0 or greater.
pub const MAP_CONCURRENCY_MAX: usize = 40;

/// Children of a Map Run that run at once when `MaxConcurrency` is 0 or greater.
pub const MAP_RUN_CONCURRENCY_MAX: u64 = 10_000;

/// The most items of a Map Run (quota "Maximum number of items", 100 million).
pub const MAP_RUN_ITEMS_MAX: u64 = 100_000_000;

/// The longest `Label`, in characters.
pub const LABEL_CHARS_MAX: usize = 40;

/// The longest wait, timeout or heartbeat, in seconds.
pub const SECONDS_MAX: u64 = 99_999_999;

/// Nested evaluation levels of one JSONata expression (`D1011` beyond). AWS refuses the same: 100 nested parentheses, or a
/// recursion `$f(31)` that is not a tail call.
pub const EXPRESSION_DEPTH_MAX: usize = 100;

/// Items in a sequence that a JSONata expression builds (`D2015` beyond): AWS accepts `[1..873782]` and no more.
pub const EXPRESSION_SEQUENCE_MAX: usize = 873_782;

/// Wall-clock bound on one JSONata evaluation, in milliseconds (`D1012` beyond): the engine's only clock. What runs into it is a
/// tail-recursive function that does not end, and a replay runs into it as well; the largest data that an execution can hold
/// is evaluated in a fraction of it.
pub const EXPRESSION_TIMEOUT_MS: u64 = 5_000;

/// How deep states' data may nest. Not AWS's: JSON readers, `serde_json` among them, stop at 128 levels, and data is
/// wrapped on its way to a worker and in the journal.
pub const DATA_DEPTH_MAX: usize = 100;

/// Parallel and Map states within one another.
pub const MACHINE_DEPTH_MAX: usize = 25;

/// The longest error name, in characters; a longer one is cut.
pub const ERROR_CHARS_MAX: usize = 256;

/// The longest cause, in characters; a longer one is cut.
pub const CAUSE_CHARS_MAX: usize = 32_768;
