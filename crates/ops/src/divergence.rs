//! Divergence: where statements of vendors contradict each other, with both values.

use serde::Serialize;
use serde_json::Value;
use sluice_core::record::{Divergence, DivergenceRow};
use sluice_core::state::StateDivergence;

use crate::cloud::Cloud;
use crate::error::OpsError;
use crate::state::{Said, json_of};

/// Contradictions.
#[derive(Debug, Serialize)]
pub struct DivergenceList {
    /// The newest first.
    pub divergence: Vec<Row>,
    /// Whether there are more.
    pub more: bool,
}
/// A contradiction.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Row {
    /// Of statements about an entity.
    State(Box<StateRow>),
    /// Of submissions under one identity.
    Submission(Box<Divergence>),
}
/// A statement that disagrees with those accepted before it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StateRow {
    /// The entity.
    pub subject: String,
    /// Its id, with the subject.
    pub id: String,
    /// How it disagrees.
    pub kind: &'static str,
    /// Who said it.
    pub vendor_id: String,
    /// The canonical type.
    pub event_type: String,
    /// By what.
    #[serde(flatten)]
    pub said: Said,
    /// When it was found.
    #[serde(serialize_with = "crate::document::millis")]
    pub at: jiff::Timestamp,
    /// What it says, and what was held.
    pub claims: Vec<Claim>,
}
/// One member of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// The member.
    pub member: String,
    /// What was held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<Value>,
    /// By what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_by: Option<Said>,
    /// What was said.
    pub stated: Value,
}

impl From<StateDivergence> for StateRow {
    fn from(row: StateDivergence) -> Self {
        let claim = |claim: sluice_core::state::Claim| Claim {
            member: claim.member,
            held: claim.held.as_deref().map(json_of),
            held_by: claim.held_by.map(Said::from),
            stated: json_of(&claim.stated),
        };
        Self {
            subject: row.subject.into(),
            id: row.id,
            kind: row.kind.as_str(),
            vendor_id: row.vendor_id.into(),
            event_type: row.event_type.into(),
            said: row.mark.into(),
            at: row.at,
            claims: row.claims.into_iter().map(claim).collect(),
        }
    }
}

impl From<DivergenceRow> for Row {
    fn from(row: DivergenceRow) -> Self {
        match row {
            DivergenceRow::State(row) => Self::State(Box::new((*row).into())),
            DivergenceRow::Submission(row) => Self::Submission(row),
        }
    }
}

impl Row {
    /// How it disagrees.
    pub fn kind(&self) -> &str {
        match self {
            Self::State(row) => row.kind,
            Self::Submission(row) => &row.kind,
        }
    }

    /// When it was found.
    pub fn at(&self) -> jiff::Timestamp {
        match self {
            Self::State(row) => row.at,
            Self::Submission(row) => row.at,
        }
    }
}

/// Which rows.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// About this entity, or this ledger key (`ledger#<vendorId>#<externalEventId>`). Without it
    /// the table is scanned.
    pub subject: Option<String>,
    /// Of this kind.
    pub kind: Option<String>,
}

/// Lists contradictions with both values, the newest first.
///
/// # Errors
/// When the table does not answer.
pub async fn list(cloud: &Cloud, filter: &Filter, limit: usize) -> Result<DivergenceList, OpsError> {
    let rows = cloud.divergence().list(filter.subject.as_deref(), filter.kind.as_deref()).await?;
    Ok(listed(rows, limit))
}

/// The list of what was read.
pub fn listed(rows: Vec<DivergenceRow>, limit: usize) -> DivergenceList {
    let mut divergence: Vec<Row> = rows.into_iter().map(Row::from).collect();
    divergence.sort_by_key(|row| std::cmp::Reverse(row.at()));
    let more = divergence.len() > limit;
    divergence.truncate(limit);
    DivergenceList { divergence, more }
}
