//! `state-machines/topology.json`: the one list of machines, functions, tables, buckets, queues, streams and rules, read by
//! the local cloud and by CDK.
//!
//! Invariants, checked by [`Topology::parse`]: every reference names something that is declared, no id or name is declared
//! twice within its kind, and a member that this reader does not know is an error, never ignored.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

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
    /// Rules on the bus.
    #[serde(default)]
    pub rules: Vec<Rule>,
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
        Ok(())
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

    /// The environment of every function: the name of each table, bucket and of the bus, under `<ID>_TABLE`,
    /// `<ID>_BUCKET` and `BUS_NAME`, ids in upper case with underscores.
    pub fn environment(&self) -> BTreeMap<String, String> {
        let tables = self.tables.iter().map(|it| (format!("{}_TABLE", upper_snake(&it.id)), it.name.clone()));
        let buckets =
            self.buckets.iter().map(|it| (format!("{}_BUCKET", upper_snake(&it.id)), it.name.clone()));
        let bus = std::iter::once(("BUS_NAME".to_owned(), self.bus.name.clone()));
        tables.chain(buckets).chain(bus).collect()
    }
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
        let cases: [(&str, serde_json::Value, &str); 6] = [
            (
                "/rules/0/target/stateMachine",
                "Nope".into(),
                "rule normalize-accepted refers to the state machine \"Nope\"",
            ),
            ("/rules/0/target/queue", "Dlq".into(), "exactly one of stateMachine and queue"),
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
        topology["surprise"] = true.into();
        assert!(Topology::parse(&topology.to_string()).unwrap_err().to_string().contains("surprise"));
    }
}
