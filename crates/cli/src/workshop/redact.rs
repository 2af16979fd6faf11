//! A vendor's message without what is personal or secret in it, so that it can be a fixture.
//!
//! Replaced: names, e-mail and other addresses, telephone numbers, secrets, and free text; kept: identifiers, numbers, times, codes,
//! whatever a mapping depends on. A stand-in has the length, the kinds of characters and the type of what it stands for, so that it
//! is mapped or refused alike. Equal values get equal stand-ins, made of their order in the message and of nothing else: what was
//! there cannot be computed from them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use sluice_core::json::{Json, Member, push_pointer};

use super::diff::folded;
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

/// The message with stand-ins, and where they are.
pub fn redact(message: &Json, rules: &Rules) -> (Json, Vec<Redacted>) {
    let mut state = State { rules, stand_ins: BTreeMap::new(), redacted: Vec::new() };
    let redacted = state.walk(message, &mut String::new(), &mut Vec::new(), None);
    (redacted, state.redacted)
}

struct State<'r> {
    rules: &'r Rules,
    stand_ins: BTreeMap<String, String>,
    redacted: Vec<Redacted>,
}

impl State<'_> {
    fn walk(
        &mut self,
        value: &Json,
        pointer: &mut String,
        names: &mut Vec<String>,
        inherited: Option<Kind>,
    ) -> Json {
        let place = folded(pointer);
        let below = |list: &[String]| {
            list.iter().any(|wanted| {
                let wanted = folded(wanted.trim_end_matches('/'));
                place == wanted || place.starts_with(&format!("{wanted}/"))
            })
        };
        if below(&self.rules.keep) {
            return value.clone();
        }
        let inherited = if below(&self.rules.redact) { Some(Kind::Asked) } else { inherited };
        let length = pointer.len();
        match value {
            Json::Object(members) => {
                let members = members.iter().map(|member| {
                    push_pointer(pointer, &member.key);
                    names.push(member.key.clone());
                    let value = self.walk(&member.value, pointer, names, inherited);
                    names.pop();
                    pointer.truncate(length);
                    Member { key: member.key.clone(), value, span: 0..0 }
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
            // Numbers are what mappings compute with; only those that are a telephone number or a place are personal.
            Json::Number(token) => match inherited.or_else(|| by_name(names)) {
                Some(kind @ (Kind::Phone | Kind::Address | Kind::Secret | Kind::Birthday | Kind::Asked)) => {
                    Json::Number(self.stand_in(token, kind, pointer))
                }
                _ => value.clone(),
            },
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
                if text.len() >= 10 { format!("1970-01-01{rest}") } else { letters.like(text) }
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
                    let _ = write!(out, "{}: ", serde_json::Value::from(member.key.as_str()));
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

    const ORDER: &str = r#"{"id":820982911946154508,"email":"jane.doe@mail.test","created_at":"2026-01-02T03:04:05-05:00",
      "customer":{"first_name":"Jané","last_name":"Doe","phone":"+1 555-0100 22","email":"jane.doe@mail.test"},
      "shipping_address":{"address1":"1 High St","city":"Rome","zip":"00-184","country_code":"IT","latitude":41.90},
      "line_items":[{"sku":"ABC-1","name":"Blue shirt","title":"A shirt of blue cotton","price":"10.00"}],
      "note":"call me","token":"deadbeef","landing_site":"https://shop.test/x?utm=abc","tags":"please ring the door bell",
      "warehouse":{"name":"Roanoke"},"empty":"","total":10.10}"#;

    #[test]
    fn people_are_gone_and_the_mapping_is_not() {
        let before = parse(ORDER.as_bytes()).unwrap();
        let (after, report) = redact(&before, &Rules::default());
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
        let (after, _) = redact(&before, &Rules::default());
        assert_eq!(redact(&before, &Rules::default()).0, after);
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
        let (_, report) = redact(&before, &rules);
        let places: Vec<&str> = report.iter().map(|one| one.pointer.as_str()).collect();
        assert_eq!(places, ["/lines/0/ref", "/lines/1/ref"]);
        let person = parse(br#"{"name":"Ann"}"#).unwrap();
        let keep = Rules { keep: vec!["/name".into()], redact: Vec::new() };
        assert_eq!(redact(&person, &keep).1, []);
        assert_eq!(redact(&person, &Rules::default()).1.len(), 1);
    }

    #[test]
    fn numbers_are_written_as_they_were() {
        let text = "{\n  \"a\": [\n    1.50,\n    12345678901234567890,\n    \"\\u0001\\\"\"\n  ],\n  \"b\": {},\n  \"c\": []\n}\n";
        assert_eq!(written(&parse(text.as_bytes()).unwrap()), text);
    }
}
