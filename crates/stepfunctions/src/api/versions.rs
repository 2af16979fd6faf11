//! Versions and aliases on the wire.

use serde_json::{Value, json};

use super::request::Request;
use super::{TOKEN_CHARS_MAX, arn, date, page_token, put, token};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::limits::{ALIAS_NAME_CHARS_MAX, ARN_CHARS_MAX, DESCRIPTION_CHARS_MAX};
use crate::machine::StateMachine;
use crate::versions::{Alias, split};

impl Engine {
    pub(super) async fn publish_version(&self, mut request: Request) -> Result<Value> {
        let arn = arn(&mut request, "stateMachineArn")?;
        let revision = request.bounded_text("revisionId", ARN_CHARS_MAX)?;
        let description = request.bounded_text("description", DESCRIPTION_CHARS_MAX)?;
        let published = self.inner.publish(&arn, revision.as_deref(), description).await?;
        Ok(json!({
            "stateMachineVersionArn": format!("{arn}:{}", published.number),
            "creationDate": date(published.created_at),
        }))
    }

    pub(super) async fn delete_version(&self, mut request: Request) -> Result<Value> {
        let arn = request.short_text("stateMachineVersionArn", ARN_CHARS_MAX)?;
        self.inner.delete_version(&arn).await?;
        Ok(json!({}))
    }

    pub(super) async fn list_versions(&self, mut request: Request) -> Result<Value> {
        let arn = arn(&mut request, "stateMachineArn")?;
        let limit = request.page_items()?;
        let scope = json!(["ListStateMachineVersions", arn]);
        let before: Option<i64> = page_token(&mut request, &scope, TOKEN_CHARS_MAX)?;
        let machine = self.inner.machine(&arn)?;
        let mut versions =
            self.inner.list_versions(machine.id, before.unwrap_or(i64::MAX), limit + 1).await?;
        let more = versions.len() > limit as usize;
        versions.truncate(limit as usize);
        let shown: Vec<Value> = versions
            .iter()
            .map(|version| {
                json!({
                    "stateMachineVersionArn": format!("{arn}:{}", version.number),
                    "creationDate": date(version.created_at),
                })
            })
            .collect();
        let mut answer = json!({"stateMachineVersions": shown});
        if let Some(last) = versions.last().filter(|_| more) {
            answer["nextToken"] = token(&scope, &json!(last.number)).into();
        }
        Ok(answer)
    }

    pub(super) async fn create_alias(&self, mut request: Request) -> Result<Value> {
        let name = request.short_text("name", ALIAS_NAME_CHARS_MAX)?;
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if !name.chars().all(good) || name.bytes().all(|byte| byte.is_ascii_digit()) {
            let pattern =
                r"Member must satisfy regular expression pattern: ^(?=.*[a-zA-Z_\-\.])[a-zA-Z0-9_\-\.]+$";
            return Err(Error::constraint(&name, "name", pattern));
        }
        let description = request.bounded_text("description", DESCRIPTION_CHARS_MAX)?;
        let routing = request.routing()?.ok_or_else(|| Error::missing("routingConfiguration"))?;
        let (machine, alias) = self.inner.create_alias(name, description, &routing).await?;
        Ok(
            json!({"stateMachineAliasArn": alias_arn(&machine, &alias), "creationDate": date(alias.created_at)}),
        )
    }

    pub(super) async fn describe_alias(&self, mut request: Request) -> Result<Value> {
        let arn = request.short_text("stateMachineAliasArn", ARN_CHARS_MAX)?;
        let (machine, alias) = self.inner.alias_of(&arn).await?;
        let routing: Vec<Value> = alias
            .routes
            .iter()
            .map(|route| {
                let version = format!("{}:{}", machine.arn, route.version);
                json!({"stateMachineVersionArn": version, "weight": route.weight})
            })
            .collect();
        let mut answer = json!({
            "stateMachineAliasArn": arn,
            "name": alias.name,
            "routingConfiguration": routing,
            "creationDate": date(alias.created_at),
            "updateDate": date(alias.updated_at),
        });
        put(&mut answer, "description", alias.description);
        Ok(answer)
    }

    pub(super) async fn update_alias(&self, mut request: Request) -> Result<Value> {
        let arn = request.short_text("stateMachineAliasArn", ARN_CHARS_MAX)?;
        let description = request.bounded_text("description", DESCRIPTION_CHARS_MAX)?;
        let routing = request.routing()?;
        if description.is_none() && routing.is_none() {
            let why = "Either the description or the routing configuration must be specified";
            return Err(Error::Validation(why.to_owned()));
        }
        let at = self.inner.update_alias(&arn, description, routing.as_deref()).await?;
        Ok(json!({"updateDate": date(at)}))
    }

    pub(super) async fn delete_alias(&self, mut request: Request) -> Result<Value> {
        let arn = request.short_text("stateMachineAliasArn", ARN_CHARS_MAX)?;
        self.inner.delete_alias(&arn).await?;
        Ok(json!({}))
    }

    pub(super) async fn list_aliases(&self, mut request: Request) -> Result<Value> {
        let arn = request.short_text("stateMachineArn", ARN_CHARS_MAX)?;
        let limit = request.page_items()? as usize;
        let scope = json!(["ListStateMachineAliases", arn]);
        let after: Option<String> = page_token(&mut request, &scope, TOKEN_CHARS_MAX)?;
        let (base, qualifier) = split(&arn)?;
        let version = qualifier.map(|number| number.parse().unwrap_or(-1));
        let machine = self.inner.machine(base)?;
        let after = after.unwrap_or_default();
        let mut aliases = self.inner.list_aliases(machine.id, version, after, limit + 1).await?;
        let more = aliases.len() > limit;
        aliases.truncate(limit);
        let shown: Vec<Value> = aliases
            .iter()
            .map(|alias| {
                json!({
                    "stateMachineAliasArn": alias_arn(&machine, alias),
                    "creationDate": date(alias.created_at),
                })
            })
            .collect();
        let mut answer = json!({"stateMachineAliases": shown});
        if let Some(last) = aliases.last().filter(|_| more) {
            answer["nextToken"] = token(&scope, &json!(last.name)).into();
        }
        Ok(answer)
    }
}

fn alias_arn(machine: &StateMachine, alias: &Alias) -> String {
    format!("{}:{}", machine.arn, alias.name)
}
