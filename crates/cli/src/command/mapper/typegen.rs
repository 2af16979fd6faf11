//! `sluice mapper typegen`: the canonical types of a bundle in Rust. The work is in [`crate::workshop::typegen`].

use serde::Serialize;
use serde_json::Value;
use sluice_core::canonical::SCHEMAS;
use sluice_core::contract::CanonicalRef;

use crate::args::TypegenArgs;
use crate::error::CliError;
use crate::output::{Output, Page, Tone, View, paint};
use crate::publish::contract_of;
use crate::workshop::build::{Language, bundle_folder, repository};
use crate::workshop::scaffold::{CANONICAL_FILE, format_rust};
use crate::workshop::typegen::Types;

/// Runs the command.
pub(super) fn run(args: &TypegenArgs, output: &Output) -> Result<(), CliError> {
    let folder = bundle_folder(&args.bundle)?;
    if Language::of(&folder) != Some(Language::Rust) {
        return Err(CliError::usage(format!("{} is not written in Rust", args.bundle.display()))
            .with_hint("types are written for Rust only; the canonical schemas are in schemas/canonical/"));
    }
    let canonical = contract_of(&folder)?.canonical;
    let types = rust(&canonical)?;
    let path = folder.join(CANONICAL_FILE);
    let held = std::fs::read_to_string(&path).unwrap_or_default();
    let fresh = formatted(&folder, &types)?;
    let written =
        Written { file: path.display().to_string(), canonical, fresh: held == fresh, written: !args.check };
    if !written.fresh {
        if args.check {
            output.document(&written)?;
            return Err(CliError::Failed(format!(
                "{} is not what the canonical schema gives: run `sluice mapper typegen`",
                path.display()
            )));
        }
        std::fs::write(&path, fresh).map_err(|source| CliError::WriteFile { path, source })?;
    }
    output.document(&written)
}

fn rust(canonical: &CanonicalRef) -> Result<String, CliError> {
    let (name, version) = (canonical.r#type.as_str(), canonical.version.as_str());
    let schema =
        SCHEMAS.iter().find(|(known, of, _)| *known == name && *of == version).map(|(.., text)| *text);
    let schema: Value = schema.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let types = Types::of(name, &schema)
        .map_err(|error| CliError::usage(format!("no types can be written for {name} {version}: {error}")))?;
    Ok(types.rust(name, version))
}

/// As rustfmt leaves it, which works on files.
fn formatted(folder: &std::path::Path, text: &str) -> Result<String, CliError> {
    let path = folder.join(format!(".canonical-{}.rs", std::process::id()));
    std::fs::write(&path, text).map_err(|source| CliError::WriteFile { path: path.clone(), source })?;
    format_rust(&repository(folder)?.join("mappers-wasm"), std::slice::from_ref(&path));
    let formatted = std::fs::read_to_string(&path);
    let _ = std::fs::remove_file(&path);
    formatted.map_err(|source| CliError::ReadFile { path, source })
}

#[derive(Debug, Serialize)]
struct Written {
    file: String,
    canonical: CanonicalRef,
    fresh: bool,
    written: bool,
}

impl View for Written {
    fn text(&self, _page: &Page) -> String {
        let done = match (self.fresh, self.written) {
            (true, _) => paint(Tone::Good, "up to date"),
            (false, true) => paint(Tone::Good, "written"),
            (false, false) => paint(Tone::Bad, "stale"),
        };
        format!("{} {}  {} {}\n", done, self.file, self.canonical.r#type, self.canonical.version)
    }
}
