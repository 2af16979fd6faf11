//! `cargo xtask test --aws`: what can be proved of the system on AWS without an account, against software that is not ours.
//!
//! Needs no Docker: MiniStack runs the packaged functions as processes. It listens on loopback only, on a free port, and keeps
//! nothing.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::cloud::{LocalCloud, Storage};
use crate::functions;
use crate::package::{self, Architecture};
use crate::project::Project;
use crate::steps::{self, Steps};
use crate::tools::{EMULATOR, PYTHON_TOOLS};

/// How long MiniStack may take to listen.
const START_TIME_MAX: Duration = Duration::from_secs(120);

const SCENARIOS: &str = "tests/scenarios/pipeline.json";

/// The table of differences that are known, each with its reason.
const DIFFERENCES: &str = "docs/emulators.md";

/// An emulator takes any credentials, and has one account.
const VARIABLES: [(&str, &str); 6] = [
    ("AWS_ACCESS_KEY_ID", "test"),
    ("AWS_SECRET_ACCESS_KEY", "test"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_DEFAULT_REGION", "us-east-1"),
    ("CDK_DEFAULT_ACCOUNT", "000000000000"),
    ("CDK_DEFAULT_REGION", "us-east-1"),
];

pub(crate) fn run(project: &Project) -> Result<()> {
    let mut steps = Steps::new(14);
    let packages = package::in_steps(project, &mut steps, Architecture::native()?)?;
    let sluice = functions::sluice(project, &mut steps)?;
    steps.run("Templates: types, assertions, Velocity, cdk-nag, synthesis, cfn-lint, checkov", || {
        steps::run(Command::new(project.root.join("cdk/scripts/prove.sh")).current_dir(&project.root))
    })?;
    let checked = functions::check(project, &mut steps, &packages, &sluice)?;
    let (python, emulator) = steps.run("Tools from PyPI: boto3, ministack", || {
        Ok((PYTHON_TOOLS.bin(project)?.join("python"), EMULATOR.bin(project)?))
    })?;
    let scenarios = Scenarios { project, python: &python, sluice: &sluice };
    let folder = project.target.join("scenarios");
    fs::create_dir_all(&folder).with_context(|| format!("could not make {}", folder.display()))?;
    let (local, deployed) = (folder.join("local.json"), folder.join("ministack.json"));

    steps.run("Scenarios on the local cloud", || {
        let cloud = LocalCloud::start(project, sluice.clone(), &Storage::Ephemeral)?;
        scenarios.run(&cloud.aws, Some(&cloud.key), &local, &[])?;
        cloud.stop()
    })?;
    let ministack = steps.run("Start MiniStack", || MiniStack::start(project, &emulator))?;
    steps.run("Deploy the stacks to MiniStack", || deploy(project, &ministack.endpoint, &sluice))?;
    steps.run("Scenarios on MiniStack", || {
        scenarios.run(&ministack.endpoint, None, &deployed, &["--prepare"])
    })?;
    drop(ministack);
    steps.run("The local cloud and MiniStack came to the same", || {
        let mut compare = scenarios.command("compare");
        steps::run(compare.args([&local, &deployed]).arg(DIFFERENCES))
    })?;

    println!("\nproved without an AWS account:");
    println!("  {} functions packaged for Amazon Linux 2023, and deployed", packages.len());
    println!("  templates, policies and mapping templates: cdk/scripts/prove.sh");
    println!("  {checked} statements about how functions start, fail and end");
    println!("  the scenarios of {SCENARIOS}: the same on both, or explained in {DIFFERENCES}");
    println!("all steps ended after {}", steps::human(steps.elapsed()));
    Ok(())
}

/// Events for [`measure`]: as many as take an emulator a minute or two.
const EVENTS: u64 = 300;

/// `cargo xtask bench emulator`: how long MiniStack takes for events that go through the very definitions and functions that the
/// local cloud runs. Gives events a second, all of them applied.
pub(crate) fn measure(project: &Project, steps: &mut Steps) -> Result<f64> {
    package::in_steps(project, steps, Architecture::native()?)?;
    let sluice = project.sluice("release");
    let (python, emulator) = steps.run("Tools from PyPI: boto3, ministack", || {
        Ok((PYTHON_TOOLS.bin(project)?.join("python"), EMULATOR.bin(project)?))
    })?;
    let ministack = steps.run("Start MiniStack", || MiniStack::start(project, &emulator))?;
    fs::create_dir_all(project.target.join("scenarios"))?;
    steps.run("Deploy the stacks to MiniStack", || deploy(project, &ministack.endpoint, &sluice))?;
    steps.run(&format!("{EVENTS} events through MiniStack"), || {
        let scenarios = Scenarios { project, python: &python, sluice: &sluice };
        let mut command = scenarios.command("rate");
        command.args([SCENARIOS, &ministack.endpoint]).arg(&sluice).arg(EVENTS.to_string());
        let output = command.stderr(Stdio::inherit()).output()?;
        ensure!(output.status.success(), "scenarios.py ended with {}", output.status);
        let said = String::from_utf8(output.stdout)?;
        println!("      {}", said.trim());
        let said: Value = serde_json::from_str(&said)?;
        let seconds = said["seconds"].as_f64().context("no seconds")?;
        Ok(crate::bench::rate(EVENTS, Duration::from_secs_f64(seconds)))
    })
}

/// `tests/python/scenarios.py`.
struct Scenarios<'a> {
    project: &'a Project,
    python: &'a Path,
    sluice: &'a Path,
}

impl Scenarios<'_> {
    fn command(&self, mode: &str) -> Command {
        let mut command = Command::new(self.python);
        command.current_dir(&self.project.root).args(["tests/python/scenarios.py", mode]);
        command.envs(VARIABLES).env_remove("AWS_PROFILE").env_remove("SLUICE_BUCKET_SUFFIX");
        command
    }

    /// `key` is the access key of an endpoint that checks signatures.
    fn run(
        &self,
        endpoint: &str,
        key: Option<&(String, String)>,
        result: &Path,
        flags: &[&str],
    ) -> Result<()> {
        let mut command = self.command("run");
        if let Some((id, secret)) = key {
            command.env("AWS_ACCESS_KEY_ID", id).env("AWS_SECRET_ACCESS_KEY", secret);
        }
        steps::run(command.args([SCENARIOS, endpoint]).arg(self.sluice).arg(result).args(flags))
    }
}

/// As `docs/runbooks/deploy.md` says: the stateful stack has the key that signs mappers, and `normalize` is told its public half.
fn deploy(project: &Project, endpoint: &str, sluice: &Path) -> Result<()> {
    let folder = project.root.join("cdk");
    if !folder.join("node_modules").exists() {
        steps::run(Command::new("npm").current_dir(&folder).args(["ci", "--no-fund", "--no-audit"]))?;
    }
    let of_emulator = |mut command: Command| {
        command.envs(VARIABLES).env_remove("AWS_PROFILE");
        // The CDK's own S3 client takes the variable of S3 alone.
        command.env("AWS_ENDPOINT_URL", endpoint).env("AWS_ENDPOINT_URL_S3", endpoint);
        command
    };
    let cdk = |arguments: &[&str]| {
        let mut cdk = of_emulator(Command::new("npx"));
        cdk.current_dir(&folder).args(["--no-install", "cdk", "--ci", "--progress", "bar"]);
        cdk.args(arguments).args(["-c", "bucketSuffix=", "-c", "protect=false", "--output"]);
        cdk.arg(project.target.join("cdk-ministack"));
        steps::run(&mut cdk)
    };
    cdk(&["bootstrap", "aws://000000000000/us-east-1"])?;
    cdk(&["deploy", "sluice-stateful", "--require-approval", "never"])?;

    let mut key = of_emulator(Command::new(sluice));
    let key = key.args(["mapper", "key"]).stderr(Stdio::inherit()).output()?;
    ensure!(key.status.success(), "sluice mapper key ended with {}", key.status);
    let trusted = project.target.join("scenarios/trusted.pem");
    fs::write(&trusted, key.stdout).with_context(|| format!("could not write {}", trusted.display()))?;
    let trusted = format!("mapperTrustKeys={}", trusted.display());
    cdk(&["deploy", "sluice", "--require-approval", "never", "-c", &trusted])
}

/// MiniStack as a child process. Dropping it kills it.
struct MiniStack {
    child: Child,
    endpoint: String,
}

impl MiniStack {
    fn start(project: &Project, bin: &Path) -> Result<Self> {
        // Free a moment ago; it takes no port 0.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let endpoint = format!("http://127.0.0.1:{port}");
        let log: PathBuf = project.target.join("ministack.log");
        let sink = File::create(&log).with_context(|| format!("could not write {}", log.display()))?;
        let mut command = Command::new(bin.join("ministack"));
        command.envs(VARIABLES).env("BIND_HOST", "127.0.0.1").env("LAMBDA_EXECUTOR", "local");
        command.env("GATEWAY_PORT", port.to_string()).env("EDGE_PORT", port.to_string());
        // What its functions are told.
        command.env("AWS_ENDPOINT_URL", &endpoint);
        package::with_path(&mut command, bin)?;
        command.stdin(Stdio::null()).stdout(sink.try_clone()?).stderr(sink);
        let child = command.spawn().with_context(|| format!("could not start {}", bin.display()))?;
        let mut ministack = Self { child, endpoint };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if started.elapsed() > START_TIME_MAX || !matches!(ministack.child.try_wait(), Ok(None)) {
                let log = fs::read_to_string(&log).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                bail!("MiniStack did not start:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        println!("      {}, log {}", ministack.endpoint, log.display());
        Ok(ministack)
    }
}

impl Drop for MiniStack {
    fn drop(&mut self) {
        // Asked first, so that it ends the functions that it runs.
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        let asked = Instant::now();
        while asked.elapsed() < Duration::from_secs(10) {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
