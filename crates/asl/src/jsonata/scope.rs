//! What an expression can see, and how much of it has to be converted.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use jsonata_core::value::{JMap, JValue};
use serde_json::Value;

use crate::data;
use crate::random::Random;
use crate::time::Timestamp;

/// The values of the workflow's variables.
pub(crate) trait Variables {
    /// `None` for a variable that has not been assigned.
    fn get(&self, name: &str) -> Option<&Arc<Value>>;
}

/// All that an expression can see.
pub(crate) struct Environment<'a> {
    /// `$states`.
    pub(crate) states: Node<'a>,
    pub(crate) variables: &'a dyn Variables,
    /// The input's time, for `$now` and `$millis`.
    pub(crate) at: Timestamp,
    /// The input's random numbers, for `$random`, `$uuid` and `$shuffle`.
    pub(crate) random: Rc<Random>,
}

/// A part of `$states` that is not put together before it is asked for.
#[derive(Debug)]
pub(crate) enum Node<'a> {
    /// Data.
    Shared(&'a Arc<Value>),
    Text(Cow<'a, str>),
    /// RFC 3339 in milliseconds.
    Time(Timestamp),
    Number(u64),
    Members(Vec<(&'static str, Node<'a>)>),
}

/// What a path leads to.
#[derive(Debug)]
pub(crate) enum Resolved<'a> {
    Shared(&'a Arc<Value>),
    Borrowed(&'a Value),
    Built(Value),
    Undefined,
    /// The path maps over an array.
    NeedsEvaluator,
}

/// The members of a value that an expression reads; the whole value if `whole`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Wanted {
    whole: bool,
    members: Vec<(Box<str>, Wanted)>,
}

impl Wanted {
    pub(crate) fn add<'p>(&mut self, path: impl IntoIterator<Item = &'p str>) {
        let mut at = self;
        for name in path {
            let index = match at.members.iter().position(|(known, _)| **known == *name) {
                Some(index) => index,
                None => {
                    at.members.push((name.into(), Wanted::default()));
                    at.members.len() - 1
                }
            };
            at = &mut at.members[index].1;
        }
        at.whole = true;
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.whole && self.members.is_empty()
    }
}

/// Follows plain names through objects, as JSONata does; a name of anything else is undefined.
pub(crate) fn walk<'a>(value: &'a Value, path: &[Box<str>]) -> Resolved<'a> {
    let mut at = value;
    for name in path {
        match at {
            Value::Object(members) => match members.get(&**name) {
                Some(member) => at = member,
                None => return Resolved::Undefined,
            },
            Value::Array(_) => return Resolved::NeedsEvaluator,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return Resolved::Undefined,
        }
    }
    Resolved::Borrowed(at)
}

/// The wanted part of a value. An array on the way is converted whole, since a path maps over it.
pub(crate) fn project(value: &Value, wanted: &Wanted) -> JValue {
    match value {
        Value::Object(members) if !wanted.whole => {
            let projected: JMap = wanted
                .members
                .iter()
                .filter_map(|(name, wanted)| {
                    members.get(&**name).map(|member| (name.to_string(), project(member, wanted)))
                })
                .collect();
            JValue::Object(Rc::new(projected))
        }
        _ => data::to_jsonata(value),
    }
}

impl<'a> Node<'a> {
    pub(crate) fn resolve(&self, path: &[Box<str>]) -> Resolved<'_> {
        match (self, path) {
            (Node::Shared(value), []) => Resolved::Shared(value),
            (Node::Shared(value), path) => walk(value, path),
            (Node::Members(members), [name, rest @ ..]) => {
                match members.iter().find(|(known, _)| **known == **name) {
                    Some((_, member)) => member.resolve(rest),
                    None => Resolved::Undefined,
                }
            }
            (node, []) => Resolved::Built(node.to_value()),
            (Node::Text(_) | Node::Time(_) | Node::Number(_), _) => Resolved::Undefined,
        }
    }

    /// As it is after a way through JSONata.
    pub(crate) fn to_value(&self) -> Value {
        match self {
            Node::Shared(value) => data::through_jsonata(value).unwrap_or_else(|| Value::clone(value)),
            Node::Text(text) => Value::String(text.clone().into_owned()),
            Node::Time(time) => Value::String(time.to_string()),
            Node::Number(number) => Value::from(*number),
            Node::Members(members) => Value::Object(
                members.iter().map(|(name, member)| ((*name).to_owned(), member.to_value())).collect(),
            ),
        }
    }

    pub(crate) fn project(&self, wanted: &Wanted) -> JValue {
        match self {
            Node::Shared(value) => project(value, wanted),
            Node::Text(text) => JValue::string(text.as_ref()),
            Node::Time(time) => JValue::string(time.to_string()),
            Node::Number(number) => JValue::Number(*number as f64),
            Node::Members(members) => {
                let projected: JMap = members
                    .iter()
                    .filter_map(|(name, member)| {
                        if wanted.whole {
                            return Some(((*name).to_owned(), member.whole()));
                        }
                        let (_, wanted) = wanted.members.iter().find(|(known, _)| **known == **name)?;
                        Some(((*name).to_owned(), member.project(wanted)))
                    })
                    .collect();
                JValue::Object(Rc::new(projected))
            }
        }
    }

    fn whole(&self) -> JValue {
        self.project(&Wanted { whole: true, members: Vec::new() })
    }
}
