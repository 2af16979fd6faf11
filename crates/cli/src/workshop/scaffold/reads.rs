//! In which order a mapper that reads a tree of values, member by member, reaches what it maps: for the languages without typed
//! messages.
//!
//! A reading stands at its level: once for the message, or once for each item of the arrays on the way to what becomes an event.

use std::collections::BTreeSet;

use super::super::sample::{Leaf, Match, Step, Time, pointer};
use super::Inferred;

/// One reading. `from` is the variable of the object that the member is of, which may be null if `guarded`.
pub(super) enum Read<'i> {
    /// An object on the way, into a variable.
    Object {
        /// Of which object.
        from: String,
        /// The member.
        name: &'i str,
        /// The variable.
        into: String,
        /// The object may be absent: then the variable is null.
        optional: bool,
        /// `from` may be null.
        guarded: bool,
    },
    /// A canonical member.
    Member { from: String, name: &'i str, one: &'i Match, guarded: bool },
    /// When it happened.
    Time { from: String, name: &'i str, guarded: bool, said: Option<Time> },
}

/// An array whose items are gone through.
pub(super) struct List<'i> {
    /// The variable of the object that has it, or of the array itself.
    pub(super) from: String,
    /// The member; none if `from` is the array.
    pub(super) name: Option<&'i str>,
    /// It may be absent: then it has no items.
    pub(super) optional: bool,
    /// `from` may be null.
    pub(super) guarded: bool,
    /// Its items may be null: those are passed over.
    pub(super) nullable: bool,
    /// The variables of the array and of an item.
    pub(super) variable: String,
    pub(super) item: String,
}

/// What is read once for each item of a list.
pub(super) struct Level<'i> {
    /// None at the outermost level, which is the message.
    pub(super) list: Option<List<'i>>,
    /// In order.
    pub(super) reads: Vec<Read<'i>>,
}

struct Builder<'i> {
    levels: Vec<Level<'i>>,
    /// Objects that have a variable: where they are, the variable, whether it may be null.
    objects: Vec<(String, String, bool)>,
    /// The way to the items of each level.
    items: Vec<&'i [Step]>,
    names: BTreeSet<String>,
    ident: fn(&str) -> String,
    /// Places of objects that a member which must be there is in.
    needed: BTreeSet<String>,
}

impl Inferred<'_> {
    /// The readings, by level. `ident` makes a variable's name of words.
    pub(super) fn reads(&self, ident: fn(&str) -> String) -> Vec<Level<'_>> {
        let suggestion = &self.suggestion;
        let required = suggestion.matches.iter().filter(|one| one.field.required);
        let needed =
            required.flat_map(|one| (1..one.leaf.path.len()).map(|at| pointer(&one.leaf.path[..at])));
        let mut builder = Builder {
            levels: vec![Level { list: None, reads: Vec::new() }],
            objects: vec![(String::new(), "message".to_owned(), false)],
            items: Vec::new(),
            names: BTreeSet::new(),
            ident,
            needed: needed.collect(),
        };
        builder.lists(&suggestion.each);
        for one in &suggestion.matches {
            builder.leaf(&one.leaf, |from, name, guarded| Read::Member { from, name, one, guarded });
        }
        if let Some(leaf) = &suggestion.occurred_at {
            builder.leaf(leaf, |from, name, guarded| Read::Time { from, name, guarded, said: leaf.time() });
        }
        builder.levels
    }
}

impl<'i> Builder<'i> {
    fn unique(&mut self, words: &str) -> String {
        let mut name = (self.ident)(words);
        let mut count = 1;
        while !self.names.insert(name.clone()) {
            count += 1;
            name = (self.ident)(&format!("{words} {count}"));
        }
        name
    }

    fn level(&self, path: &[Step]) -> usize {
        self.items.iter().filter(|items| path.starts_with(items)).count()
    }

    fn lists(&mut self, each: &'i [Step]) {
        for (at, step) in each.iter().enumerate() {
            let Step::Items { optional: nullable } = step else { continue };
            let held = at.checked_sub(1).and_then(|at| each.get(at));
            let (from, guarded, name, optional) = match held {
                Some(Step::Member { name, optional }) => {
                    let (from, guarded) = self.object(&each[..at - 1]);
                    (from, guarded, Some(name.as_str()), *optional || guarded)
                }
                _ => {
                    let (from, guarded) = self.object(&each[..at]);
                    (from, guarded, None, false)
                }
            };
            let words = name.unwrap_or("");
            let variable = self.unique(&format!("{words} list"));
            let item = self.unique(&format!("{words} item"));
            self.items.push(&each[..=at]);
            self.objects.push((pointer(&each[..=at]), item.clone(), false));
            let list = List { from, name, optional, guarded, nullable: *nullable, variable, item };
            self.levels.push(Level { list: Some(list), reads: Vec::new() });
        }
    }

    /// The variable of the object (or item) at a place, read if it is not yet, and whether it may be null.
    fn object(&mut self, path: &'i [Step]) -> (String, bool) {
        let place = pointer(path);
        if let Some((_, variable, guarded)) = self.objects.iter().find(|(known, ..)| *known == place) {
            return (variable.clone(), *guarded);
        }
        let Some((Step::Member { name, optional }, before)) = path.split_last() else {
            unreachable!("the items on a leaf's way are those of the lists that are gone through")
        };
        let (from, guarded) = self.object(before);
        let into = self.unique(&format!("{name} object"));
        let optional = (*optional || guarded) && !self.needed.contains(&place);
        let level = self.level(path);
        self.levels[level].reads.push(Read::Object { from, name, into: into.clone(), optional, guarded });
        self.objects.push((place, into.clone(), optional));
        (into, optional)
    }

    fn leaf(&mut self, leaf: &'i Leaf, read: impl FnOnce(String, &'i str, bool) -> Read<'i>) {
        // A leaf that is used is a member: `Leaf::can_be_used`.
        let Some((Step::Member { name, .. }, before)) = leaf.path.split_last() else { return };
        let (from, guarded) = self.object(before);
        let level = self.level(&leaf.path);
        self.levels[level].reads.push(read(from, name, guarded));
    }
}
