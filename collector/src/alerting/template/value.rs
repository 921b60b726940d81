//! Pure. The template functions that turn one value into text, with Prometheus' results.

use super::gofmt::general;
use super::{Datum, Function};

pub(super) fn apply(function: Function, datum: &Datum) -> Result<String, String> {
    Ok(match function {
        Function::Humanize => humanize(number(datum)?),
        Function::Humanize1024 => humanize1024(number(datum)?),
        Function::HumanizeDuration => humanize_duration(number(datum)?),
        Function::HumanizePercentage => format!("{}%", general(number(datum)? * 100.0, Some(4))),
        Function::Title => title(&datum.print()),
        Function::ToUpper => datum.print().to_uppercase(),
        Function::ToLower => datum.print().to_lowercase(),
    })
}

fn number(datum: &Datum) -> Result<f64, String> {
    match datum {
        Datum::Number(number) => Ok(*number),
        Datum::Text(text) => text.parse().map_err(|_| format!("{text:?} is not a number")),
    }
}

const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];

fn humanize(mut value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return general(value, Some(4));
    }
    if value.abs() < 1.0 {
        return small(value, "");
    }
    let mut prefix = "";
    for next in ["k", "M", "G", "T", "P", "E", "Z", "Y"] {
        if value.abs() < 1000.0 {
            break;
        }
        prefix = next;
        value /= 1000.0;
    }
    format!("{}{prefix}", general(value, Some(4)))
}

fn small(mut value: f64, unit: &str) -> String {
    let mut prefix = "";
    for next in SMALL {
        if value.abs() >= 1.0 {
            break;
        }
        prefix = next;
        value *= 1000.0;
    }
    format!("{}{prefix}{unit}", general(value, Some(4)))
}

fn humanize1024(mut value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        return general(value, Some(4));
    }
    let mut prefix = "";
    for next in ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"] {
        if value.abs() < 1024.0 {
            break;
        }
        prefix = next;
        value /= 1024.0;
    }
    format!("{}{prefix}", general(value, Some(4)))
}

fn humanize_duration(value: f64) -> String {
    if !value.is_finite() {
        return general(value, Some(4));
    }
    if value == 0.0 {
        return format!("{}s", general(value, Some(4)));
    }
    if value.abs() < 1.0 {
        return small(value, "s");
    }
    let sign = if value < 0.0 { "-" } else { "" };
    // Whole seconds; beyond 2^64 s the text is meaningless anyway and the cast saturates.
    let whole = value.abs().trunc() as u64;
    let (days, hours, minutes, seconds) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60, whole % 60);
    if days > 0 {
        format!("{sign}{days}d {hours}h {minutes}m {seconds}s")
    } else if hours > 0 {
        format!("{sign}{hours}h {minutes}m {seconds}s")
    } else if minutes > 0 {
        format!("{sign}{minutes}m {seconds}s")
    } else {
        format!("{sign}{}s", general(value.abs(), Some(4)))
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
