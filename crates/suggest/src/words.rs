//! What words of names mean: the thesaurus of `data/thesaurus.txt`, and how alike two names are in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// A name as concepts. A word that the thesaurus does not have stands for itself.
pub(crate) type Bag = Vec<String>;

pub(crate) struct Thesaurus {
    concepts: BTreeMap<String, String>,
    weak: BTreeSet<String>,
    members: BTreeMap<String, Vec<Bag>>,
    objects: BTreeMap<String, Vec<Bag>>,
}

pub(crate) static THESAURUS: LazyLock<Thesaurus> =
    LazyLock::new(|| Thesaurus::read(include_str!("../data/thesaurus.txt")));

/// Weight of a weak concept beside one that says something.
const WEAK: f64 = 0.35;

impl Thesaurus {
    fn read(text: &str) -> Self {
        let mut made = Self {
            concepts: BTreeMap::new(),
            weak: BTreeSet::new(),
            members: BTreeMap::new(),
            objects: BTreeMap::new(),
        };
        let mut section = "";
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end_matches(']');
                continue;
            }
            let (name, rest) = line.split_once(':').unwrap_or(("", line));
            match section {
                "concepts" => {
                    for word in rest.split_whitespace() {
                        made.concepts.entry(word.to_owned()).or_insert_with(|| name.to_owned());
                    }
                }
                "weak" => made.weak.extend(line.split_whitespace().map(str::to_owned)),
                _ => {
                    let phrases = rest
                        .split('|')
                        .map(|phrase| phrase.split_whitespace().map(str::to_owned).collect())
                        .collect();
                    let into = if section == "members" { &mut made.members } else { &mut made.objects };
                    into.insert(name.to_owned(), phrases);
                }
            }
        }
        made
    }

    /// A name's concepts.
    pub(crate) fn bag(&self, name: &str) -> Bag {
        let mut bag = Bag::new();
        for word in words(name) {
            self.add(&word, &mut bag);
        }
        let mut seen = BTreeSet::new();
        bag.retain(|word| seen.insert(word.clone()));
        bag
    }

    fn add(&self, word: &str, bag: &mut Bag) {
        if let Some(concept) = self.concepts.get(word) {
            bag.push(concept.clone());
            return;
        }
        // A compound: Lagerbestand, Artikel-s-nummer. Each part is a word of at least three letters.
        for (at, _) in word.char_indices().rev() {
            let (head, tail) = word.split_at(at);
            if head.len() < 3 || tail.len() < 2 {
                continue;
            }
            let heads = [Some(head), head.strip_suffix('s'), head.strip_suffix("en")];
            let known = heads.into_iter().flatten().find_map(|head| self.concepts.get(head));
            if let (Some(first), true) = (known, self.is_made_of(tail)) {
                bag.push(first.clone());
                self.add(tail, bag);
                return;
            }
        }
        // Plural.
        match word.strip_suffix('s').and_then(|one| self.concepts.get(one)) {
            Some(concept) => bag.push(concept.clone()),
            None => bag.push(word.to_owned()),
        }
    }

    fn is_made_of(&self, word: &str) -> bool {
        self.concepts.contains_key(word)
            || word.char_indices().any(|(at, _)| {
                let (head, tail) = word.split_at(at);
                head.len() >= 3
                    && tail.len() >= 2
                    && self.concepts.contains_key(head)
                    && self.is_made_of(tail)
            })
    }

    fn weight(&self, concept: &str) -> f64 {
        if self.weak.contains(concept) { WEAK } else { 1.0 }
    }

    /// How alike two names are: 0 to 1.
    pub(crate) fn alike(&self, one: &[String], other: &[String]) -> f64 {
        let sum = |bag: &[String]| -> f64 { bag.iter().map(|concept| self.weight(concept)).sum() };
        let common: f64 =
            one.iter().filter(|concept| other.contains(concept)).map(|concept| self.weight(concept)).sum();
        let all = sum(one) + sum(other);
        if all == 0.0 { 0.0 } else { 2.0 * common / all }
    }

    /// What a member of ours may be called, its own name first.
    pub(crate) fn phrases(&self, member: &str) -> Vec<Bag> {
        let own = self.bag(member.strip_suffix("Minor").unwrap_or(member));
        let known = self.members.get(member).cloned().unwrap_or_default();
        std::iter::once(own).chain(known).collect()
    }

    /// What a list or an object of ours may be called.
    pub(crate) fn object_phrases(&self, object: &str) -> Vec<Bag> {
        let known = self.objects.get(object).cloned().unwrap_or_default();
        std::iter::once(self.bag(object)).chain(known).collect()
    }
}

/// The words of a name, in lower case, without accents: `orderID`, `order_id` and `Order-Id` are `order id`.
pub fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let characters: Vec<char> = name.chars().collect();
    let kind = |character: char| match character {
        _ if character.is_numeric() => 1,
        _ if character.is_uppercase() => 2,
        _ if character.is_alphabetic() => 3,
        _ => 0,
    };
    for (at, &character) in characters.iter().enumerate() {
        let before = at.checked_sub(1).map_or(0, |at| kind(characters[at]));
        let after = characters.get(at + 1).map_or(0, |&next| kind(next));
        let begins = match kind(character) {
            0 => true,
            1 => before != 1,
            2 => before != 2 || after == 3,
            _ => before == 1 || before == 0,
        };
        if begins && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if kind(character) != 0 {
            plain(character, &mut word);
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

fn plain(character: char, word: &mut String) {
    for lower in character.to_lowercase() {
        match lower {
            'ä' => word.push_str("ae"),
            'ö' => word.push_str("oe"),
            'ü' => word.push_str("ue"),
            'ß' => word.push_str("ss"),
            'à' | 'á' | 'â' => word.push('a'),
            'é' | 'è' | 'ê' | 'ë' => word.push('e'),
            'í' | 'î' | 'ï' => word.push('i'),
            'ó' | 'ô' => word.push('o'),
            'ú' | 'û' | 'ù' => word.push('u'),
            'ç' => word.push('c'),
            'ñ' => word.push('n'),
            other => word.push(other),
        }
    }
}

/// How many groups of three letters two texts share: 0 to 1.
pub(crate) fn trigrams(one: &str, other: &str) -> f64 {
    let of = |text: &str| -> BTreeSet<Vec<char>> {
        let characters: Vec<char> = format!("  {text} ").chars().collect();
        characters.windows(3).map(<[char]>::to_vec).collect()
    };
    let (one, other) = (of(one), of(other));
    let common = one.intersection(&other).count();
    #[expect(clippy::cast_precision_loss, reason = "names are short")]
    let share = 2.0 * common as f64 / (one.len() + other.len()) as f64;
    share
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_into_words_and_compounds_into_concepts() {
        assert_eq!(words("orderIDNumber_2-größe"), ["order", "id", "number", "2", "groesse"]);
        let bag = |name: &str| THESAURUS.bag(name);
        assert_eq!(bag("Artikelnummer"), ["article", "number"]);
        assert_eq!(bag("lagerbestand"), ["warehouse", "stock"]);
        assert_eq!(bag("Cantidad"), bag("Menge"));
        assert_eq!(bag("frobnicator"), ["frobnicator"]);
    }
}
