//! `sluice mapper rollback`: one command back.

use sluice_ops::mappers::{self, Rollback, RollbackOutcome, RolledBack};

use super::who;
use crate::args::RollbackArgs;
use crate::cloud::Cloud;
use crate::error::CliError;
use crate::output::{Output, Page, Tone, View, fields, paint};

/// Runs the command.
pub(super) async fn run(args: RollbackArgs, cloud: &Cloud, output: &Output) -> Result<(), CliError> {
    let request =
        Rollback { vendor: args.vendor, event_type: args.event_type, to: args.to, reason: args.reason };
    let (store, pointers) = (cloud.bundles(), cloud.vendors());
    output.document(&mappers::rollback(&store, &pointers, &request, &who("rollback")).await?)
}

impl View for RolledBack {
    fn text(&self, _page: &Page) -> String {
        let done = match self.outcome {
            RollbackOutcome::CanaryEnded => "the canary is off: all events go through the active mapper",
            RollbackOutcome::RolledBack => "rolled back",
        };
        let head = format!(
            "{} {}  {}\n",
            paint(Tone::Strong, self.vendor_id.as_str()),
            paint(Tone::Strong, self.event_type.as_str()),
            paint(Tone::Good, done)
        );
        let list = vec![
            ("from", self.from.to_string()),
            ("to", self.to.to_string()),
            ("revision", self.revision.to_string()),
            ("in effect", format!("within {} s", self.in_effect_within_seconds)),
        ];
        format!("{head}{}", fields(list))
    }
}
