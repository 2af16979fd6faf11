//! Canonical state: what the vendors' statements come to, and which statement each value is from.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sluice_core::id::IngestId;
use sluice_core::port::CanonicalStore as _;
use sluice_core::state::{Contribution, Entity, LifeCycle, Mark, State};

use crate::cloud::Cloud;
use crate::document::millis_opt;
use crate::error::OpsError;

/// Entities of canonical state.
#[derive(Debug, Serialize)]
pub struct StateList {
    /// By their keys.
    pub states: Vec<Summary>,
    /// Whether there may be more.
    pub more: bool,
}
/// An entity in short.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Its key.
    pub entity: Entity,
    /// Where it is in its life, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub life_cycle: Option<LifeCycle>,
    /// Statements about it.
    pub contributions: u64,
    /// When the last of them was accepted.
    #[serde(serialize_with = "millis_opt", skip_serializing_if = "Option::is_none")]
    pub last_received_at: Option<Timestamp>,
    /// Each member's value.
    pub data: BTreeMap<String, Value>,
}
/// All that is known of an entity.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OneState {
    /// In short.
    #[serde(flatten)]
    pub summary: Summary,
    /// What its key is made of.
    pub identity: BTreeMap<&'static str, String>,
    /// Of its row.
    pub version: u64,
    /// What placed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placed: Option<Said>,
    /// What updated it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated: Option<Said>,
    /// What cancelled it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<Said>,
    /// Each member's value, when it was said and by what.
    pub members: Vec<Member>,
    /// Every statement, in the order of acceptance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<Vec<Line>>,
}

/// A [`Mark`] in a document.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Said {
    /// When it happened, as the vendor says.
    pub occurred_at: Timestamp,
    /// The event.
    pub ingest_id: IngestId,
    /// The line of its document, from 0.
    pub line: u32,
}

impl Said {
    /// The event.
    pub fn ingest_id(&self) -> IngestId {
        self.ingest_id
    }
}

impl From<Mark> for Said {
    fn from(mark: Mark) -> Self {
        Self { occurred_at: mark.occurred_at, ingest_id: mark.source.ingest_id, line: mark.source.line }
    }
}
/// A member of an entity.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Value,
    /// The statement that it is from.
    #[serde(flatten)]
    pub said: Said,
}
/// A statement about an entity.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// By what.
    #[serde(flatten)]
    pub said: Said,
    /// By whom.
    pub vendor_id: String,
    /// The canonical type.
    pub event_type: String,
    /// The version of the canonical schema.
    pub schema_version: String,
    /// What it says.
    pub data: BTreeMap<String, Value>,
}

/// Stored JSON text as JSON.
pub(crate) fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

impl From<&State> for Summary {
    fn from(state: &State) -> Self {
        Self {
            entity: state.entity.clone(),
            life_cycle: state.view.life_cycle(),
            contributions: state.contributions,
            last_received_at: state.last.map(|last| last.ingest_id.received_at()),
            data: state
                .view
                .fields
                .iter()
                .map(|(name, field)| (name.clone(), json_of(&field.value)))
                .collect(),
        }
    }
}

impl From<Contribution> for Line {
    fn from(contribution: Contribution) -> Self {
        Self {
            said: contribution.mark.into(),
            vendor_id: contribution.vendor_id.to_string(),
            event_type: contribution.event_type.to_string(),
            schema_version: contribution.schema_version.to_string(),
            data: contribution.fields.iter().map(|(name, value)| (name.clone(), json_of(value))).collect(),
        }
    }
}

/// Lists entities whose key begins with `prefix`, with their data.
///
/// # Errors
/// When the table does not answer.
pub async fn list(cloud: &Cloud, prefix: &str, limit: usize) -> Result<StateList, OpsError> {
    let page = cloud.canonical().list(prefix, limit).await?;
    let shown = page.states.iter().filter(|state| state.contributions > 0);
    Ok(StateList { states: shown.map(Summary::from).collect(), more: page.more })
}

/// Shows one entity; with `history` every statement about it too, in the order of acceptance.
///
/// # Errors
/// When nothing has been said of it, and when the table does not answer.
pub async fn show(cloud: &Cloud, entity: &Entity, history: bool) -> Result<OneState, OpsError> {
    let canonical = cloud.canonical();
    let mut states = canonical.read(&[], std::slice::from_ref(entity)).await?.states;
    let Some(state) = states.pop().filter(|state| state.contributions > 0) else {
        return Err(OpsError::not_found(format!("nothing has been said of {entity}")).with_hint(
            "`sluice state ls` lists entities; one of an event accepted a moment ago may take a second",
        ));
    };
    let history = match history {
        true => Some(canonical.history(entity, None).await?),
        false => None,
    };
    Ok(one(&state, history))
}

/// The document of what was read.
pub fn one(state: &State, history: Option<Vec<Contribution>>) -> OneState {
    let view = &state.view;
    OneState {
        summary: state.into(),
        identity: state.entity.identity().into_iter().collect(),
        version: state.version,
        placed: view.placed.map(Said::from),
        updated: view.updated.map(Said::from),
        cancelled: view.cancelled.map(Said::from),
        members: view
            .fields
            .iter()
            .map(|(name, field)| Member {
                name: name.clone(),
                value: json_of(&field.value),
                said: field.mark.into(),
            })
            .collect(),
        history: history.map(|rows| rows.into_iter().map(Line::from).collect()),
    }
}
