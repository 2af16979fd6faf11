//! `sluice mapper check`: everything that is wrong with a bundle, at once. The work is in [`crate::workshop::check`].

use crate::args::CheckArgs;
use crate::error::CliError;
use crate::output::{Output, Page, Tone, View, fields, paint, printable};
use crate::workshop::check::{Checked, check};

use super::build::module;

/// Runs the command.
pub(super) fn run(args: &CheckArgs, output: &Output) -> Result<(), CliError> {
    // A module that does not build is one of the faults.
    let module = module(&args.bundle, &args.module, output);
    let checked = check(&args.bundle, module);
    output.document(&checked)?;
    match checked.faults.len() {
        0 => Ok(()),
        1 => Err(CliError::usage(format!("{} has a fault", args.bundle.display()))),
        faults => Err(CliError::usage(format!("{} has {faults} faults", args.bundle.display()))),
    }
}

impl View for Checked {
    fn text(&self, _page: &Page) -> String {
        let mut text = String::new();
        for fault in &self.faults {
            text.push_str(&format!(
                "{} {}{} {}\n",
                paint(Tone::Bad, fault.code),
                paint(Tone::Strong, printable(&fault.file)),
                if fault.pointer.is_empty() {
                    String::new()
                } else {
                    format!(" {}", printable(&fault.pointer))
                },
                printable(&fault.message)
            ));
        }
        if self.faults.is_empty() {
            text.push_str(&format!("{}\n", paint(Tone::Good, "nothing is wrong")));
        }
        let mut list = Vec::new();
        if let Some(module) = &self.module {
            list.push((
                "module",
                format!(
                    "{} bytes, {} functions, starts with {} bytes of memory",
                    module.bytes, module.functions, module.memory_bytes
                ),
            ));
        }
        list.push(("schemas", self.schemas.to_string()));
        list.push(("fixtures", self.fixtures.to_string()));
        text.push_str(&fields(list));
        text
    }
}
