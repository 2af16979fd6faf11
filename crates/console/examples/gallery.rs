//! The console over documents in memory: `cargo run -p sluice-console --example gallery [--
//! --hostile | --empty]`.
//!
//! To look at pages, and to let a browser's tests see what no cloud shows at once. Prints the
//! address that opens it.

#![expect(clippy::print_stdout, reason = "an example talks to a person")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use sluice_console::{App, Config};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let has = |name: &str| std::env::args().any(|argument| argument == name);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let config = Config {
        address,
        hosts: sluice_loopback::Hosts::of(address, &BTreeSet::new()),
        read_only: has("--read-only"),
        person: "ada".into(),
        cloud: "Local cloud".into(),
        local: true,
        announce: Arc::new(|url| println!("{url}")),
    };
    let fake = support::Fake { hostile: has("--hostile"), empty: has("--empty"), ..support::Fake::default() };
    sluice_console::serve(listener, App::new(config, Arc::new(fake)), CancellationToken::new()).await
}
