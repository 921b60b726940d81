//! Pure. Prints floats as Go's `fmt` and `strconv` do, because annotations written for Prometheus depend on it.
//! (Source: the Go documentation of packages fmt and strconv.)

/// Digits and decimal exponent of a finite, non-negative number: `d.ddd * 10^exponent`, no trailing zeros.
fn digits(value: f64, significant: Option<usize>) -> (String, i32) {
    let text = match significant {
        Some(count) => format!("{value:.*e}", count.max(1) - 1),
        None => format!("{value:e}"),
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text.as_str(), "0"));
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let trimmed = digits.trim_end_matches('0');
    let digits = if trimmed.is_empty() { "0".to_owned() } else { trimmed.to_owned() };
    (digits, exponent.parse().unwrap_or(0))
}

/// NaN and infinities; finite numbers give `None`.
fn special(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        Some("NaN")
    } else if value.is_infinite() {
        Some(if value > 0.0 { "+Inf" } else { "-Inf" })
    } else {
        None
    }
}

fn with_exponent(digits: &str, exponent: i32, fraction: usize) -> String {
    let mut out = digits[..1].to_owned();
    if fraction > 0 {
        out.push('.');
        out.push_str(&digits[1..]);
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    out.push_str(&format!("e{sign}{:02}", exponent.unsigned_abs()));
    out
}

/// `%g`: with `significant` digits, or with as few as read back to the same number.
pub fn general(value: f64, significant: Option<usize>) -> String {
    if let Some(text) = special(value) {
        return text.to_owned();
    }
    let sign = if value.is_sign_negative() { "-" } else { "" };
    let (digits, exponent) = digits(value.abs(), significant);
    // Go's shortest form switches to an exponent at 10^6; a given precision switches at that precision.
    let threshold = significant.map_or(6, |count| i32::try_from(count.max(1)).unwrap_or(i32::MAX));
    let body = if exponent < -4 || exponent >= threshold {
        with_exponent(&digits, exponent, digits.len() - 1)
    } else {
        plain(&digits, exponent)
    };
    format!("{sign}{body}")
}

fn plain(digits: &str, exponent: i32) -> String {
    let whole = usize::try_from(exponent + 1).unwrap_or(0);
    if whole == 0 {
        let zeros = usize::try_from(-exponent - 1).unwrap_or(0);
        return if digits == "0" { "0".to_owned() } else { format!("0.{}{digits}", "0".repeat(zeros)) };
    }
    if digits.len() <= whole {
        return format!("{digits}{}", "0".repeat(whole - digits.len()));
    }
    format!("{}.{}", &digits[..whole], &digits[whole..])
}

/// `%f` with a number of digits after the point.
pub fn fixed(value: f64, fraction: usize) -> String {
    special(value).map_or_else(|| format!("{value:.fraction$}"), str::to_owned)
}

/// `%e` with a number of digits after the point, or with as few as read back to the same number.
pub fn exponential(value: f64, fraction: Option<usize>) -> String {
    if let Some(text) = special(value) {
        return text.to_owned();
    }
    let text = match fraction {
        Some(count) => format!("{value:.count$e}"),
        None => format!("{value:e}"),
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text.as_str(), "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_significant_digits_print_as_in_go() {
        for (value, want) in [
            (0.0, "0"),
            (1000.0, "1000"),
            (1.5, "1.5"),
            (12345.0, "1.234e+04"),
            (12355.0, "1.236e+04"),
            (0.0001234, "0.0001234"),
            (0.00001234, "1.234e-05"),
            (99999.0, "1e+05"),
            (-42.4242, "-42.42"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(general(value, Some(4)), want, "{value}");
        }
    }

    #[test]
    fn the_shortest_form_prints_as_in_go() {
        for (value, want) in [
            (0.1, "0.1"),
            (123_456.0, "123456"),
            (1_000_000.0, "1e+06"),
            (1_234_567.5, "1.2345675e+06"),
            (100.0, "100"),
            (-0.0, "-0"),
            (1e-5, "1e-05"),
            (1.5e-4, "0.00015"),
        ] {
            assert_eq!(general(value, None), want, "{value}");
        }
    }

    #[test]
    fn fixed_and_exponential_print_as_in_go() {
        assert_eq!(fixed(2.5, 0), "2");
        assert_eq!(fixed(1.005, 2), "1.00");
        assert_eq!(fixed(f64::INFINITY, 2), "+Inf");
        assert_eq!(exponential(1.0, None), "1e+00");
        assert_eq!(exponential(0.0, None), "0e+00");
        assert_eq!(exponential(1234.5, None), "1.2345e+03");
        assert_eq!(exponential(1e-7, Some(2)), "1.00e-07");
        assert_eq!(exponential(-1e100, None), "-1e+100");
    }
}
