//! Charts as SVG: computed here, coloured by the style sheet, told in words to who does not see
//! them.

use maud::{Markup, html};

use crate::text::number;

/// Bars of counts over time, oldest first: how something went, in the space of a word.
pub fn spark(counts: &[u64], what: &str) -> Markup {
    const WIDTH: usize = 96;
    const HEIGHT: u64 = 24;
    let most = counts.iter().copied().max().unwrap_or(0);
    let total: u64 = counts.iter().sum();
    let bar = WIDTH.checked_div(counts.len()).unwrap_or(WIDTH).max(2);
    html! {
        svg.spark role="img" width=(WIDTH) height=(HEIGHT) viewBox={"0 0 " (WIDTH) " " (HEIGHT)}
            aria-label={(what) ": " (number(total)) " in all, at most " (number(most)) " at once"} {
            @for (index, count) in counts.iter().enumerate() {
                @let height = scaled(*count, most, HEIGHT);
                rect x=(index * bar) y=(HEIGHT - height) width=(bar - 1) height=(height)
                    fill="currentColor" fill-opacity=(if *count == 0 { "0.25" } else { "1" }) {}
            }
        }
    }
}

/// A height in proportion; what is there at all is at least two units high.
fn scaled(count: u64, most: u64, height: u64) -> u64 {
    if count == 0 || most == 0 {
        return 1;
    }
    (count.saturating_mul(height) / most).clamp(2, height)
}

/// How an hour's books stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Books {
    /// Counted for the last time: all is accounted for.
    Closed,
    /// Adds up, and may still change.
    Open,
    /// Events are not accounted for.
    Short,
    /// Nobody has counted it.
    Unknown,
}

/// One bar of the [`strip`].
#[derive(Debug, Clone)]
pub struct Bar {
    /// Where a click leads.
    pub href: String,
    /// Under the bar: the hour.
    pub label: String,
    /// In words, all of it.
    pub title: String,
    /// Its height.
    pub accepted: u64,
    /// The part of it that failed.
    pub quarantined: u64,
    /// How its books stand.
    pub books: Books,
}

/// Hours side by side, oldest first. What is quarantined is a second bar inside the first, and a
/// sign stands over what does not add up.
pub fn strip(bars: &[Bar], what: &str) -> Markup {
    const STEP: u64 = 26;
    const HEIGHT: u64 = 64;
    const TOP: u64 = 14;
    let most = bars.iter().map(|bar| bar.accepted).max().unwrap_or(0);
    let width = STEP * bars.len() as u64;
    // On a narrow screen every label would touch its neighbour.
    let every = (bars.len() / 8).max(1);
    html! {
        svg.strip role="group" viewBox={"0 0 " (width) " " (HEIGHT + TOP + 16)} aria-label=(what) {
            @for (index, bar) in bars.iter().enumerate() {
                @let (x, index_u64) = (index as u64 * STEP, index as u64);
                @let height = if bar.books == Books::Unknown { 2 } else { scaled(bar.accepted, most, HEIGHT) };
                @let failed = if bar.quarantined == 0 { 0 } else { scaled(bar.quarantined, most, HEIGHT).min(height) };
                a href=(bar.href) aria-label=(bar.title) {
                    title { (bar.title) }
                    rect class=(books_class(bar)) x=(x + 3) y=(TOP + HEIGHT - height) width=(STEP - 6) height=(height) rx="2" {}
                    @if failed > 0 {
                        rect.b-warn x=(x + 3) y=(TOP + HEIGHT - failed) width=(STEP - 6) height=(failed) rx="2" {}
                    }
                    @match bar.books {
                        Books::Short => text x=(x + STEP / 2) y=(TOP - 3) text-anchor="middle" { "!" },
                        Books::Unknown => text x=(x + STEP / 2) y=(TOP + HEIGHT - 5) text-anchor="middle" { "?" },
                        Books::Closed | Books::Open => {},
                    }
                    rect.hit x=(x) y="0" width=(STEP) height=(HEIGHT + TOP) rx="3" {}
                }
                @if index_u64.is_multiple_of(every as u64) {
                    text x=(x + STEP / 2) y=(HEIGHT + TOP + 12) text-anchor="middle" { (bar.label) }
                }
            }
        }
    }
}

fn books_class(bar: &Bar) -> &'static str {
    match bar.books {
        Books::Unknown => "b-none",
        _ if bar.accepted == 0 => "b-none",
        Books::Closed => "b-good",
        Books::Open => "b-open",
        Books::Short => "b-bad",
    }
}

/// A share of a whole, with each part named.
pub fn meter(parts: &[(u64, &'static str, &'static str)], what: &str) -> Markup {
    let whole: u64 = parts.iter().map(|(count, _, _)| count).sum();
    let words: Vec<String> = parts
        .iter()
        .filter(|(count, _, _)| *count > 0)
        .map(|(count, _, name)| format!("{} {name}", number(*count)))
        .collect();
    let mut at = 0;
    let mut bars = Vec::new();
    for (count, class, _) in parts {
        let width = (count * 1000).checked_div(whole).unwrap_or(0).max(u64::from(*count > 0) * 4);
        bars.push((at, width, class));
        at += width;
    }
    html! {
        svg.meter role="img" viewBox="0 0 1000 8" preserveAspectRatio="none" aria-label={(what) ": " (words.join(", "))} {
            rect.b-none x="0" y="0" width="1000" height="8" rx="4" {}
            @for (x, width, class) in bars {
                rect class=(class) x=(x) y="0" width=(width) height="8" {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(accepted: u64, quarantined: u64, books: Books) -> Bar {
        let (href, title) = ("/h".to_owned(), format!("{accepted} accepted"));
        Bar { href, label: "10".into(), title, accepted, quarantined, books }
    }

    #[test]
    fn a_spark_says_its_numbers_in_words() {
        let svg = spark(&[0, 5, 10], "failures by hour").into_string();
        assert!(svg.contains("aria-label=\"failures by hour: 15 in all, at most 10 at once\""), "{svg}");
        assert!(svg.contains("height=\"12\"") && svg.contains("height=\"24\""), "in proportion: {svg}");
        assert!(spark(&[], "none").into_string().contains("0 in all"));
    }

    #[test]
    fn an_hour_that_nobody_counted_is_not_shown_as_zero() {
        let svg = strip(&[bar(0, 0, Books::Unknown), bar(10, 2, Books::Short)], "hours").into_string();
        assert!(svg.contains(">?<") && svg.contains(">!<"), "{svg}");
        assert!(
            svg.contains("b-bad") && svg.contains("b-warn") && svg.contains("<title>10 accepted</title>"),
            "{svg}"
        );
    }

    #[test]
    fn a_meter_never_divides_by_zero_and_shows_small_parts() {
        assert!(meter(&[(0, "b-good", "done")], "x").into_string().contains("width=\"0\""));
        let svg = meter(&[(1, "b-bad", "failed"), (9_999, "b-good", "done")], "x").into_string();
        assert!(svg.contains("width=\"4\"") && svg.contains("x: 1 failed, 9,999 done"), "{svg}");
    }
}
