//! Scenarios by name: what is sent, and what goes wrong meanwhile.

use crate::limits::SECOND;

/// A service of AWS that can be at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Functions cannot be invoked.
    Lambda,
    /// Tables.
    DynamoDb,
    /// Buckets.
    S3,
    /// The bus.
    EventBridge,
    /// Queues.
    Sqs,
    /// Starts of executions by the bus.
    StepFunctions,
}

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trouble {
    /// Every call takes so much longer, in milliseconds.
    Slow(u64),
    /// This share of all calls is throttled.
    Throttled(f64),
    /// Every call fails with a server error.
    Down,
}

/// A fault of a service for a while, in seconds since the beginning.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Which service.
    pub service: Service,
    /// What is wrong with it.
    pub trouble: Trouble,
    /// Since when.
    pub from: f64,
    /// Until when.
    pub to: f64,
}

/// One load with its faults.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub(crate) name: String,
    pub(crate) about: &'static str,
    pub(crate) region: String,
    /// Events a second, for how many seconds.
    pub(crate) rate: f64,
    pub(crate) seconds: f64,
    pub(crate) vendors: u32,
    /// A vendor's usage plan: requests a second, and burst.
    pub(crate) plan: (f64, f64),
    /// Deliveries that repeat an event, as a part of the events.
    pub(crate) repeated: f64,
    /// Nothing has run before: every environment starts cold.
    pub(crate) cold: bool,
    /// Articles that inventory is spoken of, and the share of all that speaks of the first one.
    pub(crate) articles: u64,
    pub(crate) hot_share: f64,
    /// Share of events that the mapper rejects.
    pub(crate) rejected: f64,
    /// Whether vendor 0 has no mapper.
    pub(crate) mapper_missing: bool,
    /// Share of the stream's records that are lost.
    pub(crate) records_lost: f64,
    /// The stream delivers nothing between these seconds.
    pub(crate) stream_stops: Option<(f64, f64)>,
    /// Rows that the current hour has from before, for Reconcile.
    pub(crate) rows_before: u64,
    pub(crate) faults: Vec<Fault>,
    /// After so many seconds nothing is waited for any more.
    pub(crate) seconds_max: f64,
}

/// Names of all scenarios, in the order of the table.
pub const NAMES: [&str; 11] = [
    "steady",
    "one-vendor",
    "burst",
    "burst-one-vendor",
    "slow-store",
    "mass-failure",
    "misconfigured",
    "hot-article",
    "stale-stream",
    "region-small",
    "full-hour",
];

/// There is no such scenario.
#[derive(Debug, thiserror::Error)]
#[error("there is no scenario {0:?}; there are {names}", names = NAMES.join(", "))]
pub struct UnknownScenario(String);

impl Scenario {
    /// By name.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn named(name: &str) -> Result<Self, UnknownScenario> {
        let base = Self::of(500.0, 600.0, 20);
        let mut it = match name {
            "steady" => Self { about: "500/s of 20 vendors for 10 min", ..base },
            "one-vendor" => Self { about: "500/s of one vendor for 10 min", ..Self::of(500.0, 600.0, 1) },
            "burst" => Self {
                about: "5,000/s of 20 vendors for 60 s, nothing warm",
                cold: true,
                ..Self::of(5_000.0, 60.0, 20)
            },
            "burst-one-vendor" => Self {
                about: "5,000/s of one vendor for 60 s, nothing warm",
                cold: true,
                ..Self::of(5_000.0, 60.0, 1)
            },
            "slow-store" => Self {
                about: "500/s; for 5 min S3 takes 200 ms more a call, so that normalizing takes 450 ms",
                faults: vec![Fault {
                    service: Service::S3,
                    trouble: Trouble::Slow(200),
                    from: 60.0,
                    to: 360.0,
                }],
                ..base
            },
            "mass-failure" => {
                Self { about: "500/s, every event rejected by its mapper, for 10 min", rejected: 1.0, ..base }
            }
            "misconfigured" => {
                Self { about: "500/s; one vendor of twenty has no mapper", mapper_missing: true, ..base }
            }
            "hot-article" => Self {
                about: "500/s; every fifth line of inventory speaks of one article",
                hot_share: 0.2,
                ..base
            },
            "stale-stream" => Self {
                about: "100/s for 30 min; the stream stands still for 20, and loses a record of 10,000",
                rate: 100.0,
                seconds: 1_800.0,
                stream_stops: Some((60.0, 1_260.0)),
                records_lost: 1e-4,
                ..base
            },
            "region-small" => Self {
                about: "2,500/s of 20 vendors for 60 s in eu-central-1",
                region: "eu-central-1".to_owned(),
                ..Self::of(2_500.0, 60.0, 20)
            },
            "full-hour" => Self {
                about: "500/s at the end of an hour of it: what Reconcile counts",
                rows_before: 1_800_000,
                ..base
            },
            other => return Err(UnknownScenario(other.to_owned())),
        };
        name.clone_into(&mut it.name);
        Ok(it)
    }

    pub(crate) fn of(rate: f64, seconds: f64, vendors: u32) -> Self {
        let each = rate / f64::from(vendors);
        Self {
            name: String::new(),
            about: "",
            region: "us-east-1".to_owned(),
            rate,
            seconds,
            vendors,
            // Twice what the vendor sends; API Gateway's own plan and quota bound the sum.
            plan: (each * 2.0, (each * 2.0).max(100.0)),
            repeated: 0.02,
            cold: false,
            articles: 20_000,
            hot_share: 0.0,
            rejected: 0.0,
            mapper_missing: false,
            records_lost: 0.0,
            stream_stops: None,
            rows_before: 0,
            faults: Vec::new(),
            seconds_max: 48.0 * 3_600.0,
        }
    }

    /// The same load for `share` of the time, faults and all: for tests.
    #[must_use]
    pub fn shortened(mut self, share: f64) -> Self {
        self.seconds *= share;
        for fault in &mut self.faults {
            fault.from *= share;
            fault.to *= share;
        }
        if let Some((from, to)) = &mut self.stream_stops {
            *from *= share;
            *to *= share;
        }
        self
    }

    /// Another rate of events a second; plans grow with it.
    #[must_use]
    pub fn at_rate(mut self, rate: f64) -> Self {
        let factor = rate / self.rate;
        self.rate = rate;
        self.plan = (self.plan.0 * factor, (self.plan.1 * factor).max(100.0));
        self
    }

    /// With another fault of a service.
    #[must_use]
    pub fn with_fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// With this share of the stream's records lost.
    #[must_use]
    pub fn losing_records(mut self, share: f64) -> Self {
        self.records_lost = share;
        self
    }

    /// In another Region.
    #[must_use]
    pub fn in_region(mut self, region: &str) -> Self {
        region.clone_into(&mut self.region);
        self
    }

    /// The Region that it runs in.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    pub(crate) fn end(&self) -> u64 {
        micros(self.seconds)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "times are positive")]
pub(crate) fn micros(seconds: f64) -> u64 {
    (seconds * SECOND as f64) as u64
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn every_name_is_a_scenario_and_an_unknown_one_says_which_there_are() {
        for name in NAMES {
            let scenario = Scenario::named(name).unwrap();
            assert_eq!(scenario.name, name);
            assert!(!scenario.about.is_empty());
        }
        let error = Scenario::named("storm").unwrap_err().to_string();
        assert!(error.contains("storm") && error.contains("mass-failure"), "{error}");
    }
}
