//! `sluice mapper typegen`: the canonical types of a bundle in its language. The work is in [`crate::workshop::typegen`].

use serde::Serialize;
use serde_json::Value;
use sluice_core::canonical::SCHEMAS;
use sluice_core::contract::CanonicalRef;

use crate::args::TypegenArgs;
use crate::error::CliError;
use crate::output::{Output, Page, Tone, View, paint};
use crate::publish::contract_of;
use crate::workshop::build::{Language, bundle_folder, repository};
use crate::workshop::scaffold::format_rust;
use crate::workshop::typegen::Types;

/// Runs the command.
pub(super) fn run(args: &TypegenArgs, output: &Output) -> Result<(), CliError> {
    let folder = bundle_folder(&args.bundle)?;
    let Some(language) = args.lang.or_else(|| Language::of(&folder)) else {
        return Err(CliError::usage(format!("{} has no mapper yet", args.bundle.display()))
            .with_hint("say with --lang what it will be written in"));
    };
    let canonical = contract_of(&folder)?.canonical;
    let types = types(&canonical, language)?;
    let path = folder.join(language.canonical_file());
    let held = std::fs::read_to_string(&path).unwrap_or_default();
    let fresh = if language == Language::Rust { formatted(&folder, &types)? } else { types };
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

fn types(canonical: &CanonicalRef, language: Language) -> Result<String, CliError> {
    let (name, version) = (canonical.r#type.as_str(), canonical.version.as_str());
    let schema =
        SCHEMAS.iter().find(|(known, of, _)| *known == name && *of == version).map(|(.., text)| *text);
    let schema: Value = schema.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let types = Types::of(name, &schema)
        .map_err(|error| CliError::usage(format!("no types can be written for {name} {version}: {error}")))?;
    Ok(types.written_in(language, name, version))
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
