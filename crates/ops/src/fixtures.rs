//! The fixtures of a bundle as messages: `fixtures/<case>.in.<format>`, with what `<case>.meta.json` says of its metadata.

use std::collections::BTreeMap;

use bytes::Bytes;
use sluice_core::contract::Contract;
use sluice_mapping::Meta;

use crate::error::OpsError;

/// What the paths of a bundle's fixtures begin with.
const FOLDER: &str = "fixtures/";

/// A fixture's message.
#[derive(Debug, Clone)]
pub struct Case {
    /// The file name without its endings.
    pub name: String,
    /// The vendor's bytes.
    pub payload: Bytes,
    /// What the mapper is told beside them.
    pub meta: Meta,
}

/// The messages among a bundle's files, by name.
///
/// # Errors
/// Metadata that is none.
pub fn cases(contract: &Contract, files: &BTreeMap<String, Bytes>) -> Result<Vec<Case>, OpsError> {
    let mut cases = Vec::new();
    for (path, payload) in files {
        let Some(file) = path.strip_prefix(FOLDER) else { continue };
        let Some((name, format)) = file.rsplit_once(".in.") else { continue };
        if name.is_empty() || format.contains(['.', '/']) {
            continue;
        }
        let meta = match files.get(&format!("{FOLDER}{name}.meta.json")) {
            Some(text) => overlaid(meta(contract), text)
                .map_err(|problem| OpsError::invalid(format!("{FOLDER}{name}.meta.json {problem}")))?,
            None => meta(contract),
        };
        cases.push(Case { name: name.to_owned(), payload: payload.clone(), meta });
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(cases)
}

/// The metadata of a message of this contract, unless a case says otherwise.
pub fn meta(contract: &Contract) -> Meta {
    Meta {
        vendor_id: contract.vendor_id.to_string(),
        external_event_id: "fixture-1".into(),
        event_type: contract.event_type.to_string(),
        schema_version: contract.payload.default_version.to_string(),
        occurred_at: "2026-01-02T03:04:05Z".into(),
        received_at: "2026-01-02T03:04:06.789Z".into(),
    }
}

/// `meta` with the members that a JSON object replaces.
///
/// # Errors
/// What is wrong with the object, in words.
pub fn overlaid(mut meta: Meta, text: &[u8]) -> Result<Meta, String> {
    let members: BTreeMap<String, String> = serde_json::from_slice(text)
        .map_err(|error| format!("is not an object of texts, as metadata is: {error}"))?;
    for (name, value) in members {
        let member = match name.as_str() {
            "vendorId" => &mut meta.vendor_id,
            "externalEventId" => &mut meta.external_event_id,
            "eventType" => &mut meta.event_type,
            "schemaVersion" => &mut meta.schema_version,
            "occurredAt" => &mut meta.occurred_at,
            "receivedAt" => &mut meta.received_at,
            _ => return Err(format!("has the member {name:?}, which metadata has not")),
        };
        *member = value;
    }
    Ok(meta)
}
