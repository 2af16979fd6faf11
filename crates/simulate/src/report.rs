//! What a simulation came to: one object of JSON, one row of the table.

use serde_json::{Value, json};

use crate::books::Findings;
use crate::cost::{Item, PriceError, Prices, bill};
use crate::world::{Sample, World};

/// The outcome of one scenario.
#[derive(Clone, Debug)]
pub struct Report {
    /// The scenario's name.
    pub scenario: String,
    /// One line of what it is.
    pub about: &'static str,
    /// The Region.
    pub region: String,
    /// What the random numbers were made of.
    pub seed: u64,
    /// Events that vendors sent, repetitions not counted.
    pub events: u64,
    pub(crate) found: Findings,
    /// Answers by status.
    pub answers: std::collections::BTreeMap<u16, u64>,
    pub(crate) acknowledged: [f64; 3],
    pub(crate) normalized: [f64; 3],
    pub(crate) drained_after: Option<f64>,
    pub(crate) quarantined_after: Option<f64>,
    pub(crate) late_unavailable: u64,
    pub(crate) bill: Vec<Item>,
    pub(crate) series: Vec<Sample>,
    pub(crate) notes: Vec<(String, u64)>,
    pub(crate) peaks: Vec<(&'static str, f64)>,
    /// Things that happened in virtual time.
    pub happenings: u64,
    /// Seconds of virtual time.
    pub seconds: f64,
}

#[expect(clippy::cast_precision_loss, reason = "times and counts are far below 2^52")]
fn percentiles(mut micros: Vec<u64>) -> [f64; 3] {
    micros.sort_unstable();
    [0.50, 0.95, 0.99].map(|share| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
        let index = ((micros.len() as f64 * share).ceil() as usize).saturating_sub(1);
        micros.get(index).map_or(0.0, |value| (*value as f64 / 1e3).round())
    })
}

#[expect(clippy::cast_precision_loss, reason = "times are far below 2^52")]
fn seconds(micros: u64) -> f64 {
    (micros as f64 / 1e5).round() / 10.0
}

impl Report {
    pub(crate) fn of(world: &World, seed: u64, prices: &Prices) -> Result<Self, PriceError> {
        let books = &world.books;
        let end = world.scenario.end();
        let found = books.findings();
        let normalized = books.events.iter().filter(|event| event.normalized_at > 0);
        let normalized = normalized.map(|event| event.normalized_at - event.received_at).collect();
        let acknowledged = world.counts.acknowledged.iter().map(|took| u64::from(*took)).collect();
        let drained = books.open == 0;
        let rejected = found.quarantined > 0;
        let counts = &world.counts;
        let mut notes: Vec<(String, u64)> = Vec::new();
        let mut note = |what: &str, value: u64| {
            if value > 0 {
                notes.push((what.to_owned(), value));
            }
        };
        for function in &world.functions {
            note(&format!("throttled calls of {}", function.id), function.throttled);
            note(&format!("cold starts of {}", function.id), function.cold);
            note(&format!("time-outs of {}", function.id), function.timed_out);
        }
        for (what, throttled) in world.store.throttled() {
            note(&format!("throttled writes and reads of {what}"), throttled);
        }
        note("throttled synchronous starts", counts.sync_throttled);
        note("throttled Express starts", counts.express_throttled);
        note("throttled Standard starts", counts.standard_throttled);
        note("conflicts of transactions", counts.conflicts);
        note("records lost", counts.records_lost);
        note("records dropped by age", counts.records_dropped);
        note("runs of Reconcile", counts.reconcile_runs);
        note("runs of Reconcile that timed out", counts.reconcile_timed_out);
        note("reruns by Reconcile", counts.reruns);
        note("reruns of what was only late", counts.reruns_of_late);
        for queue in &world.queues {
            note(&format!("dead letters of {}", queue.id), queue.dead);
        }
        Ok(Self {
            scenario: world.scenario.name.clone(),
            about: world.scenario.about,
            region: world.scenario.region.clone(),
            seed,
            events: books.events.len() as u64,
            found,
            answers: counts.answers.clone(),
            acknowledged: percentiles(acknowledged),
            normalized: percentiles(normalized),
            drained_after: drained.then(|| seconds(books.last_end.saturating_sub(end))),
            quarantined_after: (drained && rejected)
                .then(|| seconds(books.last_quarantine.saturating_sub(end))),
            late_unavailable: counts.late_unavailable,
            bill: bill(world, prices)?,
            series: world.series.clone(),
            notes,
            peaks: world.peaks(),
            happenings: world.agenda.pushed(),
            seconds: seconds(world.now),
        })
    }

    /// Events told 202 that are neither applied nor waiting for a person.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.found.lost
    }

    /// Events whose document changed the state twice, or that have two rows.
    #[must_use]
    pub fn doubled(&self) -> u64 {
        self.found.doubled
    }

    /// Events with nothing wrong that wait for a person.
    #[must_use]
    pub fn healthy_quarantined(&self) -> u64 {
        self.found.healthy_quarantined
    }

    /// Events in the ledger.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.found.accepted
    }

    /// Events in quarantine.
    #[must_use]
    pub fn quarantined(&self) -> u64 {
        self.found.quarantined
    }

    /// Events in canonical state.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.found.applied
    }

    /// Events whose recovery could not be started at once.
    #[must_use]
    pub fn unstarted(&self) -> u64 {
        self.found.unstarted
    }

    /// Answers of a status.
    #[must_use]
    pub fn answered(&self, status: u16) -> u64 {
        self.answers.get(&status).copied().unwrap_or_default()
    }

    /// Answers of 5xx.
    #[must_use]
    pub fn unavailable(&self) -> u64 {
        self.answers.range(500..).map(|(_, count)| *count).sum()
    }

    /// 95th percentile of the acknowledgement, in milliseconds.
    #[must_use]
    pub fn acknowledged_p95_ms(&self) -> f64 {
        self.acknowledged[1]
    }

    /// 95th percentile from acceptance to the normalized document, in milliseconds.
    #[must_use]
    pub fn normalized_p95_ms(&self) -> f64 {
        self.normalized[1]
    }

    /// Seconds from the last request until nothing was in flight; `None`: something still was.
    #[must_use]
    pub fn drained_after_s(&self) -> Option<f64> {
        self.drained_after
    }

    /// What else was counted, such as throttled calls.
    #[must_use]
    pub fn note(&self, what: &str) -> u64 {
        self.notes.iter().find(|(name, _)| name == what).map_or(0, |(_, value)| *value)
    }

    /// For a million accepted events.
    #[must_use]
    pub fn dollars_per_million(&self) -> f64 {
        let sum: f64 = self.bill.iter().map(|item| item.dollars).sum();
        (sum * 100.0).round() / 100.0
    }

    /// The bill, by item.
    #[must_use]
    pub fn bill(&self) -> &[Item] {
        &self.bill
    }

    /// As `--json` prints it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "scenario": self.scenario,
            "seed": self.seed,
            "events": self.events,
            "lost": self.found.lost,
            "doubled": self.found.doubled,
            "healthyQuarantined": self.found.healthy_quarantined,
            "acknowledged": {
                "p95Ms": self.acknowledged[1],
                "refused429": self.answered(429),
                "unavailable503": self.unavailable(),
            },
            "normalized": {"p95Ms": self.normalized[1], "drainedAfterS": self.drained_after},
            "recover": {"unstarted": self.found.unstarted, "drainedAfterS": self.quarantined_after},
            "dollarsPerMillion": self.dollars_per_million(),
        })
    }

    /// All of it, in words.
    #[must_use]
    pub fn to_text(&self) -> String {
        let f = &self.found;
        let mut text = format!(
            "{}: {} ({}, seed {})\n\n{} events sent, {} accepted: {} normalized, {} applied, {} quarantined, {} dead-lettered\n\
             lost {}, doubled {}, healthy events quarantined {}\n",
            self.scenario,
            self.about,
            self.region,
            self.seed,
            self.events,
            f.accepted,
            f.normalized,
            f.applied,
            f.quarantined,
            f.dead_lettered,
            f.lost,
            f.doubled,
            f.healthy_quarantined
        );
        let answers: Vec<String> =
            self.answers.iter().map(|(status, count)| format!("{status}: {count}")).collect();
        let drained = |it: Option<f64>| it.map_or("not drained".to_owned(), |s| format!("{s} s"));
        text += &format!("answers {}", answers.join(", "));
        if self.late_unavailable > 0 {
            text += &format!(" ({} of 5xx later than 10 s)", self.late_unavailable);
        }
        let [p50, p95, p99] = self.acknowledged;
        text += &format!("\nacknowledged after p50 {p50} ms, p95 {p95} ms, p99 {p99} ms\n");
        let [p50, p95, p99] = self.normalized;
        text += &format!(
            "normalized after p50 {p50} ms, p95 {p95} ms, p99 {p99} ms; drained {} after the last request\n",
            drained(self.drained_after)
        );
        if f.unstarted > 0 || f.quarantined > 0 {
            text += &format!(
                "recoveries not started at once: {}; all in quarantine {} after the last request\n",
                f.unstarted,
                drained(self.quarantined_after)
            );
        }
        for (what, value) in &self.notes {
            text += &format!("{what}: {value}\n");
        }
        text += &format!("\n${:.2} for a million accepted events:\n", self.dollars_per_million());
        for item in &self.bill {
            text += &format!("  {:<16}{:<38}{:>7.2}\n", item.service, item.what, item.dollars);
        }
        text
    }
}

/// One row a scenario, as Markdown.
#[must_use]
pub fn table(reports: &[Report]) -> String {
    let mut text = String::from(
        "| scenario | events | lost | doubled | healthy quarantined | 429 | 503 | ack p95 ms | normalized p95 ms | \
         drained s | recoveries unstarted | quarantined after s | $ a million |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    let or = |it: Option<f64>| it.map_or("-".to_owned(), |value| value.to_string());
    for it in reports {
        text += &format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {:.2} |\n",
            it.scenario,
            it.events,
            it.found.lost,
            it.found.doubled,
            it.found.healthy_quarantined,
            it.answered(429),
            it.unavailable(),
            it.acknowledged[1],
            it.normalized[1],
            or(it.drained_after),
            it.found.unstarted,
            or(it.quarantined_after),
            it.dollars_per_million(),
        );
    }
    text
}
