//! `state-machines/topology.json`: the one list of machines, functions, tables, buckets, queues, streams, rules, routes and
//! schedules, read by the local cloud and by CDK.
//!
//! Invariants, checked by [`Topology::parse`]: every reference names something that is declared, no id or name is declared
//! twice within its kind, every canonical event type has one route for whoever sent it, and a member that this reader does not
//! know is an error, never ignored.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::json;
use sluice_core::canonical::SCHEMAS;
use sluice_core::id::VendorId;
use sluice_core::record::{BUS_SOURCE, DetailType};

use crate::events::pattern::{Pattern, PatternError};

/// The whole file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Topology {
    /// State machines; the id of one is the stem of its placeholder `${<id>StateMachineArn}`.
    pub state_machines: Vec<StateMachine>,
    /// Lambda functions; placeholder `${<id>FunctionArn}`.
    pub functions: Vec<Function>,
    /// DynamoDB tables.
    pub tables: Vec<Table>,
    /// S3 buckets.
    pub buckets: Vec<Bucket>,
    /// SQS queues; placeholder `${<id>QueueUrl}`.
    pub queues: Vec<Queue>,
    /// The EventBridge bus.
    pub bus: Bus,
    /// Table streams that feed functions.
    #[serde(default)]
    pub streams: Vec<Stream>,
    /// Rules on the bus, besides those of [`Topology::route_rules`].
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// Queues that feed Express machines.
    #[serde(default)]
    pub pipes: Vec<Pipe>,
    /// Where normalized events go.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// What runs by the clock.
    #[serde(default)]
    pub schedules: Vec<Schedule>,
}

/// A state machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StateMachine {
    /// `Intake`
    pub id: String,
    /// `sluice-intake`
    pub name: String,
    /// Decides durability, history and limits.
    pub r#type: MachineType,
    /// File name of the definition, beside the topology.
    pub definition: String,
}

/// The two kinds of state machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum MachineType {
    /// Exactly once, with history and redrive.
    Standard,
    /// High volume; at most once when called synchronously, at least once otherwise.
    Express,
}

/// A Lambda function.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Function {
    /// `PersistRaw`
    pub id: String,
    /// `sluice-persist-raw`
    pub name: String,
    /// The directory of the crate below `functions/`.
    pub package: String,
    /// After which an invocation is stopped, in seconds.
    pub timeout_seconds: u64,
    /// Memory on AWS, in MB. Not enforced here.
    pub memory_mb: u32,
}

/// A DynamoDB table. Key attributes are strings.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Table {
    /// `Ledger`
    pub id: String,
    /// `sluice-ledger`
    pub name: String,
    /// Attribute name of the partition key.
    pub partition_key: String,
    /// Attribute name of the sort key.
    #[serde(default)]
    pub sort_key: Option<String>,
    /// A `StreamViewType`; no stream if absent.
    #[serde(default)]
    pub stream: Option<String>,
    /// Name of the number attribute that holds an item's expiry in epoch seconds.
    #[serde(default)]
    pub time_to_live: Option<String>,
    /// Global secondary indexes, all attributes projected.
    #[serde(default)]
    pub indexes: Vec<Index>,
}

/// A global secondary index.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Index {
    /// `by-status`
    pub name: String,
    /// Attribute name of the partition key.
    pub partition_key: String,
    /// Attribute name of the sort key.
    #[serde(default)]
    pub sort_key: Option<String>,
}

/// An S3 bucket.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bucket {
    /// `Raw`
    pub id: String,
    /// `sluice-raw`
    pub name: String,
    /// Objects are created with `If-None-Match: *` or not at all, and never deleted.
    #[serde(default)]
    pub write_once: bool,
    /// After how many days an object is deleted: a lifecycle rule. Never if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire_days: Option<u32>,
}

/// A standard SQS queue.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Queue {
    /// `Dlq`
    pub id: String,
    /// `sluice-dlq`
    pub name: String,
    /// How long a received message stays hidden, in seconds.
    pub visibility_timeout_seconds: u32,
    /// How long a message is kept, in seconds.
    pub message_retention_seconds: u32,
    /// Where messages go that were received too often.
    #[serde(default)]
    pub redrive: Option<Redrive>,
}

/// The redrive policy of a queue.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Redrive {
    /// Id of the dead-letter queue.
    pub queue: String,
    /// Receives after which the next one moves the message instead.
    pub max_receive_count: u32,
}

/// The event bus.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bus {
    /// `sluice`
    pub name: String,
}

/// A table stream as the event source of a function.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stream {
    /// Id of the table.
    pub table: String,
    /// Id of the function.
    pub function: String,
    /// Most records in one invocation.
    pub batch_size: usize,
    /// Halve a batch whose invocation failed as a whole.
    #[serde(default)]
    pub bisect_batch_on_function_error: bool,
    /// Batches of one shard at once, 1 to 10, each item's records in order. On AWS only: here a stream is read in one order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallelization_factor: Option<u32>,
}

/// A rule on the bus.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// `normalize-accepted`
    pub name: String,
    /// An EventBridge event pattern.
    pub pattern: serde_json::Value,
    /// What a matching event starts.
    pub target: Target,
}

/// The target of a rule: exactly one of `stateMachine` and `queue`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Target {
    /// Id of a state machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_machine: Option<String>,
    /// Id of a queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// The part of the event that the target gets, as a path of names: `$.detail`. The whole event if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_path: Option<String>,
}

/// A queue as the source of an Express machine, which is waited for: an EventBridge pipe with `REQUEST_RESPONSE`. The machine
/// gets the messages as an array, even if there is one, and names in `batchItemFailures` of its output those that come again; when
/// it fails, all of them do.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pipe {
    /// Id of the queue; the pipe has the queue's name.
    pub queue: String,
    /// Id of the Express machine.
    pub state_machine: String,
    /// Most messages in one execution, 1 to 10.
    #[serde(default = "default_batch_size")]
    pub batch_size: usize,
}

/// Canonical event type → queue → function: a rule on the bus, and an event source mapping from the queue to the function with
/// `ReportBatchItemFailures`. Routes of one queue share one mapping, so they agree on everything about it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Route {
    /// `OrderPlaced`; the rule on the bus is `route-<id>`.
    pub id: String,
    /// A type of `schemas/canonical/`.
    pub event_type: String,
    /// Vendors whose events of this type take this route instead of the general one; empty: the general route.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<VendorId>,
    /// Under load, queues of a higher priority are drained first. On AWS separate queues with separate concurrency.
    #[serde(default)]
    pub priority: i32,
    /// Id of the queue.
    pub queue: String,
    /// Id of the function.
    pub function: String,
    /// Most messages in one invocation, at most 10 without a batching window, at most 10,000 with one.
    #[serde(default = "default_batch_size")]
    pub batch_size: usize,
    /// Most invocations at once, 2 to 1,000. Not limited by the mapping if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum_concurrency: Option<usize>,
    /// How long to wait for a full batch, in seconds, at most 300.
    #[serde(default)]
    pub maximum_batching_window_seconds: u64,
}

fn default_batch_size() -> usize {
    10
}

/// A queue as the event source of a function: what the routes of that queue say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueMapping {
    /// Id of the queue.
    pub queue: String,
    /// Id of the function.
    pub function: String,
    /// As [`Route::priority`].
    pub priority: i32,
    /// As [`Route::batch_size`].
    pub batch_size: usize,
    /// As [`Route::maximum_concurrency`].
    pub maximum_concurrency: Option<usize>,
    /// As [`Route::maximum_batching_window_seconds`].
    pub maximum_batching_window_seconds: u64,
}

impl Route {
    fn mapping(&self) -> QueueMapping {
        QueueMapping {
            queue: self.queue.clone(),
            function: self.function.clone(),
            priority: self.priority,
            batch_size: self.batch_size,
            maximum_concurrency: self.maximum_concurrency,
            maximum_batching_window_seconds: self.maximum_batching_window_seconds,
        }
    }
}

/// A function that is invoked by the clock (EventBridge Scheduler's `rate(n minutes)`), first after one period.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Schedule {
    /// `reconcile`
    pub name: String,
    /// The period, in minutes, 1 or more. A run that takes longer delays the next: runs never overlap.
    pub rate_minutes: u32,
    /// Id of the function.
    pub function: String,
    /// The function's input; `{}` if absent.
    #[serde(default = "empty_input")]
    pub input: serde_json::Map<String, serde_json::Value>,
}

fn empty_input() -> serde_json::Map<String, serde_json::Value> {
    serde_json::Map::new()
}

/// Why a topology is refused.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// Not JSON, or not of this shape.
    #[error("topology.json cannot be read: {0}")]
    Syntax(#[from] serde_json::Error),
    /// Something is declared twice.
    #[error("topology.json declares the {kind} {name:?} twice")]
    Duplicate {
        /// What kind of thing.
        kind: &'static str,
        /// Its id or name.
        name: String,
    },
    /// A reference to something that is not declared.
    #[error("topology.json: {from} refers to the {kind} {id:?}, which is not declared")]
    Unknown {
        /// Where the reference stands.
        from: String,
        /// What kind of thing.
        kind: &'static str,
        /// The id it has.
        id: String,
    },
    /// A rule without exactly one target.
    #[error("topology.json: the target of rule {0:?} must name exactly one of stateMachine and queue")]
    Target(String),
    /// An event pattern outside the supported subset.
    #[error("topology.json: the pattern of rule {rule:?} is not supported: {source}")]
    Pattern {
        /// The rule.
        rule: String,
        /// What is not supported.
        source: PatternError,
    },
    /// A canonical event type that nobody would handle.
    #[error(
        "topology.json: the event type {0} has no route without sources: its events would be dropped; add one to `routes`"
    )]
    Unrouted(String),
    /// A route that cannot be followed.
    #[error("topology.json: route {route}: {fault}")]
    Route {
        /// The route's id.
        route: String,
        /// What is wrong and what to do.
        fault: String,
    },
    /// A stream that cannot be read.
    #[error("topology.json: the stream of {table}: parallelizationFactor is 1 to 10; it is {factor}")]
    Parallelization {
        /// The table's id.
        table: String,
        /// What it says.
        factor: u32,
    },
    /// A pipe that cannot be made.
    #[error("topology.json: the pipe of queue {queue}: {fault}")]
    Pipe {
        /// The queue's id.
        queue: String,
        /// What is wrong and what to do.
        fault: String,
    },
    /// A schedule that cannot be kept.
    #[error("topology.json: schedule {schedule}: {fault}")]
    Schedule {
        /// The schedule's name.
        schedule: String,
        /// What is wrong and what to do.
        fault: String,
    },
    /// A path outside the supported subset.
    #[error(
        "topology.json: the inputPath {path:?} of rule {rule:?} is not supported: write `$` or `$.name.name`"
    )]
    InputPath {
        /// The rule.
        rule: String,
        /// The path.
        path: String,
    },
}

impl Topology {
    /// Reads and checks.
    pub fn parse(json: &str) -> Result<Self, TopologyError> {
        let topology: Self = serde_json::from_str(json)?;
        topology.check()?;
        Ok(topology)
    }

    fn check(&self) -> Result<(), TopologyError> {
        unique("state machine", self.state_machines.iter().map(|it| [&it.id, &it.name]))?;
        unique("function", self.functions.iter().map(|it| [&it.id, &it.name]))?;
        unique("table", self.tables.iter().map(|it| [&it.id, &it.name]))?;
        unique("bucket", self.buckets.iter().map(|it| [&it.id, &it.name]))?;
        unique("queue", self.queues.iter().map(|it| [&it.id, &it.name]))?;
        unique("rule", self.rules.iter().map(|it| [&it.name, &it.name]))?;
        for queue in &self.queues {
            if let Some(redrive) = &queue.redrive {
                self.queue(&redrive.queue).ok_or_else(|| unknown(&queue.name, "queue", &redrive.queue))?;
            }
        }
        for stream in &self.streams {
            let from = format!("the stream of {}", stream.table);
            self.table(&stream.table).ok_or_else(|| unknown(&from, "table", &stream.table))?;
            self.function(&stream.function).ok_or_else(|| unknown(&from, "function", &stream.function))?;
            if let Some(factor) = stream.parallelization_factor.filter(|factor| !(1..=10).contains(factor)) {
                return Err(TopologyError::Parallelization { table: stream.table.clone(), factor });
            }
        }
        for rule in &self.rules {
            let from = format!("rule {}", rule.name);
            match (&rule.target.state_machine, &rule.target.queue) {
                (Some(id), None) => {
                    self.state_machine(id).ok_or_else(|| unknown(&from, "state machine", id))?;
                }
                (None, Some(id)) => {
                    self.queue(id).ok_or_else(|| unknown(&from, "queue", id))?;
                }
                _ => return Err(TopologyError::Target(rule.name.clone())),
            }
            Pattern::parse(&rule.pattern)
                .map_err(|source| TopologyError::Pattern { rule: rule.name.clone(), source })?;
            if let Some(path) = &rule.target.input_path
                && crate::events::InputPath::parse(path).is_none()
            {
                return Err(TopologyError::InputPath { rule: rule.name.clone(), path: path.clone() });
            }
        }
        self.check_routes()?;
        self.check_pipes()?;
        unique("schedule", self.schedules.iter().map(|it| [&it.name, &it.name]))?;
        for schedule in &self.schedules {
            let from = format!("schedule {}", schedule.name);
            self.function(&schedule.function)
                .ok_or_else(|| unknown(&from, "function", &schedule.function))?;
            if schedule.rate_minutes == 0 {
                let fault = "rateMinutes must be 1 or more".to_owned();
                return Err(TopologyError::Schedule { schedule: schedule.name.clone(), fault });
            }
        }
        Ok(())
    }

    fn check_pipes(&self) -> Result<(), TopologyError> {
        unique("pipe of the queue", self.pipes.iter().map(|it| [&it.queue, &it.queue]))?;
        for pipe in &self.pipes {
            let refuse = |fault: String| Err(TopologyError::Pipe { queue: pipe.queue.clone(), fault });
            let from = format!("the pipe of queue {}", pipe.queue);
            let queue = self.queue(&pipe.queue).ok_or_else(|| unknown(&from, "queue", &pipe.queue))?;
            let machine = self
                .state_machine(&pipe.state_machine)
                .ok_or_else(|| unknown(&from, "state machine", &pipe.state_machine))?;
            if machine.r#type != MachineType::Express {
                return refuse(format!(
                    "{} is not EXPRESS: a Standard machine cannot be waited for",
                    machine.name
                ));
            }
            if let Some(route) = self.routes.iter().find(|route| route.queue == pipe.queue) {
                return refuse(format!("route {} reads that queue already", route.id));
            }
            if queue.redrive.is_none() {
                return refuse(format!(
                    "{} has no redrive policy: a message that always fails would never end",
                    queue.name
                ));
            }
            if !(1..=10).contains(&pipe.batch_size) {
                return refuse(format!("batchSize is 1 to 10; it is {}", pipe.batch_size));
            }
        }
        Ok(())
    }

    fn check_routes(&self) -> Result<(), TopologyError> {
        unique("route", self.routes.iter().map(|it| [&it.id, &it.id]))?;
        let types: BTreeSet<&str> = SCHEMAS.iter().map(|(name, _, _)| *name).collect();
        let mut general: BTreeMap<&str, &str> = BTreeMap::new();
        let mut taken: BTreeMap<(&str, &VendorId), &str> = BTreeMap::new();
        let mut mappings: BTreeMap<&str, (&str, QueueMapping)> = BTreeMap::new();
        for route in &self.routes {
            let refuse = |fault: String| Err(TopologyError::Route { route: route.id.clone(), fault });
            let from = format!("route {}", route.id);
            if route.id.is_empty()
                || route.id.len() > 48
                || !route.id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
            {
                return refuse("an id has 1 to 48 of A-Z a-z 0-9 . _ -".to_owned());
            }
            if self.rules.iter().any(|rule| rule.name == route.rule_name()) {
                return refuse(format!("there is a rule {} already", route.rule_name()));
            }
            if !types.contains(route.event_type.as_str()) {
                let known = types.iter().copied().collect::<Vec<_>>().join(", ");
                return refuse(format!(
                    "{:?} is no canonical event type; those are {known}",
                    route.event_type
                ));
            }
            if route.sources.is_empty()
                && let Some(other) = general.insert(&route.event_type, &route.id)
            {
                return refuse(format!(
                    "route {other} takes {} from every vendor already; give one of them sources",
                    route.event_type
                ));
            }
            for vendor in &route.sources {
                if let Some(other) = taken.insert((&route.event_type, vendor), &route.id) {
                    return refuse(format!("route {other} takes {} from {vendor} already", route.event_type));
                }
            }
            let queue = self.queue(&route.queue).ok_or_else(|| unknown(&from, "queue", &route.queue))?;
            let function =
                self.function(&route.function).ok_or_else(|| unknown(&from, "function", &route.function))?;
            if let Some(fault) = mapping_fault(route, queue, function) {
                return refuse(fault);
            }
            match mappings.get(route.queue.as_str()) {
                Some((other, mapping)) if *mapping != route.mapping() => {
                    return refuse(format!(
                        "shares the queue {} with route {other}, but not its function, priority, batchSize, \
                         maximumConcurrency and maximumBatchingWindowSeconds: a queue has one mapping",
                        route.queue
                    ));
                }
                _ => {
                    mappings.insert(&route.queue, (&route.id, route.mapping()));
                }
            }
        }
        match types.iter().find(|name| !general.contains_key(*name)) {
            Some(name) => Err(TopologyError::Unrouted((*name).to_owned())),
            None => Ok(()),
        }
    }

    /// One mapping for each queue that routes lead to, highest priority first.
    pub fn queue_mappings(&self) -> Vec<QueueMapping> {
        let mut mappings: Vec<QueueMapping> = Vec::new();
        for route in &self.routes {
            if !mappings.iter().any(|mapping| mapping.queue == route.queue) {
                mappings.push(route.mapping());
            }
        }
        mappings.sort_by_key(|mapping| std::cmp::Reverse(mapping.priority));
        mappings
    }

    /// The rules on the bus that the routes stand for. A route with sources takes its vendors' events away from the general one.
    pub fn route_rules(&self) -> Vec<Rule> {
        let rule = |route: &Route| {
            let vendors = if route.sources.is_empty() {
                let elsewhere: Vec<&VendorId> = self
                    .routes
                    .iter()
                    .filter(|other| other.event_type == route.event_type)
                    .flat_map(|other| &other.sources)
                    .collect();
                (!elsewhere.is_empty()).then(|| json!([{ "anything-but": elsewhere }]))
            } else {
                Some(json!(route.sources))
            };
            let mut detail = json!({"normalized": {"eventType": [route.event_type]}});
            if let Some(vendors) = vendors {
                detail["vendorId"] = vendors;
            }
            Rule {
                name: route.rule_name(),
                pattern: json!({
                    "source": [BUS_SOURCE],
                    "detail-type": [DetailType::EventNormalized.as_str(), DetailType::EventCorrected.as_str()],
                    "detail": detail,
                }),
                target: Target { state_machine: None, queue: Some(route.queue.clone()), input_path: None },
            }
        };
        self.routes.iter().map(rule).collect()
    }

    /// By id.
    pub fn state_machine(&self, id: &str) -> Option<&StateMachine> {
        self.state_machines.iter().find(|it| it.id == id)
    }

    /// By id.
    pub fn function(&self, id: &str) -> Option<&Function> {
        self.functions.iter().find(|it| it.id == id)
    }

    /// By id.
    pub fn table(&self, id: &str) -> Option<&Table> {
        self.tables.iter().find(|it| it.id == id)
    }

    /// By id.
    pub fn bucket(&self, id: &str) -> Option<&Bucket> {
        self.buckets.iter().find(|it| it.id == id)
    }

    /// By id.
    pub fn queue(&self, id: &str) -> Option<&Queue> {
        self.queues.iter().find(|it| it.id == id)
    }

    /// What the placeholders of the definitions stand for, with the local account and region; `aws_url` is the address of
    /// the AWS endpoint, without a slash at its end.
    pub fn placeholders(&self, aws_url: &str) -> BTreeMap<String, String> {
        let machines = self
            .state_machines
            .iter()
            .map(|it| (format!("{}StateMachineArn", it.id), crate::arn::state_machine(&it.name)));
        let functions =
            self.functions.iter().map(|it| (format!("{}FunctionArn", it.id), crate::arn::function(&it.name)));
        let queues = self
            .queues
            .iter()
            .map(|it| (format!("{}QueueUrl", it.id), crate::arn::queue_url(aws_url, &it.name)));
        machines.chain(functions).chain(queues).collect()
    }

    /// The environment of every function: the name of each table, bucket and of the bus, and the URL of each queue, under
    /// `<ID>_TABLE`, `<ID>_BUCKET`, `BUS_NAME` and `<ID>_QUEUE_URL`, ids in upper case with underscores. `aws_url` is the address
    /// of the AWS endpoint, without a slash at its end.
    pub fn environment(&self, aws_url: &str) -> BTreeMap<String, String> {
        let tables = self.tables.iter().map(|it| (format!("{}_TABLE", upper_snake(&it.id)), it.name.clone()));
        let buckets =
            self.buckets.iter().map(|it| (format!("{}_BUCKET", upper_snake(&it.id)), it.name.clone()));
        let bus = std::iter::once(("BUS_NAME".to_owned(), self.bus.name.clone()));
        let machines = self.state_machines.iter().map(|it| {
            (format!("{}_STATE_MACHINE_ARN", upper_snake(&it.id)), crate::arn::state_machine(&it.name))
        });
        let queues = self.queues.iter().map(|it| {
            (format!("{}_QUEUE_URL", upper_snake(&it.id)), crate::arn::queue_url(aws_url, &it.name))
        });
        tables.chain(buckets).chain(machines).chain(bus).chain(queues).collect()
    }
}

impl Route {
    /// Name of its rule on the bus.
    pub fn rule_name(&self) -> String {
        format!("route-{}", self.id)
    }
}

/// AWS's bounds of an event source mapping ("CreateEventSourceMapping", Lambda API Reference), and its advice for queues
/// ("Using Lambda with Amazon SQS", Developer Guide): a visibility timeout of six times the function's and the batching window, and
/// a dead-letter queue.
fn mapping_fault(route: &Route, queue: &Queue, function: &Function) -> Option<String> {
    let window = route.maximum_batching_window_seconds;
    if window > 300 {
        return Some("maximumBatchingWindowSeconds is at most 300".to_owned());
    }
    let least = 6 * function.timeout_seconds + window;
    if u64::from(queue.visibility_timeout_seconds) < least {
        return Some(format!(
            "the visibility timeout of {} is {} s; six times the timeout of {} and the batching window are {least} s, and less \
             delivers messages again while they are being worked on",
            queue.name, queue.visibility_timeout_seconds, function.name,
        ));
    }
    if queue.redrive.is_none() {
        return Some(format!(
            "{} has no redrive policy: a message that always fails would never end",
            queue.name
        ));
    }
    let batch_max = if window == 0 { 10 } else { 10_000 };
    if !(1..=batch_max).contains(&route.batch_size) {
        return Some(format!(
            "batchSize is 1 to 10, or with maximumBatchingWindowSeconds of 1 or more to 10,000; it is {}",
            route.batch_size
        ));
    }
    if route.maximum_concurrency.is_some_and(|most| !(2..=1_000).contains(&most)) {
        return Some("maximumConcurrency is 2 to 1,000".to_owned());
    }
    None
}

/// `CanonicalState` to `CANONICAL_STATE`.
fn upper_snake(id: &str) -> String {
    let mut out = String::with_capacity(id.len() + 4);
    for (at, c) in id.chars().enumerate() {
        if at > 0 && c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_uppercase());
    }
    out
}

fn unknown(from: &str, kind: &'static str, id: &str) -> TopologyError {
    TopologyError::Unknown { from: from.to_owned(), kind, id: id.to_owned() }
}

fn unique<'a>(kind: &'static str, all: impl Iterator<Item = [&'a String; 2]>) -> Result<(), TopologyError> {
    let (mut ids, mut names) = (BTreeSet::new(), BTreeSet::new());
    for [id, name] in all {
        if !ids.insert(id) {
            return Err(TopologyError::Duplicate { kind, name: id.clone() });
        }
        if !names.insert(name) {
            return Err(TopologyError::Duplicate { kind, name: name.clone() });
        }
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is the test's failure")]
mod tests {
    use super::*;

    fn shipped() -> serde_json::Value {
        serde_json::from_str(include_str!("../../../state-machines/topology.json")).unwrap()
    }

    #[test]
    fn the_shipped_topology_is_read_and_names_every_placeholder() {
        let topology = Topology::parse(&shipped().to_string()).unwrap();
        let values = topology.placeholders("http://127.0.0.1:8788");
        assert_eq!(values["DlqQueueUrl"], "http://127.0.0.1:8788/000000000000/sluice-dlq");
        assert_eq!(
            values["RecoverStateMachineArn"],
            "arn:aws:states:us-east-1:000000000000:stateMachine:sluice-recover"
        );
        assert_eq!(
            values["AcceptFunctionArn"],
            "arn:aws:lambda:us-east-1:000000000000:function:sluice-accept"
        );
    }

    #[test]
    fn each_inconsistency_is_refused_by_name() {
        let cases: [(&str, serde_json::Value, &str); 7] = [
            ("/streams/0/parallelizationFactor", 11.into(), "parallelizationFactor is 1 to 10; it is 11"),
            ("/rules/0/target/queue", "Nope".into(), "rule normalize-accepted refers to the queue \"Nope\""),
            ("/rules/0/target/stateMachine", "Normalize".into(), "exactly one of stateMachine and queue"),
            ("/rules/0/target/inputPath", "$..detail".into(), "inputPath \"$..detail\""),
            ("/rules/0/pattern/source", serde_json::json!([{"wildcard": "*"}]), "wildcard"),
            ("/streams/0/table", "Nope".into(), "table \"Nope\""),
            ("/buckets/1/id", "Raw".into(), "bucket \"Raw\" twice"),
        ];
        for (pointer, value, expected) in cases {
            let mut topology = shipped();
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            topology.pointer_mut(parent).unwrap()[name] = value;
            let error = Topology::parse(&topology.to_string()).unwrap_err().to_string();
            assert!(error.contains(expected), "{pointer}: {error}");
        }
        let mut topology = shipped();
        topology["schedules"] = json!([{"name": "s", "rateMinutes": 0, "function": "Apply"}]);
        assert!(
            Topology::parse(&topology.to_string()).unwrap_err().to_string().contains("rateMinutes must be")
        );
        topology["schedules"] = json!([{"name": "s", "rateMinutes": 1, "function": "Nope"}]);
        assert!(
            Topology::parse(&topology.to_string()).unwrap_err().to_string().contains("function \"Nope\"")
        );
        let mut topology = shipped();
        topology["surprise"] = true.into();
        assert!(Topology::parse(&topology.to_string()).unwrap_err().to_string().contains("surprise"));
    }

    fn refused(change: impl FnOnce(&mut serde_json::Value)) -> String {
        let mut topology = shipped();
        change(&mut topology);
        Topology::parse(&topology.to_string()).unwrap_err().to_string()
    }

    #[test]
    fn a_type_without_a_route_is_an_error_and_so_is_a_route_without_a_type() {
        for (type_name, _, _) in SCHEMAS {
            let error = refused(|it| {
                it["routes"].as_array_mut().unwrap().retain(|route| route["eventType"] != *type_name);
            });
            assert!(error.contains(&format!("the event type {type_name} has no route")), "{error}");
            // A route for some vendors leaves the others without one.
            let error = refused(|it| {
                for route in it["routes"].as_array_mut().unwrap() {
                    if route["eventType"] == *type_name {
                        route["sources"] = json!(["vendorA"]);
                    }
                }
            });
            assert!(error.contains(&format!("the event type {type_name} has no route")), "{error}");
        }
        let error = refused(|it| it["routes"][0]["eventType"] = "PriceChanged".into());
        assert!(
            error.contains("\"PriceChanged\" is no canonical event type; those are InventoryUpdated,"),
            "{error}"
        );
    }

    #[test]
    fn a_route_that_cannot_be_followed_is_refused_with_what_to_do() {
        type Change = fn(&mut serde_json::Value);
        let cases: [(Change, &str); 11] = [
            (|it| it["routes"][0]["queue"] = "Nope".into(), "queue \"Nope\""),
            (|it| it["routes"][0]["function"] = "Nope".into(), "function \"Nope\""),
            (|it| it["routes"][0]["id"] = "a b".into(), "an id has 1 to 48"),
            (|it| it["routes"][1]["id"] = "InventoryUpdated".into(), "route \"InventoryUpdated\" twice"),
            (|it| it["routes"][0]["batchSize"] = 11.into(), "batchSize is 1 to 10"),
            (|it| it["routes"][0]["maximumConcurrency"] = 1.into(), "maximumConcurrency is 2 to 1,000"),
            (|it| it["routes"][0]["maximumBatchingWindowSeconds"] = 301.into(), "at most 300"),
            (|it| it["routes"][1]["priority"] = 3.into(), "a queue has one mapping"),
            (
                |it| it["queues"][1]["visibilityTimeoutSeconds"] = 179.into(),
                "six times the timeout of sluice-apply",
            ),
            (
                |it| {
                    it["queues"][1].as_object_mut().unwrap().remove("redrive");
                },
                "no redrive policy",
            ),
            (
                |it| {
                    let mut route = it["routes"][0].clone();
                    route["id"] = "Second".into();
                    it["routes"].as_array_mut().unwrap().push(route);
                },
                "route InventoryUpdated takes InventoryUpdated from every vendor already",
            ),
        ];
        for (change, expected) in cases {
            let error = refused(change);
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }

    #[test]
    fn a_pipe_that_cannot_work_is_refused_with_what_to_do() {
        type Change = fn(&mut serde_json::Value);
        let cases: [(Change, &str); 7] = [
            (|it| it["pipes"][0]["queue"] = "Nope".into(), "queue \"Nope\""),
            (|it| it["pipes"][0]["stateMachine"] = "Nope".into(), "state machine \"Nope\""),
            (|it| it["pipes"][0]["stateMachine"] = "Recover".into(), "sluice-recover is not EXPRESS"),
            (|it| it["pipes"][0]["queue"] = "Orders".into(), "route OrderPlaced reads that queue already"),
            (|it| it["pipes"][0]["queue"] = "Dlq".into(), "no redrive policy"),
            (|it| it["pipes"][0]["batchSize"] = 11.into(), "batchSize is 1 to 10"),
            (
                |it| {
                    let pipe = it["pipes"][0].clone();
                    it["pipes"].as_array_mut().unwrap().push(pipe);
                },
                "\"Normalize\" twice",
            ),
        ];
        for (change, expected) in cases {
            let error = refused(change);
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }

    #[test]
    fn a_route_with_sources_takes_their_events_away_from_the_general_one() {
        let mut topology = shipped();
        let mut route = topology["routes"][0].clone();
        (route["id"], route["sources"]) = ("Own".into(), json!(["vendorA", "vendorB"]));
        (route["queue"], route["priority"]) = ("OrdersPriority".into(), 10.into());
        route["maximumConcurrency"] = 10.into();
        topology["routes"].as_array_mut().unwrap().push(route.clone());
        let parsed = Topology::parse(&topology.to_string()).unwrap();
        let rules = parsed.route_rules();
        let event = |vendor: &str| {
            json!({"source": "sluice", "detail-type": "event.normalized",
                "detail": {"vendorId": vendor, "normalized": {"eventType": "InventoryUpdated"}}})
        };
        let taken_by = |vendor: &str| -> Vec<&str> {
            let takes = |rule: &&Rule| Pattern::parse(&rule.pattern).unwrap().matches(&event(vendor));
            rules.iter().filter(takes).map(|rule| rule.name.as_str()).collect()
        };
        assert_eq!(taken_by("vendorA"), ["route-Own"]);
        assert_eq!(taken_by("vendorB"), ["route-Own"]);
        assert_eq!(taken_by("vendorC"), ["route-InventoryUpdated"]);
        assert_eq!(parsed.queue_mappings()[0].queue, "OrdersPriority", "the highest priority first");

        route["id"] = "Again".into();
        topology["routes"].as_array_mut().unwrap().push(route);
        let error = Topology::parse(&topology.to_string()).unwrap_err().to_string();
        assert!(error.contains("route Own takes InventoryUpdated from vendorA already"), "{error}");
    }
}
