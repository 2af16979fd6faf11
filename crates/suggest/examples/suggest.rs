//! `cargo xtask bench suggest`: how good proposals are for a vendor family that nothing was learned of. `--learn` writes
//! `data/model.json` of all families; `--json` prints one document; `--misses` prints what was wrong.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};
use sluice_core::canonical::SCHEMAS;
use sluice_core::json::{Json, Member, parse};
use sluice_formats::csv::Reader;
use sluice_suggest::learn::{Bundle, evaluate, gold, learn};

type Failure = Box<dyn std::error::Error>;

/// Most messages of a bundle.
const SAMPLES_MAX: usize = 12;

fn main() -> Result<(), Failure> {
    let has = |flag: &str| std::env::args().any(|argument| argument == flag);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let bundles = bundles(root)?;
    if has("--learn") {
        let model = learn(&bundles);
        std::fs::write(root.join("data/model.json"), format!("{:#}\n", serde_json::to_value(&model)?))?;
    }
    let (all, each) = evaluate(&bundles);
    let mut document = all.json();
    let families: Map<String, Value> =
        each.iter().map(|(family, figures)| (family.clone(), figures.json())).collect();
    document["families"] = Value::Object(families);
    if has("--json") {
        println!("{document}");
        return Ok(());
    }
    println!(
        "{:28} {:>7} {:>6} {:>6} {:>9} {:>8} {:>6} {:>8}",
        "family left out", "members", "@1", "@3", "precision", "coverage", "ECE", "names @1"
    );
    let row = |name: &str, one: &Value| {
        let figure =
            |key: &str| one[key].as_f64().map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"));
        println!(
            "{name:28} {:>7} {:>6} {:>6} {:>9} {:>8} {:>6} {:>8}",
            one["members"],
            figure("at1"),
            figure("at3"),
            figure("precision"),
            figure("coverage"),
            figure("calibrationError"),
            figure("baseline")
        );
    };
    for (family, figures) in document["families"].as_object().into_iter().flatten() {
        row(family, figures);
    }
    row("all", &document);
    println!(
        "{:28} {:>7} {:>6} {:>6} {:>9} {:>8} {:>6}",
        "bar", "", "0.800", "0.930", "0.970", "0.600", "0.050"
    );
    if has("--misses") {
        all.misses.iter().for_each(|miss| println!("{miss}"));
    }
    Ok(())
}

fn family(bundle: &str) -> &str {
    ["shopify", "woocommerce", "x12"].into_iter().find(|family| bundle.starts_with(family)).unwrap_or(bundle)
}

fn bundles(root: &Path) -> Result<Vec<Bundle>, Failure> {
    let mappers = root.join("../../mappers-wasm");
    let mut bundles = Vec::new();
    let mut lineages: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    // What was observed, and what a person read in the source where no observation is possible.
    for folder in ["data/lineage", "data/reviewed"] {
        for entry in std::fs::read_dir(root.join(folder))? {
            let path = entry?.path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let read: Map<String, Value> = serde_json::from_slice(&std::fs::read(&path)?)?;
            lineages.entry(name).or_default().extend(read);
        }
    }
    for (name, lineage) in lineages {
        let contract = std::fs::read_to_string(mappers.join(&name).join("mapper.toml"))?;
        let said = contract.split("[canonical]").nth(1).and_then(|rest| rest.split('"').nth(1));
        let canonical = SCHEMAS.iter().find(|(known, ..)| Some(*known) == said).ok_or("a canonical type")?;
        let mut cases: Vec<_> = std::fs::read_dir(mappers.join(&name).join("fixtures"))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.to_string_lossy().contains(".in."))
            .collect();
        // Ordinary ones first.
        cases.sort_by_key(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (!name.starts_with("ordinary"), name)
        });
        let mut samples = Vec::new();
        for path in cases {
            let stem = path.to_string_lossy().split(".in.").next().unwrap_or_default().to_owned();
            if samples.len() < SAMPLES_MAX && Path::new(&format!("{stem}.out.json")).exists() {
                samples.extend(read(&std::fs::read(&path)?));
            }
        }
        bundles.push(Bundle {
            family: family(&name).to_owned(),
            name,
            schema: serde_json::from_str(canonical.2)?,
            samples,
            gold: gold(&Value::Object(lineage)),
        });
    }
    Ok(bundles)
}

fn read(bytes: &[u8]) -> Option<Json> {
    if let Ok(json) = parse(bytes) {
        return Some(json);
    }
    let mut reader = Reader::new(bytes).ok()?;
    let names: Vec<String> = reader.names().iter().map(ToString::to_string).collect();
    let columns: Vec<_> = names.iter().filter_map(|name| Some((name, reader.column(name)?))).collect();
    let mut lines = Vec::new();
    while let Ok(Some(record)) = reader.next_record() {
        let members = columns.iter().map(|(name, column)| {
            let value = record.get(*column).map_or(Json::Null, |text| Json::String(text.into_owned()));
            Member { key: (*name).clone(), broken_key: None, value, span: 0..0 }
        });
        lines.push(Json::Object(members.collect()));
    }
    Some(Json::Array(lines))
}
