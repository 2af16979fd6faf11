//! The lineage of several messages of one mapper, joined: what is known of the mapper.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::{Change, Effect, Ending, Lineage, Origin, Wanted, folded};

/// What several messages tell of a mapper. Members are named with `*` for every position.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Union {
    /// Messages that are mapped, or state nothing, as they are.
    pub messages: usize,
    /// Messages that fail as they are, as fixtures of refusals do: nothing can be traced in them.
    pub failing: usize,
    /// Members of canonical events.
    pub outputs: Vec<OutputUse>,
    /// Members of messages and of metadata.
    pub inputs: Vec<InputUse>,
    /// Inputs that were not tried, over all messages.
    pub left_out: usize,
    /// How often the mapper was run.
    pub runs: usize,
}

/// A member of canonical events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutputUse {
    /// Its name.
    pub member: String,
    /// Messages whose events have it.
    pub messages: usize,
    /// What moves it.
    pub sources: Vec<OutputSource>,
}

/// An input that moves a member of canonical events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutputSource {
    /// Where it is.
    pub origin: Origin,
    /// Its name.
    pub member: String,
    /// The changes of it that do.
    pub by: Vec<Change>,
    /// In how many messages.
    pub messages: usize,
}

/// A member of messages.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InputUse {
    /// Where it is.
    pub origin: Origin,
    /// Its name.
    pub member: String,
    /// Messages that have it.
    pub messages: usize,
    /// Whether another value of it changed anything, in any message.
    pub read: bool,
    /// What comes of it when the vendor leaves it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped: Option<Dropped>,
}

/// What comes of messages when a member is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Dropped {
    /// Messages that have it and of which it was left out.
    pub messages: usize,
    /// Those that fail then.
    pub fail: usize,
    /// Those whose events have other members then.
    pub change: usize,
    /// How they fail, with how many of them.
    pub codes: BTreeMap<String, usize>,
    /// Members of canonical events that are not there any more.
    pub vanish: BTreeSet<String>,
}

impl Union {
    /// Leaves the wanted members, and what they come from or go to. Whether there are any.
    pub fn only(&mut self, wanted: &Wanted) -> bool {
        self.outputs.retain(|output| {
            wanted.is(&output.member) || output.sources.iter().any(|source| wanted.is(&source.member))
        });
        let sources: BTreeSet<(Origin, &str)> = self
            .outputs
            .iter()
            .flat_map(|output| &output.sources)
            .map(|source| (source.origin, source.member.as_str()))
            .collect();
        self.inputs.retain(|input| {
            wanted.is(&input.member) || sources.contains(&(input.origin, input.member.as_str()))
        });
        !self.outputs.is_empty() || !self.inputs.is_empty()
    }
}

/// Joins the lineages of messages.
pub fn union<'a>(lineages: impl IntoIterator<Item = &'a Lineage>) -> Union {
    let mut whole = Union::default();
    let mut outputs: BTreeMap<String, (usize, Sources)> = BTreeMap::new();
    let mut inputs: BTreeMap<(Origin, String), InputUse> = BTreeMap::new();
    for lineage in lineages {
        whole.runs += lineage.runs;
        whole.left_out += lineage.left_out.iter().map(|left| left.inputs - left.tried).sum::<usize>();
        if matches!(lineage.outcome, Ending::Fails(_)) {
            whole.failing += 1;
            continue;
        }
        whole.messages += 1;
        add_outputs(lineage, &mut outputs);
        add_inputs(lineage, &mut inputs);
    }
    whole.outputs = outputs
        .into_iter()
        .map(|(member, (messages, sources))| OutputUse {
            member,
            messages,
            sources: sources
                .into_iter()
                .map(|((origin, member), (by, messages))| OutputSource {
                    origin,
                    member,
                    by: by.into_iter().collect(),
                    messages,
                })
                .collect(),
        })
        .collect();
    whole.inputs = inputs.into_values().collect();
    whole
}

/// What moves a member: by which changes, in how many messages.
type Sources = BTreeMap<(Origin, String), (BTreeSet<Change>, usize)>;

fn add_outputs(lineage: &Lineage, outputs: &mut BTreeMap<String, (usize, Sources)>) {
    let mut here: BTreeMap<String, BTreeMap<(Origin, String), BTreeSet<Change>>> = BTreeMap::new();
    let names: BTreeMap<(Origin, &str), &str> = lineage
        .inputs
        .iter()
        .map(|input| ((input.origin, input.pointer.as_str()), input.name.as_str()))
        .collect();
    for output in &lineage.outputs {
        let sources = here.entry(folded(&output.pointer)).or_default();
        for source in &output.sources {
            let name = names.get(&(source.origin, source.pointer.as_str())).copied();
            let name = name.unwrap_or(&source.pointer).to_owned();
            sources.entry((source.origin, name)).or_default().extend(&source.by);
        }
    }
    for (member, sources) in here {
        let (messages, all) = outputs.entry(member).or_default();
        *messages += 1;
        for (source, by) in sources {
            let (known, times) = all.entry(source).or_default();
            known.extend(by);
            *times += 1;
        }
    }
}

fn add_inputs(lineage: &Lineage, inputs: &mut BTreeMap<(Origin, String), InputUse>) {
    let mut here: BTreeMap<(Origin, &str), (bool, Option<Dropped>)> = BTreeMap::new();
    for input in &lineage.inputs {
        let (read, dropped) = here.entry((input.origin, &input.name)).or_default();
        for tried in &input.tried {
            *read |= tried.effect != Effect::None;
            if tried.change == Change::Absent {
                let dropped = dropped.get_or_insert_with(|| Dropped { messages: 1, ..Dropped::default() });
                match &tried.effect {
                    Effect::Fails(failure) => {
                        dropped.fail = 1;
                        let code = if failure.fault.is_empty() {
                            failure.code.to_owned()
                        } else {
                            format!("{}: {}", failure.code, failure.fault)
                        };
                        dropped.codes.insert(code, 1);
                    }
                    Effect::Moves(moves) => {
                        dropped.change = 1;
                        dropped.vanish.extend(moves.vanished.iter().map(|pointer| folded(pointer)));
                    }
                    Effect::Nothing(_) | Effect::Maps(_) => dropped.change = 1,
                    Effect::None => {}
                }
            }
        }
    }
    for ((origin, name), (read, dropped)) in here {
        let member = inputs.entry((origin, name.to_owned())).or_insert_with(|| InputUse {
            origin,
            member: name.to_owned(),
            messages: 0,
            read: false,
            dropped: None,
        });
        member.messages += 1;
        member.read |= read;
        if let Some(dropped) = dropped {
            let all = member.dropped.get_or_insert_default();
            all.messages += dropped.messages;
            all.fail += dropped.fail;
            all.change += usize::from(dropped.fail == 0) * dropped.change;
            all.vanish.extend(dropped.vanish);
            for (code, times) in dropped.codes {
                *all.codes.entry(code).or_default() += times;
            }
        }
    }
}
