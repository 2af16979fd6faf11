//! Builds the bundles of `mappers-wasm` that are not in Rust: C by `zig cc`, AssemblyScript by `asc`.
//!
//! What a bundle is written in is what lies in its folder: `Cargo.toml`, `asconfig.json`, or `src/*.c`. Both compilers are fetched by
//! their registries' own clients (pip, npm) in the version that is named here or in `sdk-as/package-lock.json`, unpacked below
//! `target/` and `sdk-as/node_modules`, and never installed.
//!
//! Invariants: the same sources give the same bytes on every machine, since the compiler's version is pinned and nothing of the
//! machine's libraries is linked; a fetched compiler's folder appears only when it is whole.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::project::Project;
use crate::steps;

/// Of the package `ziglang`, which is a whole C compiler for every target.
const ZIG_VERSION: &str = "0.17.1";

/// Path of a `zig` to use instead of the one that is fetched, for machines without pip.
const ZIG_VARIABLE: &str = "SLUICE_ZIG";

/// As in `sdk-c/sluice_mapper.h`.
const C_FLAGS: [&str; 14] = [
    "cc",
    "-target",
    "wasm32-freestanding",
    "-mcpu=generic+bulk_memory",
    "-std=c11",
    "-O2",
    "-nostdlib",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wl,--no-entry",
    "-Wl,--strip-all",
    "-Wl,-z,stack-size=65536",
    "-Wl,--initial-memory=1048576",
];

/// What a bundle's mapper is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Rust,
    C,
    AssemblyScript,
}

impl Language {
    pub(crate) fn of(bundle: &Path) -> Result<Self> {
        if bundle.join("Cargo.toml").is_file() {
            return Ok(Self::Rust);
        }
        if bundle.join("asconfig.json").is_file() {
            return Ok(Self::AssemblyScript);
        }
        if !c_sources(bundle)?.is_empty() {
            return Ok(Self::C);
        }
        bail!(
            "{} has a mapper.toml, but no mapper: neither Cargo.toml (Rust) nor asconfig.json (AssemblyScript) nor src/*.c (C)",
            bundle.display()
        )
    }
}

/// Builds the bundles in C and AssemblyScript among `folders`, wherever they lie, to `built/<folder's name>.wasm`.
pub(crate) fn build(project: &Project, workspace: &Path, folders: &[PathBuf], built: &Path) -> Result<()> {
    let of_language = |wanted: Language| -> Result<Vec<&PathBuf>> {
        let mut found = Vec::new();
        for folder in folders {
            if Language::of(folder)? == wanted {
                found.push(folder);
            }
        }
        Ok(found)
    };
    let (c, assembly_script) = (of_language(Language::C)?, of_language(Language::AssemblyScript)?);
    fs::create_dir_all(built).with_context(|| format!("could not make {}", built.display()))?;
    if !c.is_empty() {
        let zig = zig(project)?;
        for bundle in c {
            compile_c(project, &zig, bundle, &output(bundle, built))
                .with_context(|| format!("{} did not build", bundle.display()))?;
        }
    }
    if !assembly_script.is_empty() {
        let compiler = asc(workspace)?;
        for bundle in assembly_script {
            let mut asc = Command::new("node");
            // `import … from "sdk-as"` is found below this path, wherever the bundle lies.
            asc.arg(&compiler).args(["--config", "asconfig.json", "--path"]).arg(workspace);
            asc.arg("--outFile").arg(output(bundle, built)).current_dir(bundle);
            steps::run(&mut asc).with_context(|| format!("{} did not build", bundle.display()))?;
        }
    }
    Ok(())
}

fn output(bundle: &Path, built: &Path) -> PathBuf {
    built.join(bundle.file_name().unwrap_or_default()).with_extension("wasm")
}

fn compile_c(project: &Project, zig: &Path, bundle: &Path, output: &Path) -> Result<()> {
    let sdk = project.root.join("mappers-wasm/sdk-c");
    let cache = place(project).join("zig-cache");
    let mut compile = Command::new(zig);
    compile.args(C_FLAGS).arg("-I").arg(&sdk).args(c_sources(bundle)?).args(c_sources_in(&sdk)?);
    compile.arg("-o").arg(output);
    compile.env("ZIG_GLOBAL_CACHE_DIR", &cache).env("ZIG_LOCAL_CACHE_DIR", &cache);
    steps::run(&mut compile)
}

fn c_sources(bundle: &Path) -> Result<Vec<PathBuf>> {
    let sources = bundle.join("src");
    if sources.is_dir() { c_sources_in(&sources) } else { Ok(Vec::new()) }
}

/// In order, so that the linker sees the same on every machine.
fn c_sources_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut sources = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("could not list {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "c") {
            sources.push(path);
        }
    }
    sources.sort();
    Ok(sources)
}

fn place(project: &Project) -> PathBuf {
    project.root.join("target/wasm-toolchain")
}

/// The C compiler: [`ZIG_VARIABLE`], or [`ZIG_VERSION`] as fetched by an earlier run or now.
fn zig(project: &Project) -> Result<PathBuf> {
    if let Some(zig) = env::var_os(ZIG_VARIABLE) {
        return Ok(zig.into());
    }
    let root = place(project).join(format!("zig-{ZIG_VERSION}"));
    let zig = root.join("ziglang").join(format!("zig{}", env::consts::EXE_SUFFIX));
    if !root.is_dir() {
        fetch_zig(&root, &zig).with_context(|| {
            format!(
                "no C compiler for WebAssembly. Mappers in C are built by zig {ZIG_VERSION}, which is fetched by `python3 -m pip \
                 download ziglang=={ZIG_VERSION}`: install Python 3 with pip (on Debian: python3-pip), or install zig and set \
                 {ZIG_VARIABLE} to its path"
            )
        })?;
    }
    Ok(zig)
}

fn fetch_zig(root: &Path, zig: &Path) -> Result<()> {
    let part = root.with_extension("part");
    if part.exists() {
        fs::remove_dir_all(&part).with_context(|| format!("could not remove {}", part.display()))?;
    }
    fs::create_dir_all(&part).with_context(|| format!("could not make {}", part.display()))?;
    let mut download = Command::new("python3");
    download.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]);
    download.args(["--only-binary=:all:", "--dest"]).arg(&part).arg(format!("ziglang=={ZIG_VERSION}"));
    steps::run(&mut download)?;
    let wheel = fs::read_dir(&part)?.next().context("pip downloaded nothing")??.path();
    steps::run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&part))?;
    fs::remove_file(&wheel)?;
    // A wheel's own installer would keep the permissions that its archive has.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let name = zig.strip_prefix(root).unwrap_or(zig);
        fs::set_permissions(part.join(name), fs::Permissions::from_mode(0o755))
            .with_context(|| format!("the package ziglang has no {}", name.display()))?;
    }
    fs::rename(&part, root).with_context(|| format!("could not put zig at {}", root.display()))
}

/// The AssemblyScript compiler, in the version of `sdk-as/package-lock.json`.
fn asc(workspace: &Path) -> Result<PathBuf> {
    let sdk = workspace.join("sdk-as");
    let compiler = sdk.join("node_modules/assemblyscript/bin/asc.js");
    // npm writes down what it installed; a lock file that changed since is newer.
    let modified = |file: &str| fs::metadata(sdk.join(file)).and_then(|it| it.modified()).ok();
    let installed = modified("node_modules/.package-lock.json");
    let fresh = compiler.is_file() && installed.is_some() && installed >= modified("package-lock.json");
    if !fresh {
        let needed = "mappers in AssemblyScript are built with Node.js 20 or later and npm: install both (on Debian: nodejs, npm)";
        let mut version = Command::new("node");
        version.arg("--version").stdout(Stdio::null());
        steps::run(&mut version).context(needed)?;
        let mut install = Command::new("npm");
        install
            .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"])
            .current_dir(&sdk);
        steps::run(&mut install).context(needed)?;
    }
    Ok(compiler)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_in_the_language_of_its_files() {
        let root = env::temp_dir().join(format!("sluice-xtask-guests-{}", std::process::id()));
        let write = |file: &str| {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap_or(&root))
                .and_then(|()| fs::write(path, ""))
                .expect("a file");
        };
        for file in [
            "r/Cargo.toml",
            "r/src/a.c",
            "a/asconfig.json",
            "a/src/index.ts",
            "c/src/b.c",
            "c/src/a.c",
            "n/src/a.h",
        ] {
            write(file);
        }
        for (bundle, language) in [("r", Language::Rust), ("a", Language::AssemblyScript), ("c", Language::C)]
        {
            assert_eq!(Language::of(&root.join(bundle)).expect("a language"), language);
        }
        let none = Language::of(&root.join("n")).expect_err("no mapper").to_string();
        assert!(none.contains("no mapper"), "{none}");
        let sources = c_sources(&root.join("c")).expect("sources");
        assert_eq!(sources, [root.join("c/src/a.c"), root.join("c/src/b.c")]);
        fs::remove_dir_all(&root).expect("removed");
    }
}
