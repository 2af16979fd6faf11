//! The checks of a definition, and its compilation in the same pass.
//!
//! Nothing is ignored: a field that is not read is refused. When there is any fault the compiled form is thrown away, so a
//! target or a value that is missing may stand as a placeholder until then.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::duplicates::duplicates;
use super::model::{
    Batcher, CALLBACK_SUFFIX, Catcher, Distributed, ErrorNames, Failing, InputType, Jitter, Machine,
    MachineId, Mapping, OutputType, Pattern, Processor, Reader, Retrier, Rule, Seconds, State, StateKind,
    Task, Transformation, Transition, Waiting, Writer, whole_seconds,
};
use super::{Definition, DefinitionError, MachineType, ParseOptions};
use crate::jsonata::{self, Available, Notation};
use crate::limits;
use crate::template::{Template, TemplateFault};
use crate::time::Timestamp;

const SCHEMA: &str = "SCHEMA_VALIDATION_FAILED";
const TARGET: &str = "MISSING_TRANSITION_TARGET";
const NOT_SUPPORTED: &str = "NOT_SUPPORTED";

/// Stands for a state that does not exist, in a definition that is refused.
const NOWHERE: usize = usize::MAX;

/// "Error names" of the Developer Guide and of states-language.net. Any other name with their prefix is a slip.
const RESERVED_ERRORS: &[&str] = &[
    "States.ALL",
    "States.BranchFailed",
    "States.DataLimitExceeded",
    "States.ExceedToleratedFailureThreshold",
    "States.HeartbeatTimeout",
    "States.Http.Socket",
    "States.IntrinsicFailure",
    "States.ItemReaderFailed",
    "States.NoChoiceMatched",
    "States.ParameterPathFailure",
    "States.Permissions",
    "States.QueryEvaluationError",
    "States.ResultPathMatchFailure",
    "States.ResultWriterFailed",
    "States.Runtime",
    "States.TaskFailed",
    "States.Timeout",
];

const DISTRIBUTED_ONLY: &[&str] = &["ItemBatcher", "ItemReader", "Label", "ResultWriter"];

/// Fields that only the JSONPath query language has; its comparisons are recognized by [`is_comparison`].
const JSONPATH_ONLY: &[&str] = &[
    "And",
    "InputPath",
    "Not",
    "Or",
    "OutputPath",
    "Parameters",
    "Result",
    "ResultPath",
    "ResultSelector",
    "Variable",
];

fn is_jsonpath_only(field: &str) -> bool {
    JSONPATH_ONLY.contains(&field) || is_comparison(field) || (field.ends_with("Path") && field.len() > 4)
}

/// `StringEquals`, `NumericLessThanEqualsPath`, `IsPresent`, …
fn is_comparison(field: &str) -> bool {
    ["String", "Numeric", "Boolean", "Timestamp"].iter().any(|kind| {
        field.strip_prefix(kind).is_some_and(|rest| {
            ["Equals", "LessThan", "GreaterThan", "Matches"]
                .iter()
                .any(|comparison| rest.starts_with(comparison))
        })
    }) || matches!(field, "IsBoolean" | "IsNull" | "IsNumeric" | "IsPresent" | "IsString" | "IsTimestamp")
}

pub(super) fn check(
    json: &str,
    machine_type: MachineType,
    options: &ParseOptions<'_>,
) -> Result<Definition, Vec<DefinitionError>> {
    let mut checker = Checker {
        machine_type,
        resources: options.resources,
        errors: Vec::new(),
        machines: Vec::new(),
        names: HashMap::new(),
    };
    if json.len() > limits::DEFINITION_BYTES_MAX {
        checker.error(
            "SCHEMA_VALIDATION_FAILED",
            "/",
            format!("the definition has {} bytes, more than {}", json.len(), limits::DEFINITION_BYTES_MAX),
        );
        return Err(checker.errors);
    }
    let repeated = match duplicates(json) {
        Ok(repeated) => repeated,
        Err(error) => {
            checker.error("INVALID_JSON_DESCRIPTION", "/", format!("not a JSON document: {error}"));
            return Err(checker.errors);
        }
    };
    for path in repeated {
        checker.error(SCHEMA, &path, "occurs twice in the same object".to_owned());
    }
    let document: Value = match serde_json::from_str(json) {
        Ok(document) => document,
        Err(error) => {
            checker.error("INVALID_JSON_DESCRIPTION", "/", format!("not a JSON document: {error}"));
            return Err(checker.errors);
        }
    };
    let root = checker.root(&document);
    if !checker.errors.is_empty() {
        return Err(checker.errors);
    }
    let machines: Option<Vec<Machine>> = checker.machines.into_iter().collect();
    match (root, machines) {
        (Some(root), Some(machines)) => Ok(Definition {
            machine_type,
            comment: root.comment,
            timeout_seconds: root.timeout_seconds,
            machines,
        }),
        _ => Err(vec![DefinitionError {
            code: SCHEMA,
            path: "/".to_owned(),
            message: "not a state machine".to_owned(),
        }]),
    }
}

struct Root {
    comment: Option<String>,
    timeout_seconds: Option<u64>,
}

struct Checker<'o> {
    machine_type: MachineType,
    resources: &'o [&'o str],
    errors: Vec<DefinitionError>,
    machines: Vec<Option<Machine>>,
    /// Every state name so far, with its location.
    names: HashMap<String, String>,
}

/// An object of the definition, and which of its members were read.
struct Fields<'v> {
    members: &'v Map<String, Value>,
    path: String,
    read: HashSet<&'static str>,
}

impl<'v> Fields<'v> {
    fn get(&mut self, field: &'static str) -> Option<&'v Value> {
        self.read.insert(field);
        self.members.get(field)
    }

    fn at(&self, field: &str) -> String {
        format!("{}/{field}", self.path)
    }
}

/// The machine whose states are being compiled.
struct Scope<'v> {
    indexes: HashMap<&'v str, usize>,
    /// Transitions, from index to index.
    edges: Vec<(usize, usize)>,
    /// Whether there is a way out.
    ends: bool,
    /// The variables of the machines around this one, which it may read but not assign.
    outer: Vec<HashSet<&'v str>>,
    own: HashSet<&'v str>,
    depth: usize,
}

impl<'o> Checker<'o> {
    fn error(&mut self, code: &'static str, path: &str, message: String) {
        let path = if path.is_empty() { "/" } else { path };
        self.errors.push(DefinitionError { code, path: path.to_owned(), message });
    }

    fn schema(&mut self, path: &str, message: impl Into<String>) {
        self.error(SCHEMA, path, message.into());
    }

    fn fields<'v>(&mut self, value: &'v Value, path: &str) -> Option<Fields<'v>> {
        match value {
            Value::Object(members) => Some(Fields { members, path: path.to_owned(), read: HashSet::new() }),
            _ => {
                self.schema(path, "must be an object");
                None
            }
        }
    }

    /// Refuses every member that was not read.
    fn finish(&mut self, fields: &Fields<'_>) {
        for field in fields.members.keys() {
            if fields.read.contains(field.as_str()) {
                continue;
            }
            let path = fields.at(field);
            if DISTRIBUTED_ONLY.contains(&field.as_str()) {
                self.schema(
                    &path,
                    format!("field '{field}' is for a Map whose processor has the mode 'DISTRIBUTED'"),
                );
            } else if is_jsonpath_only(field) {
                self.schema(
                    &path,
                    format!(
                        "the query language is JSONata, but field '{field}' is only supported for JSONPath"
                    ),
                );
            } else {
                self.schema(&path, format!("field '{field}' is not supported here"));
            }
        }
    }

    fn text<'v>(&mut self, fields: &mut Fields<'v>, field: &'static str) -> Option<&'v str> {
        match fields.get(field)? {
            Value::String(text) => Some(text),
            _ => {
                self.schema(&fields.at(field), "must be a string");
                None
            }
        }
    }

    fn required_text<'v>(&mut self, fields: &mut Fields<'v>, field: &'static str) -> Option<&'v str> {
        if fields.get(field).is_none() {
            self.schema(&fields.path.clone(), format!("field '{field}' is missing"));
        }
        self.text(fields, field).filter(|text| {
            if text.is_empty() {
                self.schema(&fields.at(field), "must not be empty");
            }
            !text.is_empty()
        })
    }

    fn array<'v>(&mut self, fields: &mut Fields<'v>, field: &'static str, least: usize) -> &'v [Value] {
        match fields.get(field) {
            None => &[],
            Some(Value::Array(items)) if items.len() >= least => items,
            Some(Value::Array(_)) => {
                self.schema(&fields.at(field), "must not be empty");
                &[]
            }
            Some(_) => {
                self.schema(&fields.at(field), "must be an array");
                &[]
            }
        }
    }

    /// A whole number of the definition itself.
    fn integer(
        &mut self,
        fields: &mut Fields<'_>,
        field: &'static str,
        least: u64,
        most: u64,
    ) -> Option<u64> {
        let value = fields.get(field)?;
        let number = whole_seconds(value).filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.schema(&fields.at(field), format!("must be an integer between {least} and {most}"));
        }
        number
    }

    fn template(
        &mut self,
        fields: &mut Fields<'_>,
        field: &'static str,
        available: Available,
    ) -> Option<Template> {
        let value = fields.get(field)?;
        Some(self.compile(value, &fields.at(field), available))
    }

    fn compile(&mut self, value: &Value, path: &str, available: Available) -> Template {
        let mut faults = Vec::new();
        let template = Template::compile(value, available, &mut faults);
        for TemplateFault { path: below, code, message } in faults {
            self.error(code, &format!("{path}{below}"), message);
        }
        template
    }

    /// A whole number, or an expression for one.
    fn integer_or_expression(
        &mut self,
        fields: &mut Fields<'_>,
        field: &'static str,
        least: u64,
        most: u64,
    ) -> Option<Template> {
        match fields.get(field)? {
            Value::String(text) if jsonata::notation(text) != Notation::Literal => {
                self.template(fields, field, Available::default())
            }
            Value::Number(_) => {
                self.integer(fields, field, least, most)?;
                self.template(fields, field, Available::default())
            }
            _ => {
                self.schema(
                    &fields.at(field),
                    format!("must be an integer between {least} and {most}, or a JSONata expression"),
                );
                None
            }
        }
    }

    fn seconds(&mut self, fields: &mut Fields<'_>, field: &'static str, least: u64) -> Option<Seconds> {
        self.integer_or_expression(fields, field, least, limits::SECONDS_MAX).map(Seconds)
    }

    fn text_or_expression(&mut self, fields: &mut Fields<'_>, field: &'static str) -> Option<Template> {
        self.text(fields, field)?;
        self.template(fields, field, Available::default())
    }

    fn query_language(&mut self, fields: &mut Fields<'_>, root: bool) {
        let path = fields.at("QueryLanguage");
        match fields.get("QueryLanguage") {
            Some(Value::String(language)) if language == "JSONata" => {}
            None if !root => {}
            // Without states it is no state machine at all, which is said instead.
            None if !fields.members.contains_key("States") => {}
            None => self.error(
                NOT_SUPPORTED,
                &path,
                "is missing, so the query language is JSONPath, which the local engine does not support; set it to 'JSONata'"
                    .to_owned(),
            ),
            Some(Value::String(language)) if language == "JSONPath" && !root => self.schema(
                &fields.path.clone(),
                "'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine",
            ),
            Some(Value::String(language)) if language == "JSONPath" => {
                self.error(NOT_SUPPORTED, &path, "query language 'JSONPath' is not supported by the local engine; use 'JSONata'".to_owned());
            }
            Some(_) => self.schema(&path, "must be 'JSONata'"),
        }
    }

    fn root(&mut self, document: &Value) -> Option<Root> {
        let mut fields = self.fields(document, "")?;
        self.query_language(&mut fields, true);
        let comment = self.text(&mut fields, "Comment").map(str::to_owned);
        if self.text(&mut fields, "Version").is_some_and(|version| version != "1.0") {
            self.schema("/Version", "must be '1.0'");
        }
        let timeout_seconds = self.integer(&mut fields, "TimeoutSeconds", 1, limits::SECONDS_MAX);
        self.machine(&mut fields, Vec::new(), 0);
        self.finish(&fields);
        Some(Root { comment, timeout_seconds })
    }

    /// `StartAt` and `States`.
    fn machine<'v>(
        &mut self,
        fields: &mut Fields<'v>,
        outer: Vec<HashSet<&'v str>>,
        depth: usize,
    ) -> MachineId {
        let id = MachineId(self.machines.len());
        self.machines.push(None);
        if depth > limits::MACHINE_DEPTH_MAX {
            self.schema(
                &fields.path.clone(),
                format!("states are nested more than {} deep", limits::MACHINE_DEPTH_MAX),
            );
            fields.get("StartAt");
            fields.get("States");
            return id;
        }
        let missing: Vec<&str> =
            ["States", "StartAt"].into_iter().filter(|field| !fields.members.contains_key(*field)).collect();
        if !missing.is_empty() {
            self.schema(&fields.path.clone(), format!("These fields are required: [{}]", missing.join(", ")));
        }
        let start_at = fields.get("StartAt").and_then(|_| self.required_text(fields, "StartAt"));
        let path = fields.at("States");
        let states = match fields.get("States") {
            Some(Value::Object(states)) if !states.is_empty() => states,
            Some(Value::Object(_)) => {
                self.schema(&path, "must have at least one state");
                return id;
            }
            Some(_) => {
                self.schema(&path, "must be an object");
                return id;
            }
            None => return id,
        };
        let mut scope = Scope {
            indexes: states.keys().enumerate().map(|(index, name)| (name.as_str(), index)).collect(),
            edges: Vec::new(),
            ends: false,
            outer,
            own: states.values().flat_map(assigned).collect(),
            depth,
        };
        let start = match start_at {
            Some(name) => scope.indexes.get(name).copied().unwrap_or_else(|| {
                self.error(TARGET, &fields.at("StartAt"), format!("there is no state '{name}'"));
                NOWHERE
            }),
            None => NOWHERE,
        };
        let mut compiled = Vec::with_capacity(states.len());
        for (index, (name, value)) in states.iter().enumerate() {
            let path = format!("{path}/{name}");
            self.name(name, &path);
            compiled.extend(self.state(name, index, value, &path, &mut scope));
        }
        if !scope.ends {
            self.error("MISSING_END_STATE", &path, "no state ends the machine".to_owned());
        }
        if start != NOWHERE {
            for name in unreachable(start, &scope) {
                self.error(TARGET, &format!("{path}/{name}"), format!("state '{name}' is not reachable"));
            }
        }
        if compiled.len() == states.len() {
            self.machines[id.0] = Some(Machine { start, states: compiled });
        }
        id
    }

    fn name(&mut self, name: &str, path: &str) {
        let length = name.chars().count();
        if length == 0 || length > limits::STATE_NAME_CHARS_MAX {
            self.schema(
                path,
                format!(
                    "a state name has 1 to {} characters, this has {length}",
                    limits::STATE_NAME_CHARS_MAX
                ),
            );
        }
        if let Some(first) = self.names.insert(name.to_owned(), path.to_owned()) {
            self.error(
                "DUPLICATE_STATE_NAME",
                path,
                format!("state name '{name}' is used at {first} already"),
            );
        }
    }

    fn target(
        &mut self,
        fields: &mut Fields<'_>,
        field: &'static str,
        from: usize,
        scope: &mut Scope<'_>,
    ) -> usize {
        let Some(name) = self.required_text(fields, field) else { return NOWHERE };
        match scope.indexes.get(name) {
            Some(&to) => {
                scope.edges.push((from, to));
                to
            }
            None => {
                self.error(TARGET, &fields.at(field), format!("there is no state '{name}'"));
                NOWHERE
            }
        }
    }

    /// Exactly one of `Next` and `End: true`.
    fn transition(&mut self, fields: &mut Fields<'_>, from: usize, scope: &mut Scope<'_>) -> Transition {
        let end = match fields.get("End") {
            None => false,
            Some(Value::Bool(end)) => *end,
            Some(_) => {
                self.schema(&fields.at("End"), "must be a boolean");
                false
            }
        };
        let next = fields.get("Next").is_some();
        match (next, end) {
            (true, true) => self.schema(&fields.path.clone(), "has both 'Next' and 'End'"),
            (false, false) => self.schema(&fields.path.clone(), "needs 'Next' or 'End': true"),
            _ => {}
        }
        scope.ends |= end;
        if next { Transition::Next(self.target(fields, "Next", from, scope)) } else { Transition::End }
    }

    fn state<'v>(
        &mut self,
        name: &str,
        index: usize,
        value: &'v Value,
        path: &str,
        scope: &mut Scope<'v>,
    ) -> Option<State> {
        let mut fields = self.fields(value, path)?;
        let fields = &mut fields;
        let comment = self.text(fields, "Comment").map(Into::into);
        self.query_language(fields, false);
        let kind = self.required_text(fields, "Type")?;
        let with_result =
            Available { result: matches!(kind, "Task" | "Parallel" | "Map"), error_output: false };
        let mut output = None;
        let mut assign = Vec::new();
        if kind != "Fail" {
            output = self.template(fields, "Output", with_result);
        }
        if !matches!(kind, "Fail" | "Succeed") {
            assign = self.assign(fields, with_result, scope);
        }
        let (mut retry, mut catch) = (Vec::new(), Vec::new());
        if matches!(kind, "Task" | "Parallel" | "Map") {
            retry = self.retry(fields);
            catch = self.catch(fields, index, scope);
        }
        let kind = match kind {
            "Task" => StateKind::Task(self.task(fields, index, scope)),
            "Pass" => StateKind::Pass(self.transition(fields, index, scope)),
            "Choice" => self.choice(fields, index, scope),
            "Wait" => {
                let until = self.wait(fields);
                StateKind::Wait { until, then: self.transition(fields, index, scope) }
            }
            "Succeed" => {
                scope.ends = true;
                StateKind::Succeed
            }
            "Fail" => {
                scope.ends = true;
                let error = self.text_or_expression(fields, "Error");
                let cause = self.text_or_expression(fields, "Cause");
                StateKind::Fail(Failing { error, cause })
            }
            "Parallel" => {
                let arguments = self.template(fields, "Arguments", Available::default());
                let branches = self.branches(fields, scope);
                StateKind::Parallel { arguments, branches, then: self.transition(fields, index, scope) }
            }
            "Map" => StateKind::Map(self.map(fields, index, scope)),
            other => {
                self.schema(
                    &fields.at("Type"),
                    format!("'{other}' is not one of Task, Pass, Choice, Wait, Succeed, Fail, Parallel, Map"),
                );
                return None;
            }
        };
        self.finish(fields);
        Some(State { name: name.into(), comment, kind, output, assign, retry, catch })
    }

    fn assign(
        &mut self,
        fields: &mut Fields<'_>,
        available: Available,
        scope: &Scope<'_>,
    ) -> Vec<(Arc<str>, Template)> {
        let path = fields.at("Assign");
        let members = match fields.get("Assign") {
            None => return Vec::new(),
            Some(Value::Object(members)) => members,
            Some(_) => {
                self.schema(&path, "must be an object");
                return Vec::new();
            }
        };
        let mut assign = Vec::with_capacity(members.len());
        for (name, value) in members {
            let path = format!("{path}/{name}");
            if let Err(message) = variable_name(name) {
                self.schema(&path, message);
            }
            if scope.outer.iter().any(|outer| outer.contains(name.as_str())) {
                self.error(
                    "DUPLICATE_VARIABLE_NAME",
                    &path,
                    format!("variable '{name}' belongs to an outer scope, which this state can read but not assign"),
                );
            }
            assign.push((name.as_str().into(), self.compile(value, &path, available)));
        }
        assign
    }

    fn error_equals(&mut self, fields: &mut Fields<'_>, last: bool) -> ErrorNames {
        let path = fields.at("ErrorEquals");
        if fields.get("ErrorEquals").is_none() {
            self.schema(&fields.path.clone(), "field 'ErrorEquals' is missing");
        }
        let items = self.array(fields, "ErrorEquals", 1);
        let mut names = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match item {
                Value::String(name) if !name.is_empty() => {
                    if name.starts_with("States.") && !RESERVED_ERRORS.contains(&name.as_str()) {
                        self.schema(&format!("{path}[{index}]"), format!("there is no error name '{name}'"));
                    }
                    names.push(name.clone());
                }
                _ => self.schema(&format!("{path}[{index}]"), "must be an error name"),
            }
        }
        if names.iter().any(|name| name == "States.ALL") && (names.len() > 1 || !last) {
            self.schema(&path, "'States.ALL' must be alone, and in the last entry");
        }
        ErrorNames(names)
    }

    fn retry(&mut self, fields: &mut Fields<'_>) -> Vec<Retrier> {
        let entries = self.array(fields, "Retry", 0);
        let path = fields.at("Retry");
        let mut retriers = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            let Some(mut fields) = self.fields(entry, &format!("{path}[{index}]")) else { continue };
            let fields = &mut fields;
            self.text(fields, "Comment");
            let errors = self.error_equals(fields, index + 1 == entries.len());
            let interval = self.integer(fields, "IntervalSeconds", 1, limits::SECONDS_MAX).unwrap_or(1);
            let attempts = self.integer(fields, "MaxAttempts", 0, limits::SECONDS_MAX).unwrap_or(3);
            let max_delay = self.integer(fields, "MaxDelaySeconds", 1, 31_622_399);
            let backoff_rate = match fields.get("BackoffRate") {
                None => 2.0,
                Some(value) => value.as_f64().filter(|rate| *rate >= 1.0).unwrap_or_else(|| {
                    self.schema(&fields.at("BackoffRate"), "must be a number of at least 1");
                    2.0
                }),
            };
            let jitter = match fields.get("JitterStrategy") {
                None => Jitter::None,
                Some(Value::String(strategy)) if strategy == "NONE" => Jitter::None,
                Some(Value::String(strategy)) if strategy == "FULL" => Jitter::Full,
                Some(_) => {
                    self.schema(&fields.at("JitterStrategy"), "must be 'FULL' or 'NONE'");
                    Jitter::None
                }
            };
            self.finish(fields);
            retriers.push(Retrier {
                errors,
                interval_seconds: interval as f64,
                max_attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
                backoff_rate,
                max_delay_seconds: max_delay.map(|seconds| seconds as f64),
                jitter,
            });
        }
        retriers
    }

    fn catch(&mut self, fields: &mut Fields<'_>, from: usize, scope: &mut Scope<'_>) -> Vec<Catcher> {
        let entries = self.array(fields, "Catch", 0);
        let path = fields.at("Catch");
        let available = Available { result: false, error_output: true };
        let mut catchers = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            let Some(mut fields) = self.fields(entry, &format!("{path}[{index}]")) else { continue };
            let fields = &mut fields;
            self.text(fields, "Comment");
            let errors = self.error_equals(fields, index + 1 == entries.len());
            let next = self.target(fields, "Next", from, scope);
            let output = self.template(fields, "Output", available);
            let assign = self.assign(fields, available, scope);
            self.finish(fields);
            catchers.push(Catcher { errors, next, output, assign });
        }
        catchers
    }

    fn task(&mut self, fields: &mut Fields<'_>, index: usize, scope: &mut Scope<'_>) -> Task {
        let resource = self.required_text(fields, "Resource").unwrap_or_default();
        if !resource.is_empty() {
            self.resource(resource, &fields.at("Resource"));
        }
        if fields.get("Credentials").is_some() {
            self.error(
                NOT_SUPPORTED,
                &fields.at("Credentials"),
                "field 'Credentials' is not supported by the local engine, which has no roles".to_owned(),
            );
        }
        let arguments = self.template(fields, "Arguments", Available::default());
        let timeout = self.seconds(fields, "TimeoutSeconds", 1);
        let heartbeat = self.seconds(fields, "HeartbeatSeconds", 1);
        let literal = |seconds: &Option<Seconds>| seconds.as_ref().and_then(Seconds::literal);
        if let (Some(timeout), Some(heartbeat)) = (literal(&timeout), literal(&heartbeat))
            && heartbeat >= timeout
        {
            self.schema(&fields.at("HeartbeatSeconds"), "must be smaller than 'TimeoutSeconds'");
        }
        let mut parts = resource.split(':').skip(5);
        let mut resource_type = parts.next().unwrap_or_default().to_owned();
        if resource_type == "aws-sdk"
            && let Some(service) = parts.next()
        {
            resource_type = format!("{resource_type}:{service}");
        }
        let resource_type = resource_type.into();
        let action = parts.collect::<Vec<_>>().join(":").into();
        let then = self.transition(fields, index, scope);
        let pattern = Pattern::of(resource);
        Task {
            resource: resource.into(),
            resource_type,
            action,
            pattern,
            arguments,
            timeout,
            heartbeat,
            then,
        }
    }

    fn resource(&mut self, resource: &str, path: &str) {
        let express = self.machine_type == MachineType::Express;
        match Pattern::of(resource) {
            Pattern::Callback if express => {
                let message =
                    "Express state machine does not support '.waitForTaskToken' service integration ";
                return self.schema(path, message);
            }
            Pattern::Activity if express => {
                return self.schema(path, "Express state machine does not support activities");
            }
            Pattern::Activity => return,
            Pattern::Callback | Pattern::Request => {}
        }
        let called = resource.strip_suffix(CALLBACK_SUFFIX).unwrap_or(resource);
        if self.resources.contains(&called) {
            return;
        }
        let why = if resource.ends_with(".sync") || resource.contains(".sync:") {
            "run-a-job integrations ('.sync') are".to_owned()
        } else if resource.starts_with("arn:aws:lambda:") {
            "a function's own ARN is; call it by 'arn:aws:states:::lambda:invoke': it is".to_owned()
        } else {
            "it is".to_owned()
        };
        let known = self.resources.join(", ");
        self.error(
            NOT_SUPPORTED,
            path,
            format!(
                "resource '{resource}': {why} not supported by the local engine, which dispatches {known}"
            ),
        );
    }

    fn choice(&mut self, fields: &mut Fields<'_>, index: usize, scope: &mut Scope<'_>) -> StateKind {
        if fields.get("Choices").is_none() {
            self.schema(&fields.path.clone(), "field 'Choices' is missing");
        }
        let entries = self.array(fields, "Choices", 1);
        let path = fields.at("Choices");
        let mut rules = Vec::with_capacity(entries.len());
        for (number, entry) in entries.iter().enumerate() {
            let Some(mut fields) = self.fields(entry, &format!("{path}[{number}]")) else { continue };
            let fields = &mut fields;
            self.text(fields, "Comment");
            let condition = match fields.get("Condition") {
                Some(Value::Bool(_)) => self.template(fields, "Condition", Available::default()),
                Some(Value::String(text)) if jsonata::notation(text) != Notation::Literal => {
                    self.template(fields, "Condition", Available::default())
                }
                Some(_) => {
                    self.schema(&fields.at("Condition"), "must be a boolean or a JSONata expression");
                    None
                }
                None => {
                    self.schema(&fields.path.clone(), "field 'Condition' is missing");
                    None
                }
            };
            let next = self.target(fields, "Next", index, scope);
            let output = self.template(fields, "Output", Available::default());
            let assign = self.assign(fields, Available::default(), scope);
            self.finish(fields);
            rules.extend(condition.map(|condition| Rule { condition, next, output, assign }));
        }
        let default = fields.get("Default").is_some().then(|| self.target(fields, "Default", index, scope));
        StateKind::Choice { rules, default }
    }

    fn wait(&mut self, fields: &mut Fields<'_>) -> Waiting {
        let seconds = self.seconds(fields, "Seconds", 0);
        let timestamp = self.text_or_expression(fields, "Timestamp");
        if let Some(Value::String(text)) =
            timestamp.as_ref().and_then(Template::literal).map(|value| &**value)
            && jsonata::notation(text) == Notation::Literal
            && Timestamp::parse(text).is_none()
        {
            self.schema(
                &fields.at("Timestamp"),
                "must be an RFC 3339 timestamp, e.g. '2026-11-21T08:30:00Z'",
            );
        }
        let given =
            ["Seconds", "Timestamp"].iter().filter(|field| fields.members.contains_key(**field)).count();
        if given != 1 {
            self.schema(&fields.path.clone(), "needs exactly one of 'Seconds' and 'Timestamp'");
        }
        match (seconds, timestamp) {
            (Some(seconds), _) => Waiting::Seconds(seconds),
            (None, Some(timestamp)) => Waiting::Timestamp(timestamp),
            (None, None) => Waiting::Timestamp(Template::Literal(Arc::new(Value::Null))),
        }
    }

    fn branches<'v>(&mut self, fields: &mut Fields<'v>, scope: &Scope<'v>) -> Vec<MachineId> {
        if fields.get("Branches").is_none() {
            self.schema(&fields.path.clone(), "field 'Branches' is missing");
        }
        let entries = self.array(fields, "Branches", 1);
        let path = fields.at("Branches");
        let mut branches = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            let Some(mut fields) = self.fields(entry, &format!("{path}[{index}]")) else { continue };
            self.text(&mut fields, "Comment");
            branches.push(self.nested(&mut fields, scope));
            self.finish(&fields);
        }
        branches
    }

    fn nested<'v>(&mut self, fields: &mut Fields<'v>, scope: &Scope<'v>) -> MachineId {
        let mut outer = scope.outer.clone();
        outer.push(scope.own.clone());
        self.machine(fields, outer, scope.depth + 1)
    }

    fn map<'v>(&mut self, fields: &mut Fields<'v>, index: usize, scope: &mut Scope<'v>) -> Mapping {
        let items = match fields.get("Items") {
            None => None,
            Some(Value::Array(_) | Value::Object(_)) => self.template(fields, "Items", Available::default()),
            Some(Value::String(text)) if jsonata::notation(text) != Notation::Literal => {
                self.template(fields, "Items", Available::default())
            }
            Some(_) => {
                self.schema(&fields.at("Items"), "must be an array, an object or a JSONata expression");
                None
            }
        };
        let selector = self.template(fields, "ItemSelector", Available::default());
        let max_concurrency = self.integer_or_expression(fields, "MaxConcurrency", 0, limits::SECONDS_MAX);
        if fields.get("Iterator").is_some() {
            self.schema(&fields.at("Iterator"), "field 'Iterator' is deprecated; use 'ItemProcessor'");
        }
        let mut processor = Processor::Inline(MachineId::ROOT);
        let path = fields.at("ItemProcessor");
        match fields.get("ItemProcessor") {
            None => self.schema(&fields.path.clone(), "field 'ItemProcessor' is missing"),
            Some(value) => {
                if let Some(mut own) = self.fields(value, &path) {
                    self.text(&mut own, "Comment");
                    processor = if self.is_distributed(&mut own) {
                        let child = self.child(&mut own, scope.depth + 1);
                        let distributed = self.distributed(fields, child);
                        if distributed.reader.is_some() && fields.get("Items").is_some() {
                            self.schema(&fields.path.clone(), "has both 'Items' and 'ItemReader'");
                        }
                        Processor::Distributed(Box::new(distributed))
                    } else {
                        Processor::Inline(self.nested(&mut own, scope))
                    };
                    self.finish(&own);
                }
            }
        }
        Mapping {
            items,
            selector,
            max_concurrency,
            tolerated_count: self.integer_or_expression(fields, "ToleratedFailureCount", 0, u64::MAX),
            tolerated_percentage: self.percentage(fields, "ToleratedFailurePercentage"),
            processor,
            then: self.transition(fields, index, scope),
        }
    }

    /// Reads `ProcessorConfig`.
    fn is_distributed(&mut self, fields: &mut Fields<'_>) -> bool {
        let path = fields.at("ProcessorConfig");
        let Some(value) = fields.get("ProcessorConfig") else { return false };
        let Some(mut config) = self.fields(value, &path) else { return false };
        let distributed = match self.text(&mut config, "Mode") {
            Some("DISTRIBUTED") => {
                self.execution_type(&mut config);
                true
            }
            Some("INLINE") | None => false,
            Some(_) => {
                self.schema(&config.at("Mode"), "must be 'INLINE' or 'DISTRIBUTED'");
                false
            }
        };
        self.finish(&config);
        distributed
    }

    fn execution_type(&mut self, config: &mut Fields<'_>) {
        if self.machine_type == MachineType::Express {
            self.schema(&config.at("Mode"), "mode 'DISTRIBUTED' is for STANDARD state machines");
        }
        let path = config.at("ExecutionType");
        match self.required_text(config, "ExecutionType") {
            Some("EXPRESS") | None => {}
            Some("STANDARD") => self.error(
                NOT_SUPPORTED,
                &path,
                "execution type 'STANDARD' of a Distributed Map is not supported by the local engine; use 'EXPRESS'".to_owned(),
            ),
            Some(_) => self.schema(&path, "must be 'EXPRESS' or 'STANDARD'"),
        }
    }

    /// The states of an item processor as a definition of their own: they see no variables of the states around them.
    fn child(&mut self, fields: &mut Fields<'_>, depth: usize) -> Arc<Definition> {
        let around = std::mem::take(&mut self.machines);
        let machine_type = std::mem::replace(&mut self.machine_type, MachineType::Express);
        self.machine(fields, Vec::new(), depth);
        self.machine_type = machine_type;
        let machines = std::mem::replace(&mut self.machines, around);
        Arc::new(Definition {
            machine_type: MachineType::Express,
            comment: None,
            timeout_seconds: None,
            machines: machines.into_iter().flatten().collect(),
        })
    }

    fn distributed(&mut self, fields: &mut Fields<'_>, child: Arc<Definition>) -> Distributed {
        let label = self.text(fields, "Label");
        if let Some(label) = label
            && let Err(message) = check_label(label)
        {
            self.schema(&fields.at("Label"), message);
        }
        Distributed {
            child,
            label: label.map(Into::into),
            reader: self.reader(fields),
            batcher: self.batcher(fields),
            writer: self.writer(fields),
        }
    }

    fn percentage(&mut self, fields: &mut Fields<'_>, field: &'static str) -> Option<Template> {
        let value = fields.get(field)?;
        let good = match value {
            Value::String(text) => jsonata::notation(text) != Notation::Literal,
            Value::Number(number) => number.as_f64().is_some_and(|number| (0.0..=100.0).contains(&number)),
            _ => false,
        };
        if !good {
            self.schema(&fields.at(field), "must be a number between 0 and 100, or a JSONata expression");
            return None;
        }
        self.template(fields, field, Available::default())
    }

    /// The one supported resource of a reader or writer.
    fn storage_resource(&mut self, fields: &mut Fields<'_>, supported: &str) {
        let Some(resource) = self.required_text(fields, "Resource") else { return };
        if resource != supported {
            let message = format!(
                "resource '{resource}' is not supported by the local engine here, which has {supported}"
            );
            self.error(NOT_SUPPORTED, &fields.at("Resource"), message);
        }
    }

    /// `Arguments` of a reader or writer: an object whose members are each a string or an expression.
    fn storage_arguments<'v>(&mut self, fields: &mut Fields<'v>) -> Option<Fields<'v>> {
        let path = fields.at("Arguments");
        match fields.get("Arguments") {
            Some(value) => self.fields(value, &path),
            None => {
                self.schema(&fields.path.clone(), "field 'Arguments' is missing");
                None
            }
        }
    }

    fn required_argument(&mut self, fields: &mut Fields<'_>, field: &'static str) -> Option<Template> {
        self.required_text(fields, field)?;
        self.template(fields, field, Available::default())
    }

    fn reader(&mut self, fields: &mut Fields<'_>) -> Option<Reader> {
        let path = fields.at("ItemReader");
        let mut fields = self.fields(fields.get("ItemReader")?, &path)?;
        let fields = &mut fields;
        self.storage_resource(fields, "arn:aws:states:::s3:getObject");
        let (mut bucket, mut key) = (None, None);
        if let Some(mut arguments) = self.storage_arguments(fields) {
            bucket = self.required_argument(&mut arguments, "Bucket");
            key = self.required_argument(&mut arguments, "Key");
            self.finish(&arguments);
        }
        let mut input_type = None;
        let mut max_items = None;
        let path = fields.at("ReaderConfig");
        match fields.get("ReaderConfig") {
            None => self.schema(&fields.path.clone(), "field 'ReaderConfig' is missing"),
            Some(value) => {
                if let Some(mut config) = self.fields(value, &path) {
                    input_type = self.input_type(&mut config);
                    max_items =
                        self.integer_or_expression(&mut config, "MaxItems", 1, limits::MAP_RUN_ITEMS_MAX);
                    self.finish(&config);
                }
            }
        }
        self.finish(fields);
        Some(Reader { bucket: bucket?, key: key?, input_type: input_type?, max_items })
    }

    fn input_type(&mut self, config: &mut Fields<'_>) -> Option<InputType> {
        let path = config.at("InputType");
        match self.required_text(config, "InputType")? {
            "JSON" => Some(InputType::Json),
            "JSONL" => Some(InputType::JsonLines),
            known @ ("CSV" | "MANIFEST" | "PARQUET") => {
                let message = format!(
                    "input type '{known}' is not supported by the local engine, which reads JSON and JSONL"
                );
                self.error(NOT_SUPPORTED, &path, message);
                None
            }
            _ => {
                self.schema(&path, "must be 'JSON' or 'JSONL'");
                None
            }
        }
    }

    fn batcher(&mut self, fields: &mut Fields<'_>) -> Option<Batcher> {
        let path = fields.at("ItemBatcher");
        let mut fields = self.fields(fields.get("ItemBatcher")?, &path)?;
        let fields = &mut fields;
        let most = limits::DATA_BYTES_MAX as u64;
        let max_items = self.integer_or_expression(fields, "MaxItemsPerBatch", 1, limits::MAP_RUN_ITEMS_MAX);
        let max_bytes = self.integer_or_expression(fields, "MaxInputBytesPerBatch", 1, most);
        let given = ["MaxItemsPerBatch", "MaxInputBytesPerBatch"];
        if given.iter().all(|field| !fields.members.contains_key(*field)) {
            self.schema(&fields.path.clone(), "needs 'MaxItemsPerBatch', 'MaxInputBytesPerBatch' or both");
        }
        let input = self.template(fields, "BatchInput", Available::default());
        self.finish(fields);
        Some(Batcher { max_items, max_bytes, input })
    }

    fn writer(&mut self, fields: &mut Fields<'_>) -> Writer {
        let path = fields.at("ResultWriter");
        // What AWS does where nothing is said: outputs alone into the state's output, everything into S3.
        let mut writer = Writer {
            destination: None,
            transformation: Transformation::Compact,
            output_type: OutputType::Json,
        };
        let Some(value) = fields.get("ResultWriter") else { return writer };
        let Some(mut fields) = self.fields(value, &path) else { return writer };
        let fields = &mut fields;
        if fields.get("Resource").is_some() || fields.get("Arguments").is_some() {
            writer.transformation = Transformation::None;
            self.storage_resource(fields, "arn:aws:states:::s3:putObject");
            if let Some(mut arguments) = self.storage_arguments(fields) {
                let bucket = self.required_argument(&mut arguments, "Bucket");
                let prefix = self.text_or_expression(&mut arguments, "Prefix");
                self.finish(&arguments);
                writer.destination = bucket.map(|bucket| (bucket, prefix));
            }
        } else if fields.get("WriterConfig").is_none() {
            self.schema(&fields.path.clone(), "needs 'WriterConfig', or 'Resource' and 'Arguments'");
        }
        let path = fields.at("WriterConfig");
        if let Some(value) = fields.get("WriterConfig")
            && let Some(mut config) = self.fields(value, &path)
        {
            match self.required_text(&mut config, "Transformation") {
                Some("NONE") => writer.transformation = Transformation::None,
                Some("COMPACT") => writer.transformation = Transformation::Compact,
                Some("FLATTEN") => writer.transformation = Transformation::Flatten,
                Some(_) => {
                    self.schema(&config.at("Transformation"), "must be 'NONE', 'COMPACT' or 'FLATTEN'");
                }
                None => {}
            }
            match self.required_text(&mut config, "OutputType") {
                Some("JSON") | None => {}
                Some("JSONL") => writer.output_type = OutputType::JsonLines,
                Some(_) => self.schema(&config.at("OutputType"), "must be 'JSON' or 'JSONL'"),
            }
            self.finish(&config);
        }
        self.finish(fields);
        writer
    }
}

/// "A label has at most 40 characters, and no white space, wildcards, brackets or special characters" (Developer Guide,
/// "Distributed Map state fields").
fn check_label(label: &str) -> Result<(), String> {
    let refused = |c: char| c.is_whitespace() || c.is_control() || "?*<>{}[]:;,\\|^~$#%&`\"/".contains(c);
    match label.chars().count() {
        0 => Err("must not be empty".to_owned()),
        1..=limits::LABEL_CHARS_MAX if !label.contains(refused) => Ok(()),
        1..=limits::LABEL_CHARS_MAX => Err("has a character that a label cannot have".to_owned()),
        length => {
            Err(format!("a label has at most {} characters, this has {length}", limits::LABEL_CHARS_MAX))
        }
    }
}

/// The variables that a state assigns in its own scope.
fn assigned(state: &Value) -> Vec<&str> {
    let rules = ["Choices", "Catch"].into_iter().filter_map(|field| state.get(field)?.as_array()).flatten();
    rules
        .chain([state])
        .filter_map(|owner| owner.get("Assign")?.as_object())
        .flat_map(|assign| assign.keys().map(String::as_str))
        .collect()
}

fn unreachable<'v>(start: usize, scope: &Scope<'v>) -> Vec<&'v str> {
    let mut reached = HashSet::from([start]);
    let mut pending = vec![start];
    while let Some(from) = pending.pop() {
        for &(_, to) in scope.edges.iter().filter(|(source, _)| *source == from) {
            if reached.insert(to) {
                pending.push(to);
            }
        }
    }
    let mut lost: Vec<_> = scope.indexes.iter().filter(|(_, index)| !reached.contains(*index)).collect();
    lost.sort_by_key(|(_, index)| **index);
    lost.into_iter().map(|(name, _)| *name).collect()
}

/// "Variable names must be a valid Unicode identifier of at most 80 characters" and not `states`.
fn variable_name(name: &str) -> Result<(), String> {
    let mut chars = name.chars();
    let identifier = chars.next().is_some_and(char::is_alphabetic)
        && chars.all(|next| next == '_' || next.is_alphanumeric() || is_mark(next));
    if !identifier || name.chars().count() > limits::VARIABLE_NAME_CHARS_MAX {
        return Err(format!(
            "'{name}' is no variable name: a letter, then letters, digits or underscores, at most {} characters",
            limits::VARIABLE_NAME_CHARS_MAX
        ));
    }
    if name == "states" {
        return Err("variable name 'states' is reserved".to_owned());
    }
    Ok(())
}

/// The combining marks of the scripts that JSONata's variables are written in.
fn is_mark(char: char) -> bool {
    matches!(char, '\u{300}'..='\u{36f}' | '\u{203f}' | '\u{2040}')
}
