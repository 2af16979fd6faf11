//! A new bundle: every file that it consists of, from a vendor's name and, better, samples of its messages.
//!
//! What is written builds and passes its tests. A canonical member that must be there and has no source in the samples becomes a
//! refusal, `mapping_incomplete`, until its author gives it one: data are never invented.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sluice_core::contract::{CanonicalRef, Format};
use sluice_core::id::{EventType, VendorId};
use sluice_core::json::{Json, Member, parse};
use sluice_formats::Refusal;
use sluice_formats::csv::Reader;
use sluice_formats::encoding::{Encoding, marked};

use super::build::Language;
use super::fixtures::pretty;
use super::sample::{Conventions, Leaf, Shape, Suggestion, suggest};
use super::typegen::{Field, Types};
use crate::error::CliError;

mod assembly_script;
mod c;
mod csv;
mod native;
mod reads;
mod rust;
mod x12;

pub use native::stated_event_type;
pub use rust::format_rust;
pub use x12::canonical_of;

/// The event type of a bundle that says none.
pub const EVENT_TYPE_DEFAULT: &str = "stock_update";

/// A message of the vendor's.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Its file's name.
    pub name: String,
    /// How its characters are bytes.
    characters: Characters,
    /// The payload, byte for byte.
    pub payload: Vec<u8>,
    /// What it says.
    pub content: Content,
    /// Of its envelope or its transaction set, if either says it.
    pub event_type: Option<EventType>,
}

/// How a sample's characters are bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Characters {
    /// As any encoding has them.
    Ascii,
    /// UTF-8.
    Utf8,
    /// As the byte order mark says.
    Marked(Encoding),
    /// Not UTF-8, and nothing says what else: the text around the first such byte, at this offset.
    Proposed(usize, String),
}

/// What is proposed for bytes that are not UTF-8.
const PROPOSED: Encoding = Encoding::Windows1252;

impl Characters {
    /// The text of a sample in UTF-8.
    fn of(bytes: &[u8]) -> Result<(Self, Vec<u8>), String> {
        let decoded = |encoding: Encoding| {
            let text = encoding.text(bytes).map(|text| text.as_bytes().to_vec());
            text.map_err(|problem| format!("is neither UTF-8 nor {}: {problem}", encoding.as_str()))
        };
        match (marked(bytes), str::from_utf8(bytes)) {
            (Some(encoding), _) if encoding != Encoding::Utf8 => {
                Ok((Self::Marked(encoding), decoded(encoding)?))
            }
            (Some(encoding), Ok(_)) => Ok((Self::Marked(encoding), bytes.to_vec())),
            (_, Ok(text)) if text.is_ascii() => Ok((Self::Ascii, bytes.to_vec())),
            (_, Ok(_)) => Ok((Self::Utf8, bytes.to_vec())),
            (_, Err(error)) => {
                let text = decoded(PROPOSED)?;
                let at = error.valid_up_to();
                let edge = |byte: &u8| byte.is_ascii() && !byte.is_ascii_alphanumeric();
                let from = bytes[..at].iter().rposition(edge).map_or(0, |edge| edge + 1);
                let to = bytes[at..].iter().position(edge).map_or(bytes.len(), |edge| at + edge);
                let word = PROPOSED.lossy(&bytes[from..to]).unwrap_or_default().into_owned();
                Ok((Self::Proposed(at, word), text))
            }
        }
    }
}

/// What a message says, by its format.
#[derive(Debug, Clone)]
pub enum Content {
    /// An object, or an array of objects.
    Json(Json),
    /// Every line with its number, as an object of its columns: texts, and `null` for what is empty.
    Csv(Vec<(usize, Json)>),
    /// Every segment's elements, the identifier first.
    X12(Vec<Vec<String>>),
}

impl Content {
    /// The format.
    pub fn format(&self) -> Format {
        match self {
            Self::Json(_) => Format::Json,
            Self::Csv(_) => Format::Csv,
            Self::X12(_) => Format::X12,
        }
    }
}

/// What a sample says; where in it the payload is, if that is not the whole; its event type.
type Read = (Content, Option<std::ops::Range<usize>>, Option<EventType>);

impl Sample {
    /// An array of messages, as JSON.
    pub fn is_array(&self) -> bool {
        matches!(self.content, Content::Json(Json::Array(_)))
    }

    /// Reads a message: JSON, bare or in an envelope; X12, which begins with `ISA`; or CSV with a header line.
    pub fn read(path: &Path) -> Result<Self, CliError> {
        let bytes =
            std::fs::read(path).map_err(|source| CliError::ReadFile { path: path.to_owned(), source })?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let read = Characters::of(&bytes).and_then(|(characters, text)| {
            let (content, within, event_type) = match text.trim_ascii_start().first() {
                Some(b'{' | b'[') => Self::of_json(&text)?,
                _ if sluice_formats::x12::is_x12(&text) => Self::of_x12(&text)?,
                _ => Self::of_csv(&text)?,
            };
            let payload = match (within, &characters) {
                (None, _) => bytes,
                (Some(within), Characters::Ascii | Characters::Utf8) => text[within].to_vec(),
                (Some(_), _) => return Err("is an envelope in another encoding than UTF-8".into()),
            };
            Ok(Self { name, characters, payload, content, event_type })
        });
        read.map_err(|problem| CliError::InvalidFile {
            path: path.to_owned(),
            problem,
            hint: Some(
                "a sample is one message of the vendor's: JSON, CSV with a header line, or X12".into(),
            ),
        })
    }

    fn of_json(text: &[u8]) -> Result<Read, String> {
        let document = parse(text).map_err(|error| format!("is {error}"))?;
        let payload = document.get("payload").filter(|_| document.get("vendorId").is_some()).cloned();
        let event_type = match document.get("eventType").map(|member| &member.value) {
            Some(Json::String(text)) => text.parse::<EventType>().ok(),
            _ => None,
        };
        let (within, value, event_type) = match payload {
            Some(member) => (Some(member.span.clone()), member.value, event_type),
            None => (None, document, None),
        };
        match &value {
            Json::Object(_) | Json::Array(_) => Ok((Content::Json(value), within, event_type)),
            other => Err(format!("is a JSON {}, and a message is an object or an array", other.type_name())),
        }
    }

    fn of_csv(payload: &[u8]) -> Result<Read, String> {
        let refused = |refusal: Refusal| format!("is no CSV: {}", refusal.message());
        let mut reader = Reader::new(payload).map_err(refused)?;
        let names: Vec<String> = reader.names().iter().map(ToString::to_string).collect();
        if names.len() < 2 {
            return Err(
                "is neither JSON nor X12, and its first line has no columns separated by , ; | or a tab"
                    .into(),
            );
        }
        let columns: Vec<_> = names.iter().filter_map(|name| Some((name, reader.column(name)?))).collect();
        let mut lines = Vec::new();
        while let Some(record) = reader.next_record().map_err(refused)? {
            let members = columns.iter().filter(|(name, _)| !name.is_empty()).map(|(name, column)| {
                let value = record.get(*column).map_or(Json::Null, |text| Json::String(text.into_owned()));
                Member { key: (*name).clone(), broken_key: None, value, span: 0..0 }
            });
            lines.push((record.line, Json::Object(members.collect())));
        }
        if lines.is_empty() {
            return Err("has a header line and no other, so nothing can be inferred from it".into());
        }
        Ok((Content::Csv(lines), None, None))
    }

    fn of_x12(payload: &[u8]) -> Result<Read, String> {
        let text = str::from_utf8(payload)
            .map_err(|error| format!("is not UTF-8 after byte {}", error.valid_up_to()))?;
        let cut = sluice_formats::x12::cut(payload).map_err(|refused| refused.message().to_owned())?;
        let segments: Vec<Vec<String>> = cut
            .iter()
            .map(|cut| cut.places.iter().map(|place| text[place.clone()].trim().to_owned()).collect())
            .collect();
        let set = segments.iter().find(|segment| segment[0] == "ST").and_then(|segment| segment.get(1));
        let set = set.ok_or("has no transaction set (ST)")?;
        let event_type = set.parse().ok();
        Ok((Content::X12(segments), None, event_type))
    }
}

/// What is made.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Whose messages.
    pub vendor_id: VendorId,
    /// Of which kind.
    pub event_type: EventType,
    /// What they become.
    pub canonical: CanonicalRef,
    /// Where mappers-wasm/ is; the bundle is a member of that workspace if it lies in it.
    pub mappers: PathBuf,
    /// The folder.
    pub folder: PathBuf,
    /// Messages.
    pub samples: Vec<Sample>,
    /// JSON that comes as it is, and not in an envelope.
    pub native: bool,
}

/// A bundle that was written.
#[derive(Debug, Clone)]
pub struct Scaffold {
    /// What was matched.
    pub suggestion: Suggestion,
    /// Files, relative to the folder.
    pub files: Vec<String>,
}

/// The last part of a folder's name that vendor and event type give.
pub fn bundle_name(vendor: &VendorId, event_type: &EventType) -> String {
    let mut name = String::new();
    for character in format!("{vendor}-{event_type}").chars() {
        let character = character.to_ascii_lowercase();
        if character.is_ascii_alphanumeric() {
            name.push(character);
        } else if !name.ends_with('-') {
            name.push('-');
        }
    }
    let name = name.trim_matches('-').to_owned();
    if name.starts_with(|first: char| first.is_ascii_digit()) { format!("v{name}") } else { name }
}

impl Plan {
    /// Whether the bundle becomes a member of the repository's workspace of mappers.
    pub fn is_member(&self) -> bool {
        self.folder.parent().and_then(|parent| std::fs::canonicalize(parent).ok())
            == std::fs::canonicalize(&self.mappers).ok()
    }

    /// Writes a bundle in a language. `schema` is that of the canonical type.
    pub fn write(&self, language: Language, schema: &str) -> Result<Scaffold, CliError> {
        let format = self.format()?;
        if format != Format::Json && language != Language::Rust {
            return Err(CliError::usage(format!("a mapper of {} is made in Rust only", format.as_str()))
                .with_hint("the SDKs of AssemblyScript and C read JSON; leave --lang out"));
        }
        let inferred = Inferred::of(self, schema)?;
        let name = self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (payload, about) = self.contract_parts(format, language, &inferred);
        let filled = |template: &str| {
            template
                .replace("{{language}}", about)
                .replace("{{payload}}", &payload)
                .replace("{{crate}}", &name)
                .replace("{{lib}}", &name.replace('-', "_"))
                .replace("{{vendor}}", self.vendor_id.as_str())
                .replace("{{event}}", self.event_type.as_str())
                .replace("{{canonical}}", self.canonical.r#type.as_str())
                .replace("{{version}}", self.canonical.version.as_str())
        };
        let mut files: Vec<(String, Vec<u8>)> =
            vec![("mapper.toml".into(), filled(include_str!("../../templates/mapper.toml.txt")).into())];
        if format == Format::Json {
            files.push(("schema/1.schema.json".into(), pretty(&inferred.payload_schema()).into()));
        }
        if format != Format::X12 {
            files.push((language.canonical_file().into(), inferred.canonical(language).into()));
        }
        match (language, format) {
            (Language::Rust, format) => {
                let manifest = match self.is_member() {
                    true => include_str!("../../templates/rust/Cargo.member.toml"),
                    false => include_str!("../../templates/rust/Cargo.standalone.toml"),
                };
                let mut manifest = filled(manifest);
                let golden = filled(include_str!("../../templates/rust/golden.rs.txt"));
                match format {
                    Format::Json => files.push(("src/lib.rs".into(), inferred.rust_json().into())),
                    Format::Csv => files.push(("src/lib.rs".into(), inferred.rust_csv().into())),
                    Format::X12 => {
                        // Its types are the SDK's.
                        manifest = manifest
                            .lines()
                            .filter(|line| !line.starts_with("serde"))
                            .fold(String::new(), |all, line| all + line + "\n");
                        files.extend(self.x12_sources()?);
                    }
                }
                files.push(("Cargo.toml".into(), manifest.into()));
                files.push(("tests/golden.rs".into(), golden.into()));
            }
            (Language::AssemblyScript, _) => {
                let config = include_str!("../../templates/assemblyscript/asconfig.json");
                files.push(("asconfig.json".into(), config.into()));
                files.push(("src/index.ts".into(), inferred.assembly_script_json().into()));
            }
            (Language::C, _) => files.push(("src/mapper.c".into(), inferred.c_json().into())),
        }
        if !self.is_member() {
            let ignored: &[u8] = if language == Language::Rust {
                b"/target\n/mapper.wasm\n/.sluice\n"
            } else {
                b"/mapper.wasm\n"
            };
            files.push((".gitignore".into(), ignored.to_vec()));
            // The SDK's own versions, so that what is built for one mapper is built for all.
            if language == Language::Rust
                && let Ok(lock) = std::fs::read(self.mappers.join("Cargo.lock"))
            {
                files.push(("Cargo.lock".into(), lock));
            }
        }
        for (at, sample) in self.samples.iter().enumerate() {
            let case =
                if at == 0 { "ordinary-sample".to_owned() } else { format!("ordinary-sample-{}", at + 1) };
            files.push((format!("fixtures/{case}.in.{}", format.as_str()), sample.payload.clone()));
            if self.native && format == Format::Json {
                files.push((format!("fixtures/{case}.request.http"), inferred.native_request(sample)));
            }
        }
        if self.samples.is_empty() {
            files.push(("fixtures/ordinary-sample.in.json".into(), b"{}\n".to_vec()));
        }
        for (path, bytes) in &files {
            write(&self.folder.join(path), bytes)?;
        }
        if language == Language::Rust {
            let sources = files.iter().filter(|(path, _)| path.starts_with("src/") && path.ends_with(".rs"));
            let sources: Vec<PathBuf> = sources.map(|(path, _)| self.folder.join(path)).collect();
            format_rust(&self.mappers, &sources);
            if self.is_member() {
                self.join_workspace(&name)?;
            }
        }
        let files = files.into_iter().map(|(path, _)| path).collect();
        Ok(Scaffold { suggestion: inferred.suggestion, files })
    }

    /// The format of the samples, JSON if there are none.
    fn format(&self) -> Result<Format, CliError> {
        let mut formats = self.samples.iter().map(|sample| sample.content.format());
        let first = formats.next().unwrap_or(Format::Json);
        match formats.find(|format| *format != first) {
            None => Ok(first),
            Some(other) => Err(CliError::usage(format!(
                "one sample is {}, and another {}: a bundle maps messages of one format",
                first.as_str(),
                other.as_str()
            ))),
        }
    }

    /// The line of `[text]` that the samples' bytes need.
    fn encoding(&self) -> Result<String, CliError> {
        let proposed = self.samples.iter().find_map(|sample| match &sample.characters {
            Characters::Proposed(at, word) => Some((sample, at, word)),
            _ => None,
        });
        let Some((sample, at, word)) = proposed else {
            let marked = self.samples.iter().find_map(|sample| match sample.characters {
                Characters::Marked(encoding) if encoding != Encoding::Utf8 => Some((sample, encoding)),
                _ => None,
            });
            return Ok(marked.map_or_else(String::new, |(sample, encoding)| {
                format!(
                    "# {:?} has the byte order mark of {}, which needs no declaration.\n",
                    sample.name,
                    encoding.as_str()
                )
            }));
        };
        if let Some(other) = self.samples.iter().find(|other| other.characters == Characters::Utf8) {
            return Err(CliError::usage(format!(
                "the samples contradict each other in their encoding: {} is UTF-8, and {} is not at byte {at} ({word:?})",
                other.name, sample.name
            ))
            .with_hint("a contract declares one encoding: give the samples of one sender only"));
        }
        if !self.native && sample.content.format() == Format::Json {
            return Err(CliError::usage(format!("{} is not UTF-8 at byte {at} ({word:?})", sample.name))
                .with_hint(
                    "what comes in an envelope must be; say --native if the vendor sends it as it is",
                ));
        }
        Ok(format!(
            "# Proposed, since byte {at} of {:?} is not UTF-8: so it says {word:?}. Ask the vendor: other encodings\n\
             # have other characters there.\nencoding = {:?}\n",
            sample.name,
            PROPOSED.as_str()
        ))
    }

    /// Of the contract: from `[payload]` on what the format needs, and a sentence of the language.
    fn contract_parts(
        &self,
        format: Format,
        language: Language,
        inferred: &Inferred<'_>,
    ) -> (String, &'static str) {
        let native = |format: Format, envelope: &str| {
            let versions = match format {
                Format::Json => "[payload.versions]\n1 = \"schema/1.schema.json\"\n\n",
                Format::Csv | Format::X12 => "",
            };
            format!(
                "format = {:?}\ndefaultVersion = \"1\"\n\n{versions}\
                 # Native: the vendor's message as it is, at POST /v1/sources/{}.\n[envelope]\n{envelope}\n\
                 # The API key says who sends it; docs/contracts.md has the signatures that may prove it.\n\
                 [signature]\nscheme = \"none\"\n",
                format.as_str(),
                self.vendor_id
            )
        };
        let payload = match format {
            Format::Json if self.native => native(format, &inferred.native_envelope()),
            Format::Json => {
                "defaultVersion = \"1\"\n\n[payload.versions]\n1 = \"schema/1.schema.json\"\n".to_owned()
            }
            Format::Csv => native(
                format,
                &format!(
                    "eventType = {{ constant = {:?} }}\n\
                     # A file has no id of its own: the same bytes are the same file.\n\
                     externalEventId = {{ digest = true }}\noccurredAt = {{ received = true }}\n",
                    self.event_type.as_str()
                ),
            ),
            Format::X12 => native(
                format,
                "eventType = { x12 = \"ST01\" }\n\
                 # From whom, to whom, which number; numbers start again, so the content is part of it.\n\
                 externalEventId = [{ x12 = \"ISA06\" }, { x12 = \"ISA08\" }, { x12 = \"ISA13\" }, { digest = true }]\n\
                 occurredAt = { x12 = \"GS04+GS05\", zone = \"utc\" }\n",
            ),
        };
        let about = match language {
            Language::Rust => "The mapper is in Rust: src/lib.rs, with the crate mapper-sdk.",
            Language::AssemblyScript => "The mapper is in AssemblyScript: src/index.ts, with sdk-as.",
            Language::C => "The mapper is in C: src/*.c, with sdk-c.",
        };
        let text = match inferred.text.as_str() {
            "" => String::new(),
            lines => {
                format!("\n# How the vendor writes, by the samples (docs/contracts.md).\n[text]\n{lines}")
            }
        };
        (payload + &text, about)
    }

    /// Adds the bundle to the members of `mappers-wasm`.
    fn join_workspace(&self, name: &str) -> Result<(), CliError> {
        let path = self.mappers.join("Cargo.toml");
        let text = std::fs::read_to_string(&path)
            .map_err(|source| CliError::ReadFile { path: path.clone(), source })?;
        let Some((at, end)) = text.find("members = [").and_then(|at| Some((at, at + text[at..].find(']')?)))
        else {
            return Err(CliError::InvalidFile {
                path,
                problem: "has no list of members".into(),
                hint: Some(format!("add {name:?} to workspace.members")),
            });
        };
        if text[at..end].contains(&format!("{name:?}")) {
            return Ok(());
        }
        let joined = format!("{}    {name:?},\n{}", &text[..end], &text[end..]);
        write(&path, joined.as_bytes())
    }
}

/// What was inferred from samples, of which a mapper is written.
struct Inferred<'p> {
    plan: &'p Plan,
    root: &'p str,
    types: Types,
    shape: Shape,
    suggestion: Suggestion,
    /// The lines of `[text]`.
    text: String,
}

impl<'p> Inferred<'p> {
    fn of(plan: &'p Plan, schema: &str) -> Result<Self, CliError> {
        let canonical: Value = serde_json::from_str(schema).unwrap_or_default();
        let root = plan.canonical.r#type.as_str();
        let types = Types::of(root, &canonical)
            .map_err(|error| CliError::usage(format!("no types can be written for {root}: {error}")))?;
        let mut shape = Shape::default();
        for sample in &plan.samples {
            match &sample.content {
                Content::Json(value) => shape.add(value, &sample.name),
                Content::Csv(lines) => {
                    for (line, value) in lines {
                        shape.add(value, &format!("line {line} of {}", sample.name));
                    }
                }
                Content::X12(_) => {}
            }
        }
        let suggestion = Suggestion::default();
        let mut inferred = Self { plan, root, types, shape, suggestion, text: plan.encoding()? };
        inferred.suggestion = match plan.samples.first().map(|sample| &sample.content) {
            Some(Content::X12(_)) => plan.x12_suggestion(),
            _ => {
                // By names first: what is an identifier says nothing of how numbers are written.
                let first = suggest(&inferred.shape, inferred.fields(), &canonical);
                let conventions = Conventions::of(&inferred.shape, &first).map_err(|problem| {
                    CliError::usage(problem)
                        .with_hint("a contract declares one way: give the samples of one sender only")
                })?;
                inferred.shape.settle(&conventions.marks);
                inferred.text.push_str(&conventions.lines());
                suggest(&inferred.shape, inferred.fields(), &canonical)
            }
        };
        Ok(inferred)
    }

    /// The canonical members.
    fn fields(&self) -> &[Field] {
        self.types.structs.get(self.root).map_or(&[], |(_, fields)| fields)
    }

    /// The module of the canonical types.
    fn canonical(&self, language: Language) -> String {
        self.types.written_in(language, self.root, self.plan.canonical.version.as_str())
    }

    fn payload_schema(&self) -> Value {
        let needed: Vec<String> = self
            .suggestion
            .matches
            .iter()
            .filter(|one| !one.leaf.is_optional())
            .flat_map(|one| prefixes(&one.leaf))
            .collect();
        let mut schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": format!("{} {}, version 1", self.plan.vendor_id, self.plan.event_type),
            "description": "As the vendor sends it. Members that it adds are allowed.",
        });
        let shaped = match self.plan.samples.is_empty() {
            true => json!({"type": "object"}),
            false => self.shape.schema("", &|pointer| needed.iter().any(|needed| needed == pointer)),
        };
        if let (Some(whole), Value::Object(shaped)) = (schema.as_object_mut(), shaped) {
            whole.extend(shaped);
        }
        schema
    }

    /// What the mapper does, each line behind `comment`; `further` follows the first sentence.
    fn about(&self, comment: &str, further: &str) -> String {
        let Plan { vendor_id, event_type, canonical, .. } = self.plan;
        let mut out = format!(
            "{comment} `{vendor_id}` `{event_type}` → `{}` {}{further}.\n",
            self.root, canonical.version
        );
        let Suggestion { missing, unused, .. } = &self.suggestion;
        if !missing.is_empty() {
            let _ = writeln!(
                out,
                "{comment}\n{comment} Not finished: {} {} no source yet, so every message is refused with `mapping_incomplete`.",
                missing.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
                if missing.len() == 1 { "has" } else { "have" }
            );
        }
        if !unused.is_empty() {
            let _ = write!(out, "{comment}\n{comment} Not used of the sample:");
            let mut width = comment.len() + 24;
            for (at, pointer) in unused.iter().enumerate() {
                // The name is the vendor's: it may hold what would end the comment's line.
                let pointer = pointer.replace(char::is_control, " ");
                let word = format!(" `{pointer}`{}", if at + 1 == unused.len() { "." } else { "," });
                if width + word.len() > 105 {
                    let _ = write!(out, "\n{comment}");
                    width = comment.len();
                }
                width += word.len();
                out.push_str(&word);
            }
            out.push('\n');
        }
        out
    }
}

/// Every object on the way to a member, and the member.
fn prefixes(leaf: &Leaf) -> Vec<String> {
    let whole = leaf.pointer();
    let mut found: Vec<String> = whole.match_indices('/').map(|(at, _)| whole[..at].to_owned()).collect();
    found.push(whole);
    found
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let failed = |source| CliError::WriteFile { path: path.to_owned(), source };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    std::fs::write(path, bytes).map_err(failed)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use super::*;

    #[test]
    fn names_of_folders_are_names_of_crates() {
        let name = |vendor: &str, event: &str| bundle_name(&vendor.parse().unwrap(), &event.parse().unwrap());
        assert_eq!(name("Acme.Inc", "orders/create"), "acme-inc-orders-create");
        assert_eq!(name("3PL", "stock_update"), "v3pl-stock-update");
    }

    #[test]
    fn a_sample_is_a_payload_or_an_envelope() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.json");
        std::fs::write(&path, br#"{"vendorId":"v","eventType":"t/u","payload": {"n": 1.50} }"#).unwrap();
        let sample = Sample::read(&path).unwrap();
        assert_eq!(
            (&sample.payload[..], sample.event_type.unwrap().as_str()),
            (&br#"{"n": 1.50}"#[..], "t/u")
        );
        std::fs::write(&path, b"[{\"n\": 1}]").unwrap();
        assert!(matches!(Sample::read(&path).unwrap().content, Content::Json(Json::Array(_))));
    }

    fn refused(bytes: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sample");
        std::fs::write(&path, bytes).unwrap();
        Sample::read(&path).unwrap_err().to_string()
    }

    #[test]
    fn a_sample_that_says_nothing_is_refused_by_its_fault() {
        assert!(refused(b"{\"a\":").contains("not valid JSON"));
        assert!(refused(b"").contains("no header line"));
        assert!(refused(b"hello").contains("neither JSON nor X12"));
        assert!(refused(b"a;b\n").contains("no other"));
        assert!(refused(b"a;A\n1;2\n").contains("\"A\" twice"));
        assert!(refused(b"a;b\n1;2\n3\n").contains("line 3: 1 fields, and 2 in the header"));
        assert!(refused(b"a;b\n\x81;2\n").contains("neither UTF-8 nor windows-1252"));
        assert!(refused(b"ISA*00").contains("ISA: it is cut off"));
    }

    #[test]
    fn a_csv_sample_is_its_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.csv");
        std::fs::write(&path, "\u{feff}sku|qty|\r\n\"A|1\"|2|x\r\nB||y\r\n").unwrap();
        let Content::Csv(lines) = Sample::read(&path).unwrap().content else { unreachable!("CSV") };
        let text = |line: &Json, name: &str| match line.get(name).map(|member| &member.value) {
            Some(Json::String(text)) => Some(text.clone()),
            _ => None,
        };
        assert_eq!(text(&lines[0].1, "qty").as_deref(), Some("2"));
        assert_eq!((text(&lines[1].1, "sku").as_deref(), text(&lines[1].1, "qty")), (Some("B"), None));
    }

    fn plan(folder: &Path, samples: &[(&str, &str)]) -> Plan {
        let samples = samples.iter().map(|(name, text)| {
            std::fs::write(folder.join(name), text).unwrap();
            Sample::read(&folder.join(name)).unwrap()
        });
        Plan {
            vendor_id: "acme".parse().unwrap(),
            event_type: "stock".parse().unwrap(),
            canonical: CanonicalRef {
                r#type: "InventoryUpdated".parse().unwrap(),
                version: "1.0".parse().unwrap(),
            },
            mappers: folder.to_owned(),
            folder: folder.join("made"),
            samples: samples.collect(),
            native: false,
        }
    }

    fn inventory() -> &'static str {
        sluice_core::canonical::SCHEMAS.iter().find(|(name, ..)| *name == "InventoryUpdated").unwrap().2
    }

    #[test]
    fn every_contract_that_is_written_holds() {
        let isa = "ISA*00*          *00*          *ZZ*SENDER         *ZZ*RECEIVER       *260110*1403*U*00401*000000905*0*P*>~";
        for (samples, format) in [
            (&[("s.json", r#"{"sku":"A"}"#)][..], Format::Json),
            (&[("s.csv", "sku,qty\nA,1\n")], Format::Csv),
            (&[("s.csv", "sku;qty;at\nA;1.234,0;31.12.2026 14:05\n")], Format::Csv),
            (&[("s.csv", "sku;qty;at\nA;1.234;03/04/2026\n")], Format::Csv),
            (&[("s.x12", &format!("{isa}ST*846*1~"))], Format::X12),
            (&[], Format::Json),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let plan = plan(folder.path(), samples);
            let (payload, about) = plan.contract_parts(
                plan.format().unwrap(),
                Language::Rust,
                &Inferred::of(&plan, inventory()).unwrap(),
            );
            let text = include_str!("../../templates/mapper.toml.txt")
                .replace("{{language}}", about)
                .replace("{{payload}}", &payload)
                .replace("{{vendor}}", "acme")
                .replace("{{event}}", "stock")
                .replace("{{canonical}}", "InventoryUpdated")
                .replace("{{version}}", "1.0");
            let contract: sluice_core::contract::Contract = toml::from_str(&text).unwrap();
            contract.check().unwrap();
            assert_eq!(contract.payload.format, format, "{text}");
        }
    }

    #[test]
    fn samples_of_two_formats_and_files_in_another_language_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let both = plan(folder.path(), &[("s.json", "{}"), ("s.csv", "a,b\n1,2\n")]);
        let said = both.write(Language::Rust, inventory()).unwrap_err().to_string();
        assert!(said.contains("one sample is json, and another csv"), "{said}");
        let csv = plan(folder.path(), &[("s.csv", "a,b\n1,2\n")]);
        let said = csv.write(Language::C, inventory()).unwrap_err().to_string();
        assert!(said.contains("a mapper of csv is made in Rust only"), "{said}");
        assert!(!folder.path().join("made").exists(), "nothing is written");
    }

    #[test]
    fn arrays_in_arrays_become_loops_in_every_language() {
        let folder = tempfile::tempdir().unwrap();
        let plan = plan(
            folder.path(),
            &[(
                "s.json",
                r#"{"lager":[null,{"lagerort":"N","artikel":[{"artikelnummer":7,"bestand":1,"titel":""}]},{"lagerort":"S"}]}"#,
            )],
        );
        let inferred = Inferred::of(&plan, inventory()).unwrap();
        for (text, lines) in [
            (
                inferred.rust_json(),
                &[
                    "for (lager_at, lager_item) in message.lager.iter().enumerate().filter_map(|(at, item)| Some((at, item.as_ref()?)))",
                    "for (artikel_at, artikel_item) in lager_item.artikel.as_ref().into_iter().flatten().enumerate()",
                    "text::identifier(artikel_item.artikelnummer.text(), 128, || format!(\"/lager/{lager_at}/artikel/{artikel_at}/artikelnummer\"))?",
                    "title: artikel_item.titel.cut(512, &mut notes, || format!(\"/lager/{lager_at}/artikel/{artikel_at}/titel\")),",
                    "lager: Vec<Option<LagerItem<'a>>>,",
                    "artikel: Option<Vec<LagerItemArtikelItem<'a>>>,",
                ][..],
            ),
            (
                inferred.assembly_script_json(),
                &[
                    "if (lagerItem.kind == Kind.Null) continue;",
                    "const warehouseId = lagerItem.identifier(\"lagerort\", 64);",
                    "if (lagerItem.get(\"artikel\")) {",
                    "const title = artikelItem.label(\"titel\");",
                ],
            ),
            (
                inferred.c_json(),
                &[
                    "if (lager_item->kind == SM_NULL) continue;",
                    "InventoryUpdated one2 = one;",
                    "const sm_json *artikel_list = sm_get(lager_item, \"artikel\");",
                    "if (!sm_identifier(artikel_item, \"artikelnummer\", 128, &one2.sku)) return false;",
                ],
            ),
        ] {
            for line in lines {
                assert!(text.contains(line), "{line} in\n{text}");
            }
        }
    }

    #[test]
    fn what_is_beside_an_array_is_read_once_and_from_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let plan =
            plan(folder.path(), &[("s.json", r#"{"place":{"warehouse":"W"},"rows":[{"sku":"A","qty":1}]}"#)]);
        let inferred = Inferred::of(&plan, inventory()).unwrap();
        let rust = inferred.rust_json();
        assert!(rust.contains("text::identifier(message.place.warehouse.text(), 64,"), "{rust}");
        for (text, read, opened) in [
            (inferred.assembly_script_json(), "placeObject.identifier(", "while ("),
            (inferred.c_json(), "sm_identifier(place_object, ", "for ("),
        ] {
            assert!(text.find(read).unwrap() < text.find(opened).unwrap(), "{text}");
        }
    }

    #[test]
    fn names_that_fall_together_in_a_language_stay_apart() {
        let folder = tempfile::tempdir().unwrap();
        let plan = plan(
            folder.path(),
            &[(
                "s.json",
                r#"{"größe":{"sku":"A"},"grße":{"qty":1},"type":{"warehouse-id":"W"},"Type":{"title":"x"}}"#,
            )],
        );
        let text = Inferred::of(&plan, inventory()).unwrap().rust_json();
        for line in ["gre: Gre<'a>,", "gre_2: Gre2,", "type_: Type<'a>,", "type_2: Type2<'a>,"] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }

    #[test]
    fn a_native_contract_says_what_is_plain_and_guesses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let contract = |samples: &[(&str, &str)]| {
            let plan = Plan { native: true, ..plan(folder.path(), samples) };
            let inferred = Inferred::of(&plan, inventory()).unwrap();
            inferred.native_envelope()
        };
        let stated = contract(&[
            ("a.json", r#"{"topic":"stock","eventId":"1","sentAt":"2026-01-02T03:04:05Z","sku":"A"}"#),
            ("b.json", r#"{"topic":"stock","eventId":"2","sentAt":"2026-01-02T03:04:06Z","sku":"A"}"#),
        ]);
        for line in [
            "eventType = { pointer = \"/topic\" }",
            "externalEventId = { pointer = \"/eventId\" }",
            "occurredAt = { pointer = \"/sentAt\" }",
        ] {
            assert!(stated.contains(line), "{line} in\n{stated}");
        }
        let repeated =
            contract(&[("a.json", r#"{"eventId":"1","id":"2"}"#), ("b.json", r#"{"eventId":"1","id":"3"}"#)]);
        for line in [
            "eventType = { constant = \"stock\" }",
            "externalEventId = { digest = true }",
            "occurredAt = { received = true }",
        ] {
            assert!(repeated.contains(line), "{line} in\n{repeated}");
        }
    }

    #[test]
    fn what_has_no_source_is_refused_in_every_language() {
        let folder = tempfile::tempdir().unwrap();
        let plan = plan(folder.path(), &[("s.json", r#"{"sku":"A","x*/":{"y":1}}"#)]);
        let inferred = Inferred::of(&plan, inventory()).unwrap();
        assert_eq!(inferred.suggestion.missing, ["warehouseId", "quantityOnHand"]);
        for text in [inferred.rust_json(), inferred.assembly_script_json(), inferred.c_json()] {
            assert!(text.contains("mapping_incomplete") && text.contains("Not finished"), "{text}");
            assert!(!text.starts_with("/*"), "a vendor's name cannot end the comment: {text}");
        }
    }

    fn text_of(samples: &[(&str, &str)]) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let plan = plan(folder.path(), samples);
        Inferred::of(&plan, inventory()).map(|inferred| inferred.text).map_err(|error| error.to_string())
    }

    #[test]
    fn what_the_samples_show_is_declared_and_what_they_leave_open_is_written_behind_a_hash() {
        for (values, lines, absent) in [
            // Nothing depends on a declaration.
            (&[r#""12""#, r#""-3""#, "1.5", r#""2026-01-02""#][..], &[][..], &["="][..]),
            (&[r#""2026-01-02T03:04:05Z""#, r#""A 1.234""#, "true"], &[], &["="]),
            (&[r#""12,5""#], &["decimal = \",\"\n"], &["grouping", "# decimal"]),
            (&[r#""12.50""#], &["decimal = \".\"\n"], &["grouping", "# decimal"]),
            (&[r#""0.500""#], &["decimal = \".\"\n"], &["grouping"]),
            (&[r#""1.234,56""#], &["\ndecimal = \",\"\n", "\ngrouping = \".\"\n", "\"1.234,56\" at /v"], &[]),
            (&[r#""1.234.567""#], &["\ndecimal = \",\"\n", "\ngrouping = \".\"\n"], &[]),
            (&[r#""1,234.5""#], &["\ndecimal = \".\"\n", "\ngrouping = \",\"\n"], &[]),
            (&[r#""1 234,5""#], &["\ndecimal = \",\"\n", "\ngrouping = \" \"\n"], &[]),
            (&[r#""12'500.00""#], &["\ndecimal = \".\"\n", "\ngrouping = \"'\"\n"], &[]),
            // One value tells what another means.
            (&[r#""1.234""#, r#""12,5""#], &["\ndecimal = \",\"\n", "\ngrouping = \".\"\n"], &["# decimal"]),
            (&[r#""1.234""#, r#""12.5""#], &["\ndecimal = \".\"\n"], &["# decimal", "grouping"]),
            (
                &[r#""1.234""#],
                &[
                    "# decimal = \".\"  # \"1.234\" is 1.234\n",
                    "# decimal = \",\"  # \"1.234\" is 1234\n# grouping = \".\"\n",
                ],
                &["\ndecimal"],
            ),
            (
                &[r#""12,000""#],
                &[
                    "# decimal = \".\"  # \"12,000\" is 12000\n# grouping = \",\"\n",
                    "# decimal = \",\"  # \"12,000\" is 12.000\n",
                ],
                &["\ndecimal"],
            ),
            (&[r#""31.12.2026""#], &["dates = \"dmy\"\n", "\"31.12.2026\" at /v"], &["# dates", "zone"]),
            (&[r#""12/31/2026""#], &["dates = \"mdy\"\n"], &["# dates"]),
            (&[r#""03/04/2026""#, r#""25/04/2026""#], &["dates = \"dmy\"\n"], &["# dates"]),
            (
                &[r#""03/04/2026""#],
                &[
                    "# dates = \"dmy\"  # \"03/04/2026\" is 2026-04-03\n",
                    "# dates = \"mdy\"  # \"03/04/2026\" is 2026-03-04\n",
                ],
                &["\ndates"],
            ),
            (&[r#""31.12.2026 14:05""#], &["dates = \"dmy\"\n", "# zone = "], &["\nzone", "# dates"]),
            (&[r#""2026-12-31 14:05""#], &["# zone = "], &["dates"]),
        ] {
            let samples: Vec<String> = values.iter().map(|value| format!(r#"{{"v":{value}}}"#)).collect();
            let names: Vec<String> = (0..samples.len()).map(|at| format!("{at}.json")).collect();
            let samples: Vec<(&str, &str)> =
                names.iter().zip(&samples).map(|(name, text)| (name.as_str(), text.as_str())).collect();
            let said = format!("\n{}", text_of(&samples).unwrap());
            for line in lines {
                assert!(said.contains(line), "{values:?}: {line} in\n{said}");
            }
            for line in absent {
                assert!(!said.contains(line), "{values:?}: {line} not in\n{said}");
            }
            let text: toml::Table = toml::from_str(&said).unwrap();
            assert!(
                text.keys().all(|key| ["decimal", "grouping", "dates"].contains(&key.as_str())),
                "{said}"
            );
        }
        // What an identifier looks like, a version or a telephone number, says nothing.
        let said = text_of(&[("a.json", r#"{"sku":"12,5","version":"1.2","phone":"555 123","qty":"1"}"#)]);
        assert_eq!(said.as_deref(), Ok(""));
    }

    #[test]
    fn samples_that_contradict_each_other_are_refused_with_both_values_and_where_they_are() {
        for (one, other, what) in [
            (r#""12,5""#, r#""12.50""#, "numbers"),
            (r#""1.234,5""#, r#""1,234.5""#, "numbers"),
            (r#""1.234,5""#, r#""1 234,5""#, "numbers"),
            (r#""31.12.2026""#, r#""12/31/2026""#, "dates"),
        ] {
            let samples = [format!(r#"{{"a":{one}}}"#), format!(r#"{{"b":[{other}]}}"#)];
            let said = text_of(&[("x.json", &samples[0]), ("y.json", &samples[1])]).unwrap_err();
            for part in [one, other, what, "at /a of x.json", "at /b/* of y.json"] {
                assert!(said.contains(part), "{part} in {said}");
            }
        }
        let said = text_of(&[("s.csv", "sku;price\nA;12,5\nB;12.50\n")]).unwrap_err();
        assert!(said.contains("line 2 of s.csv") && said.contains("line 3 of s.csv"), "{said}");
        // Each two go together, and the three do not.
        let said = text_of(&[("s.json", r#"{"a":["1.234","1,234"],"qty":"1 234"}"#)]).unwrap_err();
        assert!(["1.234", "1,234", "1 234"].iter().all(|value| said.contains(value)), "{said}");
    }

    fn read(name: &str, bytes: &[u8]) -> Sample {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), bytes).unwrap();
        Sample::read(&folder.path().join(name)).unwrap()
    }

    #[test]
    fn another_encoding_is_proposed_with_the_word_that_it_gives() {
        let folder = tempfile::tempdir().unwrap();
        let of = |samples: Vec<Sample>, native: bool| {
            let plan = Plan { samples, native, ..plan(folder.path(), &[]) };
            Inferred::of(&plan, inventory()).map(|it| it.text).map_err(|error| error.to_string())
        };
        let latin = read("l.csv", b"sku;titel\nA;Gr\xf6\xdfe\n");
        let said = of(vec![latin.clone()], false).unwrap();
        assert!(said.contains("encoding = \"windows-1252\"\n"), "{said}");
        assert!(said.contains("byte 14 of \"l.csv\"") && said.contains("Größe"), "{said}");
        assert!(latin.payload.contains(&0xf6), "the fixture has the bytes as they were sent");
        let utf8 = read("u.csv", "sku;titel\nA;Größe\n".as_bytes());
        let said = of(vec![utf8, latin], false).unwrap_err();
        assert!(said.contains("u.csv is UTF-8") && said.contains("l.csv is not at byte 14"), "{said}");
        let wide = Encoding::Utf16.bytes("sku;titel\nA;Größe\n").unwrap();
        let said = of(vec![read("w.csv", &wide)], false).unwrap();
        assert!(said.contains("byte order mark of utf-16le") && !said.contains("encoding ="), "{said}");
        let json = read("j.json", b"{\"titel\":\"Gr\xf6\xdfe\"}");
        assert!(of(vec![json.clone()], true).unwrap().contains("windows-1252"));
        assert!(of(vec![json], false).unwrap_err().contains("is not UTF-8 at byte 12"));
    }

    #[test]
    fn numbers_and_times_in_texts_are_read_as_declared_in_every_language() {
        let local = r#"{"sku":"A","site":"R","qty":"1.234","available":"-2","on_order":3,"updated_at":"31.12.2026 14:05"}"#;
        let seconds = r#"{"sku":"A","site":"R","qty":1,"updated_at":1768053802}"#;
        let milliseconds = r#"{"sku":"A","site":"R","qty":1,"rows":1768053802,"updated_at":"1768053802500"}"#;
        let offset = r#"{"sku":"A","site":"R","qty":1,"updated_at":"2026-01-02T03:04:05Z"}"#;
        for (sample, rust, script, c) in [
            (
                local,
                &[
                    "meta.text.level(&message.qty, || \"/qty\".to_owned())?",
                    "meta.text.whole(&message.available, ",
                    "quantity::not_negative(message.on_order.get(), ",
                    "meta.text.time(&said, || \"/updated_at\".to_owned())?",
                ][..],
                &[
                    "localLevel(meta, message, \"qty\")",
                    "localWhole(meta, message, \"available\")",
                    " level(message, \"on_order\")",
                    "localTime(meta, message, \"updated_at\")",
                    "level, localLevel, localTime, localWhole, ",
                ][..],
                &[
                    "sm_local_level(meta, message, \"qty\", &data",
                    "sm_local_whole(meta, message, \"available\", &data",
                    "!sm_level(message, \"on_order\", &data",
                    "sm_local_time(meta, message, \"updated_at\", &at)",
                ][..],
            ),
            (
                seconds,
                &["time::epoch_seconds(&said, || "],
                &["epochSeconds(message, \"updated_at\")"],
                &["sm_epoch_seconds(message, \"updated_at\", &at)"],
            ),
            (
                milliseconds,
                &["time::epoch_millis(&said, || "],
                &["epochMillis(message, \"updated_at\")"],
                &["sm_epoch_millis(message, \"updated_at\", &at)"],
            ),
            (
                offset,
                &["time::utc(&said, \"/updated_at\")?"],
                &["utc(message, \"updated_at\")"],
                &["sm_utc(message, \"updated_at\", &at)"],
            ),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let plan = plan(folder.path(), &[("s.json", sample)]);
            let inferred = Inferred::of(&plan, inventory()).unwrap();
            let made = [
                (inferred.rust_json(), rust),
                (inferred.assembly_script_json(), script),
                (inferred.c_json(), c),
            ];
            for (text, lines) in made {
                for line in lines {
                    assert!(text.contains(line), "{line} in\n{text}");
                }
            }
        }
        // The place of an item's time has the item's index.
        let folder = tempfile::tempdir().unwrap();
        let sample = r#"{"items":[{"sku":"A","site":"R","qty":1,"updated_at":1768053802}]}"#;
        let text =
            Inferred::of(&plan(folder.path(), &[("s.json", sample)]), inventory()).unwrap().rust_json();
        let line = "Some(said) => time::epoch_seconds(&said, || format!(\"/items/{at}/updated_at\"))?";
        assert!(text.contains(line), "{line} in\n{text}");
        // Neither ten digits nor thirteen, or not always: no count since 1970.
        let folder = tempfile::tempdir().unwrap();
        let none = plan(folder.path(), &[("s.json", r#"[{"updated_at":1768053802},{"updated_at":12}]"#)]);
        assert_eq!(Inferred::of(&none, inventory()).unwrap().suggestion.occurred_at, None);
        let csv = plan(
            folder.path(),
            &[("s.csv", "sku;site;qty;updated_at\nA;R;12.000;31.12.2026 14:05\nB;R;7;01.02.2026 8:00\n")],
        );
        let text = Inferred::of(&csv, inventory()).unwrap().rust_csv();
        for line in [
            "meta.text.level(&record.required(columns.quantity_on_hand, \"qty\")?, ",
            "meta.text.time(&at, || record.path(\"updated_at\"))?",
            "fn event<'a>(meta: &Meta<'_>, columns",
            "event(meta, &columns",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }

    #[test]
    fn a_column_that_is_sometimes_empty_may_be_missing() {
        let folder = tempfile::tempdir().unwrap();
        let plan = plan(
            folder.path(),
            &[("s.csv", "sku,warehouse,on_hand,reserved,available\nA,R,1,,-2\nB,R,2,7,1\n")],
        );
        let text = Inferred::of(&plan, inventory()).unwrap().rust_csv();
        for line in [
            "quantity_reserved: reader.column(\"reserved\"),",
            "quantity_on_hand: reader.required(\"on_hand\")?,",
            "quantity_available: Some(meta.text.whole(",
            "//! | `reserved` | whole numbers, sometimes none | `quantityReserved` |",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }
}
