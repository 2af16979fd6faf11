//! In which order a mapper that reads a tree of values, member by member, reaches what it maps: for the languages without typed
//! messages.

use super::super::sample::{Leaf, Match};
use super::Inferred;

/// One reading. `from` is the variable of the object that the member is of.
pub(super) enum Read<'i> {
    /// An object on the way, into a variable.
    Object { from: String, name: &'i str, into: String },
    /// A canonical member.
    Member { from: String, name: &'i str, one: &'i Match },
    /// When it happened.
    Time { from: String, name: &'i str },
}

/// All readings of a message.
pub(super) struct Reads<'i> {
    /// Once for the message.
    pub(super) once: Vec<Read<'i>>,
    /// The array whose items become events, if there is one: the object that it is of, and its name.
    pub(super) list: Option<(String, &'i str)>,
    /// Once for each item.
    pub(super) each: Vec<Read<'i>>,
}

impl Inferred<'_> {
    /// The readings. `ident` makes a variable's name of words.
    pub(super) fn reads(&self, ident: fn(&str) -> String) -> Reads<'_> {
        let mut reads = Reads { once: Vec::new(), list: None, each: Vec::new() };
        let mut known: Vec<&[String]> = Vec::new();
        let suggestion = &self.suggestion;
        let leaves = suggestion.matches.iter().map(|one| (&one.leaf, Some(one)));
        for (leaf, one) in leaves.chain(suggestion.occurred_at.iter().map(|leaf| (leaf, None))) {
            let variable = |length: usize| match length {
                0 => "message".to_owned(),
                length if leaf.list == Some(length) => "item".to_owned(),
                length => ident(&format!("{} object", leaf.path[..length].join(" "))),
            };
            for length in 1..leaf.path.len() {
                let path = &leaf.path[..length];
                if known.contains(&path) {
                    continue;
                }
                known.push(path);
                let (from, name) = (variable(length - 1), path[length - 1].as_str());
                if leaf.list == Some(length) {
                    reads.list = Some((from, name));
                } else {
                    reads.of(leaf, length).push(Read::Object { from, name, into: variable(length) });
                }
            }
            let (from, name) = (variable(leaf.path.len() - 1), leaf.path.last().map_or("", String::as_str));
            reads.of(leaf, leaf.path.len()).push(match one {
                Some(one) => Read::Member { from, name, one },
                None => Read::Time { from, name },
            });
        }
        reads
    }
}

impl<'i> Reads<'i> {
    /// Where what is so far down a leaf's path is read.
    fn of(&mut self, leaf: &Leaf, length: usize) -> &mut Vec<Read<'i>> {
        if leaf.list.is_some_and(|list| length > list) { &mut self.each } else { &mut self.once }
    }
}
