//! Exact fractions, just enough for one cost. Pure; must never contain a float, nor an operation that can wrap.

use ledgerline_proto::PicoUsd;

const MILLION: i128 = 1_000_000;

/// A fraction with a positive denominator. Overflow is `None`: the caller says `overflow` and not an amount.
///
/// Not reduced after each step: denominators come from multipliers such as 1.1 and 0.5, so a product of five of them
/// stays small, and a greatest common divisor per token class would cost more than the rest of the price.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exact {
    numerator: i128,
    denominator: i128,
}

impl Exact {
    pub(crate) const ONE: Self = Self { numerator: 1, denominator: 1 };

    pub(crate) fn whole(number: impl Into<i128>) -> Self {
        Self { numerator: number.into(), denominator: 1 }
    }

    /// Reads a multiplier such as `1.1` or `0.5`: digits and one point, at most six digits behind it.
    pub(crate) fn from_decimal(text: &str) -> Option<Self> {
        // Written as an amount is, but neither negative nor so fine nor so large.
        let picos = i128::from(text.parse::<PicoUsd>().ok()?.picos());
        let (millionths, finer) = (picos / MILLION, picos % MILLION);
        if finer != 0 || !(0..1_000_000 * MILLION).contains(&millionths) {
            return None;
        }
        let divisor = greatest_common_divisor(millionths, MILLION);
        Some(Self { numerator: millionths / divisor, denominator: MILLION / divisor })
    }

    pub(crate) fn multiply(self, other: Self) -> Option<Self> {
        let numerator = self.numerator.checked_mul(other.numerator)?;
        let denominator = self.denominator.checked_mul(other.denominator)?;
        Some(Self { numerator, denominator })
    }

    pub(crate) fn divide_by(self, divisor: u32) -> Option<Self> {
        let denominator = self.denominator.checked_mul(i128::from(divisor)).filter(|&product| product > 0)?;
        Some(Self { denominator, ..self })
    }

    /// The nearest whole number; a half goes to the even one, so that many halves do not add up to one side.
    pub(crate) fn round_half_to_even(self) -> Option<i128> {
        let quotient = self.numerator.div_euclid(self.denominator);
        let twice_the_rest = self.numerator.rem_euclid(self.denominator).checked_mul(2)?;
        let is_up = twice_the_rest > self.denominator
            || (twice_the_rest == self.denominator && quotient.rem_euclid(2) == 1);
        quotient.checked_add(i128::from(is_up))
    }

    /// Numerator and denominator as text, in lowest terms where it came from a decimal: for the version.
    pub(crate) fn canonical(self) -> String {
        format!("{}/{}", self.numerator, self.denominator)
    }
}

fn greatest_common_divisor(left: i128, right: i128) -> i128 {
    if right == 0 { left } else { greatest_common_divisor(right, left % right) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_go_to_the_even_number() {
        for (numerator, denominator, rounded) in [
            (0, 1, 0),
            (1, 2, 0),
            (-1, 2, 0),
            (3, 2, 2),
            (5, 2, 2),
            (-5, 2, -2),
            (-3, 2, -2),
            (49, 100, 0),
            (51, 100, 1),
            (10, 3, 3),
        ] {
            let exact = Exact { numerator, denominator };
            assert_eq!(exact.round_half_to_even(), Some(rounded), "{numerator}/{denominator}");
        }
    }

    #[test]
    fn multipliers_are_read_in_lowest_terms() {
        for (text, canonical) in
            [("1.1", "11/10"), ("0.50", "1/2"), ("2", "2/1"), ("1.25", "5/4"), ("0", "0/1")]
        {
            assert_eq!(Exact::from_decimal(text).map(Exact::canonical).as_deref(), Some(canonical));
        }
        for text in ["", ".5", "1.", "-1", "1e3", "1.1234567", "1,5", "1234567"] {
            assert!(Exact::from_decimal(text).is_none(), "{text}");
        }
    }

    #[test]
    fn overflow_is_none() {
        let most = Exact::whole(i128::MAX);
        assert!(most.multiply(Exact::whole(2)).is_none());
        assert!(most.divide_by(0).is_none());
    }
}
