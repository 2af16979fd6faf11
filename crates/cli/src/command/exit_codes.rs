//! `sluice exit-codes`.

use serde::Serialize;

use crate::error::{CliError, ExitKind};
use crate::output::{Output, Page, View};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Codes {
    exit_codes: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    code: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    meaning: &'static str,
}

impl View for Codes {
    fn text(&self, page: &Page) -> String {
        let rows = self.exit_codes.iter();
        let rows = rows.map(|row| {
            vec![row.code.to_string().into(), row.kind.unwrap_or_default().into(), row.meaning.into()]
        });
        page.table(&["CODE", "KIND", "MEANING"], rows.collect())
    }
}

/// Lists what the exit codes mean.
pub fn run(output: &Output) -> Result<(), CliError> {
    output.document(&codes())
}

fn codes() -> Codes {
    let done = Row { code: 0, kind: None, meaning: "done" };
    let kinds = ExitKind::ALL;
    let failures =
        kinds.iter().map(|kind| Row { code: kind.code(), kind: Some(kind.name()), meaning: kind.meaning() });
    Codes { exit_codes: std::iter::once(done).chain(failures).collect() }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_codes_are_listed() {
        insta::assert_snapshot!(crate::output::testing::on_terminal(&super::codes()), @"
        CODE  KIND         MEANING                                                                   
        0                  done
        1     failed       the command ran, but what it should bring about did not come about
        2     usage        the command line, the configuration, or a file that it names is not valid
        3     not_found    there is no such event, vendor, bundle or object
        4     refused      the service refused: any 4xx of the ingest API, or AWS said no
        5     unavailable  no answer, a time-out, a throttle or a 5xx: it may succeed later
        6     unsupported  a case that this host or this version cannot judge
        ");
    }
}
