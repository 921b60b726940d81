//! What the suites' calls must cost, worked out without the product: prices written down by hand from the providers'
//! pages, the oracle's counts, and the exact arithmetic of the pricing tests. A wrong price, class, tier or rounding in
//! the product shows here as a difference; a price that changes is changed here too, by a person.

use ledgerline_mock_provider::{Api, ServedCall};

#[path = "../../pricing/tests/support/arithmetic.rs"]
mod arithmetic;

pub use arithmetic::pico_usd;

/// US dollars for a million tokens of each class, for one model on one tier.
struct Price {
    model: &'static str,
    tier: &'static str,
    input: &'static str,
    cache_read: &'static str,
    /// For five minutes and for an hour.
    cache_write: Option<[&'static str; 2]>,
    output: &'static str,
}

const PRICES: &[Price] = &[
    // developers.openai.com/api/docs/pricing
    Price {
        model: "gpt-4.1-mini-2025-04-14",
        tier: "default",
        input: "0.40",
        cache_read: "0.10",
        cache_write: None,
        output: "1.60",
    },
    Price {
        model: "gpt-4.1-mini-2025-04-14",
        tier: "priority",
        input: "0.70",
        cache_read: "0.175",
        cache_write: None,
        output: "2.80",
    },
    Price {
        model: "gpt-5.4-mini-2026-03-17",
        tier: "default",
        input: "0.75",
        cache_read: "0.075",
        cache_write: None,
        output: "4.50",
    },
    Price {
        model: "gpt-5.4-mini-2026-03-17",
        tier: "priority",
        input: "1.50",
        cache_read: "0.15",
        cache_write: None,
        output: "9.00",
    },
    Price {
        model: "gpt-5.4-mini-2026-03-17",
        tier: "flex",
        input: "0.375",
        cache_read: "0.0375",
        cache_write: None,
        output: "2.25",
    },
    // platform.claude.com/docs/en/about-claude/pricing
    Price {
        model: "claude-haiku-4-5",
        tier: "standard",
        input: "1",
        cache_read: "0.10",
        cache_write: Some(["1.25", "2"]),
        output: "5",
    },
];

/// One web search costs ten dollars a thousand at both providers.
const SEARCH: &str = "10/1_000";

/// Scenarios whose calls must have no amount, and the reason that must stand in its place.
const UNPRICED: &[(Api, &str, &str)] = &[
    (Api::OpenAi, "unknown_model", "unknown_model"),
    (Api::Responses, "unknown_model", "unknown_model"),
    (Api::Anthropic, "unknown_model", "unknown_model"),
    // Neither model is listed with a price for writing to the cache, and gpt-4.1-mini with none for audio.
    (Api::OpenAi, "cache_write", "no_price_for_class(cache_write_5m)"),
    (Api::Responses, "cache_write", "no_price_for_class(cache_write_5m)"),
    (Api::Responses, "cache_write_lives", "no_price_for_class(cache_write_5m)"),
    (Api::OpenAi, "audio", "no_price_for_class(input_audio)"),
    // gpt-4.1-mini is not offered on flex; Anthropic sells its priority tier by contract.
    (Api::OpenAi, "flex_tier", "unknown_service_tier"),
    (Api::Anthropic, "priority_tier", "unknown_service_tier"),
];

/// What the record must say of this call: an amount in US dollars with twelve decimals, or why there is none.
pub fn expected(call: &ServedCall) -> String {
    let api = call.api.expect("a call to a model");
    let is_this = |(other, scenario, _): &&(Api, &str, &str)| (*other, *scenario) == (api, call.scenario);
    if let Some((_, _, reason)) = UNPRICED.iter().find(is_this) {
        return (*reason).to_owned();
    }
    let picos = arithmetic::pico_usd(&bill(call));
    format!("{}.{:012}", picos / 1_000_000_000_000, picos % 1_000_000_000_000)
}

fn bill(call: &ServedCall) -> String {
    let (usage, model) = (call.usage.unwrap(), call.model_served.as_deref().unwrap());
    let tier = call.tier_served.as_deref().unwrap();
    let price = PRICES
        .iter()
        .find(|price| model.starts_with(price.model) && price.tier == tier)
        .unwrap_or_else(|| panic!("{}: write down what {model} costs on tier {tier}", call.scenario));
    // Reasoning is billed as output; audio, and lifetimes that a model does not have, are in no scenario that is priced.
    let mut lines = vec![
        (usage.input_uncached, price.input),
        (usage.cache_read, price.cache_read),
        (usage.output_text + usage.output_reasoning, price.output),
    ];
    if let Some([five_minutes, hour]) = price.cache_write {
        lines.extend([(usage.cache_write_5m, five_minutes), (usage.cache_write_1h, hour)]);
    } else {
        assert_eq!(usage.cache_write(), 0, "{}: write down what {model} costs to write", call.scenario);
    }
    assert_eq!(usage.input_audio + usage.output_audio, 0, "{}: audio has no price here", call.scenario);
    let tokens: Vec<String> = lines.iter().map(|(tokens, price)| format!("{tokens} * {price}/M")).collect();
    format!("{} + {} * {SEARCH}", tokens.join(" + "), usage.web_searches)
}
