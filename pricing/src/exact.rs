//! Exact fractions, just enough for a price and a line. Pure; must never contain a float, nor an operation that can wrap.

use std::fmt;

use ledgerline_proto::PicoUsd;

/// Digits behind the point that a text may have.
const FRACTION_DIGITS_MAX: usize = 30;
/// Digits that a text may have in all: what an `i128` holds with room to spare.
const DIGITS_MAX: usize = 36;

/// A fraction of two numbers that are 0 or more, in lowest terms. Overflow is `None`: the caller says `overflow` and not an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Exact {
    numerator: i128,
    denominator: i128,
}

impl Exact {
    pub(crate) const ONE: Self = Self { numerator: 1, denominator: 1 };
    pub(crate) const ZERO: Self = Self { numerator: 0, denominator: 1 };

    pub(crate) fn whole(number: u64) -> Self {
        Self { numerator: i128::from(number), denominator: 1 }
    }

    fn reduced(numerator: i128, denominator: i128) -> Option<Self> {
        let divisor = greatest_common_divisor(numerator, denominator);
        let numerator = numerator.checked_div(divisor)?;
        Some(Self { numerator, denominator: denominator.checked_div(divisor)? })
    }

    /// Reads `12`, `0.075`: digits and one point; no sign, no exponent, no thousands mark. The error says what is wrong.
    pub(crate) fn from_decimal(text: &str) -> Result<Self, &'static str> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if text.starts_with('-') {
            return Err("is negative; it is 0 or more");
        }
        if whole.is_empty() || !digits(whole) || !digits(fraction) || text.ends_with('.') {
            return Err("is not a decimal number; write for example 0.0025");
        }
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        if fraction.len() > FRACTION_DIGITS_MAX {
            return Err("has more than 30 digits behind the point");
        }
        if whole.len().saturating_add(fraction.len()) > DIGITS_MAX {
            return Err("has more than 36 digits");
        }
        let tens = u32::try_from(fraction.len()).ok().and_then(|digits| 10_i128.checked_pow(digits));
        let numerator = format!("0{whole}{fraction}").parse().ok();
        let exact = numerator.zip(tens).and_then(|(numerator, tens)| Self::reduced(numerator, tens));
        exact.ok_or("is too large")
    }

    pub(crate) fn times(self, other: Self) -> Option<Self> {
        // Reduced crosswise before multiplying, so that long prices times long rates still fit.
        let left = Self::reduced(self.numerator, other.denominator)?;
        let right = Self::reduced(other.numerator, self.denominator)?;
        let numerator = left.numerator.checked_mul(right.numerator)?;
        Some(Self { numerator, denominator: left.denominator.checked_mul(right.denominator)? })
    }

    pub(crate) fn divided_by(self, divisor: u64) -> Option<Self> {
        let right = Self::reduced(1, i128::from(divisor)).filter(|right| right.denominator > 0)?;
        self.times(right)
    }

    pub(crate) fn plus(self, other: Self) -> Option<Self> {
        let left = self.numerator.checked_mul(other.denominator)?;
        let right = other.numerator.checked_mul(self.denominator)?;
        Self::reduced(left.checked_add(right)?, self.denominator.checked_mul(other.denominator)?)
    }

    /// One minus this; `None` above one.
    pub(crate) fn rest_of_one(self) -> Option<Self> {
        let numerator = self.denominator.checked_sub(self.numerator).filter(|&rest| rest >= 0)?;
        Self::reduced(numerator, self.denominator)
    }

    /// The nearest whole number to `quantity` times this, a half to the even neighbour, and whether that rounded. Half to even, because
    /// a month of equal halves must neither rise nor fall by being rounded.
    pub(crate) fn of(self, quantity: u64) -> Option<(i128, bool)> {
        let product = i128::from(quantity).checked_mul(self.numerator)?;
        if self.denominator == 1 {
            return Some((product, false));
        }
        // Most quotients are of 64-bit numbers, whose division is several times faster.
        let (quotient, rest) = match (u64::try_from(product), u64::try_from(self.denominator)) {
            (Ok(product), Ok(divisor)) => {
                (i128::from(product.checked_div(divisor)?), i128::from(product.checked_rem(divisor)?))
            }
            _ => (product.checked_div(self.denominator)?, product.checked_rem(self.denominator)?),
        };
        let doubled = rest.checked_mul(2)?;
        let up = doubled > self.denominator || (doubled == self.denominator && quotient % 2 != 0);
        Some((if up { quotient.checked_add(1)? } else { quotient }, rest != 0))
    }
}

impl fmt::Display for Exact {
    /// As a decimal where that ends within 30 digits, else as a fraction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { numerator, denominator } = *self;
        let mut rest = numerator % denominator;
        let mut fraction = String::new();
        while rest != 0 && fraction.len() < FRACTION_DIGITS_MAX {
            let Some(tenfold) = rest.checked_mul(10) else { break };
            fraction.push_str(&(tenfold / denominator).to_string());
            rest = tenfold % denominator;
        }
        match (rest, fraction.is_empty()) {
            (0, true) => write!(f, "{numerator}"),
            (0, false) => write!(f, "{}.{fraction}", numerator / denominator),
            _ => write!(f, "{numerator}/{denominator}"),
        }
    }
}

/// A whole number of pico-dollars as an amount; `None` where it is more than a bill may be.
pub(crate) fn amount(picos: i128) -> Option<PicoUsd> {
    PicoUsd::from_picos(i64::try_from(picos).ok()?)
}

fn greatest_common_divisor(left: i128, right: i128) -> i128 {
    if right == 0 { left } else { greatest_common_divisor(right, left % right) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(text: &str) -> Exact {
        Exact::from_decimal(text).unwrap()
    }

    #[test]
    fn halves_go_to_the_even_neighbour_and_say_that_they_did() {
        for (quantity, price, rounded) in [
            (0, "0.5", (0, false)),
            (1, "0.5", (0, true)),
            (3, "0.5", (2, true)),
            (5, "0.5", (2, true)),
            (7, "0.5", (4, true)),
            (2, "0.5", (1, false)),
            (1, "0.49", (0, true)),
            (1, "0.51", (1, true)),
            (1, "0.500000000000000000000000000001", (1, true)),
        ] {
            assert_eq!(exact(price).of(quantity), Some(rounded), "{quantity} * {price}");
        }
        let third = Exact::ONE.divided_by(3).unwrap();
        assert_eq!((third.of(10), third.of(3)), (Some((3, true)), Some((1, false))));
    }

    #[test]
    fn decimals_are_read_digit_by_digit_and_printed_back() {
        for text in ["0", "1.1", "2", "0.000000000000000001", "0.133333333333333333", "123456789.25"] {
            assert_eq!(exact(text).to_string(), text);
        }
        assert_eq!(exact("007.50"), exact("7.5"));
        for text in ["", ".5", "1.", "-1", "+1", "1e3", "1,5", " 1", "1_0", "NaN"] {
            assert!(Exact::from_decimal(text).is_err(), "{text}");
        }
        assert!(Exact::from_decimal(&format!("0.{}1", "0".repeat(30))).is_err());
        assert!(Exact::from_decimal(&"9".repeat(37)).is_err());
    }

    #[test]
    fn sums_and_products_are_exact() {
        assert_eq!(exact("0.1").plus(exact("0.2")), Some(exact("0.3")));
        assert_eq!(exact("1.1").times(exact("1.1")), Some(exact("1.21")));
        assert_eq!(exact("0.15").rest_of_one(), Some(exact("0.85")));
        assert_eq!(exact("1.5").rest_of_one(), None);
        assert_eq!(Exact::ONE.divided_by(3).map(|third| third.to_string()).as_deref(), Some("1/3"));
    }

    #[test]
    fn overflow_is_none() {
        let most = Exact { numerator: i128::MAX, denominator: 1 };
        assert!(most.plus(Exact::ONE).is_none() && most.times(Exact::whole(2)).is_none());
        assert!(most.of(2).is_none() && Exact::ONE.divided_by(0).is_none());
    }
}
