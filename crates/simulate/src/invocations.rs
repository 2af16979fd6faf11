//! Lambda: concurrency, environments, cold starts, time-outs; and what each function calls, one
//! call after another.
//!
//! The functions' own code is not run. Their calls are those of `functions/*` and `crates/aws`;
//! each is tried as often as the SDK does, and what fails then is `Retryable`, as the functions
//! classify it.

use std::collections::VecDeque;

use serde_json::{Value, json};
use sluice_asl::{InputKind, TaskId};

use crate::agenda::{Detail, Happening, Ref};
use crate::applying::{Applying, Stage};
use crate::books::{Committed, Nature, Status};
use crate::limits::{Bucket, Concurrency, SECOND};
use crate::quotas::Quotas;
use crate::random::{Latency, mix};
use crate::scenario::Service;
use crate::store::Change;
use crate::topology::{Function, ModelError};
use crate::world::World;

/// A deployed function.
#[derive(Debug)]
pub(crate) struct Lambda {
    pub(crate) id: String,
    timeout: u64,
    memory_mb: u64,
    reserved: Option<Concurrency>,
    /// Idle environments, by when they were used last; the newest is used first.
    idle: VecDeque<u64>,
    environments: Bucket,
    requests: Bucket,
    own: Latency,
    pub(crate) running: Concurrency,
    pub(crate) invocations: u64,
    pub(crate) throttled: u64,
    pub(crate) cold: u64,
    pub(crate) timed_out: u64,
    pub(crate) gb_ms: f64,
}

impl Lambda {
    pub(crate) fn new(function: &Function, quotas: &Quotas) -> Result<Self, ModelError> {
        let account = quotas.whole("lambda.account_concurrency")?;
        let most = function.reserved_concurrency.unwrap_or(account);
        #[expect(clippy::cast_precision_loss, reason = "concurrency is small")]
        let requests = most as f64 * quotas.value("lambda.requests_per_concurrency")?;
        let environments = quotas.value("lambda.scale_environments")?;
        let name = match function.id.as_str() {
            "PersistRaw" => "persist_raw".to_owned(),
            id => id.to_lowercase(),
        };
        let own = quotas.latency(&name).or_else(|_| quotas.latency("quarantine"))?;
        Ok(Self {
            id: function.id.clone(),
            timeout: function.timeout_seconds * SECOND,
            memory_mb: function.memory_mb,
            reserved: function.reserved_concurrency.map(Concurrency::new),
            idle: VecDeque::new(),
            environments: Bucket::new(environments / quotas.value("lambda.scale_seconds")?, environments),
            requests: Bucket::new(requests, requests),
            own,
            running: Concurrency::new(u64::MAX),
            invocations: 0,
            throttled: 0,
            cold: 0,
            timed_out: 0,
            gb_ms: 0.0,
        })
    }

    pub(crate) fn is_reserved(&self) -> bool {
        self.reserved.is_some()
    }

    /// Environments that are there from before.
    pub(crate) fn warm(&mut self, count: u64) {
        self.idle.extend((0..count).map(|_| 0));
    }
}

/// Who invoked a function.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Caller {
    Task(Ref, u64),
    Lane(u32),
    Poller(u16),
    Schedule,
}

/// A record of the ledger's stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) detail: Detail,
    pub(crate) event: u32,
    pub(crate) at: u64,
}

/// What a function is asked.
#[derive(Debug)]
pub(crate) enum Work {
    Accept(u32),
    Persist(u32),
    Normalize(u32),
    Quarantine(u32),
    Release(u32),
    /// Whether an execution that waits for a person may go on.
    Await {
        redriven: bool,
    },
    Relay(Relaying),
    Apply(Box<Applying>),
    /// Nothing but time.
    Reconcile(u64),
}

/// A batch of records on its way to the bus.
#[derive(Debug)]
pub(crate) struct Relaying {
    pub(crate) records: Vec<Record>,
    /// Records that were put, or were not taken.
    done: usize,
    first_failed: Option<usize>,
}

impl Work {
    pub(crate) fn relay(records: Vec<Record>) -> Self {
        Self::Relay(Relaying { records, done: 0, first_failed: None })
    }

    pub(crate) fn apply(messages: Vec<(u32, u16)>) -> Self {
        Self::Apply(Box::new(Applying::new(messages)))
    }
}

/// How an invocation ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    Payload(Value),
    Error(&'static str, &'static str),
}

/// A running invocation.
#[derive(Debug)]
pub(crate) struct Invocation {
    function: usize,
    work: Work,
    caller: Caller,
    started_at: u64,
    phase: u32,
    attempt: u8,
    /// Whether the call that is under way will succeed.
    succeeds: bool,
}

/// What an invocation does next.
enum Next {
    Wait(u64),
    Call(Service, Option<u64>),
    End(Outcome),
}

const RETRYABLE: Outcome = Outcome::Error("Retryable", "{\"code\":\"throttled\"}");

impl World {
    /// Invokes a function, or is throttled.
    pub(crate) fn invoke(&mut self, function: usize, work: Work, caller: Caller) -> Result<(), Work> {
        let now = self.now;
        if self.trouble(Service::Lambda).is_none() {
            self.functions[function].throttled += 1;
            return Err(work);
        }
        let idle_from = now.saturating_sub(self.lambda_idle);
        let lambda = &mut self.functions[function];
        while lambda.idle.front().is_some_and(|used| *used < idle_from) {
            lambda.idle.pop_front();
        }
        let slots = lambda.reserved.as_mut().unwrap_or(&mut self.unreserved);
        let free = lambda.requests.take(now, 1.0)
            && slots.enter()
            && (!lambda.idle.is_empty() || lambda.environments.take(now, 1.0) || {
                slots.leave();
                false
            });
        if !free {
            lambda.throttled += 1;
            return Err(work);
        }
        let _ = lambda.running.enter();
        lambda.invocations += 1;
        let delay = if lambda.idle.pop_back().is_some() {
            1_000
        } else {
            lambda.cold += 1;
            self.latencies.cold_start.draw(&mut self.random)
        };
        let invocation = Invocation {
            function,
            work,
            caller,
            started_at: now + delay,
            phase: 0,
            attempt: 0,
            succeeds: true,
        };
        let at = self.invocations.insert(invocation);
        self.agenda.push(now + delay, Happening::Ready(at));
        Ok(())
    }

    /// The handler begins, with its own work.
    pub(crate) fn ready(&mut self, at: Ref) {
        let Some(invocation) = self.invocations.get_mut(at) else { return };
        let function = &self.functions[invocation.function];
        let own = function.own.draw(&mut self.random);
        self.agenda.push(self.now + function.timeout, Happening::Expire(at));
        self.agenda.push(self.now + own, Happening::Step(at));
    }

    /// The function's time is out. What it had asked a service for is done all the same.
    pub(crate) fn expire(&mut self, at: Ref) {
        let Some(mut invocation) = self.invocations.take(at) else { return };
        if invocation.succeeds && invocation.phase > 0 {
            self.landed(&mut invocation);
        }
        self.functions[invocation.function].timed_out += 1;
        let cause = "{\"errorType\":\"Sandbox.Timedout\",\"errorMessage\":\"Task timed out\"}";
        self.settle(at, invocation, Outcome::Error("Sandbox.Timedout", cause));
    }

    /// A call has come back: with its effect, or to be tried again.
    pub(crate) fn step(&mut self, at: Ref) {
        let Some(mut invocation) = self.invocations.take(at) else { return };
        if invocation.succeeds {
            if invocation.phase > 0 {
                self.landed(&mut invocation);
            }
            invocation.phase += 1;
            invocation.attempt = 0;
        } else {
            invocation.attempt += 1;
            if u64::from(invocation.attempt) < self.sdk_attempts {
                let wait = self.sdk_wait << (invocation.attempt - 1);
                let wait = self.random.below(wait);
                self.invocations.put_back(at, invocation);
                self.agenda.push(self.now + wait, Happening::Again(at));
                return;
            }
            invocation.attempt = 0;
            if let Some(outcome) = self.failed(&mut invocation) {
                return self.settle(at, invocation, outcome);
            }
        }
        self.advance(at, invocation);
    }

    pub(crate) fn again(&mut self, at: Ref) {
        if let Some(invocation) = self.invocations.take(at) {
            self.advance(at, invocation);
        }
    }

    fn advance(&mut self, at: Ref, mut invocation: Invocation) {
        match self.next(&mut invocation) {
            Next::End(outcome) => self.settle(at, invocation, outcome),
            Next::Wait(time) => {
                invocation.succeeds = true;
                self.invocations.put_back(at, invocation);
                self.agenda.push(self.now + time, Happening::Step(at));
            }
            Next::Call(service, latency) => {
                let slower = self.trouble(service);
                invocation.succeeds = latency.is_some() && slower.is_some();
                // A refusal comes back at once.
                let time = latency.unwrap_or(5_000) + slower.unwrap_or(5_000);
                self.invocations.put_back(at, invocation);
                self.agenda.push(self.now + time, Happening::Step(at));
            }
        }
    }

    fn settle(&mut self, at: Ref, invocation: Invocation, outcome: Outcome) {
        self.invocations.release(at);
        let took = self.now.saturating_sub(invocation.started_at);
        let lambda = &mut self.functions[invocation.function];
        #[expect(clippy::cast_precision_loss, reason = "durations and memory are small")]
        let gb_ms = (took.div_ceil(1_000)) as f64 * lambda.memory_mb as f64 / 1_024.0;
        lambda.gb_ms += gb_ms;
        lambda.running.leave();
        lambda.idle.push_back(self.now);
        match &mut lambda.reserved {
            Some(slots) => slots.leave(),
            None => self.unreserved.leave(),
        }
        match invocation.caller {
            Caller::Task(run, task) => match outcome {
                Outcome::Payload(payload) => {
                    let output = json!({"StatusCode": 200, "Payload": payload});
                    self.input(run, InputKind::TaskSucceeded { task: TaskId(task), output });
                }
                Outcome::Error(error, cause) => self.task_failed(run, task, error, cause),
            },
            Caller::Lane(lane) => match invocation.work {
                Work::Relay(relaying) => {
                    let failed = match outcome {
                        Outcome::Payload(_) => relaying.first_failed,
                        Outcome::Error(..) => Some(0),
                    };
                    self.lane_done(lane, relaying.records.len(), failed);
                }
                _ => self.lane_done(lane, 0, None),
            },
            Caller::Poller(poller) => {
                let (received, failed) = match (invocation.work, outcome) {
                    (Work::Apply(applying), Outcome::Payload(_)) => {
                        (applying.messages.len(), applying.failed)
                    }
                    (Work::Apply(applying), Outcome::Error(..)) => {
                        (applying.messages.len(), applying.messages)
                    }
                    _ => (0, Vec::new()),
                };
                self.batch_done(poller, received, &failed);
            }
            Caller::Schedule => {
                if matches!(outcome, Outcome::Error(..)) {
                    self.counts.reconcile_timed_out += 1;
                }
            }
        }
    }

    fn next(&mut self, invocation: &mut Invocation) -> Next {
        let now = self.now;
        let phase = invocation.phase;
        match &mut invocation.work {
            Work::Accept(request) => {
                let event = self.books.requests[*request as usize].event;
                match phase {
                    // Key, profile and contracts of the vendor; then the ledger's row: four reads,
                    // one after another.
                    1..=4 => {
                        let units = if phase <= 2 { 0.5 } else { 1.0 };
                        let key = mix(u64::from(event), u64::from(phase));
                        Next::Call(Service::DynamoDb, self.store.read(now, key, units, &mut self.random))
                    }
                    _ if self.books.event(event).status == Status::Unknown => {
                        let id = format!("R{request}");
                        Next::End(Outcome::Payload(json!({"accepted": {"requestId": id}})))
                    }
                    _ => Next::End(Outcome::Payload(answer(200))),
                }
            }
            Work::Persist(request) => {
                let event = self.books.requests[*request as usize].event;
                let vendor = self.books.event(event).vendor;
                match phase {
                    // raw/<vendor>/<day>/<ULID>
                    1 => {
                        let prefix = mix(u64::from(vendor), 11);
                        Next::Call(Service::S3, self.store.put(now, prefix, &mut self.random))
                    }
                    2 => {
                        let written =
                            self.store.write_ledger(now, vendor, event, Change::Insert, &mut self.random);
                        Next::Call(Service::DynamoDb, written)
                    }
                    _ => {
                        let first = self.books.event(event).request == *request;
                        Next::End(Outcome::Payload(answer(if first { 202 } else { 200 })))
                    }
                }
            }
            Work::Normalize(event) => {
                let event = *event;
                let (vendor, nature, route, status) = {
                    let it = self.books.event(event);
                    (it.vendor, it.nature, it.route, it.status)
                };
                match (phase, nature) {
                    (1, Nature::MapperMissing) => {
                        let cause = "{\"errorMessage\":\"{\\\"code\\\":\\\"mapper_missing\\\"}\"}";
                        Next::End(Outcome::Error("Misconfigured", cause))
                    }
                    (1, _) => {
                        let prefix = [mix(u64::from(vendor), 11)];
                        Next::Call(Service::S3, self.store.get(now, &prefix, &mut self.random))
                    }
                    (2, Nature::Rejected) => {
                        let cause = "{\"errorMessage\":\"{\\\"code\\\":\\\"mapper_refused\\\"}\"}";
                        Next::End(Outcome::Error("Rejected", cause))
                    }
                    // normalized/<type>/<day>/<ULID>
                    (2, _) => {
                        let prefix = mix(u64::from(route), 12);
                        Next::Call(Service::S3, self.store.put(now, prefix, &mut self.random))
                    }
                    (3, _) => {
                        let change = moved(status, 2);
                        let written = self.store.write_ledger(now, vendor, event, change, &mut self.random);
                        Next::Call(Service::DynamoDb, written)
                    }
                    _ => Next::End(Outcome::Payload(json!({"status": "NORMALIZED"}))),
                }
            }
            Work::Quarantine(event) => {
                let event = *event;
                let (vendor, status) = (self.books.event(event).vendor, self.books.event(event).status);
                match phase {
                    1 => {
                        let change = moved(status, 3);
                        let written = self.store.write_ledger(now, vendor, event, change, &mut self.random);
                        Next::Call(Service::DynamoDb, written)
                    }
                    2 if status == Status::Normalized => {
                        Next::End(Outcome::Payload(json!({"status": "NORMALIZED"})))
                    }
                    2 => {
                        let written = self.store.write_quarantine(now, vendor, event, &mut self.random);
                        Next::Call(Service::DynamoDb, written)
                    }
                    _ => {
                        let id = format!("E{event}");
                        let failure = json!({"error": "mapper_refused", "cause": "waits for a redrive"});
                        let letter = json!({"status": "QUARANTINED", "deadLetter": {"ingestId": id}, "failure": failure});
                        Next::End(Outcome::Payload(letter))
                    }
                }
            }
            Work::Release(event) => {
                let vendor = self.books.event(*event).vendor;
                match phase {
                    1 => {
                        let written = self.store.write_quarantine(now, vendor, *event, &mut self.random);
                        Next::Call(Service::DynamoDb, written)
                    }
                    _ => Next::End(Outcome::Payload(json!({"status": "RELEASED"}))),
                }
            }
            Work::Await { redriven: true } => Next::End(Outcome::Payload(json!({}))),
            Work::Await { redriven: false } => {
                Next::End(Outcome::Error("mapper_refused", "waits for a redrive"))
            }
            Work::Relay(relaying) => {
                let left = relaying.records.len() - relaying.done;
                if left == 0 {
                    return Next::End(Outcome::Payload(Value::Null));
                }
                let calls = left.div_ceil(10).min(self.relay_chunks);
                let mut latency = Some(0);
                for _ in 0..calls {
                    self.counts.put_events += 1;
                    latency = if self.bus_put.take(now, 1.0) {
                        let drawn = self.latencies.put_events.draw(&mut self.random);
                        latency.map(|longest: u64| longest.max(drawn))
                    } else {
                        None
                    };
                }
                Next::Call(Service::EventBridge, latency)
            }
            Work::Apply(applying) => self.next_of_apply(applying, invocation.started_at),
            Work::Reconcile(time) => match phase {
                1 => Next::Wait(*time),
                _ => Next::End(Outcome::Payload(Value::Null)),
            },
        }
    }

    fn next_of_apply(&mut self, applying: &mut Applying, started_at: u64) -> Next {
        let now = self.now;
        if applying.stage != Stage::Documents {
            if applying.alone.is_none() && applying.messages.len() < 2 {
                applying.alone = Some(0);
            }
            if applying.alone.is_some_and(|index| index >= applying.messages.len()) {
                return Next::End(Outcome::Payload(Value::Null));
            }
            // After 20 s nothing further is begun: it goes back to the queue.
            if now.saturating_sub(started_at) > 20 * SECOND {
                applying.give_up();
                return Next::End(Outcome::Payload(Value::Null));
            }
        }
        let stage = applying.stage;
        applying.calling = Some(stage);
        match stage {
            Stage::Documents => {
                let books = &self.books;
                let prefix =
                    |(event, _): &(u32, u16)| mix(u64::from(books.events[*event as usize].route), 12);
                let prefixes: Vec<u64> = applying.messages.iter().map(prefix).collect();
                Next::Call(Service::S3, self.store.get(now, &prefixes, &mut self.random))
            }
            Stage::Pause => {
                // functions/apply/src/merge.rs: 8 ms at most after the first conflict, doubled each
                // time, up to 400 ms.
                let most = (8_000_u64 << (applying.conflicts.max(1) - 1).min(10)).min(400_000);
                Next::Wait(self.random.below(most))
            }
            Stage::Read => {
                applying.choose(&self.books.events);
                let read =
                    self.store.read_entities(now, &applying.events, &applying.entities, &mut self.random);
                let latency = read.map(|(latency, versions)| {
                    applying.versions = versions;
                    latency
                });
                Next::Call(Service::DynamoDb, latency)
            }
            Stage::Write => {
                let (events, entities) = (&applying.events, &applying.entities);
                let begun =
                    self.store.begin_transaction(now, events, entities, &applying.versions, &mut self.random);
                let latency = begun.map(|(latency, free)| {
                    applying.written = free;
                    latency
                });
                Next::Call(Service::DynamoDb, latency)
            }
        }
    }

    /// A call has succeeded: its effect.
    fn landed(&mut self, invocation: &mut Invocation) {
        let now = self.now;
        match (&mut invocation.work, invocation.phase) {
            (Work::Persist(request), 2) => {
                let first = self.books.commit(*request, now) == Committed::First;
                let event = self.books.requests[*request as usize].event;
                if first {
                    self.received.insert((now, event));
                    self.record(Detail::Accepted, event);
                }
            }
            (Work::Normalize(event), 3) => {
                let event = *event;
                let it = self.books.event(event);
                if it.status != Status::Normalized {
                    it.status = Status::Normalized;
                    it.normalized_at = now;
                    let received_at = it.received_at;
                    self.received.remove(&(received_at, event));
                    self.record(Detail::Normalized, event);
                }
            }
            (Work::Quarantine(event), 1) => {
                let event = *event;
                let it = self.books.event(event);
                if it.status == Status::Received {
                    it.status = Status::Quarantined;
                    let received_at = it.received_at;
                    self.received.remove(&(received_at, event));
                    self.books.last_quarantine = now;
                    self.books.end(event, now);
                    self.record(Detail::Quarantined, event);
                }
            }
            (Work::Relay(relaying), _) => {
                let calls = (relaying.records.len() - relaying.done).div_ceil(10).min(self.relay_chunks);
                let from = relaying.done;
                let to = (from + calls * 10).min(relaying.records.len());
                relaying.done = to;
                let records: Vec<Record> = relaying.records[from..to].to_vec();
                for record in records {
                    self.publish(record.detail, record.event);
                }
            }
            (Work::Apply(applying), _) => self.landed_of_apply(applying),
            _ => {}
        }
    }

    fn landed_of_apply(&mut self, applying: &mut Applying) {
        match applying.calling.take() {
            None => {}
            Some(Stage::Documents | Stage::Pause) => applying.stage = Stage::Read,
            // All of it is known already: nothing is written.
            Some(Stage::Read) if applying.events.is_empty() => applying.next_message(),
            Some(Stage::Read) => applying.stage = Stage::Write,
            Some(Stage::Write) if applying.written => {
                self.store.end_transaction(&applying.entities);
                for event in std::mem::take(&mut applying.events) {
                    self.books.event(event).applied += 1;
                    self.books.end(event, self.now);
                }
                applying.next_message();
            }
            Some(Stage::Write) => {
                applying.conflicts += 1;
                self.counts.conflicts += 1;
                match applying.alone {
                    // One conflict, and everything is taken by itself.
                    None => applying.one_by_one(),
                    Some(_) if applying.conflicts >= self.apply_conflicts => applying.fail_current(),
                    Some(_) => applying.stage = Stage::Pause,
                }
            }
        }
    }

    /// All attempts have failed; `Some` ends the invocation.
    fn failed(&mut self, invocation: &mut Invocation) -> Option<Outcome> {
        match &mut invocation.work {
            Work::Relay(relaying) => {
                let calls = (relaying.records.len() - relaying.done).div_ceil(10).min(self.relay_chunks);
                relaying.first_failed.get_or_insert(relaying.done);
                relaying.done = (relaying.done + calls * 10).min(relaying.records.len());
                None
            }
            Work::Apply(applying) => {
                match (applying.calling.take(), applying.alone) {
                    (Some(Stage::Documents), _) => applying.give_up(),
                    (_, None) => applying.one_by_one(),
                    (_, Some(_)) => applying.fail_current(),
                }
                applying.stage = Stage::Read;
                None
            }
            _ => Some(RETRYABLE),
        }
    }
}

/// Where an event's entry of the index by status goes: 1 RECEIVED, 2 NORMALIZED, 3 QUARANTINED.
fn moved(status: Status, to: u64) -> Change {
    let from = match status {
        Status::Unknown | Status::Received => 1,
        Status::Normalized => 2,
        Status::Quarantined => 3,
    };
    if from == to { Change::Same(to) } else { Change::Move { from, to } }
}

fn answer(status: u64) -> Value {
    json!({"answer": {"statusCode": status, "headers": {}, "body": "{}"}})
}
