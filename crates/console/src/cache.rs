//! Answers, shared for a moment: ten tabs that poll are one read, and a page says how old what it
//! shows is.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::ops::{Failure, Ops, Question};

/// How long an answer is as good as new.
const FRESH: Duration = Duration::from_millis(1_800);

/// How long an answer is shown while a newer one is fetched behind it.
const STALE: Duration = Duration::from_secs(60);

/// Most answers that are kept. A page of events is some 50 KB, a group some 300 KB.
const ANSWERS_MAX: u64 = 128;

/// An answer, and when it was given.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The document.
    pub document: Arc<Value>,
    /// When it was read.
    pub at: Timestamp,
}

/// One question's place: its last answer, and whether the next is being fetched.
#[derive(Debug, Default)]
struct Slot {
    last: std::sync::Mutex<Option<(Answer, std::time::Instant)>>,
    fetching: Mutex<()>,
}

/// The answers.
#[derive(Clone)]
pub struct Cache {
    ops: Arc<dyn Ops>,
    slots: moka::future::Cache<Question, Arc<Slot>>,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("answers", &self.slots.entry_count()).finish()
    }
}

impl Cache {
    /// Without an answer.
    pub fn new(ops: Arc<dyn Ops>) -> Self {
        let slots = moka::future::Cache::builder().max_capacity(ANSWERS_MAX).time_to_idle(STALE * 2).build();
        Self { ops, slots }
    }

    /// Who answers.
    pub fn ops(&self) -> &dyn Ops {
        &*self.ops
    }

    /// The answer: a fresh one at once; a stale one at once, while the next is fetched; else the
    /// fetched one.
    ///
    /// # Errors
    /// What the question failed of. A failure is not kept.
    pub async fn read(&self, question: &Question) -> Result<Answer, Failure> {
        if question.is_once() {
            let document = Arc::new(self.ops.read(question).await?);
            return Ok(Answer { document, at: Timestamp::now() });
        }
        let slot = self.slots.get_with_by_ref(question, async { Arc::new(Slot::default()) }).await;
        match slot.answer(STALE) {
            Some((answer, true)) => Ok(answer),
            Some((answer, false)) => {
                let (cache, question) = (self.clone(), question.clone());
                tokio::spawn(async move {
                    // A failure is found again, and told, when the stale answer may not be shown
                    // any more.
                    let _ = cache.fetch(&slot, &question).await;
                });
                Ok(answer)
            }
            None => self.fetch(&slot, question).await,
        }
    }

    async fn fetch(&self, slot: &Slot, question: &Question) -> Result<Answer, Failure> {
        let _one = slot.fetching.lock().await;
        // Somebody else may have fetched it while this one waited.
        if let Some((answer, true)) = slot.answer(FRESH) {
            return Ok(answer);
        }
        let document = Arc::new(self.ops.read(question).await?);
        let answer = Answer { document, at: Timestamp::now() };
        *slot.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner) =
            Some((answer.clone(), std::time::Instant::now()));
        Ok(answer)
    }

    /// Forgets everything: something was done.
    pub fn forget(&self) {
        self.slots.invalidate_all();
    }
}

impl Slot {
    /// The last answer if it is no older than `max`, and whether it is fresh.
    fn answer(&self, max: Duration) -> Option<(Answer, bool)> {
        let last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (answer, since) = last.as_ref()?;
        let age = since.elapsed();
        (age <= max).then(|| (answer.clone(), age <= FRESH))
    }
}
