//! Published versions of state machines, and aliases that route executions to them.
//!
//! Follows "Versions in Step Functions" and "Aliases in Step Functions" of the Developer Guide;
//! messages are AWS's recorded answers.
//!
//! Invariants: a version is a number that a machine never gives out twice, and a definition that is
//! kept as long as the version is; an alias routes to one or two versions of its own machine, which
//! cannot be deleted meanwhile.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use sluice_asl::Timestamp;

use crate::arn::{Arn, parse};
use crate::engine::{Inner, number, stamp};
use crate::error::{Error, Result};
use crate::limits::{ALIASES_MAX, VERSIONS_MAX};
use crate::machine::{StateMachine, Version};

/// The tables, since schema version 3.
pub(crate) const SCHEMA: &str = "
CREATE TABLE versions(
    machine_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    definition_id INTEGER NOT NULL,
    description TEXT,
    created_at INTEGER NOT NULL,
    PRIMARY KEY(machine_id, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX versions_by_definition ON versions(definition_id);

CREATE TABLE aliases(
    machine_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    routing TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY(machine_id, name)
) STRICT, WITHOUT ROWID;

-- The last version number that a machine gave out: none is given twice.
ALTER TABLE machines ADD COLUMN last_version INTEGER NOT NULL DEFAULT 0;
-- What an execution was started with, if not with the machine itself.
ALTER TABLE executions ADD COLUMN version INTEGER;
ALTER TABLE executions ADD COLUMN alias TEXT;
";

/// By which qualifier of a machine's ARN an execution was started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The number of the version.
    pub version: Option<i64>,
    /// The alias that led to it.
    pub alias: Option<String>,
}

/// A published version.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub(crate) number: i64,
    pub(crate) description: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) definition_id: i64,
}

/// One way of an alias.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Route {
    pub(crate) version: i64,
    /// Of a hundred.
    pub(crate) weight: u8,
}

/// An alias.
#[derive(Clone, Debug)]
pub(crate) struct Alias {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) routes: Vec<Route>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// The machine's own ARN and its qualifier: a version's number or an alias's name.
pub(crate) fn split(arn: &str) -> Result<(&str, Option<&str>)> {
    match parse(arn)? {
        Arn::QualifiedStateMachine if arn.split(':').count() == 8 => {
            let (machine, qualifier) = arn.rsplit_once(':').unwrap_or((arn, ""));
            Ok((machine, Some(qualifier)))
        }
        _ => Ok((arn, None)),
    }
}

/// The number of a version's ARN.
fn version_number(qualifier: &str) -> Option<i64> {
    qualifier.bytes().all(|byte| byte.is_ascii_digit()).then(|| qualifier.parse().ok()).flatten()
}

const ALIAS: &str = "SELECT name, description, routing, created_at, updated_at FROM aliases";

fn read_alias(row: &rusqlite::Row<'_>) -> rusqlite::Result<Alias> {
    let routing: String = row.get(2)?;
    let routes = serde_json::from_str(&routing).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Text, error.into())
    })?;
    Ok(Alias {
        name: row.get(0)?,
        description: row.get(1)?,
        routes,
        created_at: stamp(row.get(3)?),
        updated_at: stamp(row.get(4)?),
    })
}

const PUBLISHED: &str = "SELECT number, description, created_at, definition_id FROM versions";

fn read_published(row: &rusqlite::Row<'_>) -> rusqlite::Result<Published> {
    Ok(Published {
        number: row.get(0)?,
        description: row.get(1)?,
        created_at: stamp(row.get(2)?),
        definition_id: row.get(3)?,
    })
}

fn routing(routes: &[Route]) -> rusqlite::Result<String> {
    serde_json::to_string(routes).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

/// Erases the versions and aliases of a machine.
pub(crate) fn erase(c: &Connection, machine: i64) -> rusqlite::Result<()> {
    c.execute("DELETE FROM versions WHERE machine_id = ?1", [machine])?;
    c.execute("DELETE FROM aliases WHERE machine_id = ?1", [machine])?;
    Ok(())
}

impl Inner {
    /// The machine of an ARN with or without a qualifier, as an execution started with it would run
    /// it.
    pub(crate) async fn qualified(&self, arn: &str) -> Result<Arc<StateMachine>> {
        if let Some(machine) = self.machines().get(arn) {
            return Ok(Arc::clone(machine));
        }
        let (base, Some(qualifier)) = split(arn)? else { return self.machine(arn) };
        let unknown = || Error::StateMachineDoesNotExist(arn.to_owned());
        let machine = self.machine(base).map_err(|_| unknown())?;
        let (number, alias) = match version_number(qualifier) {
            Some(number) => (number, None),
            None => {
                let alias = self.alias(machine.id, qualifier).await?.ok_or_else(unknown)?;
                (self.route(&alias.routes), Some(alias.name))
            }
        };
        let published = self.published(machine.id, number).await?.ok_or_else(unknown)?;
        let version = self.version(published.definition_id).await?;
        let origin = Origin { version: Some(number), alias };
        Ok(Arc::new(StateMachine { version, origin, ..(*machine).clone() }))
    }

    /// As [`Inner::qualified`], if the machine takes new executions.
    pub(crate) async fn startable(&self, arn: &str) -> Result<Arc<StateMachine>> {
        let machine = self.qualified(arn).await?;
        if machine.deleting { Err(Error::StateMachineDeleting(machine.arn.to_string())) } else { Ok(machine) }
    }

    fn route(&self, routes: &[Route]) -> i64 {
        // A hundred divides the range well enough.
        let drawn = (self.seed() % 100) as u8;
        let mut up_to = 0;
        for route in routes {
            up_to += route.weight;
            if drawn < up_to {
                return route.version;
            }
        }
        routes.last().map_or(0, |route| route.version)
    }

    pub(crate) async fn published(&self, machine: i64, number: i64) -> Result<Option<Published>> {
        let sql = format!("{PUBLISHED} WHERE machine_id = ?1 AND number = ?2");
        let read = self
            .journal
            .read(move |c| c.prepare_cached(&sql)?.query_row([machine, number], read_published).optional());
        Ok(read.await?)
    }

    pub(crate) async fn alias(&self, machine: i64, name: &str) -> Result<Option<Alias>> {
        let sql = format!("{ALIAS} WHERE machine_id = ?1 AND name = ?2");
        let name = name.to_owned();
        let read = self
            .journal
            .read(move |c| c.prepare_cached(&sql)?.query_row(params![machine, name], read_alias).optional());
        Ok(read.await?)
    }

    /// The versions of a machine below `before`, the latest first.
    pub(crate) async fn list_versions(
        &self,
        machine: i64,
        before: i64,
        limit: u32,
    ) -> Result<Vec<Published>> {
        let sql = format!("{PUBLISHED} WHERE machine_id = ?1 AND number < ?2 ORDER BY number DESC LIMIT ?3");
        let read = self.journal.read(move |c| {
            let mut select = c.prepare_cached(&sql)?;
            select.query_map(params![machine, before, limit], read_published)?.collect()
        });
        Ok(read.await?)
    }

    /// The aliases of a machine by name, after `after`; those that route to `version` if one is
    /// given.
    pub(crate) async fn list_aliases(
        &self,
        machine: i64,
        version: Option<i64>,
        after: String,
        limit: usize,
    ) -> Result<Vec<Alias>> {
        let sql = format!("{ALIAS} WHERE machine_id = ?1 AND name > ?2 ORDER BY name");
        let read = self.journal.read(move |c| {
            let mut select = c.prepare_cached(&sql)?;
            let mut found = Vec::new();
            for alias in select.query_map(params![machine, after], read_alias)? {
                let alias = alias?;
                if version.is_none_or(|version| alias.routes.iter().any(|route| route.version == version)) {
                    found.push(alias);
                }
                if found.len() >= limit {
                    break;
                }
            }
            Ok(found)
        });
        Ok(read.await?)
    }

    /// `PublishStateMachineVersion`: the version of the machine's current revision. Publishing a
    /// revision again gives the same version.
    pub(crate) async fn publish(
        &self,
        arn: &str,
        revision: Option<&str>,
        description: Option<String>,
    ) -> Result<Published> {
        let _changing = self.changing_machines.lock().await;
        let machine = self.live_machine(arn)?;
        let current: &Version = &machine.version;
        let current_revision = current.revision_id.as_deref().unwrap_or("INITIAL");
        if let Some(revision) = revision
            && revision != current_revision
        {
            return Err(Error::Conflict(format!(
                "Failed to publish the State Machine version for revision {revision}. The current State Machine revision is \
                 {current_revision}."
            )));
        }
        let (machine_id, definition_id, at) = (machine.id, current.id, self.now());
        let published = self.journal.write(move |c| {
            let same =
                format!("{PUBLISHED} WHERE machine_id = ?1 AND definition_id = ?2 ORDER BY number DESC");
            if let Some(same) =
                c.prepare_cached(&same)?.query_row([machine_id, definition_id], read_published).optional()?
            {
                return Ok(Some(same));
            }
            let count = "SELECT count(*) FROM versions WHERE machine_id = ?1";
            if c.query_row(count, [machine_id], |row| row.get::<_, i64>(0))? >= VERSIONS_MAX {
                return Ok(None);
            }
            c.execute("UPDATE machines SET last_version = last_version + 1 WHERE id = ?1", [machine_id])?;
            let next = "SELECT last_version FROM machines WHERE id = ?1";
            let next: i64 = c.query_row(next, [machine_id], |row| row.get(0))?;
            c.execute(
                "INSERT INTO versions VALUES (?1, ?2, ?3, ?4, ?5)",
                params![machine_id, next, definition_id, description, number(at)],
            )?;
            Ok(Some(Published { number: next, description, created_at: at, definition_id }))
        });
        published.await?.ok_or_else(|| Error::QuotaExceeded(format!(
            "The state machine has {VERSIONS_MAX} versions, the most there can be. Delete one that is not used."
        )))
    }

    /// `DeleteStateMachineVersion`. A version that does not exist is no error, as for AWS.
    pub(crate) async fn delete_version(&self, arn: &str) -> Result<()> {
        let (base, qualifier) = split(arn)?;
        let Some(number) = qualifier.and_then(version_number) else {
            return Err(Error::InvalidArn(format!("Resource type not valid in this context: {arn}")));
        };
        let _changing = self.changing_machines.lock().await;
        let Ok(machine) = self.machine(base) else { return Ok(()) };
        let using = self.list_aliases(machine.id, Some(number), String::new(), usize::MAX).await?;
        if !using.is_empty() {
            let names: Vec<&str> = using.iter().map(|alias| alias.name.as_str()).collect();
            return Err(Error::Conflict(format!(
                "Version to be deleted must not be referenced by an alias. Current list of aliases referencing this version: [{}]",
                names.join(", ")
            )));
        }
        let id = machine.id;
        let delete = self.journal.write(move |c| {
            c.execute("DELETE FROM versions WHERE machine_id = ?1 AND number = ?2", [id, number])
        });
        delete.await?;
        Ok(())
    }

    /// The routes of a `routingConfiguration` of version ARNs and weights, and the machine that all
    /// of them are of.
    pub(crate) async fn routes(&self, wanted: &[(String, u8)]) -> Result<(Arc<StateMachine>, Vec<Route>)> {
        let arns: Vec<&str> = wanted.iter().map(|(arn, _)| arn.as_str()).collect();
        let listed = arns.join(", ");
        let mut machine: Option<&str> = None;
        let mut routes: Vec<Route> = Vec::with_capacity(wanted.len());
        for (arn, weight) in wanted {
            let (base, qualifier) = split(arn)?;
            let Some(version) = qualifier.and_then(version_number) else {
                return Err(Error::Validation(format!(
                    "Routing configuration must contain state machine version ARNs. Received: [{listed}]"
                )));
            };
            if routes.iter().any(|route| route.version == version) && machine == Some(base) {
                return Err(Error::Validation(format!(
                    "Routing configuration must contain distinct state machine version ARNs. Received: [{listed}]"
                )));
            }
            if machine.is_some_and(|machine| machine != base) {
                return Err(Error::Validation(format!(
                    "Routing configuration must contain versions of one state machine. Received: [{listed}]"
                )));
            }
            machine = Some(base);
            routes.push(Route { version, weight: *weight });
        }
        let weights: Vec<String> = wanted.iter().map(|(_, weight)| weight.to_string()).collect();
        if wanted.iter().map(|(_, weight)| u32::from(*weight)).sum::<u32>() != 100 {
            return Err(Error::Validation(format!(
                "Sum of routing configuration weights must equal 100. Received: [{}]",
                weights.join(", ")
            )));
        }
        let machine = self.live_machine(machine.unwrap_or_default())?;
        for route in &routes {
            if self.published(machine.id, route.version).await?.is_none() {
                return Err(Error::ResourceMissing);
            }
        }
        Ok((machine, routes))
    }

    /// `CreateStateMachineAlias`. The same again answers the same.
    pub(crate) async fn create_alias(
        &self,
        name: String,
        description: Option<String>,
        wanted: &[(String, u8)],
    ) -> Result<(Arc<StateMachine>, Alias)> {
        let _changing = self.changing_machines.lock().await;
        let (machine, routes) = self.routes(wanted).await?;
        if let Some(existing) = self.alias(machine.id, &name).await? {
            if existing.routes == routes && existing.description == description {
                return Ok((machine, existing));
            }
            let why = "Failed to create alias because an alias with the same name and a different routing configuration already exists.";
            return Err(Error::Conflict(why.to_owned()));
        }
        if self.list_aliases(machine.id, None, String::new(), usize::MAX).await?.len() >= ALIASES_MAX {
            return Err(Error::QuotaExceeded(format!(
                "The state machine has {ALIASES_MAX} aliases, the most there can be. Delete one that is not used."
            )));
        }
        let (id, at) = (machine.id, self.now());
        let alias = Alias { name, description, routes, created_at: at, updated_at: at };
        let new = alias.clone();
        let insert = self.journal.write(move |c| {
            c.execute(
                "INSERT INTO aliases VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
                params![id, new.name, new.description, routing(&new.routes)?, number(at)],
            )
        });
        insert.await?;
        Ok((machine, alias))
    }

    /// The alias of an ARN.
    pub(crate) async fn alias_of(&self, arn: &str) -> Result<(Arc<StateMachine>, Alias)> {
        let (base, qualifier) = split(arn)?;
        let missing = |_| Error::ResourceMissing;
        let Some(name) = qualifier.filter(|name| version_number(name).is_none()) else {
            return Err(Error::InvalidArn(format!("Resource type not valid in this context: {arn}")));
        };
        let machine = self.machine(base).map_err(missing)?;
        let alias = self.alias(machine.id, name).await?.ok_or(Error::ResourceMissing)?;
        Ok((machine, alias))
    }

    /// `UpdateStateMachineAlias`: when it was updated.
    pub(crate) async fn update_alias(
        &self,
        arn: &str,
        description: Option<String>,
        wanted: Option<&[(String, u8)]>,
    ) -> Result<Timestamp> {
        let _changing = self.changing_machines.lock().await;
        let (machine, mut alias) = self.alias_of(arn).await?;
        if let Some(wanted) = wanted {
            let (target, routes) = self.routes(wanted).await?;
            if target.id != machine.id {
                let why = "Routing configuration must contain versions of the alias's own state machine.";
                return Err(Error::Validation(why.to_owned()));
            }
            alias.routes = routes;
        }
        alias.description = description.or(alias.description);
        let (id, at) = (machine.id, self.now());
        let update = self.journal.write(move |c| {
            c.execute(
                "UPDATE aliases SET description = ?3, routing = ?4, updated_at = ?5 WHERE machine_id = ?1 AND name = ?2",
                params![id, alias.name, alias.description, routing(&alias.routes)?, number(at)],
            )
        });
        update.await?;
        Ok(at)
    }

    /// `DeleteStateMachineAlias`. An alias that does not exist is no error, as for AWS.
    pub(crate) async fn delete_alias(&self, arn: &str) -> Result<()> {
        let _changing = self.changing_machines.lock().await;
        let (machine, alias) = match self.alias_of(arn).await {
            Ok(found) => found,
            Err(Error::ResourceMissing) => return Ok(()),
            Err(error) => return Err(error),
        };
        let id = machine.id;
        let delete = self.journal.write(move |c| {
            c.execute("DELETE FROM aliases WHERE machine_id = ?1 AND name = ?2", params![id, alias.name])
        });
        delete.await?;
        Ok(())
    }
}
