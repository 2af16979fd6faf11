//! Functions that are invoked by the clock, as EventBridge Scheduler does at a rate.
//!
//! Invariants: the first run is after one period; a run never overlaps the one before it; a run that fails is logged, and the next
//! comes at its time.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior};

use crate::functions::FunctionHost;
use crate::topology::{Schedule, Topology};

/// One schedule.
#[derive(Debug)]
pub(crate) struct Scheduled {
    name: String,
    period: Duration,
    function: String,
    input: Value,
    functions: FunctionHost,
}

impl Scheduled {
    /// Those of a checked topology.
    pub(crate) fn all(topology: &Topology, functions: &FunctionHost) -> Vec<Self> {
        let scheduled = |schedule: &Schedule| {
            Some(Self {
                name: schedule.name.clone(),
                period: Duration::from_secs(60 * u64::from(schedule.rate_minutes)),
                function: topology.function(&schedule.function)?.name.clone(),
                input: Value::Object(schedule.input.clone()),
                functions: functions.clone(),
            })
        };
        topology.schedules.iter().filter_map(scheduled).collect()
    }

    /// Works until it is dropped.
    pub(crate) async fn run(self) {
        let mut ticks = tokio::time::interval_at(Instant::now() + self.period, self.period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.functions.invoke(&self.function, self.input.clone()).await {
                tracing::error!(schedule = self.name, function = self.function, %error, "a scheduled run failed");
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is the test's failure")]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::{Arc, Mutex};

    use async_trait::async_trait;
    use serde_json::json;

    use super::*;
    use crate::functions::{FunctionError, Functions};

    struct Slow {
        started: Instant,
        runs: Mutex<Vec<(u64, Value)>>,
    }

    #[async_trait]
    impl Functions for Slow {
        async fn invoke(&self, _name: &str, payload: Value) -> Result<Value, FunctionError> {
            let run = {
                let mut runs = self.runs.lock().unwrap();
                runs.push((self.started.elapsed().as_secs(), payload));
                runs.len()
            };
            if run == 1 {
                return Err(FunctionError {
                    error_type: "Retryable".into(),
                    error_message: "arranged".into(),
                });
            }
            tokio::time::sleep(Duration::from_secs(90)).await;
            Ok(Value::Null)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn runs_come_after_a_period_never_overlap_and_survive_a_failure() {
        let mut topology: Value =
            serde_json::from_str(include_str!("../../../state-machines/topology.json")).unwrap();
        topology["schedules"] =
            json!([{"name": "s", "rateMinutes": 1, "function": "Apply", "input": {"a": 1}}]);
        for function in topology["functions"].as_array_mut().unwrap() {
            function["timeoutSeconds"] = if function["id"] == "Apply" { 100 } else { 5 }.into();
        }
        for queue in topology["queues"].as_array_mut().unwrap() {
            queue["visibilityTimeoutSeconds"] = 600.into();
        }
        let topology = Topology::parse(&topology.to_string()).unwrap();
        let slow = Arc::new(Slow { started: Instant::now(), runs: Mutex::default() });
        let host = FunctionHost::new(&topology, Arc::clone(&slow) as Arc<dyn Functions>, BTreeSet::new());
        for scheduled in Scheduled::all(&topology, &host) {
            tokio::spawn(scheduled.run());
        }
        tokio::time::sleep(Duration::from_secs(59)).await;
        assert!(slow.runs.lock().unwrap().is_empty());
        tokio::time::sleep(Duration::from_secs(301)).await;
        let runs = slow.runs.lock().unwrap();
        let at: Vec<u64> = runs.iter().map(|(at, _)| *at).collect();
        assert_eq!(at[..2], [60, 120], "a failure does not stop it");
        assert!(at.len() >= 3 && at[1..].windows(2).all(|pair| pair[1] - pair[0] >= 90), "{at:?}");
        assert_eq!(runs[0].1, json!({"a": 1}));
    }
}
