//! Pure. The template functions that turn one value into text, with Prometheus' results.

use super::Datum;
use super::gofmt::general;

/// A function by what it is for: an argument of the other kind is read as a number, or printed.
#[derive(Debug)]
pub(super) enum Function {
    Number(fn(f64) -> String),
    Text(fn(&str) -> String),
}

pub(super) const FUNCTIONS: &[(&str, Function)] = &[
    ("humanize", Function::Number(humanize)),
    ("humanize1024", Function::Number(humanize1024)),
    ("humanizeDuration", Function::Number(humanize_duration)),
    ("humanizePercentage", Function::Number(|value| format!("{}%", four_digits(value * 100.0)))),
    ("title", Function::Text(title)),
    ("toUpper", Function::Text(str::to_uppercase)),
    ("toLower", Function::Text(str::to_lowercase)),
];

impl Function {
    pub(super) fn apply(&self, datum: &Datum) -> Result<String, String> {
        Ok(match (self, datum) {
            (Self::Number(apply), Datum::Number(number)) => apply(*number),
            (Self::Number(apply), Datum::Text(text)) => {
                apply(text.parse().map_err(|_| format!("{text:?} is not a number"))?)
            }
            (Self::Text(apply), datum) => apply(&datum.print()),
        })
    }
}

fn four_digits(value: f64) -> String {
    general(value, Some(4))
}

/// The value as it is after so many steps as its size asks for, with the prefix of the last.
fn scaled(
    mut value: f64,
    prefixes: [&str; 8],
    is_out: impl Fn(f64) -> bool,
    step: impl Fn(f64) -> f64,
) -> String {
    let mut prefix = "";
    for next in prefixes {
        if !value.is_finite() || !is_out(value.abs()) {
            break;
        }
        (prefix, value) = (next, step(value));
    }
    four_digits(value) + prefix
}

fn is_small(value: f64) -> bool {
    value != 0.0 && value.abs() < 1.0
}

fn humanize(value: f64) -> String {
    if is_small(value) {
        scaled(value, ["m", "u", "n", "p", "f", "a", "z", "y"], is_small, |value| value * 1000.0)
    } else {
        let prefixes = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
        scaled(value, prefixes, |value| value >= 1000.0, |value| value / 1000.0)
    }
}

fn humanize1024(value: f64) -> String {
    let prefixes = ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];
    scaled(value, prefixes, |value| value >= 1024.0, |value| value / 1024.0)
}

fn humanize_duration(value: f64) -> String {
    if !value.is_finite() {
        return four_digits(value);
    }
    if is_small(value) {
        return humanize(value) + "s";
    }
    let sign = if value < 0.0 { "-" } else { "" };
    // Whole seconds; beyond 2^64 s the text is meaningless anyway and the cast saturates.
    let whole = value.abs().trunc() as u64;
    let (days, hours, minutes, seconds) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60, whole % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{}s", four_digits(value)),
        (0, 0, _) => format!("{sign}{minutes}m {seconds}s"),
        (0, ..) => format!("{sign}{hours}h {minutes}m {seconds}s"),
        _ => format!("{sign}{days}d {hours}h {minutes}m {seconds}s"),
    }
}

/// First letter of each word in upper case, the rest untouched; a word ends at anything but a letter, digit or underscore.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside_word = false;
    for letter in text.chars() {
        if inside_word {
            out.push(letter);
        } else {
            out.extend(letter.to_uppercase());
        }
        inside_word =
            letter.is_alphanumeric() || letter == '_' || (!letter.is_ascii() && !letter.is_whitespace());
    }
    out
}
