//! A company's own prices on top of the published ones.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use ledgerline_pricing::PriceBook;
use ledgerline_proto::Unit::{CacheRead, CacheWrite1h, InputUncached, OutputReasoning, OutputText};
use ledgerline_proto::{
    Billing, Call, Condition, Conditions, Cost, EndOfStream, Quantities, Unit, Usage, UsageSource,
};

#[path = "support/call.rs"]
mod call;

/// 2026-11-20T00:00:00Z.
const NOVEMBER: u64 = 1_795_132_800_000_000_000;

/// Nanoseconds in a day.
const DAY: u64 = 86_400_000_000_000;

fn book(files: &[(&str, &str)]) -> PriceBook {
    let files: Vec<(String, String)> = files
        .iter()
        .map(|(provider, models)| {
            let head =
                format!("provider: {provider}\nsource: contract 4711\nread_on: \"2026-11-23\"\nmodels:\n");
            (format!("{provider}.yaml"), head + models)
        })
        .collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    PriceBook::parse(&files).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn priced(
    book: &PriceBook,
    provider: &str,
    model: &str,
    start_unix_ns: u64,
    tier: Option<&str>,
    pairs: &[(Unit, u64)],
) -> String {
    let usage = Usage::of(Quantities::from_pairs(pairs), UsageSource::Provider);
    let conditions = Conditions::from_pairs(tier.map(|tier| (Condition::ServiceTier, tier)));
    let billing = Billing { conditions, ..Billing::default() };
    let call = Call { start_unix_ns, billing, usage: Some(usage), ..call::call(provider, model) };
    let bill = book.bill(&call);
    let rule = bill.lines.first().and_then(|line| line.price.as_ref()).map_or("", |price| &price.rule);
    match bill.cost {
        Cost::Known(amount) => format!("{} by {rule}", amount.picos() / 1_000),
        Cost::NotBilled(reason) => format!("0 by not_billed/{}", reason.name()),
        Cost::Unpriced(reason) => reason.to_string(),
    }
}

#[test]
fn an_override_counts_while_it_is_valid_and_the_published_price_otherwise() {
    let own = book(&[(
        "openai",
        "  - model: gpt-4.1\n    match: [gpt-4.1]\n    prices:\n      - valid_from: \"2026-11-20\"\n        \
         valid_until: \"2026-11-21\"\n        usd_per_million_tokens: { input_uncached: \"1.9\" }\n",
    )]);
    let book = PriceBook::embedded().with_overrides(&own);
    let at = |time| priced(&book, "openai", "gpt-4.1", time, None, &[(InputUncached, 1_000)]);
    assert_eq!(at(NOVEMBER - 1), "2000000 by openai/gpt-4.1@2025-04-14/standard");
    assert_eq!(at(NOVEMBER), "1900000 by override:openai/gpt-4.1@2026-11-20/standard");
    assert_eq!(at(NOVEMBER + DAY - 1), "1900000 by override:openai/gpt-4.1@2026-11-20/standard");
    assert_eq!(at(NOVEMBER + DAY), "2000000 by openai/gpt-4.1@2025-04-14/standard");
    let other = priced(&book, "openai", "gpt-4.1-mini", NOVEMBER, None, &[(InputUncached, 1_000)]);
    assert_eq!(other, "400000 by openai/gpt-4.1-mini@2025-04-14/standard");
}

#[test]
fn an_override_is_a_whole_price_and_does_not_borrow_single_classes() {
    let own = book(&[(
        "openai",
        "  - model: gpt-4.1\n    match: [gpt-4.1]\n    prices: [{ usd_per_million_tokens: { input_uncached: \"1\" } }]\n",
    )]);
    let book = PriceBook::embedded().with_overrides(&own);
    let cached = priced(&book, "openai", "gpt-4.1", NOVEMBER, None, &[(CacheRead, 1)]);
    assert_eq!(cached, "no_price_for_class(cache_read)");
    let batch = priced(&book, "openai", "gpt-4.1", NOVEMBER, Some("batch"), &[(InputUncached, 1)]);
    assert_eq!(batch, "unknown_service_tier");
}

#[test]
fn an_override_takes_the_rules_of_the_provider_from_the_published_file() {
    let own = book(&[(
        "anthropic",
        "  - model: claude-next\n    match: [\"claude-next-{date}\"]\n    prices:\n      - usd_per_million_tokens: { \
         input_uncached: \"4\", output_text: \"20\" }\n        service_tiers: { priority: \"1.25\" }\n",
    )]);
    let book = PriceBook::embedded().with_overrides(&own);
    let model = "anthropic/claude-next-20270101";
    for (tier, class, expected) in [
        (None, CacheWrite1h, "8000000 by override:anthropic/claude-next@start/standard"),
        (None, OutputReasoning, "20000000 by override:anthropic/claude-next@start/standard"),
        (Some("priority"), OutputText, "25000000 by override:anthropic/claude-next@start/priority"),
        (None, CacheRead, "no_price_for_class(cache_read)"),
    ] {
        assert_eq!(priced(&book, "anthropic", model, NOVEMBER, tier, &[(class, 1_000)]), expected);
    }
    // The rule for cache writes is Anthropic's; nobody else's prices are derived with it.
    let alone = priced(&own, "anthropic", "claude-next-20270101", NOVEMBER, None, &[(CacheWrite1h, 1_000)]);
    assert_eq!(alone, "no_price_for_class(cache_write_1h)");
}

#[test]
fn a_model_one_hosts_costs_the_zero_that_somebody_wrote_down() {
    let own = book(&[(
        "vllm",
        "  - model: llama\n    match: [llama]\n    prices: [{ usd_per_million_tokens: { input_uncached: \"0\", \
         output_text: \"0\" } }]\n",
    )]);
    let book = PriceBook::embedded().with_overrides(&own);
    // Reasoning is output where the file says nothing about it.
    let tokens = [(InputUncached, 1_000), (OutputText, 1_000), (OutputReasoning, 1_000)];
    assert_eq!(
        priced(&book, "vllm", "llama", NOVEMBER, None, &tokens),
        "0 by override:vllm/llama@start/standard"
    );
    assert_eq!(priced(&book, "vllm", "llama-2", NOVEMBER, None, &tokens), "unknown_model");
}

#[test]
fn a_threshold_may_include_its_number_and_steps_may_follow_each_other() {
    let own = book(&[(
        "x_ai",
        "  - model: grok\n    match: [grok]\n    prices:\n      - usd_per_million_tokens: { input_uncached: \"1\" }\n        \
         long_context:\n          - { from_prompt_tokens: 200, usd_per_million_tokens: { input_uncached: \"3\" } }\n          \
         - { from_prompt_tokens: 100, input_multiplier: \"2\", output_multiplier: \"2\" }\n",
    )]);
    for (tokens, expected) in [
        (99, "99000 by x_ai/grok@start/standard"),
        (100, "200000 by x_ai/grok@start/standard/from_100"),
        (199, "398000 by x_ai/grok@start/standard/from_100"),
        (200, "600000 by x_ai/grok@start/standard/from_200"),
    ] {
        assert_eq!(priced(&own, "x_ai", "grok", NOVEMBER, None, &[(InputUncached, tokens)]), expected);
    }
}

#[test]
fn the_version_tells_layers_apart() {
    let one = book(&[(
        "vllm",
        "  - model: a\n    match: [a]\n    prices: [{ usd_per_million_tokens: { output_text: \"1\" } }]\n",
    )]);
    let two = book(&[(
        "vllm",
        "  - model: a\n    match: [a]\n    prices: [{ usd_per_million_tokens: { output_text: \"2\" } }]\n",
    )]);
    let published = PriceBook::embedded();
    assert_ne!(published.with_overrides(&one).version(), published.version());
    assert_ne!(one.with_overrides(&two).version(), two.with_overrides(&one).version());
    assert_eq!(published.with_overrides(&one).version(), published.with_overrides(&one).version());
    assert_eq!(published.version().to_string().len(), 32);
}

#[test]
fn an_override_decides_whether_failed_requests_are_free() {
    let file = "provider: openai\nsource: contract\nread_on: \"2026-11-23\"\nhttp_errors_are_free: false\nmodels:\n  \
                - model: m\n    match: [m]\n    prices: [{ usd_per_million_tokens: { output_text: \"1\" } }]\n";
    let own = PriceBook::parse(&[("openai.yaml", file)]).unwrap();
    let published = PriceBook::embedded();
    let silent = book(&[(
        "openai",
        "  - model: m\n    match: [m]\n    prices: [{ usd_per_million_tokens: { output_text: \"1\" } }]\n",
    )]);
    let free = |book: &PriceBook| {
        let failed = Call {
            request_model: "gpt-4.1".to_owned(),
            end: EndOfStream::ProviderError,
            http_status: Some(500),
            ..call::call("openai", "")
        };
        book.bill(&failed).cost.amount().is_some()
    };
    assert!(free(&published) && free(&published.with_overrides(&silent)));
    assert!(!free(&published.with_overrides(&own)) && !free(&silent));
}
