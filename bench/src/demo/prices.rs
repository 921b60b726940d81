//! Pure. What the models of the demo cost, written down by hand from the providers' price pages: the demo's own word on what
//! was served, which takes nothing from the product.

use ledgerline_mock_provider::TokenUsage;

/// Pico-dollars a token: a price of one US dollar for a million tokens is 1,000,000 of them.
struct Price {
    model: &'static str,
    input: i128,
    cache_read: i128,
    /// `None`: the provider sells no such thing.
    cache_write: Option<i128>,
    output: i128,
}

const fn price(model: &'static str, input: i128, cache_read: i128, output: i128) -> Price {
    Price { model, input, cache_read, cache_write: None, output }
}

const fn claude(model: &'static str, input: i128, output: i128) -> Price {
    // A tenth to read from the cache, a quarter more to write into it.
    Price { model, input, cache_read: input / 10, cache_write: Some(input / 4 * 5), output }
}

const PRICES: &[Price] = &[
    price("gpt-4.1", 2_000_000, 500_000, 8_000_000),
    price("gpt-4.1-mini", 400_000, 100_000, 1_600_000),
    price("gpt-4.1-nano", 100_000, 25_000, 400_000),
    price("gpt-4o-mini", 150_000, 75_000, 600_000),
    price("gpt-5", 1_250_000, 125_000, 10_000_000),
    price("gpt-5-mini", 250_000, 25_000, 2_000_000),
    price("llama-3.3-70b-versatile", 590_000, 590_000, 790_000),
    claude("claude-haiku-4-5", 1_000_000, 5_000_000),
    claude("claude-sonnet-4-5", 3_000_000, 15_000_000),
    claude("claude-opus-4-5", 5_000_000, 25_000_000),
];

/// What a call cost, in pico-dollars; `None` for a model that is not on the list. Takes the dated names that providers
/// serve: `gpt-5-2025-08-07` is `gpt-5`.
#[must_use]
pub fn cost(model: &str, usage: &TokenUsage) -> Option<i128> {
    let is_dated = |rest: &str| {
        rest.strip_prefix('-').is_some_and(|date| date.starts_with("20") && date.len() >= 8)
            || rest.is_empty()
    };
    let price = PRICES.iter().find(|price| model.strip_prefix(price.model).is_some_and(is_dated))?;
    let writes = match (usage.cache_write(), price.cache_write) {
        (0, _) => 0,
        (tokens, Some(each)) => i128::from(tokens) * each,
        (_, None) => return None,
    };
    let output = usage.output_text + usage.output_reasoning;
    Some(
        i128::from(usage.input_uncached) * price.input
            + i128::from(usage.cache_read) * price.cache_read
            + writes
            + i128::from(output) * price.output,
    )
}

/// Pico-dollars of a decimal number of dollars, with up to twelve decimals; `None` for what is none.
#[must_use]
pub fn picos(text: &str) -> Option<i128> {
    let (sign, digits) = text.trim().strip_prefix('-').map_or((1, text.trim()), |rest| (-1, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() || fraction.len() > 12 {
        return None;
    }
    Some(sign * format!("{whole}{fraction:0<12}").parse::<i128>().ok()?)
}

/// The same as text, with all of its digits.
#[must_use]
pub fn dollars(picos: i128) -> String {
    let (whole, fraction) = (picos.abs() / 1_000_000_000_000, picos.abs() % 1_000_000_000_000);
    format!("{}{whole}.{fraction:012}", if picos < 0 { "-" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bill_is_tokens_times_list_prices() {
        // 100 * 3 + 1,000 * 0.30 + 40 * 3.75 + 20 * 15 = 1,050 dollars for a million of each.
        let usage = TokenUsage {
            input_uncached: 100,
            cache_read: 1_000,
            cache_write_5m: 40,
            output_text: 20,
            ..TokenUsage::default()
        };
        assert_eq!(cost("claude-sonnet-4-5-20250929", &usage), Some(1_050_000_000));
        assert_eq!(dollars(1_050_000_000), "0.001050000000");
        // No price to write to a cache, and no such model.
        assert_eq!(cost("gpt-5-2025-08-07", &usage), None);
        assert_eq!(cost("gpt-5-nano", &TokenUsage::default()), None);
    }

    #[test]
    fn dollars_are_read_exactly() {
        for (text, expected) in [
            ("12", Some(12_000_000_000_000)),
            ("0.000000000001", Some(1)),
            ("-1.5", Some(-1_500_000_000_000)),
            ("0.0000000000001", None),
            ("much", None),
            ("", None),
        ] {
            assert_eq!(picos(text), expected, "{text}");
        }
        assert_eq!(picos(&dollars(-1_500_000_000_001)), Some(-1_500_000_000_001));
    }
}
