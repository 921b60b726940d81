//! Numbers as other programs write them (`2e-06`), as decimals, digit by digit. Pure. It must never contain a float: 0.1 + 0.2 is
//! somebody's invoice.

/// Before the point, and zeros behind it. More is no price.
const DIGITS_MAX: i32 = 40;

/// `2e-06` shifted by 6 is `2`: the number times ten to the power of `shift`, exact. `None` where it is negative or no number.
pub fn shifted(number: &str, shift: i32) -> Option<String> {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let exponent: i32 = exponent.strip_prefix('+').unwrap_or(exponent).parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let point = i32::try_from(whole.len()).ok()?.checked_add(exponent)?.checked_add(shift)?;
    if !(-DIGITS_MAX..=DIGITS_MAX).contains(&point) {
        return None;
    }
    let before = usize::try_from(point).unwrap_or(0);
    let zeros = usize::try_from(point.checked_neg()?).unwrap_or(0);
    let digits = format!("{}{digits:0<before$}", "0".repeat(zeros));
    let (whole, fraction) = digits.split_at_checked(before)?;
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") })
}

#[cfg(test)]
mod tests {
    use super::shifted;

    #[test]
    fn numbers_are_shifted_digit_by_digit() {
        for (json, shift, text) in [
            ("2e-06", 6, Some("2")),
            ("5e-07", 6, Some("0.5")),
            ("1.25E-7", 6, Some("0.125")),
            ("0.000003", 6, Some("3")),
            ("8.75e-07", 6, Some("0.875")),
            ("0.025", 0, Some("0.025")),
            ("3", 0, Some("3")),
            ("1e+2", 0, Some("100")),
            ("0.0", 6, Some("0")),
            ("0", 6, Some("0")),
            ("1e-12", 6, Some("0.000001")),
            ("10", 3, Some("10000")),
            ("-1e-6", 6, None),
            ("\"1\"", 6, None),
            ("1e99", 6, None),
            ("1e", 6, None),
            ("null", 6, None),
        ] {
            assert_eq!(shifted(json, shift).as_deref(), text, "{json}");
        }
    }
}
