//! `sluice quarantine`: what waits for a person, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clap::Parser as _;
use serde::Serialize;
use sluice_core::canonical::count;
use sluice_core::fault::Cause;
use sluice_core::id::{IngestId, VendorId};
use sluice_core::quarantine::{Group, GroupState, groups};
use sluice_core::record::{QuarantineRow, QuarantineStatus, Resolution, Status};

use super::show::find;
use crate::args::{By, Cli, Command, QuarantineCommand, Target};
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, fields, paint, printable, section, time, time_cell};

/// How often the row of an event that the ledger calls quarantined is looked for, and the pause between.
const LOOKS_MAX: u32 = 6;
const LOOK_PAUSE: Duration = Duration::from_millis(250);

/// Events of a group listed for a person; programs get all.
const GROUP_EVENTS_SHOWN: usize = 20;

#[derive(Debug, Serialize)]
struct List {
    quarantine: Vec<QuarantineRow>,
    #[serde(skip)]
    all: bool,
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct One(QuarantineRow);

#[derive(Debug, Serialize)]
struct Groups {
    groups: Vec<Group>,
}

#[derive(Debug, Serialize)]
struct OneGroup {
    #[serde(flatten)]
    group: Group,
    events: Vec<IngestId>,
}

/// What discarding came to.
#[derive(Debug, Serialize)]
struct Discarded {
    discarded: Vec<IngestId>,
    /// Not open any more when it came to it.
    skipped: Vec<IngestId>,
    resolution: Resolution,
}

#[derive(Debug, Serialize)]
struct Acknowledged {
    fingerprint: String,
    open: usize,
    acknowledged: Resolution,
}

/// Runs a subcommand.
pub async fn run(command: QuarantineCommand, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    match command {
        QuarantineCommand::Ls { vendor, all, group } => {
            let status = (!all).then_some(QuarantineStatus::Open);
            let mut quarantine = cloud.quarantine().list(vendor.as_ref(), status).await?;
            if group {
                return output.document(&Groups { groups: grouped(cloud, &quarantine).await? });
            }
            quarantine.sort_by_key(|row| std::cmp::Reverse((row.last_seen_at, row.ingest_id)));
            output.document(&List { quarantine, all })
        }
        QuarantineCommand::Show { target: Target::Event(ingest_id) } => {
            output.document(&One(held(cloud, ingest_id).await?))
        }
        QuarantineCommand::Show { target: Target::Group(fingerprint) } => {
            let rows = rows_of(cloud, &fingerprint).await?;
            let group = grouped(cloud, &rows).await?.into_iter().next();
            let group = group.ok_or_else(|| no_group(&fingerprint))?;
            output.document(&OneGroup { group, events: rows.iter().map(|row| row.ingest_id).collect() })
        }
        QuarantineCommand::Discard { targets, reason, by, yes } => {
            discard(&targets, reason, &by, yes, cloud, output).await
        }
        QuarantineCommand::Release { target, yes } => {
            let (id, group) = match target {
                Target::Event(id) => (Some(id.to_string()), None),
                Target::Group(group) => (None, Some(format!("--group={group}"))),
            };
            let line = ["sluice", "redrive"].into_iter().map(ToOwned::to_owned);
            let line = line.chain(id).chain(group).chain(yes.then(|| "--yes".to_owned()));
            // The defaults of `redrive` are said in one place.
            match Cli::try_parse_from(line).map(|cli| cli.command) {
                Ok(Command::Redrive(args)) => super::redrive::run(&args, cloud, output).await,
                _ => unreachable!("the line is a redrive of one event or group"),
            }
        }
        QuarantineCommand::Ack { group, reason, by } => {
            let open = cloud.quarantine().group(&group).await?.len();
            if open == 0 {
                return Err(CliError::not_found(format!("nothing is open in the group {group}")));
            }
            let acknowledged = resolution(reason, &by)?;
            cloud.quarantine().acknowledge(&group, &acknowledged).await?;
            output.document(&Acknowledged { fingerprint: group, open, acknowledged })
        }
    }
}

fn no_group(fingerprint: &str) -> CliError {
    CliError::not_found(format!("the quarantine has no group {fingerprint}"))
        .with_hint("`sluice quarantine ls --group` lists those that are open, --all the others too")
}

/// The rows of a group: the open ones, or if there are none, those of its history.
async fn rows_of(cloud: &Cloud, fingerprint: &str) -> Result<Vec<QuarantineRow>, CliError> {
    let open = cloud.quarantine().group(fingerprint).await?;
    if !open.is_empty() {
        return Ok(open);
    }
    let all = cloud.quarantine().list(None, None).await?;
    Ok(all.into_iter().filter(|row| row.fingerprint == fingerprint).collect())
}

async fn grouped(cloud: &Cloud, rows: &[QuarantineRow]) -> Result<Vec<Group>, CliError> {
    let fingerprints: BTreeSet<&str> = rows.iter().map(|row| row.fingerprint.as_str()).collect();
    let mut notes = BTreeMap::new();
    for fingerprint in fingerprints {
        if let Some(note) = cloud.quarantine().note(fingerprint).await? {
            notes.insert(fingerprint.to_owned(), note);
        }
    }
    Ok(groups(rows, &notes))
}

/// A decision, for the record.
pub(crate) fn resolution(reason: String, by: &By) -> Result<Resolution, CliError> {
    Ok(Resolution { by: who(by)?, reason, at: jiff::Timestamp::now() })
}

/// Who does something that is recorded.
pub(crate) fn who(by: &By) -> Result<String, CliError> {
    let user = || ["USER", "LOGNAME", "USERNAME"].iter().find_map(|name| std::env::var(name).ok());
    let name = by.name.clone().or_else(user).or_else(user_id).map(|name| name.trim().to_owned());
    name.filter(|name| !name.is_empty()).ok_or_else(|| {
        CliError::usage("it is recorded who does this, and that is not known")
            .with_hint("say --by NAME, or set SLUICE_BY")
    })
}

/// In a container there may be no names.
fn user_id() -> Option<String> {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::MetadataExt as _;
        std::fs::metadata("/proc/self").ok().map(|process| format!("uid {}", process.uid()))
    }
    #[cfg(not(target_os = "linux"))]
    None
}

async fn discard(
    targets: &[Target],
    reason: String,
    by: &By,
    yes: bool,
    cloud: &Cloud,
    output: &Output,
) -> Result<(), CliError> {
    let resolution = resolution(reason, by)?;
    let quarantine = cloud.quarantine();
    let mut rows = Vec::new();
    for target in targets {
        match target {
            Target::Event(ingest_id) => rows.push(held(cloud, *ingest_id).await?),
            Target::Group(fingerprint) => {
                let group = quarantine.group(fingerprint).await?;
                if group.is_empty() {
                    return Err(no_group(fingerprint));
                }
                rows.extend(group);
            }
        }
    }
    rows.sort_by_key(|row| row.ingest_id);
    rows.dedup_by_key(|row| row.ingest_id);
    let by_group = targets.iter().any(|target| matches!(target, Target::Group(_)));
    if by_group && !yes {
        let what = format!("{} would be discarded", count(rows.len(), "event"));
        super::confirm(output, &what)?;
    }
    let (mut discarded, mut skipped) = (Vec::new(), Vec::new());
    for row in rows {
        let done = quarantine.discard(&row.vendor_id, row.ingest_id, &resolution).await?;
        if done { &mut discarded } else { &mut skipped }.push(row.ingest_id);
    }
    let failed = discarded.is_empty();
    output.document(&Discarded { discarded, skipped, resolution })?;
    if failed { Err(CliError::Failed("none of them is open".into())) } else { Ok(()) }
}

/// The quarantine row of an event. `NotFound` says whether there is an event at all.
pub(crate) async fn held(cloud: &Cloud, ingest_id: IngestId) -> Result<QuarantineRow, CliError> {
    let event = find(cloud, ingest_id).await?;
    let quarantine = cloud.quarantine();
    for _ in 0..LOOKS_MAX {
        if let Some(row) = quarantine.find(&event.key.vendor_id, ingest_id).await? {
            return Ok(row);
        }
        // The ledger says so a moment before the quarantine does.
        if event.status != Status::Quarantined {
            break;
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
    Err(CliError::not_found(format!(
        "the event {ingest_id} is not in quarantine: its status is {}",
        event.status.as_str()
    )))
}

/// A cause with every fault of the document.
pub(crate) fn cause_text(cause: &Cause, page: &Page) -> String {
    let mut list = vec![
        ("cause", paint(Tone::Bad, printable(&cause.code))),
        ("message", printable(&cause.message)),
        ("error", printable(&cause.error)),
    ];
    list.extend(cause.bundle.as_ref().map(|bundle| ("bundle", bundle.to_string())));
    let mut text = fields(list);
    if !cause.errors.is_empty() {
        let rows = cause.errors.iter().map(|fault| {
            let pointer = if fault.pointer.is_empty() { "(the payload)" } else { &fault.pointer };
            vec![pointer.into(), (&fault.code).into(), (&fault.message).into()]
        });
        text.push('\n');
        text.push_str(&page.table(&["WHERE", "CODE", "WHAT"], rows.collect()));
    }
    text
}

fn status_cell(status: QuarantineStatus) -> Cell {
    match status {
        QuarantineStatus::Open => Cell::new(Tone::Bad, "OPEN"),
        QuarantineStatus::Released => Cell::new(Tone::Good, "RELEASED"),
        QuarantineStatus::Discarded => Cell::new(Tone::Dim, "DISCARDED"),
    }
}

impl View for List {
    fn text(&self, page: &Page) -> String {
        if self.quarantine.is_empty() && page.terminal {
            let what = if self.all { "Nothing was ever in quarantine." } else { "Nothing is in quarantine." };
            return format!("{}\n", paint(Tone::Good, what));
        }
        let rows = self.quarantine.iter().map(|row| {
            let age: Cell = if page.terminal {
                page.ago(row.last_seen_at).into()
            } else {
                sluice_core::id::rfc3339(row.last_seen_at).into()
            };
            vec![
                row.ingest_id.to_string().into(),
                status_cell(row.status),
                row.vendor_id.as_str().into(),
                row.event_type.as_str().into(),
                Cell::new(Tone::Warn, &row.cause.code),
                row.attempts.to_string().into(),
                age,
                (&row.cause.message).into(),
            ]
        });
        page.table(
            &["INGEST ID", "STATUS", "VENDOR", "TYPE", "CAUSE", "ATTEMPTS", "LAST SEEN", "MESSAGE"],
            rows.collect(),
        )
    }
}

impl View for Groups {
    fn text(&self, page: &Page) -> String {
        if self.groups.is_empty() && page.terminal {
            return format!("{}\n", paint(Tone::Good, "Nothing is in quarantine."));
        }
        let rows = self.groups.iter().map(|group| {
            let vendors: Vec<&str> = group.vendors.keys().map(VendorId::as_str).collect();
            vec![
                (&group.fingerprint).into(),
                state_cell(group.state),
                group.open.to_string().into(),
                vendors.join(",").into(),
                Cell::new(Tone::Warn, &group.code),
                time_cell(page, group.first_seen_at),
                time_cell(page, group.last_seen_at),
                (&group.message).into(),
            ]
        });
        page.table(
            &["GROUP", "STATE", "OPEN", "VENDORS", "CAUSE", "FIRST SEEN", "LAST SEEN", "EXAMPLE"],
            rows.collect(),
        )
    }
}

fn state_cell(state: GroupState) -> Cell {
    match state {
        GroupState::Open => Cell::new(Tone::Bad, "OPEN"),
        GroupState::Acknowledged => Cell::new(Tone::Warn, "ACKNOWLEDGED"),
        GroupState::Resolved => Cell::new(Tone::Good, "RESOLVED"),
    }
}

impl View for OneGroup {
    fn text(&self, page: &Page) -> String {
        let group = &self.group;
        let numbers = |by: Vec<(String, u64)>| {
            by.into_iter().map(|(name, number)| format!("{name} {number}")).collect::<Vec<_>>().join(", ")
        };
        let mut list = vec![
            ("state", state_cell(group.state).plain().to_owned()),
            ("cause", paint(Tone::Bad, printable(&group.code))),
            ("example", printable(&group.message)),
            ("of event", group.example.to_string()),
        ];
        list.extend(group.pointer.clone().map(|pointer| ("where", printable(&pointer))));
        list.extend(group.bundle.clone().map(|bundle| ("bundle", bundle.to_string())));
        list.push(("open", group.open.to_string()));
        list.push(("released", group.released.to_string()));
        list.push(("discarded", group.discarded.to_string()));
        list.push(("vendors", numbers(group.vendors.iter().map(|(id, n)| (id.to_string(), *n)).collect())));
        list.push(("types", numbers(group.event_types.iter().map(|(id, n)| (id.to_string(), *n)).collect())));
        list.push(("first seen", time(group.first_seen_at)));
        list.push(("last seen", time(group.last_seen_at)));
        if let Some(note) = &group.acknowledged {
            list.push(("known to", format!("{}: {}", printable(&note.by), printable(&note.reason))));
        }
        let mut text = fields(list);
        let shown: Vec<Vec<Cell>> =
            self.events.iter().take(GROUP_EVENTS_SHOWN).map(|id| vec![id.to_string().into()]).collect();
        text.push('\n');
        text.push_str(&page.table(&["EVENTS"], shown));
        if self.events.len() > GROUP_EVENTS_SHOWN {
            let more = self.events.len() - GROUP_EVENTS_SHOWN;
            text.push_str(&format!("{}\n", paint(Tone::Dim, format!("… and {more} more"))));
        }
        text
    }
}

impl View for Discarded {
    fn text(&self, _page: &Page) -> String {
        let mut text = format!(
            "{}\n",
            paint(
                Tone::Good,
                format!("{} discarded; nothing was deleted.", count(self.discarded.len(), "event"))
            )
        );
        if !self.skipped.is_empty() {
            let what = count(self.skipped.len(), "event");
            text.push_str(&format!("{}\n", paint(Tone::Warn, format!("{what} not open any more."))));
        }
        text
    }
}

impl View for Acknowledged {
    fn text(&self, _page: &Page) -> String {
        let what = format!("{} acknowledged, with {} open.", self.fingerprint, count(self.open, "event"));
        format!("{}\n", paint(Tone::Good, what))
    }
}

impl View for One {
    fn text(&self, page: &Page) -> String {
        let row = &self.0;
        let mut text = page.table(
            &["INGEST ID", "STATUS", "VENDOR", "TYPE"],
            vec![vec![
                row.ingest_id.to_string().into(),
                status_cell(row.status),
                row.vendor_id.as_str().into(),
                row.event_type.as_str().into(),
            ]],
        );
        text.push_str(&section("Cause", &cause_text(&row.cause, page)));
        text.push('\n');
        text.push_str(&fields([
            ("external id", printable(row.external_event_id.as_str())),
            ("received", time(row.received_at)),
            ("first seen", time(row.first_seen_at)),
            ("last seen", time(row.last_seen_at)),
            ("attempts", row.attempts.to_string()),
            ("fingerprint", row.fingerprint.clone()),
            ("raw", format!("s3://{}/{}", row.raw_ref.bucket, row.raw_ref.key)),
            ("execution", row.execution_arn.clone()),
        ]));
        if let Some(resolution) = &row.resolution {
            text.push_str(&fields([
                ("discarded", time(resolution.at)),
                ("by", printable(&resolution.by)),
                ("because", printable(&resolution.reason)),
            ]));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::show::tests::quarantine_row;
    use crate::output::testing::{in_pipe, json, on_terminal};

    #[test]
    fn a_list_names_causes() {
        let list =
            List { quarantine: vec![quarantine_row("OPEN", 2), quarantine_row("RELEASED", 1)], all: true };
        insta::assert_snapshot!(on_terminal(&list), @"
        INGEST ID                   STATUS    VENDOR   TYPE              CAUSE                     ATTEMPTS  LAST SEEN  MESSAGE                 
        01KAJ3Y3R00000000000000001  OPEN      vendorA  inventory_update  payload_schema_violation  2         60 s ago   the payload has 1 fault
        01KAJ3Y3R00000000000000001  RELEASED  vendorA  inventory_update  payload_schema_violation  1         60 s ago   the payload has 1 fault
        ");
        insta::assert_snapshot!(in_pipe(&list), @"
        ingest id	status	vendor	type	cause	attempts	last seen	message
        01KAJ3Y3R00000000000000001	OPEN	vendorA	inventory_update	payload_schema_violation	2	2026-11-21T09:59:00.000Z	the payload has 1 fault
        01KAJ3Y3R00000000000000001	RELEASED	vendorA	inventory_update	payload_schema_violation	1	2026-11-21T09:59:00.000Z	the payload has 1 fault
        ");
    }

    #[test]
    fn one_has_every_fault() {
        insta::assert_snapshot!(on_terminal(&One(quarantine_row("OPEN", 1))), @"
         INGEST ID                   STATUS  VENDOR   TYPE             
         01KAJ3Y3R00000000000000001  OPEN    vendorA  inventory_update

        Cause
          cause    payload_schema_violation
          message  the payload has 1 fault
          error    Rejected

         WHERE  CODE  WHAT                                
         /qty   type  must be of type integer, not string

          external id  evt-1
          received     2026-11-21 09:58:00.000Z
          first seen   2026-11-21 09:58:02.000Z
          last seen    2026-11-21 09:59:00.000Z
          attempts     1
          fingerprint  0123456789abcdef
          raw          s3://sluice-raw/raw/k
          execution    arn:aws:states:us-east-1:000000000000:execution:sluice-recover:01KAJ3Y3R00000000000000001-0
        ");
        insta::assert_snapshot!(json(&One(quarantine_row("OPEN", 1))), @r#"
        {
          "vendorId": "vendorA",
          "ingestId": "01KAJ3Y3R00000000000000001",
          "externalEventId": "evt-1",
          "eventType": "inventory_update",
          "status": "OPEN",
          "cause": {
            "error": "Rejected",
            "code": "payload_schema_violation",
            "message": "the payload has 1 fault",
            "errors": [
              {
                "pointer": "/qty",
                "code": "type",
                "message": "must be of type integer, not string"
              }
            ]
          },
          "fingerprint": "0123456789abcdef",
          "attempts": 1,
          "executionArn": "arn:aws:states:us-east-1:000000000000:execution:sluice-recover:01KAJ3Y3R00000000000000001-0",
          "rawRef": {
            "bucket": "sluice-raw",
            "key": "raw/k"
          },
          "receivedAt": "2026-11-21T09:58:00.000Z",
          "firstSeenAt": "2026-11-21T09:58:02.000Z",
          "lastSeenAt": "2026-11-21T09:59:00.000Z"
        }
        "#);
    }

    #[test]
    fn nothing_is_said_in_words_to_a_person_only() {
        let none = List { quarantine: Vec::new(), all: false };
        assert_eq!(on_terminal(&none), "Nothing is in quarantine.\n");
        assert_eq!(in_pipe(&none).lines().count(), 1, "the header");
        assert_eq!(json(&none), "{\n  \"quarantine\": []\n}");
    }
}
