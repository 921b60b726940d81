//! Pure: the value of a sample. Money and counts are integers of one thousand-millionth ("nano"), everything else is a float.
//!
//! Sum, difference, negation, minimum, maximum and count of exact values are exact; every other operation gives a float. An
//! exact value must never pass through a float on its way to a print-out.

/// Nano units in one unit.
pub const NANOS: i128 = 1_000_000_000;

/// The largest integer up to which every integer is a float.
const FLOAT_INTEGER_MAX: i128 = 1 << 53;

/// One sample's value.
#[derive(Debug, Clone, Copy)]
pub enum Number {
    /// Nano units: 1 USD is `1_000_000_000`.
    Exact(i128),
    /// An IEEE double, as in Prometheus.
    Float(f64),
}

impl Number {
    /// A whole number, exact.
    pub fn whole(count: u64) -> Self {
        Self::Exact(i128::from(count) * NANOS)
    }

    /// The nearest float. Whole values below 2^53 convert without any rounding.
    #[allow(clippy::cast_precision_loss, reason = "the one place where exactness is given up, on request")]
    pub fn to_f64(self) -> f64 {
        match self {
            Self::Float(value) => value,
            Self::Exact(nanos) if nanos % NANOS == 0 => (nanos / NANOS) as f64,
            // Below 2^53 nanos one correctly rounded division is the correctly rounded answer.
            Self::Exact(nanos) if nanos.abs() <= FLOAT_INTEGER_MAX => nanos as f64 / 1e9,
            // Above, parsing the decimal is the only conversion that rounds once.
            Self::Exact(nanos) => decimal(nanos).parse().unwrap_or(nanos as f64 / 1e9),
        }
    }

    /// `self + other`, exact when both are and the sum fits.
    pub fn plus(self, other: Self) -> Self {
        self.combined(other, i128::checked_add, |a, b| a + b)
    }

    /// `self - other`, exact when both are and the difference fits.
    pub fn minus(self, other: Self) -> Self {
        self.combined(other, i128::checked_sub, |a, b| a - b)
    }

    fn combined(
        self,
        other: Self,
        exact: fn(i128, i128) -> Option<i128>,
        float: fn(f64, f64) -> f64,
    ) -> Self {
        if let (Self::Exact(a), Self::Exact(b)) = (self, other)
            && let Some(nanos) = exact(a, b)
        {
            return Self::Exact(nanos);
        }
        Self::Float(float(self.to_f64(), other.to_f64()))
    }

    /// `-self`.
    pub fn negated(self) -> Self {
        match self {
            Self::Exact(nanos) => nanos.checked_neg().map_or(Self::Float(-self.to_f64()), Self::Exact),
            Self::Float(value) => Self::Float(-value),
        }
    }

    /// Order by value. `None` when either is NaN.
    pub fn compare(self, other: Self) -> Option<std::cmp::Ordering> {
        match (self, other) {
            (Self::Exact(a), Self::Exact(b)) => Some(a.cmp(&b)),
            _ => self.to_f64().partial_cmp(&other.to_f64()),
        }
    }

    /// Whether the value is not a number.
    pub fn is_nan(self) -> bool {
        matches!(self, Self::Float(value) if value.is_nan())
    }
}

/// Equal values, whatever the representation; NaN equals NaN so that results can be compared in tests.
impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        (self.is_nan() && other.is_nan()) || self.compare(*other) == Some(std::cmp::Ordering::Equal)
    }
}

/// Nano units as a decimal number of units, every digit kept and no trailing zeros.
pub fn decimal(nanos: i128) -> String {
    let magnitude = nanos.unsigned_abs();
    let unit = NANOS.unsigned_abs();
    let (whole, fraction) = (magnitude / unit, magnitude % unit);
    let sign = if nanos < 0 { "-" } else { "" };
    if fraction == 0 {
        return format!("{sign}{whole}");
    }
    let digits = format!("{fraction:09}");
    format!("{sign}{whole}.{}", digits.trim_end_matches('0'))
}

/// A running sum: exact while every addend is, otherwise compensated (Neumaier) as in Prometheus.
#[derive(Debug, Clone, Copy)]
pub struct Sum {
    exact: Option<i128>,
    float: f64,
    compensation: f64,
}

impl Default for Sum {
    fn default() -> Self {
        Self { exact: Some(0), float: 0.0, compensation: 0.0 }
    }
}

impl Sum {
    pub fn add(&mut self, value: Number) {
        if let (Some(sum), Number::Exact(nanos)) = (self.exact, value)
            && let Some(next) = sum.checked_add(nanos)
        {
            self.exact = Some(next);
            return;
        }
        if let Some(sum) = self.exact.take() {
            self.float = Number::Exact(sum).to_f64();
        }
        let value = value.to_f64();
        let total = self.float + value;
        if total.is_infinite() {
            self.compensation = 0.0;
        } else if self.float.abs() >= value.abs() {
            self.compensation += (self.float - total) + value;
        } else {
            self.compensation += (value - total) + self.float;
        }
        self.float = total;
    }

    /// The sum so far; zero when nothing was added.
    pub fn total(self) -> Number {
        match self.exact {
            Some(nanos) => Number::Exact(nanos),
            None if self.float.is_infinite() => Number::Float(self.float),
            None => Number::Float(self.float + self.compensation),
        }
    }
}
