//! A bundle's fixtures: messages as files, with what comes of each.
//!
//! In `fixtures/`, a case is `<case>.in.<format>`, the vendor's message byte for byte, with either `<case>.out.json`, the events, or
//! `<case>.err.json`, the mapper's refusal; both as the mapper writes them but for indentation and a final newline.
//! `<case>.meta.json`, if there, replaces members of the metadata. `NOTES.md`, if there, says how the
//! expected values were derived. It is the layout that `mapper_sdk::golden` runs natively.
//!
//! A case with neither expectation must be mapped, unless its name starts with `refused`: it is a message that the mapper is yet to
//! be made for, and fails until it is.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};
use sluice_core::contract::Contract;
use sluice_core::fault::FieldFault;
use sluice_core::{Code, Fault, canonical};
use sluice_mapper_host::{MapFault, limits};
use sluice_mapping::{Bundle, Message, Meta, execute};

use super::diff::{Difference, differences};
use crate::error::CliError;
use crate::output::{Tone, paint, printable};
use crate::publish;

pub use sluice_ops::fixtures::{meta, overlaid};

/// Folder of the fixtures in a bundle.
pub const FIXTURES_FOLDER: &str = "fixtures";
/// File of that folder, if there, which says how the expected values follow from the messages: one section a case.
pub const NOTES_FILE: &str = "NOTES.md";

/// What a message comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// `<case>.out.json`, or nothing yet.
    Events,
    /// `<case>.err.json`.
    Refusal,
}

/// One case.
#[derive(Debug, Clone)]
pub struct Case {
    /// The file name without its endings.
    pub name: String,
    /// The message's file.
    pub input: PathBuf,
    /// The message.
    pub payload: Vec<u8>,
    /// The metadata.
    pub meta: Meta,
    /// What the files say must come of it.
    pub expected: Expected,
    stem: PathBuf,
}

/// The cases of a bundle's folder, by name.
pub fn cases(folder: &Path, contract: &Contract) -> Result<Vec<Case>, CliError> {
    let fixtures = folder.join(FIXTURES_FOLDER);
    let entries = std::fs::read_dir(&fixtures)
        .map_err(|source| CliError::ReadFile { path: fixtures.clone(), source })?;
    let mut cases = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        let Some(name) = case_name(&path) else { continue };
        let stem = fixtures.join(&name);
        let overlay = with(&stem, "meta.json");
        let own =
            match overlay.is_file() {
                true => overlaid(meta(contract), &read(&overlay)?)
                    .map_err(|problem| CliError::InvalidFile { path: overlay, problem, hint: None })?,
                false => meta(contract),
            };
        let refused = with(&stem, "err.json").is_file()
            || (name.starts_with("refused") && !with(&stem, "out.json").is_file());
        cases.push(Case {
            payload: read(&path)?,
            input: path,
            meta: own,
            expected: if refused { Expected::Refusal } else { Expected::Events },
            stem,
            name,
        });
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(cases)
}

/// A file of a bundle's fixtures.
pub fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    let folder = path.parent().and_then(Path::parent).unwrap_or(Path::new("."));
    publish::read_inside(folder, path, publish::TEXT_BYTES_MAX).map(Into::into)
}

/// The case that a file is the message of.
pub fn case_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let (case, format) = name.rsplit_once(".in.")?;
    (!case.is_empty() && !format.is_empty() && !format.contains('.')).then(|| case.to_owned())
}

/// A path with one more ending.
pub fn with(stem: &Path, ending: &str) -> PathBuf {
    let mut path = stem.as_os_str().to_owned();
    path.push(".");
    path.push(ending);
    path.into()
}

/// What one run of a mapper used, beside what it may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Fuel used.
    pub fuel: u64,
    /// Fuel that it had, by the size of its input.
    pub fuel_max: u64,
    /// Most memory that it had, in bytes.
    pub memory_bytes: u64,
    /// Most that it may have.
    pub memory_bytes_max: u64,
    /// Bytes that it gave.
    pub output_bytes: u64,
    /// Most that it may give.
    pub output_bytes_max: u64,
    /// From the payload's schema to the output.
    pub nanoseconds: u64,
}

/// What came of a case.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// As expected.
    Passed,
    /// `--update` wrote what it is.
    Updated,
    /// Not as expected.
    Failed(Failure),
}

/// Why a case failed.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// One sentence.
    pub message: String,
    /// Where the mapper or a schema failed, if one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Every fault of the message or the output.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldFault>,
    /// What differs from the expectation.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
}

impl Failure {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: None, errors: Vec::new(), differences: Vec::new() }
    }

    /// For a person, indented under the case's line.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n", paint(Tone::Bad, printable(&self.message)));
        for FieldFault { pointer, code, message } in &self.errors {
            let _ = writeln!(
                text,
                "  {} {} {}",
                paint(Tone::Strong, printable(pointer)),
                printable(code),
                printable(message)
            );
        }
        text.push_str(&super::diff::text(&self.differences));
        text
    }
}

impl From<&Fault> for Failure {
    fn from(fault: &Fault) -> Self {
        Self {
            message: fault.message.clone(),
            code: Some(fault.code.as_str().to_owned()),
            errors: fault.errors.clone(),
            differences: Vec::new(),
        }
    }
}

/// Runs a message through payload schema, mapper and canonical schema, as `normalize` does. Gives the mapper's output.
pub fn run(bundle: &Bundle, meta: &Meta, payload: &[u8]) -> (Result<Vec<u8>, Fault>, Option<Usage>) {
    let message = match Message::new(meta.clone(), payload.to_vec()) {
        Ok(message) => message,
        Err(fault) => return (Err(fault), None),
    };
    let input_bytes = meta.to_json(&bundle.contract).map_or(0, |json| json.len()) + payload.len();
    let started = Instant::now();
    let output = execute(&message, bundle);
    let nanoseconds = elapsed(started);
    match output {
        Ok(output) => {
            let usage = Usage {
                fuel: output.fuel,
                fuel_max: limits::fuel(input_bytes),
                memory_bytes: output.memory_bytes as u64,
                memory_bytes_max: limits::memory_bytes(input_bytes) as u64,
                output_bytes: output.bytes.len() as u64,
                output_bytes_max: limits::output_bytes(input_bytes) as u64,
                nanoseconds,
            };
            let judged = canonical::judge(&output.bytes, &bundle.contract.canonical);
            (judged.map(|_| output.bytes), Some(usage))
        }
        Err(fault) => (Err(fault), None),
    }
}

fn elapsed(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

impl Case {
    /// Runs the case. With `update` its expectation becomes what it is.
    pub fn test(&self, bundle: &Bundle, update: bool) -> Result<(Outcome, Option<Usage>), CliError> {
        match self.expected {
            Expected::Events => {
                let (output, usage) = run(bundle, &self.meta, &self.payload);
                Ok((self.events(output, update)?, usage))
            }
            Expected::Refusal => self.refusal(bundle, update).map(|outcome| (outcome, None)),
        }
    }

    /// Writes what comes of the message, mapped or refused by the mapper, as what must come of it: for a case that is made now.
    pub fn accept(&self, bundle: &Bundle) -> Result<Outcome, CliError> {
        match run(bundle, &self.meta, &self.payload).0 {
            Ok(output) => self.compare(&output, "out.json", "err.json", true),
            Err(fault) if fault.code == Code::MapperRefused => {
                self.write(&refusal_of(&fault), "err.json", "out.json")
            }
            Err(fault) => Ok(Outcome::Failed(Failure::from(&fault))),
        }
    }

    fn events(&self, output: Result<Vec<u8>, Fault>, update: bool) -> Result<Outcome, CliError> {
        let output = match output {
            Ok(output) => output,
            Err(fault) => {
                // What was mapped once and is now refused on purpose can be accepted; a case that waits for its mapper cannot.
                if update && fault.code == Code::MapperRefused && self.file("out.json").is_file() {
                    return self.write(&refusal_of(&fault), "err.json", "out.json");
                }
                return Ok(Outcome::Failed(Failure::from(&fault)));
            }
        };
        self.compare(&output, "out.json", "err.json", update)
    }

    /// A refusal is the mapper's own: the payload's schema may refuse such a message earlier, in which case the mapper is the
    /// second line of defence and is tested as such.
    fn refusal(&self, bundle: &Bundle, update: bool) -> Result<Outcome, CliError> {
        let message = Message::new(self.meta.clone(), self.payload.clone())?;
        let (meta, payload) = match message.input(&bundle.contract) {
            Ok(input) => input,
            Err(fault) => return Ok(Outcome::Failed(Failure::from(&fault))),
        };
        match bundle.mapper.map(&meta, &payload) {
            Ok(mapped) if update => {
                let (judged, _) = run(bundle, &self.meta, &self.payload);
                match judged {
                    Ok(_) => self.compare(&mapped.output, "out.json", "err.json", true),
                    Err(fault) => Ok(Outcome::Failed(Failure::from(&fault))),
                }
            }
            Ok(_) => Ok(Outcome::Failed(Failure::new(
                "a refusal is expected, but the message is mapped; `--update` accepts that",
            ))),
            Err(MapFault::Refused { code, path, message }) => {
                let bytes = json!({"code": code, "path": path, "message": message}).to_string();
                self.compare(bytes.as_bytes(), "err.json", "out.json", update)
            }
            Err(fault) => Ok(Outcome::Failed(Failure {
                code: Some(fault.code().to_owned()),
                ..Failure::new(format!("a refusal is expected, but {fault}"))
            })),
        }
    }

    fn compare(&self, bytes: &[u8], ending: &str, other: &str, update: bool) -> Result<Outcome, CliError> {
        let actual: Value = match serde_json::from_slice(bytes) {
            Ok(actual) => actual,
            Err(error) => {
                return Ok(Outcome::Failed(Failure::new(format!("the mapper wrote no JSON: {error}"))));
            }
        };
        let path = self.file(ending);
        let held = match std::fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(source) => return Err(CliError::ReadFile { path, source }),
        };
        if held.as_deref() == Some(&pretty(&actual)) && !self.file(other).is_file() {
            return Ok(Outcome::Passed);
        }
        if update {
            return self.write(&actual, ending, other);
        }
        let Some(held) = held else {
            return Ok(Outcome::Failed(Failure {
                differences: differences(&Value::Null, &actual),
                ..Failure::new(format!("there is no {}; `--update` writes it", name_of(&path)))
            }));
        };
        if self.file(other).is_file() {
            let both = format!("there are both {} and {}", name_of(&path), name_of(&self.file(other)));
            return Ok(Outcome::Failed(Failure::new(both)));
        }
        let expected: Value = match serde_json::from_str(&held) {
            Ok(expected) => expected,
            Err(error) => {
                return Ok(Outcome::Failed(Failure::new(format!("{} is no JSON: {error}", name_of(&path)))));
            }
        };
        let differences = differences(&expected, &actual);
        let message = if differences.is_empty() {
            format!("{} has the same values, in another order or layout", name_of(&path))
        } else {
            format!("the mapper gives something else than {} says", name_of(&path))
        };
        Ok(Outcome::Failed(Failure { differences, ..Failure::new(message) }))
    }

    fn write(&self, value: &Value, ending: &str, other: &str) -> Result<Outcome, CliError> {
        let path = self.file(ending);
        std::fs::write(&path, pretty(value)).map_err(|source| CliError::WriteFile { path, source })?;
        let opposite = self.file(other);
        match std::fs::remove_file(&opposite) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(CliError::WriteFile { path: opposite, source })
            }
            _ => Ok(Outcome::Updated),
        }
    }

    fn file(&self, ending: &str) -> PathBuf {
        with(&self.stem, ending)
    }
}

/// Compares what came of a case with the one file that says what must; with `update` writes it.
pub fn compared(path: &Path, actual: &Value, update: bool) -> Result<Outcome, CliError> {
    let held = match path.exists() {
        true => Some(read(path)?),
        false => None,
    };
    let text = pretty(actual);
    if held.as_deref() == Some(text.as_bytes()) {
        return Ok(Outcome::Passed);
    }
    if update {
        std::fs::write(path, text).map_err(|source| CliError::WriteFile { path: path.to_owned(), source })?;
        return Ok(Outcome::Updated);
    }
    let name = name_of(path);
    let Some(held) = held else {
        return Ok(Outcome::Failed(Failure {
            differences: differences(&Value::Null, actual),
            ..Failure::new(format!("there is no {name}; `--update` writes it"))
        }));
    };
    let expected: Value = match serde_json::from_slice(&held) {
        Ok(expected) => expected,
        Err(error) => return Ok(Outcome::Failed(Failure::new(format!("{name} is no JSON: {error}")))),
    };
    let differences = differences(&expected, actual);
    let message = match differences.is_empty() {
        true => format!("{name} has the same values, in another order or layout"),
        false => format!("something else comes of the request than {name} says"),
    };
    Ok(Outcome::Failed(Failure { differences, ..Failure::new(message) }))
}

fn refusal_of(fault: &Fault) -> Value {
    let first = fault.errors.first();
    json!({
        "code": first.map(|first| first.code.as_str()),
        "path": first.map(|first| first.pointer.as_str()),
        "message": first.map(|first| first.message.as_str()),
    })
}

/// As a fixture is written.
pub fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use sluice_mapper_host::Host;

    use super::*;

    const OUT: &str = r#"[{"eventType":"InventoryUpdated","schemaVersion":"1.0","occurredAt":"2026-01-02T03:04:05Z","data":{"warehouseId":"W","sku":"S","quantityOnHand":7}}]"#;
    const ERR: &str = r#"{"code":"quantity_negative","path":"/qty","message":"less than nothing"}"#;

    /// A module that answers every message alike: `[0]` ok, `[1]` refused.
    fn module(discriminant: u8, text: &str) -> Vec<u8> {
        let escaped: String = text.bytes().map(|byte| format!("\\{byte:02x}")).collect();
        wat::parse_str(format!(
            r#"(module (memory (export "memory") 2) (data (i32.const 1024) "{escaped}")
              (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
              (func (export "map") (param i32 i32 i32 i32) (result i32)
                (i32.store8 (i32.const 16) (i32.const {discriminant})) (i32.store (i32.const 20) (i32.const 1024))
                (i32.store (i32.const 24) (i32.const {})) (i32.const 16)))"#,
            text.len()
        ))
        .unwrap()
    }

    struct Setup {
        folder: tempfile::TempDir,
    }

    impl Setup {
        fn new(files: &[(&str, &str)]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path();
            std::fs::create_dir_all(root.join("schema")).unwrap();
            std::fs::create_dir_all(root.join(FIXTURES_FOLDER)).unwrap();
            std::fs::write(
                root.join("mapper.toml"),
                "vendorId = 'acme'\neventType = 'stock'\n[payload]\ndefaultVersion = '1'\n[payload.versions]\n1 = 'schema/1.schema.json'\n[canonical]\ntype = 'InventoryUpdated'\nversion = '1.0'\n",
            )
            .unwrap();
            std::fs::write(
                root.join("schema/1.schema.json"),
                r#"{"type":"object","required":["qty"],"properties":{"qty":{"type":"integer"}}}"#,
            )
            .unwrap();
            for (name, text) in files {
                std::fs::write(root.join(FIXTURES_FOLDER).join(name), text).unwrap();
            }
            Self { folder }
        }

        fn test(&self, wasm: &[u8], update: bool) -> Vec<(String, Outcome)> {
            let path = self.folder.path().join("mapper.wasm");
            std::fs::write(&path, wasm).unwrap();
            let bundle =
                crate::workshop::bundle::load(&Host::new().unwrap(), self.folder.path(), &path).unwrap();
            let cases = cases(self.folder.path(), &bundle.contract).unwrap();
            cases.iter().map(|case| (case.name.clone(), case.test(&bundle, update).unwrap().0)).collect()
        }

        fn fixture(&self, name: &str) -> Option<String> {
            std::fs::read_to_string(self.folder.path().join(FIXTURES_FOLDER).join(name)).ok()
        }
    }

    fn failure(outcome: &Outcome) -> &Failure {
        match outcome {
            Outcome::Failed(failure) => failure,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_changed_byte_fails_with_its_pointer() {
        let good = pretty(&serde_json::from_str(OUT).unwrap());
        let setup = Setup::new(&[
            ("ordinary.in.json", "{\"qty\":7}"),
            ("ordinary.out.json", &good.replace('7', "8")),
        ]);
        let results = setup.test(&module(0, OUT), false);
        let failed = failure(&results[0].1);
        assert_eq!(failed.differences.len(), 1, "{failed:?}");
        assert_eq!(failed.differences[0].pointer, "/0/data/quantityOnHand");
        insta::assert_snapshot!(crate::output::testing::plain(&failed.text()), @r"
        the mapper gives something else than ordinary.out.json says
        /0/data/quantityOnHand
          - 8
          + 7
        ");
        assert_eq!(setup.test(&module(0, OUT), true)[0].1, Outcome::Updated);
        assert_eq!(setup.fixture("ordinary.out.json"), Some(good));
        assert_eq!(setup.test(&module(0, OUT), false)[0].1, Outcome::Passed);
    }

    #[test]
    fn a_message_that_waits_for_its_mapper_fails_with_the_cause_and_update_does_not_hide_it() {
        let setup = Setup::new(&[("edge-renamed.in.json", "{\"quantity\":7}")]);
        for update in [false, true] {
            let results = setup.test(&module(0, OUT), update);
            let failed = failure(&results[0].1);
            assert_eq!(failed.code.as_deref(), Some("payload_schema_violation"));
            assert_eq!(failed.errors[0].pointer, "/payload/qty");
        }
        let refused = Setup::new(&[("edge-negative.in.json", "{\"qty\":-7}")]);
        assert_eq!(
            failure(&refused.test(&module(1, ERR), true)[0].1).code.as_deref(),
            Some("mapper_refused")
        );
        assert_eq!(refused.fixture("edge-negative.err.json"), None);
    }

    #[test]
    fn a_case_named_refused_expects_the_mappers_refusal() {
        let setup = Setup::new(&[("refused-negative.in.json", "no json at all")]);
        assert!(
            failure(&setup.test(&module(1, ERR), false)[0].1).message.contains("refused-negative.err.json")
        );
        assert_eq!(setup.test(&module(1, ERR), true)[0].1, Outcome::Updated);
        assert_eq!(setup.test(&module(1, ERR), false)[0].1, Outcome::Passed);
        assert!(failure(&setup.test(&module(0, OUT), false)[0].1).message.contains("is mapped"));
    }

    #[test]
    fn output_that_the_canonical_schema_refuses_is_never_accepted() {
        let bad = OUT.replace(":7", ":-7");
        let setup = Setup::new(&[("ordinary.in.json", "{\"qty\":7}")]);
        let results = setup.test(&module(0, &bad), true);
        assert_eq!(failure(&results[0].1).code.as_deref(), Some("canonical_schema_violation"));
    }

    #[test]
    fn metadata_can_be_replaced_by_member() {
        let setup = Setup::new(&[
            ("ordinary.in.json", "{\"qty\":7}"),
            ("ordinary.meta.json", r#"{"schemaVersion":"9"}"#),
        ]);
        let results = setup.test(&module(0, OUT), false);
        assert_eq!(failure(&results[0].1).code.as_deref(), Some("schema_version_unknown"));
        let contract: Contract =
            toml::from_str(&std::fs::read_to_string(setup.folder.path().join("mapper.toml")).unwrap())
                .unwrap();
        assert!(overlaid(meta(&contract), br#"{"other":"x"}"#).unwrap_err().contains("other"));
    }

    #[test]
    fn a_cases_name_is_what_stands_before_in() {
        let name = |text: &str| case_name(Path::new(text));
        assert_eq!(name("fixtures/a-b.in.json").as_deref(), Some("a-b"));
        assert_eq!(name("a.in.edi").as_deref(), Some("a"));
        assert_eq!(name("a.out.json"), None);
        assert_eq!(name(".in.json"), None);
    }
}
