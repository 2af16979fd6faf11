//! `cargo xtask package`: the functions as Lambda takes them, `target/lambda/<package>/bootstrap.zip`, for Amazon Linux 2023.
//!
//! `cargo-lambda` compiles and `zig` links against glibc 2.34, so that any Linux machine can build them; all in one cargo
//! invocation, since they share nearly everything.
//!
//! Invariant: the same sources, toolchain and machine type give the same archives, wherever the repository lies. Paths are
//! remapped, the caller's flags are not used, and an archive has one entry with a fixed time.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::project::Project;
use crate::steps::{self, Steps};
use crate::tools;

/// Amazon Linux 2023 has glibc 2.34.
const GLIBC: &str = "2.34";

/// MS-DOS's time and date of 1980-01-01 00:00:00, the earliest that an archive can say (APPNOTE.TXT 4.4.6).
const EPOCH_TIME: u16 = 0;
const EPOCH_DATE: u16 = 0x0021;

/// The machine that the functions run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Architecture {
    X86_64,
    Arm64,
}

impl Architecture {
    /// This machine's.
    pub(crate) fn native() -> Result<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Ok(Self::X86_64),
            "aarch64" => Ok(Self::Arm64),
            other => anyhow::bail!("Lambda has no machines of the architecture {other}"),
        }
    }

    fn triple(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }
}

/// A function of the topology.
#[derive(Debug, Clone)]
pub(crate) struct Function {
    /// Its name on AWS, `sluice-persist-raw`.
    pub(crate) name: String,
    /// Its folder below `functions/`.
    pub(crate) package: String,
    pub(crate) memory_mb: u64,
    pub(crate) timeout_seconds: u64,
}

/// A packaged function.
pub(crate) struct Package {
    pub(crate) function: Function,
    /// `<target>/lambda-build/<binary>/bootstrap`
    pub(crate) binary: PathBuf,
    pub(crate) binary_bytes: u64,
    archive_bytes: u64,
    /// Of the archive, in hexadecimal.
    sha256: String,
}

/// Builds, packs, and prints a table. With `twice`, builds everything again in a folder of its own and compares.
pub(crate) fn run(project: &Project, architecture: Architecture, twice: bool) -> Result<()> {
    let mut steps = Steps::new(if twice { 3 } else { 2 });
    let packages = in_steps(project, &mut steps, architecture)?;
    if twice {
        steps.run("The same again, from nothing", || {
            let folder = project.target.join("lambda-again");
            if folder.exists() {
                fs::remove_dir_all(&folder)
                    .with_context(|| format!("could not remove {}", folder.display()))?;
            }
            let again = build(project, architecture, &folder, &folder.join("packages"))?;
            for (first, second) in packages.iter().zip(&again) {
                ensure!(
                    first.sha256 == second.sha256,
                    "{} is not the same when it is built again: {} and {}",
                    first.function.package,
                    first.binary.display(),
                    second.binary.display()
                );
            }
            fs::remove_dir_all(&folder).with_context(|| format!("could not remove {}", folder.display()))
        })?;
        println!("\nbuilt twice, the same digests");
    }
    Ok(())
}

/// Two steps: the tools, then the packages; the table is printed after them.
pub(crate) fn in_steps(
    project: &Project,
    steps: &mut Steps,
    architecture: Architecture,
) -> Result<Vec<Package>> {
    steps.run("Tools from PyPI: cargo-lambda, ziglang", || tools::LAMBDA_TOOLS.bin(project))?;
    let packages = steps.run(&format!("Functions, profile lambda, for {}", architecture.triple()), || {
        build(project, architecture, &project.target, &project.root.join("target/lambda"))
    })?;
    println!("\n{:<14} {:>14} {:>14}  sha256 of the archive", "function", "binary, bytes", "archive, bytes");
    for package in &packages {
        println!(
            "{:<14} {:>14} {:>14}  {}",
            package.function.package, package.binary_bytes, package.archive_bytes, package.sha256
        );
    }
    Ok(packages)
}

/// `state-machines/topology.json`.
pub(crate) fn topology(project: &Project) -> Result<Value> {
    let path = project.root.join("state-machines/topology.json");
    let text = fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))
}

/// The functions that the topology names.
fn functions(project: &Project) -> Result<Vec<Function>> {
    let topology = topology(project)?;
    let functions = topology["functions"].as_array().context("the topology has no functions")?;
    functions
        .iter()
        .map(|function| {
            let text = |name: &str| {
                let text = function[name].as_str();
                text.map(str::to_owned).with_context(|| format!("a function has no {name}: {function}"))
            };
            Ok(Function {
                name: text("name")?,
                package: text("package")?,
                memory_mb: function["memoryMb"].as_u64().context("a function has no memoryMb")?,
                timeout_seconds: function["timeoutSeconds"]
                    .as_u64()
                    .context("a function has no timeoutSeconds")?,
            })
        })
        .collect()
}

fn build(
    project: &Project,
    architecture: Architecture,
    target: &Path,
    archives: &Path,
) -> Result<Vec<Package>> {
    let functions = functions(project)?;
    let bootstraps = target.join("lambda-build");
    let mut command = project.cargo(&["lambda", "build", "--locked", "--profile", "lambda", "--target"]);
    command.arg(format!("{}.{GLIBC}", architecture.triple())).arg("--lambda-dir").arg(&bootstraps);
    for function in &functions {
        command.args(["--package", &binary_name(function)]);
    }
    let home = cargo_home()?;
    let remap: Vec<String> = [(home.as_path(), "/cargo"), (&project.root, "/sluice"), (target, "/target")]
        .map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()))
        .into();
    // Of the caller's flags none may be in what is deployed.
    for variable in ["CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        command.env_remove(variable);
    }
    command.env("RUSTFLAGS", remap.join(" "));
    command.env("CFLAGS", format!("-ffile-prefix-map={}=/cargo", home.display()));
    command.env("CARGO_TARGET_DIR", target);
    with_path(&mut command, &tools::LAMBDA_TOOLS.bin(project)?)?;
    steps::run(&mut command).context("the functions did not build")?;

    functions
        .into_iter()
        .map(|function| {
            let binary = bootstraps.join(binary_name(&function)).join("bootstrap");
            let program =
                fs::read(&binary).with_context(|| format!("could not read {}", binary.display()))?;
            let leaked = [&home, &project.root].into_iter().find(|path| mentions(&program, path));
            if let Some(path) = leaked {
                anyhow::bail!("{} says where it was built: {}", binary.display(), path.display());
            }
            let archive = archive_path(archives, &function);
            let folder = archive.parent().context("an archive has a folder")?;
            fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))?;
            fs::write(&archive, zip("bootstrap", &program)?)
                .with_context(|| format!("could not write {}", archive.display()))?;
            measured(function, binary, &archive)
        })
        .collect()
}

fn measured(function: Function, binary: PathBuf, archive: &Path) -> Result<Package> {
    let binary_bytes =
        fs::metadata(&binary).with_context(|| format!("{} is missing", binary.display()))?.len();
    let bytes = fs::read(archive).with_context(|| format!("could not read {}", archive.display()))?;
    let digest = Sha256::digest(&bytes);
    let sha256 = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Package { function, binary, binary_bytes, archive_bytes: bytes.len() as u64, sha256 })
}

fn binary_name(function: &Function) -> String {
    format!("sluice-{}", function.package)
}

fn archive_path(archives: &Path, function: &Function) -> PathBuf {
    archives.join(&function.package).join("bootstrap.zip")
}

fn cargo_home() -> Result<PathBuf> {
    match std::env::var_os("CARGO_HOME") {
        Some(home) => Ok(home.into()),
        None => std::env::home_dir().map(|home| home.join(".cargo")).context("there is no home folder"),
    }
}

/// Puts a folder before all others of the command's `PATH`.
pub(crate) fn with_path(command: &mut Command, folder: &Path) -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&path));
    command.env("PATH", std::env::join_paths(folders)?);
    Ok(())
}

/// Whether a program has this path in it, as a folder.
fn mentions(program: &[u8], path: &Path) -> bool {
    let text = format!("{}/", path.display());
    program.windows(text.len()).any(|window| window == text.as_bytes())
}

/// A zip archive (APPNOTE.TXT) of one executable file, the same bytes every time.
fn zip(name: &str, content: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content)?;
    let packed = encoder.finish()?;
    let mut crc = Crc::new();
    crc.update(content);

    // What the local header and the directory's have in common, 4.3.7: version 2.0, no flags, deflated.
    let mut fields = Vec::new();
    for field in [20, 0, 8, EPOCH_TIME, EPOCH_DATE] {
        fields.extend(field.to_le_bytes());
    }
    for field in [crc.sum(), u32::try_from(packed.len())?, u32::try_from(content.len())?] {
        fields.extend(field.to_le_bytes());
    }
    fields.extend(u16::try_from(name.len())?.to_le_bytes());
    fields.extend([0, 0]);

    let mut archive = b"PK\x03\x04".to_vec();
    archive.extend(&fields);
    archive.extend(name.as_bytes());
    archive.extend(&packed);

    // 4.3.12: made on Unix; no comment, first disk, no internal attributes; a file that all may run; at offset 0.
    let directory_at = u32::try_from(archive.len())?;
    archive.extend(b"PK\x01\x02\x14\x03");
    archive.extend(&fields);
    archive.extend([0; 6]);
    archive.extend((0o100_755_u32 << 16).to_le_bytes());
    archive.extend(0_u32.to_le_bytes());
    archive.extend(name.as_bytes());
    let directory_bytes = u32::try_from(archive.len())? - directory_at;

    // 4.3.16.
    archive.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    archive.extend(directory_bytes.to_le_bytes());
    archive.extend(directory_at.to_le_bytes());
    archive.extend([0, 0]);
    Ok(archive)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop")]

    use super::*;

    #[test]
    fn archives_are_read_by_others_and_always_the_same() {
        let content = b"\x7fELF and so on".repeat(1000);
        let archive = zip("bootstrap", &content).unwrap();
        assert_eq!(archive, zip("bootstrap", &content).unwrap());
        let folder = std::env::temp_dir().join(format!("sluice-zip-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("a.zip");
        fs::write(&path, &archive).unwrap();
        let script = "import sys, zipfile, hashlib\n\
            z = zipfile.ZipFile(sys.argv[1])\n\
            assert z.testzip() is None\n\
            i, = z.infolist()\n\
            print(i.filename, i.date_time, oct(i.external_attr >> 16), i.create_system, hashlib.sha256(z.read(i)).hexdigest())";
        let output = Command::new("python3").args(["-c", script]).arg(&path).output().unwrap();
        fs::remove_dir_all(&folder).unwrap();
        let digest: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            format!("bootstrap (1980, 1, 1, 0, 0, 0) 0o100755 3 {digest}\n"),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    #[test]
    fn a_path_is_found_as_a_folder_only() {
        assert!(mentions(b"..\0/root/.cargo/registry", Path::new("/root/.cargo")));
        assert!(!mentions(b"..\0/root/.cargo-registry", Path::new("/root/.cargo")));
    }
}
