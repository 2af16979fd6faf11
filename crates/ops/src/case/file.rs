//! A case as a file: named parts with their digests, in one line of JSON.
//!
//! ```text
//! {"format":"sluice.case","ingestId":…,"parts":{<name>:{"base64":…,"bytes":…,"sha256":…},…},"redacted":…,"version":1}\n
//! ```
//!
//! It is written in canonical form (RFC 8785) and nothing in it depends on when or where it was written, so the same case is the same
//! bytes. A file is foreign until it is verified: it is read with bounds, nothing in it names a place on this machine, and what of it
//! was altered is named ([`Flaw`]).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sluice_core::digest::Sha256Hex;

/// What a file says that it is.
pub const FORMAT: &str = "sluice.case";
/// The version of the format that is written, and the only one that is read.
pub const VERSION: u32 = 1;

/// Largest file that is read, in bytes.
pub const FILE_BYTES_MAX: usize = 64 << 20;
/// Largest part, in bytes: that of a normalized document with the most events that one message may have.
pub const PART_BYTES_MAX: usize = 24 << 20;
/// Most parts.
pub const PARTS_MAX: usize = 256;
/// Longest name of a part, in bytes.
const NAME_BYTES_MAX: usize = 300;

/// The parts of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseFile {
    /// The event, as its file states it.
    pub ingest_id: String,
    /// Whether the message is a stand-in without what is personal.
    pub redacted: bool,
    /// Bytes by name.
    pub parts: BTreeMap<String, Bytes>,
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Flaw {
    /// Where: `file`, or the name of a part.
    pub part: String,
    /// In words.
    pub message: String,
}

impl Flaw {
    pub(super) fn new(part: &str, message: impl Into<String>) -> Self {
        Self { part: part.to_owned(), message: message.into() }
    }
}

/// Why a file is not read at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Too large, or not of the form.
    #[error("{0}")]
    Malformed(String),
    /// A case, of a version that this program does not know.
    #[error("the case is of version {0}; this `sluice` reads version {VERSION}")]
    Version(u32),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    format: String,
    version: u32,
    ingest_id: String,
    redacted: bool,
    parts: BTreeMap<String, Part>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    sha256: String,
    bytes: u64,
    base64: String,
}

impl CaseFile {
    /// The file.
    ///
    /// # Errors
    /// What of it is over a bound, in words.
    pub fn encode(&self) -> Result<Vec<u8>, String> {
        if self.parts.len() > PARTS_MAX {
            return Err(format!("the case has {} parts; at most {PARTS_MAX} are written", self.parts.len()));
        }
        if let Some((name, bytes)) = self.parts.iter().find(|(_, bytes)| bytes.len() > PART_BYTES_MAX) {
            return Err(format!("{name} has {} bytes; at most {PART_BYTES_MAX} are written", bytes.len()));
        }
        let parts = self.parts.iter().map(|(name, bytes)| {
            let part = Part {
                sha256: Sha256Hex::of(bytes).to_string(),
                bytes: bytes.len() as u64,
                base64: STANDARD.encode(bytes),
            };
            (name.clone(), part)
        });
        let written = Written {
            format: FORMAT.to_owned(),
            version: VERSION,
            ingest_id: self.ingest_id.clone(),
            redacted: self.redacted,
            parts: parts.collect(),
        };
        let bytes = canonical(&written)?;
        match bytes.len() > FILE_BYTES_MAX {
            true => Err(format!("the case has {} bytes; at most {FILE_BYTES_MAX} are written", bytes.len())),
            false => Ok(bytes),
        }
    }

    /// Reads a file, and says what in it is not as it was written. A part whose bytes have another digest is read as it is, so that
    /// what follows from it can be said too.
    ///
    /// # Errors
    /// When it is no case, or of another version.
    pub fn decode(bytes: &[u8]) -> Result<(Self, Vec<Flaw>), Unreadable> {
        let malformed = |message: String| Unreadable::Malformed(message);
        if bytes.len() > FILE_BYTES_MAX {
            return Err(malformed(format!("the file has more than {FILE_BYTES_MAX} bytes, as no case has")));
        }
        #[derive(Deserialize)]
        struct Head {
            format: Option<String>,
            version: Option<u32>,
        }
        let damaged = |error: &serde_json::Error| {
            let (line, column) = (error.line(), error.column());
            malformed(format!("the file is no case, or was damaged at line {line}, column {column}: {error}"))
        };
        let head: Head = serde_json::from_slice(bytes).map_err(|error| damaged(&error))?;
        match (head.format.as_deref(), head.version) {
            (Some(FORMAT), Some(VERSION)) => {}
            (Some(FORMAT), Some(version)) => return Err(Unreadable::Version(version)),
            (found, _) => {
                let found = found.unwrap_or("nothing").chars().take(40).collect::<String>();
                return Err(malformed(format!(
                    "the file is no case: its format is {found:?}, not {FORMAT:?}"
                )));
            }
        }
        let written: Written = serde_json::from_slice(bytes).map_err(|error| damaged(&error))?;
        if written.parts.len() > PARTS_MAX {
            return Err(malformed(format!("the case has more than {PARTS_MAX} parts")));
        }
        let mut flaws = Vec::new();
        if canonical(&written).ok().as_deref() != Some(bytes) {
            flaws.push(Flaw::new(
                "file",
                "it is not in canonical form: it was written anew, or blanks were changed",
            ));
        }
        let mut parts = BTreeMap::new();
        for (name, part) in written.parts {
            if name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
                return Err(malformed("the name of a part is none".to_owned()));
            }
            let bytes = match STANDARD.decode(&part.base64) {
                Ok(bytes) => Bytes::from(bytes),
                Err(error) => {
                    flaws.push(Flaw::new(&name, format!("its bytes are no base64: {error}")));
                    continue;
                }
            };
            if bytes.len() > PART_BYTES_MAX {
                return Err(malformed(format!("{name} has more than {PART_BYTES_MAX} bytes")));
            }
            let found = Sha256Hex::of(&bytes);
            if found.as_str() != part.sha256 {
                let stated: String = part.sha256.chars().take(64).collect();
                flaws.push(Flaw::new(
                    &name,
                    format!("its bytes have the digest {found}, the file says {stated}"),
                ));
            }
            if bytes.len() as u64 != part.bytes {
                let message = format!("it has {} bytes, the file says {}", bytes.len(), part.bytes);
                flaws.push(Flaw::new(&name, message));
            }
            parts.insert(name, bytes);
        }
        Ok((Self { ingest_id: written.ingest_id, redacted: written.redacted, parts }, flaws))
    }
}

/// RFC 8785, and a line end.
fn canonical<T: Serialize>(value: &T) -> Result<Vec<u8>, String> {
    let mut bytes = serde_json_canonicalizer::to_vec(value).map_err(|error| error.to_string())?;
    bytes.push(b'\n');
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use super::*;

    fn case() -> CaseFile {
        let parts = [("raw", &b"{\"qty\":12}"[..]), ("ledger.json", b"{}"), ("bundle/mapper.wasm", b"\0asm")];
        CaseFile {
            ingest_id: "01KAJ3Y3R00000000000000001".into(),
            redacted: false,
            parts: parts
                .into_iter()
                .map(|(name, bytes)| (name.to_owned(), Bytes::from_static(bytes)))
                .collect(),
        }
    }

    #[test]
    fn the_same_case_is_the_same_bytes_and_reads_back() {
        let bytes = case().encode().unwrap();
        assert_eq!(bytes, case().encode().unwrap());
        assert_eq!(CaseFile::decode(&bytes).unwrap(), (case(), Vec::new()));
    }

    #[test]
    fn whichever_byte_is_changed_is_noticed() {
        let bytes = case().encode().unwrap();
        for at in 0..bytes.len() {
            for other in [bytes[at] ^ 1, b' ', b'"', b'0'] {
                let mut changed = bytes.clone();
                changed[at] = other;
                if changed == bytes {
                    continue;
                }
                match CaseFile::decode(&changed) {
                    Err(_) => {}
                    Ok((read, flaws)) => {
                        // Who it is about, and whether it is whole, is held against the parts.
                        let head = read.ingest_id != case().ingest_id || read.redacted;
                        let names = read.parts.keys().ne(case().parts.keys());
                        assert!(!flaws.is_empty() || head || names, "byte {at} as {other}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_flaw_names_its_part() {
        let bytes = String::from_utf8(case().encode().unwrap()).unwrap();
        let flaw = |text: &str| CaseFile::decode(text.as_bytes()).unwrap().1.remove(0);
        let altered =
            flaw(&bytes.replace(&STANDARD.encode("{\"qty\":12}"), &STANDARD.encode("{\"qty\":13}")));
        assert_eq!(altered.part, "raw");
        assert!(altered.message.contains("the file says"), "{}", altered.message);
        assert_eq!(flaw(&bytes.replace("\"bytes\":10", "\"bytes\":11")).part, "raw");
        assert_eq!(flaw(&bytes.replace("\"base64\":\"e30=\"", "\"base64\":\"e3\"")).part, "ledger.json");
        assert_eq!(flaw(&format!(" {bytes}")).part, "file");
        assert_eq!(flaw(bytes.trim_end()).part, "file");
    }

    #[test]
    fn what_is_no_case_is_refused_in_words() {
        let said = |bytes: &[u8]| CaseFile::decode(bytes).unwrap_err().to_string();
        assert!(said(b"").contains("no case"));
        assert!(said(b"{}").contains("its format is"));
        let text = String::from_utf8(case().encode().unwrap()).unwrap();
        assert_eq!(
            CaseFile::decode(text.replace("\"version\":1", "\"version\":2").as_bytes()).unwrap_err(),
            Unreadable::Version(2)
        );
        assert!(said(text.replace("\"redacted\"", "\"more\":1,\"redacted\"").as_bytes()).contains("more"));
        assert!(said(&vec![b' '; FILE_BYTES_MAX + 1]).contains("more than"));
        let many: String =
            (0..=PARTS_MAX).map(|n| format!(r#""{n}":{{"base64":"","bytes":0,"sha256":""}},"#)).collect();
        let many = text.replace("\"parts\":{", &format!("\"parts\":{{{many}"));
        assert!(said(many.as_bytes()).contains("parts"));
    }
}
