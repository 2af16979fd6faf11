//! Building a bundle's module, by the repository's own `cargo xtask build-mappers --only`: one place knows toolchains, flags and
//! where modules are put.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::CliError;
use crate::output::Output;
use crate::publish::{CONTRACT_FILE, module_path};

/// What tells a clone of Sluice's repository.
const MARKER: &str = "mappers-wasm/wit/mapper.wit";

/// What a mapper is written in. A bundle's language is what lies in its folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lower")]
pub enum Language {
    /// With the SDK: typed messages, exact numbers, refusals with a place.
    Rust,
    /// TypeScript's little sister.
    AssemblyScript,
    /// C, for WebAssembly.
    C,
}

impl Language {
    /// Of a bundle's folder, by its files.
    pub fn of(folder: &Path) -> Option<Self> {
        if folder.join("Cargo.toml").is_file() {
            return Some(Self::Rust);
        }
        if folder.join("asconfig.json").is_file() {
            return Some(Self::AssemblyScript);
        }
        let sources = std::fs::read_dir(folder.join("src")).ok()?;
        let c = |entry: std::fs::DirEntry| entry.path().extension().is_some_and(|ending| ending == "c");
        sources.flatten().any(c).then_some(Self::C)
    }

    /// The file of a bundle that has the canonical types.
    pub fn canonical_file(self) -> &'static str {
        match self {
            Self::Rust => "src/canonical.rs",
            Self::AssemblyScript => "src/canonical.ts",
            Self::C => "src/canonical.h",
        }
    }
}

/// The clone of Sluice's repository that builds: the one around `near`, else `SLUICE_HOME`, else the one around the current folder
/// or around this program.
pub fn repository(near: &Path) -> Result<PathBuf, CliError> {
    let home = std::env::var_os("SLUICE_HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    let here = std::env::current_dir().ok();
    let program = std::env::current_exe().ok();
    let starts = [std::path::absolute(near).ok(), home, here, program];
    let canonical = starts.into_iter().flatten().filter_map(|start| std::fs::canonicalize(start).ok());
    for start in canonical {
        if let Some(root) = start.ancestors().find(|folder| folder.join(MARKER).is_file()) {
            return Ok(root.to_owned());
        }
    }
    Err(CliError::not_found(
        "there is no clone of Sluice's repository here, above here, or above this program",
    )
    .with_hint("mappers are built with its SDK: set SLUICE_HOME to a clone"))
}

/// The bundle in a folder, or why there is none.
pub fn bundle_folder(folder: &Path) -> Result<PathBuf, CliError> {
    if !folder.join(CONTRACT_FILE).is_file() {
        return Err(CliError::InvalidFile {
            path: folder.to_owned(),
            problem: format!("has no {CONTRACT_FILE}, so it is not a bundle"),
            hint: Some("name the bundle's folder, or make one with `sluice mapper new`".into()),
        });
    }
    std::fs::canonicalize(folder).map_err(|source| CliError::ReadFile { path: folder.to_owned(), source })
}

/// Every bundle of the repository, by name.
pub fn all_bundles() -> Result<Vec<PathBuf>, CliError> {
    let mappers = repository(Path::new("."))?.join("mappers-wasm");
    let entries =
        std::fs::read_dir(&mappers).map_err(|source| CliError::ReadFile { path: mappers, source })?;
    let mut folders: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|folder| folder.join(CONTRACT_FILE).is_file())
        .collect();
    folders.sort();
    Ok(folders)
}

/// Where a bundle in Rust outside the repository finds the SDK: a link to the clone, in the bundle's folder. Its `Cargo.toml` names the
/// SDK through it, so that no path of a machine is in a file that is kept.
const SDK_LINK: &str = ".sluice";

/// Makes the link to the clone, or makes it anew when it leads elsewhere: the folder may come from another machine.
pub fn link_sdk(folder: &Path, repository: &Path) -> Result<(), CliError> {
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
    if !manifest.contains(&format!("\"{SDK_LINK}/")) {
        return Ok(());
    }
    let link = folder.join(SDK_LINK);
    let failed = |source| CliError::WriteFile { path: link.clone(), source };
    match std::fs::read_link(&link) {
        Ok(target) if target == repository => return Ok(()),
        Ok(_) => std::fs::remove_file(&link).map_err(failed)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        // Something else than a link is the author's own.
        Err(_) => return Ok(()),
    }
    linked(repository, &link).map_err(failed)
}

#[cfg(unix)]
fn linked(target: &Path, link: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(not(unix))]
fn linked(target: &Path, link: &Path) -> std::io::Result<()> {
    std::os::windows::fs::symlink_dir(target, link)
}

/// Builds the bundle in a folder and gives its module. What the compiler says goes to standard error.
pub fn build(folder: &Path, output: &Output) -> Result<PathBuf, CliError> {
    let folder = bundle_folder(folder)?;
    let repository = repository(&folder)?;
    link_sdk(&folder, &repository)?;
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(&repository).args(["xtask", "build-mappers", "--only"]).arg(&folder);
    run(&mut command, "the mapper does not build", output)?;
    module_path(&folder)
}

/// Runs the bundle's own tests, natively, where it has any: its fixtures through the same function as a plain program.
pub fn test_natively(folder: &Path, output: &Output) -> Result<bool, CliError> {
    if Language::of(folder) != Some(Language::Rust) {
        return Ok(false);
    }
    link_sdk(folder, &repository(folder)?)?;
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["test", "--quiet", "--manifest-path"]).arg(folder.join("Cargo.toml"));
    // Its own folder for what is built natively, unless the user has one, so that modules are not built anew after each test.
    if std::env::var_os("CARGO_TARGET_DIR").is_none() {
        let target = repository(folder)?.join("mappers-wasm/target");
        command.arg("--target-dir").arg(target);
    }
    run(&mut command, "the mapper's own tests fail", output)?;
    Ok(true)
}

/// Runs a child: to a person everything that it says, else only what it says when it fails.
fn run(command: &mut Command, failed: &str, output: &Output) -> Result<(), CliError> {
    let program = command.get_program().display().to_string();
    let started = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).output();
    let done = started.map_err(|source| {
        CliError::Failed(format!("could not start {program}, which building a mapper needs: {source}"))
    })?;
    if done.status.success() {
        return Ok(());
    }
    if output.is_json() {
        let said = [done.stdout, done.stderr].concat();
        return Err(CliError::Failed(format!("{failed}:\n{}", String::from_utf8_lossy(&said).trim_end())));
    }
    // It has colours of its own and is not a vendor's text.
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(&done.stdout).and_then(|()| stderr.write_all(&done.stderr));
    Err(CliError::Failed(failed.to_owned()))
}
