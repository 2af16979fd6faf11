//! A mapper of an X12 interchange: a copy of the bundle that Sluice has for its transaction set, whose tables of qualifiers are
//! extended by what the sample has in their places. What an 846, an 850 or an 856 says is the standard's; which qualifiers a partner uses is
//! the partner's.

use std::ops::Range;

use sluice_core::id::CanonicalType;

use super::super::sample::Suggestion;
use super::{Content, Plan, Sample};
use crate::error::CliError;

/// Transaction sets that there is a bundle for: set, bundle, what it becomes, segments that the bundle reads.
const SETS: &[(&str, &str, &str, &[&str])] = &[
    (
        "846",
        "x12-inventory-advice",
        "InventoryUpdated",
        &["BIA", "N1", "LIN", "PID", "QTY", "SDQ", "DTM", "SCH", "SLN", "MEA", "G53", "CTT"],
    ),
    (
        "850",
        "x12-purchase-order",
        "OrderPlaced",
        &[
            "BEG", "CUR", "DTM", "PER", "MSG", "NTE", "N1", "N2", "N3", "N4", "SAC", "TXI", "PO1", "PID",
            "SCH", "SLN", "CTP", "MEA", "CTT", "AMT",
        ],
    ),
    (
        "856",
        "x12-ship-notice",
        "ShipmentNotified",
        &[
            "BSN", "HL", "LIN", "SN1", "PRF", "MAN", "TD1", "TD5", "REF", "DTM", "N1", "N2", "N3", "N4",
            "PER", "PID", "CLD", "SLN", "MEA", "CTT",
        ],
    ),
];

/// Segments of the envelopes, which the SDK reads.
const ENVELOPES: &[&str] = &["ISA", "GS", "ST", "SE", "GE", "IEA"];

fn set(
    sample: &Sample,
) -> Result<&'static (&'static str, &'static str, &'static str, &'static [&'static str]), CliError> {
    let stated = sample.event_type.as_ref().map_or("", |set| set.as_str());
    SETS.iter().find(|(set, ..)| *set == stated).ok_or_else(|| {
        CliError::usage(format!(
            "no mapper is made of the transaction set {stated}: there are 846, 850 and 856"
        ))
        .with_hint("for another set start from mappers-wasm/x12-inventory-advice and `mapper_sdk::x12`")
    })
}

/// What the transaction set of an X12 sample becomes; `None` for another format.
pub fn canonical_of(sample: &Sample) -> Result<Option<CanonicalType>, CliError> {
    if !matches!(sample.content, Content::X12(_)) {
        return Ok(None);
    }
    let (_, _, canonical, _) = set(sample)?;
    canonical.parse().map(Some).map_err(|error| CliError::usage(format!("{error}")))
}

impl Plan {
    fn x12(&self) -> impl Iterator<Item = &[Vec<String>]> {
        self.samples.iter().filter_map(|sample| match &sample.content {
            Content::X12(segments) => Some(&segments[..]),
            _ => None,
        })
    }

    /// The copied sources, with the sample's own qualifiers.
    pub(super) fn x12_sources(&self) -> Result<Vec<(String, Vec<u8>)>, CliError> {
        let Some(sample) = self.samples.first() else { return Ok(Vec::new()) };
        let (stated, bundle, canonical, _) = set(sample)?;
        if self.canonical.r#type.as_str() != *canonical {
            return Err(CliError::usage(format!(
                "an X12 {stated} becomes {canonical}, not {}",
                self.canonical.r#type
            )));
        }
        let folder = self.mappers.join(bundle).join("src");
        let unread = |source| CliError::ReadFile { path: folder.clone(), source };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(unread)? {
            let path = entry.map_err(unread)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path)
                .map_err(|source| CliError::ReadFile { path: path.clone(), source })?;
            files.push((format!("src/{name}"), self.adapted(&text, name == "lib.rs", bundle).into_bytes()));
        }
        files.sort();
        Ok(files)
    }

    fn adapted(&self, text: &str, root: bool, bundle: &str) -> String {
        let mut text = text.to_owned();
        let mut parties = self.first_at("N1", |n| n == 1);
        // Those that the bundle knows to be no place.
        if let Some(known) = listed(&text, "PARTY_CODES") {
            parties.retain(|segment| !segment.iter().any(|code| known.contains(code)));
        }
        let articles = self.first_at("LIN", |n| n >= 2 && n % 2 == 0);
        for (table, found) in [("ARTICLE_QUALIFIERS", articles), ("WAREHOUSE_CODES", parties)] {
            text = extended(&text, table, &found);
        }
        match text.split_once('\n').filter(|_| root) {
            Some((first, rest)) => format!(
                "{first}\n//!\n//! Made by `sluice mapper new` for `{}` of Sluice's bundle `{bundle}`: read it against the partner's guide.\n{rest}",
                self.vendor_id
            ),
            None => text,
        }
    }

    /// What each segment of a name has in certain elements, in the order of the samples, without what is there twice.
    fn first_at(&self, id: &str, wanted: impl Fn(usize) -> bool) -> Vec<Vec<String>> {
        let segments = self.x12().flatten().filter(|segment| segment[0] == id);
        segments
            .map(|segment| {
                let elements = segment.iter().enumerate().filter(|(n, text)| wanted(*n) && !text.is_empty());
                elements.map(|(_, text)| text.clone()).collect()
            })
            .collect()
    }

    /// Segments of the samples that the mapper does not read.
    pub(super) fn x12_suggestion(&self) -> Suggestion {
        let Some(Ok((_, _, _, read))) = self.samples.first().map(set) else { return Suggestion::default() };
        let mut unused: Vec<String> = Vec::new();
        for segment in self.x12().flatten() {
            let id = &segment[0];
            if !read.contains(&id.as_str()) && !ENVELOPES.contains(&id.as_str()) && !unused.contains(id) {
                unused.push(id.clone());
            }
        }
        Suggestion { unused, ..Suggestion::default() }
    }
}

/// A source whose table `const <name>: [&str; N] = […]` has, at its end, the first qualifier of every segment that has none of the
/// table's.
fn extended(text: &str, name: &str, segments: &[Vec<String>]) -> String {
    let Some(place) = table(text, name) else { return text.to_owned() };
    let Some(mut known) = listed(text, name) else { return text.to_owned() };
    for segment in segments {
        if let Some(first) = segment.first()
            && !segment.iter().any(|one| known.contains(one))
        {
            known.push(first.clone());
        }
    }
    let quoted: Vec<String> = known.iter().map(|one| format!("{one:?}")).collect();
    let (before, after) = (&text[..place.start], &text[place.end..]);
    format!("{before}const {name}: [&str; {}] = [{}{after}", known.len(), quoted.join(", "))
}

/// Where the table `const <name>: [&str; N] = […` is, up to its closing bracket.
fn table(text: &str, name: &str) -> Option<Range<usize>> {
    let at = text.find(&format!("const {name}: [&str; "))?;
    Some(at..at + text[at..].find("];\n")?)
}

/// What a table has.
fn listed(text: &str, name: &str) -> Option<Vec<String>> {
    let (_, list) = text[table(text, name)?].split_once('=')?;
    let quoted = list.trim().strip_prefix('[')?.split(',');
    Some(quoted.map(|one| one.trim().trim_matches('"').to_owned()).filter(|one| !one.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_what_the_sample_uses() {
        let source = "a\nconst CODES: [&str; 2] = [\"WH\", \"SF\"];\nb\n";
        let segment = |codes: &[&str]| codes.iter().map(ToString::to_string).collect::<Vec<_>>();
        let known = [segment(&["WH"]), segment(&["XX", "SF"])];
        assert_eq!(extended(source, "CODES", &known), source);
        let new = [segment(&["ZZ", "YY"]), segment(&["ZZ"]), segment(&[])];
        assert_eq!(
            extended(source, "CODES", &new),
            "a\nconst CODES: [&str; 3] = [\"WH\", \"SF\", \"ZZ\"];\nb\n"
        );
        assert_eq!(extended(source, "OTHER", &new), source);
        assert_eq!(
            listed("const P: [&str; 2] =\n    [\"BY\", \"SE\"];\n", "P"),
            Some(segment(&["BY", "SE"]))
        );
    }
}
