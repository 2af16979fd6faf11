//! A bundle's folder, read with bounds: the contract, what it names, the fixtures and the module.
//!
//! Invariant: only regular files that lie in the folder are read, and no more of each than its bound, whatever a hostile folder has
//! under the name of a schema or a fixture.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sluice_core::bundle::{FileRef, MODULE_FILE, Manifest};
use sluice_core::canonical;
use sluice_core::contract::Contract;
use sluice_core::schema::Schema;

use crate::error::CliError;

/// Name of the contract in a bundle's folder.
pub const CONTRACT_FILE: &str = "mapper.toml";

/// Folder of the fixtures in a bundle's folder.
pub const FIXTURES_FOLDER: &str = "fixtures";

/// Largest module, in bytes.
pub(super) const MODULE_BYTES_MAX: u64 = 2 << 20;
/// Largest schema, contract or fixture, in bytes: far beyond any real one.
pub const TEXT_BYTES_MAX: u64 = 1 << 20;
/// Most fixtures of a bundle.
const FIXTURES_MAX: usize = 1_000;

/// A bundle's files, checked.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// `mapper.toml`.
    pub contract: Contract,
    /// [`MODULE_FILE`], the schemas and the fixtures, by path.
    pub files: BTreeMap<String, Bytes>,
    /// Where the module was read from.
    pub(super) module_path: PathBuf,
}

impl Bundle {
    /// Reads a bundle's folder, and the module from `wasm`. Everything that can be judged without running the module is.
    pub fn read(folder: &Path, wasm: &Path) -> Result<Self, CliError> {
        let path = folder.join(CONTRACT_FILE);
        if std::fs::symlink_metadata(&path).is_err() {
            return Err(CliError::InvalidFile {
                path: folder.to_owned(),
                problem: format!("has no {CONTRACT_FILE}, so it is not a bundle"),
                hint: Some(
                    "name the folder that holds mapper.toml, e.g. mappers-wasm/vendor-a-inventory".into(),
                ),
            });
        }
        let text = read_inside(folder, &path, TEXT_BYTES_MAX)?;
        let contract = contract(&path, &text)?;
        let mut files = BTreeMap::new();
        for (version, name) in &contract.payload.versions {
            let path = folder.join(name);
            let text = read_inside(folder, &path, TEXT_BYTES_MAX)?;
            Schema::compile(&text).map_err(|error| CliError::InvalidFile {
                path,
                problem: format!("is {error}"),
                hint: Some(format!("payload.versions of {CONTRACT_FILE} names it for version {version}")),
            })?;
            files.insert(name.clone(), text);
        }
        fixtures(folder, &mut files)?;
        files.insert(MODULE_FILE.to_owned(), module_of(folder, wasm)?);
        Ok(Self { contract, files, module_path: wasm.to_owned() })
    }

    /// The module.
    pub fn module(&self) -> Bytes {
        self.files.get(MODULE_FILE).cloned().unwrap_or_default()
    }

    /// The manifest, and with it the bundle's name.
    pub fn manifest(&self) -> Manifest {
        let files = self.files.iter().map(|(name, bytes)| (name.clone(), FileRef::of(bytes))).collect();
        Manifest { contract: self.contract.clone(), files }
    }
}

/// Adds the files of `fixtures/`, which are published with the bundle that they prove.
fn fixtures(folder: &Path, files: &mut BTreeMap<String, Bytes>) -> Result<(), CliError> {
    let path = folder.join(FIXTURES_FOLDER);
    if !path.is_dir() {
        return Ok(());
    }
    let failed = |source| CliError::ReadFile { path: path.clone(), source };
    for (index, entry) in std::fs::read_dir(&path).map_err(failed)?.enumerate() {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            continue;
        }
        if index >= FIXTURES_MAX {
            return Err(CliError::InvalidFile {
                path: path.clone(),
                problem: format!("has more than {FIXTURES_MAX} files"),
                hint: None,
            });
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        files
            .insert(format!("{FIXTURES_FOLDER}/{name}"), read_inside(folder, &entry.path(), TEXT_BYTES_MAX)?);
    }
    Ok(())
}

/// Where the module of a bundle's folder is: beside its contract, or where `cargo xtask build` leaves it.
pub fn module_path(folder: &Path) -> Result<PathBuf, CliError> {
    let beside = folder.join(MODULE_FILE);
    if beside.is_file() {
        return Ok(beside);
    }
    let absolute = std::fs::canonicalize(folder)
        .map_err(|source| CliError::ReadFile { path: folder.to_owned(), source })?;
    let name = absolute.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let built = Path::new("target").join("mappers").join(format!("{name}.wasm"));
    absolute.ancestors().map(|ancestor| ancestor.join(&built)).find(|path| path.is_file()).ok_or_else(|| {
        CliError::InvalidFile {
            path: folder.to_owned(),
            problem: format!("has no {MODULE_FILE}, and there is no {} above it", built.display()),
            hint: Some(
                "build the mappers with `cargo xtask build`, or name the module with --wasm FILE".into(),
            ),
        }
    })
}

/// The bytes of a module: one beside the contract lies in the folder like every other file of the bundle.
fn module_of(folder: &Path, wasm: &Path) -> Result<Bytes, CliError> {
    match wasm.parent() == Some(folder) {
        true => read_inside(folder, wasm, MODULE_BYTES_MAX),
        false => read(wasm, MODULE_BYTES_MAX),
    }
}

/// Reads a file of a bundle's folder: a regular one, which lies in the folder after every link on its way, and of no more than so many
/// bytes. Whatever else is there under its name, such as a device, is not opened.
///
/// # Errors
/// What is there instead, by name.
pub fn read_inside(folder: &Path, path: &Path, bytes_max: u64) -> Result<Bytes, CliError> {
    let resolve = |path: &Path| {
        std::fs::canonicalize(path).map_err(|source| CliError::ReadFile { path: path.to_owned(), source })
    };
    if !resolve(path)?.starts_with(resolve(folder)?) {
        return Err(CliError::InvalidFile {
            path: path.to_owned(),
            problem: "is a link to a file outside the bundle's folder".into(),
            hint: Some("put a copy of the file into the folder: a bundle is published whole".into()),
        });
    }
    read(path, bytes_max)
}

/// Reads a regular file of no more than so many bytes.
fn read(path: &Path, bytes_max: u64) -> Result<Bytes, CliError> {
    let failed = |source| CliError::ReadFile { path: path.to_owned(), source };
    let invalid = |problem: String| CliError::InvalidFile { path: path.to_owned(), problem, hint: None };
    // Looked at before it is opened: to open a pipe is to wait for who writes to it.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(invalid("is not a regular file".into()));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > bytes_max {
        return Err(invalid(format!("has more than {bytes_max} bytes")));
    }
    Ok(bytes.into())
}

/// The contract of a bundle's folder.
pub fn contract_of(folder: &Path) -> Result<Contract, CliError> {
    let path = folder.join(CONTRACT_FILE);
    contract(&path, &read_inside(folder, &path, TEXT_BYTES_MAX)?)
}

fn contract(path: &Path, text: &[u8]) -> Result<Contract, CliError> {
    let invalid = |problem: String| CliError::InvalidFile { path: path.to_owned(), problem, hint: None };
    let text = std::str::from_utf8(text).map_err(|error| invalid(format!("is not text: {error}")))?;
    let mut contract: Contract = toml::from_str(text)
        .map_err(|error| invalid(format!("is not a contract: {}", error.to_string().trim_end())))?;
    contract.check().map_err(|error| invalid(format!("is not a contract: {error}")))?;
    contract.embed_schemas(|name| {
        let folder = path.parent().unwrap_or(Path::new("."));
        let path = folder.join(name);
        let bytes = read_inside(folder, &path, TEXT_BYTES_MAX)?;
        String::from_utf8(bytes.into()).map_err(|error| CliError::InvalidFile {
            path,
            problem: format!("is not text: {error}"),
            hint: None,
        })
    })?;
    contract.check().map_err(|error| invalid(format!("is not a contract: {error}")))?;
    if contract.payload.versions.values().any(|name| name == MODULE_FILE) {
        return Err(invalid(format!("names {MODULE_FILE} as a schema")));
    }
    if canonical::schema(&contract.canonical).is_none() {
        let known: Vec<String> =
            canonical::SCHEMAS.iter().map(|(name, version, _)| format!("{name} {version}")).collect();
        return Err(invalid(format!(
            "maps to {} {}, which Sluice does not know; known are {}",
            contract.canonical.r#type,
            contract.canonical.version,
            known.join(", ")
        )));
    }
    Ok(contract)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use super::*;

    const CONTRACT: &str = "vendorId = 'v'\neventType = 't'\n[payload]\ndefaultVersion = '1'\n[payload.versions]\n1 = 'schema/1.json'\n[canonical]\ntype = 'InventoryUpdated'\nversion = '1.0'\n";

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("schema")).unwrap();
        std::fs::create_dir(folder.path().join(FIXTURES_FOLDER)).unwrap();
        std::fs::write(folder.path().join(CONTRACT_FILE), CONTRACT).unwrap();
        std::fs::write(folder.path().join("schema/1.json"), "{}").unwrap();
        std::fs::write(folder.path().join(MODULE_FILE), "module").unwrap();
        folder
    }

    fn refused(folder: &Path) -> String {
        Bundle::read(folder, &folder.join(MODULE_FILE)).unwrap_err().to_string()
    }

    #[cfg(unix)]
    #[test]
    fn devices_pipes_and_links_to_elsewhere_are_refused_by_name() {
        use std::os::unix::fs::symlink;
        let elsewhere = tempfile::tempdir().unwrap();
        std::fs::write(elsewhere.path().join("secret"), "{}").unwrap();
        for (name, target, said) in [
            ("schema/1.json", Path::new("/dev/zero"), "outside the bundle's folder"),
            ("schema/1.json", &elsewhere.path().join("secret"), "outside the bundle's folder"),
            ("fixtures/a.in.json", &elsewhere.path().join("secret"), "outside the bundle's folder"),
            ("fixtures/a.in.json", Path::new("/dev/zero"), "outside the bundle's folder"),
            (CONTRACT_FILE, &elsewhere.path().join("secret"), "outside the bundle's folder"),
            (MODULE_FILE, Path::new("/dev/zero"), "outside the bundle's folder"),
        ] {
            let folder = folder();
            let path = folder.path().join(name);
            let _ = std::fs::remove_file(&path);
            symlink(target, &path).unwrap();
            let problem = refused(folder.path());
            assert!(problem.contains(name) && problem.contains(said), "{name}: {problem}");
        }
        for name in ["schema/1.json", "fixtures/a.in.json", MODULE_FILE] {
            let folder = folder();
            let path = folder.path().join(name);
            let _ = std::fs::remove_file(&path);
            assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
            let problem = refused(folder.path());
            assert!(problem.contains(name) && problem.contains("is not a regular file"), "{name}: {problem}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_within_the_folder_is_followed_and_a_bound_holds_whatever_the_length_says() {
        let folder = folder();
        std::os::unix::fs::symlink("../schema/1.json", folder.path().join("fixtures/a.in.json")).unwrap();
        let read = Bundle::read(folder.path(), &folder.path().join(MODULE_FILE)).unwrap();
        assert_eq!(read.files["fixtures/a.in.json"], "{}");
        assert!(
            super::read(Path::new("/dev/zero"), 10).unwrap_err().to_string().contains("not a regular file")
        );
        // The kernel says that it has no bytes.
        let status = Path::new("/proc/self/status");
        assert!(super::read(status, 10).unwrap_err().to_string().contains("more than 10 bytes"));
    }
}
