//! `sluice quarantine`: what waits for a person, and why.

use clap::Parser as _;
use sluice_core::canonical::count;
use sluice_core::id::VendorId;
use sluice_core::quarantine::GroupState;
use sluice_core::record::{QuarantineRow, QuarantineStatus};
use sluice_ops::quarantine::{
    self, Acknowledged, Discarded, GroupList, OneGroup, QuarantineList, Target, resolution,
};

use super::cause_text;
use crate::args::{By, Cli, Command, QuarantineCommand};
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, fields, paint, printable, section, time, time_cell};

/// Events of a group listed for a person; programs get all.
const GROUP_EVENTS_SHOWN: usize = 20;

/// Runs a subcommand.
pub async fn run(command: QuarantineCommand, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    match command {
        QuarantineCommand::Ls { vendor, all, group: false } => {
            output.document(&quarantine::list(cloud, vendor.as_ref(), all).await?)
        }
        QuarantineCommand::Ls { vendor, all, group: true } => {
            output.document(&quarantine::groups(cloud, vendor.as_ref(), all).await?)
        }
        QuarantineCommand::Show { target: Target::Event(ingest_id) } => {
            output.document(&quarantine::held(cloud, ingest_id).await?)
        }
        QuarantineCommand::Show { target: Target::Group(fingerprint) } => {
            output.document(&quarantine::group(cloud, &fingerprint).await?)
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
            let known = resolution(by.who()?, reason);
            output.document(&quarantine::acknowledge(cloud, &group, known).await?)
        }
    }
}

async fn discard(
    targets: &[Target],
    reason: String,
    by: &By,
    yes: bool,
    cloud: &Cloud,
    output: &Output,
) -> Result<(), CliError> {
    let resolution = resolution(by.who()?, reason);
    let rows = quarantine::targeted(cloud, targets).await?;
    let by_group = targets.iter().any(|target| matches!(target, Target::Group(_)));
    if by_group && !yes {
        let what = format!("{} would be discarded", count(rows.len(), "event"));
        super::confirm(output, &what)?;
    }
    let done = quarantine::discard(cloud, &rows, resolution).await?;
    output.document(&done)?;
    if done.discarded.is_empty() { Err(CliError::Failed("none of them is open".into())) } else { Ok(()) }
}

fn status_cell(status: QuarantineStatus) -> Cell {
    match status {
        QuarantineStatus::Open => Cell::new(Tone::Bad, "OPEN"),
        QuarantineStatus::Released => Cell::new(Tone::Good, "RELEASED"),
        QuarantineStatus::Discarded => Cell::new(Tone::Dim, "DISCARDED"),
    }
}

impl View for QuarantineList {
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

impl View for GroupList {
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

impl View for QuarantineRow {
    fn text(&self, page: &Page) -> String {
        let row = self;
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
    use sluice_ops::testing::quarantine_row;

    use super::*;
    use crate::output::testing::{in_pipe, json, on_terminal};

    #[test]
    fn a_list_names_causes() {
        let list = QuarantineList {
            quarantine: vec![quarantine_row("OPEN", 2), quarantine_row("RELEASED", 1)],
            all: true,
        };
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
        insta::assert_snapshot!(on_terminal(&quarantine_row("OPEN", 1)), @"
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
        insta::assert_snapshot!(json(&quarantine_row("OPEN", 1)), @r#"
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
        let none = QuarantineList { quarantine: Vec::new(), all: false };
        assert_eq!(on_terminal(&none), "Nothing is in quarantine.\n");
        assert_eq!(in_pipe(&none).lines().count(), 1, "the header");
        assert_eq!(json(&none), "{\n  \"quarantine\": []\n}");
    }
}
