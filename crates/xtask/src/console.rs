//! The console in a real browser: its journeys and pages as tests, and the screenshots of
//! `docs/console.md`.
//!
//! Chromium is the system's. Where there is none, it is installed by the system's own package
//! manager if that is Debian's and
//! this is root; else the error says what to install.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::project::Project;
use crate::steps;

/// Names under which Chromium is found.
const CHROMIUM: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

/// The browser: `SLUICE_CHROMIUM`, or what is on the path, or what the package manager installs.
pub(crate) fn chromium() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("SLUICE_CHROMIUM") {
        return Ok(named.into());
    }
    if let Some(found) = on_path() {
        return Ok(found);
    }
    let mut install = Command::new("sh");
    install.env("DEBIAN_FRONTEND", "noninteractive").args([
        "-c",
        "apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core fonts-liberation",
    ]);
    let what =
        "the console is tested in Chromium: install it (on Debian: chromium), or name one in SLUICE_CHROMIUM";
    steps::run(&mut install).context(what)?;
    on_path().context(what)
}

fn on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .flat_map(|folder| CHROMIUM.map(|name| folder.join(name)))
        .find(|file| file.is_file())
}

/// Runs node in `tests/console`, with its packages installed, and with the programs that it drives.
pub(crate) fn node(project: &Project, arguments: &[&str]) -> Result<Command> {
    let folder = project.root.join("tests/console");
    let needed =
        "the console's tests need Node.js 20 or later and npm: install both (on Debian: nodejs, npm)";
    steps::run(Command::new("node").arg("--version").stdout(Stdio::null())).context(needed)?;
    let mut install = Command::new("npm");
    install.current_dir(&folder).args([
        "ci",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--loglevel=error",
    ]);
    steps::run(&mut install).context(needed)?;
    let gallery =
        project.target.join("debug/examples").join(format!("gallery{}", std::env::consts::EXE_SUFFIX));
    if !gallery.is_file() {
        bail!("{} is not there: `cargo build --workspace --all-targets` makes it", gallery.display());
    }
    let mut node = Command::new("node");
    node.current_dir(&folder)
        .args(arguments)
        .env("SLUICE_BIN", project.sluice("debug"))
        .env("SLUICE_HOME", &project.root)
        .env("SLUICE_GALLERY_BIN", gallery)
        .env("SLUICE_CHROMIUM", chromium()?);
    Ok(node)
}

/// Writes the screenshots of `docs/console.md`, of `sluice dev --examples` with events in it.
pub(crate) fn screenshots(project: &Project) -> Result<()> {
    let mut steps = steps::Steps::new(3);
    steps.run("Mappers, for WebAssembly", || crate::wasm::build_mappers(project))?;
    steps.run("Build", || {
        steps::run(&mut project.cargo(&["build", "--locked", "--workspace", "--all-targets"]))
    })?;
    steps.run("Screenshots, into docs/console/", || {
        let folder = project.root.join("docs/console");
        steps::run(node(project, &["screenshots.mjs"])?.arg(folder))
    })
}
