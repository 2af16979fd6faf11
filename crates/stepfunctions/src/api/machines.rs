//! State machines: their definitions, versions, aliases and tags.

use serde_json::{Value, json};
use sluice_asl::{Definition, MachineType};

use super::request::Request;
use super::{TOKEN_CHARS_MAX, arn, date, included_data, page_token, put, token};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::limits::{ARN_CHARS_MAX, DESCRIPTION_CHARS_MAX};
use crate::machine::{Configuration, StateMachine, StateMachineSpec, StateMachineUpdate, Version, type_name};

/// The most diagnostics of `ValidateStateMachineDefinition`.
const DIAGNOSTICS_MAX: usize = 100;

impl Engine {
    pub(super) async fn create(&self, mut request: Request) -> Result<Value> {
        let publishing = publishing(&mut request)?;
        let defaults = Configuration::default();
        let spec = StateMachineSpec {
            name: request.text("name")?,
            machine_type: machine_type(&mut request)?,
            definition: request.text("definition")?,
            role_arn: request.short_text("roleArn", ARN_CHARS_MAX)?,
            configuration: Configuration {
                logging: logging(&mut request)?.unwrap_or(defaults.logging),
                tracing: request.object("tracingConfiguration")?.unwrap_or(defaults.tracing),
            },
            tags: request.tags()?,
        };
        let machine = self.create_state_machine(spec).await?;
        let mut answer = json!({"stateMachineArn": &*machine.arn, "creationDate": date(machine.created_at)});
        if let Some(description) = publishing {
            let published = self.inner.publish(&machine.arn, None, description).await?;
            answer["stateMachineVersionArn"] = format!("{}:{}", machine.arn, published.number).into();
        }
        Ok(answer)
    }

    pub(super) async fn update(&self, mut request: Request) -> Result<Value> {
        let publishing = publishing(&mut request)?;
        let arn = arn(&mut request, "stateMachineArn")?;
        let update = StateMachineUpdate {
            definition: request.optional_text("definition")?,
            role_arn: request.bounded_text("roleArn", ARN_CHARS_MAX)?,
            logging: logging(&mut request)?,
            tracing: request.object("tracingConfiguration")?,
        };
        // To publish what there is is an update as well.
        let machine = match self.update_state_machine(&arn, update).await {
            Err(Error::MissingRequiredParameter) if publishing.is_some() => self.inner.live_machine(&arn)?,
            updated => updated?,
        };
        let mut answer = json!({"updateDate": date(machine.version.updated_at)});
        if let Some(description) = publishing {
            let published = self.inner.publish(&arn, None, description).await?;
            answer["stateMachineVersionArn"] = format!("{arn}:{}", published.number).into();
        }
        put(&mut answer, "revisionId", machine.version.revision_id.as_deref());
        Ok(answer)
    }

    pub(super) async fn delete(&self, mut request: Request) -> Result<Value> {
        self.delete_state_machine(&arn(&mut request, "stateMachineArn")?).await?;
        Ok(json!({}))
    }

    pub(super) async fn describe(&self, mut request: Request) -> Result<Value> {
        let arn = arn(&mut request, "stateMachineArn")?;
        let with_data = included_data(&mut request)?;
        let machine = self.inner.qualified(&arn).await?;
        let published = match machine.origin.version {
            Some(number) => self.inner.published(machine.id, number).await?,
            None => None,
        };
        let created_at = published.as_ref().map_or(machine.created_at, |published| published.created_at);
        let version = &machine.version;
        let mut answer = json!({
            "stateMachineArn": arn,
            "name": machine.name,
            "status": if machine.deleting { "DELETING" } else { "ACTIVE" },
            "definition": if with_data { version.asl.as_str() } else { "" },
            "roleArn": version.role_arn,
            "type": type_name(machine.machine_type),
            "creationDate": date(created_at),
            "loggingConfiguration": version.configuration.logging,
            "tracingConfiguration": version.configuration.tracing,
        });
        put(&mut answer, "description", published.and_then(|published| published.description));
        put(&mut answer, "revisionId", version.revision_id.as_deref());
        put_references(&mut answer, version, with_data);
        Ok(answer)
    }

    pub(super) async fn describe_for_execution(&self, mut request: Request) -> Result<Value> {
        let arn = arn(&mut request, "executionArn")?;
        let with_data = included_data(&mut request)?;
        let execution = self.describe_execution(&arn).await?;
        let version = &execution.version;
        let name = execution.state_machine_arn.rsplit(':').next().unwrap_or_default();
        let mut answer = json!({
            "stateMachineArn": execution.state_machine_arn,
            "name": name,
            "definition": if with_data { version.asl.as_str() } else { "" },
            "roleArn": version.role_arn,
            "updateDate": date(version.updated_at),
            "loggingConfiguration": version.configuration.logging,
            "tracingConfiguration": version.configuration.tracing,
        });
        put(&mut answer, "revisionId", version.revision_id.as_deref());
        put_references(&mut answer, version, with_data);
        Ok(answer)
    }

    pub(super) fn list_machines(&self, mut request: Request) -> Result<Value> {
        let limit = request.page_items()? as usize;
        let scope = json!(["ListStateMachines"]);
        let after: Option<String> = page_token(&mut request, &scope, TOKEN_CHARS_MAX)?;
        let machines = self.state_machines();
        let rest = machines.iter().filter(|machine| after.as_ref().is_none_or(|after| machine.name > *after));
        let page: Vec<_> = rest.take(limit + 1).collect();
        let shown = &page[..page.len().min(limit)];
        let mut answer =
            json!({"stateMachines": shown.iter().map(|machine| item(machine)).collect::<Vec<_>>()});
        if page.len() > limit
            && let Some(last) = shown.last()
        {
            answer["nextToken"] = token(&scope, &json!(last.name)).into();
        }
        Ok(answer)
    }

    pub(super) fn tagged(&self, request: &mut Request) -> Result<std::sync::Arc<StateMachine>> {
        let arn = arn(request, "resourceArn")?;
        match self.describe_state_machine(&arn) {
            Err(Error::StateMachineDoesNotExist(arn)) => Err(Error::ResourceNotFound(arn)),
            found => found,
        }
    }

    pub(super) async fn tag(&self, mut request: Request) -> Result<Value> {
        let machine = self.tagged(&mut request)?;
        let tags = request.tags()?;
        self.inner.tag(&machine, tags).await?;
        Ok(json!({}))
    }

    pub(super) async fn untag(&self, mut request: Request) -> Result<Value> {
        let machine = self.tagged(&mut request)?;
        let keys = request.texts("tagKeys")?;
        self.inner.untag(machine.id, keys).await?;
        Ok(json!({}))
    }

    pub(super) async fn tags(&self, mut request: Request) -> Result<Value> {
        let machine = self.tagged(&mut request)?;
        let tags = self.inner.tags(machine.id).await?;
        let tags: Vec<Value> =
            tags.into_iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
        Ok(json!({"tags": tags}))
    }
}

pub(super) fn validate(mut request: Request) -> Result<Value> {
    let definition = request.text("definition")?;
    let machine_type = machine_type(&mut request)?;
    request.choice("severity", &["ERROR", "WARNING"])?;
    let limit = match request.page_items()? as usize {
        limit if limit <= DIAGNOSTICS_MAX => limit,
        limit => {
            let most = format!("Member must have value less than or equal to {DIAGNOSTICS_MAX}");
            return Err(Error::constraint(&limit.to_string(), "maxResults", &most));
        }
    };
    if definition.is_empty() {
        let message = "Definition must be a valid JSON object";
        let fault = json!({"severity": "ERROR", "code": "SCHEMA_VALIDATION_FAILED", "message": message});
        return Ok(json!({"result": "FAIL", "diagnostics": [fault], "truncated": false}));
    }
    let faults =
        Definition::parse(&definition, machine_type).err().map(|faults| faults.0).unwrap_or_default();
    let diagnostics: Vec<Value> = faults
        .iter()
        .take(limit)
        .map(|fault| {
            json!({
                "severity": "ERROR",
                "code": fault.code,
                "message": fault.message,
                "location": if fault.path.is_empty() { "/" } else { fault.path.as_str() },
            })
        })
        .collect();
    Ok(json!({
        "result": if faults.is_empty() { "OK" } else { "FAIL" },
        "diagnostics": diagnostics,
        "truncated": faults.len() > limit,
    }))
}

/// `variableReferences`, where a state reads a variable.
fn put_references(answer: &mut Value, version: &Version, with_data: bool) {
    let Ok(definition) = version.definition() else { return };
    let references = definition.variable_references();
    if with_data && !references.is_empty() {
        answer["variableReferences"] = json!(references);
    }
}

/// `loggingConfiguration`, with what AWS puts in place of what is missing.
fn logging(request: &mut Request) -> Result<Option<Value>> {
    let Some(Value::Object(mut logging)) = request.object("loggingConfiguration")? else { return Ok(None) };
    let level = match logging.entry("level").or_insert_with(|| "OFF".into()) {
        Value::String(level) => level.clone(),
        _ => return Err(Error::Serialization("member 'level' is not a string".to_owned())),
    };
    if !["ALL", "ERROR", "FATAL", "OFF"].contains(&level.as_str()) {
        let set = "Member must satisfy enum value set: [ALL, ERROR, FATAL, OFF]";
        return Err(Error::constraint(&level, "loggingConfiguration.level", set));
    }
    logging.entry("includeExecutionData").or_insert(Value::Bool(false));
    let destinations = match logging.get("destinations") {
        None => 0,
        Some(Value::Array(destinations)) => destinations.len(),
        Some(_) => return Err(Error::Serialization("member 'destinations' is not a list".to_owned())),
    };
    if destinations > 1 || destinations == 0 && level != "OFF" {
        let why = "Must specify exactly one Log Destination.";
        return Err(Error::InvalidLoggingConfiguration(why.to_owned()));
    }
    Ok(Some(Value::Object(logging)))
}

fn item(machine: &StateMachine) -> Value {
    json!({
        "stateMachineArn": &*machine.arn,
        "name": machine.name,
        "type": type_name(machine.machine_type),
        "creationDate": date(machine.created_at),
    })
}

fn machine_type(request: &mut Request) -> Result<MachineType> {
    let name = request.choice("type", &["STANDARD", "EXPRESS"])?;
    Ok(if name == Some("EXPRESS") { MachineType::Express } else { MachineType::Standard })
}

/// Whether to publish a version, and its description.
#[expect(clippy::option_option, reason = "to publish, and to describe what is published, are two questions")]
fn publishing(request: &mut Request) -> Result<Option<Option<String>>> {
    let publish = request.flag("publish")? == Some(true);
    let description = request.bounded_text("versionDescription", DESCRIPTION_CHARS_MAX)?;
    if !publish && description.is_some() {
        return Err(Error::Validation("Version description can only be set when publish is true".to_owned()));
    }
    Ok(publish.then_some(description))
}
