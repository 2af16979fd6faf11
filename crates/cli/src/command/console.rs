//! `sluice console`, and the console of `sluice dev`: pages for one person over the cloud that the
//! options name.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use sluice_console::{App, Config};
use sluice_loopback::Hosts;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::args::{ConsoleArgs, Global, who};
use crate::cloud::{self, Cloud};
use crate::desk::Desk;
use crate::error::CliError;
use crate::output::{Output, Tone, paint};

/// Where the console is unless told otherwise.
pub const PORT: u16 = 8789;

/// Takes the port. The usual one may be taken by another console: then a free one is as good.
pub(crate) async fn listen(port: Option<u16>) -> Result<TcpListener, CliError> {
    let bind = |port| TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let bound = match port {
        Some(port) => bind(port).await,
        None => match bind(PORT).await {
            Ok(listener) => Ok(listener),
            Err(_) => bind(0).await,
        },
    };
    bound.map_err(|error| CliError::Local {
        message: format!("the console cannot listen on port {}", port.unwrap_or(PORT)),
        hint: Some(
            "another program has it: name another with --port (sluice console) or --console-port".into(),
        ),
        source: Some(Box::new(error)),
    })
}

/// Who acts on the local cloud: SLUICE_BY, or the user of this computer.
pub(crate) fn person() -> Result<String, CliError> {
    who(std::env::var("SLUICE_BY").ok().filter(|name| !name.is_empty()).as_deref())
}

/// How a console is set up.
pub(crate) struct Setup {
    pub(crate) read_only: bool,
    pub(crate) allowed_hosts: Vec<String>,
    pub(crate) person: String,
    pub(crate) cloud: String,
}

/// Makes the console of a listener. It is served by [`sluice_console::serve`].
pub(crate) fn app(
    listener: &TcpListener,
    setup: Setup,
    cloud: &Cloud,
    announce: impl Fn(&str) + Send + Sync + 'static,
) -> Result<Arc<App>, CliError> {
    let address = listener.local_addr().map_err(CliError::Output)?;
    let config = Config {
        address,
        hosts: Hosts::of(address, &setup.allowed_hosts),
        read_only: setup.read_only,
        person: setup.person,
        cloud: setup.cloud,
        local: cloud.is_local(),
        announce: Arc::new(announce),
    };
    Ok(App::new(config, Arc::new(Desk::new(cloud.clone()))))
}

/// Serves until Ctrl-C.
pub async fn run(args: &ConsoleArgs, global: &Global, output: &Output) -> Result<(), CliError> {
    let cloud = match (cloud::local_url(global), &args.profile) {
        (Some(_), Some(_)) => return Err(CliError::usage("--profile is of AWS, and --local is not AWS")),
        (Some(_), None) => cloud::connect(global).await?,
        (None, profile) => Cloud::aws(profile.as_deref()).await?,
    };
    let (person, shown) = match sluice_ops::identity::caller(&cloud).await? {
        Some(caller) => (caller.name, format!("AWS {} {}", caller.account, cloud.region())),
        None => {
            let url = cloud::local_url(global).map(ToString::to_string).unwrap_or_default();
            (person()?, format!("Local cloud, {}", url.trim_end_matches('/')))
        }
    };
    let setup = Setup { read_only: args.read_only, allowed_hosts: Vec::new(), person, cloud: shown };
    let listener = listen(args.port).await?;
    let json = output.is_json();
    let app = app(&listener, setup, &cloud, move |url| told(url, json))?;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        if super::dev::signal().await.is_ok() {
            stopped.cancel();
        }
    });
    sluice_console::serve(listener, app, stop).await.map_err(CliError::Output)
}

/// An address that opens the console once. The first is at the start; the next when one was used.
fn told(url: &str, json: bool) {
    let line = if json {
        serde_json::json!({"event": "console", "url": url}).to_string()
    } else {
        format!("{}  {}", paint(Tone::Good, url), paint(Tone::Dim, "opens the console, once; Ctrl-C ends it"))
    };
    // Nobody to tell if standard output is closed.
    let _ = std::io::Write::write_all(&mut anstream::stdout(), format!("{line}\n").as_bytes());
}
