//! The members of a request, checked in the words of AWS's own validation.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::limits::{PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX};

/// A request body.
pub(super) struct Request(Map<String, Value>);

impl Request {
    pub(super) fn parse(body: &[u8]) -> Result<Self> {
        // The SDKs send `{}` for a request without members; an empty body is as good.
        if body.is_empty() {
            return Ok(Request(Map::new()));
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => Ok(Request(members)),
            Ok(_) => Err(Error::Serialization("the request is not a JSON object".to_owned())),
            Err(error) => Err(Error::Serialization(error.to_string())),
        }
    }

    /// The members of an object within a request.
    pub(super) fn of(members: Map<String, Value>) -> Self {
        Request(members)
    }

    fn take(&mut self, member: &str) -> Option<Value> {
        self.0.remove(member).filter(|value| !value.is_null())
    }

    pub(super) fn optional_text(&mut self, member: &str) -> Result<Option<String>> {
        match self.take(member) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Error::Serialization(format!("member '{member}' is not a string"))),
        }
    }

    /// Absent is fine; more than `chars_max` characters is not.
    pub(super) fn bounded_text(&mut self, member: &str, chars_max: usize) -> Result<Option<String>> {
        let text = self.optional_text(member)?;
        if let Some(text) = &text
            && text.chars().count() > chars_max
        {
            let limit = format!("Member must have length less than or equal to {chars_max}");
            return Err(Error::constraint(text, member, &limit));
        }
        Ok(text)
    }

    pub(super) fn text(&mut self, member: &str) -> Result<String> {
        self.optional_text(member)?.ok_or_else(|| Error::missing(member))
    }

    /// A present, non-empty text of at most `chars_max` characters.
    pub(super) fn short_text(&mut self, member: &str, chars_max: usize) -> Result<String> {
        let text = self.bounded_text(member, chars_max)?.ok_or_else(|| Error::missing(member))?;
        if text.is_empty() {
            return Err(Error::constraint("", member, "Member must have length greater than or equal to 1"));
        }
        Ok(text)
    }

    pub(super) fn flag(&mut self, member: &str) -> Result<Option<bool>> {
        match self.take(member) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(Error::Serialization(format!("member '{member}' is not a boolean"))),
        }
    }

    pub(super) fn object(&mut self, member: &str) -> Result<Option<Value>> {
        match self.take(member) {
            None => Ok(None),
            Some(object @ Value::Object(_)) => Ok(Some(object)),
            Some(_) => Err(Error::Serialization(format!("member '{member}' is not an object"))),
        }
    }

    /// One of `names`.
    pub(super) fn choice<'n>(&mut self, member: &str, names: &[&'n str]) -> Result<Option<&'n str>> {
        let Some(text) = self.optional_text(member)? else { return Ok(None) };
        match names.iter().find(|name| **name == text) {
            Some(name) => Ok(Some(name)),
            None => {
                let set = format!("Member must satisfy enum value set: [{}]", names.join(", "));
                Err(Error::constraint(&text, member, &set))
            }
        }
    }

    /// `maxResults`: 0 and none mean the default.
    pub(super) fn page_items(&mut self) -> Result<u32> {
        let wanted = match self.take("maxResults") {
            None => return Ok(PAGE_ITEMS_DEFAULT),
            Some(Value::Number(number)) => number.as_i64(),
            Some(_) => None,
        };
        let wanted =
            wanted.ok_or_else(|| Error::Serialization("member 'maxResults' is not an integer".to_owned()))?;
        match u32::try_from(wanted) {
            Ok(0) => Ok(PAGE_ITEMS_DEFAULT),
            Ok(wanted) if wanted <= PAGE_ITEMS_MAX => Ok(wanted),
            Ok(_) => {
                let limit = format!("Member must have value less than or equal to {PAGE_ITEMS_MAX}");
                Err(Error::constraint(&wanted.to_string(), "maxResults", &limit))
            }
            Err(_) => {
                let limit = "Member must have value greater than or equal to 0";
                Err(Error::constraint(&wanted.to_string(), "maxResults", limit))
            }
        }
    }

    /// A whole number from 0.
    pub(super) fn count(&mut self, member: &str) -> Result<Option<u64>> {
        let Some(value) = self.take(member) else { return Ok(None) };
        match (value.as_u64(), value.as_i64()) {
            // What a column can hold.
            (Some(count), Some(_)) => Ok(Some(count)),
            (_, Some(negative)) => {
                let limit = "Member must have value greater than or equal to 0";
                Err(Error::constraint(&negative.to_string(), member, limit))
            }
            _ => Err(Error::Serialization(format!("member '{member}' is not an integer"))),
        }
    }

    /// A number between 0 and 100.
    pub(super) fn percentage(&mut self, member: &str) -> Result<Option<f64>> {
        let Some(value) = self.take(member) else { return Ok(None) };
        match value.as_f64() {
            Some(number) if (0.0..=100.0).contains(&number) => Ok(Some(number)),
            Some(number) => {
                let limit = "Member must have value between 0 and 100";
                Err(Error::constraint(&number.to_string(), member, limit))
            }
            None => Err(Error::Serialization(format!("member '{member}' is not a number"))),
        }
    }

    /// `[{"key": …, "value": …}]`.
    pub(super) fn tags(&mut self) -> Result<BTreeMap<String, String>> {
        let wrong = || Error::Serialization("member 'tags' is not a list of {key, value}".to_owned());
        let Some(tags) = self.take("tags") else { return Ok(BTreeMap::new()) };
        let mut all = BTreeMap::new();
        for tag in tags.as_array().ok_or_else(wrong)? {
            let key = tag.get("key").and_then(Value::as_str).ok_or_else(wrong)?;
            let value = tag.get("value").map_or(Some(""), Value::as_str).ok_or_else(wrong)?;
            check_length(key, "tags.member.key", 128)?;
            check_length(value, "tags.member.value", 256)?;
            all.insert(key.to_owned(), value.to_owned());
        }
        Ok(all)
    }

    /// `[{"stateMachineVersionArn": …, "weight": …}]`, one or two of them.
    pub(super) fn routing(&mut self) -> Result<Option<Vec<(String, u8)>>> {
        const MEMBER: &str = "routingConfiguration";
        let wrong = || Error::Serialization(format!("member '{MEMBER}' is not a list of routes"));
        let Some(list) = self.take(MEMBER) else { return Ok(None) };
        let list = list.as_array().ok_or_else(wrong)?;
        let mut routes = Vec::with_capacity(list.len());
        let mut shown = Vec::with_capacity(list.len());
        for (index, route) in list.iter().enumerate() {
            let arn = route.get("stateMachineVersionArn").and_then(Value::as_str).ok_or_else(wrong)?;
            let weight = route.get("weight").and_then(Value::as_i64).ok_or_else(wrong)?;
            let member = format!("{MEMBER}.{}.member.weight", index + 1);
            if weight > 100 {
                let limit = "Member must have value less than or equal to 100";
                return Err(Error::constraint(&weight.to_string(), &member, limit));
            }
            let Ok(narrow) = u8::try_from(weight) else {
                let limit = "Member must have value greater than or equal to 0";
                return Err(Error::constraint(&weight.to_string(), &member, limit));
            };
            shown
                .push(format!("RoutingConfigurationListItem(stateMachineVersionArn={arn}, weight={weight})"));
            routes.push((arn.to_owned(), narrow));
        }
        let bound = match routes.len() {
            0 => "greater than or equal to 1",
            1 | 2 => return Ok(Some(routes)),
            _ => "less than or equal to 2",
        };
        let limit = format!("Member must have length {bound}");
        Err(Error::constraint(&format!("[{}]", shown.join(", ")), MEMBER, &limit))
    }

    pub(super) fn texts(&mut self, member: &str) -> Result<Vec<String>> {
        let wrong = || Error::Serialization(format!("member '{member}' is not a list of strings"));
        let list = self.take(member).ok_or_else(|| Error::missing(member))?;
        let texts = list.as_array().ok_or_else(wrong)?;
        texts.iter().map(|text| text.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
    }
}

fn check_length(text: &str, member: &str, chars_max: usize) -> Result<()> {
    if text.chars().count() > chars_max {
        let limit = format!("Member must have length less than or equal to {chars_max}");
        return Err(Error::constraint(text, member, &limit));
    }
    Ok(())
}
