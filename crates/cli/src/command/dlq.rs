//! `sluice dlq`: a look at the dead-letter queues, their redrive, and the draining of the one that
//! points at quarantined events.

mod moves;

use sluice_ops::dlq::{self, DeadLetters, Drained};

use crate::args::DlqCommand;
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Cell, Output, Page, Tone, View, paint};

/// Runs a subcommand.
pub async fn run(command: DlqCommand, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    match command {
        DlqCommand::Queues => moves::list(cloud, output).await,
        DlqCommand::Redrive(args) => moves::redrive(&args, cloud, output).await,
        DlqCommand::Cancel { queue } => output.document(&dlq::cancel(cloud, &queue).await?),
        DlqCommand::Ls { queue, limit } => output.document(&dlq::list(cloud, queue, limit as usize).await?),
        DlqCommand::Drain { limit, dry_run } => {
            let progress = output.progress("looking through the dead-letter queue");
            let drained = dlq::drain(cloud, limit as usize, dry_run).await?;
            drop(progress);
            output.document(&drained)
        }
    }
}

impl View for Drained {
    fn text(&self, _page: &Page) -> String {
        let did = if self.dry_run { "would be removed" } else { "removed" };
        let text = format!(
            "{}: {} looked at, {} {did}, {} kept.",
            self.queue, self.looked_at, self.removed, self.kept
        );
        format!("{}\n", paint(Tone::Good, text))
    }
}

impl View for DeadLetters {
    fn text(&self, page: &Page) -> String {
        if self.messages.is_empty() && page.terminal {
            let hidden = match self.approximate_messages {
                Some(0) | None => "",
                Some(_) => " to be seen now; another reader may have them",
            };
            return format!("{}\n", paint(Tone::Good, format!("No messages in {}{hidden}.", self.queue)));
        }
        let rows = self.messages.iter().map(|letter| {
            let sent: Cell = match letter.sent_at {
                Some(at) if page.terminal => page.ago(at).into(),
                Some(at) => sluice_core::id::rfc3339(at).into(),
                None => "".into(),
            };
            let (code, what) = letter.cause();
            vec![
                letter.member("/ingestId").into(),
                letter.member("/vendorId").into(),
                Cell::new(Tone::Warn, code),
                sent,
                (&letter.message_id).into(),
                what.into(),
            ]
        });
        page.table(&["INGEST ID", "VENDOR", "CAUSE", "SENT", "MESSAGE ID", "MESSAGE"], rows.collect())
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
    use sluice_ops::dlq::Letter;

    use super::*;
    use crate::output::testing::{in_pipe, json, on_terminal};

    fn letter(body: &str) -> Letter {
        let message = Message::builder()
            .message_id("m-1")
            .body(body)
            .attributes(MessageSystemAttributeName::SentTimestamp, "1795255080000")
            .attributes(MessageSystemAttributeName::ApproximateReceiveCount, "3")
            .build();
        Letter::from(message)
    }

    fn list(messages: Vec<Letter>) -> DeadLetters {
        DeadLetters {
            queue: "sluice-dlq".into(),
            url: "http://127.0.0.1:8788/000000000000/sluice-dlq".into(),
            approximate_messages: Some(1),
            messages,
        }
    }

    #[test]
    fn a_dead_letter_is_read() {
        let body = r#"{"ingestId":"01KAJ3Y3R00000000000000001","vendorId":"vendorA","cause":{"code":"mapper_refused","message":"no"}}"#;
        insta::assert_snapshot!(on_terminal(&list(vec![letter(body)])), @"
        INGEST ID                   VENDOR   CAUSE           SENT       MESSAGE ID  MESSAGE 
        01KAJ3Y3R00000000000000001  vendorA  mapper_refused  2 min ago  m-1         no
        ");
        insta::assert_snapshot!(in_pipe(&list(vec![letter("not json")])), @"
        ingest id	vendor	cause	sent	message id	message
        			2026-11-21T09:58:00.000Z	m-1	not json
        ");
        insta::assert_snapshot!(json(&list(vec![letter(body)])), @r#"
        {
          "queue": "sluice-dlq",
          "url": "http://127.0.0.1:8788/000000000000/sluice-dlq",
          "approximateMessages": 1,
          "messages": [
            {
              "messageId": "m-1",
              "sentAt": "2026-11-21T09:58:00.000Z",
              "receiveCount": 3,
              "body": {
                "ingestId": "01KAJ3Y3R00000000000000001",
                "vendorId": "vendorA",
                "cause": {
                  "code": "mapper_refused",
                  "message": "no"
                }
              }
            }
          ]
        }
        "#);
    }

    #[test]
    fn an_empty_look_says_if_others_hold_the_messages() {
        assert_eq!(
            on_terminal(&list(vec![])),
            "No messages in sluice-dlq to be seen now; another reader may have them.\n"
        );
    }
}
