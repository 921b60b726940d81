//! Pure: how values are printed in an answer. Floats follow Prometheus (shortest digits that read back the same, exponents only
//! outside 1e-6..1e21); exact values are printed as the decimal they are.

use super::number::{Number, decimal};

/// A value as Prometheus's JSON prints it, without the quotes.
pub fn format_number(value: Number) -> String {
    match value {
        Number::Exact(picos) => decimal(picos),
        Number::Float(value) => format_float(value),
    }
}

/// A float as Prometheus's JSON prints it.
pub fn format_float(value: f64) -> String {
    let magnitude = value.abs();
    if value.is_finite() && magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        return exponent(value);
    }
    format_plain(value)
}

/// A float without an exponent, whatever its size: the form used for label values (`count_values`) and bucket bounds.
pub fn format_plain(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    value.to_string()
}

/// Scientific notation with a sign and at least two digits in the exponent.
fn exponent(value: f64) -> String {
    let text = format!("{value:e}");
    let Some((mantissa, power)) = text.split_once('e') else { return text };
    let power: i32 = power.parse().unwrap_or_default();
    format!("{mantissa}e{power:+03}")
}
