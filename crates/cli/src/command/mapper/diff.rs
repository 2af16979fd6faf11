//! `sluice mapper diff`: what differs between two bundles, each published or in a folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use sluice_core::bundle::{FileRef, MODULE_FILE};
use sluice_core::contract::Contract;
use sluice_core::digest::Sha256Hex;
use sluice_core::json::push_pointer;

use sluice_ops::bundles::{published_file, published_manifest, resolve};

use crate::args::{DiffArgs, Global};
use crate::cloud::{self, Cloud};
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, paint, printable};
use crate::publish::{Bundle, FIXTURES_FOLDER, module_path};

/// Most differences listed within one document; the number of the rest is stated.
const DIFFERENCES_MAX: usize = 100;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Diff {
    a: Sha256Hex,
    b: Sha256Hex,
    same: bool,
    contract: Vec<Difference>,
    files: Vec<FileDifference>,
}

/// One member of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Difference {
    pointer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    a: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    b: Option<Value>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct FileDifference {
    path: String,
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    a: Option<FileRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    b: Option<FileRef>,
    /// For JSON that is in both.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differences: Vec<Difference>,
    #[serde(skip_serializing_if = "is_zero")]
    more_differences: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Module,
    Schema,
    Fixture,
}

/// One of the two.
struct Side {
    digest: Sha256Hex,
    contract: Contract,
    files: BTreeMap<String, FileRef>,
    from: Source,
}

enum Source {
    Folder(Box<Bundle>),
    Store(Box<Cloud>),
}

impl Side {
    async fn load(text: &str, global: &Global) -> Result<Self, CliError> {
        let folder = Path::new(text);
        if folder.is_dir() {
            let bundle = Bundle::read(folder, &module_path(folder)?)?;
            let manifest = bundle.manifest();
            let (_, digest) = manifest.encode();
            return Ok(Self {
                digest,
                contract: manifest.contract,
                files: manifest.files,
                from: Source::Folder(Box::new(bundle)),
            });
        }
        let cloud = cloud::connect(global).await?;
        let store = cloud.bundles();
        let digest = resolve(&store, text).await?;
        let manifest = published_manifest(&store, &digest).await?;
        Ok(Self {
            digest,
            contract: manifest.contract,
            files: manifest.files,
            from: Source::Store(Box::new(cloud)),
        })
    }

    async fn read(&self, path: &str) -> Result<Option<Bytes>, CliError> {
        let Some(file) = self.files.get(path) else { return Ok(None) };
        match &self.from {
            Source::Folder(bundle) => Ok(bundle.files.get(path).cloned()),
            Source::Store(cloud) => Ok(Some(published_file(&cloud.bundles(), file).await?)),
        }
    }
}

/// Runs the command.
pub(super) async fn run(args: &DiffArgs, global: &Global, output: &Output) -> Result<(), CliError> {
    let (a, b) = (Side::load(&args.a, global).await?, Side::load(&args.b, global).await?);
    let mut files = Vec::new();
    let paths: BTreeSet<&String> = a.files.keys().chain(b.files.keys()).collect();
    for path in paths {
        let (left, right) = (a.files.get(path), b.files.get(path));
        if left == right {
            continue;
        }
        let kind = kind(path);
        let mut found = Vec::new();
        if kind != Kind::Module && left.is_some() && right.is_some() {
            let json =
                |bytes: Option<Bytes>| serde_json::from_slice::<Value>(&bytes.unwrap_or_default()).ok();
            if let (Some(left), Some(right)) = (json(a.read(path).await?), json(b.read(path).await?)) {
                found = differences(&left, &right);
            }
        }
        let more_differences = found.len().saturating_sub(DIFFERENCES_MAX);
        found.truncate(DIFFERENCES_MAX);
        files.push(FileDifference {
            path: path.clone(),
            kind,
            a: left.cloned(),
            b: right.cloned(),
            differences: found,
            more_differences,
        });
    }
    files.sort_by(|a, b| (a.kind, &a.path).cmp(&(b.kind, &b.path)));
    let value = |contract: &Contract| {
        serde_json::to_value(contract)
            .map_err(|error| CliError::Failed(format!("a contract has no JSON: {error}")))
    };
    let contract = differences(&value(&a.contract)?, &value(&b.contract)?);
    output.document(&Diff { same: a.digest == b.digest, a: a.digest, b: b.digest, contract, files })
}

fn kind(path: &str) -> Kind {
    if path == MODULE_FILE {
        Kind::Module
    } else if path.starts_with(FIXTURES_FOLDER) {
        Kind::Fixture
    } else {
        Kind::Schema
    }
}

/// Members that are not the same in both, by pointer.
fn differences(a: &Value, b: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(&mut String::new(), Some(a), Some(b), &mut found);
    found
}

fn compare(pointer: &mut String, a: Option<&Value>, b: Option<&Value>, found: &mut Vec<Difference>) {
    if a == b {
        return;
    }
    let length = pointer.len();
    match (a, b) {
        (Some(Value::Object(left)), Some(Value::Object(right))) => {
            let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            for name in names {
                push_pointer(pointer, name);
                compare(pointer, left.get(name), right.get(name), found);
                pointer.truncate(length);
            }
        }
        (Some(Value::Array(left)), Some(Value::Array(right))) => {
            for index in 0..left.len().max(right.len()) {
                push_pointer(pointer, &index.to_string());
                compare(pointer, left.get(index), right.get(index), found);
                pointer.truncate(length);
            }
        }
        _ => found.push(Difference { pointer: pointer.clone(), a: a.cloned(), b: b.cloned() }),
    }
}

fn lines(title: &str, differences: &[Difference], text: &mut String) {
    if differences.is_empty() {
        return;
    }
    text.push_str(&format!("{}\n", paint(Tone::Strong, printable(title))));
    for Difference { pointer, a, b } in differences {
        let shown = |value: &Value| printable(&value.to_string()).chars().take(200).collect::<String>();
        let change = match (a, b) {
            (Some(a), Some(b)) => format!("{} → {}", shown(a), shown(b)),
            (Some(a), None) => paint(Tone::Bad, format!("- {}", shown(a))),
            (None, Some(b)) => paint(Tone::Good, format!("+ {}", shown(b))),
            (None, None) => String::new(),
        };
        text.push_str(&format!("  {}  {change}\n", printable(pointer)));
    }
}

impl View for Diff {
    fn text(&self, page: &Page) -> String {
        if self.same {
            return format!("{}\n", paint(Tone::Dim, "The two are the same bundle."));
        }
        let mut text = String::new();
        let short = |digest: &Sha256Hex| {
            if page.terminal { digest.as_str()[..12].to_owned() } else { digest.to_string() }
        };
        text.push_str(&format!("{} → {}\n", short(&self.a), short(&self.b)));
        lines("contract", &self.contract, &mut text);
        let file = |file: &Option<FileRef>| match file {
            Some(file) => format!("{} bytes {}", file.bytes, short(&file.sha256)),
            None => "-".to_owned(),
        };
        let rows = self.files.iter().map(|it| {
            let tone = match (&it.a, &it.b) {
                (None, _) => Tone::Good,
                (_, None) => Tone::Bad,
                _ => Tone::Plain,
            };
            vec![Cell::new(tone, &it.path), file(&it.a).into(), file(&it.b).into()]
        });
        if !self.files.is_empty() {
            text.push_str(&page.table(&["FILE", "A", "B"], rows.collect()));
        }
        for file in &self.files {
            lines(&file.path, &file.differences, &mut text);
            if file.more_differences > 0 {
                text.push_str(&format!("  … and {} more\n", file.more_differences));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::output::testing::on_terminal;

    #[test]
    fn members_that_came_went_or_changed() {
        let found = differences(
            &json!({"a": 1, "b": [1, 2], "c": {"d": "x"}}),
            &json!({"a": 2, "b": [1], "e/f": null}),
        );
        let seen: Vec<(&str, bool, bool)> =
            found.iter().map(|it| (it.pointer.as_str(), it.a.is_some(), it.b.is_some())).collect();
        assert_eq!(
            seen,
            [("/a", true, true), ("/b/1", true, false), ("/c", true, false), ("/e~1f", false, true)]
        );
        assert_eq!(differences(&json!({"a": [1]}), &json!({"a": [1]})), []);
    }

    #[test]
    fn what_a_person_reads() {
        let diff = Diff {
            a: Sha256Hex::of(b"a"),
            b: Sha256Hex::of(b"b"),
            same: false,
            contract: differences(
                &json!({"canonical": {"version": "1.0"}}),
                &json!({"canonical": {"version": "1.1"}}),
            ),
            files: vec![
                FileDifference {
                    path: MODULE_FILE.into(),
                    kind: kind(MODULE_FILE),
                    a: Some(FileRef::of(b"one")),
                    b: Some(FileRef::of(b"three")),
                    differences: vec![],
                    more_differences: 0,
                },
                FileDifference {
                    path: "schema/1.schema.json".into(),
                    kind: kind("schema/1.schema.json"),
                    a: Some(FileRef::of(b"s")),
                    b: Some(FileRef::of(b"t")),
                    differences: differences(
                        &json!({"required": ["qty"]}),
                        &json!({"required": ["quantity", "sku"]}),
                    ),
                    more_differences: 0,
                },
            ],
        };
        insta::assert_snapshot!(on_terminal(&diff), @r#"
        ca978112ca1b → 3e23e8160039
        contract
          /canonical/version  "1.0" → "1.1"
         FILE                  A                     B                    
         mapper.wasm           3 bytes 7692c3ad3540  5 bytes 8b5b9db0c13d
         schema/1.schema.json  1 bytes 043a718774c5  1 bytes e3b98a4da31a
        schema/1.schema.json
          /required/0  "qty" → "quantity"
          /required/1  + "sku"
        "#);
    }
}
