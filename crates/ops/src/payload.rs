//! A stored message's payload as JSON, for people who look at it: what `normalize` gives to a
//! mapper, without its judgement.

use serde_json::Value;
use sluice_core::envelope::Envelope;
use sluice_core::payload::inflate;
use sluice_core::record::{Form, LedgerRow};

/// The payload of a raw object, if it is JSON; why not otherwise.
///
/// # Errors
/// Why it cannot be shown as JSON, in words.
pub fn read(row: &LedgerRow, raw: &[u8]) -> Result<Value, String> {
    let body = inflate(raw, row.content_encoding.as_deref()).map_err(|error| error.to_string())?;
    let payload = match row.form {
        Form::Native => &body[..],
        Form::Envelope => match Envelope::of_accepted(&body) {
            Some(envelope) => envelope.payload,
            None => return Err("the raw object is not an envelope".to_owned()),
        },
    };
    let json = sluice_core::json::parse(payload).map_err(|error| format!("the payload is {error}"))?;
    Ok(json.to_value())
}

/// A member of a payload to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Member {
    /// At this JSON pointer; `*` stands for every position of an array.
    At(String),
    /// With this name, anywhere.
    Named(String),
}

impl Member {
    /// Of a text: a JSON pointer begins with `/`, a name does not.
    ///
    /// # Errors
    /// When it is empty.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("name a member, or give its JSON pointer such as /lines/*/sku".to_owned()),
            pointer if pointer.starts_with('/') => Ok(Self::At(pointer.to_owned())),
            name => Ok(Self::Named(name.to_owned())),
        }
    }

    /// Every such member of a payload, with its pointer.
    pub fn find<'v>(&self, payload: &'v Value) -> Vec<(String, &'v Value)> {
        let mut found = Vec::new();
        match self {
            Self::At(pointer) => {
                let tokens: Vec<String> = pointer
                    .split('/')
                    .skip(1)
                    .map(|token| token.replace("~1", "/").replace("~0", "~"))
                    .collect();
                at(payload, &tokens, &mut String::new(), &mut found);
            }
            Self::Named(name) => named(payload, name, &mut String::new(), &mut found),
        }
        found
    }
}

fn at<'v>(value: &'v Value, tokens: &[String], path: &mut String, found: &mut Vec<(String, &'v Value)>) {
    let Some((token, rest)) = tokens.split_first() else {
        found.push((path.clone(), value));
        return;
    };
    let length = path.len();
    match value {
        Value::Object(members) => {
            if let Some(member) = members.get(token) {
                sluice_core::json::push_pointer(path, token);
                at(member, rest, path, found);
                path.truncate(length);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                if token == "*" || token.parse() == Ok(index) {
                    sluice_core::json::push_pointer(path, &index.to_string());
                    at(item, rest, path, found);
                    path.truncate(length);
                }
            }
        }
        _ => {}
    }
}

fn named<'v>(value: &'v Value, name: &str, path: &mut String, found: &mut Vec<(String, &'v Value)>) {
    let length = path.len();
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                sluice_core::json::push_pointer(path, key);
                if key == name {
                    found.push((path.clone(), member));
                }
                named(member, name, path, found);
                path.truncate(length);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                sluice_core::json::push_pointer(path, &index.to_string());
                named(item, name, path, found);
                path.truncate(length);
            }
        }
        _ => {}
    }
}

/// Whether a value is what a person typed: a string by its characters, anything else by its JSON.
pub fn is_value(value: &Value, typed: &str) -> bool {
    match value {
        Value::String(text) => text == typed,
        other => {
            let json = other.to_string();
            json == typed
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use serde_json::json;

    use super::*;
    use crate::testing::ledger_row;

    #[test]
    fn the_payload_of_an_envelope_and_of_a_native_message_is_read() {
        let mut row = ledger_row("RECEIVED");
        let envelope = br#"{"vendorId":"vendorA","externalEventId":"e","eventType":"t","occurredAt":"2026-11-21T09:59:00Z","payload":{"qty":12}}"#;
        assert_eq!(read(&row, envelope).unwrap(), json!({"qty": 12}));
        assert!(read(&row, br#"{"qty":12}"#).unwrap_err().contains("not an envelope"));
        row.form = Form::Native;
        assert_eq!(read(&row, br#"{"qty":12}"#).unwrap(), json!({"qty": 12}));
        assert!(read(&row, b"sku;qty").is_err());
    }

    #[test]
    fn a_member_is_found_by_its_pointer_or_by_its_name() {
        let payload = json!({"lines": [{"sku": "A"}, {"sku": "B", "a/b": 1}], "sku": {"sku": 3}});
        let found = |text: &str| -> Vec<String> {
            let member = Member::parse(text).unwrap();
            member.find(&payload).into_iter().map(|(at, value)| format!("{at}={value}")).collect()
        };
        assert_eq!(found("/lines/*/sku"), ["/lines/0/sku=\"A\"", "/lines/1/sku=\"B\""]);
        assert_eq!(found("/lines/1/a~1b"), ["/lines/1/a~1b=1"]);
        assert_eq!(found("/lines/7/sku"), [""; 0]);
        assert_eq!(
            found("sku"),
            ["/lines/0/sku=\"A\"", "/lines/1/sku=\"B\"", "/sku={\"sku\":3}", "/sku/sku=3"]
        );
        assert!(Member::parse("").is_err());
    }

    #[test]
    fn a_value_is_compared_as_a_person_types_it() {
        assert!(is_value(&json!("12"), "12") && is_value(&json!(12), "12") && is_value(&json!(null), "null"));
        assert!(!is_value(&json!("null "), "null") && !is_value(&json!(12.5), "12"));
    }
}
