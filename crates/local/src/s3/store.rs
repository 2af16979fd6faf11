//! The objects in SQLite.
//!
//! Bytes and index are one transaction, so an acknowledged object is whole after `kill -9`, and one that was not
//! acknowledged is whole or absent. Measured on the target machine (`examples/measure.rs`), a 3 KB object costs less than half of what a file,
//! a link and an index row cost. The index holds no bytes: listing reads keys only.
//!
//! Keys are compared by their UTF-8 bytes, which is S3's order.

use std::path::Path;

use bytes::Bytes;
use rusqlite::{OptionalExtension as _, Row, Transaction, params};
use serde::{Deserialize, Serialize};

use crate::sqlite::{Db, Layouts};

/// See [`Layouts`].
pub(crate) const LAYOUTS: Layouts = &[SCHEMA];

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS buckets (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        write_once INTEGER NOT NULL,
        created_ms INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS blobs (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS objects (
        bucket INTEGER NOT NULL REFERENCES buckets (id),
        key TEXT NOT NULL,
        size INTEGER NOT NULL,
        etag TEXT NOT NULL,
        modified_ms INTEGER NOT NULL,
        blob INTEGER NOT NULL REFERENCES blobs (id),
        headers TEXT NOT NULL,
        PRIMARY KEY (bucket, key)) WITHOUT ROWID;";

/// Rows read at a time when common prefixes are being skipped.
const SKIP_ROWS: usize = 50;

#[derive(Debug)]
pub(crate) struct Store(Db);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub(crate) id: i64,
    pub(crate) name: String,
    /// Objects are created once and never deleted.
    pub(crate) write_once: bool,
    pub(crate) created_ms: i64,
}

/// What is kept with an object besides its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Headers {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_encoding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_disposition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content_language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cache_control: Option<String>,
    /// User metadata: names without `x-amz-meta-`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) metadata: Vec<(String, String)>,
    /// Checksums: algorithm (`CRC32`, …) to base64.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) checksums: Vec<(String, String)>,
}

/// An object without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) size: u64,
    /// Without quotes.
    pub(crate) etag: String,
    pub(crate) modified_ms: i64,
    pub(crate) headers: Headers,
    blob: i64,
}

/// What must hold for a put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Nothing.
    None,
    /// There is no object.
    Absent,
    /// There is an object with this entity tag, or any if `None`.
    Present(Option<String>),
}

/// Why a put was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The condition does not hold.
    PreconditionFailed,
    /// The condition needs an object, and there is none.
    NoSuchKey,
}

/// One page of a listing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) objects: Vec<Listed>,
    pub(crate) common_prefixes: Vec<String>,
    /// The smallest key that the next page may hold; `None` at the end.
    pub(crate) next: Option<String>,
}

/// One object of a listing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) key: String,
    pub(crate) size: u64,
    pub(crate) etag: String,
    pub(crate) modified_ms: i64,
}

fn bucket(row: &Row<'_>) -> rusqlite::Result<Bucket> {
    Ok(Bucket { id: row.get(0)?, name: row.get(1)?, write_once: row.get(2)?, created_ms: row.get(3)? })
}

const BUCKET_COLUMNS: &str = "id, name, write_once, created_ms";

fn object(row: &Row<'_>) -> rusqlite::Result<Object> {
    let headers: String = row.get(4)?;
    let headers = serde_json::from_str(&headers).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(4, rusqlite::types::Type::Text, Box::new(error))
    })?;
    Ok(Object { size: row.get(0)?, etag: row.get(1)?, modified_ms: row.get(2)?, blob: row.get(3)?, headers })
}

const OBJECT: &str =
    "SELECT size, etag, modified_ms, blob, headers FROM objects WHERE bucket = ?1 AND key = ?2";

impl Store {
    pub(crate) fn open(path: &Path) -> rusqlite::Result<Self> {
        Db::open(path, LAYOUTS).map(Self)
    }

    /// `false` if there is one already; its kind is then as given.
    pub(crate) fn create_bucket(&self, name: &str, write_once: bool, now: i64) -> rusqlite::Result<bool> {
        let sql =
            "INSERT INTO buckets (name, write_once, created_ms) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        Ok(self.0.lock().execute(sql, params![name, write_once, now])? == 1)
    }

    pub(crate) fn set_write_once(&self, name: &str, write_once: bool) -> rusqlite::Result<()> {
        self.0
            .lock()
            .execute("UPDATE buckets SET write_once = ?2 WHERE name = ?1", params![name, write_once])?;
        Ok(())
    }

    pub(crate) fn bucket(&self, name: &str) -> rusqlite::Result<Option<Bucket>> {
        let sql = format!("SELECT {BUCKET_COLUMNS} FROM buckets WHERE name = ?1");
        self.0.lock().prepare_cached(&sql)?.query_row([name], bucket).optional()
    }

    pub(crate) fn buckets(&self) -> rusqlite::Result<Vec<Bucket>> {
        let sql = format!("SELECT {BUCKET_COLUMNS} FROM buckets ORDER BY name");
        let db = self.0.lock();
        let mut statement = db.prepare_cached(&sql)?;
        statement.query_map([], bucket)?.collect()
    }

    /// Whether it was empty, and so is gone.
    pub(crate) fn delete_bucket(&self, id: i64) -> rusqlite::Result<bool> {
        let sql =
            "DELETE FROM buckets WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM objects WHERE bucket = ?1)";
        Ok(self.0.lock().execute(sql, [id])? == 1)
    }

    /// Stores an object if the condition holds; check and write are one transaction.
    #[expect(clippy::too_many_arguments, reason = "the columns of one row, each named where it is called")]
    pub(crate) fn put(
        &self,
        bucket: i64,
        key: &str,
        data: &[u8],
        etag: &str,
        headers: &Headers,
        condition: &Condition,
        now: i64,
    ) -> rusqlite::Result<Result<(), Refusal>> {
        let headers = serde_json::to_string(headers)
            .unwrap_or_else(|error| unreachable!("headers have string keys and no failing field: {error}"));
        let mut db = self.0.lock();
        let transaction = db.transaction()?;
        let existing =
            transaction.prepare_cached(OBJECT)?.query_row(params![bucket, key], object).optional()?;
        let refusal = match (condition, &existing) {
            (Condition::None, _) | (Condition::Absent, None) | (Condition::Present(None), Some(_)) => None,
            (Condition::Present(Some(wanted)), Some(existing)) if *wanted == existing.etag => None,
            (Condition::Present(_), None) => Some(Refusal::NoSuchKey),
            (Condition::Absent | Condition::Present(Some(_)), Some(_)) => Some(Refusal::PreconditionFailed),
        };
        if let Some(refusal) = refusal {
            return Ok(Err(refusal));
        }
        transaction.prepare_cached("INSERT INTO blobs (data) VALUES (?1)")?.execute([data])?;
        let blob = transaction.last_insert_rowid();
        let size = i64::try_from(data.len()).unwrap_or(i64::MAX);
        transaction
            .prepare_cached(
                "INSERT OR REPLACE INTO objects (bucket, key, size, etag, modified_ms, blob, headers)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![bucket, key, size, etag, now, blob, headers])?;
        if let Some(existing) = existing {
            delete_blob(&transaction, existing.blob)?;
        }
        transaction.commit()?;
        Ok(Ok(()))
    }

    pub(crate) fn head(&self, bucket: i64, key: &str) -> rusqlite::Result<Option<Object>> {
        self.0.lock().prepare_cached(OBJECT)?.query_row(params![bucket, key], object).optional()
    }

    /// The object and all of its bytes.
    pub(crate) fn get(&self, bucket: i64, key: &str) -> rusqlite::Result<Option<(Object, Bytes)>> {
        let db = self.0.lock();
        let Some(object) = db.prepare_cached(OBJECT)?.query_row(params![bucket, key], object).optional()?
        else {
            return Ok(None);
        };
        let mut statement = db.prepare_cached("SELECT data FROM blobs WHERE id = ?1")?;
        let data: Vec<u8> = statement.query_row([object.blob], |row| row.get(0))?;
        Ok(Some((object, data.into())))
    }

    /// The object and at most `length` of its bytes from `offset` on.
    pub(crate) fn part(
        &self,
        bucket: i64,
        key: &str,
        offset: u64,
        length: u64,
    ) -> rusqlite::Result<Option<(Object, Bytes)>> {
        let db = self.0.lock();
        let Some(object) = db.prepare_cached(OBJECT)?.query_row(params![bucket, key], object).optional()?
        else {
            return Ok(None);
        };
        let mut statement = db.prepare_cached("SELECT substr(data, ?2, ?3) FROM blobs WHERE id = ?1")?;
        let (from, length) = (
            i64::try_from(offset).unwrap_or(i64::MAX).saturating_add(1),
            i64::try_from(length).unwrap_or(i64::MAX),
        );
        let data: Vec<u8> = statement.query_row(params![object.blob, from, length], |row| row.get(0))?;
        Ok(Some((object, data.into())))
    }

    /// Whether there was one.
    pub(crate) fn delete(&self, bucket: i64, key: &str) -> rusqlite::Result<bool> {
        let mut db = self.0.lock();
        let transaction = db.transaction()?;
        let sql = "DELETE FROM objects WHERE bucket = ?1 AND key = ?2 RETURNING blob";
        let blob =
            transaction.prepare_cached(sql)?.query_row(params![bucket, key], |row| row.get(0)).optional()?;
        if let Some(blob) = blob {
            delete_blob(&transaction, blob)?;
        }
        transaction.commit()?;
        Ok(blob.is_some())
    }

    /// Deletes the objects that were written before a moment, in milliseconds; gives how many.
    pub(crate) fn delete_before(&self, bucket: i64, modified_ms: i64) -> rusqlite::Result<usize> {
        let mut db = self.0.lock();
        let transaction = db.transaction()?;
        let blobs: Vec<i64> = transaction
            .prepare_cached("DELETE FROM objects WHERE bucket = ?1 AND modified_ms < ?2 RETURNING blob")?
            .query_map(params![bucket, modified_ms], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for blob in &blobs {
            delete_blob(&transaction, *blob)?;
        }
        transaction.commit()?;
        Ok(blobs.len())
    }

    /// At most `limit` objects and common prefixes that begin with `prefix`, from the key `from` on, in order. Reads no
    /// more rows than it returns, give or take a page of [`SKIP_ROWS`] for each common prefix.
    pub(crate) fn list(
        &self,
        bucket: i64,
        prefix: &str,
        delimiter: Option<&str>,
        from: &str,
        limit: usize,
    ) -> rusqlite::Result<Page> {
        let end = successor(prefix);
        let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty());
        let mut page = Page::default();
        let mut lower = if from > prefix { from.to_owned() } else { prefix.to_owned() };
        let db = self.0.lock();
        // TEXT sorts before BLOB in SQLite: an empty blob is an upper bound that excludes nothing.
        let mut statement = db.prepare_cached(
            "SELECT key, size, etag, modified_ms FROM objects
             WHERE bucket = ?1 AND key >= ?2 AND key < COALESCE(?3, x'') ORDER BY key LIMIT ?4",
        )?;
        'pages: loop {
            let room = limit + 1 - page.len();
            let rows = if delimiter.is_some() { room.min(SKIP_ROWS) } else { room };
            let found = statement.query_map(
                params![bucket, lower, end, i64::try_from(rows).unwrap_or(i64::MAX)],
                |row| {
                    Ok(Listed {
                        key: row.get(0)?,
                        size: row.get(1)?,
                        etag: row.get(2)?,
                        modified_ms: row.get(3)?,
                    })
                },
            )?;
            let found: Vec<Listed> = found.collect::<Result<_, _>>()?;
            let exhausted = found.len() < rows;
            for listed in found {
                if page.len() == limit {
                    page.next = Some(listed.key);
                    return Ok(page);
                }
                let common = delimiter.and_then(|delimiter| {
                    let at = listed.key[prefix.len()..].find(delimiter)?;
                    Some(listed.key[..prefix.len() + at + delimiter.len()].to_owned())
                });
                match common {
                    Some(common) => {
                        let Some(after) = successor(&common) else {
                            page.common_prefixes.push(common);
                            return Ok(page);
                        };
                        lower = after;
                        page.common_prefixes.push(common);
                        continue 'pages;
                    }
                    None => {
                        lower = just_after(&listed.key);
                        page.objects.push(listed);
                    }
                }
            }
            if exhausted {
                return Ok(page);
            }
        }
    }
}

impl Page {
    pub(crate) fn len(&self) -> usize {
        self.objects.len() + self.common_prefixes.len()
    }
}

fn delete_blob(transaction: &Transaction<'_>, blob: i64) -> rusqlite::Result<()> {
    transaction.prepare_cached("DELETE FROM blobs WHERE id = ?1")?.execute([blob])?;
    Ok(())
}

/// The smallest key that is greater.
pub(crate) fn just_after(key: &str) -> String {
    format!("{key}\0")
}

/// The smallest string that is greater than every string with this prefix; `None` if there is none.
fn successor(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        let next = match last {
            '\u{D7FF}' => Some('\u{E000}'),
            last => char::from_u32(last as u32 + 1),
        };
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is the test's failure")]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn opened() -> (tempfile::TempDir, Store, i64) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("s3.sqlite")).unwrap();
        store.create_bucket("b", false, 0).unwrap();
        let id = store.bucket("b").unwrap().unwrap().id;
        (folder, store, id)
    }

    fn put(store: &Store, bucket: i64, key: &str, condition: &Condition) -> Result<(), Refusal> {
        store.put(bucket, key, key.as_bytes(), key, &Headers::default(), condition, 7).unwrap()
    }

    #[test]
    fn a_put_holds_its_condition_and_an_overwrite_leaves_no_old_bytes() {
        let (_folder, store, bucket) = opened();
        assert_eq!(put(&store, bucket, "k", &Condition::Present(None)), Err(Refusal::NoSuchKey));
        assert_eq!(put(&store, bucket, "k", &Condition::Absent), Ok(()));
        assert_eq!(put(&store, bucket, "k", &Condition::Absent), Err(Refusal::PreconditionFailed));
        assert_eq!(
            put(&store, bucket, "k", &Condition::Present(Some("x".into()))),
            Err(Refusal::PreconditionFailed)
        );
        assert_eq!(put(&store, bucket, "k", &Condition::Present(Some("k".into()))), Ok(()));
        assert_eq!(put(&store, bucket, "k", &Condition::None), Ok(()));
        let blobs = |store: &Store| -> i64 {
            store.0.lock().query_row("SELECT COUNT(*) FROM blobs", [], |row| row.get(0)).unwrap()
        };
        assert_eq!(blobs(&store), 1);
        assert!(!store.delete_bucket(bucket).unwrap(), "not empty");
        assert!(store.delete(bucket, "k").unwrap());
        assert!(!store.delete(bucket, "k").unwrap());
        assert_eq!(blobs(&store), 0);
        assert!(store.delete_bucket(bucket).unwrap());
    }

    #[test]
    fn what_was_written_before_a_moment_is_deleted_and_nothing_else() {
        let (_folder, store, bucket) = opened();
        let other = {
            assert!(store.create_bucket("kept", false, 0).unwrap());
            store.bucket("kept").unwrap().unwrap().id
        };
        for at in [bucket, other] {
            put(&store, at, "old", &Condition::None).unwrap();
        }
        let modified = store.head(bucket, "old").unwrap().unwrap().modified_ms;
        assert_eq!(store.delete_before(bucket, modified).unwrap(), 0);
        assert_eq!(store.delete_before(bucket, modified + 1).unwrap(), 1);
        assert!(store.head(bucket, "old").unwrap().is_none());
        assert!(store.get(other, "old").unwrap().is_some());
    }

    #[test]
    fn successors_pass_over_surrogates_and_the_last_character() {
        assert_eq!(successor("a/").as_deref(), Some("a0"));
        assert_eq!(successor("\u{D7FF}").as_deref(), Some("\u{E000}"));
        assert_eq!(successor("a\u{10FFFF}").as_deref(), Some("b"));
        assert_eq!(successor("\u{10FFFF}"), None);
        assert_eq!(successor(""), None);
    }

    /// What S3's documentation says, by walking over everything.
    fn model(keys: &BTreeSet<String>, prefix: &str, delimiter: Option<&str>) -> (Vec<String>, Vec<String>) {
        let (mut objects, mut prefixes) = (Vec::new(), BTreeSet::new());
        for key in keys.iter().filter(|key| key.starts_with(prefix)) {
            match delimiter.and_then(|it| key[prefix.len()..].find(it).map(|at| prefix.len() + at + it.len()))
            {
                Some(end) => drop(prefixes.insert(key[..end].to_owned())),
                None => objects.push(key.clone()),
            }
        }
        (objects, prefixes.into_iter().collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn pages_of_any_size_add_up_to_the_whole_listing(
            keys in proptest::collection::btree_set("[ab/é\u{10FFFF}]{1,6}", 0..40),
            prefix in "[ab/]{0,2}",
            delimiter in proptest::option::of("/|a|//"),
            limit in 1_usize..7,
        ) {
            let (_folder, store, bucket) = opened();
            for key in &keys {
                put(&store, bucket, key, &Condition::None).unwrap();
            }
            let (mut objects, mut prefixes, mut from) = (Vec::new(), Vec::new(), String::new());
            loop {
                let page = store.list(bucket, &prefix, delimiter.as_deref(), &from, limit).unwrap();
                prop_assert!(page.len() <= limit);
                objects.extend(page.objects.into_iter().map(|it| it.key));
                prefixes.extend(page.common_prefixes);
                match page.next {
                    Some(next) => { prop_assert!(next > from); from = next }
                    None => break,
                }
            }
            prop_assert_eq!((objects, prefixes), model(&keys, &prefix, delimiter.as_deref()));
        }
    }

    #[test]
    fn parts_of_an_object_are_its_bytes() {
        let (_folder, store, bucket) = opened();
        let data: Vec<u8> = (0..=255).collect();
        let headers = Headers::default();
        store.put(bucket, "k", &data, "e", &headers, &Condition::None, 0).unwrap().unwrap();
        let part = |offset, length| store.part(bucket, "k", offset, length).unwrap().unwrap().1;
        assert_eq!(part(0, 1_000), data);
        assert_eq!(part(3, 4), [3, 4, 5, 6][..]);
        assert_eq!(part(250, 100), data[250..]);
        assert!(part(256, 1).is_empty() && part(9_999, 1).is_empty());
        assert!(store.part(bucket, "none", 0, 1).unwrap().is_none());
    }

    #[test]
    fn a_page_of_prefixes_does_not_read_what_is_below_them() {
        let (_folder, store, bucket) = opened();
        for vendor in ["a", "b", "c"] {
            for number in 0..2_000 {
                put(&store, bucket, &format!("raw/{vendor}/{number:05}"), &Condition::None).unwrap();
            }
        }
        let page = store.list(bucket, "raw/", Some("/"), "", 1_000).unwrap();
        assert_eq!(page.common_prefixes, ["raw/a/", "raw/b/", "raw/c/"]);
        let page = store.list(bucket, "raw/b/", None, "raw/b/01000", 2).unwrap();
        assert_eq!(page.objects[0].key, "raw/b/01000");
        assert_eq!(page.next.as_deref(), Some("raw/b/01002"));
    }
}
