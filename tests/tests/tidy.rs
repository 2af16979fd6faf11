//! What the compiler does not hold: the direction of dependencies (design section 8), and how sources must look.
//!
//! The tables below are the whole truth: an edge that is not in them is an error, and so is a crate without a row.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root")
}

fn metadata(manifest: &str) -> Metadata {
    MetadataCommand::new().manifest_path(root().join(manifest)).no_deps().exec().expect("cargo metadata")
}

/// `(crate, dependency, whether for its tests only)`.
fn edges(metadata: &Metadata) -> Vec<(String, String, bool)> {
    let mut edges = Vec::new();
    for package in &metadata.packages {
        for dependency in &package.dependencies {
            let for_tests = dependency.kind == DependencyKind::Development;
            edges.push((package.name.to_string(), dependency.name.clone(), for_tests));
        }
    }
    edges
}

const FUNCTIONS: [&str; 9] = [
    "sluice-accept",
    "sluice-persist-raw",
    "sluice-upload",
    "sluice-relay",
    "sluice-normalize",
    "sluice-quarantine",
    "sluice-apply",
    "sluice-reconcile",
    "sluice-operate",
];

/// Which of our own crates a crate may be built on. Its tests may also use [`FOR_TESTS`].
fn allowed() -> BTreeMap<&'static str, Vec<&'static str>> {
    let mut allowed = BTreeMap::from([
        ("sluice-formats", vec![]),
        ("sluice-loopback", vec![]),
        // Documents in, pages out: it knows no AWS.
        ("sluice-console", vec!["sluice-asl", "sluice-core", "sluice-graph", "sluice-loopback"]),
        ("sluice-core", vec!["sluice-formats"]),
        // Samples in, proposals out: no I/O, no AWS, no mapper.
        ("sluice-suggest", vec!["sluice-core", "sluice-formats"]),
        ("sluice-asl", vec![]),
        ("sluice-graph", vec!["sluice-asl"]),
        ("sluice-stepfunctions", vec!["sluice-asl"]),
        ("sluice-simulate", vec!["sluice-asl"]),
        ("sluice-mapper-host", vec!["sluice-core"]),
        ("sluice-mapping", vec!["sluice-core", "sluice-mapper-host"]),
        ("sluice-lineage", vec!["sluice-core", "sluice-formats", "sluice-mapping"]),
        ("sluice-acceptance", vec!["sluice-core"]),
        ("sluice-aws", vec!["sluice-core"]),
        // The use cases of operations: a command line, a console and a function are built on them.
        // The last three are behind its feature `mapping`.
        (
            "sluice-ops",
            vec!["sluice-core", "sluice-aws", "sluice-mapper-host", "sluice-mapping", "sluice-lineage"],
        ),
        // Publishing compiles a mapper; `dev` is the local cloud.
        (
            "sluice-cli",
            vec![
                "sluice-acceptance",
                "sluice-core",
                "sluice-formats",
                "sluice-suggest",
                "sluice-aws",
                "sluice-mapper-host",
                "sluice-mapping",
                "sluice-lineage",
                "sluice-ops",
                "sluice-console",
                "sluice-loopback",
                "sluice-local",
            ],
        ),
        ("sluice-contract-tests", vec!["sluice-core"]),
        ("sluice-tests", vec![]),
        ("xtask", vec![]),
    ]);
    for function in FUNCTIONS {
        allowed.insert(function, vec!["sluice-core", "sluice-aws"]);
    }
    allowed.get_mut("sluice-accept").expect("it is a function").push("sluice-acceptance");
    allowed.get_mut("sluice-normalize").expect("it is a function").push("sluice-mapping");
    let mut local = vec![
        "sluice-core",
        "sluice-loopback",
        "sluice-asl",
        "sluice-stepfunctions",
        "sluice-aws",
        "sluice-mapper-host",
    ];
    local.extend(FUNCTIONS);
    allowed.insert("sluice-local", local);
    allowed
}

/// `(crate, own crate)` for tests only, beyond [`allowed`].
fn allowed_for_tests(name: &str, dependency: &str) -> bool {
    // The end-to-end tests may look at everything but xtask, which is no library.
    (name == "sluice-tests" && dependency != "xtask")
        // The suites are run against the adapters on the local cloud.
        || (name == "sluice-contract-tests" && ["sluice-aws", "sluice-local"].contains(&dependency))
        // Its tests compile the modules that they run.
        || (["sluice-normalize", "sluice-lineage"].contains(&name) && dependency == "sluice-mapper-host")
}

#[test]
fn our_crates_depend_in_one_direction() {
    let allowed = allowed();
    let metadata = metadata("Cargo.toml");
    let own: BTreeSet<String> = metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let known: BTreeSet<String> = allowed.keys().map(|name| (*name).to_owned()).collect();
    assert_eq!(own, known, "every crate has a row in allowed(), and every row a crate");
    let wrong: Vec<_> = edges(&metadata)
        .into_iter()
        .filter(|(name, dependency, for_tests)| {
            own.contains(dependency)
                && !allowed[name.as_str()].contains(&dependency.as_str())
                && !(*for_tests && allowed_for_tests(name, dependency))
        })
        .collect();
    assert!(wrong.is_empty(), "design section 8 does not have these edges: {wrong:#?}");
}

#[test]
fn each_foreign_world_has_its_crates() {
    // Prefix of the crates' names, who may be built on them, whose tests may use them as well.
    type Rule = (&'static str, &'static [&'static str], &'static [&'static str]);
    let rules: &[Rule] = &[
        ("wasmtime", &["sluice-mapper-host"], &["sluice-tests"]),
        ("cranelift", &["sluice-mapper-host"], &[]),
        ("wasmparser", &["sluice-mapper-host"], &["sluice-tests"]),
        // A peer's client is the best test of our servers, so their tests use AWS's.
        (
            "aws-sdk-",
            &["sluice-aws", "sluice-ops", "sluice-cli"],
            &["sluice-contract-tests", "sluice-local", "sluice-stepfunctions", "sluice-tests"],
        ),
        ("lambda_runtime", &["sluice-aws"], &[]),
        ("dynoxide", &["sluice-local"], &[]),
        ("s3s", &["sluice-local"], &[]),
        ("rusqlite", &["sluice-local", "sluice-stepfunctions"], &["sluice-tests"]),
        ("jsonata", &["sluice-asl"], &[]),
        ("dagre", &["sluice-graph"], &[]),
    ];
    let mut wrong = Vec::new();
    for (name, dependency, for_tests) in edges(&metadata("Cargo.toml")) {
        for (prefix, crates, tests) in rules {
            if dependency.starts_with(prefix)
                && !crates.contains(&name.as_str())
                && !(for_tests && tests.contains(&name.as_str()))
            {
                wrong.push(format!("{name} -> {dependency}"));
            }
        }
    }
    assert!(wrong.is_empty(), "these crates know a world that is not theirs: {wrong:#?}");
}

#[test]
fn core_and_asl_do_no_io() {
    let io = [
        "aws-",
        "wasmtime",
        "tokio",
        "hyper",
        "reqwest",
        "axum",
        "rusqlite",
        "object_store",
        "rand",
        "tracing",
    ];
    let wrong: Vec<_> = edges(&metadata("Cargo.toml"))
        .into_iter()
        .filter(|(name, dependency, for_tests)| {
            (name == "sluice-core" || name == "sluice-asl")
                && !for_tests
                && io.iter().any(|prefix| dependency.starts_with(prefix))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_dependency_that_the_workspace_offers_is_used() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let manifest: toml::Table = toml::from_str(&manifest).expect("Cargo.toml is TOML");
    let offered = manifest["workspace"]["dependencies"].as_table().expect("workspace.dependencies");
    let used: BTreeSet<String> =
        edges(&metadata("Cargo.toml")).into_iter().map(|(_, dependency, _)| dependency).collect();
    let unused: Vec<_> = offered.keys().filter(|name| !used.contains(*name)).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

#[test]
fn mappers_see_only_the_sdk() {
    let metadata = metadata("mappers-wasm/Cargo.toml");
    let own: BTreeSet<String> = metadata.packages.iter().map(|package| package.name.to_string()).collect();
    assert!(own.contains("mapper-sdk") && own.len() > 1, "{own:?}");
    for (name, dependency, _) in edges(&metadata) {
        // The readers of the formats are one crate for both sides; only the SDK sees it.
        let readers = name == "mapper-sdk" && dependency == "sluice-formats";
        assert!(readers || !dependency.starts_with("sluice"), "{name} sees the host's {dependency}");
        if name != "mapper-sdk" {
            // A library of the workspace is what the bundles of one vendor share.
            let shared = own.contains(&dependency)
                && !root().join("mappers-wasm").join(&dependency).join("mapper.toml").exists();
            let data = ["serde", "serde_json"];
            assert!(
                shared || data.contains(&dependency.as_str()),
                "{name} sees {dependency}: what a mapper needs, the SDK gives it"
            );
        }
    }
}

/// Every file that git tracks, or would track.
fn files() -> Vec<PathBuf> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git lists the files");
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).expect("names are UTF-8");
    let files: Vec<PathBuf> = names
        .split_terminator('\0')
        .map(PathBuf::from)
        // A file that was removed and is not committed yet is still listed.
        .filter(|path| root().join(path).is_file())
        .collect();
    assert!(files.len() > 50, "{} files", files.len());
    files
}

fn texts(extension: &str) -> Vec<(PathBuf, String)> {
    let texts: Vec<_> = files()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .map(|path| {
            let text = std::fs::read_to_string(root().join(&path)).expect("a text file");
            (path, text)
        })
        .collect();
    assert!(!texts.is_empty(), "no .{extension} file");
    texts
}

#[test]
fn every_rust_file_opens_with_its_purpose() {
    for (path, text) in texts("rs") {
        let purpose = text.lines().next().and_then(|line| line.strip_prefix("//! ")).unwrap_or_default();
        assert!(purpose.len() > 15, "{} must open with //! and its purpose", path.display());
    }
}

#[test]
fn every_client_of_the_adapters_is_made_in_one_place() {
    // The functions in the local cloud's process have no credentials: a client that was made elsewhere would fail there.
    for (path, text) in texts("rs") {
        if !path.starts_with("crates/aws/src") || path.ends_with("client.rs") {
            continue;
        }
        for made in ["Client::new(", "Client::from_conf(", "config::Builder::from("] {
            assert!(
                !text.contains(made),
                "{} makes a client by {made}…): make it in client.rs",
                path.display()
            );
        }
    }
}

#[test]
fn every_allowed_lint_has_its_reason() {
    // `clippy::allow_attributes_without_reason` sees what is compiled; this sees what is behind a cfg, too.
    for (path, text) in texts("rs") {
        for attribute in ["#[allow(", "#![allow(", "#[expect(", "#![expect("] {
            for (at, _) in text.match_indices(attribute) {
                let line_start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
                if text[line_start..at].contains(['"', '/']) {
                    continue;
                }
                let body = text[at..].split_once(']').map_or("", |(body, _)| body);
                assert!(body.contains("reason = \""), "{}: {body}] gives no reason", path.display());
            }
        }
    }
}

#[test]
fn no_file_names_a_registry_host() {
    // In pieces, so that this file does not.
    let hosts: Vec<String> = [
        &["index.", "crates.io"][..],
        &["static.", "crates.io"],
        &["py", "pi.org"],
        &["python", "hosted.org"],
        &["registry.", "npmjs.org"],
        &["deb.", "debian.org"],
        &["security.", "debian.org"],
    ]
    .iter()
    .map(|pieces| pieces.concat())
    .collect();
    for path in files() {
        let Ok(text) = std::fs::read_to_string(root().join(&path)) else { continue };
        for host in &hosts {
            assert!(!text.contains(host.as_str()), "{} names {host}", path.display());
        }
    }
}

#[test]
fn every_json_yaml_and_toml_file_parses() {
    // A mapper's fixtures include what is no JSON on purpose.
    let fixture = |path: &Path| path.components().any(|part| part.as_os_str() == "fixtures");
    for (path, text) in texts("json").into_iter().filter(|(path, _)| !fixture(path)) {
        if let Err(error) = serde_json::from_str::<serde_json::Value>(&text) {
            panic!("{}: {error}", path.display());
        }
    }
    for (path, text) in texts("toml") {
        if let Err(error) = toml::from_str::<toml::Table>(&text) {
            panic!("{}: {error}", path.display());
        }
    }
    for (path, text) in texts("yaml") {
        if let Err(error) = yaml_serde::from_str::<serde_json::Value>(&text) {
            panic!("{}: {error}", path.display());
        }
    }
}
