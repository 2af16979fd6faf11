//! How `apply` brings a batch of messages into canonical state (`functions/apply/src/merge.rs`):
//! all in one transaction; after the first conflict one by one, each tried some times, and then
//! given back to its queue.

use crate::books::{Event, NONE};

/// A batch of messages on its way into canonical state.
#[derive(Debug)]
pub(crate) struct Applying {
    /// Event, and how often the message was received.
    pub(crate) messages: Vec<(u32, u16)>,
    /// Messages that go back to the queue.
    pub(crate) failed: Vec<(u32, u16)>,
    pub(crate) stage: Stage,
    /// The call that is under way.
    pub(crate) calling: Option<Stage>,
    /// All in one transaction, or one by one: which.
    pub(crate) alone: Option<usize>,
    pub(crate) conflicts: u64,
    pub(crate) events: Vec<u32>,
    pub(crate) entities: Vec<u64>,
    pub(crate) versions: Vec<u32>,
    /// Whether the transaction that is under way will be written.
    pub(crate) written: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Documents,
    Read,
    Write,
    Pause,
}

impl Applying {
    pub(crate) fn new(messages: Vec<(u32, u16)>) -> Self {
        Self {
            messages,
            failed: Vec::new(),
            stage: Stage::Documents,
            calling: None,
            alone: None,
            conflicts: 0,
            events: Vec::new(),
            entities: Vec::new(),
            versions: Vec::new(),
            written: false,
        }
    }

    /// The events of the next transaction that are not applied yet, and what they speak of.
    pub(crate) fn choose(&mut self, all: &[Event]) {
        self.events = match self.alone {
            None => self.messages.iter().map(|(event, _)| *event).collect(),
            Some(index) => vec![self.messages[index].0],
        };
        self.events.sort_unstable();
        self.events.dedup();
        self.events.retain(|event| all[*event as usize].applied == 0);
        let entities = |event: &u32| all[*event as usize].entities;
        self.entities = self.events.iter().flat_map(entities).filter(|entity| *entity != NONE).collect();
        self.entities.sort_unstable();
        self.entities.dedup();
    }

    pub(crate) fn one_by_one(&mut self) {
        (self.alone, self.conflicts, self.stage) = (Some(0), 0, Stage::Read);
    }

    pub(crate) fn next_message(&mut self) {
        self.alone = Some(self.alone.map_or(self.messages.len(), |index| index + 1));
        (self.conflicts, self.stage) = (0, Stage::Read);
    }

    pub(crate) fn fail_current(&mut self) {
        if let Some(message) = self.alone.and_then(|index| self.messages.get(index)) {
            self.failed.push(*message);
        }
        self.next_message();
    }

    pub(crate) fn give_up(&mut self) {
        let from = self.alone.unwrap_or(0).min(self.messages.len());
        self.failed.extend_from_slice(&self.messages[from..]);
        self.alone = Some(self.messages.len());
    }
}
