//! `sluice dev` as a child process, for tests that look at Sluice from outside.
//!
//! Every instance has ports and, unless a test says otherwise, a data folder of its own, so tests run side by side.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

/// How long it may take to listen: generous, since a loaded machine is slow.
const START_TIME_MAX: Duration = Duration::from_secs(120);

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".."))
}

/// A program of the workspace: where `SLUICE_BIN` says (for `sluice`), or where cargo puts it beside this test.
///
/// # Panics
/// When it has not been built.
pub fn program(name: &str) -> PathBuf {
    let named = std::env::var_os("SLUICE_BIN").filter(|_| name == "sluice").map(PathBuf::from);
    let path = named.unwrap_or_else(|| {
        let test = std::env::current_exe().unwrap_or_else(|error| panic!("where is this test: {error}"));
        // <target>/debug/deps/<test>
        let folder = test.ancestors().nth(2).unwrap_or_else(|| panic!("{} is nowhere", test.display()));
        folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
    });
    assert!(path.is_file(), "{} is not built: run `cargo build --workspace --all-targets`", path.display());
    path
}

/// A running `sluice dev`. Dropping it kills it, as `kill -9` does.
#[derive(Debug)]
pub struct Dev {
    child: Child,
    /// What it said when it was ready.
    pub ready: Value,
}

impl Dev {
    /// Starts it on free ports with these further arguments, and waits until it listens.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(program("sluice"));
        command.current_dir(root()).args(["--json", "dev", "--port", "0", "--aws-port", "0"]).args(arguments);
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("sluice dev does not start: {error}"));
        let stdout = child.stdout.take();
        let (lines, first_line) = mpsc::channel();
        // Reads to the end, so that the child never waits for its reader.
        std::thread::spawn(move || {
            for line in stdout.into_iter().flat_map(|out| BufReader::new(out).lines()).map_while(Result::ok) {
                let _ = lines.send(line);
            }
        });
        let mut dev = Self { child, ready: Value::Null };
        match first_line.recv_timeout(START_TIME_MAX) {
            Ok(line) => {
                dev.ready = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
            }
            Err(_) => panic!("sluice dev {arguments:?} is not ready: {:?}", dev.child.try_wait()),
        }
        dev
    }

    /// `http://127.0.0.1:…` of the ingest API.
    ///
    /// # Panics
    /// When it did not say.
    pub fn api(&self) -> &str {
        self.ready["api"].as_str().unwrap_or_else(|| panic!("no api in {}", self.ready))
    }

    /// `http://127.0.0.1:…` of the AWS endpoint.
    ///
    /// # Panics
    /// When it did not say.
    pub fn aws(&self) -> &str {
        self.ready["aws"].as_str().unwrap_or_else(|| panic!("no aws in {}", self.ready))
    }

    /// The file with the access key of the AWS endpoint.
    ///
    /// # Panics
    /// When it did not say.
    pub fn credentials(&self) -> &Path {
        let file = self.ready["credentials"].as_str();
        Path::new(file.unwrap_or_else(|| panic!("no credentials in {}", self.ready)))
    }

    /// `curl` at the AWS endpoint, signed for a service; `path` begins with a slash.
    pub fn curl(&self, service: &str, path: &str) -> Command {
        let text = std::fs::read_to_string(self.credentials()).unwrap_or_default();
        let value = |name: &str| {
            let mut pairs = text.lines().filter_map(|line| line.split_once(" = "));
            pairs.find(|(found, _)| *found == name).map_or("", |(_, value)| value).to_owned()
        };
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail-with-body", &format!("{}{path}", self.aws())]);
        curl.args(["--aws-sigv4", &format!("aws:amz:us-east-1:{service}"), "--user"]);
        curl.arg(format!("{}:{}", value("aws_access_key_id"), value("aws_secret_access_key")));
        curl
    }

    /// One call of AWS's JSON protocol, as someone makes it who goes behind the system's back. `target` is a service and
    /// an operation.
    ///
    /// # Panics
    /// When it is refused.
    pub fn call(&self, service: &str, target: &str, request: &Value) -> Value {
        let mut curl = self.curl(service, "/");
        curl.args([
            "-H",
            &format!("x-amz-target: {target}"),
            "-H",
            "content-type: application/x-amz-json-1.0",
        ]);
        let output = curl.args(["--data-binary", &request.to_string()]).output();
        let output = output.unwrap_or_else(|error| panic!("curl: {error}"));
        assert!(output.status.success(), "{target}: {}", String::from_utf8_lossy(&output.stdout));
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    /// The most memory that the process has had resident (`VmHWM`), in bytes; where Linux tells.
    pub fn peak_memory_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1_024)
    }

    /// `sluice` against it.
    pub fn sluice(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("sluice"));
        command.current_dir(root()).arg(format!("--local={}", self.aws())).args(["--api", self.api()]);
        command.args(arguments);
        command
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
