//! `sluice mapper trace`. The work is in [`sluice_ops::trace`].

use std::path::{Path, PathBuf};

use serde_json::Value;
use sluice_core::id::{EventType, IngestId, VendorId};
use sluice_core::port::{Freshness, VendorDirectory as _};
use sluice_lineage::{Change, Effect, Ending, Failure, InputUse, Lineage, Origin, OutputUse, Tried};
use sluice_mapper_host::Host;
use sluice_ops::bundles::resolve;
use sluice_ops::shadow::SideName;
use sluice_ops::trace::{BundleIs, BundleTrace, EventTrace, Files, bundle, event, published};

use super::build::module;
use crate::args::{Global, TraceArgs};
use crate::cloud;
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, fields, paint, printable, section};
use crate::publish;
use crate::workshop::build::{bundle_folder, repository};

/// Rows of a table on a terminal; `--json` and `--member` have the rest.
const ROWS_MAX: usize = 200;

/// Runs the command.
pub(super) async fn run(args: &TraceArgs, global: &Global, output: &Output) -> Result<(), CliError> {
    let member = args.member.as_deref();
    let host = Host::new()?;
    if let Ok(ingest_id) = args.target.parse::<IngestId>() {
        if !args.fixtures.is_empty() {
            return Err(CliError::usage("--fixture is of a bundle in a folder"));
        }
        let cloud = cloud::connect(global).await?;
        return output.document(&event(&cloud, &host, ingest_id, member).await?);
    }
    let folder = folder(&args.target);
    if folder.is_none() && !args.fixtures.is_empty() {
        return Err(CliError::usage("--fixture is of a bundle in a folder"));
    }
    if let Some(folder) = folder {
        let folder = bundle_folder(&folder)?;
        let wasm = module(&folder, &args.module, output)?;
        let read = publish::Bundle::read(&folder, &wasm)?;
        let name = SideName { bundle: None, folder: Some(folder.display().to_string()), revision: None };
        let files = Files { contract: read.contract, files: read.files, name, only: args.fixtures.clone() };
        let _progress = output.progress("tracing");
        return output.document(&bundle(&host, files, member)?);
    }
    let cloud = cloud::connect(global).await?;
    let digest = match args.target.split_once('/') {
        Some((vendor, event_type)) => {
            let invalid = |what: &dyn std::fmt::Display| CliError::usage(format!("{}: {what}", args.target));
            let vendor: VendorId = vendor.parse().map_err(|error| invalid(&error))?;
            let event_type: EventType = event_type.parse().map_err(|error| invalid(&error))?;
            let active = cloud.vendors().active_mapper(&vendor, &event_type, Freshness::Fresh).await?;
            let active = active.ok_or_else(|| {
                CliError::not_found(format!("no mapper is active for {vendor} {event_type}"))
                    .with_hint("`sluice mapper ls` lists those that are")
            })?;
            active.bundle
        }
        None => resolve(&cloud.bundles(), &args.target).await?,
    };
    output.document(&published(&cloud, &host, &digest, member).await?)
}

/// A bundle's folder by its path, or by its name in the repository.
fn folder(target: &str) -> Option<PathBuf> {
    let path = Path::new(target);
    if path.is_dir() {
        return Some(path.to_owned());
    }
    let named = repository(Path::new(".")).ok()?.join("mappers-wasm").join(target);
    (!target.contains(['/', '\\']) && named.is_dir()).then_some(named)
}

fn value(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text),
        other => other.to_string(),
    }
}

fn place(origin: Origin, pointer: &str) -> String {
    match origin {
        Origin::Payload => printable(pointer),
        Origin::Meta => format!("metadata {}", printable(pointer)),
    }
}

fn changes(by: &[Change]) -> String {
    let word = |change: &Change| match change {
        Change::Value => "value",
        Change::Absent => "absence",
        Change::Type => "type",
    };
    by.iter().map(word).collect::<Vec<_>>().join(", ")
}

fn failure(failure: &Failure) -> String {
    let mut text = failure.code.to_owned();
    for more in [&failure.fault, &failure.pointer] {
        if !more.is_empty() {
            text.push(' ');
            text.push_str(&printable(more));
        }
    }
    text
}

fn ending(ending: &Ending) -> String {
    match ending {
        Ending::Events(events) => sluice_core::canonical::count(*events, "event"),
        Ending::Nothing(reason) => format!("nothing ({}: {})", reason.code, printable(&reason.message)),
        Ending::Fails(what) => format!("it fails: {}", failure(what)),
    }
}

/// A table of no more rows than a person reads.
fn table(page: &Page, header: &[&str], mut rows: Vec<Vec<Cell>>) -> String {
    let more = rows.len().saturating_sub(ROWS_MAX);
    rows.truncate(ROWS_MAX);
    let mut text = page.table(header, rows);
    if more > 0 {
        text.push_str(&format!("{more} more rows: --member POINTER shows a part, --json all\n"));
    }
    text
}

impl View for EventTrace {
    fn text(&self, page: &Page) -> String {
        let bundle = match self.bundle_is {
            BundleIs::TheOneThatMappedIt => "that mapped it",
            BundleIs::TheOneThatFailed => "that failed on it",
            BundleIs::Active => "that is active; none has had it yet",
        };
        let mut list = vec![
            ("event", format!("{} {}, {}", self.vendor_id, self.event_type, self.status.as_str())),
            ("bundle", format!("{} {bundle}", self.bundle)),
            ("comes to", ending(&self.lineage.outcome)),
        ];
        list.extend(self.reproduces.map(|same| {
            let said = match same {
                true => paint(Tone::Good, "the stored one, byte for byte"),
                false => paint(Tone::Bad, "another one than is stored"),
            };
            ("document", said)
        }));
        list.push(("runs", format!("{} in {} ms", self.lineage.runs, self.elapsed_microseconds / 1_000)));
        let mut text = format!("{}\n{}\n", paint(Tone::Strong, self.ingest_id.to_string()), fields(list));
        text.push_str(&lineage(&self.lineage, page));
        text.push_str(&format!("\n{}\n", paint(Tone::Dim, self.holds)));
        text
    }
}

fn lineage(lineage: &Lineage, page: &Page) -> String {
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for output in &lineage.outputs {
        let member = || vec![Cell::from(printable(&output.pointer)), value(&output.value).into()];
        if output.sources.is_empty() {
            let mut row = member();
            row.extend([Cell::new(Tone::Dim, "no single member moves it"), "".into(), "".into()]);
            rows.push(row);
        }
        for (at, source) in output.sources.iter().enumerate() {
            let mut row = if at == 0 { member() } else { vec!["".into(), "".into()] };
            row.push(place(source.origin, &source.pointer).into());
            row.push(source.value.as_ref().map(value).unwrap_or_default().into());
            row.push(changes(&source.by).into());
            rows.push(row);
        }
    }
    let mut text = match rows.is_empty() {
        true => String::new(),
        false => table(page, &["MEMBER", "VALUE", "COMES FROM", "VALUE", "MOVED BY"], rows),
    };
    let effects = |wanted: fn(&Effect) -> Option<String>| -> Vec<Vec<Cell>> {
        let mut rows = Vec::new();
        for input in &lineage.inputs {
            for Tried { change, effect } in &input.tried {
                if let Some(said) = wanted(effect) {
                    let by = match change {
                        Change::Value => "another value",
                        Change::Absent => "left out",
                        Change::Type => "another type",
                    };
                    rows.push(vec![place(input.origin, &input.pointer).into(), by.into(), said.into()]);
                }
            }
        }
        rows
    };
    let mended = effects(|effect| match effect {
        Effect::Maps(events) => Some(sluice_core::canonical::count(*events, "event")),
        _ => None,
    });
    if !mended.is_empty() {
        text.push_str(&section(
            "It is mapped if one member is changed",
            &table(page, &["MEMBER", "IF", "COMES TO"], mended),
        ));
    }
    let fails = effects(|effect| match effect {
        Effect::Fails(what) => Some(failure(what)),
        Effect::Nothing(code) => Some(format!("states nothing ({code})")),
        _ => None,
    });
    if !fails.is_empty() {
        text.push_str(&section(
            "It comes to something else if one member is changed",
            &table(page, &["MEMBER", "IF", "CODE"], fails),
        ));
    }
    if !lineage.left_out.is_empty() {
        let rows = lineage
            .left_out
            .iter()
            .map(|left| {
                vec![printable(&left.name).into(), format!("{} of {}", left.tried, left.inputs).into()]
            })
            .collect();
        let why =
            if lineage.out_of_time { "Not all was tried: the time was over" } else { "Not all was tried" };
        text.push_str(&section(why, &table(page, &["MEMBER", "TRIED"], rows)));
    }
    if lineage.more_links > 0 {
        text.push_str(&format!(
            "\n{} more places are moved than are listed: sources may be missing\n",
            lineage.more_links
        ));
    }
    if lineage.more_outputs > 0 {
        text.push_str(&format!("\n{} more members of its events are not listed\n", lineage.more_outputs));
    }
    text
}

impl View for BundleTrace {
    fn text(&self, page: &Page) -> String {
        let name = self.name.folder.clone().or_else(|| self.name.bundle.as_ref().map(ToString::to_string));
        let mut text = format!(
            "{}\n{}\n",
            paint(Tone::Strong, format!("{} {}", self.vendor_id, self.event_type)),
            fields([
                ("bundle", name.unwrap_or_default()),
                ("fixtures", format!("{} traced, {} fail as they are", self.messages, self.failing)),
                ("runs", format!("{} in {} ms", self.runs, self.elapsed_microseconds / 1_000)),
            ])
        );
        let rows = self.outputs.iter().flat_map(outputs).collect();
        text.push_str(&table(page, &["MEMBER", "FIXTURES", "COMES FROM", "IN", "MOVED BY"], rows));
        let rows: Vec<Vec<Cell>> =
            self.inputs.iter().filter_map(|input| dropped(input, self.messages)).collect();
        if !rows.is_empty() {
            text.push_str(&section(
                "If the vendor drops a member",
                &table(page, &["MEMBER", "FAIL", "CHANGE", "HOW"], rows),
            ));
        }
        let unread = self.inputs.iter().filter(|input| !input.read);
        let unread = unread.map(|input| place(input.origin, &input.member)).collect::<Vec<_>>();
        for (heading, names) in [
            ("In no fixture, though the payload's schema has it", &self.without_a_fixture.inputs),
            ("Made of no fixture, though the canonical schema has it", &self.without_a_fixture.outputs),
            ("Moves nothing", &unread),
            ("Fixtures that were not tried", &self.left_out),
        ] {
            if !names.is_empty() && self.member.is_none() {
                let names = names.iter().map(|name| format!("  {}\n", printable(name))).collect::<String>();
                text.push_str(&section(heading, &names));
            }
        }
        if self.inputs_left_out > 0 {
            text.push_str(&format!("\n{} repetitions of members were not tried\n", self.inputs_left_out));
        }
        text.push_str(&format!("\n{}\n", paint(Tone::Dim, self.holds)));
        text
    }
}

fn outputs(output: &OutputUse) -> Vec<Vec<Cell>> {
    let member = || vec![Cell::from(printable(&output.member)), output.messages.to_string().into()];
    if output.sources.is_empty() {
        let mut row = member();
        row.extend([Cell::new(Tone::Dim, "no single member moves it"), "".into(), "".into()]);
        return vec![row];
    }
    let rows = output.sources.iter().enumerate().map(|(at, source)| {
        let mut row = if at == 0 { member() } else { vec!["".into(), "".into()] };
        row.push(place(source.origin, &source.member).into());
        row.push(source.messages.to_string().into());
        row.push(changes(&source.by).into());
        row
    });
    rows.collect()
}

/// Nothing of a member that nothing comes of.
fn dropped(input: &InputUse, messages: usize) -> Option<Vec<Cell>> {
    let dropped = input.dropped.as_ref().filter(|dropped| dropped.fail + dropped.change > 0)?;
    let mut how: Vec<String> = dropped.codes.keys().map(|code| printable(code)).collect();
    how.extend(dropped.vanish.iter().map(|member| format!("without {}", printable(member))));
    const HOW_MAX: usize = 4;
    let more = how.len().saturating_sub(HOW_MAX);
    how.truncate(HOW_MAX);
    if more > 0 {
        how.push(format!("and {more} more"));
    }
    let fail = format!("{} of {messages}", dropped.fail);
    Some(vec![
        place(input.origin, &input.member).into(),
        if dropped.fail > 0 { Cell::new(Tone::Bad, fail) } else { fail.into() },
        dropped.change.to_string().into(),
        how.join("; ").into(),
    ])
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use serde_json::json;
    use sluice_core::record::Status;
    use sluice_lineage::{Input, LeftOut, Output as Member, Source};

    use super::*;
    use crate::output::testing::on_terminal;

    #[test]
    fn a_person_reads_both_values_what_fails_and_what_was_left_out() {
        let input = |pointer: &str, tried| Input {
            origin: Origin::Payload,
            pointer: pointer.into(),
            name: pointer.into(),
            value: Some(json!("abc-001")),
            tried,
        };
        let member =
            |pointer: &str, sources| Member { pointer: pointer.into(), value: json!("ABC-001"), sources };
        let source = Source {
            origin: Origin::Payload,
            pointer: "/sku".into(),
            value: Some(json!("abc-\u{1b}001")),
            by: vec![Change::Value, Change::Type],
        };
        let failure =
            Failure { code: "payload_schema_violation", pointer: "/sku".into(), fault: "required".into() };
        let fails = Tried { change: Change::Absent, effect: Effect::Fails(failure) };
        let trace = EventTrace {
            ingest_id: "01KAJ3Y3R00000000000000001".parse().unwrap(),
            vendor_id: "vendorA".parse().unwrap(),
            event_type: "inventory_update".parse().unwrap(),
            status: Status::Normalized,
            bundle: sluice_core::digest::Sha256Hex::of(b"bundle"),
            bundle_is: BundleIs::TheOneThatMappedIt,
            reproduces: Some(false),
            holds: "Exact for this message.",
            member: None,
            lineage: Lineage {
                outcome: Ending::Events(1),
                outputs: vec![member("/0/data/sku", vec![source]), member("/0/data/unit", Vec::new())],
                more_outputs: 0,
                inputs: vec![input("/sku", vec![fails])],
                left_out: vec![LeftOut { name: "/lines/*/sku".into(), inputs: 80, tried: 50 }],
                more_links: 0,
                out_of_time: false,
                runs: 14,
            },
            elapsed_microseconds: 2_100,
        };
        let text = on_terminal(&trace);
        for words in [
            "another one than is stored",
            "/0/data/sku",
            "value, type",
            "no single member moves it",
            "left out",
            "payload_schema_violation required /sku",
            "50 of 80",
            "Exact for this message.",
        ] {
            assert!(text.contains(words), "{words:?} is not in\n{text}");
        }
        assert!(!text.contains("abc-\u{1b}"), "a terminal is not given a vendor's control characters");
    }
}
