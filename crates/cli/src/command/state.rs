//! `sluice state`: what the vendors' statements come to, and which statement each value is from.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sluice_core::id::IngestId;
use sluice_core::port::CanonicalStore as _;
use sluice_core::state::{Contribution, Entity, LifeCycle, Mark, State};

use crate::args::StateCommand;
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, fields, millis_opt, paint, printable, section, time};

#[derive(Debug, Serialize)]
struct List {
    states: Vec<Summary>,
    more: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    entity: Entity,
    #[serde(skip_serializing_if = "Option::is_none")]
    life_cycle: Option<LifeCycle>,
    contributions: u64,
    #[serde(serialize_with = "millis_opt", skip_serializing_if = "Option::is_none")]
    last_received_at: Option<Timestamp>,
    data: BTreeMap<String, Value>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct One {
    #[serde(flatten)]
    summary: Summary,
    identity: BTreeMap<&'static str, String>,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    placed: Option<Said>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated: Option<Said>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancelled: Option<Said>,
    members: Vec<Member>,
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Vec<Line>>,
}

/// A [`Mark`] in a document.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Said {
    occurred_at: Timestamp,
    ingest_id: IngestId,
    line: u32,
}

impl Said {
    pub(crate) fn ingest_id(&self) -> IngestId {
        self.ingest_id
    }
}

impl From<Mark> for Said {
    fn from(mark: Mark) -> Self {
        Self { occurred_at: mark.occurred_at, ingest_id: mark.source.ingest_id, line: mark.source.line }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Member {
    name: String,
    value: Value,
    #[serde(flatten)]
    said: Said,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    #[serde(flatten)]
    said: Said,
    vendor_id: String,
    event_type: String,
    schema_version: String,
    data: BTreeMap<String, Value>,
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

/// Runs a subcommand.
pub async fn run(command: StateCommand, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    let canonical = cloud.canonical();
    match command {
        StateCommand::Ls { prefix, limit } => {
            let page = canonical.list(&prefix, limit as usize).await?;
            let shown = page.states.iter().filter(|state| state.contributions > 0);
            output.document(&List { states: shown.map(Summary::from).collect(), more: page.more })
        }
        StateCommand::Show { entity, history } => {
            let mut states = canonical.read(&[], std::slice::from_ref(&entity)).await?.states;
            let Some(state) = states.pop().filter(|state| state.contributions > 0) else {
                return Err(CliError::not_found(format!("nothing has been said of {entity}"))
                    .with_hint("`sluice state ls` lists entities; one of an event accepted a moment ago may take a second"));
            };
            let history = match history {
                true => Some(canonical.history(&entity, None).await?),
                false => None,
            };
            output.document(&one(&state, history))
        }
    }
}

fn one(state: &State, history: Option<Vec<Contribution>>) -> One {
    let view = &state.view;
    One {
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

fn life_cycle_cell(life_cycle: Option<LifeCycle>) -> Cell {
    match life_cycle {
        None => "".into(),
        Some(state @ LifeCycle::Cancelled) => Cell::new(Tone::Bad, state.as_str()),
        Some(state) => Cell::new(Tone::Good, state.as_str()),
    }
}

fn data_text(data: &BTreeMap<String, Value>) -> String {
    let members: Vec<String> = data.iter().map(|(name, value)| format!("{name}={value}")).collect();
    members.join(" ")
}

impl View for List {
    fn text(&self, page: &Page) -> String {
        if self.states.is_empty() && page.terminal {
            return "Nothing has been said of such an entity.\n".into();
        }
        let rows = self.states.iter().map(|state| {
            vec![
                state.entity.as_str().into(),
                life_cycle_cell(state.life_cycle),
                state.contributions.to_string().into(),
                data_text(&state.data).into(),
            ]
        });
        let mut text = page.table(&["ENTITY", "LIFE CYCLE", "STATEMENTS", "DATA"], rows.collect());
        if self.more && page.terminal {
            text.push_str(&paint(Tone::Dim, "There may be more: --limit, or a longer --prefix.\n"));
        }
        text
    }
}

impl View for One {
    fn text(&self, page: &Page) -> String {
        let summary = &self.summary;
        let mut text = format!("{}\n", paint(Tone::Strong, printable(summary.entity.as_str())));
        let mut list: Vec<(&str, String)> = Vec::new();
        list.extend(summary.life_cycle.map(|state| ("life cycle", state.as_str().to_owned())));
        for (name, said) in
            [("placed", &self.placed), ("updated", &self.updated), ("cancelled", &self.cancelled)]
        {
            let text = |said: &Said| format!("{} by {}", time(said.occurred_at), said.ingest_id);
            list.extend(said.as_ref().map(|said| (name, text(said))));
        }
        list.push(("statements", summary.contributions.to_string()));
        text.push_str(&fields(list));
        let rows = self.members.iter().map(|member| {
            vec![
                (&member.name).into(),
                time(member.said.occurred_at).into(),
                format!("{}#{}", member.said.ingest_id, member.said.line).into(),
                member.value.to_string().into(),
            ]
        });
        let members = page.table(&["MEMBER", "OCCURRED", "SAID BY", "VALUE"], rows.collect());
        text.push_str(&section("Members", &members));
        if let Some(history) = &self.history {
            let rows = history.iter().map(|line| {
                vec![
                    format!("{}#{}", line.said.ingest_id, line.said.line).into(),
                    (&line.vendor_id).into(),
                    (&line.event_type).into(),
                    time(line.said.occurred_at).into(),
                    data_text(&line.data).into(),
                ]
            });
            let table = page.table(&["SAID BY", "VENDOR", "TYPE", "OCCURRED", "DATA"], rows.collect());
            text.push_str(&section("Statements, as they were accepted", &table));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use serde_json::json;

    use super::*;
    use crate::output::testing::{in_pipe, json, on_terminal};

    fn state() -> State {
        serde_json::from_value(json!({
            "entity": "order#shop#ORD-1", "version": 3, "contributions": 2, "last": "01KAJ3Y3R00000000000000002#0000",
            "placed": {"occurredAt": "2026-11-21T09:00:00Z", "source": "01KAJ3Y3R00000000000000001#0000"},
            "cancelled": {"occurredAt": "2026-11-21T09:30:00.5Z", "source": "01KAJ3Y3R00000000000000002#0000"},
            "fields": {
                "currency": {"value": "\"EUR\"", "occurredAt": "2026-11-21T09:00:00Z", "source": "01KAJ3Y3R00000000000000001#0000"},
                "reason": {"value": "\"fraud\"", "occurredAt": "2026-11-21T09:30:00.5Z", "source": "01KAJ3Y3R00000000000000002#0000"}
            }
        }))
        .unwrap()
    }

    #[test]
    fn one_says_which_statement_each_value_is_from() {
        insta::assert_snapshot!(on_terminal(&one(&state(), None)), @r#"
        order#shop#ORD-1
          life cycle  CANCELLED
          placed      2026-11-21 09:00:00.000Z by 01KAJ3Y3R00000000000000001
          cancelled   2026-11-21 09:30:00.500Z by 01KAJ3Y3R00000000000000002
          statements  2

        Members
         MEMBER    OCCURRED                  SAID BY                       VALUE   
         currency  2026-11-21 09:00:00.000Z  01KAJ3Y3R00000000000000001#0  "EUR"
         reason    2026-11-21 09:30:00.500Z  01KAJ3Y3R00000000000000002#0  "fraud"
        "#);
        insta::assert_snapshot!(json(&one(&state(), None)), @r#"
        {
          "entity": "order#shop#ORD-1",
          "lifeCycle": "CANCELLED",
          "contributions": 2,
          "lastReceivedAt": "2025-11-21T02:29:47.392Z",
          "data": {
            "currency": "EUR",
            "reason": "fraud"
          },
          "identity": {
            "orderId": "ORD-1",
            "vendorId": "shop"
          },
          "version": 3,
          "placed": {
            "occurredAt": "2026-11-21T09:00:00Z",
            "ingestId": "01KAJ3Y3R00000000000000001",
            "line": 0
          },
          "cancelled": {
            "occurredAt": "2026-11-21T09:30:00.5Z",
            "ingestId": "01KAJ3Y3R00000000000000002",
            "line": 0
          },
          "members": [
            {
              "name": "currency",
              "value": "EUR",
              "occurredAt": "2026-11-21T09:00:00Z",
              "ingestId": "01KAJ3Y3R00000000000000001",
              "line": 0
            },
            {
              "name": "reason",
              "value": "fraud",
              "occurredAt": "2026-11-21T09:30:00.5Z",
              "ingestId": "01KAJ3Y3R00000000000000002",
              "line": 0
            }
          ]
        }
        "#);
    }

    #[test]
    fn a_list_has_the_data() {
        let list = List { states: vec![Summary::from(&state())], more: false };
        insta::assert_snapshot!(in_pipe(&list), @r#"
        entity	life cycle	statements	data
        order#shop#ORD-1	CANCELLED	2	currency="EUR" reason="fraud"
        "#);
        let none = List { states: Vec::new(), more: false };
        assert_eq!(on_terminal(&none), "Nothing has been said of such an entity.\n");
    }
}
