//! How every SQLite file of the local cloud is opened.
//!
//! Durability: write-ahead log with `synchronous = NORMAL`. A committed transaction has been written to the log by
//! `write(2)`, so it is in the kernel's page cache: `kill -9` of the process cannot lose it. Only a crash of the machine
//! can lose the last transactions, and even then the file is not torn, since NORMAL still syncs at checkpoints
//! (<https://www.sqlite.org/pragma.html#pragma_synchronous>). FULL would sync every commit and buy only the power-failure
//! case, which a development machine does not need.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

/// How long a writer waits for another connection of this process, such as the one that trims streams.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Page cache of one connection, in KiB.
const CACHE_KIB: i64 = 16 * 1024;

/// One connection behind a lock. Calls are short (tens of microseconds), so they run on the calling thread: handing one to
/// the blocking pool costs more than the call (`examples/measure.rs`).
#[derive(Debug)]
pub(crate) struct Db(Mutex<Connection>);

/// How a database came to be as it is: the first entry makes it, each further one what the version after it changed. Their number is
/// the version of the layout, which the file has in `user_version`. An entry is never changed once it was released: a folder of
/// each version is kept in `tests/fixtures/layouts`.
pub(crate) type Layouts = &'static [&'static str];

impl Db {
    /// Opens or creates the file, and brings an older layout up to date, all of it or nothing. A newer one was refused before
    /// ([`newer`]).
    pub(crate) fn open(path: &Path, layouts: Layouts) -> rusqlite::Result<Self> {
        let mut connection = Connection::open(path)?;
        configure(&connection)?;
        let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let found = version(&change)?;
        // Version 1 was written without its number, by statements that may be run again.
        for layout in layouts.iter().skip(found) {
            change.execute_batch(layout)?;
        }
        if found < layouts.len() {
            change.pragma_update(None, "user_version", layouts.len())?;
        }
        change.commit()?;
        Ok(Self(Mutex::new(connection)))
    }

    /// The connection. A panic in another holder leaves no open transaction (rusqlite rolls back on drop), so a poisoned
    /// lock is taken all the same.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn version(connection: &Connection) -> rusqlite::Result<usize> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// The version of a file's layout, if it is a later one than the last of `layouts`.
pub(crate) fn newer(path: &Path, layouts: Layouts) -> rusqlite::Result<Option<usize>> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(Some(version(&connection)?).filter(|found| *found > layouts.len()))
}

/// What is wrong with a file, as far as SQLite finds it without comparing indexes with tables
/// (<https://www.sqlite.org/pragma.html#pragma_quick_check>).
pub(crate) fn damage(path: &Path) -> rusqlite::Result<Option<String>> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    let found = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    match found {
        Ok(text) if text == "ok" => Ok(None),
        Ok(text) => Ok(Some(text)),
        Err(rusqlite::Error::SqliteFailure(error, text))
            if matches!(error.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) =>
        {
            Ok(Some(text.unwrap_or_else(|| error.to_string())))
        }
        Err(error) => Err(error),
    }
}

/// Sets journal mode, durability, cache and waiting time.
pub(crate) fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}
