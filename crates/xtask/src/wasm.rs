//! Builds every mapper of `mappers-wasm` as a core module for `wasm32-unknown-unknown`, with nothing installed by hand. Those that
//! are not in Rust are built by [`guests`].
//!
//! The target's standard library comes from the first of: the toolchain in use, if the target is installed; Debian's Rust
//! as laid out below by an earlier run; `rustup target add`; Debian's Rust, fetched now. The last is for machines that
//! reach a Debian archive but not Rust's own server: its packages are unpacked under `target/wasm-toolchain`, never
//! installed, so no root is needed, and the standard library is compiled from its sources.
//!
//! Invariants: the same sources and toolchain give the same bytes wherever the repository lies (paths are remapped, and
//! the user's `RUSTFLAGS` are not used); a toolchain's folder appears only when it is whole.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::guests::{self, Language};
use crate::project::Project;
use crate::steps;

const TARGET: &str = "wasm32-unknown-unknown";

/// What `rustup target add` may take; where its server cannot be reached, it may hang rather than fail.
const RUSTUP_TIME_MAX: Duration = Duration::from_secs(120);

/// Forces a toolchain: `rustup` or `debian`. For testing this module.
const FORCE_VARIABLE: &str = "SLUICE_WASM_TOOLCHAIN";

/// Whom Debian's compiler needs beside itself: its driver, host standard library and sources. Their versions belong to
/// one release, so the names with a version in them are read from the dependencies.
const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "libstd-rust-web-dev", "rust-web-src"];

/// A mapper as built.
pub(crate) struct BuiltMapper {
    /// The bundle's name: its folder in `mappers-wasm`.
    pub(crate) bundle: String,
    /// The module, `target/mappers/<bundle>.wasm` of the repository whatever cargo's target folder is.
    pub(crate) module: PathBuf,
    /// The module's size.
    pub(crate) bytes: u64,
}

/// Builds all bundles (folders of `mappers-wasm` with a `mapper.toml`) and copies their modules to `target/mappers`.
pub(crate) fn build_mappers(project: &Project) -> Result<Vec<BuiltMapper>> {
    let workspace = project.root.join("mappers-wasm");
    cargo_build(
        project,
        &workspace,
        &["--locked", "--workspace", "--exclude", "mapper-sdk"].map(OsStr::new),
    )?;
    let bundles = bundles(&workspace)?;
    let guests = workspace.join("target/guests");
    let folders: Vec<PathBuf> = bundles.iter().map(|bundle| workspace.join(bundle)).collect();
    guests::build(project, &workspace, &folders, &guests)?;
    let modules = modules(project)?;
    bundles
        .into_iter()
        .map(|bundle| {
            let source = match Language::of(&workspace.join(&bundle))? {
                Language::Rust => built(&workspace, &bundle),
                Language::C | Language::AssemblyScript => guests.join(format!("{bundle}.wasm")),
            };
            published(&bundle, &source, modules.join(format!("{bundle}.wasm")))
        })
        .collect()
}

/// Builds the bundle in one folder, with the same flags and into the same target folder. Its module goes to `target/mappers` if the
/// bundle is one of `mappers-wasm`, else to `mapper.wasm` beside its contract.
pub(crate) fn build_mapper(project: &Project, folder: &Path) -> Result<BuiltMapper> {
    let workspace = project.root.join("mappers-wasm");
    let folder =
        fs::canonicalize(folder).with_context(|| format!("there is no folder {}", folder.display()))?;
    let name = folder.file_name().and_then(|name| name.to_str());
    let name = name.with_context(|| format!("{} has no name in UTF-8", folder.display()))?;
    let ours = folder.parent() == Some(&*fs::canonicalize(&workspace)?);
    let source = match Language::of(&folder)? {
        Language::Rust => {
            let manifest = folder.join("Cargo.toml");
            // Not locked: a bundle is new, or its author gives it a dependency.
            cargo_build(project, &workspace, &[OsStr::new("--manifest-path"), manifest.as_os_str()])?;
            built(&workspace, name)
        }
        Language::C | Language::AssemblyScript => {
            let guests = workspace.join("target/guests");
            guests::build(project, &workspace, std::slice::from_ref(&folder), &guests)?;
            guests.join(format!("{name}.wasm"))
        }
    };
    let module =
        if ours { modules(project)?.join(format!("{name}.wasm")) } else { folder.join("mapper.wasm") };
    published(name, &source, module)
}

fn cargo_build(project: &Project, workspace: &Path, what: &[&OsStr]) -> Result<()> {
    let toolchain = Toolchain::find(project, workspace)?;
    eprintln!("      wasm32: {}", toolchain.name());

    let mut build = project.cargo(&["build", "--release"]);
    build.args(what).args(["--target", TARGET]).current_dir(workspace);
    build.arg("--target-dir").arg(workspace.join("target"));
    // Where modules are found must not depend on the caller's settings, nor may what they contain.
    for variable in [
        "CARGO_TARGET_DIR",
        "CARGO_BUILD_TARGET_DIR",
        "CARGO_BUILD_TARGET",
        "CARGO_BUILD_RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTFLAGS",
    ] {
        build.env_remove(variable);
    }
    build.args(["--config", &remapped(project, workspace)]);
    toolchain.apply(&mut build);
    steps::run(&mut build).context("the mapper did not build")
}

/// Where cargo leaves a bundle's module.
fn built(workspace: &Path, bundle: &str) -> PathBuf {
    workspace.join("target").join(TARGET).join("release").join(format!("{}.wasm", bundle.replace('-', "_")))
}

/// Where modules are looked for.
fn modules(project: &Project) -> Result<PathBuf> {
    let modules = project.root.join("target/mappers");
    fs::create_dir_all(&modules).with_context(|| format!("could not make {}", modules.display()))?;
    Ok(modules)
}

/// Names of the bundles, in order.
fn bundles(workspace: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(workspace).with_context(|| format!("could not list {}", workspace.display()))? {
        let entry = entry?;
        if entry.path().join("mapper.toml").is_file() {
            let name = entry.file_name().into_string();
            names.push(name.map_err(|name| anyhow::anyhow!("the bundle's name {name:?} is not UTF-8"))?);
        }
    }
    names.sort();
    Ok(names)
}

/// Copies one module to its place, whole or not at all, and not when it is there already.
fn published(bundle: &str, source: &Path, module: PathBuf) -> Result<BuiltMapper> {
    let bytes = fs::read(source).with_context(|| {
        format!(
            "{bundle} has a mapper.toml but built no {}: is it named like its folder, with crate-type cdylib?",
            source.display()
        )
    })?;
    if fs::read(&module).ok().as_ref() != Some(&bytes) {
        let part = module.with_extension(format!("wasm.part-{}", std::process::id()));
        fs::write(&part, &bytes)
            .and_then(|()| fs::rename(&part, &module))
            .with_context(|| format!("could not write {}", module.display()))?;
    }
    Ok(BuiltMapper { bundle: bundle.to_owned(), module, bytes: bytes.len() as u64 })
}

/// Panic messages hold the paths of sources: names them the same on every machine. Added to the flags that
/// `mappers-wasm/.cargo/config.toml` gives.
fn remapped(project: &Project, workspace: &Path) -> String {
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cargo")))
        .unwrap_or_else(|| "/nonexistent".into());
    let flags: Vec<String> =
        [(workspace, "/mappers"), (&cargo_home, "/cargo"), (&place(project), "/toolchain")]
            .into_iter()
            .map(|(from, to)| quoted(&format!("--remap-path-prefix={}={to}", from.display())))
            .collect();
    format!("target.{TARGET}.rustflags=[{}]", flags.join(","))
}

/// A TOML string.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Where the target's standard library comes from.
enum Toolchain {
    /// The toolchain in use has it.
    Installed,
    /// Debian's compiler and sources, unpacked at `root`, linking with `linker`.
    Debian { root: PathBuf, linker: PathBuf },
}

impl Toolchain {
    fn find(project: &Project, workspace: &Path) -> Result<Self> {
        let sysroot = sysroot(workspace)?;
        let place = place(project);
        let forced = env::var(FORCE_VARIABLE).ok();
        match forced.as_deref() {
            Some("debian") => return Self::debian(&place, &sysroot),
            Some("rustup") if installed(&sysroot) => return Ok(Self::Installed),
            Some("rustup") => {
                return added(workspace).map(|()| Self::Installed);
            }
            Some(other) => bail!("{FORCE_VARIABLE} is {other:?}; it may be \"rustup\" or \"debian\""),
            None => {}
        }
        if installed(&sysroot) {
            return Ok(Self::Installed);
        }
        if unpacked(&place).is_dir() {
            return Self::debian(&place, &sysroot);
        }
        match added(workspace) {
            Ok(()) => Ok(Self::Installed),
            Err(refused) => {
                eprintln!("      rustup could not add {TARGET}: {refused:#}");
                Self::debian(&place, &sysroot).with_context(|| {
                    format!(
                        "no standard library for {TARGET}. Either of these helps: `rustup target add {TARGET}` where \
                         Rust's server can be reached, or a Debian (or Ubuntu) whose archive has the packages {}",
                        DEBIAN_PACKAGES.join(", ")
                    )
                })
            }
        }
    }

    fn debian(place: &Path, sysroot: &Path) -> Result<Self> {
        let linker = linker(sysroot)?;
        let root = unpacked(place);
        if !root.is_dir() {
            unpack(place)?;
        }
        let toolchain = Self::Debian { root, linker };
        let mut version = Command::new(toolchain.compiler());
        toolchain.apply(&mut version);
        let version = steps::output(version.arg("--version")).with_context(|| {
            format!("Debian's rustc does not run; remove {} to fetch it again", place.display())
        })?;
        eprintln!("      Debian's {}", version.trim());
        Ok(toolchain)
    }

    fn name(&self) -> String {
        match self {
            Self::Installed => "the toolchain in use".to_owned(),
            Self::Debian { root, .. } => {
                format!("the standard library is compiled by {}, which takes minutes once", root.display())
            }
        }
    }

    fn compiler(&self) -> PathBuf {
        match self {
            Self::Installed => "rustc".into(),
            Self::Debian { root, .. } => root.join("usr/bin/rustc"),
        }
    }

    /// Makes a cargo command use this toolchain; leaves one of the toolchain in use alone.
    fn apply(&self, command: &mut Command) {
        let Self::Debian { root, linker } = self else { return };
        let libraries = libraries(root);
        let found = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        let paths =
            libraries.into_iter().chain(env::split_paths(&found).filter(|path| !path.as_os_str().is_empty()));
        // `join_paths` fails on a path with a colon only, and then the loader could not be told either.
        let paths = env::join_paths(paths).unwrap_or_else(|_| OsString::new());
        command.env("LD_LIBRARY_PATH", paths);
        // `-Zbuild-std` is unstable: this lets the stable compiler do it.
        command.env("RUSTC_BOOTSTRAP", "1").env("RUSTC", self.compiler());
        // A wrapper such as sccache would run with these libraries, and need not be able to.
        command.env("RUSTC_WRAPPER", "").env_remove("RUSTC_WORKSPACE_WRAPPER");
        if command.get_program() != self.compiler().as_os_str() {
            command.args(["-Zbuild-std=std,panic_abort", "--config"]);
            command.arg(format!("target.{TARGET}.linker={}", quoted(&linker.display().to_string())));
        }
    }
}

/// Where Debian's toolchain is unpacked.
fn place(project: &Project) -> PathBuf {
    project.root.join("target/wasm-toolchain")
}

/// Of the toolchain that `mappers-wasm` uses.
fn sysroot(workspace: &Path) -> Result<PathBuf> {
    let printed = steps::output(Command::new("rustc").args(["--print", "sysroot"]).current_dir(workspace))
        .context("rustc is needed, as rustup or a distribution installs it")?;
    Ok(printed.trim().into())
}

fn installed(sysroot: &Path) -> bool {
    sysroot.join("lib/rustlib").join(TARGET).join("lib").is_dir()
}

/// `rustup target add`, silent, within [`RUSTUP_TIME_MAX`].
fn added(workspace: &Path) -> Result<()> {
    eprintln!("      rustup target add {TARGET} (at most {})", steps::human(RUSTUP_TIME_MAX));
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", TARGET]).current_dir(workspace).env("RUSTUP_MAX_RETRIES", "1");
    let mut child = rustup
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("could not start rustup")?;
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return if status.success() { Ok(()) } else { bail!("rustup ended with {status}") };
        }
        if started.elapsed() > RUSTUP_TIME_MAX {
            child.kill().and_then(|()| child.wait()).context("could not stop rustup")?;
            bail!("rustup was not done in time");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// rustup's toolchains bring LLVM's linker.
fn linker(sysroot: &Path) -> Result<PathBuf> {
    let rustlib = sysroot.join("lib/rustlib");
    for entry in fs::read_dir(&rustlib).with_context(|| format!("could not list {}", rustlib.display()))? {
        let linker = entry?.path().join("bin/rust-lld");
        if linker.is_file() {
            return Ok(linker);
        }
    }
    bail!("no rust-lld in {}: a toolchain that rustup installed has it", rustlib.display())
}

fn unpacked(place: &Path) -> PathBuf {
    place.join("root")
}

fn libraries(root: &Path) -> Vec<PathBuf> {
    // One multiarch folder, such as `x86_64-linux-gnu`; Debian's names of machines are not Rust's.
    let mut folders = Vec::new();
    for parent in ["usr/lib", "lib"] {
        let Ok(entries) = fs::read_dir(root.join(parent)) else { continue };
        folders.extend(entries.flatten().map(|entry| entry.path()).filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().ends_with("-linux-gnu"))
        }));
    }
    folders.sort();
    folders
}

/// Fetches Debian's Rust and unpacks it to [`unpacked`].
///
/// apt keeps its lists in a folder of ours: the machine's may be missing or old, and only root could renew them.
fn unpack(place: &Path) -> Result<()> {
    let needed = "apt-get, apt-cache, dpkg and dpkg-query are needed, as Debian and Ubuntu have them";
    let (apt, part, packages) = (place.join("apt"), place.join("root.part"), place.join("packages"));
    for folder in [&part, &packages] {
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("could not remove {}", folder.display()))?;
        }
    }
    for folder in [&apt.join("lists/partial"), &apt.join("cache/archives/partial"), &part, &packages] {
        fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))?;
    }
    let options: Vec<OsString> = [("Dir::State::lists", "lists"), ("Dir::Cache", "cache")]
        .into_iter()
        .flat_map(|(option, folder)| {
            let mut setting = OsString::from(format!("{option}="));
            setting.push(apt.join(folder));
            ["-o".into(), setting]
        })
        // As root, apt would fetch as another user, who may not write here.
        .chain(["-o".into(), "APT::Sandbox::User=root".into(), "-q=2".into()])
        .collect();

    steps::run(Command::new("apt-get").args(&options).arg("update")).context(needed)?;
    let names = closure(&options)?;
    let mut download = Command::new("apt-get");
    steps::run(download.args(&options).arg("download").args(&names).current_dir(&packages))
        .context("the archive does not give these packages")?;
    let mut files: Vec<PathBuf> =
        fs::read_dir(&packages)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    files.sort();
    for file in &files {
        eprintln!("      unpacking {}", file.file_name().unwrap_or_default().display());
        let status = Command::new("dpkg").arg("-x").arg(file).arg(&part).status().context(needed)?;
        if !status.success() {
            bail!("dpkg -x {} ended with {status}", file.display());
        }
    }
    fs::remove_dir_all(&packages)?;
    fs::rename(&part, unpacked(place))
        .with_context(|| format!("could not put the toolchain at {}", place.display()))
}

/// [`DEBIAN_PACKAGES`] and the libraries they need that this machine has not.
fn closure(options: &[OsString]) -> Result<Vec<String>> {
    let mut wanted: Vec<String> = DEBIAN_PACKAGES.map(str::to_owned).to_vec();
    let mut next = 0;
    while next < wanted.len() {
        let mut ask = Command::new("apt-cache");
        ask.args(options).args(["depends", "--important", &wanted[next]]);
        let answer = steps::output(&mut ask).context("the archive does not have this package")?;
        for name in dependencies(&answer) {
            if name.starts_with("lib") && !wanted.contains(&name) && !present(&name)? {
                wanted.push(name);
            }
        }
        next += 1;
    }
    Ok(wanted)
}

/// Names of real packages in `  Depends: name` lines.
fn dependencies(answer: &str) -> Vec<String> {
    answer
        .lines()
        .filter_map(|line| line.trim_start_matches([' ', '|']).strip_prefix("Depends: "))
        .filter(|name| !name.starts_with('<'))
        .map(|name| name.split(':').next().unwrap_or(name).to_owned())
        .collect()
}

/// Whether the machine has a package installed. The C library must be: a second one beside the loader's own would crash.
fn present(name: &str) -> Result<bool> {
    if name.starts_with("libc6") {
        return Ok(true);
    }
    let output = Command::new("dpkg-query")
        .args(["-W", "-f=${db:Status-Status}\n", name])
        .stderr(Stdio::null())
        .output()
        .context("could not start dpkg-query")?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().any(|status| status == "installed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_real_packages_are_dependencies() {
        let answer = "libllvm22\n  Depends: libc6\n |Depends: libedit2\n  Depends: <libc-dev>\n    libc6-dev\n  \
                      Breaks: libother\n  Depends: libzstd1:amd64\n";
        assert_eq!(dependencies(answer), ["libc6", "libedit2", "libzstd1"]);
    }

    #[test]
    fn strings_are_quoted_for_toml() {
        assert_eq!(quoted(r#"a\b"c"#), r#""a\\b\"c""#);
    }
}
