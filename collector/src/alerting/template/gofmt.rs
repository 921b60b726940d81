//! Pure. Prints floats as Go's `fmt` and `strconv` do, because annotations written for Prometheus depend on it.
//! (Source: the Go documentation of packages fmt and strconv.)

/// NaN and infinities; finite numbers give `None`.
fn special(value: f64) -> Option<String> {
    let text = match value {
        f64::INFINITY => "+Inf",
        f64::NEG_INFINITY => "-Inf",
        _ if value.is_nan() => "NaN",
        _ => return None,
    };
    Some(text.to_owned())
}

/// `%g`: with `significant` digits, or with as few as read back to the same number.
pub fn general(value: f64, significant: Option<u32>) -> String {
    let precision = significant.map(|count| count.max(1) - 1);
    let scientific = exponential(value, precision);
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let places: i64 = exponent.parse().unwrap_or(0);
    // Go's shortest form switches to an exponent at 10^6; a given precision switches at that precision.
    if !(-4..=precision.map_or(5, i64::from)).contains(&places) {
        return format!("{}e{exponent}", without_zeros(mantissa));
    }
    match precision {
        None => format!("{value}"),
        Some(precision) => {
            let fraction = usize::try_from(i64::from(precision) - places).unwrap_or(0);
            without_zeros(&format!("{value:.fraction$}")).to_owned()
        }
    }
}

/// Without the zeros that end its fraction.
fn without_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// `%f` with a number of digits after the point.
pub fn fixed(value: f64, fraction: u32) -> String {
    special(value).unwrap_or_else(|| format!("{value:.*}", fraction as usize))
}

/// `%e` with a number of digits after the point, or with as few as read back to the same number.
pub fn exponential(value: f64, fraction: Option<u32>) -> String {
    if let Some(text) = special(value) {
        return text;
    }
    let text = match fraction {
        Some(count) => format!("{value:.*e}", count as usize),
        None => format!("{value:e}"),
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn general_forms_print_as_in_go() {
        for (significant, value, want) in [
            (Some(4), 0.0, "0"),
            (Some(4), 1000.0, "1000"),
            (Some(4), 1.5, "1.5"),
            (Some(4), 12345.0, "1.234e+04"),
            (Some(4), 12355.0, "1.236e+04"),
            (Some(4), 0.0001234, "0.0001234"),
            (Some(4), 0.00001234, "1.234e-05"),
            (Some(4), 99999.0, "1e+05"),
            (Some(4), -42.4242, "-42.42"),
            (Some(4), f64::NAN, "NaN"),
            (Some(4), f64::INFINITY, "+Inf"),
            (Some(4), f64::NEG_INFINITY, "-Inf"),
            (Some(20), 0.1, "0.10000000000000000555"),
            (None, 0.1, "0.1"),
            (None, 123_456.0, "123456"),
            (None, 1_000_000.0, "1e+06"),
            (None, 1_234_567.5, "1.2345675e+06"),
            (None, 100.0, "100"),
            (None, -0.0, "-0"),
            (None, 1e-5, "1e-05"),
            (None, 1.5e-4, "0.00015"),
        ] {
            assert_eq!(general(value, significant), want, "{value}");
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
