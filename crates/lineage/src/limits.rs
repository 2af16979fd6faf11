//! Every bound of an experiment.

use std::time::Duration;

/// Members of one message that are changed, one at a time.
pub const INPUTS_MAX: usize = 1_000;

/// Members with one name (array positions folded) that are changed: of a list of 10,000 lines the first so many tell what a line does.
pub const INPUTS_PER_NAME_MAX: usize = 50;

/// Names of members that are told apart in one message; what is beyond is counted as one.
pub const NAMES_MAX: usize = 2_000;

/// How long the runs of one message may take together. A single run is bounded by its fuel.
pub const TIME_MAX: Duration = Duration::from_secs(5);

/// Members of canonical events that are listed, and places that one change is said to move.
pub const OUTPUTS_MAX: usize = 2_000;

/// Places that all changes together are said to move.
pub const LINKS_MAX: usize = 50_000;

/// Other values that are tried until one has an effect.
pub const VALUES_TRIED_MAX: usize = 4;

/// The same of a member that can be left out without an effect.
pub const VALUES_OF_UNREAD_MAX: usize = 2;

/// Characters of a value that are shown.
pub const VALUE_CHARS_MAX: usize = 200;
