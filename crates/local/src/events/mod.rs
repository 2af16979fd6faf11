//! EventBridge: a bus whose rules come from the topology (Amazon EventBridge API Reference, 2015-10-07).
//!
//! Invariant: an entry of `PutEvents` gets an event id only when every target that matched has it durably, as an
//! execution in the journal or as a message in the queue. On AWS delivery happens after the answer and may be retried for
//! 24 hours; here nothing can stand between, so there is nothing to retry.

pub(crate) mod pattern;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use http::Response;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::machines::StateMachines;
use crate::sqs::Sqs;
use crate::topology::{Rule, Topology};
use crate::wire::{self, Protocol, ServiceError};
use pattern::Pattern;

/// Most entries in one request.
const ENTRIES_MAX: usize = 10;

/// Largest request, in bytes: the sum of its entries' sizes (1 MiB since January 2026).
const REQUEST_BYTES_MAX: usize = 1_048_576;

/// What an account has without asking.
const DEFAULT_BUS: &str = "default";

/// The service.
pub(crate) struct Events {
    bus: String,
    rules: Vec<CompiledRule>,
    queues: Arc<Sqs>,
    machines: OnceLock<Weak<dyn StateMachines>>,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").field("bus", &self.bus).finish_non_exhaustive()
    }
}

struct CompiledRule {
    rule: Rule,
    pattern: Pattern,
    target: CompiledTarget,
    input_path: InputPath,
}

enum CompiledTarget {
    Machine(String),
    Queue(String),
}

/// The part of an event that a target gets: `$`, or `$` and names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InputPath(Vec<String>);

impl InputPath {
    /// `None` if it is not such a path.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let rest = path.strip_prefix('$')?;
        if rest.is_empty() {
            return Some(Self(Vec::new()));
        }
        let names = rest.strip_prefix('.')?.split('.');
        let valid = |name: &str| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
        };
        names.map(|name| valid(name).then(|| name.to_owned())).collect::<Option<_>>().map(Self)
    }

    /// The text of that part, exactly as it stands in the event: numbers keep their digits.
    fn of<'a>(&self, event: &'a RawValue) -> Option<&'a str> {
        let mut part = event;
        for name in &self.0 {
            let members: BTreeMap<String, &'a RawValue> = serde_json::from_str(part.get()).ok()?;
            part = members.get(name.as_str()).copied()?;
        }
        Some(part.get())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutEvents {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    source: Option<String>,
    detail_type: Option<String>,
    detail: Option<String>,
    event_bus_name: Option<String>,
    #[serde(default)]
    resources: Vec<String>,
    time: Option<f64>,
}

/// What is wrong with one entry: the code and the message of its result.
struct EntryError(&'static str, String);

/// An event that is ready to be delivered.
struct Event {
    id: String,
    text: Box<RawValue>,
    value: Value,
}

impl Events {
    /// The rules must be those of a checked topology.
    pub(crate) fn new(topology: &Topology, queues: Arc<Sqs>) -> Self {
        let compile = |rule: &Rule| {
            let machine = rule.target.state_machine.as_deref().and_then(|id| topology.state_machine(id));
            let queue = rule.target.queue.as_deref().and_then(|id| topology.queue(id));
            let target = match (machine, queue) {
                (Some(machine), _) => CompiledTarget::Machine(machine.name.clone()),
                (None, queue) => CompiledTarget::Queue(queue?.name.clone()),
            };
            Some(CompiledRule {
                pattern: Pattern::parse(&rule.pattern).ok()?,
                target,
                input_path: InputPath::parse(rule.target.input_path.as_deref().unwrap_or("$"))?,
                rule: rule.clone(),
            })
        };
        let rules = topology.rules.iter().chain(&topology.route_rules()).filter_map(compile).collect();
        Self { bus: topology.bus.name.clone(), rules, queues, machines: OnceLock::new() }
    }

    /// Connects the state machines. They are held weakly, since their tasks may call this service.
    pub(crate) fn connect(&self, machines: &Arc<dyn StateMachines>) {
        // A second call would be a mistake of the composition, and the first one stands.
        let _ = self.machines.set(Arc::downgrade(machines));
    }

    /// One call; `operation` is the target without its prefix.
    pub(crate) async fn handle(&self, operation: &str, body: &[u8]) -> Response<Bytes> {
        let answer = match operation {
            "PutEvents" => match wire::parse(body) {
                Ok(request) => self.put(request).await,
                Err(error) => Err(error),
            },
            _ => self.describe(operation, body),
        };
        wire::respond(Protocol::Json11, answer)
    }

    /// `PutEvents` from inside the process, with the request's JSON; the answer's JSON.
    pub(crate) async fn put_events(&self, request: Value) -> Result<Value, ServiceError> {
        let request = serde_json::from_value(request)
            .map_err(|error| ServiceError::client("ValidationException", error.to_string()))?;
        self.put(request).await
    }

    async fn put(&self, request: PutEvents) -> Result<Value, ServiceError> {
        let count = request.entries.len();
        if !(1..=ENTRIES_MAX).contains(&count) {
            let bound = if count == 0 { "greater than or equal to 1" } else { "less than or equal to 10" };
            let message = format!(
                "1 validation error detected: Value at 'entries' failed to satisfy constraint: Member must have length {bound}"
            );
            return Err(ServiceError::client("ValidationException", message));
        }
        if request.entries.iter().map(size).sum::<usize>() > REQUEST_BYTES_MAX {
            let message = format!(
                "Total size of the entries in the request is over the limit of {REQUEST_BYTES_MAX} bytes."
            );
            return Err(ServiceError::client("ValidationException", message));
        }
        let prepared: Vec<Result<Option<Event>, EntryError>> =
            request.entries.into_iter().map(|entry| self.prepare(entry)).collect();
        let mut failures: BTreeMap<usize, EntryError> = BTreeMap::new();
        let mut for_machines: BTreeMap<&str, (Vec<usize>, Vec<String>)> = BTreeMap::new();
        let mut for_queues: BTreeMap<&str, (Vec<usize>, Vec<String>)> = BTreeMap::new();
        for (at, event) in prepared.iter().enumerate() {
            let Ok(Some(event)) = event else { continue };
            for rule in self.rules.iter().filter(|rule| rule.pattern.matches(&event.value)) {
                let Some(input) = rule.input_path.of(&event.text) else {
                    let reason = format!("rule {} finds nothing at its input path", rule.rule.name);
                    failures.insert(at, EntryError("InvalidArgument", reason));
                    continue;
                };
                let (targets, name) = match &rule.target {
                    CompiledTarget::Machine(name) => (&mut for_machines, name),
                    CompiledTarget::Queue(name) => (&mut for_queues, name),
                };
                let (entries, inputs) = targets.entry(name.as_str()).or_default();
                entries.push(at);
                inputs.push(input.to_owned());
            }
        }
        let machines = self.machines.get().and_then(Weak::upgrade);
        for (name, (entries, inputs)) in for_machines {
            let started = match &machines {
                Some(machines) => machines.start(name, inputs).await.map_err(|error| error.to_string()),
                None => Err("the local cloud is stopping".to_owned()),
            };
            if let Err(error) = started {
                tracing::warn!(machine = name, %error, "events were not delivered");
                failures
                    .extend(entries.into_iter().map(|at| (at, EntryError("InternalFailure", error.clone()))));
            }
        }
        for (name, (entries, inputs)) in for_queues {
            if let Err(error) = self.queues.send_bodies(name, inputs) {
                tracing::warn!(queue = name, error = error.message, "events were not delivered");
                failures.extend(
                    entries.into_iter().map(|at| (at, EntryError("InternalFailure", error.message.clone()))),
                );
            }
        }
        let mut failed = 0;
        let results = prepared.into_iter().enumerate().map(|(at, event)| {
            let failure = failures.remove(&at);
            match (event, failure) {
                (Err(EntryError(code, message)), _) | (Ok(_), Some(EntryError(code, message))) => {
                    failed += 1;
                    json!({"ErrorCode": code, "ErrorMessage": message})
                }
                (Ok(event), None) => {
                    json!({"EventId": event.map_or_else(wire::request_id, |event| event.id)})
                }
            }
        });
        let results: Vec<Value> = results.collect();
        Ok(json!({"FailedEntryCount": failed, "Entries": results}))
    }

    /// `None` for an event on the default bus, which has no rules.
    fn prepare(&self, entry: Entry) -> Result<Option<Event>, EntryError> {
        let required = |value: Option<String>, name: &str| {
            value.filter(|text| !text.is_empty()).ok_or_else(|| {
                EntryError(
                    "InvalidArgument",
                    format!("Parameter {name} is not valid. Reason: {name} is a required argument."),
                )
            })
        };
        let source = required(entry.source, "Source")?;
        let detail_type = required(entry.detail_type, "DetailType")?;
        let detail = required(entry.detail, "Detail")?;
        if source.starts_with("aws.") {
            let message = "Not authorized for the source.".to_owned();
            return Err(EntryError("NotAuthorizedForSourceException", message));
        }
        let malformed = || EntryError("MalformedDetail", "Detail is malformed.".to_owned());
        let detail: Box<RawValue> = serde_json::from_str(&detail).map_err(|_| malformed())?;
        if !detail.get().starts_with('{') {
            return Err(malformed());
        }
        let bus = entry.event_bus_name.unwrap_or_else(|| DEFAULT_BUS.to_owned());
        match bus.rsplit('/').next().unwrap_or_default() {
            DEFAULT_BUS => return Ok(None),
            name if name == self.bus => {}
            name => {
                return Err(EntryError("InvalidArgument", format!("Event bus {name} does not exist.")));
            }
        }
        let time = entry.time.and_then(|seconds| jiff::Timestamp::from_second(seconds as i64).ok());
        let time = time.unwrap_or_else(jiff::Timestamp::now);
        #[derive(serde::Serialize)]
        struct Envelope<'a> {
            version: &'a str,
            id: &'a str,
            #[serde(rename = "detail-type")]
            detail_type: &'a str,
            source: &'a str,
            account: &'a str,
            time: String,
            region: &'a str,
            resources: &'a [String],
            detail: &'a RawValue,
        }
        let id = wire::request_id();
        let envelope = Envelope {
            version: "0",
            id: &id,
            detail_type: &detail_type,
            source: &source,
            account: crate::arn::ACCOUNT,
            time: time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            region: crate::arn::REGION,
            resources: &entry.resources,
            detail: &detail,
        };
        let text = serde_json::value::to_raw_value(&envelope).map_err(|_| malformed())?;
        let value = serde_json::from_str(text.get()).map_err(|_| malformed())?;
        Ok(Some(Event { id, text, value }))
    }

    fn describe(&self, operation: &str, body: &[u8]) -> Result<Value, ServiceError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Query {
            name: Option<String>,
            rule: Option<String>,
            event_bus_name: Option<String>,
            name_prefix: Option<String>,
        }
        let query: Query = wire::parse(body)?;
        let missing = |what: String| ServiceError::client("ResourceNotFoundException", what);
        let bus = query.event_bus_name.as_deref().unwrap_or(DEFAULT_BUS);
        let bus = bus.rsplit('/').next().unwrap_or_default();
        let on_bus = || -> Result<&[CompiledRule], ServiceError> {
            match bus {
                DEFAULT_BUS => Ok(&[]),
                name if name == self.bus => Ok(&self.rules),
                name => Err(missing(format!("Event bus {name} does not exist."))),
            }
        };
        let rule = |name: Option<&str>| {
            let name = name.unwrap_or_default();
            let found = on_bus()?.iter().find(|it| it.rule.name == name);
            found.ok_or_else(|| missing(format!("Rule {name} does not exist on EventBus {bus}.")))
        };
        let bus_entry = |name: &str| json!({"Name": name, "Arn": crate::arn::event_bus(name)});
        match operation {
            "ListEventBuses" => {
                let prefix = query.name_prefix.unwrap_or_default();
                let names = [DEFAULT_BUS, &self.bus].into_iter().filter(|name| name.starts_with(&prefix));
                Ok(json!({"EventBuses": names.map(bus_entry).collect::<Vec<_>>()}))
            }
            "DescribeEventBus" => {
                let name =
                    query.name.as_deref().unwrap_or(DEFAULT_BUS).rsplit('/').next().unwrap_or_default();
                if name != DEFAULT_BUS && name != self.bus {
                    return Err(missing(format!("Event bus {name} does not exist.")));
                }
                Ok(bus_entry(name))
            }
            "ListRules" => {
                let prefix = query.name_prefix.unwrap_or_default();
                let rules = on_bus()?.iter().filter(|it| it.rule.name.starts_with(&prefix));
                Ok(json!({"Rules": rules.map(|it| self.rule_entry(it)).collect::<Vec<_>>()}))
            }
            "DescribeRule" => Ok(self.rule_entry(rule(query.name.as_deref())?)),
            "ListTargetsByRule" => {
                let rule = rule(query.rule.as_deref())?;
                let arn = match &rule.target {
                    CompiledTarget::Machine(name) => crate::arn::state_machine(name),
                    CompiledTarget::Queue(name) => crate::arn::queue(name),
                };
                let mut target = json!({"Id": "Target0", "Arn": arn});
                if let Some(path) = &rule.rule.target.input_path {
                    target["InputPath"] = path.as_str().into();
                }
                Ok(json!({"Targets": [target]}))
            }
            "PutRule" | "PutTargets" | "DeleteRule" | "RemoveTargets" | "CreateEventBus"
            | "DeleteEventBus" => {
                let message = format!(
                    "{operation} is not supported: the rules of the local cloud are those of topology.json."
                );
                Err(ServiceError::client("OperationDisabledException", message))
            }
            _ => Err(ServiceError::client(
                "UnknownOperationException",
                format!("The operation {operation} does not exist."),
            )),
        }
    }

    fn rule_entry(&self, rule: &CompiledRule) -> Value {
        json!({
            "Name": rule.rule.name,
            "Arn": crate::arn::rule(&self.bus, &rule.rule.name),
            "EventPattern": rule.rule.pattern.to_string(),
            "State": "ENABLED",
            "EventBusName": self.bus,
        })
    }
}

/// "Calculating PutEvents event entry size" (User Guide).
fn size(entry: &Entry) -> usize {
    let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let time = if entry.time.is_some() { 14 } else { 0 };
    time + length(&entry.source)
        + length(&entry.detail_type)
        + length(&entry.detail)
        + entry.resources.iter().map(String::len).sum::<usize>()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is the test's failure")]
mod tests {
    use super::*;

    #[test]
    fn an_input_path_keeps_the_digits_of_numbers() {
        let event: Box<RawValue> =
            serde_json::from_str(r#"{"detail": {"id": 12345678901234567890123, "price": 1.10}}"#).unwrap();
        let part = |path: &str| InputPath::parse(path).unwrap().of(&event).map(str::to_owned);
        assert_eq!(part("$.detail.id").unwrap(), "12345678901234567890123");
        assert_eq!(part("$.detail").unwrap(), r#"{"id": 12345678901234567890123, "price": 1.10}"#);
        assert_eq!(part("$").unwrap(), event.get());
        assert_eq!(part("$.absent"), None);
        for path in ["", "detail", "$detail", "$.", "$..a", "$.a[0]", "$.*"] {
            assert_eq!(InputPath::parse(path), None, "{path}");
        }
    }
}
