//! The tools that `cargo xtask test` needs, pinned, installed once under `<target>/tools`, never on the machine at large.
//!
//! A version's folder appears only when its installation has succeeded, so an interrupted one is done again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::project::Project;
use crate::steps;

/// A cargo subcommand from the registry. Built without optimisation: it runs for a second, and compiles in a third of the time.
pub(crate) struct CargoTool {
    name: &'static str,
    version: &'static str,
}

pub(crate) const CARGO_DENY: CargoTool = CargoTool { name: "cargo-deny", version: "0.20.2" };
pub(crate) const CARGO_FUZZ: CargoTool = CargoTool { name: "cargo-fuzz", version: "0.13.2" };
pub(crate) const CARGO_MACHETE: CargoTool = CargoTool { name: "cargo-machete", version: "0.9.2" };

/// A virtual environment with packages that come as wheels.
pub(crate) struct PythonTools {
    /// Its folder's name begins so.
    name: &'static str,
    packages: &'static [&'static str],
}

/// Checkers, and AWS's own clients.
pub(crate) const PYTHON_TOOLS: PythonTools = PythonTools {
    name: "python",
    packages: &["typos==1.52.0", "openapi-spec-validator==0.9.0", "boto3==1.44.5", "awscli==1.46.2"],
};

/// What builds for Amazon Linux on any Linux.
pub(crate) const LAMBDA_TOOLS: PythonTools =
    PythonTools { name: "lambda", packages: &["cargo-lambda==1.9.2", "ziglang==0.17.1"] };

/// A peer that deploys CloudFormation and runs functions as processes. `cryptography` is for its KMS.
pub(crate) const EMULATOR: PythonTools =
    PythonTools { name: "emulator", packages: &["ministack==1.5.33", "cryptography==50.0.2"] };

impl CargoTool {
    /// The binary, after installing it if need be.
    pub(crate) fn path(&self, project: &Project) -> Result<PathBuf> {
        let place = project.target.join("tools").join(format!("{}-{}", self.name, self.version));
        install_once(&place, |fresh| {
            let package = format!("{}@{}", self.name, self.version);
            let mut install = project.cargo(&["install", "--quiet", "--locked", "--debug", "--root"]);
            install.arg(fresh).arg(&package).env("CARGO_PROFILE_DEV_DEBUG", "0");
            steps::run(&mut install)
        })?;
        Ok(place.join("bin").join(format!("{}{}", self.name, std::env::consts::EXE_SUFFIX)))
    }
}

impl PythonTools {
    /// The environment's `bin` folder, after installing it if need be.
    pub(crate) fn bin(&self, project: &Project) -> Result<PathBuf> {
        let versions = self.packages.join("-").replace("==", "-");
        let place = project.target.join("tools").join(format!("{}-{versions}", self.name));
        // Scripts of a virtual environment hold its path, so it cannot be moved into place: a marker says that it is whole.
        let marker = place.join("complete");
        let bin = place.join(if cfg!(windows) { "Scripts" } else { "bin" });
        if !marker.exists() {
            let python = if cfg!(windows) { "python" } else { "python3" };
            steps::run(Command::new(python).args(["-m", "venv", "--clear"]).arg(&place))
                .context("Python 3 with its venv module is needed (on Debian: python3-venv)")?;
            steps::run(
                Command::new(bin.join("python"))
                    .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
                    .args(self.packages),
            )?;
            fs::write(&marker, "")?;
        }
        Ok(bin)
    }
}

/// Runs `install` into a folder beside `place`, and renames it when it succeeded.
fn install_once(place: &Path, install: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if place.exists() {
        return Ok(());
    }
    let parent = place.parent().context("a tool's place has a parent")?;
    fs::create_dir_all(parent)?;
    let fresh = place.with_extension(format!("part-{}", std::process::id()));
    let result = install(&fresh);
    if let Err(error) = result {
        let _ = fs::remove_dir_all(&fresh);
        return Err(error);
    }
    if let Err(error) = fs::rename(&fresh, place) {
        // Someone else may have been quicker, and theirs is as good.
        let _ = fs::remove_dir_all(&fresh);
        if !place.exists() {
            bail!("could not put the tool at {}: {error}", place.display());
        }
    }
    Ok(())
}
