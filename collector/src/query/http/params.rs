//! The forms in which Prometheus's clients write times, durations and label names. Pure.

use ledgerline_promql::limits::TIME_MS_MAX;
use ledgerline_promql::syntax::parse_duration_ms;

/// Seconds with a fraction, or RFC 3339; rounded to milliseconds.
pub(super) fn parse_time(text: &str) -> Option<i64> {
    let from_text = || text.parse().ok().map(jiff::Timestamp::as_millisecond);
    seconds_to_ms(text).or_else(from_text)
}

/// Seconds with a fraction, or Prometheus's `1h30m`.
pub(super) fn parse_duration(text: &str) -> Option<i64> {
    seconds_to_ms(text).or_else(|| parse_duration_ms(text).ok().filter(|ms| *ms <= TIME_MS_MAX))
}

#[allow(clippy::cast_possible_truncation, reason = "bounded just before")]
#[allow(clippy::cast_precision_loss, reason = "the bound need not be exact")]
fn seconds_to_ms(text: &str) -> Option<i64> {
    let ms = (text.parse::<f64>().ok()? * 1000.0).round();
    (ms.abs() <= TIME_MS_MAX as f64).then_some(ms as i64)
}

/// A label's name from the path, where names that are no identifiers come escaped: `U__`, then `__` for an underscore and `_hex_` for
/// any other character. `None` for what is no name.
pub(super) fn label_name(text: &str) -> Option<String> {
    let Some(mut rest) = text.strip_prefix("U__") else { return (!text.is_empty()).then(|| text.to_owned()) };
    let mut name = String::new();
    while let Some((plain, escaped)) = rest.split_once('_') {
        let (code, after) = escaped.split_once('_')?;
        name.push_str(plain);
        name.push(if code.is_empty() { '_' } else { char::from_u32(u32::from_str_radix(code, 16).ok()?)? });
        rest = after;
    }
    name.push_str(rest);
    (!name.is_empty()).then_some(name)
}
