//! Golden fixtures: what a mapper makes of a message, as files that a person reads. Native tests only.
//!
//! In a bundle's `fixtures/`, a case is `<case>.in.json` (or `.in.csv`, `.in.x12`: any ending), the vendor's message byte for
//! byte, with either `<case>.out.json`, the events, or `<case>.err.json`, the refusal; both as the mapper writes
//! them but for indentation and a final newline. `<case>.meta.json`, if there, replaces members of the default metadata,
//! which the contract in `mapper.toml` gives.
//!
//! `NOTES.md`, if there, says how the expected values follow from each message and from the format's standard: one section a
//! case, or one for several that differ in one value, under a heading of level 2 with their names, separated by commas. A
//! bundle that has the file has a note for every case.
//!
//! `SLUICE_LINEAGE=<folder> cargo test` writes what [`lineage`] observes instead.
//!
//! `SLUICE_BLESS=1 cargo test` writes the expected files instead of comparing them: read the difference before you
//! commit it.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use sluice_formats::encoding::{Encoding, decode};
use sluice_formats::zone::Zone;

pub mod lineage;

/// Members of a contract that the default metadata needs.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Contract {
    vendor_id: String,
    event_type: String,
    payload: Payload,
    #[serde(default)]
    text: Text,
}

/// `[text]`.
#[derive(Default, Deserialize)]
struct Text {
    decimal: Option<String>,
    grouping: Option<String>,
    dates: Option<String>,
    zone: Option<String>,
    encoding: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    default_version: String,
}

/// One case of a bundle.
#[derive(Debug, Clone)]
pub struct Case {
    /// The file name without its endings.
    pub name: String,
    /// The metadata's JSON.
    pub meta: Vec<u8>,
    /// The vendor's message, in UTF-8 as the host hands it over.
    pub payload: Vec<u8>,
    stem: PathBuf,
}

/// The cases of the bundle in `bundle`, by name.
///
/// # Panics
/// When the bundle cannot be read or has no case: it is a defect of the repository.
#[must_use]
pub fn cases(bundle: &Path) -> Vec<Case> {
    let contract: Contract = toml::from_str(&text(&bundle.join("mapper.toml")))
        .unwrap_or_else(|e| panic!("{}: {e}", bundle.join("mapper.toml").display()));
    let folder = bundle.join("fixtures");
    let mut cases: Vec<Case> = fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .filter_map(|entry| {
            let path = entry.unwrap_or_else(|e| panic!("{}: {e}", folder.display())).path();
            let name = path.file_name()?.to_str()?.rsplit_once(".in.")?.0.to_owned();
            let stem = folder.join(&name);
            let payload = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let payload = contract.text.utf8(payload);
            Some(Case { meta: meta(&contract, &with(&stem, "meta.json")), payload, name, stem })
        })
        .collect();
    assert!(!cases.is_empty(), "{} has no *.in.*", folder.display());
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    let doubled = cases.windows(2).find(|two| two[0].name == two[1].name);
    assert!(doubled.is_none(), "{} has two messages of one case: {doubled:?}", folder.display());
    cases
}

impl Text {
    /// As the host decodes; what is no text is the mapper's to refuse.
    fn utf8(&self, payload: Vec<u8>) -> Vec<u8> {
        let Some(label) = &self.encoding else { return payload };
        let encoding =
            Encoding::of_label(label).unwrap_or_else(|| panic!("text.encoding {label:?} is not known"));
        match decode(&payload, Some(encoding), None) {
            Ok(text) => text.into_owned().into_bytes(),
            Err(_) => payload,
        }
    }

    /// As the host tells it a mapper.
    fn told(&self, received_at: &str) -> Value {
        let mut told = Map::new();
        for (name, word) in [("decimal", &self.decimal), ("grouping", &self.grouping), ("dates", &self.dates)]
        {
            told.extend(word.clone().map(|word| (name.to_owned(), Value::from(word))));
        }
        if let Some(name) = &self.zone {
            let zone = Zone::find(name).unwrap_or_else(|| panic!("text.zone {name:?} is not known"));
            let received_at =
                time::OffsetDateTime::parse(received_at, &time::format_description::well_known::Rfc3339)
                    .unwrap_or_else(|e| panic!("receivedAt {received_at:?}: {e}"));
            let offsets = zone.offsets(received_at.unix_timestamp());
            told.insert(
                "zone".to_owned(),
                json!({"name": name, "offsets": offsets.from, "until": offsets.until}),
            );
        }
        Value::Object(told)
    }
}

fn meta(contract: &Contract, overlay: &Path) -> Vec<u8> {
    let mut meta = Map::new();
    for (key, value) in [
        ("vendorId", contract.vendor_id.as_str()),
        ("externalEventId", "fixture-1"),
        ("eventType", &contract.event_type),
        ("schemaVersion", &contract.payload.default_version),
        ("occurredAt", "2026-01-02T03:04:05Z"),
        ("receivedAt", "2026-01-02T03:04:06.789Z"),
    ] {
        meta.insert(key.to_owned(), Value::from(value));
    }
    if overlay.exists() {
        let replaced: Map<String, Value> =
            serde_json::from_str(&text(overlay)).unwrap_or_else(|e| panic!("{}: {e}", overlay.display()));
        meta.extend(replaced);
    }
    let received_at = meta.get("receivedAt").and_then(Value::as_str).unwrap_or_default();
    let text = contract.text.told(received_at);
    if text != json!({}) && !meta.contains_key("text") {
        meta.insert("text".to_owned(), text);
    }
    Value::Object(meta).to_string().into_bytes()
}

/// File of the notes, in the folder of the fixtures.
pub const NOTES_FILE: &str = "NOTES.md";

/// Whether the bundle has notes.
///
/// # Panics
/// When it has, and a case has no note or two, or a note is of no case.
#[must_use]
pub fn has_notes(bundle: &Path) -> bool {
    let path = bundle.join("fixtures").join(NOTES_FILE);
    if !path.exists() {
        return false;
    }
    let notes = text(&path);
    let headings = notes.lines().filter_map(|line| line.strip_prefix("## "));
    let mut noted: Vec<&str> = headings.flat_map(|names| names.split(',')).map(str::trim).collect();
    noted.sort_unstable();
    let cases = cases(bundle);
    let names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    let missing: Vec<_> = names.iter().filter(|name| !noted.contains(name)).collect();
    let unknown: Vec<_> = noted.iter().filter(|name| !names.contains(name)).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "{}: cases without a note: {missing:?}; notes without a case: {unknown:?}",
        path.display()
    );
    let doubled = noted.windows(2).find(|two| two[0] == two[1]);
    assert!(doubled.is_none(), "{}: two notes of one case: {doubled:?}", path.display());
    true
}

/// Largest message that is cut at every byte.
const CUT_BYTES_MAX: usize = 8_192;

/// Runs every case of a bundle, and a mapped one also cut off at every byte; says how many there were.
///
/// # Panics
/// With every difference at once, or with what is wrong with the notes, so as to fail the test that calls it.
pub fn check(bundle: &Path, run: impl Fn(&[u8], &[u8]) -> Result<Vec<u8>, Vec<u8>>) -> usize {
    let bless = std::env::var_os("SLUICE_BLESS").is_some_and(|on| on == "1");
    let _ = has_notes(bundle);
    let cases = cases(bundle);
    if let Some(folder) = std::env::var_os("SLUICE_LINEAGE") {
        let lineage = lineage::written(&lineage::observe(&cases, &run));
        let name = bundle.file_name().unwrap_or_default().to_string_lossy();
        let path = Path::new(&folder).join(format!("{name}.json"));
        fs::write(&path, format!("{lineage:#}\n")).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        return cases.len();
    }
    for case in cases.iter().filter(|case| case.payload.len() <= CUT_BYTES_MAX) {
        case.check_cuts(&run);
    }
    let differences: Vec<String> =
        cases.iter().filter_map(|case| case.compare(&run(&case.meta, &case.payload), bless).err()).collect();
    assert!(
        differences.is_empty(),
        "{} of {} fixtures differ (SLUICE_BLESS=1 accepts):\n{}",
        differences.len(),
        cases.len(),
        differences.join("\n")
    );
    cases.len()
}

impl Case {
    /// Runs the message cut off at every byte, if the whole is mapped. What is left of a JSON text is refused; of a file with lines, an
    /// event that is left has every member that it has in the whole.
    ///
    /// # Panics
    /// Where the mapper does, or where a value is missing.
    pub fn check_cuts(&self, run: impl Fn(&[u8], &[u8]) -> Result<Vec<u8>, Vec<u8>>) {
        let events = |json: &[u8]| serde_json::from_slice::<Vec<Value>>(json).unwrap_or_default();
        let members = |event: &Value| -> Vec<String> {
            event["data"].as_object().into_iter().flat_map(Map::keys).cloned().collect()
        };
        let Ok(whole) = run(&self.meta, &self.payload) else { return };
        let whole = events(&whole);
        let text = self.payload.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&self.payload);
        let is_json = matches!(text.trim_ascii_start().first(), Some(b'{' | b'['));
        let end = self.payload.trim_ascii_end().len();
        for at in 0..end {
            let Ok(cut) = run(&self.meta, &self.payload[..at]) else { continue };
            assert!(!is_json, "{}: cut at byte {at}, it is mapped", self.name);
            for (number, event) in events(&cut).iter().enumerate() {
                let found = members(event);
                let missing = whole.get(number).map(members).unwrap_or_default();
                let missing: Vec<_> = missing.iter().filter(|member| !found.contains(member)).collect();
                assert!(missing.is_empty(), "{}: cut at byte {at}, event {number}: {missing:?}", self.name);
            }
        }
    }

    /// Compares an outcome with the case's files, or writes them.
    ///
    /// # Errors
    /// The difference, for a person.
    pub fn compare(&self, outcome: &Result<Vec<u8>, Vec<u8>>, bless: bool) -> Result<(), String> {
        let (bytes, ending, other) = match outcome {
            Ok(bytes) => (bytes, "out.json", "err.json"),
            Err(bytes) => (bytes, "err.json", "out.json"),
        };
        let value: Value = serde_json::from_slice(bytes)
            .map_err(|e| format!("{}: the mapper wrote no JSON: {e}", self.name))?;
        if value.to_string().as_bytes() != bytes {
            return Err(format!("{}: the mapper's JSON does not survive reading it", self.name));
        }
        let actual = format!("{value:#}\n");
        let (path, opposite) = (with(&self.stem, ending), with(&self.stem, other));
        if bless {
            let _ = fs::remove_file(opposite);
            return fs::write(&path, actual).map_err(|e| format!("{}: {e}", path.display()));
        }
        if opposite.exists() {
            return Err(format!(
                "{}: {} is there, but the mapper gave {actual}",
                self.name,
                opposite.display()
            ));
        }
        match fs::read_to_string(&path) {
            Ok(expected) if expected == actual => Ok(()),
            Ok(expected) => {
                Err(format!("{}: expected {expected}but the mapper gave {actual}", path.display()))
            }
            Err(e) => Err(format!("{}: {e}; the mapper gave {actual}", path.display())),
        }
    }
}

fn with(stem: &Path, ending: &str) -> PathBuf {
    let mut path = stem.as_os_str().to_owned();
    path.push(".");
    path.push(ending);
    path.into()
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
