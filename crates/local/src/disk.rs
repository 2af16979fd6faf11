//! Room on the disk of the data folder: new events are refused before it is full, so that what was accepted can be worked on.
//!
//! A full disk loses nothing by itself: SQLite takes a transaction whole or not at all, what fails is tried again, and an event is
//! acknowledged by its commit. But everything behind the acknowledgement writes too, so a reserve is kept for it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Room that is kept for what was accepted, in bytes; of a small disk an eighth.
const RESERVE_BYTES: u64 = 32 * 1024 * 1024;
const RESERVE_PART: u64 = 8;

/// How long an answer of the file system counts.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Below this, in bytes, a database cannot even be opened: each has a file of shared memory and a log.
const OPEN_BYTES_MIN: u64 = 4 * 1024 * 1024;

/// The disk of a folder.
#[derive(Debug)]
pub(crate) struct Disk {
    folder: PathBuf,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    at: Option<Instant>,
    low: bool,
}

/// Room on a disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) free_bytes: u64,
    pub(crate) all_bytes: u64,
}

impl Room {
    fn reserve_bytes(self) -> u64 {
        RESERVE_BYTES.min(self.all_bytes / RESERVE_PART)
    }

    fn is_low(self) -> bool {
        self.free_bytes < self.reserve_bytes()
    }
}

impl Disk {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, seen: Mutex::default() }
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether there is too little room for new events. What changes is logged.
    pub(crate) fn is_low(&self) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.at.is_some_and(|at| at.elapsed() < LOOK_INTERVAL) {
            return seen.low;
        }
        let room = self.room();
        let low = room.is_some_and(Room::is_low);
        match (seen.low, low, room) {
            (false, true, Some(Room { free_bytes, .. })) => {
                tracing::error!(folder = %self.folder.display(), free_bytes, "the disk is full: new events are refused until there is room");
            }
            (true, false, _) => tracing::warn!("there is room on the disk again: events are accepted"),
            _ => {}
        }
        *seen = Seen { at: Some(Instant::now()), low };
        low
    }

    /// Whether there is too little room even to open the databases.
    pub(crate) fn is_full(&self) -> Option<Room> {
        self.room().filter(|room| room.free_bytes < OPEN_BYTES_MIN)
    }

    /// What the file system says; nothing, where it cannot be asked.
    fn room(&self) -> Option<Room> {
        #[cfg(unix)]
        {
            let found = rustix::fs::statvfs(&self.folder).ok()?;
            let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
            Some(Room { free_bytes: bytes(found.f_bavail), all_bytes: bytes(found.f_blocks) })
        }
        #[cfg(not(unix))]
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_is_kept_of_every_disk() {
        const MIB: u64 = 1024 * 1024;
        for (free, all, low) in [
            (31 * MIB, 10_000 * MIB, true),
            (32 * MIB, 10_000 * MIB, false),
            (7 * MIB, 64 * MIB, true),
            (8 * MIB, 64 * MIB, false),
            (0, 0, false),
        ] {
            assert_eq!(Room { free_bytes: free, all_bytes: all }.is_low(), low, "{free} of {all}");
        }
        let here = Disk::new(std::env::temp_dir());
        assert!(here.room().is_none_or(|room| room.all_bytes > 0 && room.free_bytes <= room.all_bytes));
        assert_eq!(Disk::new("/nowhere".into()).room(), None);
    }
}
