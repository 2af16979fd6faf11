//! `sluice dev`: the local cloud, the examples if they are wanted, and a line for each thing that happens.

mod examples;
mod log;

use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use sluice_core::digest::Sha256Hex;
use sluice_core::id::{EventType, VendorId};
use sluice_local::{Data, Options};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::console;
use crate::args::DevArgs;
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Output, Page, Tone, paint, printable};
use examples::Examples;
use log::Log;

/// How long the console may take to end at a shutdown.
const CONSOLE_END: Duration = Duration::from_secs(2);

/// What runs, as the first JSON line says it.
#[derive(Debug, Serialize)]
struct Ready {
    event: &'static str,
    api: String,
    aws: String,
    /// The address that opens the console, once.
    #[serde(skip_serializing_if = "Option::is_none")]
    console: Option<String>,
    /// The file with the access key of the AWS endpoint.
    credentials: String,
    data: Option<String>,
    /// The file with the keys and secrets of the example vendors, which are shown nowhere else.
    #[serde(skip_serializing_if = "Option::is_none")]
    examples: Option<String>,
    vendors: Vec<Vendor>,
    mappers: Vec<Mapper>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Vendor {
    vendor_id: VendorId,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Mapper {
    vendor_id: VendorId,
    event_type: EventType,
    bundle: Sha256Hex,
    revision: u64,
}

/// Runs until Ctrl-C or SIGTERM.
pub async fn run(args: &DevArgs, output: &Output) -> Result<(), CliError> {
    // Read and judged before anything is started: a mistake in a file should not leave a half-filled folder.
    let examples = if args.examples { Some(Examples::find(args.examples_dir.as_deref())?) } else { None };
    let page = output.page();
    let readable = page.terminal && !output.is_json();
    let log = Log::start(readable)?;
    let progress = output.progress("starting the local cloud");
    let options = Options {
        ingest_port: args.port,
        aws_port: args.aws_port,
        data: match (&args.data, args.ephemeral) {
            (_, true) => Data::Ephemeral,
            (Some(folder), false) => Data::Directory(folder.clone()),
            (None, false) => Data::Directory(".sluice".into()),
        },
        allowed_hosts: args.allowed_hosts.iter().cloned().collect(),
        opened_later: true,
        ..Options::default()
    };
    let local = sluice_local::Cloud::start(options).await.map_err(|error| CliError::Local {
        message: "the local cloud did not start".into(),
        hint: None,
        source: Some(Box::new(error)),
    })?;
    let cloud = Cloud::in_process(local.sdk_config());
    if let Some(examples) = &examples {
        examples.install(&cloud, |what| progress.say(what)).await?;
    }
    let stop = CancellationToken::new();
    let console = serve_console(args, &cloud, &log, readable, &stop).await?;
    let ready = Ready {
        event: "ready",
        api: local.ingest_url(),
        aws: local.aws_url(),
        console: console.as_ref().map(|(address, _)| address.clone()),
        credentials: absolute(&local.credentials_file()),
        data: (!args.ephemeral).then(|| absolute(local.data_folder())),
        examples: examples.as_ref().map(|examples| examples.vendors_file().display().to_string()),
        vendors: vendors(&cloud).await?,
        mappers: mappers(&cloud).await?,
    };
    local.open();
    drop(progress);
    if readable {
        log.open(banner(&ready, &page, args, examples.as_ref()));
    } else {
        let line = serde_json::to_string(&ready).map_err(|error| CliError::Output(error.into()))?;
        log.open(format!("{line}\n"));
    }
    signal().await?;
    // A second one means it.
    tokio::spawn(async {
        if signal().await.is_ok() {
            std::process::exit(130);
        }
    });
    if readable {
        log.line(format!(
            "\n{}\n",
            paint(Tone::Dim, "stopping: answering what is under way (Ctrl-C again to leave now)")
        ));
    }
    stop.cancel();
    if let Some((_, serving)) = console {
        // A browser that keeps a connection does not keep the process.
        let _ = tokio::time::timeout(CONSOLE_END, serving).await;
    }
    local.shutdown().await;
    log.close();
    Ok(())
}

/// Serves the console, and gives the first address that opens it. Later ones are lines of the log.
async fn serve_console(
    args: &DevArgs,
    cloud: &Cloud,
    log: &Log,
    readable: bool,
    stop: &CancellationToken,
) -> Result<Option<(String, JoinHandle<()>)>, CliError> {
    if args.no_console {
        return Ok(None);
    }
    let listener = console::listen(args.console_port).await?;
    let setup = console::Setup {
        read_only: false,
        allowed_hosts: args.allowed_hosts.clone(),
        // In a container nobody may have a name; what is done there is recorded all the same.
        person: console::person().unwrap_or_else(|_| "local user".into()),
        cloud: "Local cloud".into(),
    };
    let (first, mut told) = tokio::sync::mpsc::unbounded_channel();
    let app = console::app(&listener, setup, cloud, move |url| {
        // Nobody listens any more once the process ends.
        let _ = first.send(url.to_owned());
    })?;
    let serving = sluice_console::serve(listener, app, stop.clone());
    let serving = tokio::spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, "the console ended");
        }
    });
    let Some(address) = told.recv().await else { return Ok(None) };
    let write = log.writer();
    tokio::spawn(async move {
        while let Some(url) = told.recv().await {
            write(if readable {
                format!(
                    "  {} {}\n",
                    paint(Tone::Dim, "console, for another browser:"),
                    paint(Tone::Good, url)
                )
            } else {
                format!("{}\n", serde_json::json!({"event": "console", "url": url}))
            });
        }
    });
    Ok(Some((address, serving)))
}

/// Resolves at Ctrl-C or SIGTERM.
pub(crate) async fn signal() -> Result<(), CliError> {
    let failed = |source: std::io::Error| CliError::Local {
        message: "signals cannot be listened for".into(),
        hint: None,
        source: Some(Box::new(source)),
    };
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        tokio::select! {
            pressed = tokio::signal::ctrl_c() => pressed.map_err(failed),
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await.map_err(failed)
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

async fn vendors(cloud: &Cloud) -> Result<Vec<Vendor>, CliError> {
    let mut all: Vec<Vendor> = cloud
        .vendors()
        .list()
        .await?
        .into_iter()
        .map(|profile| Vendor { vendor_id: profile.vendor_id })
        .collect();
    all.sort_by(|a, b| a.vendor_id.cmp(&b.vendor_id));
    Ok(all)
}

async fn mappers(cloud: &Cloud) -> Result<Vec<Mapper>, CliError> {
    let mut mappers: Vec<Mapper> = cloud
        .vendors()
        .list_mappers()
        .await?
        .into_iter()
        .map(|active| Mapper {
            vendor_id: active.contract.vendor_id,
            event_type: active.contract.event_type,
            bundle: active.bundle,
            revision: active.revision,
        })
        .collect();
    mappers.sort_by(|a, b| (&a.vendor_id, &a.event_type).cmp(&(&b.vendor_id, &b.event_type)));
    Ok(mappers)
}

fn banner(ready: &Ready, page: &Page, args: &DevArgs, examples: Option<&Examples>) -> String {
    let name = |text: &str| paint(Tone::Dim, format!("{text:13}"));
    let mut text = format!(
        "\n  {}  {}\n\n",
        paint(Tone::Strong, "Sluice"),
        paint(Tone::Dim, concat!(env!("CARGO_PKG_VERSION"), ", the local cloud"))
    );
    text.push_str(&format!("  {}{}\n", name("ingest API"), paint(Tone::Good, &ready.api)));
    text.push_str(&format!(
        "  {}{}  {}\n",
        name("AWS endpoint"),
        paint(Tone::Good, &ready.aws),
        paint(Tone::Dim, "eval \"$(sluice --local env)\" makes aws, boto3 and the SDKs use it")
    ));
    if let Some(console) = &ready.console {
        let what = "opens it once; the next address is printed when it was used";
        text.push_str(&format!(
            "  {}{}  {}\n",
            name("console"),
            paint(Tone::Good, console),
            paint(Tone::Dim, what)
        ));
    }
    let data = ready.data.as_deref().unwrap_or("temporary, goes away with this process");
    text.push_str(&format!("  {}{}\n", name("data"), printable(data)));

    let id_width =
        ready.vendors.iter().map(|vendor| vendor.vendor_id.as_str().len()).max().unwrap_or_default();
    for (index, vendor) in ready.vendors.iter().enumerate() {
        let types: Vec<&str> = ready
            .mappers
            .iter()
            .filter(|mapper| mapper.vendor_id == vendor.vendor_id)
            .map(|mapper| mapper.event_type.as_str())
            .collect();
        text.push_str(&format!(
            "  {}{:id_width$}  {}\n",
            name(if index == 0 { "vendors" } else { "" }),
            vendor.vendor_id.as_str(),
            paint(Tone::Dim, types.join(", "))
        ));
    }
    if let Some(file) = &ready.examples {
        text.push_str(&format!("  {}{}\n", name("their keys"), printable(file)));
    }
    text.push('\n');
    text.push_str(&hints(ready, page, args, examples));
    text
}

/// What one can type next.
fn hints(ready: &Ready, _page: &Page, args: &DevArgs, examples: Option<&Examples>) -> String {
    let mut text = String::new();
    if args.port != 8787 || args.aws_port != 8788 {
        text.push_str(&format!(
            "  {} export SLUICE_LOCAL={} SLUICE_API={}\n",
            paint(Tone::Dim, "in other shells:"),
            ready.aws,
            ready.api
        ));
    }
    match examples.and_then(Examples::sample) {
        Some(file) => {
            text.push_str(&format!(
                "  {} sluice --local --api {} send {} --key KEY; sluice --local ls\n",
                paint(Tone::Dim, "try:"),
                ready.api,
                file.display()
            ));
        }
        None if ready.vendors.is_empty() => text.push_str(&format!(
            "  {} sluice --local vendors add --id acme; sluice --local mapper publish BUNDLE_DIR   {}\n",
            paint(Tone::Dim, "next:"),
            paint(Tone::Dim, "(or start with --examples)")
        )),
        None => text.push_str(&format!("  {} sluice --local ls\n", paint(Tone::Dim, "try:"))),
    }
    text.push_str(&format!(
        "\n  {}\n\n",
        paint(Tone::Dim, "Ctrl-C stops it; what was acknowledged goes on at the next start.")
    ));
    text
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};
    use crate::output::testing::{page, plain};

    fn args(line: &str) -> DevArgs {
        let line = format!("sluice dev {line}");
        match Cli::try_parse_from(line.split_whitespace()).unwrap().command {
            Command::Dev(args) => args,
            other => panic!("{other:?}"),
        }
    }

    fn ready() -> Ready {
        Ready {
            event: "ready",
            api: "http://127.0.0.1:8787".into(),
            aws: "http://127.0.0.1:8788".into(),
            console: Some("http://127.0.0.1:8789/start/0123".into()),
            credentials: "/home/ada/sluice/.sluice/aws-credentials".into(),
            data: Some("/home/ada/sluice/.sluice".into()),
            examples: Some("examples/vendors.json".into()),
            vendors: vec![
                Vendor { vendor_id: "acme".parse().unwrap() },
                Vendor { vendor_id: "vendorA".parse().unwrap() },
            ],
            mappers: vec![Mapper {
                vendor_id: "vendorA".parse().unwrap(),
                event_type: "inventory_update".parse().unwrap(),
                bundle: Sha256Hex::of(b"b"),
                revision: 1,
            }],
        }
    }

    #[test]
    fn the_banner_says_where_and_what() {
        insta::assert_snapshot!(plain(&banner(&ready(), &page(true), &args(""), None)), @r#"

        Sluice  0.1.0, the local cloud

        ingest API   http://127.0.0.1:8787
        AWS endpoint http://127.0.0.1:8788  eval "$(sluice --local env)" makes aws, boto3 and the SDKs use it
        console      http://127.0.0.1:8789/start/0123  opens it once; the next address is printed when it was used
        data         /home/ada/sluice/.sluice
        vendors      acme     
                     vendorA  inventory_update
        their keys   examples/vendors.json

        try: sluice --local ls

        Ctrl-C stops it; what was acknowledged goes on at the next start.
        "#);
    }

    #[test]
    fn other_ports_are_said_to_other_shells() {
        let text =
            plain(&banner(&Ready { vendors: vec![], ..ready() }, &page(true), &args("--port 0"), None));
        assert!(
            text.contains("export SLUICE_LOCAL=http://127.0.0.1:8788 SLUICE_API=http://127.0.0.1:8787"),
            "{text}"
        );
        assert!(text.contains("or start with --examples"), "{text}");
    }

    #[test]
    fn the_first_line_for_programs() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&ready()).unwrap(), @r#"
        {
          "event": "ready",
          "api": "http://127.0.0.1:8787",
          "aws": "http://127.0.0.1:8788",
          "console": "http://127.0.0.1:8789/start/0123",
          "credentials": "/home/ada/sluice/.sluice/aws-credentials",
          "data": "/home/ada/sluice/.sluice",
          "examples": "examples/vendors.json",
          "vendors": [
            {
              "vendorId": "acme"
            },
            {
              "vendorId": "vendorA"
            }
          ],
          "mappers": [
            {
              "vendorId": "vendorA",
              "eventType": "inventory_update",
              "bundle": "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d",
              "revision": 1
            }
          ]
        }
        "#);
    }
}
