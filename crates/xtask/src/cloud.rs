//! `sluice dev` as a child process on free ports, and the `sluice` commands that are run against it.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::project::Project;
use crate::steps;

/// How long the local cloud may take to listen.
const START_TIME_MAX: Duration = Duration::from_secs(60);

/// How long it may take to end when it is asked to.
const STOP_TIME_MAX: Duration = Duration::from_secs(15);

/// Where its data are.
pub(crate) enum Storage {
    /// In a temporary folder of its own.
    Ephemeral,
    /// In this folder.
    Folder(PathBuf),
}

/// A running local cloud. Dropping it stops it.
pub(crate) struct LocalCloud {
    binary: PathBuf,
    root: PathBuf,
    child: Child,
    /// `http://127.0.0.1:…` of the ingest API.
    pub(crate) api: String,
    /// `http://127.0.0.1:…` of AWS's APIs.
    pub(crate) aws: String,
    /// Id and secret of the access key of AWS's APIs.
    pub(crate) key: (String, String),
}

impl LocalCloud {
    /// Starts a `sluice` with the examples, on free ports, and waits until it listens.
    pub(crate) fn start(project: &Project, binary: PathBuf, storage: &Storage) -> Result<Self> {
        let log = project.target.join("sluice-dev.log");
        let errors = File::create(&log).with_context(|| format!("could not write {}", log.display()))?;
        let mut command = Command::new(&binary);
        command.current_dir(&project.root).args([
            "--json",
            "dev",
            "--examples",
            "--port",
            "0",
            "--aws-port",
            "0",
        ]);
        match storage {
            Storage::Ephemeral => command.arg("--ephemeral"),
            Storage::Folder(folder) => command.arg("--data").arg(folder),
        };
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
        let mut child = command.spawn().with_context(|| format!("could not start {}", binary.display()))?;
        let stdout = child.stdout.take().context("the child has no standard output")?;
        let (lines, first_line) = mpsc::channel();
        let path = log.clone();
        // Reads to the end, so that the child never waits for us; all of it goes to the log as well.
        std::thread::spawn(move || {
            let mut sink = fs::OpenOptions::new().append(true).open(path).ok();
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(sink) = &mut sink {
                    let _ = writeln!(sink, "{line}");
                }
                let _ = lines.send(line);
            }
        });
        let mut cloud = Self {
            binary,
            root: project.root.clone(),
            child,
            api: String::new(),
            aws: String::new(),
            key: Default::default(),
        };
        let Ok(line) = first_line.recv_timeout(START_TIME_MAX) else {
            let log = fs::read_to_string(&log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            bail!("sluice dev did not become ready:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"));
        };
        let event: Value =
            serde_json::from_str(&line).with_context(|| format!("sluice dev said {line:?}"))?;
        let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
        (cloud.api, cloud.aws) = (text(&event["api"]), text(&event["aws"]));
        cloud.key = access_key(Path::new(&text(&event["credentials"])))?;
        println!("      ingest API {}, AWS endpoint {}, log {}", cloud.api, cloud.aws, log.display());
        for vendor in event["vendors"].as_array().into_iter().flatten() {
            println!("      vendor {}", text(&vendor["vendorId"]));
        }
        for mapper in event["mappers"].as_array().into_iter().flatten() {
            let bundle = text(&mapper["bundle"]);
            let bundle = bundle.get(..12).unwrap_or(&bundle);
            println!(
                "      mapper of {} {}: {bundle}…",
                text(&mapper["vendorId"]),
                text(&mapper["eventType"])
            );
        }
        Ok(cloud)
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Runs a command that must succeed; gives its standard output.
    pub(crate) fn text(&self, arguments: &[&str]) -> Result<String> {
        self.succeeded(&mut self.command(arguments))
    }

    /// Runs a command that must succeed, with `--json`.
    pub(crate) fn json(&self, arguments: &[&str]) -> Result<Value> {
        let text = self.succeeded(self.command(arguments).arg("--json"))?;
        serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))
    }

    /// Runs a command with `--json` whose document counts, whatever its exit code.
    pub(crate) fn answer(&self, arguments: &[&str]) -> Result<Value> {
        let mut command = self.command(arguments);
        let output = command.arg("--json").output()?;
        serde_json::from_slice(&output.stdout).with_context(|| failure(&command, &output))
    }

    /// One call of AWS's JSON protocol, signed.
    pub(crate) fn call(&self, service: &str, target: &str, body: &Value) -> Result<Value> {
        let (id, secret) = &self.key;
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail-with-body", &self.aws]);
        curl.args([
            "--aws-sigv4",
            &format!("aws:amz:us-east-1:{service}"),
            "--user",
            &format!("{id}:{secret}"),
        ]);
        curl.args([
            "-H",
            &format!("x-amz-target: {target}"),
            "-H",
            "content-type: application/x-amz-json-1.0",
        ]);
        let answer = self.succeeded(curl.args(["--data-binary", &body.to_string()]))?;
        serde_json::from_str(&answer).with_context(|| format!("{target} was answered {answer}"))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.current_dir(&self.root).arg(format!("--local={}", self.aws)).args(["--api", &self.api]);
        command.args(arguments);
        command
    }

    fn succeeded(&self, command: &mut Command) -> Result<String> {
        let output = command.output()?;
        if !output.status.success() {
            bail!(failure(command, &output));
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// As Ctrl-C does, so that a temporary folder goes away; an error if that does not end it well.
    pub(crate) fn stop(mut self) -> Result<()> {
        match self.end() {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!("sluice dev ended with {status}"),
            None => bail!("sluice dev did not end within {}", steps::human(STOP_TIME_MAX)),
        }
    }

    fn end(&mut self) -> Option<ExitStatus> {
        if let Ok(Some(status)) = self.child.try_wait() {
            return Some(status);
        }
        // The standard library sends no signal but the one that cannot be handled.
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        let asked = Instant::now();
        while asked.elapsed() < STOP_TIME_MAX {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        None
    }
}

impl Drop for LocalCloud {
    fn drop(&mut self) {
        self.end();
    }
}

/// Id and secret of the first key of a shared credentials file.
fn access_key(file: &Path) -> Result<(String, String)> {
    let text = fs::read_to_string(file).with_context(|| format!("could not read {}", file.display()))?;
    let value = |name: &str| {
        let mut pairs = text.lines().filter_map(|line| line.split_once('='));
        let found = pairs.find(|(found, _)| found.trim() == name).map(|(_, value)| value.trim().to_owned());
        found.with_context(|| format!("{} has no {name}", file.display()))
    };
    Ok((value("aws_access_key_id")?, value("aws_secret_access_key")?))
}

fn failure(command: &Command, output: &Output) -> String {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{} ended with {}:\n{stdout}{stderr}", steps::shown(command), output.status)
}
