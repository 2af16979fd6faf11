//! The style sheet: every colour is a variable with a value for light and one for dark.

/// Light on dark or dark on light.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

/// `(variable, light, dark)`. Texts have a contrast of 4.5 to 1 at least on what they stand on, lines 3 to 1.
const PALETTE: &[(&str, &str, &str)] = &[
    ("canvas", "#ffffff", "#0d1117"),
    ("surface", "#ffffff", "#161b22"),
    ("nested", "#f6f8fa", "#11161d"),
    ("text", "#1f2328", "#e6edf3"),
    ("muted", "#59636e", "#9da7b3"),
    ("line", "#818b98", "#6e7681"),
    ("taken", "#0b57d0", "#79b8ff"),
    ("ok", "#1a7f37", "#3fb950"),
    ("ok-tint", "#effbf2", "#12231a"),
    ("failed", "#c4161f", "#ff7b72"),
    ("failed-tint", "#fff0ef", "#2c1618"),
    ("caught", "#8a5a00", "#d9a336"),
    ("caught-tint", "#fff7e0", "#272013"),
    ("running", "#0b57d0", "#79b8ff"),
    ("running-tint", "#edf4ff", "#12203a"),
    ("timedout", "#7a3fc9", "#c9a2ff"),
    ("timedout-tint", "#f7f1ff", "#211a30"),
    ("aborted", "#59636e", "#9da7b3"),
    ("aborted-tint", "#f1f3f5", "#1c2128"),
];

const RULES: &str = include_str!("graph.css");

/// The style sheet of a page with graphs. It follows the reader's system; `data-theme="light"` or `"dark"` on the root element
/// decides otherwise.
#[must_use]
pub fn stylesheet() -> String {
    let light = variables(Theme::Light);
    let dark = variables(Theme::Dark);
    format!(
        ":root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n\
         :root[data-theme=\"light\"] {{ {light} }}\n:root[data-theme=\"dark\"] {{ {dark} }}\n{RULES}"
    )
}

/// The rules with the colours of one theme in place of the variables: not every renderer of SVG files knows variables.
pub(crate) fn resolved(theme: Theme) -> String {
    let mut rules = RULES.to_owned();
    for (name, light, dark) in PALETTE {
        let value = if theme == Theme::Light { light } else { dark };
        rules = rules.replace(&format!("var(--graph-{name})"), value);
    }
    rules
}

fn variables(theme: Theme) -> String {
    let value = |(name, light, dark): &(&str, &str, &str)| {
        format!("--graph-{name}: {};", if theme == Theme::Light { light } else { dark })
    };
    PALETTE.iter().map(value).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// WCAG 2.2, "relative luminance".
    fn luminance(colour: &str) -> f64 {
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).expect("a colour")) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    fn contrast(a: &str, b: &str) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn every_text_and_line_can_be_told_from_what_it_stands_on() {
        let colour = |name: &str, dark: bool| {
            let (_, light, night) = PALETTE.iter().find(|entry| entry.0 == name).expect("a variable");
            if dark { *night } else { *light }
        };
        for dark in [false, true] {
            for ground in PALETTE.iter().map(|entry| entry.0).filter(|name| name.ends_with("-tint")) {
                let own = ground.trim_end_matches("-tint");
                for text in ["text", "muted", own] {
                    let ratio = contrast(colour(text, dark), colour(ground, dark));
                    assert!(ratio >= 4.5, "{text} on {ground}, dark {dark}: {ratio:.2}");
                }
            }
            for (line, ground, least) in [
                ("text", "surface", 4.5),
                ("muted", "surface", 4.5),
                ("muted", "nested", 4.5),
                ("muted", "canvas", 4.5),
                ("taken", "canvas", 4.5),
                ("taken", "nested", 4.5),
                ("caught", "canvas", 4.5),
                ("line", "canvas", 3.0),
                ("line", "nested", 3.0),
            ] {
                let ratio = contrast(colour(line, dark), colour(ground, dark));
                assert!(ratio >= least, "{line} on {ground}, dark {dark}: {ratio:.2}");
            }
        }
    }

    #[test]
    fn every_variable_of_the_rules_has_a_colour_and_none_is_idle() {
        assert!(!resolved(Theme::Dark).contains("var(--graph-"));
        for (name, ..) in PALETTE {
            assert!(RULES.contains(&format!("var(--graph-{name})")), "{name} is not used");
        }
    }
}
