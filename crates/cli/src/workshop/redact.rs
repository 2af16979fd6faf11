//! A vendor's message without what is personal or secret in it, so that it can be a fixture.
//!
//! Replaced: names, e-mail and other addresses, telephone numbers, secrets, and free text; kept: identifiers, numbers, times, codes,
//! whatever a mapping depends on. A stand-in has the length, the kinds of characters and the type of what it stands for, so that it
//! is mapped or refused alike. Equal values get equal stand-ins, made of their order in the message and of nothing else: what was
//! there cannot be computed from them.
//!
//! Of CSV each cell is judged under its column's name, and its place is `/<line>/<column>`; of X12 each element by what the standard
//! says that it holds, and its place is `/<segment>/<element>`, as in `/6/N102`. Everything else of such a file stays byte for byte.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

use serde::Serialize;
use sluice_core::contract::Format;
use sluice_core::json::{Json, JsonError, Member, parse, push_pointer};
use sluice_formats::{csv, x12};

use super::diff::folded;
use super::text::Text;
use super::typegen::words;

/// Words of a text that is more than a name or a code.
const FREE_TEXT_WORDS: usize = 4;

/// Which members, beside those that are known.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Pointers, `*` for every item: these and what is below stay as they are.
    pub keep: Vec<String>,
    /// These and what is below are replaced too.
    pub redact: Vec<String>,
}

/// What was replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Redacted {
    /// JSON pointer into the payload.
    pub pointer: String,
    /// What it was taken for.
    pub why: &'static str,
}

/// What a member is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Secret,
    Email,
    Phone,
    Address,
    Name,
    Birthday,
    Link,
    FreeText,
    Asked,
}

impl Kind {
    /// Numbers are what mappings compute with; only some are personal.
    fn may_be_number(self) -> bool {
        matches!(self, Self::Phone | Self::Address | Self::Secret | Self::Birthday | Self::Asked)
    }

    fn why(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Email => "e-mail address",
            Self::Phone => "telephone number",
            Self::Address => "address",
            Self::Name => "name",
            Self::Birthday => "birthday",
            Self::Link => "link",
            Self::FreeText => "free text",
            Self::Asked => "asked for",
        }
    }
}

/// What cannot be redacted, since it is not known what is where in it.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// No JSON.
    #[error("the payload is {0}")]
    Json(#[from] JsonError),
    /// No X12.
    #[error("the payload does not begin with an ISA that says what separates its elements")]
    X12,
}

/// The message with stand-ins, and where they are.
///
/// # Errors
/// A message of which no one can tell what is personal: it does not even begin as its format does.
pub fn redact(format: Format, payload: &[u8], rules: &Rules) -> Result<(Vec<u8>, Vec<Redacted>), Unreadable> {
    let mut state = State { rules, stand_ins: BTreeMap::new(), redacted: Vec::new() };
    let redacted = match format {
        Format::Json => {
            written(&state.walk(&parse(payload)?, &mut String::new(), &mut Vec::new(), None)).into_bytes()
        }
        Format::Csv => state.csv(&Text::of(payload)),
        Format::X12 => state.x12(&Text::of(payload)).ok_or(Unreadable::X12)?,
    };
    Ok((redacted, state.redacted))
}

struct State<'r> {
    rules: &'r Rules,
    stand_ins: BTreeMap<String, String>,
    redacted: Vec<Redacted>,
}

impl State<'_> {
    fn csv(&mut self, file: &Text) -> Vec<u8> {
        let records = csv::cut(&file.text);
        let separator = records.separator();
        let mut replaced = Vec::new();
        let mut columns: Vec<String> = Vec::new();
        for (row, record) in records.enumerate() {
            for (at, cell) in record.cells.iter().enumerate() {
                let name = columns.get(at).map_or("", String::as_str);
                let mut pointer = format!("/{}", record.line);
                push_pointer(&mut pointer, name);
                // The names of columns stay, unless the file came without them.
                let found = |state: &Self| match row {
                    0 => by_value(&[], &cell.text).filter(|kind| *kind != Kind::FreeText),
                    _ => state.kind(&pointer, &cell.text, || of_field(name, &cell.text)),
                };
                if let Some(kind) = found(self) {
                    let stand_in = self.padded(&cell.text, kind, &pointer, &[separator, '"']);
                    replaced.push((cell.place.clone(), cell.written(&stand_in)));
                }
            }
            if row == 0 {
                columns = record.cells.iter().map(|cell| cell.text.trim().to_owned()).collect();
            }
        }
        file.with(&replaced)
    }

    fn x12(&mut self, file: &Text) -> Option<Vec<u8>> {
        let cut = x12::cut(file.text.as_bytes()).ok()?;
        let text = |segment: &[Range<usize>], n: usize| {
            segment.get(n).map_or("", |place| file.text[place.clone()].trim())
        };
        let mut replaced = Vec::new();
        let mut party = "";
        // The header of the interchange that a segment is in.
        let mut header: &[Range<usize>] = &[];
        for (at, x12::Cut { separators, places: segment }) in cut.iter().enumerate() {
            let id = text(segment, 0);
            match id {
                "ISA" => header = segment,
                // Parties are a transaction set's.
                "ST" => party = "",
                "N1" => party = text(segment, 1),
                _ => {}
            }
            let separators =
                [separators.element, separators.component, separators.terminator].map(char::from);
            for (n, place) in segment.iter().enumerate().skip(1) {
                let element = &file.text[place.clone()];
                let pointer = format!("/{}/{id}{n:02}", at + 1);
                let kind = self.kind(&pointer, element, || {
                    let isa = |n: usize| text(header, n);
                    of_element(id, n, |n| text(segment, n), party, isa)
                });
                if let Some(kind) = kind {
                    replaced.push((place.clone(), self.padded(element, kind, &pointer, &separators)));
                }
            }
        }
        Some(file.with(&replaced))
    }

    /// What a text is taken for, after what a person decided.
    fn kind(&self, pointer: &str, text: &str, known: impl FnOnce() -> Option<Kind>) -> Option<Kind> {
        let place = folded(pointer);
        if text.trim().is_empty() || below(&self.rules.keep, &place) {
            return None;
        }
        if below(&self.rules.redact, &place) { Some(Kind::Asked) } else { known() }
    }

    /// A stand-in with the blanks that are around the text, and with none of what separates values that was not there.
    fn padded(&mut self, text: &str, kind: Kind, pointer: &str, separators: &[char]) -> String {
        let inner = text.trim();
        let start = text.len() - text.trim_start().len();
        let mut made = self.stand_in(inner, kind, pointer);
        if separators.iter().any(|one| made.contains(*one) && !inner.contains(*one)) {
            made = Letters(self.stand_ins.len() as u64 + 1).like(inner);
        }
        format!("{}{made}{}", &text[..start], &text[start + inner.len()..])
    }

    fn walk(
        &mut self,
        value: &Json,
        pointer: &mut String,
        names: &mut Vec<String>,
        inherited: Option<Kind>,
    ) -> Json {
        let place = folded(pointer);
        if below(&self.rules.keep, &place) {
            return value.clone();
        }
        let inherited = if below(&self.rules.redact, &place) { Some(Kind::Asked) } else { inherited };
        let length = pointer.len();
        match value {
            Json::Object(members) => {
                let members = members.iter().map(|member| {
                    push_pointer(pointer, &member.key);
                    names.push(member.key.clone());
                    let value = self.walk(&member.value, pointer, names, inherited);
                    names.pop();
                    pointer.truncate(length);
                    Member { value, span: 0..0, ..member.clone() }
                });
                Json::Object(members.collect())
            }
            Json::Array(items) => {
                let items = items.iter().enumerate().map(|(at, item)| {
                    push_pointer(pointer, &at.to_string());
                    let item = self.walk(item, pointer, names, inherited);
                    pointer.truncate(length);
                    item
                });
                Json::Array(items.collect())
            }
            Json::String(text) if !text.is_empty() => {
                match inherited.or_else(|| by_name(names)).or_else(|| by_value(names, text)) {
                    Some(kind) => Json::String(self.stand_in(text, kind, pointer)),
                    None => value.clone(),
                }
            }
            Json::Number(token) => {
                match inherited.or_else(|| by_name(names)).filter(|kind| kind.may_be_number()) {
                    Some(kind) => Json::Number(self.stand_in(token, kind, pointer)),
                    None => value.clone(),
                }
            }
            Json::Broken(broken) => {
                let kind = inherited.or_else(|| by_name(names)).or_else(|| by_value(names, &broken.shown));
                match kind {
                    Some(kind) => Json::String(self.stand_in(&broken.shown, kind, pointer)),
                    None => value.clone(),
                }
            }
            Json::Null | Json::Bool(_) | Json::String(_) => value.clone(),
        }
    }

    fn stand_in(&mut self, text: &str, kind: Kind, pointer: &str) -> String {
        self.redacted.push(Redacted { pointer: pointer.to_owned(), why: kind.why() });
        if let Some(held) = self.stand_ins.get(text) {
            return held.clone();
        }
        let mut letters = Letters(self.stand_ins.len() as u64 + 1);
        let made = match text.split_once('@') {
            Some((local, _)) if kind == Kind::Email => format!("{}@example.com", letters.like(local)),
            _ if kind == Kind::Birthday && text.starts_with(|first: char| first.is_ascii_digit()) => {
                let rest = text.char_indices().nth(10).map_or("", |(at, _)| &text[at..]);
                match text.len() {
                    8 if text.bytes().all(|byte| byte.is_ascii_digit()) => "19700101".to_owned(),
                    10.. => format!("1970-01-01{rest}"),
                    _ => letters.like(text),
                }
            }
            _ => match text.split_once("://") {
                Some((scheme, rest)) => {
                    let path = rest.find('/').map_or("", |at| &rest[at..]);
                    format!("{scheme}://example.com{}", letters.like(path))
                }
                None => letters.like(text),
            },
        };
        self.stand_ins.insert(text.to_owned(), made.clone());
        made
    }
}

/// Whether a place, as [`folded`] leaves it, is one of a list or below it.
fn below(list: &[String], place: &str) -> bool {
    list.iter().any(|wanted| {
        let wanted = folded(wanted.trim_end_matches('/'));
        place == wanted || place.starts_with(&format!("{wanted}/"))
    })
}

/// A field of a column.
fn of_field(name: &str, text: &str) -> Option<Kind> {
    let names = [name.to_owned()];
    let text = text.trim();
    let number = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.,".contains(&byte));
    let named = by_name(&names).filter(|kind| !number || kind.may_be_number());
    named.or_else(|| by_value(&names, text))
}

/// An element of X12 by what the standard says that it holds (release 004010). `party` is whose name and address the latest `N1` began.
fn of_element<'t>(
    id: &str,
    n: usize,
    own: impl Fn(usize) -> &'t str,
    party: &str,
    isa: impl Fn(usize) -> &'t str,
) -> Option<Kind> {
    // A warehouse is not a person, and its name may be all that identifies it.
    let place = matches!(party, "WH" | "SF" | "LW");
    // 12: the identification of the sender or receiver is a telephone number.
    let phone = |qualifier: usize| (isa(qualifier) == "12").then_some(Kind::Phone);
    match (id, n) {
        ("ISA", 2 | 4) => Some(Kind::Secret),
        ("ISA", 6) | ("GS", 2) => phone(5),
        ("ISA", 8) | ("GS", 3) => phone(7),
        ("ISA" | "GS", _) => None,
        ("N1", 2) | ("N2", _) if !place => Some(Kind::Name),
        ("N1" | "N2", _) => None,
        ("NM1", 3..=5) => Some(Kind::Name),
        ("NM1", 9) if own(8) == "34" => Some(Kind::Secret),
        ("N3", _) | ("N4", 1 | 3) => Some(Kind::Address),
        ("PER", 2) => Some(Kind::Name),
        ("PER", 4 | 6 | 8) => Some(match own(n - 1) {
            "EM" => Kind::Email,
            "UR" => Kind::Link,
            _ => Kind::Phone,
        }),
        ("DMG", 2) => Some(Kind::Birthday),
        ("MSG" | "MTX", _) | ("NTE", 2) => Some(Kind::FreeText),
        // Social security and taxpayer's numbers.
        ("REF", 2) if matches!(own(1), "SY" | "TJ" | "EI") => Some(Kind::Secret),
        ("PID", 5) => None,
        _ => by_value(&[], own(n)),
    }
}

/// By what the member is called, and by what it belongs to.
fn by_name(names: &[String]) -> Option<Kind> {
    let own = words(names.last()?);
    let has = |list: &[&str]| own.iter().any(|word| list.contains(&word.as_str()));
    let ends = |list: &[&str]| own.last().is_some_and(|word| list.contains(&word.as_str()));
    // What belongs to goods, places of ours and vendors is not a person's.
    let impersonal =
        names[..names.len() - 1].iter().chain(names.last()).flat_map(|name| words(name)).any(|word| {
            const THINGS: &[&str] = &[
                "item",
                "items",
                "line",
                "lines",
                "product",
                "products",
                "article",
                "variant",
                "warehouse",
                "location",
                "sku",
                "tax",
                "discount",
                "method",
                "carrier",
                "service",
                "app",
                "source",
                "order",
                "event",
                "file",
                "unit",
                "category",
                "brand",
            ];
            THINGS.contains(&word.as_str())
        });
    if has(&[
        "password",
        "secret",
        "token",
        "authorization",
        "signature",
        "iban",
        "cvv",
        "ssn",
        "passport",
        "fingerprint",
    ]) || (has(&["card", "account"]) && ends(&["number"]))
    {
        return Some(Kind::Secret);
    }
    if has(&["email", "mail"]) && !ends(&["marketing", "state", "consent"]) {
        return Some(Kind::Email);
    }
    if has(&["phone", "telephone", "mobile", "fax", "tel"]) {
        return Some(Kind::Phone);
    }
    if has(&["birthday", "birthdate", "dob"]) || (has(&["birth"]) && has(&["date"])) {
        return Some(Kind::Birthday);
    }
    if has(&["street", "zip", "postcode", "latitude", "longitude", "ip", "city"])
        || own.first().is_some_and(|word| word.starts_with("address") || (word == "postal"))
        || own
            .iter()
            .any(|word| matches!(word.as_str(), "address1" | "address2" | "address3" | "line1" | "line2"))
    {
        return Some(Kind::Address);
    }
    if has(&[
        "firstname",
        "lastname",
        "fullname",
        "surname",
        "company",
        "recipient",
        "attention",
        "contact",
        "username",
        "nickname",
    ]) || (ends(&["name"]) && !impersonal)
    {
        return Some(Kind::Name);
    }
    if has(&[
        "note",
        "notes",
        "comment",
        "comments",
        "remark",
        "remarks",
        "message",
        "memo",
        "instructions",
        "greeting",
    ]) {
        return Some(Kind::FreeText);
    }
    if ends(&["url", "uri", "href", "link", "referrer", "referer"])
        || names.last().is_some_and(|name| name.contains("_site"))
    {
        return Some(Kind::Link);
    }
    None
}

/// By what it looks like.
fn by_value(names: &[String], text: &str) -> Option<Kind> {
    if let Some((local, host)) = text.split_once('@')
        && !local.is_empty()
        && host.contains('.')
        && !text.contains(char::is_whitespace)
    {
        return Some(Kind::Email);
    }
    let digits = text.chars().filter(char::is_ascii_digit).count();
    if text.starts_with('+')
        && digits >= 7
        && text.chars().all(|c| c.is_ascii_digit() || " +()-./".contains(c))
    {
        return Some(Kind::Phone);
    }
    let wordy = text.split_whitespace().filter(|word| word.chars().any(char::is_alphabetic)).count();
    let named_well = names
        .last()
        .is_some_and(|name| matches!(words(name).last().map(String::as_str), Some("title" | "sku")));
    (wordy >= FREE_TEXT_WORDS && !named_well).then_some(Kind::FreeText)
}

/// Characters without meaning, the same for the same start (splitmix64).
struct Letters(u64);

impl Letters {
    fn next(&mut self, of: u64) -> u8 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u8::try_from((mixed ^ (mixed >> 31)) % of).unwrap_or(0)
    }

    /// Letters for letters, digits for digits, everything else as it is.
    fn like(&mut self, text: &str) -> String {
        let mut first_digit = true;
        text.chars()
            .map(|character| match character {
                'a'..='z' => char::from(b'a' + self.next(26)),
                'A'..='Z' => char::from(b'A' + self.next(26)),
                // A number keeps its length: no zero in front that was not there.
                '0' if first_digit => '0',
                '0'..='9' => {
                    let digit = if first_digit { b'1' + self.next(9) } else { b'0' + self.next(10) };
                    first_digit = false;
                    char::from(digit)
                }
                // As many bytes as before, and still a letter.
                other if other.is_alphabetic() => match other.len_utf8() {
                    2 => 'ö',
                    3 => '字',
                    _ => '𠀀',
                },
                other => other,
            })
            .collect()
    }
}

/// A document, indented, with every number as it was written.
pub fn written(value: &Json) -> String {
    fn write(value: &Json, indent: usize, out: &mut String) {
        let line = |out: &mut String, indent: usize| {
            let _ = write!(out, "\n{:1$}", "", indent * 2);
        };
        match value {
            Json::Null => out.push_str("null"),
            Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Json::Number(token) => out.push_str(token),
            Json::String(text) => out.push_str(&serde_json::Value::from(text.as_str()).to_string()),
            Json::Broken(broken) => out.push_str(&broken.json()),
            Json::Array(items) if items.is_empty() => out.push_str("[]"),
            Json::Object(members) if members.is_empty() => out.push_str("{}"),
            Json::Array(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    line(out, indent + 1);
                    write(item, indent + 1, out);
                }
                line(out, indent);
                out.push(']');
            }
            Json::Object(members) => {
                out.push('{');
                for (at, member) in members.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    line(out, indent + 1);
                    match &member.broken_key {
                        Some(broken) => out.push_str(&broken.json()),
                        None => out.push_str(&serde_json::Value::from(member.key.as_str()).to_string()),
                    }
                    out.push_str(": ");
                    write(&member.value, indent + 1, out);
                }
                line(out, indent);
                out.push('}');
            }
        }
    }
    let mut out = String::new();
    write(value, 0, &mut out);
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use sluice_core::json::parse;

    use super::*;

    fn redact_json(before: &Json, rules: &Rules) -> (Json, Vec<Redacted>) {
        let (after, report) = redact(Format::Json, written(before).as_bytes(), rules).unwrap();
        (parse(&after).unwrap(), report)
    }

    const ORDER: &str = r#"{"id":820982911946154508,"email":"jane.doe@mail.test","created_at":"2026-01-02T03:04:05-05:00",
      "customer":{"first_name":"Jané","last_name":"Doe","phone":"+1 555-0100 22","email":"jane.doe@mail.test"},
      "shipping_address":{"address1":"1 High St","city":"Rome","zip":"00-184","country_code":"IT","latitude":41.90},
      "line_items":[{"sku":"ABC-1","name":"Blue shirt","title":"A shirt of blue cotton","price":"10.00"}],
      "note":"call me","token":"deadbeef","landing_site":"https://shop.test/x?utm=abc","tags":"please ring the door bell",
      "warehouse":{"name":"Roanoke"},"empty":"","total":10.10}"#;

    #[test]
    fn people_are_gone_and_the_mapping_is_not() {
        let before = parse(ORDER.as_bytes()).unwrap();
        let (after, report) = redact_json(&before, &Rules::default());
        let text = written(&after);
        for gone in [
            "jane",
            "Jan",
            "Doe",
            "555",
            "High",
            "Rome",
            "184",
            "41.90",
            "call me",
            "deadbeef",
            "shop.test",
            "ring the door",
        ] {
            assert!(!text.contains(gone), "{gone} in {text}");
        }
        for kept in [
            "820982911946154508",
            "2026-01-02T03:04:05-05:00",
            "ABC-1",
            "Blue shirt",
            "A shirt of blue cotton",
            "\"10.00\"",
            "10.10",
            "\"IT\"",
            "Roanoke",
        ] {
            assert!(text.contains(kept), "{kept} not in {text}");
        }
        let why = |pointer: &str| report.iter().find(|one| one.pointer == pointer).map(|one| one.why);
        assert_eq!(why("/customer/first_name"), Some("name"));
        assert_eq!(why("/shipping_address/latitude"), Some("address"));
        assert_eq!(why("/note"), Some("free text"));
        assert_eq!(why("/line_items/0/name"), None);
        assert_eq!(report.len(), 13, "{report:?}");
    }

    #[test]
    fn stand_ins_keep_length_type_and_equality_and_are_the_same_each_time() {
        let before = parse(ORDER.as_bytes()).unwrap();
        let (after, _) = redact_json(&before, &Rules::default());
        assert_eq!(redact_json(&before, &Rules::default()).0, after);
        let value: serde_json::Value = serde_json::from_str(&written(&after)).unwrap();
        assert_eq!(value["email"], value["customer"]["email"]);
        assert!(value["email"].as_str().unwrap().ends_with("@example.com"));
        assert_eq!(value["customer"]["first_name"].as_str().unwrap().len(), "Jané".len());
        let phone = value["customer"]["phone"].as_str().unwrap();
        assert!(phone.starts_with('+') && phone.len() == 14 && phone.contains('-'), "{phone}");
        assert!(value["shipping_address"]["latitude"].is_f64());
    }

    #[test]
    fn a_person_decides_what_stays_and_what_goes() {
        let before = parse(br#"{"lines":[{"name":"Ann","ref":"X1"},{"name":"Bob","ref":"X2"}]}"#).unwrap();
        let rules = Rules { keep: Vec::new(), redact: vec!["/lines/*/ref".into()] };
        let (_, report) = redact_json(&before, &rules);
        let places: Vec<&str> = report.iter().map(|one| one.pointer.as_str()).collect();
        assert_eq!(places, ["/lines/0/ref", "/lines/1/ref"]);
        let person = parse(br#"{"name":"Ann"}"#).unwrap();
        let keep = Rules { keep: vec!["/name".into()], redact: Vec::new() };
        assert_eq!(redact_json(&person, &keep).1, []);
        assert_eq!(redact_json(&person, &Rules::default()).1.len(), 1);
    }

    #[test]
    fn numbers_are_written_as_they_were() {
        let text = "{\n  \"a\": [\n    1.50,\n    12345678901234567890,\n    \"\\u0001\\\"\"\n  ],\n  \"b\": {},\n  \"c\": []\n}\n";
        assert_eq!(written(&parse(text.as_bytes()).unwrap()), text);
    }

    const CSV: &[u8] = b"sku;qty;Contact e-mail;customer name;phone;remark\r\n\
        A-1;12;jane@acme.test;\"Doe; \"\"J\"\"\";0540 555-1234;\r\nA-2;x;jane@acme.test;Bob;;\"call\nme\"\r\n";

    #[test]
    fn cells_are_replaced_and_the_file_keeps_its_form() {
        let (after, report) = redact(Format::Csv, CSV, &Rules::default()).unwrap();
        let text = String::from_utf8(after.clone()).unwrap();
        for gone in ["jane", "acme", "Doe", "Bob", "1234", "call"] {
            assert!(!text.contains(gone), "{gone} in {text}");
        }
        let (before_cut, after_cut) = (Text::of(CSV), Text::of(&after));
        assert_eq!(csv::cut(&before_cut.text).count(), csv::cut(&after_cut.text).count());
        let after_csv: Vec<_> = csv::cut(&after_cut.text).collect();
        for (before, after) in csv::cut(&before_cut.text).zip(&after_csv) {
            assert_eq!((before.line, before.cells.len()), (after.line, after.cells.len()));
            assert_eq!(
                before.cells[..2].iter().map(|cell| &cell.text).collect::<Vec<_>>(),
                after.cells[..2].iter().map(|cell| &cell.text).collect::<Vec<_>>()
            );
        }
        let cell = |row: usize, at: usize| after_csv[row].cells[at].text.as_ref();
        assert_eq!(cell(0, 2), "Contact e-mail");
        assert_eq!(cell(1, 2), cell(2, 2), "equal values have equal stand-ins");
        assert_eq!((cell(1, 3).len(), cell(1, 4).len()), ("Doe; \"J\"".len(), "0540 555-1234".len()));
        assert!(cell(1, 3).contains("; \""));
        let why = |pointer: &str| report.iter().find(|one| one.pointer == pointer).map(|one| one.why);
        assert_eq!(why("/2/Contact e-mail"), Some("e-mail address"));
        assert_eq!((why("/3/remark"), why("/2/remark")), (Some("free text"), None));
        let rules = Rules { keep: vec!["/*/remark".into()], redact: vec!["/*/sku".into()] };
        let (after, _) = redact(Format::Csv, CSV, &rules).unwrap();
        let text = String::from_utf8(after).unwrap();
        assert!(text.contains("call\nme") && !text.contains("A-1"), "{text}");
    }

    #[test]
    fn a_file_that_no_mapper_reads_is_redacted_all_the_same() {
        let (after, _) = redact(Format::Csv, b"name,qty\nJos\xe9,1\n\"Ann,2\n", &Rules::default()).unwrap();
        assert!(after.starts_with(b"name,qty\n") && after.contains(&0xf6), "still Latin-1: {after:?}");
        assert!(!after.windows(3).any(|three| three == b"Ann" || three == b"Jos"));
        // A file without its header.
        let (after, _) =
            redact(Format::Csv, b"A-1,jane@acme.test\nA-2,bob@acme.test\n", &Rules::default()).unwrap();
        assert!(!String::from_utf8(after).unwrap().contains("acme"));
        assert!(redact(Format::X12, b"no X12", &Rules::default()).is_err());
        assert!(redact(Format::Json, b"{", &Rules::default()).is_err());
    }

    #[test]
    fn elements_are_replaced_and_the_interchange_still_holds() {
        const ISA: &str = "ISA*00*          *01*hush      *ZZ*ROANOKEDIST    *12*5405551234     *260110*1403*U*00401*000000905*0*P*>~";
        let text = format!(
            "{ISA}\nGS*PO*ROANOKEDIST*5405551234*20260110*1403*77*X*004010~\nST*850*0001~\nBEG*00*SA*4500017812**20260110~\n\
             REF*SY*123-45-6789~\nPER*BD*JON SMITH*TE*5405550000*EM*jon@mail.test~\nMSG*CALL JON~\n\
             N1*WH*ROANOKE DISTRIBUTION~\nN1*ST*STEVE SHIPPER*92*ST-7~\nN3*123 SHIPPING STREET~\nN4*SHIPPINGTON*KY*40004*US~\n\
             PO1*1*24*EA*9.99**VP*KT-17~\nPID*F****KETTLE OF STEEL 1.7 L~\nSE*11*0001~\nGE*1*77~\nIEA*1*000000905~\n"
        );
        let (after, report) = redact(Format::X12, text.as_bytes(), &Rules::default()).unwrap();
        let after = String::from_utf8(after).unwrap();
        for gone in
            ["hush", "5405551234", "123-45", "JON", "jon@", "5405550000", "STEVE", "SHIPPING", "40004"]
        {
            assert!(!after.contains(gone), "{gone} in {after}");
        }
        for kept in [
            "4500017812",
            "ROANOKE DISTRIBUTION",
            "ST-7",
            "*KY*",
            "*US~",
            "KT-17",
            "KETTLE OF STEEL 1.7 L",
            "9.99",
        ] {
            assert!(after.contains(kept), "{kept} not in {after}");
        }
        let cut = |text: &str| x12::cut(text.as_bytes()).unwrap();
        let after_cut = cut(&after);
        let shape =
            |cut: &[x12::Cut]| cut.iter().map(|one| (one.separators, one.places.len())).collect::<Vec<_>>();
        assert_eq!(shape(&cut(&text)), shape(&after_cut));
        assert_eq!(after.find('~'), Some(105), "ISA has its length");
        let receiver = &after[after_cut[0].places[8].clone()];
        assert_eq!(receiver.trim(), &after[after_cut[1].places[3].clone()], "ISA08 and GS03 were equal");
        assert!(report.iter().any(|one| one.pointer == "/9/N102" && one.why == "name"), "{report:?}");
        let keep = Rules { keep: vec!["/*/N102".into()], redact: Vec::new() };
        assert!(
            String::from_utf8(redact(Format::X12, text.as_bytes(), &keep).unwrap().0)
                .unwrap()
                .contains("STEVE")
        );
    }

    #[test]
    fn each_interchange_of_a_file_is_cut_at_its_own_separators() {
        let one = "ISA*00*          *00*          *ZZ*SENDER         *ZZ*RECEIVER       *260110*1403*U*00401*000000905*0*P*>~\
             ST*850*0001~N1*ST*STEVE SHIPPER~N1*WH*ROANOKE~SE*4*0001~IEA*0*000000905~";
        let two = one.replace('*', "|").replace('~', "'").replace("STEVE SHIPPER", "BOB BILLER");
        let two = two.replace("ST|850|0001'", "ST|850|0001'N2|JON SMITH'");
        let text = format!("{one}\r\n{two}");
        let (after, report) = redact(Format::X12, text.as_bytes(), &Rules::default()).unwrap();
        let after = String::from_utf8(after).unwrap();
        for gone in ["STEVE", "BOB", "JON"] {
            assert!(!after.contains(gone), "{gone} in {after}");
        }
        assert!(after.contains("N1*WH*ROANOKE~") && after.contains("N1|WH|ROANOKE'"), "{after}");
        let pointers: Vec<&str> = report.iter().map(|one| one.pointer.as_str()).collect();
        assert_eq!(pointers, ["/3/N102", "/9/N201", "/10/N102"], "{after}");
    }
}
