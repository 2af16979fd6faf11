//! How alike two fields are: by their names, and by what they hold.

use std::collections::BTreeSet;

/// From here on two fields are suggested to be one, in percent.
pub(super) const ENOUGH: u8 = 50;

/// Fewest values by which fields can be compared.
const VALUES_MIN: usize = 2;

/// Likeness of two names, in percent.
pub(super) fn names(a: &str, b: &str) -> u8 {
    let (a_words, b_words) = (words(a), words(b));
    let (a, b) = (a_words.concat(), b_words.concat());
    if a == b {
        return 100;
    }
    let (a_words, b_words) =
        (a_words.iter().collect::<BTreeSet<_>>(), b_words.iter().collect::<BTreeSet<_>>());
    let both = a_words.intersection(&b_words).count();
    let all = a_words.union(&b_words).count().max(1);
    percent(both, all).max(spelling(&a, &b)).max(if abbreviates(&a, &b) || abbreviates(&b, &a) {
        70
    } else {
        0
    })
}

/// Likeness of two sets of values, in percent.
pub(super) fn values(a: &BTreeSet<String>, b: &BTreeSet<String>) -> u8 {
    let fewer = a.len().min(b.len());
    if fewer < VALUES_MIN { 0 } else { percent(a.intersection(b).count(), fewer) }
}

fn percent(part: usize, whole: usize) -> u8 {
    u8::try_from(part * 100 / whole.max(1)).unwrap_or(100)
}

/// `quantityOnHand`, `quantity_on_hand` and `Quantity-On-Hand` have the same words.
fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut lower_before = false;
    for character in name.chars() {
        let starts = character.is_uppercase() && lower_before;
        if starts || !character.is_alphanumeric() {
            words.push(std::mem::take(&mut word));
        }
        if character.is_alphanumeric() {
            word.extend(character.to_lowercase());
        }
        lower_before = character.is_lowercase() || character.is_ascii_digit();
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// Whether `short` is made of letters of `long`, in order and from its first: `qty` of `quantity`.
fn abbreviates(short: &str, long: &str) -> bool {
    if short.len() < 2 || short.chars().next() != long.chars().next() {
        return false;
    }
    let mut letters = long.chars();
    short.chars().all(|wanted| letters.any(|letter| letter == wanted))
}

/// 100 less the edits (Levenshtein) that turn one into the other, by the longer's length. Names are cut at 64 characters.
fn spelling(a: &str, b: &str) -> u8 {
    let cut = |text: &str| text.chars().take(64).collect::<Vec<char>>();
    let (a, b) = (cut(a), cut(b));
    let longer = a.len().max(b.len()).max(1);
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let cost = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    percent(longer - row[b.len()].min(longer), longer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_people_take_for_one() {
        for (a, b) in [
            ("qty", "quantity"),
            ("quantityOnHand", "quantity_on_hand"),
            ("updated_at", "updatedAt"),
            ("warehouse", "warehouseId"),
            ("sku", "SKU"),
            ("colour", "color"),
        ] {
            assert!(names(a, b) >= ENOUGH, "{a} {b}: {}", names(a, b));
            assert_eq!(names(a, b), names(b, a));
        }
        for (a, b) in [("sku", "warehouse"), ("price", "note"), ("qty", "colour"), ("id", "name")] {
            assert!(names(a, b) < ENOUGH, "{a} {b}: {}", names(a, b));
        }
    }

    #[test]
    fn values_are_compared_by_the_smaller_set() {
        let set = |values: &[&str]| values.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        assert_eq!(values(&set(&["a", "b", "c"]), &set(&["a", "b"])), 100);
        assert_eq!(values(&set(&["a", "b"]), &set(&["c", "d"])), 0);
        assert_eq!(values(&set(&["a"]), &set(&["a"])), 0, "one value says nothing");
    }
}
