//! The tutorial's commands, as printed and in their order, in a folder of their own against a local cloud of their own.

use std::fmt::Write as _;
use std::process::Command;

use sluice_tests::{Dev, program, root};

/// A command of the page: perhaps several lines, because of a here-document or a continuation.
struct Step {
    line: usize,
    text: String,
    exit_code: i32,
}

/// The commands of the page's shell blocks, but for those after a comment that says `not run by the test`.
fn steps() -> Vec<Step> {
    let page = std::fs::read_to_string(root().join("docs/tutorial.md")).expect("docs/tutorial.md");
    let mut steps: Vec<Step> = Vec::new();
    let (mut in_shell, mut skipped, mut exit_code) = (false, false, 0);
    let mut until: Option<String> = None;
    for (at, line) in page.lines().enumerate() {
        if let Some(end) = &until {
            let step = steps.last_mut().expect("a here-document has a command");
            step.text += &format!("\n{line}");
            if line == end {
                until = None;
            }
        } else if line.starts_with("```") {
            in_shell = line == "```sh" && !skipped;
            skipped = false;
        } else if line.starts_with("<!-- not run by the test") {
            skipped = true;
        } else if in_shell && line.starts_with("# exit ") {
            exit_code = line.trim_start_matches("# exit ").parse().expect("an exit code");
        } else if in_shell && !line.is_empty() {
            let continued =
                steps.last().is_some_and(|step| step.text.ends_with('\\') || quotes_open(&step.text));
            if continued {
                let step = steps.last_mut().expect("a command to go on with");
                step.text += &format!("\n{line}");
            } else {
                steps.push(Step { line: at + 1, text: line.to_owned(), exit_code });
                exit_code = 0;
            }
            until = line.split_once("<<'").and_then(|(_, rest)| Some(rest.split_once('\'')?.0.to_owned()));
        }
    }
    assert!(steps.len() > 20, "{}", steps.len());
    steps
}

fn quotes_open(text: &str) -> bool {
    text.matches('\'').count() % 2 == 1
}

/// One script, since a command depends on the folder and the variables that those before it have left.
fn script(steps: &[Step]) -> String {
    let mut script = String::new();
    for Step { line, text, exit_code } in steps {
        let shown = text.lines().next().unwrap_or_default().replace('\'', "'\\''");
        let _ = writeln!(script, "echo '$ {shown}'\n{text}\ncode=$?");
        let _ = writeln!(
            script,
            "[ $code -eq {exit_code} ] || {{ echo 'docs/tutorial.md:{line}: exit code '$code', not {exit_code}'; exit 99; }}"
        );
    }
    script
}

#[test]
fn a_vendor_is_on_board_and_back_on_board_by_this_page_alone() {
    let dev = Dev::start(&["--ephemeral"]);
    let folder = tempfile::tempdir().expect("a folder");
    let sluice = program("sluice");
    let path = std::env::join_paths(
        sluice
            .parent()
            .map(Into::into)
            .into_iter()
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    )
    .expect("a search path");
    let output = Command::new("bash")
        .args(["-c", &format!("{}exit 0", script(&steps()))])
        .current_dir(folder.path())
        .env("PATH", path)
        .env("SLUICE_HOME", root())
        .env("SLUICE_LOCAL", dev.aws())
        .env("SLUICE_API", dev.api())
        .output()
        .expect("bash");
    let said = format!(
        "{}\n--- standard error ---\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{said}");

    let list = dev.sluice(&["--json", "ls", "--vendor", "acme"]).output().expect("sluice ls");
    let list: serde_json::Value = serde_json::from_slice(&list.stdout).expect("JSON");
    let statuses: Vec<&str> = list["events"]
        .as_array()
        .expect("events")
        .iter()
        .filter_map(|event| event["status"].as_str())
        .collect();
    assert_eq!(statuses, ["NORMALIZED"; 3], "{said}");
}

#[test]
fn the_page_is_cut_into_commands() {
    let steps = steps();
    assert!(
        steps[0].text.starts_with("cat > sample.json") && steps[0].text.ends_with("END"),
        "{}",
        steps[0].text
    );
    assert!(steps[1].text.starts_with("sluice mapper new"), "{}", steps[1].text);
    assert_eq!(steps.iter().filter(|step| step.exit_code == 1).count(), 1);
    assert!(!steps.iter().any(|step| step.text.contains("cargo xtask")), "what takes minutes is not run");
}
