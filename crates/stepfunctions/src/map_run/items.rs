//! The children that a Map Run has yet to start, in order: its items are read, given their inputs and put into batches.
//!
//! Invariant: from the same source the same child is made for the same index, wherever reading begins. So what was read
//! need not be kept: where the first child stands that has not ended is enough ([`Mark`]).

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sluice_asl::{ItemSource, MapRun};

use super::split::Splitter;
use crate::integrations::{Integrations, TaskError};

/// Bytes that are asked of the object store at a time (4 MiB).
const CHUNK_BYTES: u64 = 4 * 1024 * 1024;

/// A place between two children.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// The first child after it.
    pub(super) child: u64,
    /// Its first item.
    pub(super) item: u64,
    /// Where that item begins in the object.
    pub(super) offset: u64,
}

/// A child to be started.
#[derive(Debug)]
pub(super) struct Child {
    /// Where it stands.
    pub(super) mark: Mark,
    /// How many items it has.
    pub(super) items: u64,
    pub(super) input: Arc<Value>,
    /// The input's JSON.
    pub(super) text: String,
}

/// Which object was read: it must be the same when reading goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) etag: String,
    pub(super) size: u64,
}

/// One item, and where the next begins.
struct Item {
    key: Option<String>,
    value: Arc<Value>,
    text: Option<String>,
    next: u64,
}

pub(super) struct Items {
    run: Arc<MapRun>,
    store: Arc<dyn Integrations>,
    /// Before the next child.
    mark: Mark,
    /// The next item to be read; those between the mark and this one are held.
    item: u64,
    splitter: Option<Splitter>,
    /// The next byte to be asked for.
    position: u64,
    version: Option<Version>,
    /// An item that did not fit into the batch before it.
    held: VecDeque<(Item, Arc<Value>, usize)>,
}

fn reader_failed(cause: impl Into<String>) -> TaskError {
    TaskError::new("States.ItemReaderFailed", cause)
}

impl Items {
    /// Reads from `mark` on; `version` is what was read before, if anything was.
    pub(super) fn new(
        run: Arc<MapRun>,
        store: Arc<dyn Integrations>,
        mark: Mark,
        version: Option<Version>,
    ) -> Self {
        Items {
            run,
            store,
            mark,
            item: mark.item,
            splitter: None,
            position: mark.offset,
            version,
            held: VecDeque::new(),
        }
    }

    /// Where the next child stands.
    pub(super) fn mark(&self) -> Mark {
        self.mark
    }

    /// How many items there are, and of which object. Reads all of it, and fails for the first item that is no JSON, before
    /// any child is started.
    pub(super) async fn count(&mut self) -> Result<(u64, Option<Version>), TaskError> {
        let (input_type, most) = match &self.run.items {
            ItemSource::Inline(items) => {
                let count = match &**items {
                    Value::Array(items) => items.len(),
                    Value::Object(members) => members.len(),
                    _ => 0,
                };
                return Ok((count as u64, None));
            }
            ItemSource::Object { input_type, max_items, .. } => (*input_type, max_items.unwrap_or(u64::MAX)),
        };
        let mut splitter = Splitter::new(input_type, 0);
        let mut position = 0;
        let mut count = 0;
        loop {
            while count < most
                && let Some(piece) = splitter.next().map_err(|why| self.unreadable(&why))?
            {
                if let Err(error) = serde_json::from_slice::<IgnoredAny>(piece.text) {
                    return Err(self.unreadable(&format!("item {count} is not JSON: {error}")));
                }
                count += 1;
            }
            if count == most {
                return Ok((count, self.version.clone()));
            }
            match self.read(position).await? {
                Some(bytes) => {
                    position += bytes.len() as u64;
                    splitter.push(&bytes);
                }
                None if position == u64::MAX => return Ok((count, self.version.clone())),
                None => {
                    splitter.finish();
                    position = u64::MAX;
                }
            }
        }
    }

    fn unreadable(&self, why: &str) -> TaskError {
        let ItemSource::Object { bucket, key, .. } = &self.run.items else { return reader_failed(why) };
        reader_failed(format!("Failed to read items from s3://{bucket}/{key}: {why}."))
    }

    /// The bytes at `position`; `None` at the end.
    async fn read(&mut self, position: u64) -> Result<Option<Bytes>, TaskError> {
        let ItemSource::Object { bucket, key, .. } = &self.run.items else { return Ok(None) };
        if self.version.as_ref().is_some_and(|version| position >= version.size) {
            return Ok(None);
        }
        let part = self.store.read_object(bucket, key, position, CHUNK_BYTES).await.map_err(|error| {
            let cause = error.cause.unwrap_or_default();
            reader_failed(format!("Failed to read s3://{bucket}/{key}: {}: {cause}", error.error))
        })?;
        let version = Version { etag: part.etag, size: part.size };
        match &self.version {
            None => self.version = Some(version),
            Some(first) if *first == version => {}
            Some(_) => {
                return Err(self.unreadable(
                    "the object is not the one that the Map Run began with; put that back and redrive, or start a new \
                     execution",
                ));
            }
        }
        Ok((!part.bytes.is_empty()).then_some(part.bytes))
    }

    async fn next_item(&mut self) -> Result<Option<Item>, TaskError> {
        let run = Arc::clone(&self.run);
        let (input_type, most) = match &run.items {
            ItemSource::Inline(items) => return Ok(inline(items, self.item)),
            ItemSource::Object { input_type, max_items, .. } => (*input_type, max_items.unwrap_or(u64::MAX)),
        };
        if self.item >= most {
            return Ok(None);
        }
        loop {
            let splitter = self.splitter.get_or_insert_with(|| Splitter::new(input_type, self.mark.offset));
            match splitter.next() {
                Ok(Some(piece)) => {
                    let text = std::str::from_utf8(piece.text).map(str::to_owned);
                    let value = serde_json::from_slice(piece.text);
                    let next = piece.next;
                    let (Ok(text), Ok(value)) = (text, value) else {
                        return Err(self.unreadable(&format!("item {} is not JSON", self.item)));
                    };
                    return Ok(Some(Item { key: None, value: Arc::new(value), text: Some(text), next }));
                }
                Ok(None) => {}
                Err(why) => return Err(self.unreadable(&why)),
            }
            let position = self.position;
            match self.read(position).await? {
                Some(bytes) => {
                    self.position += bytes.len() as u64;
                    if let Some(splitter) = &mut self.splitter {
                        splitter.push(&bytes);
                    }
                }
                None if position == u64::MAX => return Ok(None),
                None => {
                    self.position = u64::MAX;
                    if let Some(splitter) = &mut self.splitter {
                        splitter.finish();
                    }
                }
            }
        }
    }

    /// The next child, its input made.
    pub(super) async fn next_child(&mut self) -> Result<Option<Child>, TaskError> {
        let run = Arc::clone(&self.run);
        let mark = self.mark;
        let Some(batching) = &run.batching else {
            let Some(item) = self.next_item().await? else { return Ok(None) };
            let input = run
                .item_input(mark.item, item.key.as_deref(), &item.value)
                .map_err(|fault| TaskError::new(fault.error, fault.cause))?;
            let text = match item.text {
                Some(text) if run.is_verbatim() => text,
                _ => input.to_string(),
            };
            self.item = mark.item + 1;
            self.mark = Mark { child: mark.child + 1, item: self.item, offset: item.next };
            return Ok(Some(Child { mark, items: 1, input, text }));
        };
        let most = batching.max_items.unwrap_or(u64::MAX);
        let bytes_max = batching.max_bytes.unwrap_or(sluice_asl::limits::DATA_BYTES_MAX as u64);
        let mut batch = serde_json::Map::new();
        if let Some(input) = &batching.input {
            batch.insert("BatchInput".to_owned(), Value::clone(input));
        }
        batch.insert("Items".to_owned(), Value::Array(Vec::new()));
        let mut bytes = Value::Object(batch.clone()).to_string().len() as u64;
        let mut items = Vec::new();
        let mut offset = mark.offset;
        while (items.len() as u64) < most {
            let (item, input, length) = match self.held.pop_front() {
                Some(held) => held,
                None => {
                    let Some(item) = self.next_item().await? else { break };
                    let input = run
                        .item_input(self.item, item.key.as_deref(), &item.value)
                        .map_err(|fault| TaskError::new(fault.error, fault.cause))?;
                    let length = input.to_string().len();
                    self.item += 1;
                    (item, input, length)
                }
            };
            let with = bytes + length as u64 + u64::from(!items.is_empty());
            if with > bytes_max && !items.is_empty() {
                self.held.push_back((item, input, length));
                break;
            }
            if with > bytes_max {
                let cause = format!(
                    "The batch input of item {} has {with} bytes, more than the {bytes_max} that a batch may have.",
                    mark.item
                );
                return Err(TaskError::new("States.DataLimitExceeded", cause));
            }
            bytes = with;
            offset = item.next;
            items.push(Arc::unwrap_or_clone(input));
        }
        if items.is_empty() {
            return Ok(None);
        }
        let count = items.len() as u64;
        batch.insert("Items".to_owned(), Value::Array(items));
        let input = Value::Object(batch);
        let text = input.to_string();
        self.mark = Mark { child: mark.child + 1, item: mark.item + count, offset };
        Ok(Some(Child { mark, items: count, input: Arc::new(input), text }))
    }
}

fn inline(items: &Value, index: u64) -> Option<Item> {
    let at = usize::try_from(index).ok()?;
    let (key, value) = match items {
        Value::Array(items) => (None, items.get(at)?),
        Value::Object(members) => members.iter().nth(at).map(|(key, value)| (Some(key.clone()), value))?,
        _ => return None,
    };
    Some(Item { key, value: Arc::new(value.clone()), text: None, next: index + 1 })
}
