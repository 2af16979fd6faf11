//! `sluice mapper new`: a bundle that builds and passes its tests. The work is in [`crate::workshop::scaffold`].

use std::path::{Path, PathBuf};

use serde::Serialize;
use sluice_core::canonical::SCHEMAS;
use sluice_core::contract::CanonicalRef;
use sluice_mapper_host::Host;

use crate::args::NewArgs;
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, paint, printable};
use crate::workshop::build::{Language, build, repository};
use crate::workshop::bundle::load;
use crate::workshop::fixtures::{Expected, Outcome, cases};
use crate::workshop::requests::request_cases;
use crate::workshop::scaffold::{
    EVENT_TYPE_DEFAULT, Plan, Sample, bundle_name, canonical_of, stated_event_type,
};
use crate::workshop::trial::Loaded;

/// Runs the command.
pub(super) fn run(args: &NewArgs, output: &Output) -> Result<(), CliError> {
    let samples =
        files(&args.from_sample)?.iter().map(|path| Sample::read(path)).collect::<Result<Vec<_>, _>>()?;
    // A message that is no object cannot be the payload of an envelope.
    let native = args.native || samples.iter().any(Sample::is_array);
    let stated = samples.iter().find_map(|sample| sample.event_type.clone());
    let stated =
        stated.or_else(|| native.then(|| stated_event_type(&samples)).flatten().map(|(_, stated)| stated));
    let event_type = match (&args.event_type, stated) {
        (Some(given), _) => given.clone(),
        (None, Some(said)) => said,
        (None, None) => EVENT_TYPE_DEFAULT.parse().map_err(|error| CliError::usage(format!("{error}")))?,
    };
    let (canonical, schema) = canonical(args, samples.first())?;
    let repository = repository(Path::new("."))?;
    let folder = folder(args, &repository, &bundle_name(&args.vendor, &event_type))?;
    let plan = Plan {
        vendor_id: args.vendor.clone(),
        event_type,
        canonical,
        mappers: repository.join("mappers-wasm"),
        folder,
        samples,
        native,
    };
    let written = plan.write(args.lang, schema)?;
    let mut sample = None;
    if !args.no_build {
        let progress = output.progress("building the new mapper");
        let wasm = build(&plan.folder, output)?;
        let bundle = load(&Host::new()?, &plan.folder, &wasm)?;
        progress.say("running the sample");
        let mut failure = None;
        for case in cases(&plan.folder, &bundle.contract)? {
            if let Outcome::Failed(failed) = case.accept(&bundle)? {
                failure = failure.or(Some(failed.message));
            }
        }
        let refused =
            cases(&plan.folder, &bundle.contract)?.iter().any(|case| case.expected == Expected::Refusal);
        let loaded = Loaded { folder: plan.folder.clone(), bundle };
        for case in request_cases(&plan.folder)? {
            if let Outcome::Failed(failed) = case.test(&loaded, true)? {
                failure = failure.or(Some(failed.message));
            }
        }
        sample = Some(match (failure, refused) {
            (Some(message), _) => Tried::Failed(message),
            (None, true) => Tried::Refused,
            (None, false) => Tried::Mapped,
        });
    }
    let suggestion = written.suggestion;
    let mut mapped: Vec<Mapped> = suggestion
        .matches
        .iter()
        .map(|one| Mapped { member: one.field.name.clone(), from: one.leaf.pointer(), score: one.score })
        .collect();
    mapped.extend(suggestion.occurred_at.iter().map(|leaf| Mapped {
        member: "occurredAt".into(),
        from: leaf.pointer(),
        score: 100,
    }));
    output.document(&New {
        folder: shortened(&plan.folder),
        language: args.lang,
        source: match args.lang {
            Language::Rust => "src/lib.rs",
            Language::AssemblyScript => "src/index.ts",
            Language::C => "src/mapper.c",
        },
        canonical: plan.canonical,
        files: written.files,
        mapped,
        missing: suggestion.missing,
        unused: suggestion.unused,
        sample,
    })
}

/// The samples: files, and every file of a folder, by name.
pub(super) fn files(named: &[PathBuf]) -> Result<Vec<PathBuf>, CliError> {
    let mut files = Vec::new();
    for path in named {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let failed = |source| CliError::ReadFile { path: path.clone(), source };
        let mut found = Vec::new();
        for entry in std::fs::read_dir(path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            if !hidden && entry.path().is_file() {
                found.push(entry.path());
            }
        }
        if found.is_empty() {
            return Err(CliError::InvalidFile {
                path: path.clone(),
                problem: "has no sample in it".into(),
                hint: Some("put messages of the vendor's there, one a file".into()),
            });
        }
        found.sort();
        files.extend(found);
    }
    Ok(files)
}

/// What it becomes if neither the command nor the sample says.
const CANONICAL_DEFAULT: &str = "InventoryUpdated";

/// The newest version of the type that is known.
fn canonical(args: &NewArgs, sample: Option<&Sample>) -> Result<(CanonicalRef, &'static str), CliError> {
    let of_sample = sample.map(canonical_of).transpose()?.flatten();
    let wanted = match args.canonical.clone().or(of_sample) {
        Some(wanted) => wanted,
        None => CANONICAL_DEFAULT.parse().map_err(|error| CliError::usage(format!("{error}")))?,
    };
    let found = SCHEMAS.iter().rfind(|(name, ..)| *name == wanted.as_str());
    let Some((_, version, schema)) = found else {
        let known: Vec<&str> = SCHEMAS.iter().map(|(name, ..)| *name).collect();
        return Err(CliError::usage(format!(
            "there is no canonical type {wanted}; there are {}",
            known.join(", ")
        )));
    };
    let version = version.parse().map_err(|error| CliError::usage(format!("{error}")))?;
    Ok((CanonicalRef { r#type: wanted, version }, schema))
}

fn folder(args: &NewArgs, repository: &Path, name: &str) -> Result<PathBuf, CliError> {
    let here = std::env::current_dir()
        .and_then(std::fs::canonicalize)
        .map_err(|source| CliError::ReadFile { path: ".".into(), source })?;
    let folder = match &args.dir {
        Some(folder) => here.join(folder),
        None if here.starts_with(repository) => repository.join("mappers-wasm").join(name),
        None => here.join(name),
    };
    if folder.exists() {
        return Err(CliError::usage(format!("{} is there already", shortened(&folder)))
            .with_hint("name another folder with --dir, or edit what is there"));
    }
    Ok(folder)
}

/// As seen from here.
fn shortened(path: &Path) -> String {
    let here = std::env::current_dir().and_then(std::fs::canonicalize).unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}

#[derive(Debug, Serialize)]
struct New {
    folder: String,
    language: Language,
    /// Where the mapping is.
    #[serde(skip)]
    source: &'static str,
    canonical: CanonicalRef,
    files: Vec<String>,
    mapped: Vec<Mapped>,
    missing: Vec<String>,
    unused: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sample: Option<Tried>,
}

/// What became of the samples.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum Tried {
    /// Each is mapped.
    Mapped,
    /// One is refused by the mapper.
    Refused,
    /// One is neither: what was made of it may not be.
    Failed(String),
}

#[derive(Debug, Serialize)]
struct Mapped {
    member: String,
    from: String,
    score: u32,
}

impl View for New {
    fn text(&self, page: &Page) -> String {
        let mut text = format!("{} {}\n", paint(Tone::Good, "made"), self.folder);
        for file in &self.files {
            text.push_str(&format!("  {}\n", paint(Tone::Dim, file)));
        }
        let mut rows: Vec<Vec<Cell>> = self
            .mapped
            .iter()
            .map(|one| {
                let tone = if one.score >= 85 { Tone::Good } else { Tone::Warn };
                vec![(&one.member).into(), Cell::new(tone, &one.from)]
            })
            .collect();
        rows.extend(
            self.missing.iter().map(|member| vec![member.into(), Cell::new(Tone::Bad, "no source: refused")]),
        );
        if !rows.is_empty() {
            text.push_str(&format!("\n{} {}\n", self.canonical.r#type, self.canonical.version));
            text.push_str(&page.table(&["MEMBER", "FROM"], rows));
        }
        if !self.unused.is_empty() {
            text.push_str(&format!("\nnot used: {}\n", self.unused.join(", ")));
        }
        match &self.sample {
            Some(Tried::Mapped) => text.push_str(&format!(
                "\nThe sample is mapped. Look at {} and at the fixture's .out.json.\n",
                self.source
            )),
            Some(Tried::Refused) => text.push_str(&format!(
                "\nThe sample is refused: see the fixture's .err.json, edit {}, then test --update.\n",
                self.source
            )),
            Some(Tried::Failed(message)) => text.push_str(&format!(
                "\n{} {}\nEdit {}, then test --update.\n",
                paint(Tone::Bad, "The sample fails:"),
                printable(message),
                self.source
            )),
            None => {}
        }
        text.push_str(&format!("\nnext: sluice mapper test {}\n", self.folder));
        text
    }
}
