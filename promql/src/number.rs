//! Pure: the value of a sample. Money and counts are integers of one million-millionth ("pico"), everything else is a float.
//!
//! Sum, difference, negation, minimum, maximum and count of exact values are exact; every other operation gives a float. An
//! exact value must never pass through a float on its way to a print-out.

/// Pico units in one unit.
pub const PICOS: i128 = 1_000_000_000_000;

/// The largest integer up to which every integer is a float.
const FLOAT_INTEGER_MAX: u128 = 1 << 53;

/// One sample's value.
#[derive(Debug, Clone, Copy)]
pub enum Number {
    /// Pico units: 1 USD is `1_000_000_000_000`.
    Exact(i128),
    /// An IEEE double, as in Prometheus.
    Float(f64),
}

impl Number {
    /// A whole number, exact.
    pub fn whole(count: u64) -> Self {
        Self::Exact(i128::from(count) * PICOS)
    }

    /// The nearest float, rounded once.
    #[allow(clippy::cast_precision_loss, reason = "the one place where exactness is given up, on request")]
    pub fn to_f64(self) -> f64 {
        match self {
            Self::Float(value) => value,
            // Both are floats themselves, so one correctly rounded division is the correctly rounded answer.
            Self::Exact(picos) if picos.unsigned_abs() <= FLOAT_INTEGER_MAX => picos as f64 / 1e12,
            Self::Exact(picos) => quotient(picos),
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
            && let Some(picos) = exact(a, b)
        {
            return Self::Exact(picos);
        }
        Self::Float(float(self.to_f64(), other.to_f64()))
    }

    /// `-self`.
    pub fn negated(self) -> Self {
        match self {
            Self::Exact(picos) => picos.checked_neg().map_or(Self::Float(-self.to_f64()), Self::Exact),
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

/// A quotient of at least 87 bits, of which the lowest also stands for the remainder, rounds to a float as the endless one would.
#[allow(clippy::cast_precision_loss, reason = "rounds once, to the nearest")]
fn quotient(picos: i128) -> f64 {
    let magnitude = picos.unsigned_abs();
    let shift = magnitude.leading_zeros();
    let (shifted, unit) = (magnitude << shift, PICOS.unsigned_abs());
    let quotient = (shifted / unit) | u128::from(shifted % unit != 0);
    // 2^-shift: exact, and so is the product.
    let scale = f64::from_bits(u64::from(1023 - shift) << 52);
    let value = quotient as f64 * scale;
    if picos < 0 { -value } else { value }
}

/// Equal values, whatever the representation; NaN equals NaN so that results can be compared in tests.
impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        (self.is_nan() && other.is_nan()) || self.compare(*other) == Some(std::cmp::Ordering::Equal)
    }
}

/// Pico units as a decimal number of units, every digit kept and no trailing zeros.
pub fn decimal(picos: i128) -> String {
    let magnitude = picos.unsigned_abs();
    let unit = PICOS.unsigned_abs();
    let (whole, fraction) = (magnitude / unit, magnitude % unit);
    let sign = if picos < 0 { "-" } else { "" };
    if fraction == 0 {
        return format!("{sign}{whole}");
    }
    let digits = format!("{fraction:012}");
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
        if let (Some(sum), Number::Exact(picos)) = (self.exact, value)
            && let Some(next) = sum.checked_add(picos)
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
            Some(picos) => Number::Exact(picos),
            None if self.float.is_infinite() => Number::Float(self.float),
            None => Number::Float(self.float + self.compensation),
        }
    }
}
