//! The journal: one SQLite file, written by one thread.
//!
//! Invariants:
//! - A write is acknowledged only after its transaction has committed. Writes that arrive together share a transaction
//!   (group commit); writes of one caller happen in the order of its calls.
//! - If one write of a group fails, the whole group is rolled back and none is acknowledged. Writes here fail only when the
//!   disk or the file does; what callers may do wrong (a name that exists) is a result, not a failure.
//! - WAL with `synchronous=NORMAL`: a commit is in the operating system's hands, not yet on the platter. So it survives
//!   `kill -9` of the process, which is what a local cloud is asked to survive; a power failure may cost the latest commits
//!   but never corrupts the file. `FULL` would add an fsync to every group.
//! - Only one engine has a file open at a time, held by an OS lock on `<file>.lock` that dies with the process.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

/// Writes that may wait for the writer before callers are held back.
const QUEUE_MAX: usize = 4_096;

/// Writes that share one transaction at most.
const GROUP_MAX: usize = 512;

/// How long [`Journal::open`] waits for another engine to let go of the file.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// `PRAGMA user_version` of the schema below.
const SCHEMA_VERSION: i64 = 4;

const SCHEMA: &str = "
CREATE TABLE machines(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    arn TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    status TEXT NOT NULL,
    definition_id INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- Every version of a machine's definition that an execution still refers to, and the current one.
CREATE TABLE definitions(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    machine_id INTEGER NOT NULL,
    asl TEXT NOT NULL,
    role_arn TEXT NOT NULL,
    revision_id TEXT,
    updated_at INTEGER NOT NULL,
    configuration TEXT NOT NULL
) STRICT;
CREATE INDEX definitions_by_machine ON definitions(machine_id);

-- Standard executions. sort_at orders ListExecutions: while running the start or redrive, then the stop.
-- wake_at is when a running execution has something to do next, and NULL once it is closed.
CREATE TABLE executions(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    machine_id INTEGER NOT NULL,
    definition_id INTEGER NOT NULL,
    arn TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    input TEXT NOT NULL,
    seed INTEGER NOT NULL,
    trace_header TEXT,
    started_at INTEGER NOT NULL,
    stopped_at INTEGER,
    redriven_at INTEGER,
    redrive_count INTEGER NOT NULL DEFAULT 0,
    output TEXT,
    error TEXT,
    cause TEXT,
    events INTEGER,
    sort_at INTEGER NOT NULL,
    wake_at INTEGER
) STRICT;
CREATE INDEX executions_by_time ON executions(machine_id, sort_at, id);
CREATE INDEX executions_by_status ON executions(machine_id, status, sort_at, id);
CREATE INDEX executions_by_definition ON executions(definition_id);
CREATE INDEX executions_to_wake ON executions(wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX executions_closed ON executions(stopped_at) WHERE wake_at IS NULL;

-- What happened to a Standard execution after its start. The key is execution id * 2^20 + sequence number, so that a
-- journal is one range of the table.
CREATE TABLE inputs(
    key INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    seed INTEGER NOT NULL,
    kind TEXT NOT NULL
) STRICT;

CREATE TABLE redrives(
    execution_id INTEGER NOT NULL,
    token TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY(execution_id, token)
) STRICT, WITHOUT ROWID;

-- Asynchronous Express executions that have not ended.
CREATE TABLE express(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    machine_id INTEGER NOT NULL,
    definition_id INTEGER NOT NULL,
    arn TEXT NOT NULL,
    name TEXT NOT NULL,
    input TEXT NOT NULL,
    started_at INTEGER NOT NULL
) STRICT;
CREATE INDEX express_by_machine ON express(machine_id);

-- The latest asynchronous Express executions that did not succeed.
CREATE TABLE express_failures(
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    machine_arn TEXT NOT NULL,
    arn TEXT NOT NULL,
    status TEXT NOT NULL,
    error TEXT,
    cause TEXT,
    started_at INTEGER NOT NULL,
    stopped_at INTEGER NOT NULL
) STRICT;

CREATE TABLE tags(
    machine_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY(machine_id, key)
) STRICT, WITHOUT ROWID;
";

/// Where the journal is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A SQLite file, created if it is absent; `-wal`, `-shm` and `.lock` files appear beside it.
    File(PathBuf),
    /// In memory: gone with the engine.
    Memory,
}

/// Who commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Commits {
    /// A thread of its own, which commits writes that arrive together in one transaction.
    #[default]
    Grouped,
    /// The calling task, at once and alone. Slower, and blocks the task's thread, but without any concurrency of its own:
    /// with a paused single-threaded runtime the engine is deterministic.
    Inline,
}

/// A failure of the journal.
#[derive(Clone, Debug, Error)]
pub enum JournalError {
    /// SQLite or the disk.
    #[error(transparent)]
    Sqlite(Arc<rusqlite::Error>),
    /// The file or its lock.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the operating system said.
        source: Arc<std::io::Error>,
    },
    /// Another engine has the file open.
    #[error("{0} is in use by another process")]
    InUse(PathBuf),
    /// The file was written by a later version of this program.
    #[error(
        "{path} was written by a later version of Sluice (layout {found}, and this program knows up to {known}): \
         start the data folder with that version, or use another folder"
    )]
    Newer {
        /// Which file.
        path: PathBuf,
        /// In the file.
        found: i64,
        /// In this program.
        known: i64,
    },
    /// The writer has ended.
    #[error("closed")]
    Closed,
}

impl From<rusqlite::Error> for JournalError {
    fn from(error: rusqlite::Error) -> Self {
        JournalError::Sqlite(Arc::new(error))
    }
}

type SqlResult<T> = rusqlite::Result<T>;

/// A write that waits for its commit.
trait Write: Send {
    fn run(&mut self, connection: &Connection) -> SqlResult<()>;
    fn acknowledge(self: Box<Self>, committed: Result<(), JournalError>);
}

struct Pending<F, T> {
    write: Option<F>,
    written: Option<T>,
    reply: oneshot::Sender<Result<T, JournalError>>,
}

impl<F, T> Write for Pending<F, T>
where
    F: FnOnce(&Connection) -> SqlResult<T> + Send,
    T: Send,
{
    fn run(&mut self, connection: &Connection) -> SqlResult<()> {
        if let Some(write) = self.write.take() {
            self.written = Some(write(connection)?);
        }
        Ok(())
    }

    fn acknowledge(self: Box<Self>, committed: Result<(), JournalError>) {
        let Pending { written, reply, .. } = *self;
        let answer = match (committed, written) {
            (Ok(()), Some(written)) => Ok(written),
            (Ok(()), None) => Err(JournalError::Closed),
            (Err(error), _) => Err(error),
        };
        // The caller may have gone; its write stands all the same.
        let _ = reply.send(answer);
    }
}

enum Writer {
    Grouped { queue: Mutex<Option<mpsc::Sender<Box<dyn Write>>>>, thread: Mutex<Option<JoinHandle<()>>> },
    Inline(Mutex<Connection>),
}

/// Handle to the journal.
pub(crate) struct Journal {
    writer: Writer,
    /// `None`: read through the writer, since nobody else can see a database in memory.
    reader: Option<Arc<Mutex<Connection>>>,
    _lock: Option<Arc<File>>,
}

impl Journal {
    /// Opens or creates the journal, waiting a little for a previous engine to let go of it.
    pub(crate) async fn open(location: &Location, commits: Commits) -> Result<Journal, JournalError> {
        let lock = match location {
            Location::File(path) => Some(Arc::new(lock(path).await?)),
            Location::Memory => None,
        };
        let connection = connect(location, false)?;
        migrate(&connection, location)?;
        let reader = match (location, commits) {
            (Location::File(_), Commits::Grouped) => Some(Arc::new(Mutex::new(connect(location, true)?))),
            _ => None,
        };
        let writer = match commits {
            Commits::Inline => Writer::Inline(Mutex::new(connection)),
            Commits::Grouped => {
                let (queue, receiver) = mpsc::channel(QUEUE_MAX);
                let held = lock.clone();
                let thread = std::thread::Builder::new()
                    .name("stepfunctions-journal".to_owned())
                    .spawn(move || {
                        write_groups(connection, receiver);
                        drop(held);
                    })
                    .map_err(|source| JournalError::Io {
                        path: PathBuf::from("stepfunctions-journal"),
                        source: Arc::new(source),
                    })?;
                Writer::Grouped { queue: Mutex::new(Some(queue)), thread: Mutex::new(Some(thread)) }
            }
        };
        Ok(Journal { writer, reader, _lock: lock })
    }

    /// Runs `write` in a transaction and returns what it returned, once that is committed. Dropping the future does not
    /// undo a write that was queued.
    pub(crate) async fn write<T, F>(&self, write: F) -> Result<T, JournalError>
    where
        F: FnOnce(&Connection) -> SqlResult<T> + Send + 'static,
        T: Send + 'static,
    {
        match &self.writer {
            Writer::Inline(connection) => {
                let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
                let transaction = connection.unchecked_transaction()?;
                let written = write(&transaction)?;
                transaction.commit()?;
                Ok(written)
            }
            Writer::Grouped { queue, .. } => {
                let queue = queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let queue = queue.ok_or(JournalError::Closed)?;
                let (reply, answer) = oneshot::channel();
                let pending = Pending { write: Some(write), written: None, reply };
                queue.send(Box::new(pending)).await.map_err(|_| JournalError::Closed)?;
                drop(queue);
                answer.await.map_err(|_| JournalError::Closed)?
            }
        }
    }

    /// Runs `read` on what is committed.
    pub(crate) async fn read<T, F>(&self, read: F) -> Result<T, JournalError>
    where
        F: FnOnce(&Connection) -> SqlResult<T> + Send + 'static,
        T: Send + 'static,
    {
        let Some(reader) = &self.reader else { return self.write(read).await };
        let reader = Arc::clone(reader);
        let reading = tokio::task::spawn_blocking(move || {
            let connection = reader.lock().unwrap_or_else(PoisonError::into_inner);
            read(&connection)
        });
        Ok(reading.await.map_err(|_| JournalError::Closed)??)
    }

    /// Ends the writer after what is queued, and waits for it.
    pub(crate) async fn close(&self) {
        let Writer::Grouped { queue, thread } = &self.writer else { return };
        drop(queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A writer that panicked has said so; there is nothing more to wait for.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

fn write_groups(connection: Connection, mut queue: mpsc::Receiver<Box<dyn Write>>) {
    let mut group: Vec<Box<dyn Write>> = Vec::with_capacity(GROUP_MAX);
    while queue.blocking_recv_many(&mut group, GROUP_MAX) > 0 {
        let committed = commit(&connection, &mut group).map_err(JournalError::from);
        if let Err(error) = &committed {
            tracing::error!(%error, writes = group.len(), "failed to commit to the step functions journal");
        }
        for write in group.drain(..) {
            write.acknowledge(committed.clone());
        }
    }
    // The last connection to close folds the log into the file.
    drop(connection);
}

fn commit(connection: &Connection, group: &mut [Box<dyn Write>]) -> SqlResult<()> {
    // Rolled back when dropped without a commit.
    let transaction = connection.unchecked_transaction()?;
    for write in group.iter_mut() {
        write.run(&transaction)?;
    }
    transaction.commit()
}

async fn lock(path: &Path) -> Result<File, JournalError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let failed = |source| JournalError::Io { path: name.clone(), source: Arc::new(source) };
    let mut options = File::options();
    // As private as the journal, whatever the process's mask.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.create(true).truncate(false).write(true).open(&name).map_err(failed)?;
    let step = Duration::from_millis(10);
    let mut waited = Duration::ZERO;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(std::fs::TryLockError::WouldBlock) if waited < LOCK_WAIT => {
                tokio::time::sleep(step).await;
                waited += step;
            }
            Err(std::fs::TryLockError::WouldBlock) => return Err(JournalError::InUse(path.to_owned())),
            Err(std::fs::TryLockError::Error(source)) => return Err(failed(source)),
        }
    }
}

fn connect(location: &Location, read_only: bool) -> Result<Connection, JournalError> {
    let connection = match location {
        Location::Memory => Connection::open_in_memory()?,
        Location::File(path) => {
            let access = if read_only {
                OpenFlags::SQLITE_OPEN_READ_ONLY
            } else {
                OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE
            };
            Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?
        }
    };
    connection.set_prepared_statement_cache_capacity(64);
    connection.busy_timeout(Duration::from_secs(5))?;
    if !read_only {
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    }
    Ok(connection)
}

pub(crate) fn migrate(connection: &Connection, location: &Location) -> Result<(), JournalError> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match found {
        0 => {
            let transaction = connection.unchecked_transaction()?;
            transaction.execute_batch(SCHEMA)?;
            transaction.execute_batch(crate::map_run::rows::SCHEMA)?;
            transaction.execute_batch(crate::versions::SCHEMA)?;
            transaction.execute_batch(crate::activities::SCHEMA)?;
            transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
            transaction.commit()?;
            Ok(())
        }
        // Before there were Map Runs (1), versions and aliases (2), or activities (3).
        1..=3 => {
            let transaction = connection.unchecked_transaction()?;
            if found == 1 {
                transaction.execute_batch(crate::map_run::rows::SCHEMA)?;
            }
            if found <= 2 {
                transaction.execute_batch(crate::versions::SCHEMA)?;
            }
            transaction.execute_batch(crate::activities::SCHEMA)?;
            transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
            transaction.commit()?;
            Ok(())
        }
        SCHEMA_VERSION => Ok(()),
        found => {
            let path = match location {
                Location::File(path) => path.clone(),
                Location::Memory => PathBuf::from(":memory:"),
            };
            Err(JournalError::Newer { path, found, known: SCHEMA_VERSION })
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn insert(key: i64) -> impl FnOnce(&Connection) -> SqlResult<usize> + Send + 'static {
        move |c| c.execute("INSERT INTO inputs VALUES (?1, 0, 0, '{}')", [key])
    }

    async fn count(journal: &Journal) -> i64 {
        journal.read(|c| c.query_row("SELECT count(*) FROM inputs", [], |row| row.get(0))).await.unwrap()
    }

    #[tokio::test]
    async fn a_group_with_a_failing_write_is_not_acknowledged_and_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let location = Location::File(directory.path().join("journal.sqlite"));
        let connection = connect(&location, false).unwrap();
        migrate(&connection, &location).unwrap();
        let (first, first_answer) = oneshot::channel();
        let (second, second_answer) = oneshot::channel();
        let mut group: Vec<Box<dyn Write>> = vec![
            Box::new(Pending { write: Some(insert(1)), written: None, reply: first }),
            Box::new(Pending { write: Some(insert(1)), written: None, reply: second }),
        ];
        let committed = commit(&connection, &mut group).map_err(JournalError::from);
        assert!(committed.is_err());
        for write in group {
            write.acknowledge(committed.clone());
        }
        assert!(first_answer.await.unwrap().is_err());
        assert!(second_answer.await.unwrap().is_err());
        let left: i64 = connection.query_row("SELECT count(*) FROM inputs", [], |row| row.get(0)).unwrap();
        assert_eq!(left, 0);
    }

    #[tokio::test]
    async fn commits_are_there_after_reopening() {
        for commits in [Commits::Grouped, Commits::Inline] {
            let directory = tempfile::tempdir().unwrap();
            let location = Location::File(directory.path().join("journal.sqlite"));
            let journal = Journal::open(&location, commits).await.unwrap();
            for key in 0..10 {
                journal.write(insert(key)).await.unwrap();
            }
            assert_eq!(count(&journal).await, 10);
            drop(journal);
            let journal = Journal::open(&location, commits).await.unwrap();
            assert_eq!(count(&journal).await, 10);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_engine_is_kept_out() {
        let directory = tempfile::tempdir().unwrap();
        let location = Location::File(directory.path().join("journal.sqlite"));
        let _first = Journal::open(&location, Commits::Inline).await.unwrap();
        let second = Journal::open(&location, Commits::Inline).await;
        assert!(matches!(second, Err(JournalError::InUse(_))));
    }

    #[tokio::test]
    async fn a_later_schema_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let location = Location::File(directory.path().join("journal.sqlite"));
        drop(Journal::open(&location, Commits::Inline).await.unwrap());
        connect(&location, false).unwrap().pragma_update(None, "user_version", 99).unwrap();
        let opened = Journal::open(&location, Commits::Inline).await;
        assert!(matches!(opened, Err(JournalError::Newer { found: 99, known: SCHEMA_VERSION, .. })));
    }

    #[tokio::test]
    async fn an_earlier_schema_is_brought_up_to_date() {
        let directory = tempfile::tempdir().unwrap();
        let location = Location::File(directory.path().join("journal.sqlite"));
        let before = connect(&location, false).unwrap();
        before.execute_batch(SCHEMA).unwrap();
        before.pragma_update(None, "user_version", 1).unwrap();
        insert(1)(&before).unwrap();
        drop(before);
        let journal = Journal::open(&location, Commits::Inline).await.unwrap();
        assert_eq!(count(&journal).await, 1);
        let runs =
            journal.read(|c| c.query_row("SELECT count(*) FROM map_runs", [], |row| row.get::<_, i64>(0)));
        assert_eq!(runs.await.unwrap(), 0);
    }

    #[tokio::test]
    async fn executions_from_before_versions_are_of_none() {
        let directory = tempfile::tempdir().unwrap();
        let location = Location::File(directory.path().join("journal.sqlite"));
        let before = connect(&location, false).unwrap();
        before.execute_batch(SCHEMA).unwrap();
        before.execute_batch(crate::map_run::rows::SCHEMA).unwrap();
        before.pragma_update(None, "user_version", 2).unwrap();
        let execution = "INSERT INTO executions(machine_id, definition_id, arn, name, status, input, seed, started_at, sort_at)
                         VALUES (1, 1, 'a', 'n', 'RUNNING', '{}', 1, 0, 0)";
        before.execute(execution, []).unwrap();
        drop(before);
        let journal = Journal::open(&location, Commits::Inline).await.unwrap();
        let read = journal.read(|c| {
            c.query_row("SELECT version, alias FROM executions", [], |row| {
                Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<String>>(1)?))
            })
        });
        assert_eq!(read.await.unwrap(), (None, None));
    }

    #[tokio::test]
    async fn nothing_is_written_after_close() {
        let journal = Journal::open(&Location::Memory, Commits::Grouped).await.unwrap();
        journal.write(insert(1)).await.unwrap();
        journal.close().await;
        assert!(matches!(journal.write(insert(2)).await, Err(JournalError::Closed)));
    }
}
