//! `sluice mapper fixture`: a stored event as a redacted fixture, which fails until the mapper is mended.

use std::path::PathBuf;

use serde::Serialize;
use sluice_core::port::RawStore as _;
use sluice_core::record::{LedgerRow, Status};
use sluice_mapping::Message;

use crate::args::FixtureArgs;
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Output, Page, Tone, View, fields, paint, printable};
use crate::publish::contract_of;
use crate::workshop::build::bundle_folder;
use crate::workshop::fixtures::{FIXTURES_FOLDER, pretty, with};
use crate::workshop::redact::{Redacted, Rules, redact};

/// Runs the command.
pub(super) async fn run(args: &FixtureArgs, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    let folder = bundle_folder(&args.dir)?;
    let contract = contract_of(&folder)?;
    let row = cloud.ledger().find_by_ingest_id(args.ingest_id).await?;
    let row = row.ok_or_else(|| CliError::not_found(format!("there is no event {}", args.ingest_id)))?;
    if (&row.key.vendor_id, &row.event_type) != (&contract.vendor_id, &contract.event_type) {
        return Err(CliError::usage(format!(
            "the event is {} {}, and {} maps {} {}",
            row.key.vendor_id,
            row.event_type,
            args.dir.display(),
            contract.vendor_id,
            contract.event_type
        ))
        .with_hint("name the bundle's folder with --dir"));
    }
    let raw = cloud.objects().get(&row.raw_ref).await?;
    let message = Message::open(&row.detail(), &raw)?;
    let rules = Rules { keep: args.keep.clone(), redact: args.redact.clone() };
    let format = contract.payload.format;
    let (stand_in, redacted) = redact(format, &message.payload, &rules).map_err(|error| {
        CliError::Failed(format!(
            "{error}: nothing in it can be told apart, so it is not redacted, and no fixture is made of it"
        ))
    })?;

    let case = args.name.clone().unwrap_or_else(|| case_name(&row));
    if case.is_empty() || case.contains(['/', '\\']) || case.contains(".in.") {
        return Err(CliError::usage(format!("{case:?} cannot be a case's name")));
    }
    let stem = folder.join(FIXTURES_FOLDER).join(&case);
    let input = with(&stem, &format!("in.{}", format.as_str()));
    if input.exists() {
        return Err(CliError::usage(format!("{} is there already", input.display()))
            .with_hint("give the case another name with --name"));
    }
    // What a mapping may depend on; the vendor's id of the event may not be for everyone's eyes.
    let mut meta = serde_json::Map::new();
    if message.meta.schema_version != contract.payload.default_version.as_str() {
        meta.insert("schemaVersion".into(), message.meta.schema_version.clone().into());
    }
    meta.insert("occurredAt".into(), message.meta.occurred_at.into());
    meta.insert("receivedAt".into(), message.meta.received_at.into());
    let overlay = with(&stem, "meta.json");
    for (path, text) in [(&input, stand_in), (&overlay, pretty(&meta.into()).into_bytes())] {
        let failed = |source| CliError::WriteFile { path: path.clone(), source };
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        std::fs::write(path, text).map_err(failed)?;
    }
    output.document(&Made {
        case,
        files: vec![input, overlay],
        cause: row
            .quarantine
            .filter(|_| row.status == Status::Quarantined)
            .map(|note| Cause { code: note.code, message: note.message }),
        redacted,
        folder: args.dir.display().to_string(),
    })
}

/// `edge-payload-schema-violation-7x9q2c`: not `refused…`, since it is to be mapped.
fn case_name(row: &LedgerRow) -> String {
    let cause = match &row.quarantine {
        Some(note) if row.status == Status::Quarantined => {
            note.code.replace(['_', '.'], "-").to_ascii_lowercase()
        }
        _ => "stored".to_owned(),
    };
    let id = row.ingest_id.to_string().to_ascii_lowercase();
    format!("edge-{cause}-{}", &id[id.len() - 6..])
}

#[derive(Debug, Serialize)]
struct Made {
    case: String,
    files: Vec<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<Cause>,
    redacted: Vec<Redacted>,
    #[serde(skip)]
    folder: String,
}

#[derive(Debug, Serialize)]
struct Cause {
    code: String,
    message: String,
}

impl View for Made {
    fn text(&self, page: &Page) -> String {
        let mut text = format!("{} {}\n", paint(Tone::Good, "made"), self.case);
        let mut list: Vec<(&str, String)> =
            self.files.iter().map(|path| ("file", path.display().to_string())).collect();
        if let Some(cause) = &self.cause {
            list.push(("cause", format!("{}: {}", cause.code, printable(&cause.message))));
        }
        text.push_str(&fields(list));
        if self.redacted.is_empty() {
            text.push_str(
                "\nNothing in it was taken for personal or secret: read it before you commit it.\n",
            );
        } else {
            text.push('\n');
            let rows = self.redacted.iter().map(|one| vec![(&one.pointer).into(), one.why.into()]).collect();
            text.push_str(&page.table(&["REPLACED", "TAKEN FOR"], rows));
            text.push_str(
                "\nRead it before you commit it: --redact POINTER replaces more, --keep POINTER less.\n",
            );
        }
        text.push_str(&format!(
            "\nnext: `sluice mapper test {0}` fails with the cause; once the mapper maps it, `sluice mapper test {0} --update`\n",
            self.folder
        ));
        text
    }
}
