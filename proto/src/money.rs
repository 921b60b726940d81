//! Money as an integer number of nano-dollars.
//!
//! Why an integer: a float sum of a month of calls disagrees with itself depending on the order of the rows. Integers
//! add up exactly. This file must never contain a float, nor a default for an amount that is not known.

use std::fmt;
use std::str::FromStr;

const NANOS_PER_USD: i64 = 1_000_000_000;

/// Digits behind the decimal point of a dollar amount: `Decimal(18, 9)` in ClickHouse.
const NANO_DIGITS: usize = 9;

/// The largest amount one call may cost: what `Decimal(18, 9)` holds, 999,999,999.999999999 USD.
pub const NANO_USD_MAX: i64 = 999_999_999_999_999_999;

/// An exact amount in US dollars, counted in nano-dollars (1e-9 USD).
///
/// Bound: +-[`NANO_USD_MAX`]; what is beyond it is no amount, never a wrapped or clamped one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NanoUsd(i64);

/// Why a text is not an amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Something other than an optional sign, digits and one point.
    #[error("`{0}` is not a decimal amount in USD, write for example 0.0025")]
    NotDecimal(String),
    /// More than nine digits behind the point: it cannot be kept exactly.
    #[error("`{0}` has more than 9 digits behind the point; a nano-dollar is the smallest amount kept")]
    TooFine(String),
    /// Larger than [`NANO_USD_MAX`].
    #[error("`{0}` is larger than 999999999.999999999 USD")]
    TooLarge(String),
}

impl NanoUsd {
    /// Nothing owed: a known price of zero, for instance a model one hosts. Never a stand-in for an unknown price.
    pub const ZERO: Self = Self(0);

    /// An amount from its nano-dollars; `None` beyond [`NANO_USD_MAX`].
    pub const fn from_nanos(nanos: i64) -> Option<Self> {
        if nanos > NANO_USD_MAX || nanos < -NANO_USD_MAX { None } else { Some(Self(nanos)) }
    }

    /// The amount in nano-dollars.
    pub const fn nanos(self) -> i64 {
        self.0
    }
}

impl fmt::Display for NanoUsd {
    /// Dollars with all nine digits: `0.000000075`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nanos = self.0.unsigned_abs();
        let per_usd = NANOS_PER_USD.unsigned_abs();
        write!(f, "{sign}{}.{:09}", nanos / per_usd, nanos % per_usd)
    }
}

impl FromStr for NanoUsd {
    type Err = MoneyError;

    /// Reads `12`, `0.5`, `-0.000000075`. No exponent, no thousands mark, no rounding.
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let not_decimal = || MoneyError::NotDecimal(text.to_owned());
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) || unsigned.ends_with('.') {
            return Err(not_decimal());
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > NANO_DIGITS {
            return Err(MoneyError::TooFine(text.to_owned()));
        }
        let too_large = || MoneyError::TooLarge(text.to_owned());
        let whole: i64 = whole.parse().map_err(|_| too_large())?;
        let fraction: i64 = format!("{fraction:0<9}").parse().map_err(|_| not_decimal())?;
        let nanos = whole
            .checked_mul(NANOS_PER_USD)
            .and_then(|nanos| nanos.checked_add(fraction))
            .ok_or_else(too_large)?;
        let signed = if text.starts_with('-') { -nanos } else { nanos };
        Self::from_nanos(signed).ok_or_else(too_large)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_nanos_agree_both_ways() {
        for (text, nanos, printed) in [
            ("0", 0, "0.000000000"),
            ("0.000000075", 75, "0.000000075"),
            ("15", 15_000_000_000, "15.000000000"),
            ("1.50", 1_500_000_000, "1.500000000"),
            ("-2.25", -2_250_000_000, "-2.250000000"),
            ("0.0100000000000", 10_000_000, "0.010000000"),
            ("999999999.999999999", NANO_USD_MAX, "999999999.999999999"),
        ] {
            let amount: NanoUsd = text.parse().unwrap();
            assert_eq!(amount.nanos(), nanos, "{text}");
            assert_eq!(amount.to_string(), printed);
            assert_eq!(printed.parse::<NanoUsd>().unwrap(), amount);
        }
    }

    #[test]
    fn what_cannot_be_kept_exactly_is_refused() {
        for text in ["", ".", "1.", ".5", "1e3", "1,000", "+1", "--1", " 1", "NaN", "0x1"] {
            assert_eq!(text.parse::<NanoUsd>(), Err(MoneyError::NotDecimal(text.into())), "{text}");
        }
        let fine = "0.0000000001";
        assert_eq!(fine.parse::<NanoUsd>(), Err(MoneyError::TooFine(fine.into())));
        for text in ["1000000000", "99999999999999999999", "9223372036.9"] {
            assert_eq!(text.parse::<NanoUsd>(), Err(MoneyError::TooLarge(text.into())), "{text}");
        }
    }

    #[test]
    fn overflow_is_none_and_never_an_amount() {
        let most = NanoUsd::from_nanos(NANO_USD_MAX).unwrap();
        assert_eq!(NanoUsd::from_nanos(most.nanos() + 1), None);
        assert_eq!(NanoUsd::from_nanos(i64::MIN), None);
    }
}
