//! Everything that is wrong with a bundle, found at once and named by file and place.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;
use sluice_core::canonical;
use sluice_core::contract::Contract;
use sluice_core::schema::Schema;
use sluice_mapper_host::{TargetSpec, compile, inspect};

use super::fixtures::{self, FIXTURES_FOLDER, NOTES_FILE, case_name, with};
use super::request;
use super::requests::request_case_name;
use crate::error::CliError;
use crate::publish::CONTRACT_FILE;

/// What a bundle is, and what is wrong with it.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Checked {
    /// Nothing is wrong.
    pub ok: bool,
    /// The module, if it may be published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<Module>,
    /// Payload schemas that hold.
    pub schemas: usize,
    /// Cases.
    pub fixtures: usize,
    /// What is wrong.
    pub faults: Vec<BundleFault>,
}

/// A module that may be published.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Module {
    /// Where it was found.
    pub path: PathBuf,
    /// Its size.
    pub bytes: usize,
    /// Functions that it defines.
    pub functions: u32,
    /// Memory that it starts with, in bytes.
    pub memory_bytes: u64,
}

/// One fault.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct BundleFault {
    /// Relative to the bundle's folder; the module by its path.
    pub file: String,
    /// JSON pointer into it, where that makes sense.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pointer: String,
    /// Stable code.
    pub code: &'static str,
    /// One sentence that says what to do, if it is not plain.
    pub message: String,
}

impl Checked {
    fn fault(&mut self, file: impl Into<String>, code: &'static str, message: impl Into<String>) {
        self.at(file, "", code, message);
    }

    fn at(&mut self, file: impl Into<String>, pointer: &str, code: &'static str, message: impl Into<String>) {
        let (file, message) = (file.into(), message.into());
        self.faults.push(BundleFault { file, pointer: pointer.to_owned(), code, message });
    }
}

/// Checks the bundle in a folder, with the module that was built for it.
pub fn check(folder: &Path, module: Result<PathBuf, CliError>) -> Checked {
    let mut checked = Checked::default();
    let contract = contract(folder, &mut checked);
    let schemas = contract.as_ref().map(|contract| schemas(folder, contract, &mut checked));
    match module {
        Ok(path) => check_module(&path, &mut checked),
        Err(error) => {
            let causes = error.causes().join(": ");
            let message = if causes.is_empty() { error.to_string() } else { format!("{error}: {causes}") };
            checked.fault("src", "module_missing", message);
        }
    }
    check_fixtures(folder, contract.as_ref(), schemas.as_deref().unwrap_or_default(), &mut checked);
    checked.ok = checked.faults.is_empty();
    checked
}

fn contract(folder: &Path, checked: &mut Checked) -> Option<Contract> {
    let path = folder.join(CONTRACT_FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            checked.fault(CONTRACT_FILE, "contract_missing", format!("cannot be read: {error}"));
            return None;
        }
    };
    let contract: Contract = match toml::from_str(&text) {
        Ok(contract) => contract,
        Err(error) => {
            checked.fault(CONTRACT_FILE, "contract_invalid", error.to_string().trim_end());
            return None;
        }
    };
    if let Err(error) = contract.check() {
        checked.fault(CONTRACT_FILE, "contract_invalid", error.to_string());
    }
    if canonical::schema(&contract.canonical).is_none() {
        let known: Vec<String> =
            canonical::SCHEMAS.iter().map(|(name, version, _)| format!("{name} {version}")).collect();
        checked.at(
            CONTRACT_FILE,
            "/canonical",
            "canonical_type_unknown",
            format!(
                "{} {} is not known; known are {}",
                contract.canonical.r#type,
                contract.canonical.version,
                known.join(", ")
            ),
        );
    }
    Some(contract)
}

fn schemas(folder: &Path, contract: &Contract, checked: &mut Checked) -> Vec<(String, Schema)> {
    let mut held = Vec::new();
    for (version, name) in &contract.payload.versions {
        let pointer = format!("/payload/versions/{version}");
        let text = match std::fs::read(folder.join(name)) {
            Ok(text) => text,
            Err(error) => {
                checked.at(
                    CONTRACT_FILE,
                    &pointer,
                    "schema_missing",
                    format!("names {name}, which cannot be read: {error}"),
                );
                continue;
            }
        };
        match Schema::compile(&text) {
            Ok(schema) => held.push((version.to_string(), schema)),
            Err(error) => checked.fault(name, "schema_invalid", format!("is {error}")),
        }
    }
    let named: BTreeSet<PathBuf> = contract.payload.versions.values().map(|name| folder.join(name)).collect();
    for path in entries(&folder.join("schema")) {
        if path.extension().is_some_and(|ending| ending == "json") && !named.contains(&path) {
            checked.fault(
                relative(folder, &path),
                "schema_unused",
                format!("is named by no version in {CONTRACT_FILE}"),
            );
        }
    }
    checked.schemas = held.len();
    held
}

fn check_module(path: &Path, checked: &mut Checked) {
    let name = path.display().to_string();
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => return checked.fault(name, "module_missing", format!("cannot be read: {error}")),
    };
    let report = match inspect(&bytes) {
        Ok(report) => report,
        Err(error) => return checked.fault(name, error.code(), error.to_string()),
    };
    if let Err(error) = compile(&bytes, &TargetSpec::host()) {
        return checked.fault(name, error.code(), error.to_string());
    }
    checked.module = Some(Module {
        path: path.to_owned(),
        bytes: report.bytes,
        functions: report.functions,
        memory_bytes: report.memory_bytes,
    });
}

fn check_fixtures(
    folder: &Path,
    contract: Option<&Contract>,
    schemas: &[(String, Schema)],
    checked: &mut Checked,
) {
    let fixtures = folder.join(FIXTURES_FOLDER);
    let files = entries(&fixtures);
    let cases: BTreeSet<String> = files.iter().filter_map(|path| case_name(path)).collect();
    let requests: BTreeSet<String> = files.iter().filter_map(|path| request_case_name(path)).collect();
    checked.fixtures = cases.len() + requests.len();
    if cases.is_empty() {
        checked.fault(
            FIXTURES_FOLDER,
            "fixtures_missing",
            "has no message: put one there as <case>.in.json, and run `sluice mapper test --update`",
        );
    }
    for path in &files {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if case_name(path).is_some() || name == NOTES_FILE {
            continue;
        }
        if request_case_name(path).is_some() {
            check_request(folder, path, checked);
            continue;
        }
        let case = ["out.json", "err.json", "meta.json"]
            .iter()
            .find_map(|ending| name.strip_suffix(ending)?.strip_suffix('.'));
        let of_request = ["answer.json", "request.json"]
            .iter()
            .find_map(|ending| name.strip_suffix(ending)?.strip_suffix('.'));
        if of_request.is_some_and(|case| requests.contains(case)) {
            continue;
        }
        match case.or(of_request) {
            None => checked.fault(
                relative(folder, path),
                "fixture_name",
                "is no part of a case: <case>.in.<format>, .out.json, .err.json or .meta.json; or <case>.request.http, .answer.json or .request.json; notes are in NOTES.md",
            ),
            Some(case) if !cases.contains(case) => checked.fault(
                relative(folder, path),
                "fixture_name",
                format!("belongs to no message: there is no {case}.in.json"),
            ),
            Some(_) => {}
        }
    }
    for path in files.iter().filter(|path| case_name(path).is_some()) {
        check_case(folder, path, contract, schemas, checked);
    }
}

fn check_request(folder: &Path, path: &Path, checked: &mut Checked) {
    let read = fixtures::read(path).map_err(|error| error.to_string());
    if let Err(problem) = read.and_then(|bytes| request::read(&bytes).map(drop)) {
        return checked.fault(relative(folder, path), "fixture_unreadable", problem);
    }
    let case = request_case_name(path).unwrap_or_default();
    if !path.with_file_name(format!("{case}.answer.json")).is_file() {
        checked.fault(
            relative(folder, path),
            "fixture_expectation",
            format!("{case} has no .answer.json: `sluice mapper test --update` writes what comes of it"),
        );
    }
}

fn check_case(
    folder: &Path,
    input: &Path,
    contract: Option<&Contract>,
    schemas: &[(String, Schema)],
    checked: &mut Checked,
) {
    let Some(case) = case_name(input) else { return };
    let stem = folder.join(FIXTURES_FOLDER).join(&case);
    let (out, err, overlay) = (with(&stem, "out.json"), with(&stem, "err.json"), with(&stem, "meta.json"));
    let file = |path: &Path| relative(folder, path);
    match (out.is_file(), err.is_file()) {
        (true, true) => checked.fault(
            file(input),
            "fixture_expectation",
            format!("{case} has both an .out.json and an .err.json: a message is mapped or refused"),
        ),
        (false, false) => checked.fault(
            file(input),
            "fixture_expectation",
            format!("{case} has neither .out.json nor .err.json: `sluice mapper test --update` writes what comes of it"),
        ),
        _ => {}
    }
    let Some(contract) = contract else { return };
    let mut meta = fixtures::meta(contract);
    if overlay.is_file() {
        let read = std::fs::read(&overlay).map_err(|error| format!("cannot be read: {error}"));
        match read.and_then(|text| fixtures::overlaid(meta.clone(), &text)) {
            Ok(overlaid) => meta = overlaid,
            Err(problem) => return checked.fault(file(&overlay), "fixture_meta", problem),
        }
    }
    if !out.is_file() {
        return;
    }
    let expected = match std::fs::read(&out) {
        Ok(expected) => expected,
        Err(error) => {
            return checked.fault(file(&out), "fixture_unreadable", format!("cannot be read: {error}"));
        }
    };
    if let Err(fault) = canonical::judge(&expected, &contract.canonical) {
        let pointer = fault.errors.first().map_or("", |first| first.pointer.as_str());
        checked.at(file(&out), pointer, fault.code.as_str(), fault.message.clone());
    }
    // Only JSON has a schema.
    let Ok(Ok(message)) = std::fs::read(input).map(|bytes| serde_json::from_slice::<Value>(&bytes)) else {
        return;
    };
    let Some((_, schema)) = schemas.iter().find(|(version, _)| *version == meta.schema_version) else {
        if !contract.payload.versions.keys().any(|version| version.as_str() == meta.schema_version) {
            checked.fault(
                file(input),
                "schema_version_unknown",
                format!("is of version {:?}, which {CONTRACT_FILE} has not", meta.schema_version),
            );
        }
        return;
    };
    if let Some(first) = schema.faults(&message).into_iter().next() {
        checked.at(
            file(input),
            &first.pointer,
            "payload_schema_violation",
            format!("is expected to be mapped, but its schema refuses it: {}", first.message),
        );
    }
}

/// Files of a folder, in order.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.is_file());
    paths.sort();
    paths
}

fn relative(folder: &Path, path: &Path) -> String {
    path.strip_prefix(folder).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use super::*;

    #[test]
    fn every_fault_is_named_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for name in ["schema", "fixtures"] {
            std::fs::create_dir(root.join(name)).unwrap();
        }
        let write = |name: &str, text: &str| std::fs::write(root.join(name), text).unwrap();
        write(
            "mapper.toml",
            "vendorId = 'v'\neventType = 't'\n[payload]\ndefaultVersion = '1'\n[payload.versions]\n1 = 'schema/1.json'\n2 = 'schema/2.json'\n3 = 'schema/3.json'\n[canonical]\ntype = 'InventoryUpdated'\nversion = '1.0'\n",
        );
        write("schema/1.json", r#"{"type":"object","required":["qty"]}"#);
        write("schema/2.json", r#"{"type":"nothing"}"#);
        write("schema/old.json", "{}");
        write("fixtures/both.in.json", "{\"qty\":1}");
        write("fixtures/both.out.json", "[]");
        write("fixtures/both.err.json", "{}");
        write("fixtures/none.in.json", "{}");
        write("fixtures/alone.out.json", "[]");
        write("fixtures/notes.txt", "");
        write("fixtures/NOTES.md", "## both\n");
        write("fixtures/meta.in.json", "{}");
        write("fixtures/meta.meta.json", r#"{"who":"x"}"#);
        write("fixtures/meta.err.json", "{}");
        let wasm = root.join("m.wasm");
        std::fs::write(&wasm, wat::parse_str(r#"(module (import "env" "now" (func)))"#).unwrap()).unwrap();
        let checked = check(root, Ok(wasm));
        assert!(!checked.ok);
        let found: Vec<(String, &str)> = checked
            .faults
            .iter()
            .map(|fault| (fault.file.rsplit('/').next().unwrap().to_owned() + &fault.pointer, fault.code))
            .collect();
        assert_eq!(
            found,
            [
                ("2.json".to_owned(), "schema_invalid"),
                ("mapper.toml/payload/versions/3".to_owned(), "schema_missing"),
                ("old.json".to_owned(), "schema_unused"),
                ("m.wasm".to_owned(), "module_import"),
                ("alone.out.json".to_owned(), "fixture_name"),
                ("notes.txt".to_owned(), "fixture_name"),
                ("both.in.json".to_owned(), "fixture_expectation"),
                ("both.out.json".to_owned(), "output_shape_invalid"),
                ("meta.meta.json".to_owned(), "fixture_meta"),
                ("none.in.json".to_owned(), "fixture_expectation"),
            ]
        );
    }

    #[test]
    fn a_folder_that_is_no_bundle_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let checked = check(folder.path(), Err(CliError::not_found("nothing was built")));
        let codes: Vec<&str> = checked.faults.iter().map(|fault| fault.code).collect();
        assert_eq!(codes, ["contract_missing", "module_missing", "fixtures_missing"]);
    }
}
