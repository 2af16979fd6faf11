//! How a use case that takes long says what it is doing.

/// Hears about something in progress. A command line draws a bar, a console a fragment, a function
/// nothing: `&()`.
pub trait Progress: Send + Sync {
    /// What is being done now.
    fn say(&self, message: &str) {
        let _ = message;
    }

    /// How many things there are to do.
    fn total(&self, things: u64) {
        let _ = things;
    }

    /// So many more are done.
    fn add(&self, things: u64) {
        let _ = things;
    }
}

/// Nobody listens.
impl Progress for () {}
