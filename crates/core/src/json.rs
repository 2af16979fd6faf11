//! JSON read without losing anything: number tokens stay text, duplicate keys and member order are kept, spans are known.
//!
//! `serde_json::Value` would pass `12345678901234567890.10` through a float and drop the first of two equal keys. What a
//! vendor sent is only ever judged here; the bytes themselves go to storage and to the mapper untouched. Reads RFC 8259,
//! by `jiter`. A byte order mark is ignored (section 8.1). Half of a surrogate pair is allowed by the grammar and means no
//! character (section 8.2): a text that has one is [`Json::Broken`], so that whoever reads it must say what it does.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::Range;

use jiter::{Jiter, JiterError, JsonErrorType, Peek};

use crate::digest::Sha256Hex;
use crate::limits::JSON_DEPTH_MAX;

/// A JSON value, exact.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// The token as written, e.g. `1.50` or `12345678901234567890`.
    Number(String),
    /// Unescaped text.
    String(String),
    /// Text with half of a surrogate pair.
    Broken(Broken),
    /// Items in order.
    Array(Vec<Json>),
    /// Members in order, equal keys included.
    Object(Vec<Member>),
}

/// Text that no Unicode string is: an escape such as `\ud83d` has no other half.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Broken {
    /// With U+FFFD in place of each half. For people and schemas only: two texts may be shown alike.
    pub shown: String,
    /// The canonical form, without quotes: minimally escaped, each half as `\ud83d`. No other text has it.
    exact: String,
}

impl Broken {
    /// As JSON, quotes included.
    pub fn json(&self) -> String {
        format!("\"{}\"", self.exact)
    }
}

/// One member of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Unescaped name; as [`Broken::shown`] if it has half of a surrogate pair.
    pub key: String,
    /// The name, if it has half of a surrogate pair. No pointer leads to such a member.
    pub broken_key: Option<Broken>,
    /// Its value.
    pub value: Json,
    /// Where the value's bytes are in the document.
    pub span: Range<usize>,
}

/// Why bytes are not an acceptable JSON document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not RFC 8259.
    #[error("not valid JSON at line {line}, column {column}: {reason}")]
    Syntax {
        /// 1-based.
        line: usize,
        /// 1-based, in bytes.
        column: usize,
        /// What the parser expected.
        reason: String,
    },
    /// Not UTF-8.
    #[error("not valid UTF-8 at byte {at}")]
    Encoding {
        /// 0-based offset of the first bad byte.
        at: usize,
    },
    /// Deeper than [`JSON_DEPTH_MAX`].
    #[error("nested deeper than {JSON_DEPTH_MAX} levels")]
    TooDeep,
}

/// Reads one document; trailing bytes are a fault.
pub fn parse(bytes: &[u8]) -> Result<Json, JsonError> {
    if let Err(error) = std::str::from_utf8(bytes) {
        return Err(JsonError::Encoding { at: error.valid_up_to() });
    }
    let halves = halves(bytes);
    let mut patched = Cow::Borrowed(bytes);
    // What stands in for something has its length, so that every place stays where it was.
    if bytes.starts_with(BYTE_ORDER_MARK) {
        patched.to_mut()[..BYTE_ORDER_MARK.len()].fill(b' ');
    }
    for half in &halves {
        patched.to_mut()[*half..half + HALF_BYTES].copy_from_slice(br"\ufffd");
    }
    let mut reader = Reader { jiter: Jiter::new(&patched), sent: bytes, halves: &halves };
    let result = (|| {
        let peek = reader.jiter.peek()?;
        let value = read(&mut reader, peek, 1)?;
        reader.jiter.finish()?;
        Ok(value)
    })();
    result.map_err(|stop| match stop {
        Stop::TooDeep => JsonError::TooDeep,
        Stop::Syntax(error) => {
            let at = error.get_position(&reader.jiter);
            JsonError::Syntax { line: at.line, column: at.column, reason: reason(&error) }
        }
    })
}

/// U+FEFF in UTF-8.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Length of `\ud83d`.
const HALF_BYTES: usize = 6;

/// The unit of UTF-16 of the escape at the beginning, if there is one.
fn unit(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(br"\u")?.get(..4)?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Whether a pair begins here.
fn is_pair(bytes: &[u8]) -> bool {
    let low = bytes.get(HALF_BYTES..).and_then(unit);
    matches!((unit(bytes), low), (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)))
}

/// Where escapes of half a surrogate pair begin, in order. A backslash is legal in strings only, so what is around them is left to
/// the parser.
fn halves(bytes: &[u8]) -> Vec<usize> {
    let mut halves = Vec::new();
    let mut at = 0;
    while let Some(next) = bytes.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == b'\\')) {
        at += next;
        at += match unit(&bytes[at..]) {
            _ if is_pair(&bytes[at..]) => 2 * HALF_BYTES,
            Some(0xD800..=0xDFFF) => {
                halves.push(at);
                HALF_BYTES
            }
            Some(_) => HALF_BYTES,
            // The character behind it is escaped.
            None => 2,
        };
    }
    halves
}

/// The parser, and what it was not shown.
struct Reader<'j> {
    jiter: Jiter<'j>,
    sent: &'j [u8],
    halves: &'j [usize],
}

impl Reader<'_> {
    /// The text that was read since `start`, if it is broken.
    fn broken(&self, start: usize, shown: &str) -> Option<Broken> {
        let end = self.jiter.current_index();
        let first = self.halves.partition_point(|half| *half < start);
        self.halves.get(first).filter(|half| **half < end)?;
        let mut exact = String::with_capacity(shown.len() + 8);
        // What was sent for each U+FFFD: the character, its escape, or half of a pair.
        let mut at = start;
        for c in shown.chars() {
            if c != char::REPLACEMENT_CHARACTER {
                write_char(c, &mut exact);
                continue;
            }
            let (place, escape) = replacement(self.sent, at);
            at = place + if escape { HALF_BYTES } else { c.len_utf8() };
            match self.sent.get(place..at) {
                Some(half) if self.halves.binary_search(&place).is_ok() => {
                    exact.push_str(&String::from_utf8_lossy(half).to_ascii_lowercase());
                }
                _ => exact.push(c),
            }
        }
        Some(Broken { shown: shown.to_owned(), exact })
    }
}

/// The next place, from `at` on, that is read as U+FFFD, and whether an escape stands there.
fn replacement(sent: &[u8], mut at: usize) -> (usize, bool) {
    while let Some(rest) = sent.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("\u{FFFD}".as_bytes()) {
            return (at, false);
        }
        at += match (rest[0], unit(rest)) {
            (b'\\', _) if is_pair(rest) => 2 * HALF_BYTES,
            (b'\\', Some(0xD800..=0xDFFF | 0xFFFD)) => return (at, true),
            (b'\\', Some(_)) => HALF_BYTES,
            (b'\\', None) => 2,
            _ => 1,
        };
    }
    (at, false)
}

enum Stop {
    TooDeep,
    Syntax(JiterError),
}

impl From<JiterError> for Stop {
    fn from(error: JiterError) -> Self {
        Self::Syntax(error)
    }
}

fn reason(error: &JiterError) -> String {
    match &error.error_type {
        jiter::JiterErrorType::JsonError(JsonErrorType::EofWhileParsingValue) => {
            "the document ends early".to_owned()
        }
        jiter::JiterErrorType::JsonError(kind) => kind.to_string(),
        other @ jiter::JiterErrorType::WrongType { .. } => other.to_string(),
    }
}

fn read(reader: &mut Reader<'_>, peek: Peek, depth: usize) -> Result<Json, Stop> {
    let start = reader.jiter.current_index();
    Ok(match peek {
        Peek::Null => {
            reader.jiter.known_null()?;
            Json::Null
        }
        Peek::True | Peek::False => Json::Bool(reader.jiter.known_bool(peek)?),
        Peek::String => {
            let text = reader.jiter.known_str()?.to_owned();
            match reader.broken(start, &text) {
                Some(broken) => Json::Broken(broken),
                None => Json::String(text),
            }
        }
        Peek::Array => {
            if depth > JSON_DEPTH_MAX {
                return Err(Stop::TooDeep);
            }
            let mut items = Vec::new();
            let mut next = reader.jiter.known_array()?;
            while let Some(peek) = next {
                items.push(read(reader, peek, depth + 1)?);
                next = reader.jiter.array_step()?;
            }
            Json::Array(items)
        }
        Peek::Object => {
            if depth > JSON_DEPTH_MAX {
                return Err(Stop::TooDeep);
            }
            let mut members = Vec::new();
            let mut before = start;
            let mut next = reader.jiter.known_object()?.map(str::to_owned);
            while let Some(key) = next {
                let broken_key = reader.broken(before, &key);
                let peek = reader.jiter.peek()?;
                let start = reader.jiter.current_index();
                let value = read(reader, peek, depth + 1)?;
                before = reader.jiter.current_index();
                members.push(Member { key, broken_key, value, span: start..before });
                next = reader.jiter.next_key()?.map(str::to_owned);
            }
            Json::Object(members)
        }
        number => {
            Json::Number(String::from_utf8_lossy(reader.jiter.known_number_bytes(number)?).into_owned())
        }
    })
}

impl Json {
    /// The name of the type, as JSON Schema writes it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::String(_) | Self::Broken(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }

    /// The keys that an object has more than once, in order, each once. Empty for anything else.
    pub fn duplicate_keys(&self) -> Vec<&str> {
        let Self::Object(members) = self else { return Vec::new() };
        let mut seen = std::collections::BTreeMap::<_, usize>::new();
        for member in members {
            *seen.entry(member.name()).or_default() += 1;
        }
        // Each is taken out when it is named, so that five megabytes of doubled keys cost no more than others.
        let mut duplicates: Vec<&str> = Vec::new();
        for member in members {
            if seen.remove(&member.name()).is_some_and(|times| times > 1) {
                duplicates.push(&member.key);
            }
        }
        duplicates
    }

    /// The first path (JSON pointer) at which any object in the document has two equal keys.
    pub fn first_duplicate_key(&self) -> Option<String> {
        fn walk(value: &Json, path: &mut String) -> Option<String> {
            let length = path.len();
            match value {
                Json::Object(members) => {
                    if let Some(key) = value.duplicate_keys().first() {
                        push_pointer(path, key);
                        return Some(path.clone());
                    }
                    for member in members {
                        push_pointer(path, &member.key);
                        if let found @ Some(_) = walk(&member.value, path) {
                            return found;
                        }
                        path.truncate(length);
                    }
                }
                Json::Array(items) => {
                    for (index, item) in items.iter().enumerate() {
                        let _ = write!(path, "/{index}");
                        if let found @ Some(_) = walk(item, path) {
                            return found;
                        }
                        path.truncate(length);
                    }
                }
                _ => {}
            }
            None
        }
        walk(self, &mut String::new())
    }

    /// The last member of that name, as most readers take it.
    pub fn get(&self, key: &str) -> Option<&Member> {
        match self {
            Self::Object(members) => members.iter().rev().find(|member| member.name() == (key, None)),
            _ => None,
        }
    }

    /// The value at a JSON pointer (RFC 6901). Of equal keys the last counts, as in [`Json::get`].
    pub fn pointer(&self, pointer: &str) -> Option<&Self> {
        let Some(tokens) = pointer.strip_prefix('/') else { return pointer.is_empty().then_some(self) };
        let mut value = self;
        for token in tokens.split('/') {
            value = match value {
                Self::Object(_) if token.contains('~') => {
                    &value.get(&token.replace("~1", "/").replace("~0", "~"))?.value
                }
                Self::Object(_) => &value.get(token)?.value,
                Self::Array(items) if token == "0" || !token.starts_with(['0', '+']) => {
                    items.get(token.parse::<usize>().ok()?)?
                }
                _ => return None,
            };
        }
        Some(value)
    }

    /// SHA-256 of the canonical form: members sorted by key (equal keys in their order), no white space, numbers by exact
    /// value (`1.0`, `1` and `10e-1` are one number; nothing is rounded), strings minimally escaped.
    ///
    /// RFC 8785 would do but for its numbers, which are doubles.
    pub fn canonical_digest(&self) -> Sha256Hex {
        let mut text = String::new();
        write_canonical(self, &mut text);
        Sha256Hex::of(text.as_bytes())
    }

    /// As `serde_json` sees it, for schema validation only: numbers beyond 64 bits become doubles, the last of equal keys wins.
    pub fn to_value(&self) -> serde_json::Value {
        use serde_json::Value;
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(token) => serde_json::from_str(token).unwrap_or_else(|_| {
                // Valid JSON that no double holds, such as 1e999: the largest double keeps it a number for the schema.
                Value::from(if token.starts_with('-') { f64::MIN } else { f64::MAX })
            }),
            Self::String(text) | Self::Broken(Broken { shown: text, .. }) => Value::String(text.clone()),
            Self::Array(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Self::Object(members) => Value::Object(
                members.iter().map(|member| (member.key.clone(), member.value.to_value())).collect(),
            ),
        }
    }
}

impl Member {
    /// What tells it from every member of another name.
    fn name(&self) -> (&str, Option<&str>) {
        (&self.key, self.broken_key.as_ref().map(|broken| broken.exact.as_str()))
    }
}

/// Appends one reference token to a JSON pointer (RFC 6901).
pub fn push_pointer(path: &mut String, key: &str) {
    path.push('/');
    for c in key.chars() {
        match c {
            '~' => path.push_str("~0"),
            '/' => path.push_str("~1"),
            c => path.push(c),
        }
    }
}

fn write_canonical(value: &Json, out: &mut String) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Json::Number(token) => out.push_str(&exact_number(token)),
        Json::String(text) => write_string(text, out),
        Json::Broken(broken) => out.push_str(&broken.json()),
        Json::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        Json::Object(members) => {
            let mut sorted: Vec<&Member> = members.iter().collect();
            sorted.sort_by(|a, b| a.name().cmp(&b.name()));
            out.push('{');
            for (index, member) in sorted.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                match &member.broken_key {
                    Some(broken) => out.push_str(&broken.json()),
                    None => write_string(&member.key, out),
                }
                out.push(':');
                write_canonical(&member.value, out);
            }
            out.push('}');
        }
    }
}

fn write_string(text: &str, out: &mut String) {
    out.push('"');
    text.chars().for_each(|c| write_char(c, out));
    out.push('"');
}

fn write_char(c: char, out: &mut String) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        c if c < ' ' => {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        }
        c => out.push(c),
    }
}

/// `<sign><digits without outer zeros>e<exponent>`, or `0`. Tokens with an exponent beyond 18 digits stay as written.
fn exact_number(token: &str) -> String {
    let (negative, rest) = token.strip_prefix('-').map_or((false, token), |rest| (true, rest));
    let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    if exponent.trim_start_matches(['+', '-']).len() > 18 {
        return token.to_ascii_lowercase();
    }
    let exponent: i64 = exponent.trim_start_matches('+').parse().unwrap_or(0);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0').trim_end_matches('0');
    if significant.is_empty() {
        return "0".to_owned();
    }
    let dropped = digits.len() - digits.trim_end_matches('0').len();
    let exponent = exponent - fraction.len() as i64 + dropped as i64;
    format!("{}{significant}e{exponent}", if negative { "-" } else { "" })
}

/// Whether reading the token as a double and writing that double shortest (ECMAScript, as RFC 8785 does) gives the same value,
/// and, for an integer, whether it lies within ±(2^53 − 1), where doubles count.
pub fn is_exact_double(token: &str) -> bool {
    let Ok(value) = token.parse::<f64>() else { return false };
    const SAFE: f64 = 9_007_199_254_740_991.0;
    let whole = value.fract() == 0.0;
    value.is_finite()
        && (!whole || value.abs() <= SAFE)
        && exact_number(token) == exact_number(&format!("{value:e}"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]
    use super::*;
    use proptest::prelude::*;

    fn digest(text: &str) -> Sha256Hex {
        parse(text.as_bytes()).unwrap().canonical_digest()
    }

    #[test]
    fn numbers_are_compared_exactly() {
        assert_eq!(digest("[1.0,100,-0.0,1e2]"), digest("[1,1e2,0,100.00]"));
        assert_ne!(digest("9007199254740993"), digest("9007199254740992"));
        assert_ne!(digest("0.1"), digest("0.10000000000000000000001"));
        assert_ne!(digest("1e999999999999999999999"), digest("1e999999999999999999998"));
    }

    #[test]
    fn a_byte_order_mark_is_ignored_and_moves_nothing() {
        let text = "\u{FEFF} {\"payload\": [1]}";
        let json = parse(text.as_bytes()).unwrap();
        assert_eq!(&text.as_bytes()[json.get("payload").unwrap().span.clone()], b"[1]");
        assert_eq!(json.canonical_digest(), digest(r#"{"payload":[1]}"#));
        assert!(parse("\u{FEFF}\u{FEFF}1".as_bytes()).is_err() && parse("1\u{FEFF}".as_bytes()).is_err());
        assert!(parse("\u{FEFF}".as_bytes()).is_err(), "a mark alone is no document");
    }

    #[test]
    fn half_of_a_surrogate_pair_is_kept_apart_from_every_other_text() {
        let text = r#"{"note":"gift \ud83d\ude00 \ud83d","\uDE00k":1,"n":"\\ud83d \ufffd"}"#;
        let json = parse(text.as_bytes()).unwrap();
        let Json::Object(members) = &json else { panic!("{json:?}") };
        let Json::Broken(note) = &members[0].value else { panic!("{json:?}") };
        assert_eq!(
            (note.shown.as_str(), note.exact.as_str()),
            ("gift \u{1F600} \u{FFFD}", "gift \u{1F600} \\ud83d")
        );
        assert_eq!(members[1].broken_key.as_ref().map(|key| key.exact.as_str()), Some("\\ude00k"));
        assert_eq!(members[2].value, Json::String("\\ud83d \u{FFFD}".into()), "an escaped backslash");
        assert_eq!(json.pointer("/\u{FFFD}k"), None, "no pointer leads there");
        let same = r#"{"n":"\\ud83d \uFFFD", "\ude00k":1.0,"note":"gift \ud83d\ude00 \uD83D"}"#;
        assert_eq!(digest(text), digest(same));
        let texts = [
            r#""\ud83d""#,
            r#""\ud83e""#,
            r#""\ude00""#,
            r#""\ufffd""#,
            r#""\\ud83d""#,
            r#""\ud83d\ufffd""#,
            r#""\ufffd\ud83d""#,
            r#""\ud83d\ud83d""#,
            r#""\ude00\ud83d""#,
            r#""\ud83d\ude00""#,
            r#""ud83d""#,
            r#"{"\ud83d":1}"#,
            r#"{"\ufffd":1}"#,
            r#"{"\ude00":1}"#,
        ];
        let digests: std::collections::BTreeSet<String> =
            texts.iter().map(|text| digest(text).to_string()).collect();
        assert_eq!(digests.len(), texts.len());
        let two = parse(br#"{"\ud83d":1,"\ufffd":2,"\ude00":3}"#).unwrap();
        assert!(two.first_duplicate_key().is_none(), "shown alike, and not the same");
        assert!(parse(br#"{"\ud83d":1,"\uD83D":2}"#).unwrap().first_duplicate_key().is_some());
        for bad in [r#""\ud83""#, r#""\ud83x""#, r#"\ud83d"#, r#"["\ud83d"#, r#""\ud83d\""#] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn order_of_members_does_not_matter_but_equal_keys_do() {
        assert_eq!(digest(r#"{"a":1,"b":[{"c":2,"d":3}]}"#), digest(r#" {"b":[{"d":3,"c":2}], "a":1}"#));
        assert_ne!(digest(r#"{"a":1,"a":2}"#), digest(r#"{"a":2}"#));
        assert_ne!(digest(r#"{"a":1,"a":2}"#), digest(r#"{"a":2,"a":1}"#));
        assert_eq!(digest(r#""\u0041\/""#), digest(r#""A/""#));
    }

    #[test]
    fn spans_give_back_the_exact_bytes() {
        let text = br#"{ "payload" :  {"n": 12345678901234567890.10, "n":1 }  }"#;
        let json = parse(text).unwrap();
        let span = json.get("payload").unwrap().span.clone();
        assert_eq!(&text[span], br#"{"n": 12345678901234567890.10, "n":1 }"#);
        assert_eq!(json.first_duplicate_key().unwrap(), "/payload/n");
    }

    #[test]
    fn pointers_find_the_exact_value() {
        let json = parse(br#"{"a/b":[1,{"~":820982911946154508}],"x":1,"x":2,"":{"":"e"}}"#).unwrap();
        let number = |text: &str| Json::Number(text.to_owned());
        assert_eq!(json.pointer("/a~1b/1/~0"), Some(&number("820982911946154508")));
        assert_eq!(json.pointer("/x"), Some(&number("2")));
        assert_eq!(json.pointer("//"), Some(&Json::String("e".into())));
        assert_eq!(json.pointer(""), Some(&json));
        for absent in ["x", "/y", "/a~1b/01", "/a~1b/+1", "/a~1b/-", "/a~1b/2", "/x/0"] {
            assert_eq!(json.pointer(absent), None, "{absent}");
        }
    }

    #[test]
    fn doubles_that_give_the_number_back() {
        for good in ["0", "-1", "12", "0.1", "1.50", "1e3", "9007199254740991", "-0.0"] {
            assert!(is_exact_double(good), "{good}");
        }
        for bad in
            ["9007199254740992", "9007199254740993", "0.1000000000000000055511151231257827", "1e999", "1e30"]
        {
            assert!(!is_exact_double(bad), "{bad}");
        }
    }

    #[test]
    fn faults_say_where() {
        let error = parse(b"{\"a\":1,\n \"b\":}").unwrap_err();
        assert!(matches!(error, JsonError::Syntax { line: 2, .. }), "{error}");
        assert_eq!(parse(b"\"\xff\""), Err(JsonError::Encoding { at: 1 }));
        for bad in
            ["", "{", "[1,]", "nul", "{'a':1}", "01", "NaN", "1 2", "{}\u{feff}", "\"\\ud80\"", "{\"a\":1"]
        {
            assert!(matches!(parse(bad.as_bytes()), Err(JsonError::Syntax { .. })), "{bad:?}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse(nested(JSON_DEPTH_MAX).as_bytes()).is_ok());
        assert_eq!(parse(nested(JSON_DEPTH_MAX + 1).as_bytes()), Err(JsonError::TooDeep));
        assert_eq!(parse("[".repeat(180_000).as_bytes()), Err(JsonError::TooDeep));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn agrees_with_serde_json_on_what_is_json(text in r#"[\[\]{}",:0-9a-z\\ eE.+-]{0,24}"#) {
            let ours = parse(text.as_bytes()).is_ok();
            let theirs = serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok();
            prop_assert_eq!(ours, theirs, "{}", text);
        }
    }
}
