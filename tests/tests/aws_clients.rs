//! AWS's own clients against the local cloud, unchanged: boto3 reads it, `aws stepfunctions redrive-execution` redrives.
//!
//! `cargo xtask test` installs them and says where in `SLUICE_PYTHON_BIN`.
#![expect(clippy::unwrap_used, reason = "a test's own constants")]

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;
use sluice_tests::{Dev, root};

fn python_bin() -> PathBuf {
    let bin = std::env::var_os("SLUICE_PYTHON_BIN");
    bin.map(PathBuf::from)
        .expect("SLUICE_PYTHON_BIN must name a folder with python (boto3) and aws: run `cargo xtask test`")
}

fn aws(dev: &Dev, program: &str) -> Command {
    let mut command = Command::new(python_bin().join(program));
    command.current_dir(root()).env("AWS_EC2_METADATA_DISABLED", "true").env("AWS_PAGER", "");
    // As `sluice --local env` says it.
    let environment = json(&dev.sluice(&["--json", "env"]).output().unwrap());
    for name in environment["unset"].as_array().unwrap() {
        command.env_remove(name.as_str().unwrap());
    }
    for (name, value) in environment["set"].as_object().unwrap() {
        command.env(name, value.as_str().unwrap());
    }
    if program == "aws" {
        command.args(["--output", "json"]);
    }
    command
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}

fn boto3(dev: &Dev, file: &str) -> Value {
    let arguments = ["tests/python/aws_clients.py", dev.api(), dev.aws(), file, "vendorA-dev-key"];
    json(&aws(dev, "python").args(arguments).output().unwrap())
}

#[test]
fn boto3_reads_and_the_aws_command_redrives() {
    let dev = Dev::start(&["--ephemeral", "--examples"]);
    assert_eq!(boto3(&dev, "examples/vendorA-inventory.json")["status"], "NORMALIZED");
    let broken = boto3(&dev, "examples/vendorA-inventory-renamed.json");
    assert_eq!(broken["status"], "QUARANTINED");
    let id = broken["ingestId"].as_str().unwrap();

    let show = || json(&dev.sluice(&["--json", "show", id]).output().unwrap());
    let execution = loop {
        let execution = show()["execution"].clone();
        if execution["status"] == "FAILED" {
            break execution["arn"].as_str().or(execution["executionArn"].as_str()).unwrap().to_owned();
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    };
    let module = "mappers-wasm/target/wasm32-unknown-unknown/release/vendor_a_inventory_fixed.wasm";
    let bundle = "mappers-wasm/demo/vendor-a-inventory-fixed";
    let fixed = ["mapper", "publish", bundle, "--wasm", module, "--reason", "qty was renamed"];
    json(&dev.sluice(&["--json"]).args(fixed).output().unwrap());

    let redrive = ["stepfunctions", "redrive-execution", "--execution-arn", &execution];
    assert!(json(&aws(&dev, "aws").args(redrive).output().unwrap())["redriveDate"] != Value::Null);
    let described = loop {
        let describe = ["stepfunctions", "describe-execution", "--execution-arn", &execution];
        let described = json(&aws(&dev, "aws").args(describe).output().unwrap());
        if described["status"] != "RUNNING" {
            break described;
        }
    };
    assert_eq!(
        (&described["status"], &described["redriveCount"]),
        (&"SUCCEEDED".into(), &1.into()),
        "{described}"
    );
    assert_eq!(show()["status"], "NORMALIZED");

    // The call whose host has a prefix of its own.
    let sync = ["stepfunctions", "start-sync-execution", "--input", "{}", "--state-machine-arn"];
    let intake = "arn:aws:states:us-east-1:000000000000:stateMachine:sluice-intake";
    let answered = json(&aws(&dev, "aws").args(sync).arg(intake).output().unwrap());
    assert!(answered["status"].is_string(), "{answered}");

    // What succeeded cannot be redriven: AWS's own error, by its name.
    let again = aws(&dev, "aws").args(redrive).output().unwrap();
    assert!(String::from_utf8_lossy(&again.stderr).contains("ExecutionNotRedrivable"), "{again:?}");

    // Another key than the folder's is refused, with the place of the right one.
    let mut stranger = aws(&dev, "aws");
    stranger.env_remove("AWS_SHARED_CREDENTIALS_FILE");
    stranger.env("AWS_ACCESS_KEY_ID", "any").env("AWS_SECRET_ACCESS_KEY", "any");
    let refused = stranger.args(["dynamodb", "list-tables"]).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("aws-credentials"), "{refused:?}");
}
