//! Whether what the style sheet paints can be read, by <https://www.w3.org/TR/WCAG22/#contrast-minimum>.

use std::collections::HashMap;

const STYLE: &str = include_str!("../assets/style.css");

type Colours = HashMap<&'static str, [f64; 3]>;

/// The colours of the light scheme, and those of the dark one.
fn schemes() -> [Colours; 2] {
    let (light, rest) = STYLE.split_once("@media (prefers-color-scheme: dark)").unwrap();
    let dark = rest.split_once("\n}\n").unwrap().0;
    [light, dark].map(|part| part.lines().filter_map(variable).collect())
}

fn variable(line: &'static str) -> Option<(&'static str, [f64; 3])> {
    let (name, value) = line.trim().strip_prefix("--")?.split_once(": ")?;
    let digits = value.strip_prefix('#')?.strip_suffix(';')?;
    let part = |at: usize| f64::from(u8::from_str_radix(&digits[at..at + 2], 16).unwrap()) / 255.0;
    Some((name, [part(0), part(2), part(4)]))
}

fn luminance(colour: [f64; 3]) -> f64 {
    let [red, green, blue] =
        colour.map(|part| if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) });
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

fn ratio(a: [f64; 3], b: [f64; 3]) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn text_stands_out_from_what_it_lies_on_in_both_schemes() {
    assert!((ratio([0.0; 3], [1.0; 3]) - 21.0).abs() < 1e-9);
    for colours in schemes() {
        let tones = ["ink", "ink-muted", "accent", "up", "down", "good", "warn", "bad"];
        let grounds = ["paper", "card", "muted-wash"];
        let mut pairs: Vec<(&str, &str, f64)> =
            tones.iter().flat_map(|tone| grounds.map(|ground| (*tone, ground, 4.5))).collect();
        for (tone, wash) in
            [("accent", "accent-wash"), ("good", "good-wash"), ("warn", "warn-wash"), ("bad", "bad-wash")]
        {
            pairs.extend([(tone, wash, 4.5), ("ink", wash, 4.5)]);
        }
        pairs.push(("on-accent", "accent", 4.5));
        // The edges of controls, and the ring around what has the focus.
        for ground in ["paper", "card"] {
            pairs.extend([("edge", ground, 3.0), ("accent", ground, 3.0)]);
        }
        for (tone, ground, least) in pairs {
            let found = ratio(colours[tone], colours[ground]);
            assert!(found >= least, "--{tone} on --{ground}: {found:.2}, wanted {least}");
        }
    }
}
