//! `sluice mapper suggest`: from samples to a mapping with confidence, evidence and proof. The work is in `sluice_suggest`.

use std::fmt::Write as _;

use serde::Serialize;
use sluice_core::canonical::SCHEMAS;
use sluice_core::contract::CanonicalRef;
use sluice_core::json::Json;
use sluice_suggest::{Model, Proposal, Report};

use crate::args::SuggestArgs;
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, paint, printable};
use crate::workshop::scaffold::{Content, Sample};

use super::new::files;

/// Runs the command.
pub(super) fn run(args: &SuggestArgs, output: &Output) -> Result<(), CliError> {
    let samples =
        files(&args.from_sample)?.iter().map(|path| Sample::read(path)).collect::<Result<Vec<_>, _>>()?;
    output.document(&proposed(args, &samples)?)
}

fn proposed(args: &SuggestArgs, samples: &[Sample]) -> Result<Suggested, CliError> {
    if let Some(sample) = samples.iter().find(|sample| matches!(sample.content, Content::X12(_))) {
        return Err(CliError::usage(format!("{} is X12, of which no mapping is proposed yet", sample.name))
            .with_hint("sluice mapper new --from-sample makes a mapper of X12 846, 850 and 856"));
    }
    let kinds: Vec<_> = samples.iter().map(|sample| sample.content.format()).collect();
    if kinds.windows(2).any(|two| two[0] != two[1]) {
        return Err(CliError::usage("the samples are of several formats")
            .with_hint("give the samples of one kind of message"));
    }
    let messages = messages(samples);
    let model = Model::built_in();
    let types = match &args.canonical {
        Some(_) => Vec::new(),
        None => sluice_suggest::suit(&messages, model),
    };
    let wanted = args.canonical.as_ref().map(|name| name.as_str().to_owned());
    let wanted = wanted.or_else(|| types.first().map(|(found, _)| found.r#type.as_str().to_owned()));
    let wanted = wanted.unwrap_or_default();
    let Some((name, version, schema)) = SCHEMAS.iter().rfind(|(name, ..)| *name == wanted) else {
        let known: Vec<&str> = SCHEMAS.iter().map(|(name, ..)| *name).collect();
        let problem = format!("there is no canonical type {wanted}; there are {}", known.join(", "));
        return Err(CliError::usage(problem));
    };
    let invalid = |error: &dyn std::fmt::Display| CliError::usage(error.to_string());
    let canonical = CanonicalRef {
        r#type: name.parse().map_err(|error| invalid(&error))?,
        version: version.parse().map_err(|error| invalid(&error))?,
    };
    let schema = serde_json::from_str(schema).map_err(|error| invalid(&error))?;
    Ok(Suggested {
        vendor: args.vendor.to_string(),
        types: types
            .into_iter()
            .map(|(canonical, score)| Suits { r#type: canonical.r#type.to_string(), score })
            .collect(),
        report: sluice_suggest::suggest(&messages, &canonical, &schema, model),
    })
}

/// What the engine reads: JSON as it is, the lines of a file as an array of objects.
fn messages(samples: &[Sample]) -> Vec<Json> {
    let of = |sample: &Sample| match &sample.content {
        Content::Json(value) => Some(value.clone()),
        Content::Csv(lines) => Some(Json::Array(lines.iter().map(|(_, line)| line.clone()).collect())),
        Content::X12(_) => None,
    };
    samples.iter().filter_map(of).collect()
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Suggested {
    vendor: String,
    /// What the messages may become, the likeliest first; empty if the command said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    types: Vec<Suits>,
    #[serde(flatten)]
    report: Report,
}

#[derive(Debug, Serialize)]
struct Suits {
    r#type: String,
    score: f64,
}

/// Most reasons of a member in the table.
const REASONS_MAX: usize = 2;

impl View for Suggested {
    fn text(&self, page: &Page) -> String {
        let Report { canonical, each, lists, samples, documents, threshold, members, incomplete, unused } =
            &self.report;
        let mut text = format!("{} {} {}", self.vendor, paint(Tone::Dim, "to"), canonical.r#type);
        let others: Vec<&str> = self.types.iter().skip(1).map(|one| one.r#type.as_str()).collect();
        if !others.is_empty() {
            let _ = write!(text, " {}", paint(Tone::Dim, format!("(--canonical for {})", others.join(", "))));
        }
        text.push('\n');
        if !each.is_empty() {
            let _ = writeln!(text, "an event for each of {}", printable(each));
        }
        for (ours, theirs) in lists {
            let _ = writeln!(text, "{ours} are {}", printable(theirs));
        }
        let row = |one: &Proposal| -> Vec<Cell> {
            let sure = format!("{:.0} %", one.confidence * 100.0);
            let reasons: Vec<&str> = one
                .evidence
                .iter()
                .filter(|it| it.weight > 0.0)
                .take(REASONS_MAX)
                .map(|it| it.text.as_str())
                .collect();
            let others: Vec<String> = one
                .alternatives
                .iter()
                .take(2)
                .map(|it| format!("{} {:.0} %", it.from, it.confidence * 100.0))
                .collect();
            let proof = format!("{}/{}", one.proof.satisfied, one.proof.samples);
            if one.from.is_empty() {
                let tone = if incomplete.contains(&one.member) { Tone::Bad } else { Tone::Dim };
                let why = one.proof.violations.first().map_or_else(String::new, |why| printable(why));
                return vec![
                    one.member.as_str().into(),
                    Cell::new(tone, "not sure: yours to say"),
                    "".into(),
                    "".into(),
                    proof.into(),
                    why.into(),
                    others.join(", ").into(),
                ];
            }
            vec![
                one.member.as_str().into(),
                Cell::new(Tone::Good, one.from.join(" + ")),
                one.transform.as_ref().map(sluice_suggest::Transform::words).unwrap_or_default().into(),
                sure.into(),
                proof.into(),
                reasons.join("; ").into(),
                others.join(", ").into(),
            ]
        };
        text.push('\n');
        let heads = ["MEMBER", "FROM", "TRANSFORM", "SURE", "PROOF", "WHY", "ELSE"];
        text.push_str(&page.table(&heads, members.iter().map(row).collect()));
        let _ = writeln!(
            text,
            "\n{} of {} documents of {samples} samples are valid but for what is missing; below {:.0} % nothing is asserted",
            documents.valid,
            documents.built,
            threshold * 100.0
        );
        if !incomplete.is_empty() {
            let _ = writeln!(text, "{} {}", paint(Tone::Bad, "mapping_incomplete:"), incomplete.join(", "));
        }
        if !unused.is_empty() {
            let _ = writeln!(text, "not used: {}", printable(&unused.join(", ")));
        }
        let _ = writeln!(
            text,
            "\nnext: sluice mapper new {} --canonical {} --from-sample …",
            self.vendor, canonical.r#type
        );
        text
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use super::*;

    fn proposed_of(files: &[(&str, &str)]) -> Result<Suggested, CliError> {
        let folder = tempfile::tempdir().unwrap();
        let samples: Vec<Sample> = files
            .iter()
            .map(|(name, text)| {
                std::fs::write(folder.path().join(name), text).unwrap();
                Sample::read(&folder.path().join(name)).unwrap()
            })
            .collect();
        let args = SuggestArgs { vendor: "acme".parse().unwrap(), from_sample: Vec::new(), canonical: None };
        proposed(&args, &samples)
    }

    #[test]
    fn every_member_says_where_it_comes_from_and_how_sure_that_is() {
        let found = proposed_of(&[("s.csv", "sku;warehouse;on_hand\nA-1;ROA;7\nA-2;RIC;14\n")]).unwrap();
        let document = serde_json::to_value(&found).unwrap();
        assert_eq!(document["canonical"]["type"], "InventoryUpdated");
        let sku = document["members"].as_array().unwrap().iter().find(|one| one["member"] == "sku").unwrap();
        for name in ["from", "transform", "confidence", "evidence", "alternatives", "proof"] {
            assert!(sku.get(name).is_some(), "{name} in {sku}");
        }
        assert_eq!(sku["from"], serde_json::json!(["/*/sku"]));
        assert_eq!(sku["proof"]["satisfied"], 1);
    }

    #[test]
    fn samples_of_several_formats_and_x12_are_refused_with_what_to_do() {
        let said =
            proposed_of(&[("a.csv", "sku;n\nA;1\n"), ("b.json", r#"{"sku":"A"}"#)]).unwrap_err().to_string();
        assert!(said.contains("several formats"), "{said}");
    }
}
