//! A machine without a file descriptor left: nothing is the mapper's fault, and everything works again when there is one.
//!
//! The limit is the process's, so the test runs itself again under `ulimit -n`.

#![cfg(target_os = "linux")]
#![expect(clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::fs::File;
use std::process::Command;

use sluice_mapper_host::{LoadError, MapFault, TargetSpec, TrustedDigest, compile};

const CHILD: &str = "SLUICE_TEST_EXHAUSTED";

/// Data, so that there is a memory image, which wasmtime keeps in a file of memory.
fn text() -> String {
    common::with(
        common::PRELUDE,
        "(call $answer (i32.const 0) (i32.const 2048) (i32.const 5))",
        "(data (i32.const 2048) \"image\")",
    )
}

#[test]
fn exhaustion_is_told_from_a_mapper_that_does_not_fit() {
    if std::env::var_os(CHILD).is_some() {
        return under_the_limit();
    }
    let me = std::env::current_exe().unwrap_or_else(|error| panic!("{error}"));
    let test = "exhaustion_is_told_from_a_mapper_that_does_not_fit";
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$0\" --exact \"$1\" --test-threads 1"])
        .arg(me)
        .arg(test)
        .env(CHILD, "1")
        .output()
        .unwrap_or_else(|error| panic!("{error}"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn under_the_limit() {
    let host = common::host();
    let native =
        compile(&common::binary(&text()), &TargetSpec::host()).unwrap_or_else(|error| panic!("{error}"));
    let load = || host.load_native(&native.bytes, &TrustedDigest::vouch_for(&native.bytes));
    let loaded = load().unwrap_or_else(|error| panic!("{error}"));

    let taken: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!(taken.len() > 10, "{}", taken.len());
    match load() {
        Err(error @ LoadError::Exhausted { .. }) => assert_eq!(error.code(), "host_exhausted"),
        // A wasmtime that needs no descriptor has nothing to be exhausted of.
        Ok(_) => panic!("native code was loaded without a file descriptor: this test holds nothing any more"),
        Err(other) => panic!("it is the machine that is exhausted, and not: {other:?}"),
    }
    match loaded.map(b"{}", b"payload") {
        Ok(_) | Err(MapFault::HostUnavailable { .. }) => {}
        Err(other) => panic!("it is the machine that is exhausted, and not: {other:?}"),
    }
    drop(taken);
    let again = load().unwrap_or_else(|error| panic!("there is room again: {error}"));
    assert!(again.map(b"{}", b"payload").is_ok_and(|mapped| mapped.output == b"payload"));
}
