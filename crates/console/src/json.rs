//! JSON as it was sent: read into tokens, never into numbers, so that no digit, duplicate member or
//! escape is lost in what is shown.

use maud::{Markup, PreEscaped, html};
use serde::de::IgnoredAny;

use crate::text;

/// Most tokens that are read; the rest is said to be there.
const TOKENS_MAX: usize = 4_000;

/// Most leaves that are compared.
pub const LEAVES_MAX: usize = 2_000;

/// Most characters of one string in a pretty document.
const STRING_CHARS_MAX: usize = 400;

/// A piece of a JSON text, as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    /// `{`, `}`, `[`, `]`, `,` or `:`.
    Mark(char),
    /// With its quotes and escapes.
    Text(&'a str),
    /// A number, `true`, `false` or `null`.
    Word(&'a str),
}

/// The tokens of a text that is JSON; `None` if it is none.
fn tokens(text: &str) -> Option<Vec<Token<'_>>> {
    serde_json::from_str::<IgnoredAny>(text).ok()?;
    let bytes = text.as_bytes();
    let (mut tokens, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        match bytes[at] {
            b' ' | b'\t' | b'\r' | b'\n' => at += 1,
            mark @ (b'{' | b'}' | b'[' | b']' | b',' | b':') => {
                tokens.push(Token::Mark(char::from(mark)));
                at += 1;
            }
            b'"' => {
                let start = at;
                at += 1;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at = (at + 1).min(bytes.len());
                tokens.push(Token::Text(text.get(start..at)?));
            }
            _ => {
                let start = at;
                while at < bytes.len()
                    && !matches!(bytes[at], b' ' | b'\t' | b'\r' | b'\n' | b',' | b':' | b'}' | b']')
                {
                    at += 1;
                }
                tokens.push(Token::Word(text.get(start..at)?));
            }
        }
    }
    Some(tokens)
}

/// A JSON text, indented and coloured; `None` if it is no JSON. `all` is where all of it is, for
/// what is cut.
pub fn pretty(text: &str, all: &str) -> Option<Markup> {
    let tokens = tokens(text)?;
    let shown = &tokens[..tokens.len().min(TOKENS_MAX)];
    let (mut out, mut depth) = (String::new(), 0_usize);
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    for (index, token) in shown.iter().enumerate() {
        let next = tokens.get(index + 1);
        match *token {
            Token::Mark(open @ ('{' | '[')) => {
                out.push(open);
                depth += 1;
                if !matches!(next, Some(Token::Mark('}' | ']'))) {
                    line(&mut out, depth);
                }
            }
            Token::Mark(close @ ('}' | ']')) => {
                depth = depth.saturating_sub(1);
                if !matches!(
                    index.checked_sub(1).and_then(|before| tokens.get(before)),
                    Some(Token::Mark('{' | '['))
                ) {
                    line(&mut out, depth);
                }
                out.push(close);
            }
            Token::Mark(',') => {
                out.push(',');
                line(&mut out, depth);
            }
            Token::Mark(mark) => {
                out.push(mark);
                out.push(' ');
            }
            Token::Text(string) => {
                let class = if next == Some(&Token::Mark(':')) { "k" } else { "s" };
                out.push_str(&span(class, &text::cut(string, STRING_CHARS_MAX, Some(all))));
            }
            Token::Word(word) => {
                let class =
                    if word.starts_with(|c: char| c == '-' || c.is_ascii_digit()) { "n" } else { "l" };
                out.push_str(&span(class, &text::cut(word, STRING_CHARS_MAX, Some(all))));
            }
        }
    }
    let rest = tokens.len() - shown.len();
    Some(html! {
        (PreEscaped(out))
        @if rest > 0 { "\n" a href=(all) { "… " (text::count(rest as u64, "more token")) } }
    })
}

fn span(class: &str, content: &Markup) -> String {
    format!("<span class=\"{class}\">{}</span>", content.0)
}

/// The values of a document by their JSON pointers, as they are written.
pub fn leaves(document: &str) -> Option<Vec<(String, String)>> {
    let tokens = tokens(document)?;
    let (mut leaves, mut path) = (Vec::new(), Vec::<Step>::new());
    for (index, token) in tokens.iter().enumerate() {
        if leaves.len() >= LEAVES_MAX {
            break;
        }
        let (before, next) = (index.checked_sub(1).and_then(|at| tokens.get(at)), tokens.get(index + 1));
        match *token {
            Token::Mark('{') if next == Some(&Token::Mark('}')) => leaves.push((pointer(&path), "{}".into())),
            Token::Mark('[') if next == Some(&Token::Mark(']')) => leaves.push((pointer(&path), "[]".into())),
            Token::Mark('{') => path.push(Step::Member(String::new())),
            Token::Mark('[') => path.push(Step::Item(0)),
            Token::Mark('}' | ']') if matches!(before, Some(Token::Mark('{' | '['))) => {}
            Token::Mark('}' | ']') => {
                path.pop();
            }
            Token::Mark(',') => {
                if let Some(Step::Item(at)) = path.last_mut() {
                    *at += 1;
                }
            }
            Token::Mark(_) => {}
            Token::Text(name) if next == Some(&Token::Mark(':')) => {
                let decoded = serde_json::from_str::<String>(name).unwrap_or_else(|_| name.to_owned());
                if let Some(Step::Member(member)) = path.last_mut() {
                    *member = decoded;
                }
            }
            Token::Text(value) | Token::Word(value) => leaves.push((pointer(&path), value.to_owned())),
        }
    }
    Some(leaves)
}

#[derive(Debug)]
enum Step {
    Member(String),
    Item(usize),
}

fn pointer(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        text.push('/');
        match step {
            Step::Member(name) => text.push_str(&name.replace('~', "~0").replace('/', "~1")),
            Step::Item(at) => text.push_str(&at.to_string()),
        }
    }
    text
}

/// One place in which two documents differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where.
    pub pointer: String,
    /// The value of the first, if it has one.
    pub before: Option<String>,
    /// The value of the second, if it has one.
    pub after: Option<String>,
}

/// Where two documents differ, in the order of the second, what only the first has at the end; and
/// in how many places they are alike.
pub fn differences(before: &str, after: &str) -> Option<(Vec<Difference>, usize)> {
    let (old, new) = (leaves(before)?, leaves(after)?);
    let old_by: std::collections::BTreeMap<&str, &str> =
        old.iter().map(|(pointer, value)| (pointer.as_str(), value.as_str())).collect();
    let new_by: std::collections::BTreeSet<&str> = new.iter().map(|(pointer, _)| pointer.as_str()).collect();
    let (mut found, mut same) = (Vec::new(), 0);
    for (pointer, value) in &new {
        match old_by.get(pointer.as_str()) {
            Some(known) if *known == value => same += 1,
            known => found.push(Difference {
                pointer: pointer.clone(),
                before: known.map(|known| (*known).to_owned()),
                after: Some(value.clone()),
            }),
        }
    }
    let gone = old.iter().filter(|(pointer, _)| !new_by.contains(pointer.as_str()));
    found.extend(gone.map(|(pointer, value)| Difference {
        pointer: pointer.clone(),
        before: Some(value.clone()),
        after: None,
    }));
    // What is there in one of them only says more than what merely has another value.
    found.sort_by_key(|one| one.before.is_some() && one.after.is_some());
    Some((found, same))
}

/// Differences as a table; `columns` say what the two documents are.
pub fn diff_table(differences: &[Difference], columns: (&str, &str)) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Differences" {
            table.diff.cards {
                thead { tr { th scope="col" { "Change" } th scope="col" { "Where" } th scope="col" { (columns.0) } th scope="col" { (columns.1) } } }
                tbody {
                    @for one in differences {
                        @let (mark, word) = match (&one.before, &one.after) {
                            (None, _) => ("+", "added"),
                            (_, None) => ("−", "removed"),
                            _ => ("~", "changed"),
                        };
                        tr {
                            td.mark data-label="Change" { (mark) " " (word) }
                            td data-label="Where" { (text::short(if one.pointer.is_empty() { "(the document)" } else { &one.pointer })) }
                            td data-label=(columns.0) { @if let Some(value) = &one.before { del { (text::short(value)) } } @else { span.muted { "not there" } } }
                            td data-label=(columns.1) { @if let Some(value) = &one.after { ins { (text::short(value)) } } @else { span.muted { "not there" } } }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is the test's failure")]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_escapes_stay_as_they_were_sent() {
        let shown = pretty(
            r#"{"n":1.10,"big":12345678901234567890123,"e":"a\u0041\"","a":[],"o":{},"l":[1,true]}"#,
            "/all",
        )
        .unwrap();
        let plain = shown.into_string();
        assert!(plain.contains(">1.10<") || plain.contains("1.10"), "{plain}");
        for part in ["12345678901234567890123", "a\\u0041\\&quot;", "[]", "{}", "class=\"l\""] {
            assert!(plain.contains(part), "{part} in {plain}");
        }
        assert!(pretty("{", "/all").is_none() && pretty("sku,qty", "/all").is_none());
    }

    #[test]
    fn a_hostile_document_is_bounded_and_escaped() {
        let member = format!(r#"{{"x":"{}<script>\u202e"}}"#, "y".repeat(190_000));
        let shown = pretty(&member, "/events/1/raw").unwrap().into_string();
        assert!(shown.len() < 2_000 && shown.contains("href=\"/events/1/raw\""), "{} bytes", shown.len());
        let many = format!("[{}1]", "1,".repeat(10_000));
        let shown = pretty(&many, "/all").unwrap().into_string();
        assert!(shown.contains("more tokens") && shown.len() < 200_000, "{} bytes", shown.len());
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        assert!(pretty(&deep, "/all").is_some());
        assert!(!pretty(r#"{"<script>":"<img>"}"#, "/").unwrap().into_string().contains("<script>"));
    }

    #[test]
    fn values_have_pointers() {
        let found = leaves(r#"{"a":{"b/c":[1,{"d":"x"}],"e":{}},"f":null}"#).unwrap();
        let found: Vec<(&str, &str)> =
            found.iter().map(|(pointer, value)| (pointer.as_str(), value.as_str())).collect();
        assert_eq!(found, [("/a/b~1c/0", "1"), ("/a/b~1c/1/d", "\"x\""), ("/a/e", "{}"), ("/f", "null")]);
        assert_eq!(leaves("7").unwrap(), [(String::new(), "7".to_owned())]);
    }

    #[test]
    fn a_renamed_member_is_one_added_and_one_removed() {
        let (found, same) = differences(r#"{"sku":"A","qty":1}"#, r#"{"sku":"A","quantity":1}"#).unwrap();
        assert_eq!(same, 1);
        let shown: Vec<_> = found
            .iter()
            .map(|one| (one.pointer.as_str(), one.before.is_some(), one.after.is_some()))
            .collect();
        assert_eq!(shown, [("/quantity", false, true), ("/qty", true, false)]);
        let table = diff_table(&found, ("Last good", "This one")).into_string();
        assert!(table.contains("+ added") && table.contains("− removed"), "{table}");
    }
}
