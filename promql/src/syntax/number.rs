//! Pure: numbers as Go reads them: an integer with its base prefix if it is one (so `0755` is 493), else a float.

use super::quoted::quote;

/// The value of a number token, or Prometheus's complaint.
pub(super) fn parse_number(text: &str) -> Result<f64, String> {
    let fail =
        |reason: &str| format!("error parsing number: strconv.ParseFloat: parsing {}: {reason}", quote(text));
    let plain = without_underscores(text).ok_or_else(|| fail("invalid syntax"))?;
    if let Some(value) = integer(&plain) {
        return Ok(value);
    }
    let value: f64 = plain.parse().map_err(|_| fail("invalid syntax"))?;
    if value.is_infinite() && plain.contains(|c: char| c.is_ascii_digit()) {
        return Err(fail("value out of range"));
    }
    Ok(value)
}

#[allow(clippy::cast_precision_loss, reason = "a number of the language is a float")]
fn integer(plain: &str) -> Option<f64> {
    let (digits, radix) = match plain.strip_prefix("0x").or_else(|| plain.strip_prefix("0X")) {
        Some(hex) => (hex, 16),
        None if plain.len() > 1 && plain.starts_with('0') => (&plain[1..], 8),
        None => (plain, 10),
    };
    let value = i64::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with(['+', '-']))?;
    Some(value as f64)
}

/// Go lets an underscore stand between two digits and after a base prefix, nowhere else.
fn without_underscores(text: &str) -> Option<String> {
    if !text.contains('_') {
        return Some(text.to_owned());
    }
    let hex = text.starts_with("0x") || text.starts_with("0X");
    let is_digit = |c: char| c.is_ascii_digit() || (hex && c.is_ascii_hexdigit());
    let mut previous = '.';
    for (at, c) in text.char_indices() {
        let after_prefix = hex && at == 2;
        if c == '_' && !is_digit(previous) && !after_prefix || previous == '_' && !is_digit(c) {
            return None;
        }
        previous = c;
    }
    (previous != '_').then(|| text.replace('_', ""))
}
