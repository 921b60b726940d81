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
