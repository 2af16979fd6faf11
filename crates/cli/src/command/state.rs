//! `sluice state`: what the vendors' statements come to, and which statement each value is from.

use std::collections::BTreeMap;

use serde_json::Value;
use sluice_core::state::LifeCycle;
use sluice_ops::state::{self, OneState, Said, StateList};

use crate::args::StateCommand;
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, fields, paint, printable, section, time};

/// Runs a subcommand.
pub async fn run(command: StateCommand, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    match command {
        StateCommand::Ls { prefix, limit } => {
            output.document(&state::list(cloud, &prefix, limit as usize).await?)
        }
        StateCommand::Show { entity, history } => {
            output.document(&state::show(cloud, &entity, history).await?)
        }
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

impl View for StateList {
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

impl View for OneState {
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
    use sluice_core::state::State;
    use sluice_ops::state::{Summary, one};

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
        let list = StateList { states: vec![Summary::from(&state())], more: false };
        insta::assert_snapshot!(in_pipe(&list), @r#"
        entity	life cycle	statements	data
        order#shop#ORD-1	CANCELLED	2	currency="EUR" reason="fraud"
        "#);
        let none = StateList { states: Vec::new(), more: false };
        assert_eq!(on_terminal(&none), "Nothing has been said of such an entity.\n");
    }
}
