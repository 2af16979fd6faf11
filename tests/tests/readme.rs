//! What the README prints works as printed, and every command of every document is one.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use sluice_tests::{Dev, program, root};

/// A line, and the comment line above it.
type Line = (Option<String>, String);

/// The README's shell blocks.
fn shell_blocks() -> Vec<Vec<Line>> {
    let text = std::fs::read_to_string(root().join("README.md")).expect("README.md");
    let mut blocks: Vec<Vec<Line>> = Vec::new();
    let mut in_shell = false;
    let mut comment = None;
    for line in text.lines() {
        if line.starts_with("```") {
            in_shell = line == "```sh";
            blocks.extend(in_shell.then(Vec::new));
        } else if in_shell && line.starts_with("# ") {
            comment = Some(line.to_owned());
        } else if let Some(block) = blocks.last_mut()
            && in_shell
            && !line.is_empty()
        {
            block.push((comment.take(), line.to_owned()));
        }
    }
    assert!(blocks.len() > 3, "{}", blocks.len());
    blocks
}

fn shell_lines() -> Vec<Line> {
    shell_blocks().concat()
}

#[test]
fn every_curl_line_is_answered_as_its_comment_says() {
    let dev = Dev::start(&["--ephemeral", "--examples"]);
    let mut ran = 0;
    for (comment, line) in shell_lines().into_iter().filter(|(_, line)| line.starts_with("curl ")) {
        let comment = comment.unwrap_or_else(|| panic!("no comment says what comes of {line}"));
        let status = comment.trim_start_matches("# ").split(':').next().unwrap_or_default();
        let line = line.replace("http://127.0.0.1:8787", dev.api());
        let output = Command::new("sh").args(["-c", &line]).current_dir(root()).output().expect("sh");
        let answer = String::from_utf8_lossy(&output.stdout);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{line}\nexpected {status}, answered {answer}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        ran += 1;
    }
    assert!(ran >= 7, "{ran}");
}

/// One line, as a shell runs it; whatever it exits with but 0 is an error.
fn runs(dev: &Dev, line: &str, ids: &[(&str, &str)]) -> String {
    let local = format!("sluice --local={} --api {}", dev.aws(), dev.api());
    let mut shell = line.replace("sluice --local", &local).replace("http://127.0.0.1:8787", dev.api());
    for (placeholder, id) in ids {
        shell = shell.replace(placeholder, id);
    }
    let python_bin =
        std::env::var_os("SLUICE_PYTHON_BIN").expect("SLUICE_PYTHON_BIN: run `cargo xtask test`");
    let folders = [program("sluice").parent().expect("a folder").to_owned(), python_bin.into()];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = folders.into_iter().chain(std::env::split_paths(&path));
    let output = Command::new("sh")
        .args(["-c", &shell])
        .current_dir(root())
        .env("PATH", std::env::join_paths(path).expect("a path"))
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_PAGER", "")
        .stdin(Stdio::null())
        .output()
        .expect("sh");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{shell}\n{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Sends a file that is accepted and then quarantined; gives its `ingestId` and its failed execution.
fn quarantined(dev: &Dev, file: &str) -> (String, String) {
    let json = |arguments: &[&str]| -> Value {
        let output = dev.sluice(&["--json"]).args(arguments).output().expect("sluice");
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output:?}"))
    };
    let sent = json(&["send", file, "--key", "vendorA-dev-key"]);
    let id = sent["ingestId"].as_str().unwrap_or_else(|| panic!("{file} is not accepted: {sent}")).to_owned();
    loop {
        let shown = json(&["show", &id]);
        if shown["execution"]["status"] == "FAILED" {
            return (id, shown["execution"]["arn"].as_str().unwrap_or_else(|| panic!("{shown}")).to_owned());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The lines of the block that has one that starts so.
fn block(start: &str) -> Vec<String> {
    let block =
        shell_blocks().into_iter().find(|block| block.iter().any(|(_, line)| line.starts_with(start)));
    let block = block.unwrap_or_else(|| panic!("no line of the README starts with {start}"));
    block.into_iter().map(|(_, line)| line).filter(|line| !line.starts_with("eval ")).collect()
}

#[test]
fn what_ops_type_works_in_the_order_of_the_text() {
    let dev = Dev::start(&["--ephemeral", "--examples"]);
    let (id, _) = quarantined(&dev, "examples/vendorA-inventory-renamed.json");
    for line in block("sluice --local ls") {
        let said = runs(&dev, &line, &[("<ingestId>", &id)]);
        if line.contains("redrive") {
            let shown = dev.sluice(&["--json", "show", &id]).output().expect("sluice").stdout;
            let shown: Value = serde_json::from_slice(&shown).expect("JSON");
            assert_eq!(shown["status"], "NORMALIZED", "{said}");
        }
    }
    let (_, execution) = quarantined(&dev, "examples/vendorA-inventory-unknown-version.json");
    for line in block("sluice --local send") {
        let said = runs(&dev, &line, &[]);
        assert!(said.starts_with("202 accepted"), "{line}\n{said}");
    }
    let (_, environment) = shell_lines()
        .into_iter()
        .find(|(_, line)| line.starts_with("eval "))
        .expect("the README's environment");
    for line in block("aws s3 ls") {
        let said = runs(&dev, &format!("{environment}\n{line}"), &[("<executionArn>", &execution)]);
        let expected = match line.split_whitespace().nth(2) {
            Some("ls") => "raw/vendorA/",
            Some("get-item") => "evt-1001",
            Some("list-executions") => &execution,
            Some("redrive-execution") => "redriveDate",
            other => panic!("what is said by {other:?}?"),
        };
        // The event of the `curl` lines is another test's.
        if expected != "evt-1001" {
            assert!(said.contains(expected), "{line}\n{said}");
        }
    }
}

#[test]
fn what_is_typed_when_something_fails_works() {
    let dev = Dev::start(&["--ephemeral", "--examples"]);
    let (id, _) = quarantined(&dev, "examples/vendorA-inventory-renamed.json");
    let groups = dev.sluice(&["--json", "quarantine", "ls", "--group"]).output().expect("sluice").stdout;
    let groups: Value = serde_json::from_slice(&groups).expect("JSON");
    let group = groups["groups"][0]["fingerprint"].as_str().unwrap_or_else(|| panic!("{groups}")).to_owned();
    let publish = shell_lines().into_iter().find(|(_, line)| line.contains("mapper publish"));
    let (_, publish) = publish.expect("the README publishes a mended mapper");
    for line in block("sluice --local balance --vendor") {
        // It asks, and there is no terminal here.
        let asks = line.contains("redrive --group") && !line.contains("--dry-run");
        let line = if asks { line.replace("<group> ", "<group> --yes ") } else { line };
        if asks {
            runs(&dev, &publish, &[]);
        }
        runs(&dev, &line, &[("<group>", &group)]);
    }
    let shown = dev.sluice(&["--json", "show", &id]).output().expect("sluice").stdout;
    assert_eq!(serde_json::from_slice::<Value>(&shown).expect("JSON")["status"], "NORMALIZED");
}

/// The documents for people, by their place in the repository.
fn documents() -> Vec<PathBuf> {
    let mut documents = vec![root().join("README.md"), root().join("cdk/README.md")];
    for folder in ["docs", "docs/runbooks"] {
        for entry in std::fs::read_dir(root().join(folder)).expect("a folder") {
            documents.push(entry.expect("an entry").path());
        }
    }
    documents.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    documents
}

/// What a document tells to type: lines of its shell blocks, and what stands between back-ticks.
fn commands(document: &str) -> Vec<String> {
    let mut in_block = false;
    let mut commands = Vec::new();
    for line in document.lines().map(str::trim_start) {
        if line.starts_with("```") {
            in_block = !in_block;
        } else if in_block {
            commands.push(line.to_owned());
        } else {
            commands.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    let ours = |command: &String| {
        ["sluice ", "target/release/sluice ", "cargo xtask "]
            .iter()
            .any(|program| command.starts_with(program))
    };
    commands.into_iter().filter(ours).collect()
}

#[test]
fn every_command_of_every_document_exists_with_its_options() {
    let mut ran = 0;
    for path in documents() {
        let document = std::fs::read_to_string(&path).expect("a document");
        for line in commands(&document) {
            // Words up to a comment, a pipe or a file. `--help` at the end makes the program judge what stands before it,
            // and do nothing.
            let command = [" #", " |", " >", " &&"]
                .iter()
                .fold(line.as_str(), |rest, end| rest.split(end).next().unwrap_or_default());
            // A text in quotes is one word, whatever it says.
            let command: String = command
                .split('"')
                .enumerate()
                .map(|(at, part)| if at % 2 == 0 { part.to_owned() } else { part.replace(' ', "_") })
                .collect();
            let words = command.split_whitespace().map(|word| word.trim_matches(['\'', '[', ']']));
            let words: Vec<&str> = words.filter(|word| !matches!(*word, "…" | "...")).collect();
            let (program, arguments) = match words.as_slice() {
                ["cargo", "xtask", arguments @ ..] => (program("xtask"), arguments),
                [_, arguments @ ..] => (program("sluice"), arguments),
                [] => continue,
            };
            let arguments = arguments.iter().map(|word| match *word {
                "<ingestId>" | "<operationId>" | "$id" => "01KF0Q4S8R6D1ZJ8W9T3C5V7XN",
                "<digest>" => "0000000000000000000000000000000000000000000000000000000000000000",
                "<group>" | "<fingerprint>" => "0d10cf4ad4f2b7a1",
                "<vendor>" => "vendorA",
                "<time>" => "1h",
                word => word,
            });
            let output = Command::new(program).args(arguments).arg("--help").current_dir(root()).output();
            let output = output.expect("it runs");
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {line}: {error}", path.display());
            ran += 1;
        }
    }
    assert!(ran >= 100, "{ran}");
}
