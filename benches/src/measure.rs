//! Times of things that take turns, and how they are printed.
//!
//! Every figure is the least of many rounds, in which the things compared take turns, so that another program's load falls on
//! all of them; the median stands beside it.

use std::time::{Duration, Instant};

/// How long one thing runs before the next has its turn.
const TURN: Duration = Duration::from_millis(2);

/// Rounds of a comparison: the first, unless that takes longer than [`COMPARISON_TIME_MAX`], but never fewer than the second.
const ROUNDS_MAX: usize = 200;
const ROUNDS_MIN: usize = 15;
const COMPARISON_TIME_MAX: Duration = Duration::from_secs(10);

/// Times of one call, in nanoseconds, sorted.
pub(crate) struct Times(Vec<f64>);

impl Times {
    /// The least, which is what it takes when nothing disturbs it.
    pub(crate) fn least(&self) -> f64 {
        self.0[0]
    }

    /// The median.
    pub(crate) fn median(&self) -> f64 {
        self.0[self.0.len() / 2]
    }
}

/// Lets each of some functions run for [`TURN`], in turns. Every one has run once before, unmeasured.
pub(crate) fn measure(functions: &mut [&mut dyn FnMut()]) -> Vec<Times> {
    let started = Instant::now();
    let calls: Vec<u32> = functions.iter_mut().map(|function| calls(*function)).collect();
    let mut times: Vec<Vec<f64>> = functions.iter().map(|_| Vec::new()).collect();
    for round in 0..ROUNDS_MAX {
        if round >= ROUNDS_MIN && started.elapsed() > COMPARISON_TIME_MAX {
            break;
        }
        for ((function, calls), times) in functions.iter_mut().zip(&calls).zip(&mut times) {
            let started = Instant::now();
            for _ in 0..*calls {
                function();
            }
            times.push(started.elapsed().as_secs_f64() * 1e9 / f64::from(*calls));
        }
    }
    times
        .into_iter()
        .map(|mut times| {
            times.sort_by(f64::total_cmp);
            Times(times)
        })
        .collect()
}

/// How many calls fit a turn, by the second of two.
fn calls(function: &mut dyn FnMut()) -> u32 {
    function();
    let started = Instant::now();
    function();
    let fitting = TURN.as_secs_f64() / started.elapsed().as_secs_f64().max(1e-9);
    // Bounded by `clamp`, so the conversion is exact enough.
    fitting.clamp(1.0, 5_000.0) as u32
}

/// `12.34 µs` or `12.34 ms`.
pub(crate) fn human(nanoseconds: f64) -> String {
    if nanoseconds < 1e6 {
        format!("{:.2} µs", nanoseconds / 1e3)
    } else {
        format!("{:.2} ms", nanoseconds / 1e6)
    }
}

/// Names the two columns of [`row`].
pub(crate) fn heading() {
    println!("{:<32} {:>12} {:>12}", "", "least", "median");
}

/// A line with both times, and the ratio to something else.
pub(crate) fn row(what: &str, times: &Times, compared: Option<(&Times, &str)>) {
    let ratio = compared
        .map(|(base, what)| {
            format!(
                "  {:.2} x {what} ({:.2} by median)",
                times.least() / base.least(),
                times.median() / base.median()
            )
        })
        .unwrap_or_default();
    println!("{what:<32} {:>12} {:>12}{ratio}", human(times.least()), human(times.median()));
}
