//! A chart of one simulation, as SVG.

use crate::report::Report;
use crate::world::Sample;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 64.0;
const GAP: f64 = 52.0;

struct Line {
    name: &'static str,
    colour: &'static str,
    points: Vec<(f64, f64)>,
}

/// Draws what came in, what waited and what was refused, over time.
#[must_use]
pub fn svg(report: &Report) -> String {
    let series = &report.series;
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let level = |name, colour, of: fn(&Sample) -> u64| Line {
        name,
        colour,
        points: series.iter().map(|sample| (sample.second, of(sample) as f64)).collect(),
    };
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let rate = |name, colour, of: fn(&Sample) -> u64| Line {
        name,
        colour,
        points: series
            .windows(2)
            .filter(|pair| pair[1].second > pair[0].second)
            .map(|pair| {
                let change = of(&pair[1]).saturating_sub(of(&pair[0])) as f64;
                (pair[1].second, change / (pair[1].second - pair[0].second))
            })
            .collect(),
    };
    let panels: [(&str, Vec<Line>); 3] = [
        (
            "events a second",
            vec![
                rate("accepted", "#1f77b4", |it| it.accepted),
                rate("applied or quarantined", "#2ca02c", |it| it.ended),
            ],
        ),
        (
            "waiting",
            vec![
                level("accepted, not at an end", "#444444", |it| it.open),
                level("records in the stream", "#9467bd", |it| it.stream),
                level("messages in queues", "#ff7f0e", |it| it.queued),
                level("normalizing", "#17becf", |it| it.normalizing),
            ],
        ),
        (
            "refused, a second",
            vec![rate("429", "#bcbd22", |it| it.refused), rate("503", "#d62728", |it| it.unavailable)],
        ),
    ];
    let last = series.last().map_or(1.0, |sample| sample.second).max(1.0);
    let height = TOP + 3.0 * (HEIGHT + GAP) + 10.0;
    let width = LEFT + WIDTH + 30.0;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"24\" font-size=\"16\" font-weight=\"bold\">{}: {}</text>\n\
         <text x=\"{LEFT}\" y=\"42\" fill=\"#555\">{}, seed {}: {} events, lost {}, doubled {}, healthy quarantined {}, 429 {}, \
         503 {}</text>\n",
        escape(&report.scenario),
        escape(report.about),
        escape(&report.region),
        report.seed,
        report.events,
        report.lost(),
        report.doubled(),
        report.healthy_quarantined(),
        report.answered(429),
        report.unavailable(),
    );
    let mut top = TOP;
    for (title, lines) in panels {
        panel(&mut text, top, title, &lines, last);
        top += HEIGHT + GAP;
    }
    text + "</svg>\n"
}

fn panel(text: &mut String, top: f64, title: &str, lines: &[Line], last: f64) {
    let highest = lines.iter().flat_map(|line| &line.points).map(|point| point.1).fold(0.0, f64::max);
    let highest = round_up(highest);
    let (unit, divisor) = if last > 7_200.0 { ("h", 3_600.0) } else { ("s", 1.0) };
    *text += &format!(
        "<text x=\"{LEFT}\" y=\"{:.1}\" font-weight=\"bold\">{title}</text>\n<g stroke=\"#ddd\">\n",
        top - 6.0
    );
    let mut labels = String::new();
    for step in 0..=4 {
        let share = f64::from(step) / 4.0;
        let y = top + HEIGHT * (1.0 - share);
        *text += &format!("<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\"/>\n", LEFT + WIDTH);
        labels += &format!(
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
            LEFT - 6.0,
            y + 4.0,
            short(highest * share)
        );
        let x = LEFT + WIDTH * share;
        let at = last * share / divisor;
        labels += &format!(
            "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{} {unit}</text>\n",
            top + HEIGHT + 16.0,
            short(at)
        );
    }
    *text += "</g>\n";
    *text += &labels;
    let mut legend = LEFT + 150.0;
    for line in lines {
        let path: Vec<String> = thinned(&line.points)
            .map(|(second, value)| {
                let (x, y) = (LEFT + WIDTH * second / last, top + HEIGHT * (1.0 - value / highest));
                format!("{x:.1},{y:.1}")
            })
            .collect();
        *text += &format!(
            "<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\" points=\"{}\"/>\n<text x=\"{legend:.1}\" y=\"{:.1}\" \
             fill=\"{}\">{}</text>\n",
            line.colour,
            path.join(" "),
            top - 6.0,
            line.colour,
            escape(line.name)
        );
        #[expect(clippy::cast_precision_loss, reason = "a short text")]
        let room = line.name.len() as f64 * 6.5 + 24.0;
        legend += room;
    }
}

/// At most a point for each unit of width.
fn thinned(points: &[(f64, f64)]) -> impl Iterator<Item = (f64, f64)> + '_ {
    let step = points.len().div_ceil(900).max(1);
    points.iter().step_by(step).copied()
}

fn round_up(value: f64) -> f64 {
    let magnitude = 10_f64.powi(libm::floor(libm::log10(value.max(1.0))) as i32);
    [1.0, 2.0, 4.0, 5.0, 8.0, 10.0]
        .into_iter()
        .map(|it| it * magnitude)
        .find(|it| *it >= value)
        .unwrap_or(value)
}

fn short(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{:.1} M", value / 1e6),
        value if value >= 1e4 => format!("{:.0} k", value / 1e3),
        value if value >= 10.0 => format!("{value:.0}"),
        value => format!("{value:.1}"),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::float_cmp, reason = "exact figures")]
    use super::*;

    #[test]
    fn scales_end_at_round_figures() {
        assert_eq!(
            [0.0, 1.0, 3.0, 499.0, 501.0, 80_001.0].map(round_up),
            [1.0, 1.0, 4.0, 500.0, 800.0, 100_000.0]
        );
        assert_eq!(
            [short(0.5), short(250.0), short(12_000.0), short(2.5e6)],
            ["0.5", "250", "12 k", "2.5 M"]
        );
    }
}
