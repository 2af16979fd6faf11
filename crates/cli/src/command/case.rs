//! `sluice case`: one event as a file, and its proof. The work is in [`sluice_ops::case`].

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use sluice_core::contract::Format;
use sluice_mapper_host::Host;
use sluice_mapping::TrustKeys;
use sluice_ops::case::file::FILE_BYTES_MAX;
use sluice_ops::case::{Checked, Exported, Redact, Verdict, Verified, export, verify};

use crate::args::{CaseCommand, CaseExportArgs, CaseVerifyArgs, Global};
use crate::cloud;
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, fields, paint, printable, section};
use crate::workshop::redact::{Rules, redact};

/// Largest file of public keys, in bytes.
const KEYS_BYTES_MAX: usize = 64 << 10;

/// Runs a subcommand. Only an export needs a cloud.
pub async fn run(command: CaseCommand, global: &Global, output: &Output) -> Result<(), CliError> {
    match command {
        CaseCommand::Export(args) => write(&args, global, output).await,
        CaseCommand::Verify(args) => prove(&args, output),
    }
}

async fn write(args: &CaseExportArgs, global: &Global, output: &Output) -> Result<(), CliError> {
    let path = args.out.clone().unwrap_or_else(|| PathBuf::from(format!("{}.case.json", args.ingest_id)));
    if path.exists() {
        return Err(CliError::usage(format!("{} is there already", path.display()))
            .with_hint("name another file with --out"));
    }
    let cloud = cloud::connect(global).await?;
    let host = Host::new()?;
    let rules = Rules { keep: args.keep.clone(), redact: args.redact.clone() };
    let stand_in = move |format: Format, payload: &[u8]| {
        redact(format, payload, &rules).map(|(bytes, _)| bytes).map_err(|error| error.to_string())
    };
    let redact: Option<Redact<'_>> = args.redacted.then_some(&stand_in);
    let exported = export(&cloud, &host, args.ingest_id, redact).await?;
    let failed = |source| CliError::WriteFile { path: path.clone(), source };
    let mut file = std::fs::File::create_new(&path).map_err(failed)?;
    file.write_all(&exported.bytes).map_err(failed)?;
    output.document(&Wrote { file: path.clone(), exported })
}

#[derive(Serialize)]
struct Wrote {
    file: PathBuf,
    #[serde(flatten)]
    exported: Exported,
}

impl View for Wrote {
    fn text(&self, _page: &Page) -> String {
        let exported = &self.exported;
        let mut list = vec![
            ("event", exported.ingest_id.to_string()),
            ("comes to", printable(&exported.outcome.sentence())),
            ("bundle", exported.bundle.to_string()),
            ("size", format!("{} bytes in {} parts", exported.bytes.len(), exported.parts.len())),
            ("sha256", exported.sha256.to_string()),
        ];
        let what =
            if exported.redacted { "the message is a stand-in" } else { "the message is as it was received" };
        list.push(("content", what.to_owned()));
        format!(
            "{} {}\n{}\nnext: sluice case verify {} --trust KEY\n",
            paint(Tone::Good, "wrote"),
            self.file.display(),
            fields(list),
            self.file.display()
        )
    }
}

fn prove(args: &CaseVerifyArgs, output: &Output) -> Result<(), CliError> {
    let bytes = bounded(&args.file, FILE_BYTES_MAX)?;
    let trust = match args.trust.is_empty() {
        true => None,
        false => {
            let mut pem = String::new();
            for path in &args.trust {
                let text = bounded(path, KEYS_BYTES_MAX)?;
                let text = String::from_utf8_lossy(&text).into_owned();
                // Each by itself, so that the one that is none is named.
                TrustKeys::from_pem(&text).map_err(|error| CliError::InvalidFile {
                    path: path.clone(),
                    problem: format!("is no public key: {error}"),
                    hint: None,
                })?;
                pem.push_str(&text);
                pem.push('\n');
            }
            Some(TrustKeys::from_pem(&pem).map_err(|error| CliError::usage(error.to_string()))?)
        }
    };
    let found = verify(&Host::new()?, &bytes, trust.as_ref())?;
    let (verdict, findings) = (found.verdict, found.findings());
    output.document(&found)?;
    match verdict {
        Verdict::Reproduced => Ok(()),
        Verdict::Unsupported => Err(CliError::Unsupported(findings.join("; "))),
        Verdict::Untrusted | Verdict::Differs => Err(CliError::Failed(findings.join("; "))),
    }
}

/// A file of no more than so many bytes: no more is read, whatever it is.
fn bounded(path: &Path, bytes_max: usize) -> Result<Vec<u8>, CliError> {
    let failed = |source| CliError::ReadFile { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(bytes_max as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    match bytes.len() > bytes_max {
        true => Err(CliError::InvalidFile {
            path: path.to_owned(),
            problem: format!("has more than {bytes_max} bytes"),
            hint: None,
        }),
        false => Ok(bytes),
    }
}

impl View for Verified {
    fn text(&self, page: &Page) -> String {
        let verdict = match self.verdict {
            Verdict::Reproduced => {
                paint(Tone::Good, "reproduced: the same comes of it here, and every digest holds")
            }
            Verdict::Untrusted => paint(Tone::Bad, "untrusted: no trusted key has signed for the bundle"),
            Verdict::Unsupported => {
                paint(Tone::Warn, "unsupported: it cannot be judged by this version on this host")
            }
            Verdict::Differs => paint(Tone::Bad, "differs: it is not what it was"),
        };
        let mut list = vec![("verdict", verdict)];
        list.extend(self.ingest_id.as_deref().map(|id| ("event", printable(id))));
        list.extend(self.bundle.as_ref().map(|bundle| ("bundle", bundle.to_string())));
        list.extend(self.recorded.as_ref().map(|outcome| ("recorded", printable(&outcome.sentence()))));
        list.extend(self.reproduced.as_ref().map(|outcome| ("here", printable(&outcome.sentence()))));
        if self.redacted {
            list.push(("content", "the message is a stand-in".to_owned()));
        }
        list.push(("sha256", self.sha256.to_string()));
        let mut text = fields(list);
        let rows = self.checks.iter().map(|check| {
            let result = match check.result {
                Checked::Holds => Cell::new(Tone::Good, "holds"),
                Checked::Differs => Cell::new(Tone::Bad, "differs"),
                Checked::Untrusted => Cell::new(Tone::Bad, "untrusted"),
                Checked::Unsupported => Cell::new(Tone::Warn, "unsupported"),
                Checked::NotChecked => Cell::new(Tone::Warn, "not checked"),
            };
            vec![printable(&check.of).into(), result, printable(&check.message).into()]
        });
        text.push_str(&section("Checks", &page.table(&["OF", "RESULT", "FOUND"], rows.collect())));
        text
    }
}
