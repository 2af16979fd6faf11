//! What moves events from one service to the next: API Gateway, the ledger's stream, the bus,
//! queues with their pollers, pipes, and Reconcile.

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::agenda::{Detail, Happening, Ref};
use crate::books::{Event, NONE, Nature, Request, Status};
use crate::invocations::{Caller, Lambda, Record, Work};
use crate::limits::{Bucket, SECOND};
use crate::machines::{Machine, Starter};
use crate::quotas::Quotas;
use crate::random::mix;
use crate::scenario::{Scenario, Service, micros};
use crate::topology::{ModelError, Queue, Topology};
use crate::world::World;

/// Of all events, those of inventory; the others are orders, each of an entity of its own.
const INVENTORY_SHARE: f64 = 0.7;

/// API Gateway.
#[derive(Debug)]
pub(crate) struct Front {
    account: Bucket,
    stage: Bucket,
    plans: Vec<Bucket>,
    routes: [u16; 2],
    /// Deliveries that are still to be repeated.
    pub(crate) repeats: u64,
}

impl Front {
    pub(crate) fn new(topology: &Topology, scenario: &Scenario, quotas: &Quotas) -> Result<Self, ModelError> {
        let (rate, burst) =
            (quotas.value("api_gateway.requests_per_second")?, quotas.value("api_gateway.burst")?);
        let route = |event_type: &str| -> Result<u16, ModelError> {
            let missing = || ModelError::Missing { kind: "route for", id: event_type.to_owned() };
            let route = topology.routes.iter().find(|it| it.event_type == event_type).ok_or_else(missing)?;
            let queue = topology.queues.iter().position(|it| it.id == route.queue);
            queue.and_then(|queue| u16::try_from(queue).ok()).ok_or_else(missing)
        };
        Ok(Self {
            account: Bucket::new(rate, burst),
            stage: topology
                .api
                .map_or_else(|| Bucket::new(rate, burst), |api| Bucket::new(api.rate_per_second, api.burst)),
            plans: (0..scenario.vendors).map(|_| Bucket::new(scenario.plan.0, scenario.plan.1)).collect(),
            routes: [route("InventoryUpdated")?, route("OrderPlaced")?],
            repeats: 0,
        })
    }

    pub(crate) fn peak(&self) -> f64 {
        self.account.peak()
    }
}

/// One order of the stream: a shard, or a part of it by item.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    pub(crate) records: VecDeque<Record>,
    /// A poll is in the agenda, or a batch is under way.
    busy: bool,
    failures: u32,
}

/// A queue.
#[derive(Debug)]
pub(crate) struct QueueState {
    pub(crate) id: String,
    /// Event, and how often it was received.
    pub(crate) visible: VecDeque<(u32, u16)>,
    /// Received and not deleted.
    pub(crate) hidden: u64,
    visibility: u64,
    receives_max: Option<u32>,
    pub(crate) dead: u64,
}

impl QueueState {
    pub(crate) fn new(queue: &Queue) -> Self {
        Self {
            id: queue.id.clone(),
            visible: VecDeque::new(),
            hidden: 0,
            visibility: queue.visibility_timeout_seconds * SECOND,
            receives_max: queue.redrive.as_ref().map(|redrive| redrive.max_receive_count),
            dead: 0,
        }
    }
}

/// What a poller calls.
#[derive(Clone, Copy, Debug)]
enum Target {
    Function(usize),
    Machine(usize),
}

/// What reads a queue: an event source mapping, or a pipe.
#[derive(Debug)]
pub(crate) struct Poller {
    pub(crate) queue: usize,
    target: Target,
    batch: usize,
    running: u64,
    allowed: f64,
    grows: f64,
    most: f64,
    grown_at: u64,
}

impl Poller {
    /// One for each queue that has a route or a pipe.
    pub(crate) fn all(
        topology: &Topology,
        queues: &[QueueState],
        functions: &[Lambda],
        machines: &[Machine],
        quotas: &Quotas,
    ) -> Result<Vec<Self>, ModelError> {
        let queue = |id: &str| {
            let missing = || ModelError::Missing { kind: "queue", id: id.to_owned() };
            queues.iter().position(|queue| queue.id == id).ok_or_else(missing)
        };
        let of = |service: &str,
                  queue: usize,
                  target: Target,
                  batch: usize,
                  most: f64|
         -> Result<Self, ModelError> {
            Ok(Self {
                queue,
                target,
                batch: batch.max(1),
                running: 0,
                allowed: quotas.value(&format!("{service}.start_concurrency"))?.min(most),
                grows: quotas.value(&format!("{service}.scale_per_minute"))? / 60.0,
                most,
                grown_at: 0,
            })
        };
        let mut pollers: Vec<Self> = Vec::new();
        for route in &topology.routes {
            let queue = queue(&route.queue)?;
            if pollers.iter().any(|poller| poller.queue == queue) {
                continue;
            }
            let function = functions.iter().position(|function| function.id == "Apply");
            let function =
                function.ok_or(ModelError::Missing { kind: "function", id: "Apply".to_owned() })?;
            let most = quotas.value("sqs_mapping.concurrency")?;
            #[expect(clippy::cast_precision_loss, reason = "concurrency is small")]
            let most = route.maximum_concurrency.map_or(most, |own| own as f64);
            pollers.push(of("sqs_mapping", queue, Target::Function(function), route.batch_size, most)?);
        }
        for pipe in &topology.pipes {
            let machine = machines.iter().position(|machine| machine.id == pipe.state_machine);
            let missing = || ModelError::Missing { kind: "state machine", id: pipe.state_machine.clone() };
            let target = Target::Machine(machine.ok_or_else(missing)?);
            let most = quotas.value("pipes.concurrency")?;
            pollers.push(of("pipes", queue(&pipe.queue)?, target, pipe.batch_size, most)?);
        }
        Ok(pollers)
    }
}

impl World {
    /// A vendor sends the next event.
    pub(crate) fn arrive(&mut self) {
        let gap = self.random.gap(self.scenario.rate);
        if self.now + gap < self.scenario.end() {
            self.agenda.push(self.now + gap, Happening::Arrive);
        }
        let vendor = u32::try_from(self.random.below(u64::from(self.scenario.vendors))).unwrap_or(0);
        let id = self.books.events.len() as u64;
        let inventory = self.random.happens(INVENTORY_SHARE);
        let entities = if inventory {
            let hot = self.random.happens(self.scenario.hot_share);
            let article = |at: &mut Self| at.random.below(at.scenario.articles);
            let first = if hot { 0 } else { article(self) };
            let second = article(self);
            [first, if first == second { NONE } else { second }]
        } else {
            [(1 << 40) + id, NONE]
        };
        let nature = if self.scenario.mapper_missing && vendor == 0 {
            Nature::MapperMissing
        } else if self.random.happens(self.scenario.rejected) {
            Nature::Rejected
        } else {
            Nature::Healthy
        };
        let event = u32::try_from(id).unwrap_or(u32::MAX);
        self.books.events.push(Event {
            vendor,
            nature,
            route: self.front.routes[usize::from(!inventory)],
            entities,
            status: Status::Unknown,
            request: u32::MAX,
            rows: 0,
            acknowledged: false,
            received_at: 0,
            normalized_at: 0,
            ended_at: 0,
            applied: 0,
            dead_lettered: false,
            in_stream: 0,
            unstarted: false,
        });
        self.send(event);
        if self.random.happens(self.scenario.repeated) {
            self.front.repeats += 1;
            let after = SECOND + self.random.below(60 * SECOND);
            self.agenda.push(self.now + after, Happening::Repeat(event));
        }
    }

    pub(crate) fn repeat(&mut self, event: u32) {
        self.front.repeats -= 1;
        self.send(event);
    }

    fn send(&mut self, event: u32) {
        let request = u32::try_from(self.books.requests.len()).unwrap_or(u32::MAX);
        self.books.requests.push(Request { event, sent_at: self.now });
        self.counts.requests += 1;
        let vendor = self.books.event(event).vendor as usize;
        // Key, then stage, then account.
        let let_in = self.front.plans[vendor].take(self.now, 1.0)
            && self.front.stage.take(self.now, 1.0)
            && self.front.account.take(self.now, 1.0);
        if !let_in {
            return self.answered(request, 429);
        }
        let delay = self.latencies.api.draw(&mut self.random);
        self.agenda.push(self.now + delay, Happening::Begin(request));
    }

    /// API Gateway starts intake, and waits.
    pub(crate) fn begin(&mut self, request: u32) {
        if !self.starts.sync.enter() {
            self.counts.sync_throttled += 1;
            return self.answered(request, 503);
        }
        let Some(machine) = self.machine("Intake") else {
            return self.fail_model("there is no state machine Intake".to_owned());
        };
        let id = format!("R{request}");
        let input = json!({
            "method": "POST", "path": "/v1/events", "sourceIp": "203.0.113.9", "requestId": id,
            "headers": {"content-type": "application/json", "x-api-key": "key"}, "body": "e30=",
        });
        self.start(machine, id, input, Starter::Request(request));
    }

    /// Intake has ended.
    pub(crate) fn answer(&mut self, request: u32, status: u16) {
        self.starts.sync.leave();
        self.answered(request, status);
    }

    fn answered(&mut self, request: u32, status: u16) {
        let Request { event, sent_at } = self.books.requests[request as usize];
        let late = self.latencies.sync_start.draw(&mut self.random);
        let took = self.now - sent_at + if status < 400 { late } else { 0 };
        let status = if took > self.integration_timeout { 503 } else { status };
        *self.counts.answers.entry(status).or_default() += 1;
        match status {
            200 | 202 => {
                self.counts.acknowledged.push(u32::try_from(took).unwrap_or(u32::MAX));
                self.books.event(event).acknowledged = true;
            }
            500.. if self.now > 10 * SECOND => self.counts.late_unavailable += 1,
            _ => {}
        }
    }

    /// A row of the ledger has changed.
    pub(crate) fn record(&mut self, detail: Detail, event: u32) {
        if self.random.happens(self.scenario.records_lost) {
            self.counts.records_lost += 1;
            return;
        }
        let vendor = self.books.event(event).vendor;
        let shard = self.store.shard(vendor, event);
        let factor = self.topology.streams.first().and_then(|stream| stream.parallelization_factor);
        // In order by item ("ParallelizationFactor", Lambda with DynamoDB): a row's records stay in
        // one lane.
        let key = (shard, mix(u64::from(event), 21) % factor.unwrap_or(1).max(1));
        let lanes = &mut self.lanes;
        let lane = *self.lane_of.entry(key).or_insert_with(|| {
            lanes.push(Lane::default());
            u32::try_from(lanes.len() - 1).unwrap_or(0)
        });
        let written = self.now;
        self.books.event(event).in_stream += 1;
        let lane_state = &mut self.lanes[lane as usize];
        lane_state.records.push_back(Record { detail, event, at: written });
        if !lane_state.busy {
            lane_state.busy = true;
            let delay = self.latencies.stream.draw(&mut self.random) + self.random.below(SECOND / 4);
            self.agenda.push(self.now + delay, Happening::Poll(lane));
        }
    }

    /// Lambda reads a lane, and invokes Relay with what it finds.
    pub(crate) fn poll(&mut self, lane: u32) {
        if let Some((from, to)) = self.scenario.stream_stops
            && self.now >= micros(from)
            && self.now < micros(to)
        {
            let wait = self.random.below(SECOND);
            return self.agenda.push(micros(to) + wait, Happening::Poll(lane));
        }
        let Some(stream) = self.topology.streams.first() else { return };
        let oldest = stream.maximum_record_age_seconds.map_or(0, |age| self.now.saturating_sub(age * SECOND));
        let (most, failures) = (stream.batch_size, self.lanes[lane as usize].failures);
        let records = &mut self.lanes[lane as usize].records;
        while records.front().is_some_and(|record| record.at < oldest) {
            if let Some(record) = records.pop_front() {
                self.books.event(record.event).in_stream -= 1;
            }
            self.counts.records_dropped += 1;
        }
        // A batch that failed as a whole is halved.
        let size = (most >> failures.min(6)).max(1).min(records.len());
        let batch: Vec<Record> = records.iter().take(size).copied().collect();
        if batch.is_empty() {
            self.lanes[lane as usize].busy = false;
            return;
        }
        let Some(function) = self.function("Relay") else {
            return self.fail_model("there is no function Relay".to_owned());
        };
        if self.invoke(function, Work::relay(batch), Caller::Lane(lane)).is_err() {
            let wait = SECOND / 2 + self.random.below(SECOND);
            self.agenda.push(self.now + wait, Happening::Poll(lane));
        }
    }

    /// Relay has answered: everything before the first record that failed is done.
    pub(crate) fn lane_done(&mut self, lane: u32, records: usize, failed: Option<usize>) {
        let state = &mut self.lanes[lane as usize];
        for record in state.records.drain(..failed.unwrap_or(records).min(state.records.len())) {
            self.books.event(record.event).in_stream -= 1;
        }
        let wait = match failed {
            None => {
                state.failures = 0;
                3_000
            }
            Some(_) => {
                state.failures += 1;
                (SECOND << (state.failures - 1).min(6)).min(60 * SECOND)
            }
        };
        if state.records.is_empty() {
            state.busy = false;
        } else {
            self.agenda.push(self.now + wait, Happening::Poll(lane));
        }
    }

    /// An event is on the bus.
    pub(crate) fn publish(&mut self, detail: Detail, event: u32) {
        self.counts.events += 1;
        // Nothing here listens to event.quarantined.
        if detail == Detail::Quarantined {
            return;
        }
        let times = 1 + u32::from(self.random.happens(self.twice));
        for _ in 0..times {
            let delay =
                self.latencies.delivery.draw(&mut self.random) + self.bus_invocations.reserve(self.now, 1.0);
            self.agenda.push(self.now + delay, Happening::Deliver(detail, event));
        }
    }

    /// The bus gives an event to its rule's target.
    pub(crate) fn deliver(&mut self, detail: Detail, event: u32) {
        if self.trouble(Service::EventBridge).is_none() {
            return self.deliver_later(detail, event);
        }
        let queue = match detail {
            Detail::Normalized => Some(usize::from(self.books.event(event).route)),
            _ => {
                let rule = self.topology.rules.iter().find(|rule| rule.name == "normalize-accepted");
                let target = rule.map(|rule| rule.target.clone());
                match target {
                    Some(target) if target.state_machine.is_some() => {
                        let id = target.state_machine.unwrap_or_default();
                        return self.start_by_bus(&id, event);
                    }
                    Some(target) => {
                        let id = target.queue.unwrap_or_default();
                        self.queues.iter().position(|queue| queue.id == id)
                    }
                    None => None,
                }
            }
        };
        let Some(queue) = queue else {
            return self.fail_model("the rule normalize-accepted has no target that is simulated".to_owned());
        };
        if self.trouble(Service::Sqs).is_none() {
            return self.deliver_later(detail, event);
        }
        self.counts.queue_requests += 1;
        let delay = self.latencies.queue.draw(&mut self.random);
        let queue = u16::try_from(queue).unwrap_or(0);
        self.agenda.push(self.now + delay, Happening::Visible(queue, event, 0));
    }

    /// EventBridge tries for a day, slower and slower.
    fn deliver_later(&mut self, detail: Detail, event: u32) {
        let wait = SECOND + self.random.below(9 * SECOND);
        self.agenda.push(self.now + wait, Happening::Deliver(detail, event));
    }

    fn start_by_bus(&mut self, machine: &str, event: u32) {
        let Some(machine) = self.machine(machine) else {
            return self.fail_model(format!("there is no state machine {machine}"));
        };
        if self.trouble(Service::StepFunctions).is_none() || !self.starts.express.take(self.now, 1.0) {
            self.counts.express_throttled += 1;
            return self.deliver_later(Detail::Accepted, event);
        }
        let detail = self.detail(event);
        self.start(machine, format!("E{event}"), detail, Starter::Bus(event));
    }

    pub(crate) fn visible(&mut self, queue: u16, event: u32, receives: u16) {
        let state = &mut self.queues[usize::from(queue)];
        if receives > 0 {
            state.hidden -= 1;
        }
        state.visible.push_back((event, receives));
        let poller = self.pollers.iter().position(|poller| poller.queue == usize::from(queue));
        if let Some(poller) = poller.and_then(|poller| u16::try_from(poller).ok()) {
            self.pull(poller);
        }
    }

    /// A poller takes batches as long as there are messages, and it may.
    pub(crate) fn pull(&mut self, index: u16) {
        loop {
            let poller = &mut self.pollers[usize::from(index)];
            let queue = &mut self.queues[poller.queue];
            if queue.visible.is_empty() {
                return;
            }
            // More pollers as long as there is more to poll.
            #[expect(clippy::cast_precision_loss, reason = "concurrency and seconds are small")]
            if poller.running as f64 + 1.0 > poller.allowed {
                let passed = (self.now - poller.grown_at).min(SECOND) as f64 / 1e6;
                poller.allowed = (poller.allowed + passed * poller.grows).min(poller.most);
                poller.grown_at = self.now;
                if poller.running as f64 + 1.0 > poller.allowed {
                    return;
                }
            }
            let mut batch = Vec::new();
            while batch.len() < poller.batch
                && let Some((event, receives)) = queue.visible.pop_front()
            {
                if queue.receives_max.is_some_and(|most| u32::from(receives) >= most) {
                    queue.dead += 1;
                    let held = self.books.event(event);
                    if held.applied == 0 {
                        held.dead_lettered = true;
                        self.books.end(event, self.now);
                    }
                    continue;
                }
                queue.hidden += 1;
                batch.push((event, receives + 1));
            }
            if batch.is_empty() {
                return;
            }
            // Received, and deleted at the end.
            self.counts.queue_requests += 2;
            poller.running += 1;
            match poller.target {
                Target::Function(function) => {
                    if let Err(work) = self.invoke(function, Work::apply(batch), Caller::Poller(index)) {
                        let (received, failed) = match work {
                            Work::Apply(applying) => (applying.messages.len(), applying.messages),
                            _ => (0, Vec::new()),
                        };
                        self.finish_batch(index, received, &failed);
                        return;
                    }
                }
                Target::Machine(machine) => self.start_by_pipe(index, machine, batch),
            }
        }
    }

    fn start_by_pipe(&mut self, poller: u16, machine: usize, batch: Vec<(u32, u16)>) {
        self.counts.pipe_requests += batch.len() as u64;
        if !self.starts.sync.enter() {
            self.counts.sync_throttled += 1;
            let received = batch.len();
            return self.finish_batch(poller, received, &batch);
        }
        let mut items = Vec::with_capacity(batch.len());
        // A message of a recovery to be started has the execution's name and input, as normalize wrote it.
        let recovers = self.machines[machine].id == "StartRecover";
        for (event, receives) in &batch {
            let detail = self.detail(*event);
            let id = format!("E{event}");
            let body = if recovers {
                let failure = json!({"error": "mapper_refused", "cause": "waits for a redrive"});
                let name = format!("{}.{id}-0", detail["vendorId"].as_str().unwrap_or_default());
                json!({"name": name, "input": {"event": detail, "error": {}, "failure": failure}})
            } else {
                detail
            };
            items.push(json!({
                "messageId": id, "body": body.to_string(),
                "attributes": {"ApproximateReceiveCount": receives.to_string()},
            }));
        }
        let slot = self.batches.insert(batch);
        self.start(machine, String::new(), Value::Array(items), Starter::Pipe(poller, slot));
    }

    /// A pipe's execution has ended. What it names in `batchItemFailures` comes again; without an
    /// output, everything does.
    pub(crate) fn pipe_done(&mut self, poller: u16, batch: Ref, output: Option<&Value>) {
        self.starts.sync.leave();
        let Some(batch) = self.batches.remove(batch) else { return };
        let failed: Vec<(u32, u16)> = match output {
            None => batch.clone(),
            Some(output) => {
                let listed = output["batchItemFailures"].as_array();
                let ids: Vec<u32> = listed
                    .into_iter()
                    .flatten()
                    .filter_map(|item| crate::machines::number(&item["itemIdentifier"]))
                    .collect();
                batch.iter().filter(|(event, _)| ids.contains(event)).copied().collect()
            }
        };
        self.batch_done(poller, batch.len(), &failed);
    }

    /// A batch has ended; what failed comes again once its visibility time-out is over.
    pub(crate) fn batch_done(&mut self, index: u16, received: usize, failed: &[(u32, u16)]) {
        self.finish_batch(index, received, failed);
        self.agenda.push(self.now, Happening::Pull(index));
    }

    fn finish_batch(&mut self, index: u16, received: usize, failed: &[(u32, u16)]) {
        let poller = &mut self.pollers[usize::from(index)];
        poller.running -= 1;
        let number = u16::try_from(poller.queue).unwrap_or(0);
        let queue = &mut self.queues[poller.queue];
        queue.hidden -= (received - failed.len()) as u64;
        for (event, receives) in failed {
            self.agenda.push(self.now + queue.visibility, Happening::Visible(number, *event, *receives));
        }
    }

    /// Reconcile: runs again what is RECEIVED for too long, then counts the hours.
    pub(crate) fn reconcile(&mut self) {
        let every = self.topology.schedules.iter().find(|it| it.function == "Reconcile");
        let every = every.map_or(300, |schedule| schedule.rate_minutes * 60) * SECOND;
        self.agenda.push(self.now + every, Happening::Reconcile);
        let before = self.now.saturating_sub(self.stuck);
        let each = self.latencies.start_execution.mean();
        let mut at = self.now + SECOND;
        let begin = self.stuck_after;
        let stuck: Vec<(u64, u32)> =
            self.received.range(begin..).take_while(|(since, _)| *since <= before).copied().collect();
        let again = self.received.range(..begin).take_while(|(since, _)| *since <= before).copied();
        self.stuck_after = (0, 0);
        let most = usize::try_from(self.reruns_max).unwrap_or(usize::MAX);
        for (asked, (since, event)) in stuck.into_iter().chain(again.collect::<Vec<_>>()).enumerate() {
            if asked >= most {
                self.stuck_after = (since, event);
                break;
            }
            at += each;
            self.agenda.push(at, Happening::Rerun(event));
        }
        let time = at - self.now + self.counting();
        self.counts.reconcile_runs += 1;
        if let Some(function) = self.function("Reconcile") {
            // A second run at once is throttled: it would only do the first one's work again.
            let _ = self.invoke(function, Work::Reconcile(time), Caller::Schedule);
        }
    }

    /// How long counting the current hour and the last one takes: rows by eight queries at once,
    /// objects by two listings, one page after another (`crates/aws/src/books.rs`).
    fn counting(&mut self) -> u64 {
        let hour = 3_600 * SECOND;
        let (now, rows) = (self.now, self.books.accepted);
        let pages = (rows + self.scenario.rows_before).div_ceil(1_000);
        self.store.used.lists += 2 * pages;
        let page = self.latencies.list_page.mean();
        // Two listings, of raw and of normalized objects; a query's page takes two fifths of a
        // listing's.
        let time = 2 * pages * page + pages.div_ceil(8) * page * 2 / 5;
        // What lies back an hour is not counted here: the hour before the scenario is taken to be
        // closed.
        time + u64::from(now > hour) * page
    }

    pub(crate) fn rerun(&mut self, event: u32) {
        if self.books.event(event).status != Status::Received {
            return;
        }
        let window = self.now / self.stuck;
        let name = format!("E{event}-{window}");
        let Some(machine) = self.machine("Recover") else { return };
        if self.starts.names.contains(&name) {
            return;
        }
        if !self.starts.standard.take(self.now, 1.0) {
            self.counts.standard_throttled += 1;
            return;
        }
        self.starts.names.insert(name.clone());
        self.counts.reruns += 1;
        if self.books.event(event).in_stream > 0 {
            self.counts.reruns_of_late += 1;
        }
        let mut detail = self.detail(event);
        detail["replay"] = window.into();
        self.start(machine, name, json!({"event": detail}), Starter::Recovery);
    }
}
