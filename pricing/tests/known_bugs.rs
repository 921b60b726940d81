//! The cost bugs that other products shipped, one test each, with the threads. Numbers as in our survey; 5 (summed
//! stream events), 9 (additive or subset) and 18 (profile names of Bedrock) are decided before a price is asked for.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use ledgerline_pricing::PriceBook;
use ledgerline_proto::Unit::{
    self, CacheRead, CacheWrite1h, CacheWrite5m, CacheWrite30m, InputUncached, OutputReasoning, OutputText,
};
use ledgerline_proto::{
    Billing, Call, Condition, Conditions, Cost, EndOfStream, Operation, PicoUsd, Quantities, UnpricedReason,
    Usage, UsageSource,
};

#[path = "support/call.rs"]
mod call;

fn billing() -> Billing {
    Billing::default()
}

fn service_tier(tier: &str) -> Billing {
    Billing { conditions: Conditions::from_pairs([(Condition::ServiceTier, tier)]), ..Billing::default() }
}

fn query(provider: &str, model: &str, billing: &Billing, usage: Option<&Usage>) -> Call {
    Call { billing: billing.clone(), usage: usage.cloned(), ..call::call(provider, model) }
}

fn usage(pairs: &[(Unit, u64)]) -> Usage {
    Usage::of(Quantities::from_pairs(pairs), UsageSource::Provider)
}

fn price(provider: &str, model: &str, billing: &Billing, pairs: &[(Unit, u64)]) -> Cost {
    PriceBook::embedded().bill(&query(provider, model, billing, Some(&usage(pairs)))).cost
}

fn nanos(provider: &str, model: &str, billing: &Billing, pairs: &[(Unit, u64)]) -> i64 {
    let cost = price(provider, model, billing, pairs);
    in_nanos(cost.amount().unwrap_or_else(|| panic!("{provider}/{model}: {cost:?}")))
}

/// Whole nano-dollars, which all of these are.
fn in_nanos(amount: PicoUsd) -> i64 {
    assert_eq!(amount.picos() % 1_000, 0, "{amount}");
    amount.picos() / 1_000
}

// BerriAI/litellm#6575, langfuse/langfuse#12306: cached tokens at the full price and at the cached price again.
#[test]
fn bug_01_cached_tokens_are_charged_once() {
    let half_cached = nanos("openai", "gpt-4o", &billing(), &[(InputUncached, 1_000), (CacheRead, 1_000)]);
    assert_eq!(half_cached, 2_500_000 + 1_250_000);
}

// sashiko-dev/sashiko PR#113, cline/cline#4346: Anthropic's input excludes the caches; adding them must add cost.
#[test]
fn bug_02_caches_are_charged_on_top_of_exclusive_input() {
    let pairs = [(InputUncached, 50), (CacheRead, 10_000), (CacheWrite5m, 2_000)];
    assert_eq!(nanos("anthropic", "claude-sonnet-4-5", &billing(), &pairs), 150_000 + 3_000_000 + 7_500_000);
}

// ding113/claude-code-hub PR#1166, BerriAI/litellm#37992: a stream without usage at 0, and a true 0 taken for missing.
#[test]
fn bug_03_missing_usage_is_not_zero_and_zero_is_not_missing() {
    let (book, plain) = (PriceBook::embedded(), billing());
    let missing = book.bill(&query("openai", "gpt-4o", &plain, None)).cost;
    assert_eq!(missing, Cost::Unpriced(UnpricedReason::UsageMissing));
    assert_eq!(nanos("openai", "gpt-4o", &plain, &[]), 0);
}

// BerriAI/litellm#14457: a client that leaves costs what was delivered, and is never free for lack of a count.
#[test]
fn bug_04_an_aborted_stream_is_billed_as_counted_or_not_at_all() {
    let (book, plain) = (PriceBook::embedded(), billing());
    let estimated =
        Usage { source: UsageSource::Estimated, ..usage(&[(InputUncached, 1_000), (OutputText, 10)]) };
    for end in EndOfStream::ALL {
        let with = Call { end, ..query("openai", "gpt-4o", &plain, Some(&estimated)) };
        assert_eq!(in_nanos(book.bill(&with).cost.amount().unwrap()), 2_600_000, "{end:?}");
        let without = Call { usage: None, ..with };
        assert_eq!(book.bill(&without).cost, Cost::Unpriced(UnpricedReason::UsageMissing), "{end:?}");
    }
}

// BerriAI/litellm#1810, microsoft-foundry/Model-Router-Auto-Evaluation#2: an Azure deployment name priced as a model, or 0.
#[test]
fn bug_06_a_deployment_name_is_unpriced_until_an_override_names_it() {
    let own = "provider: azure.ai.openai\nsource: contract\nread_on: \"2026-11-01\"\nmodels:\n  prod-chat:\n    \
               per_million: { input_uncached: \"2.5\" }\n";
    let plain = billing();
    let used = usage(&[(InputUncached, 1_000)]);
    let asked = query("azure.ai.openai", "prod-chat", &plain, Some(&used));
    let unknown = Cost::Unpriced(UnpricedReason::UnknownModel);
    assert_eq!(PriceBook::embedded().bill(&asked).cost, unknown);
    let book = PriceBook::embedded().with_overrides(&PriceBook::parse(&[("azure.yaml", own)]).unwrap());
    let bill = book.bill(&asked);
    let rule = &bill.lines[0].price.as_ref().unwrap().rule;
    assert_eq!(
        (in_nanos(bill.cost.amount().unwrap()), &**rule),
        (2_500_000, "override:azure.ai.openai/prod-chat@start/standard")
    );
}

// BerriAI/litellm#20411, PR#17376: a fine-tuned model at the price of its base.
#[test]
fn bug_07_a_fine_tuned_model_never_takes_the_price_of_its_base() {
    let tokens = [(InputUncached, 1_000)];
    assert_eq!(nanos("openai", "ft:gpt-4o-mini-2024-07-18:acme::1", &billing(), &tokens), 300_000);
    assert_eq!(nanos("openai", "gpt-4o-mini-2024-07-18", &billing(), &tokens), 150_000);
    for model in
        ["ft:gpt-5-2025-08-07:acme::1", "gpt-5-2025-08-07.ft-1", "ft:gpt-4o-mini:acme::1", "ft:", "ft:gpt-5"]
    {
        let unknown = Cost::Unpriced(UnpricedReason::UnknownModel);
        assert_eq!(price("openai", model, &billing(), &tokens), unknown, "{model}");
    }
}

// vercel/ai#6082 and many more: reasoning tokens that nobody charges.
#[test]
fn bug_08_reasoning_is_charged_as_output_where_it_has_no_price_of_its_own() {
    for (provider, model) in [("openai", "gpt-5"), ("openai", "o1"), ("anthropic", "claude-opus-5")] {
        let text = nanos(provider, model, &billing(), &[(OutputText, 1_000)]);
        assert_eq!(nanos(provider, model, &billing(), &[(OutputReasoning, 1_000)]), text, "{model}");
    }
}

// BerriAI/litellm#16996, #10384, langfuse/langfuse#15856: fees for tools forgotten, or charged when only declared.
#[test]
fn bug_10_web_searches_are_charged_when_they_ran() {
    for (count, expected) in [(0, 0), (1, 10_000_000), (3, 30_000_000)] {
        let cost = nanos("anthropic", "claude-opus-5", &billing(), &[(Unit::WebSearch, count)]);
        assert_eq!(cost, expected, "{count}");
    }
}

// BerriAI/litellm#13810, #37046, langfuse/langfuse#13780: the tier ignored.
#[test]
fn bug_11_the_served_tier_decides_and_an_unknown_one_is_not_the_standard() {
    let tokens = [(InputUncached, 1_000)];
    for (tier, expected) in
        [("default", 1_250_000), ("flex", 625_000), ("priority", 2_500_000), ("batch", 625_000)]
    {
        assert_eq!(nanos("openai", "gpt-5", &service_tier(tier), &tokens), expected, "{tier}");
    }
    for tier in ["auto", "scale", "turbo", "Flex"] {
        let unknown = Cost::Unpriced(UnpricedReason::UnknownServiceTier);
        assert_eq!(price("openai", "gpt-5", &service_tier(tier), &tokens), unknown, "{tier}");
    }
}

// earendil-works/pi#5737, Owloops/claude-powerline#104: cache writes of an hour at the price of five minutes.
#[test]
fn bug_12_cache_writes_are_charged_by_their_life() {
    let five = nanos("anthropic", "claude-sonnet-5", &billing(), &[(CacheWrite5m, 1_000)]);
    let hour = nanos("anthropic", "claude-sonnet-5", &billing(), &[(CacheWrite1h, 1_000)]);
    assert_eq!((five, hour), (2_500_000, 4_000_000));
}

// junhoyeo/tokscale#862, Helicone/helicone PR#5765: the threshold compared per class, or without the caches.
#[test]
fn bug_13_the_whole_prompt_passes_the_threshold_and_the_whole_call_pays() {
    let spread =
        [(InputUncached, 100_000), (CacheRead, 100_000), (CacheWrite30m, 72_000), (OutputText, 1_000)];
    let short = nanos("openai", "gpt-6-sol", &billing(), &spread);
    assert_eq!(short, 200_000_000 + 20_000_000 + 180_000_000 + 10_000_000);
    let mut longer = spread;
    longer[1].1 += 1;
    let long = nanos("openai", "gpt-6-sol", &billing(), &longer);
    assert_eq!(long, 2 * (200_000_000 + 20_000_200 + 180_000_000) + 15_000_000);
}

// pydantic/pydantic-ai#3995, Arize-ai/openinference#3164: wrapper spans counted with their children.
#[test]
fn bug_14_wrapper_spans_have_no_cost() {
    let (book, plain, used) = (PriceBook::embedded(), billing(), usage(&[(InputUncached, 1_000)]));
    for name in ["invoke_agent", "execute_tool", "create_agent", ""] {
        let operation = Operation::from_name(name);
        let wrapper = Call { operation, ..query("openai", "gpt-5", &plain, Some(&used)) };
        assert_eq!(book.bill(&wrapper).cost, Cost::Unpriced(UnpricedReason::NotACall), "{name}");
    }
}

// earendil-works/pi#8285, anthropics/claude-code#74297: a fallback priced as the model that was asked for.
#[test]
fn bug_15_the_model_that_answered_is_billed() {
    let (book, plain, used) = (PriceBook::embedded(), billing(), usage(&[(OutputText, 1_000)]));
    let fallback = |served| Call {
        request_model: "claude-opus-5-5".to_owned(),
        ..query("anthropic", served, &plain, Some(&used))
    };
    assert_eq!(in_nanos(book.bill(&fallback("claude-sonnet-5")).cost.amount().unwrap()), 10_000_000);
    assert_eq!(book.bill(&fallback("claude-next")).cost, Cost::Unpriced(UnpricedReason::UnknownModel));
    assert_eq!(in_nanos(book.bill(&fallback("")).cost.amount().unwrap()), 20_000_000);
}

// BerriAI/litellm PR#22086: the dated snapshot knows the price but not the tiers of its alias.
#[test]
fn bug_16_alias_and_snapshot_have_the_same_tiers() {
    let tokens = [(InputUncached, 300_000), (OutputText, 1_000)];
    for (provider, alias, snapshot) in [
        ("openai", "gpt-5.4", "gpt-5.4-2026-03-05"),
        ("openai", "gpt-6-sol", "gpt-6-sol-2026-08-01"),
        ("anthropic", "claude-opus-4-8", "claude-opus-4-8-20260601"),
    ] {
        for tier in ["default", "batch"] {
            let billing = service_tier(tier);
            let expected = price(provider, alias, &billing, &tokens);
            assert!(expected.amount().is_some(), "{alias} {tier}");
            assert_eq!(price(provider, snapshot, &billing, &tokens), expected, "{snapshot} {tier}");
        }
    }
}

// BerriAI/litellm PR#37219: batch results at 0 (or at the full price).
#[test]
fn bug_17_batch_has_its_own_price() {
    let tokens = [(InputUncached, 1_000), (OutputText, 1_000)];
    let standard = nanos("anthropic", "claude-sonnet-5", &billing(), &tokens);
    assert_eq!(nanos("anthropic", "claude-sonnet-5", &service_tier("batch"), &tokens) * 2, standard);
}

// Zoo-Code-Org/Zoo-Code PR#1132: an unknown model at the price of some default.
#[test]
fn bug_19_an_unknown_model_inherits_nothing() {
    let tokens = [(InputUncached, 1_000)];
    for model in
        ["gpt-9", "gpt-4.1-ultra", "gpt", "claude-opus-5", "gpt-4.1-2025-13-01", "GPT-4.1", "gpt-4.1 "]
    {
        let unknown = Cost::Unpriced(UnpricedReason::UnknownModel);
        assert_eq!(price("openai", model, &billing(), &tokens), unknown, "{model}");
    }
}

// ccusage#1636: history at today's price.
#[test]
fn history_is_priced_with_the_price_of_its_day() {
    let (book, plain, used) = (PriceBook::embedded(), billing(), usage(&[(InputUncached, 1_000)]));
    // 2026-08-21T00:00:00Z, the day of the cut.
    let cut = 1_787_270_400_000_000_000;
    let at = |start_unix_ns| Call { start_unix_ns, ..query("openai", "gpt-5.6-sol", &plain, Some(&used)) };
    assert_eq!(in_nanos(book.bill(&at(cut - 1)).cost.amount().unwrap()), 5_000_000);
    assert_eq!(in_nanos(book.bill(&at(cut)).cost.amount().unwrap()), 4_000_000);
}
