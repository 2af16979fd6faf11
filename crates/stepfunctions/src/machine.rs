//! State machines and the versions of their definitions.
//!
//! Invariant: a version is immutable. An update adds one and makes it current; an execution keeps the version it was
//! started with, through redrives, as AWS documents for `RedriveExecution`.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sluice_asl::{Definition, DefinitionErrors, MachineType, Timestamp};

use crate::arn::{check_name, expect_state_machine};
use crate::engine::{Inner, number, stamp};
use crate::error::{Error, Result};
use crate::limits::{DEFINITION_BYTES_MAX, TAGS_MAX};
use crate::versions::Origin;

/// What a state machine is created from.
#[derive(Clone, Debug)]
pub struct StateMachineSpec {
    /// 1 to 80 characters of AWS's restricted set.
    pub name: String,
    /// Standard or Express.
    pub machine_type: MachineType,
    /// The definition in Amazon States Language, without placeholders.
    pub definition: String,
    /// The role that executions would run under. Reported, not enforced.
    pub role_arn: String,
    /// Logging and tracing. Reported, not acted on.
    pub configuration: Configuration,
    /// At most 50.
    pub tags: BTreeMap<String, String>,
}

impl StateMachineSpec {
    /// A machine with a role of the local cloud, no logging, no tracing and no tags.
    pub fn new(name: impl Into<String>, machine_type: MachineType, definition: impl Into<String>) -> Self {
        StateMachineSpec {
            name: name.into(),
            machine_type,
            definition: definition.into(),
            role_arn: "arn:aws:iam::000000000000:role/sluice-local".to_owned(),
            configuration: Configuration::default(),
            tags: BTreeMap::new(),
        }
    }
}

/// `loggingConfiguration` and `tracingConfiguration` as they were given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// `LoggingConfiguration` of the API reference.
    pub logging: Value,
    /// `TracingConfiguration` of the API reference.
    pub tracing: Value,
}

impl Default for Configuration {
    fn default() -> Self {
        Configuration {
            logging: serde_json::json!({"level": "OFF", "includeExecutionData": false}),
            tracing: serde_json::json!({"enabled": false}),
        }
    }
}

/// What an update changes; `None` leaves a part as it is.
#[derive(Clone, Debug, Default)]
pub struct StateMachineUpdate {
    /// A new definition.
    pub definition: Option<String>,
    /// A new role.
    pub role_arn: Option<String>,
    /// `LoggingConfiguration` of the API reference.
    pub logging: Option<Value>,
    /// `TracingConfiguration` of the API reference.
    pub tracing: Option<Value>,
}

/// A state machine as it stands.
#[derive(Clone, Debug)]
pub struct StateMachine {
    pub(crate) id: i64,
    /// Its ARN.
    pub arn: Arc<str>,
    /// Its name.
    pub name: String,
    /// Standard or Express.
    pub machine_type: MachineType,
    /// It waits for its executions to end, and starts none.
    pub deleting: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// What a new execution will run.
    pub version: Arc<Version>,
    /// The qualifier by which it was asked for.
    pub origin: Origin,
}

/// One version of a machine's definition.
#[derive(Debug)]
pub struct Version {
    pub(crate) id: i64,
    /// The definition as it was given.
    pub asl: String,
    /// The role as it was given.
    pub role_arn: String,
    /// Logging and tracing.
    pub configuration: Configuration,
    /// `None` until the first update, as AWS reports it.
    pub revision_id: Option<String>,
    /// When this version became current.
    pub updated_at: Timestamp,
    definition: Result<Arc<Definition>, DefinitionErrors>,
}

impl Version {
    /// The compiled definition.
    ///
    /// # Errors
    /// [`Error::InvalidDefinition`] when this program no longer accepts what an earlier one did.
    pub(crate) fn definition(&self) -> Result<Arc<Definition>> {
        self.definition.clone().map_err(Error::InvalidDefinition)
    }
}

pub(crate) fn type_name(machine_type: MachineType) -> &'static str {
    match machine_type {
        MachineType::Standard => "STANDARD",
        MachineType::Express => "EXPRESS",
    }
}

fn type_of(name: &str) -> MachineType {
    if name == "EXPRESS" { MachineType::Express } else { MachineType::Standard }
}

/// Checks a definition as `CreateStateMachine` does.
pub(crate) fn check_definition(asl: &str, machine_type: MachineType) -> Result<Arc<Definition>> {
    if asl.is_empty() {
        return Err(Error::constraint(
            "",
            "definition",
            "Member must have length greater than or equal to 1",
        ));
    }
    if asl.len() > DEFINITION_BYTES_MAX {
        let limit = format!("Member must have length less than or equal to {DEFINITION_BYTES_MAX}");
        return Err(Error::constraint("(not shown)", "definition", &limit));
    }
    Definition::parse(asl, machine_type).map(Arc::new).map_err(Error::InvalidDefinition)
}

fn check_role(role_arn: &str) -> Result<()> {
    if role_arn.is_empty() {
        return Err(Error::constraint("", "roleArn", "Member must have length greater than or equal to 1"));
    }
    if role_arn.starts_with("arn:") {
        Ok(())
    } else {
        Err(Error::InvalidArn(format!("Invalid Role Arn: '{role_arn}'")))
    }
}

const VERSION: &str = "SELECT d.id, d.asl, d.role_arn, d.configuration, d.revision_id, d.updated_at, m.type
    FROM definitions d JOIN machines m ON m.id = d.machine_id";

fn read_version(row: &Row<'_>) -> rusqlite::Result<Version> {
    let asl: String = row.get(1)?;
    let configuration: String = row.get(3)?;
    let machine_type: String = row.get(6)?;
    let definition = Definition::parse(&asl, type_of(&machine_type)).map(Arc::new);
    Ok(Version {
        id: row.get(0)?,
        role_arn: row.get(2)?,
        configuration: serde_json::from_str(&configuration).unwrap_or_default(),
        revision_id: row.get(4)?,
        updated_at: stamp(row.get(5)?),
        definition,
        asl,
    })
}

/// All machines with their current versions.
pub(crate) fn load_all(connection: &Connection) -> rusqlite::Result<Vec<StateMachine>> {
    let mut machines =
        connection.prepare("SELECT id, arn, name, type, status, definition_id, created_at FROM machines")?;
    let mut version = connection.prepare(&format!("{VERSION} WHERE d.id = ?1"))?;
    let rows = machines.query_map([], |row| {
        let arn: String = row.get(1)?;
        let machine_type: String = row.get(3)?;
        let status: String = row.get(4)?;
        let definition_id: i64 = row.get(5)?;
        Ok(StateMachine {
            id: row.get(0)?,
            arn: arn.into(),
            name: row.get(2)?,
            machine_type: type_of(&machine_type),
            deleting: status == "DELETING",
            created_at: stamp(row.get(6)?),
            version: Arc::new(version.query_row([definition_id], read_version)?),
            origin: Origin::default(),
        })
    })?;
    rows.collect()
}

struct NewVersion {
    asl: String,
    role_arn: String,
    configuration: Configuration,
    revision_id: Option<String>,
    at: Timestamp,
    definition: Arc<Definition>,
}

impl NewVersion {
    fn insert(self, connection: &Connection, machine_id: i64) -> rusqlite::Result<Version> {
        let configuration = serde_json::to_string(&self.configuration)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        connection
            .prepare_cached(
                "INSERT INTO definitions(machine_id, asl, role_arn, revision_id, updated_at, configuration)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                machine_id,
                self.asl,
                self.role_arn,
                self.revision_id,
                number(self.at),
                configuration
            ])?;
        Ok(Version {
            id: connection.last_insert_rowid(),
            asl: self.asl,
            role_arn: self.role_arn,
            configuration: self.configuration,
            revision_id: self.revision_id,
            updated_at: self.at,
            definition: Ok(self.definition),
        })
    }
}

impl Inner {
    pub(crate) fn machine_arn(&self, name: &str) -> String {
        format!("arn:aws:states:{}:{}:stateMachine:{name}", self.options.region, self.options.account)
    }

    /// The machine of an unqualified ARN.
    pub(crate) fn machine(&self, arn: &str) -> Result<Arc<StateMachine>> {
        if let Some(machine) = self.machines().get(arn) {
            return Ok(Arc::clone(machine));
        }
        expect_state_machine(arn)?;
        Err(Error::StateMachineDoesNotExist(arn.to_owned()))
    }

    /// The machine of an unqualified ARN, if it takes new executions.
    pub(crate) fn live_machine(&self, arn: &str) -> Result<Arc<StateMachine>> {
        let machine = self.machine(arn)?;
        if machine.deleting { Err(Error::StateMachineDeleting(arn.to_owned())) } else { Ok(machine) }
    }

    /// A version by its id, for executions that were started with an earlier one.
    pub(crate) async fn version(&self, id: i64) -> Result<Arc<Version>> {
        const KEPT: usize = 256;
        if let Some(version) = self.versions().get(&id) {
            return Ok(Arc::clone(version));
        }
        let sql = format!("{VERSION} WHERE d.id = ?1");
        let found = self.journal.read(move |c| c.query_row(&sql, [id], read_version).optional()).await?;
        let version =
            found.map(Arc::new).ok_or_else(|| Error::Internal(format!("definition {id} is missing")))?;
        let mut versions = self.versions();
        if versions.len() >= KEPT {
            versions.clear();
        }
        versions.insert(id, Arc::clone(&version));
        Ok(version)
    }

    /// Creates a machine; the same again answers the same. Role and tags are not compared (API reference).
    pub(crate) async fn create_machine(
        self: &Arc<Self>,
        spec: StateMachineSpec,
    ) -> Result<Arc<StateMachine>> {
        check_name(&spec.name)?;
        check_role(&spec.role_arn)?;
        let arn = self.machine_arn(&spec.name);
        if spec.tags.len() > TAGS_MAX {
            return Err(Error::TooManyTags(arn));
        }
        let definition = check_definition(&spec.definition, spec.machine_type)?;
        let _changing = self.changing_machines.lock().await;
        if let Some(existing) = self.machines().get(arn.as_str()).cloned() {
            if existing.deleting {
                return Err(Error::StateMachineDeleting(arn));
            }
            let same = existing.machine_type == spec.machine_type
                && existing.version.asl == spec.definition
                && existing.version.configuration == spec.configuration;
            return if same { Ok(existing) } else { Err(Error::StateMachineAlreadyExists(arn)) };
        }
        let at = self.now();
        let version = NewVersion {
            asl: spec.definition,
            role_arn: spec.role_arn,
            configuration: spec.configuration,
            revision_id: None,
            at,
            definition,
        };
        let (name, machine_type, tags) = (spec.name, spec.machine_type, spec.tags);
        let machine = self
            .journal
            .write(move |c| {
                c.execute(
                    "INSERT INTO machines(arn, name, type, status, definition_id, created_at)
                     VALUES (?1, ?2, ?3, 'ACTIVE', 0, ?4)",
                    params![arn, name, type_name(machine_type), number(at)],
                )?;
                let id = c.last_insert_rowid();
                let version = version.insert(c, id)?;
                c.execute("UPDATE machines SET definition_id = ?2 WHERE id = ?1", [id, version.id])?;
                for (key, value) in &tags {
                    c.execute("INSERT INTO tags VALUES (?1, ?2, ?3)", params![id, key, value])?;
                }
                Ok(StateMachine {
                    id,
                    arn: arn.into(),
                    name,
                    machine_type,
                    deleting: false,
                    created_at: at,
                    version: Arc::new(version),
                    origin: Origin::default(),
                })
            })
            .await?;
        let machine = Arc::new(machine);
        self.remember(&machine);
        Ok(machine)
    }

    /// Adds a version and makes it current.
    pub(crate) async fn update_machine(
        self: &Arc<Self>,
        arn: &str,
        update: StateMachineUpdate,
    ) -> Result<Arc<StateMachine>> {
        let StateMachineUpdate { definition, role_arn, logging, tracing } = update;
        if definition.is_none() && role_arn.is_none() && logging.is_none() && tracing.is_none() {
            return Err(Error::MissingRequiredParameter);
        }
        if let Some(role_arn) = &role_arn {
            check_role(role_arn)?;
        }
        let _changing = self.changing_machines.lock().await;
        let machine = self.live_machine(arn)?;
        let current = &machine.version;
        let asl = definition.unwrap_or_else(|| current.asl.clone());
        let role_arn = role_arn.unwrap_or_else(|| current.role_arn.clone());
        let configuration = Configuration {
            logging: logging.unwrap_or_else(|| current.configuration.logging.clone()),
            tracing: tracing.unwrap_or_else(|| current.configuration.tracing.clone()),
        };
        // As on AWS, an update that changes nothing makes no revision.
        if asl == current.asl && role_arn == current.role_arn && configuration == current.configuration {
            return Ok(machine);
        }
        let compiled = check_definition(&asl, machine.machine_type)?;
        let version = NewVersion {
            asl,
            role_arn,
            configuration,
            revision_id: Some(self.uuid()),
            at: self.now(),
            definition: compiled,
        };
        let id = machine.id;
        let version = self
            .journal
            .write(move |c| {
                let version = version.insert(c, id)?;
                c.execute("UPDATE machines SET definition_id = ?2 WHERE id = ?1", [id, version.id])?;
                Ok(version)
            })
            .await?;
        let machine = Arc::new(StateMachine { version: Arc::new(version), ..(*machine).clone() });
        self.remember(&machine);
        Ok(machine)
    }

    fn remember(&self, machine: &Arc<StateMachine>) {
        self.versions().insert(machine.version.id, Arc::clone(&machine.version));
        self.machines_mut().insert(Arc::clone(&machine.arn), Arc::clone(machine));
    }

    /// Creates the machine, or brings it to `spec` if it exists: what a deployment does.
    pub(crate) async fn put_machine(self: &Arc<Self>, spec: StateMachineSpec) -> Result<Arc<StateMachine>> {
        let arn = self.machine_arn(&spec.name);
        let existing = self.machines().get(arn.as_str()).cloned();
        let Some(existing) = existing else { return self.create_machine(spec).await };
        if existing.machine_type != spec.machine_type {
            return Err(Error::StateMachineAlreadyExists(arn));
        }
        let current = &existing.version;
        let same = current.asl == spec.definition
            && current.role_arn == spec.role_arn
            && current.configuration == spec.configuration;
        if same && !existing.deleting {
            return Ok(existing);
        }
        let update = StateMachineUpdate {
            definition: Some(spec.definition),
            role_arn: Some(spec.role_arn),
            logging: Some(spec.configuration.logging),
            tracing: Some(spec.configuration.tracing),
        };
        self.update_machine(&arn, update).await
    }

    /// Marks the machine as being deleted and begins to delete it. No such machine is no error, as for AWS.
    pub(crate) async fn delete_machine(self: &Arc<Self>, arn: &str) -> Result<()> {
        let machine = match self.machine(arn) {
            Ok(machine) => machine,
            Err(Error::StateMachineDoesNotExist(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        let _changing = self.changing_machines.lock().await;
        if machine.deleting {
            return Ok(());
        }
        let id = machine.id;
        self.journal
            .write(move |c| c.execute("UPDATE machines SET status = 'DELETING' WHERE id = ?1", [id]))
            .await?;
        let machine = Arc::new(StateMachine { deleting: true, ..(*machine).clone() });
        self.machines_mut().insert(Arc::clone(&machine.arn), Arc::clone(&machine));
        if self.erase_some(id).await? {
            self.machines_mut().remove(&machine.arn);
        } else {
            self.finish_deletion(machine);
        }
        Ok(())
    }

    /// Stops the executions of a machine that is being deleted and erases it when they have ended, in the background.
    pub(crate) fn finish_deletion(self: &Arc<Self>, machine: Arc<StateMachine>) {
        const STEP: std::time::Duration = std::time::Duration::from_millis(20);
        let inner = Arc::clone(self);
        self.spawn(async move {
            loop {
                let outcome = async {
                    inner.stop_all(machine.id).await?;
                    inner.erase_some(machine.id).await
                };
                match outcome.await {
                    Ok(true) => break,
                    Ok(false) => {}
                    Err(error) => {
                        tracing::warn!(machine = %machine.arn, %error, "failed to delete a state machine");
                    }
                }
                // The rest is done when the journal is opened again.
                if inner.closing.run_until_cancelled(tokio::time::sleep(STEP)).await.is_none() {
                    return;
                }
            }
            inner.machines_mut().remove(&machine.arn);
        });
    }

    /// Erases a bounded number of closed executions of a machine, and the machine itself once none is left.
    async fn erase_some(&self, machine: i64) -> Result<bool> {
        const SOME: i64 = 500;
        let erased = self
            .journal
            .write(move |c| {
                let closed =
                    "SELECT id FROM executions WHERE machine_id = ?1 AND status <> 'RUNNING' LIMIT ?2";
                let ids: Vec<i64> = c
                    .prepare_cached(closed)?
                    .query_map([machine, SOME], |row| row.get(0))?
                    .collect::<Result<_, _>>()?;
                for id in ids {
                    crate::standard::erase(c, id)?;
                }
                let left: bool = c.query_row(
                    "SELECT EXISTS (SELECT 1 FROM executions WHERE machine_id = ?1)
                         OR EXISTS (SELECT 1 FROM express WHERE machine_id = ?1)",
                    [machine],
                    |row| row.get(0),
                )?;
                if !left {
                    crate::versions::erase(c, machine)?;
                    c.execute("DELETE FROM tags WHERE machine_id = ?1", [machine])?;
                    c.execute("DELETE FROM definitions WHERE machine_id = ?1", [machine])?;
                    c.execute("DELETE FROM machines WHERE id = ?1", [machine])?;
                }
                Ok(!left)
            })
            .await?;
        Ok(erased)
    }

    pub(crate) async fn tags(&self, machine: i64) -> Result<BTreeMap<String, String>> {
        let tags = self
            .journal
            .read(move |c| {
                c.prepare_cached("SELECT key, value FROM tags WHERE machine_id = ?1")?
                    .query_map([machine], |row| Ok((row.get(0)?, row.get(1)?)))?
                    .collect()
            })
            .await?;
        Ok(tags)
    }

    pub(crate) async fn tag(&self, machine: &StateMachine, tags: BTreeMap<String, String>) -> Result<()> {
        let mut all = self.tags(machine.id).await?;
        all.extend(tags.clone());
        if all.len() > TAGS_MAX {
            return Err(Error::TooManyTags(machine.arn.to_string()));
        }
        let id = machine.id;
        self.journal
            .write(move |c| {
                for (key, value) in &tags {
                    c.execute("INSERT OR REPLACE INTO tags VALUES (?1, ?2, ?3)", params![id, key, value])?;
                }
                Ok(())
            })
            .await?;
        Ok(())
    }

    pub(crate) async fn untag(&self, machine: i64, keys: Vec<String>) -> Result<()> {
        self.journal
            .write(move |c| {
                for key in &keys {
                    c.execute("DELETE FROM tags WHERE machine_id = ?1 AND key = ?2", params![machine, key])?;
                }
                Ok(())
            })
            .await?;
        Ok(())
    }
}
