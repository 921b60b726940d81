//! Money as an integer number of pico-dollars.
//!
//! Why an integer: a float sum of a month of calls disagrees with itself depending on the order of the rows. Integers
//! add up exactly. This file must never contain a float, nor a default for an amount that is not known.

use std::fmt;
use std::str::FromStr;

use crate::decimal::shifted;

const PICOS_PER_USD: i64 = 1_000_000_000_000;

/// Digits behind the decimal point of a dollar amount: `Decimal(18, 12)` in ClickHouse.
const PICO_DIGITS: usize = 12;

/// The largest amount one call may cost: what `Decimal(18, 12)` holds, 999,999.999999999999 USD.
pub const PICO_USD_MAX: i64 = 999_999_999_999_999_999;

/// An exact amount in US dollars, counted in pico-dollars (1e-12 USD).
///
/// Bound: +-[`PICO_USD_MAX`]; what is beyond it is no amount, never a wrapped or clamped one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PicoUsd(i64);

/// Why a text is not an amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Something other than an optional sign, digits and one point.
    #[error("`{0}` is not a decimal amount in USD, write for example 0.0025")]
    NotDecimal(String),
    /// More than twelve digits behind the point: it cannot be kept exactly.
    #[error("`{0}` has more than 12 digits behind the point; a pico-dollar is the smallest amount kept")]
    TooFine(String),
    /// Larger than [`PICO_USD_MAX`].
    #[error("`{0}` is larger than 999999.999999999999 USD")]
    TooLarge(String),
}

impl PicoUsd {
    /// Nothing owed: a known price of zero, for instance a model one hosts. Never a stand-in for an unknown price.
    pub const ZERO: Self = Self(0);

    /// An amount from its pico-dollars; `None` beyond [`PICO_USD_MAX`].
    pub const fn from_picos(picos: i64) -> Option<Self> {
        if picos > PICO_USD_MAX || picos < -PICO_USD_MAX { None } else { Some(Self(picos)) }
    }

    /// The nearest amount to a number as JSON writes it (`1.2e-05`), a half to its even neighbour: for costs that others state.
    /// `None` where it is negative, no number, or beyond [`PICO_USD_MAX`].
    pub fn rounded(number: &str) -> Option<Self> {
        let picos = shifted(number, 12)?;
        let (whole, fraction) = picos.split_once('.').unwrap_or((&picos, ""));
        let whole: i64 = whole.parse().ok()?;
        let is_up = if fraction == "5" { whole % 2 != 0 } else { fraction.as_bytes().first() >= Some(&b'5') };
        Self::from_picos(whole.checked_add(i64::from(is_up))?)
    }

    /// The amount in pico-dollars.
    pub const fn picos(self) -> i64 {
        self.0
    }
}

/// As [`dollars`].
impl fmt::Display for PicoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&dollars(self.0.into()))
    }
}

/// Dollars with all twelve digits: `0.000000075000`. Of pico-dollars, or of a sum of them, which has no bound.
pub fn dollars(picos: i128) -> String {
    let sign = if picos < 0 { "-" } else { "" };
    let (picos, per_usd) = (picos.unsigned_abs(), u128::from(PICOS_PER_USD.unsigned_abs()));
    format!("{sign}{}.{:012}", picos / per_usd, picos % per_usd)
}

/// Dollars and cents for people, half a cent away from zero: `50.63` of 50.6275922. Never for what is added up.
pub fn cents(picos: i128) -> String {
    let per_cent = u128::from(PICOS_PER_USD.unsigned_abs()) / 100;
    let cents = (picos.unsigned_abs() + per_cent / 2) / per_cent;
    let sign = if picos < 0 && cents > 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", cents / 100, cents % 100)
}

impl FromStr for PicoUsd {
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
        if fraction.len() > PICO_DIGITS {
            return Err(MoneyError::TooFine(text.to_owned()));
        }
        let too_large = || MoneyError::TooLarge(text.to_owned());
        let whole: i64 = whole.parse().map_err(|_| too_large())?;
        let fraction: i64 = format!("{fraction:0<12}").parse().map_err(|_| not_decimal())?;
        let picos = whole
            .checked_mul(PICOS_PER_USD)
            .and_then(|picos| picos.checked_add(fraction))
            .ok_or_else(too_large)?;
        let signed = if text.starts_with('-') { -picos } else { picos };
        Self::from_picos(signed).ok_or_else(too_large)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_picos_agree_both_ways() {
        for (text, picos, printed) in [
            ("0", 0, "0.000000000000"),
            ("0.000000000075", 75, "0.000000000075"),
            ("15", 15_000_000_000_000, "15.000000000000"),
            ("1.50", 1_500_000_000_000, "1.500000000000"),
            ("-2.25", -2_250_000_000_000, "-2.250000000000"),
            ("0.0100000000000", 10_000_000_000, "0.010000000000"),
            ("999999.999999999999", PICO_USD_MAX, "999999.999999999999"),
        ] {
            let amount: PicoUsd = text.parse().unwrap();
            assert_eq!(amount.picos(), picos, "{text}");
            assert_eq!(amount.to_string(), printed);
            assert_eq!(printed.parse::<PicoUsd>().unwrap(), amount);
        }
    }

    #[test]
    fn cents_are_rounded_half_away_from_zero() {
        for (text, cents_shown) in [
            ("50.627592200000", "50.63"),
            ("56.245000000000", "56.25"),
            ("56.244999999999", "56.24"),
            ("0.995", "1.00"),
            ("0", "0.00"),
            ("-0.004999999999", "0.00"),
            ("-0.005", "-0.01"),
            ("-12.3", "-12.30"),
        ] {
            let picos = text.parse::<PicoUsd>().unwrap().picos();
            assert_eq!(cents(picos.into()), cents_shown, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_kept_exactly_is_refused() {
        for text in ["", ".", "1.", ".5", "1e3", "1,000", "+1", "--1", " 1", "NaN", "0x1"] {
            assert_eq!(text.parse::<PicoUsd>(), Err(MoneyError::NotDecimal(text.into())), "{text}");
        }
        let fine = "0.0000000000001";
        assert_eq!(fine.parse::<PicoUsd>(), Err(MoneyError::TooFine(fine.into())));
        for text in ["1000000", "99999999999999999999", "9223372.9"] {
            assert_eq!(text.parse::<PicoUsd>(), Err(MoneyError::TooLarge(text.into())), "{text}");
        }
    }

    #[test]
    fn what_others_state_is_rounded_once_half_to_even() {
        for (number, picos) in [
            ("0.00001455", Some(14_550_000)),
            ("1.455e-05", Some(14_550_000)),
            ("0.000014550000000000001", Some(14_550_000)),
            ("2.5e-12", Some(2)),
            ("3.5e-12", Some(4)),
            ("2.51e-12", Some(3)),
            ("2.4999e-12", Some(2)),
            ("9e-13", Some(1)),
            ("0", Some(0)),
            ("3", Some(3_000_000_000_000)),
            ("1000000", None),
            ("-1", None),
            ("1e400", None),
            ("free", None),
        ] {
            assert_eq!(PicoUsd::rounded(number).map(PicoUsd::picos), picos, "{number}");
        }
    }

    #[test]
    fn overflow_is_none_and_never_an_amount() {
        let most = PicoUsd::from_picos(PICO_USD_MAX).unwrap();
        assert_eq!(PicoUsd::from_picos(most.picos() + 1), None);
        assert_eq!(PicoUsd::from_picos(i64::MIN), None);
    }
}
