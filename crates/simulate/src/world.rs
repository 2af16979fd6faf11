//! The simulated account: everything there is, the clock, and what happens next.

use std::collections::BTreeSet;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::agenda::{Agenda, Happening, Ref, Slab};
use crate::books::Books;
use crate::flow::{Front, Lane, Poller, QueueState};
use crate::invocations::{Invocation, Lambda};
use crate::limits::{Bucket, Concurrency, SECOND};
use crate::machines::{self, Machine, Run};
use crate::quotas::Quotas;
use crate::random::{Latency, Random};
use crate::scenario::{Scenario, Service, Trouble, micros};
use crate::store::Store;
use crate::topology::{Deployment, ModelError, Topology};

/// What was done, for the bill and the report.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) requests: u64,
    /// Express and Standard executions.
    pub(crate) starts: [u64; 2],
    pub(crate) transitions: u64,
    /// Megabyte-milliseconds of Express executions.
    pub(crate) express_gb_ms: u64,
    pub(crate) express_throttled: u64,
    pub(crate) standard_throttled: u64,
    pub(crate) sync_throttled: u64,
    pub(crate) put_events: u64,
    pub(crate) events: u64,
    pub(crate) queue_requests: u64,
    pub(crate) pipe_requests: u64,
    pub(crate) records_lost: u64,
    pub(crate) records_dropped: u64,
    pub(crate) conflicts: u64,
    pub(crate) reconcile_runs: u64,
    pub(crate) reconcile_timed_out: u64,
    pub(crate) reruns: u64,
    /// Reruns of events whose record was still to be delivered.
    pub(crate) reruns_of_late: u64,
    /// Answers by status.
    pub(crate) answers: std::collections::BTreeMap<u16, u64>,
    /// Microseconds from request to answer, of 200 and 202.
    pub(crate) acknowledged: Vec<u32>,
    /// Answers of 5xx later than this many seconds: after everything is warm.
    pub(crate) late_unavailable: u64,
}

/// What Step Functions lets start.
#[derive(Debug)]
pub(crate) struct Starts {
    pub(crate) express: Bucket,
    pub(crate) standard: Bucket,
    pub(crate) transitions: Bucket,
    pub(crate) sync: Concurrency,
    /// Names of Standard executions.
    pub(crate) names: FxHashSet<String>,
}

#[derive(Debug)]
pub(crate) struct Latencies {
    pub(crate) api: Latency,
    pub(crate) sync_start: Latency,
    pub(crate) task: Latency,
    pub(crate) cold_start: Latency,
    pub(crate) put_events: Latency,
    pub(crate) delivery: Latency,
    pub(crate) queue: Latency,
    pub(crate) stream: Latency,
    pub(crate) start_execution: Latency,
    pub(crate) list_page: Latency,
}

/// One point of the series.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    pub(crate) second: f64,
    pub(crate) open: u64,
    pub(crate) stream: u64,
    pub(crate) queued: u64,
    pub(crate) normalizing: u64,
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
    pub(crate) unavailable: u64,
    pub(crate) ended: u64,
}

/// Everything.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) agenda: Agenda,
    pub(crate) random: Random,
    pub(crate) scenario: Scenario,
    pub(crate) topology: Topology,
    pub(crate) books: Books,
    pub(crate) counts: Counts,
    pub(crate) machines: Vec<Machine>,
    pub(crate) runs: Slab<Run>,
    pub(crate) inputs: Slab<(Ref, sluice_asl::InputKind)>,
    pub(crate) functions: Vec<Lambda>,
    pub(crate) invocations: Slab<Invocation>,
    pub(crate) unreserved: Concurrency,
    pub(crate) store: Store,
    pub(crate) front: Front,
    pub(crate) starts: Starts,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) lane_of: FxHashMap<(u64, u64), u32>,
    pub(crate) bus_put: Bucket,
    pub(crate) bus_invocations: Bucket,
    pub(crate) queues: Vec<QueueState>,
    pub(crate) pollers: Vec<Poller>,
    pub(crate) batches: Slab<Vec<(u32, u16)>>,
    /// Events that are RECEIVED, oldest first.
    pub(crate) received: BTreeSet<(u64, u32)>,
    /// Where Reconcile goes on, and the names of its reruns.
    pub(crate) stuck_after: (u64, u32),
    pub(crate) series: Vec<Sample>,
    pub(crate) latencies: Latencies,
    pub(crate) lambda_idle: u64,
    pub(crate) sdk_attempts: u64,
    pub(crate) sdk_wait: u64,
    pub(crate) relay_chunks: usize,
    pub(crate) apply_conflicts: u64,
    pub(crate) stuck: u64,
    pub(crate) reruns_max: u64,
    pub(crate) integration_timeout: u64,
    pub(crate) twice: f64,
    fault: Option<String>,
}

impl World {
    pub(crate) fn new(
        scenario: Scenario,
        deployment: &Deployment,
        quotas: &Quotas,
        seed: u64,
    ) -> Result<Self, ModelError> {
        let mut topology = deployment.topology.clone();
        topology.complete(quotas)?;
        let latency = |name: &str| quotas.latency(name);
        let mut functions = topology
            .functions
            .iter()
            .map(|function| Lambda::new(function, quotas))
            .collect::<Result<Vec<_>, _>>()?;
        let reserved: u64 = topology.functions.iter().filter_map(|it| it.reserved_concurrency).sum();
        let account = quotas.whole("lambda.account_concurrency")?;
        if !scenario.cold {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rates are positive")]
            let warm = (scenario.rate * 0.15).ceil() as u64;
            for function in &mut functions {
                let most = if function.is_reserved() { 200 } else { 400 };
                function.warm(warm.min(most));
            }
        }
        let rate = |name: &str| quotas.value(&format!("step_functions.{name}"));
        let starts = Starts {
            express: Bucket::new(rate("express_start_rate")?, rate("express_start_burst")?),
            standard: Bucket::new(rate("standard_start_rate")?, rate("standard_start_burst")?),
            transitions: Bucket::new(rate("transition_rate")?, rate("transition_burst")?),
            sync: Concurrency::new(quotas.whole("step_functions.sync_concurrency")?),
            names: FxHashSet::default(),
        };
        let per_second = |name: &str| quotas.value(name).map(|rate| Bucket::new(rate, rate));
        let queues: Vec<QueueState> = topology.queues.iter().map(QueueState::new).collect();
        let machines = machines::load(deployment)?;
        let pollers = Poller::all(&topology, &queues, &functions, &machines, quotas)?;
        Ok(Self {
            now: 0,
            agenda: Agenda::default(),
            random: Random::new(seed),
            books: Books::default(),
            counts: Counts::default(),
            machines,
            runs: Slab::default(),
            inputs: Slab::default(),
            functions,
            invocations: Slab::default(),
            unreserved: Concurrency::new(account.saturating_sub(reserved)),
            store: Store::new(&topology, quotas)?,
            front: Front::new(&topology, &scenario, quotas)?,
            starts,
            lanes: Vec::new(),
            lane_of: FxHashMap::default(),
            bus_put: per_second("eventbridge.put_events_per_second")?,
            bus_invocations: per_second("eventbridge.invocations_per_second")?,
            queues,
            pollers,
            batches: Slab::default(),
            received: BTreeSet::new(),
            stuck_after: (0, 0),
            series: Vec::new(),
            latencies: Latencies {
                api: latency("api_gateway")?,
                sync_start: latency("sync_start")?,
                task: latency("task")?,
                cold_start: latency("cold_start")?,
                put_events: latency("put_events")?,
                delivery: latency("event_delivery")?,
                queue: latency("queue")?,
                stream: latency("stream")?,
                start_execution: latency("start_execution")?,
                list_page: latency("list_page")?,
            },
            lambda_idle: quotas.whole("lambda.idle_seconds")? * SECOND,
            sdk_attempts: quotas.whole("sdk.attempts")?,
            sdk_wait: quotas.whole("sdk.first_wait_ms")? * 1_000,
            relay_chunks: usize::try_from(quotas.whole("design.relay_chunks_at_once")?).unwrap_or(1).max(1),
            apply_conflicts: quotas.whole("design.apply_conflicts")?,
            stuck: quotas.whole("design.stuck_seconds")? * SECOND,
            reruns_max: quotas.whole("design.reruns")?,
            integration_timeout: quotas.whole("api_gateway.integration_timeout_ms")? * 1_000,
            twice: quotas.value("eventbridge.twice_in_a_million")? / 1e6,
            scenario,
            topology,
            fault: None,
        })
    }

    pub(crate) fn function(&self, id: &str) -> Option<usize> {
        self.functions.iter().position(|function| function.id == id)
    }

    pub(crate) fn machine(&self, id: &str) -> Option<usize> {
        self.machines.iter().position(|machine| machine.id == id)
    }

    /// What the model cannot do ends the simulation, and is reported: never a silent gap.
    pub(crate) fn fail_model(&mut self, why: String) {
        self.fault.get_or_insert(why);
    }

    /// How much longer a call of a service takes; `None`: it fails.
    pub(crate) fn trouble(&mut self, service: Service) -> Option<u64> {
        let mut longer = 0;
        for index in 0..self.scenario.faults.len() {
            let fault = self.scenario.faults[index];
            if fault.service != service || self.now < micros(fault.from) || self.now >= micros(fault.to) {
                continue;
            }
            match fault.trouble {
                Trouble::Slow(ms) => longer += ms * 1_000,
                Trouble::Throttled(share) if self.random.happens(share) => return None,
                Trouble::Throttled(_) => {}
                Trouble::Down => return None,
            }
        }
        Some(longer)
    }

    /// Runs until everything has come to its end, or the scenario's longest time is over.
    pub(crate) fn run(&mut self) -> Result<(), ModelError> {
        self.agenda.push(0, Happening::Arrive);
        self.agenda.push(0, Happening::Sample);
        for schedule in self.topology.schedules.clone() {
            if schedule.function == "Reconcile" {
                self.agenda.push(schedule.rate_minutes * 60 * SECOND, Happening::Reconcile);
            }
        }
        let last = micros(self.scenario.seconds_max);
        while let Some((at, what)) = self.agenda.pop() {
            if at > last {
                break;
            }
            self.now = at;
            self.happen(what);
            if let Some(why) = self.fault.take() {
                return Err(ModelError::Unsupported(why));
            }
            if self.is_over() {
                break;
            }
        }
        self.sample();
        Ok(())
    }

    /// Nothing is sent any more, and nothing is under way but what waits for a person.
    fn is_over(&self) -> bool {
        self.now > self.scenario.end()
            && self.books.open == 0
            && self.runs.len() == 0
            && self.invocations.len() == 0
            && self.front.repeats == 0
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Arrive => self.arrive(),
            Happening::Repeat(event) => self.repeat(event),
            Happening::Begin(request) => self.begin(request),
            Happening::Timer(run, timer) => self.timer(run, timer),
            Happening::Task(run, task) => self.task(run, task),
            Happening::Input(slot) => self.delayed_input(slot),
            Happening::Ready(invocation) => self.ready(invocation),
            Happening::Step(invocation) => self.step(invocation),
            Happening::Again(invocation) => self.again(invocation),
            Happening::Expire(invocation) => self.expire(invocation),
            Happening::Poll(lane) => self.poll(lane),
            Happening::Deliver(detail, event) => self.deliver(detail, event),
            Happening::Visible(queue, event, receives) => self.visible(queue, event, receives),
            Happening::Pull(poller) => self.pull(poller),
            Happening::Reconcile => self.reconcile(),
            Happening::Rerun(event) => self.rerun(event),
            Happening::Sample => {
                self.sample();
                // Every second at first; every minute of what takes hours.
                let after = if self.now < self.scenario.end() + 600 * SECOND { SECOND } else { 60 * SECOND };
                self.agenda.push(self.now + after, Happening::Sample);
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "days of microseconds fit a double")]
    fn sample(&mut self) {
        let of = |from: u16, to: u16| -> u64 {
            self.counts.answers.range(from..to).map(|(_, count)| *count).sum()
        };
        let sample = Sample {
            second: self.now as f64 / 1e6,
            open: self.books.open,
            stream: self.lanes.iter().map(|lane| lane.records.len() as u64).sum(),
            queued: self.queues.iter().map(|queue| queue.visible.len() as u64 + queue.hidden).sum(),
            normalizing: self.function("Normalize").map_or(0, |it| self.functions[it].running.now()),
            accepted: self.books.accepted,
            refused: of(429, 430),
            unavailable: of(500, 600),
            ended: self.books.accepted - self.books.open,
        };
        self.series.push(sample);
    }
}
