//! What the README prints works as printed.

use std::process::Command;

use sluice_tests::{Dev, program, root};

/// The lines of the README's shell blocks, each with the comment line above it.
fn shell_lines() -> Vec<(Option<String>, String)> {
    let text = std::fs::read_to_string(root().join("README.md")).expect("README.md");
    let mut lines = Vec::new();
    let mut in_shell = false;
    let mut comment = None;
    for line in text.lines() {
        if line.starts_with("```") {
            in_shell = line == "```sh";
        } else if in_shell && line.starts_with("# ") {
            comment = Some(line.to_owned());
        } else if in_shell && !line.is_empty() {
            lines.push((comment.take(), line.to_owned()));
        }
    }
    assert!(lines.len() > 10, "{}", lines.len());
    lines
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

#[test]
fn every_command_exists_with_its_options() {
    let mut ran = 0;
    for (_, line) in shell_lines() {
        // Words up to a comment. `--help` at the end makes the program judge what stands before it, and do nothing.
        let command = line.split(" #").next().unwrap_or_default();
        let words: Vec<&str> = command.split_whitespace().collect();
        let (program, arguments) = match words.as_slice() {
            ["cargo", "xtask", arguments @ ..] => (program("xtask"), arguments),
            ["sluice" | "target/release/sluice", arguments @ ..] => (program("sluice"), arguments),
            _ => continue,
        };
        let arguments = arguments.iter().map(|word| match *word {
            "<ingestId>" => "01KF0Q4S8R6D1ZJ8W9T3C5V7XN",
            "<group>" => "0d10cf4ad4f2b7a1",
            word => word,
        });
        let output = Command::new(program)
            .args(arguments)
            .arg("--help")
            .current_dir(root())
            .output()
            .expect("it runs");
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        ran += 1;
    }
    assert!(ran >= 9, "{ran}");
}
