//! What holds for every call and every book, not only for the bills.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use ledgerline_pricing::PriceBook;
use ledgerline_proto::{
    Billing, Call, Condition, Conditions, Cost, PicoUsd, Quantities, Unit, Usage, UsageSource,
};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

#[path = "support/call.rs"]
mod call;

const CLASSES: [Unit; 6] = [
    Unit::InputUncached,
    Unit::CacheRead,
    Unit::CacheWrite5m,
    Unit::CacheWrite30m,
    Unit::OutputText,
    Unit::OutputReasoning,
];

/// A model with a long-context step, tiers and regions.
const MODEL: &str = "gpt-6-luna";

const FILE: &str = include_str!("../prices/openai.yaml");

fn picos(tier: Option<&str>, region: Option<&str>, pairs: &[(Unit, u64)]) -> i64 {
    let words = [(Condition::ServiceTier, tier), (Condition::Region, region)];
    let conditions = words.into_iter().filter_map(|(condition, word)| Some((condition, word?)));
    let billing = Billing { conditions: Conditions::from_pairs(conditions), ..Billing::default() };
    let usage = Usage::of(Quantities::from_pairs(pairs), UsageSource::Provider);
    let call = Call { billing, usage: Some(usage), ..call::call("openai", MODEL) };
    match PriceBook::embedded().bill(&call).cost {
        Cost::Known(amount) => amount.picos(),
        cost => panic!("{cost:?}"),
    }
}

fn tiers() -> impl Strategy<Value = Option<&'static str>> {
    prop::sample::select(vec![None, Some("default"), Some("flex"), Some("priority"), Some("batch")])
}

fn regions() -> impl Strategy<Value = Option<&'static str>> {
    prop::sample::select(vec![None, Some("us"), Some("eu")])
}

fn usage(most: u64) -> impl Strategy<Value = Vec<(Unit, u64)>> {
    prop::collection::vec(0..most, CLASSES.len()).prop_map(|counts| CLASSES.into_iter().zip(counts).collect())
}

fn version(text: &str) -> String {
    let book = PriceBook::parse(&[("openai.yaml", text)]).unwrap_or_else(|problems| panic!("{problems:?}"));
    book.version().to_string()
}

/// The lines of the file that hold a price or a multiplier.
fn priced_lines() -> Vec<usize> {
    let is_priced = |line: &str| {
        let value = line.trim().split_once(": \"").and_then(|(_, rest)| rest.strip_suffix('"'));
        value.is_some_and(|value| value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
    };
    FILE.lines().enumerate().filter(|(_, line)| is_priced(line)).map(|(number, _)| number).collect()
}

fn config() -> ProptestConfig {
    // Relative to the crate, where a failing seed is found and committed.
    let seeds = FileFailurePersistence::Direct("tests/properties.seeds");
    ProptestConfig { failure_persistence: Some(Box::new(seeds)), ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn more_tokens_never_cost_less(
        tier in tiers(), region in regions(), pairs in usage(400_000), class in 0..CLASSES.len(), more in 0..400_000_u64,
    ) {
        let mut dearer = pairs.clone();
        dearer[class].1 += more;
        prop_assert!(picos(tier, region, &dearer) >= picos(tier, region, &pairs));
    }

    #[test]
    fn a_call_costs_the_sum_of_its_units(
        tier in tiers(), region in regions(), pairs in usage(40_000),
    ) {
        // Below the threshold even together, so that each class alone is priced alike.
        let whole = picos(tier, region, &pairs);
        let parts: i64 = pairs.iter().map(|&pair| picos(tier, region, &[pair])).sum();
        prop_assert_eq!(whole, parts);
    }

    #[test]
    fn the_order_of_the_classes_does_not_matter(
        tier in tiers(), region in regions(), pairs in usage(400_000), shift in 0..CLASSES.len(),
    ) {
        let mut turned = pairs.clone();
        turned.rotate_left(shift);
        turned.reverse();
        prop_assert_eq!(picos(tier, region, &turned), picos(tier, region, &pairs));
    }

    #[test]
    fn comments_and_blank_lines_do_not_change_the_version(at in 0..1_000_usize) {
        let mut lines: Vec<&str> = FILE.lines().collect();
        lines.insert(at.min(lines.len()), "# a remark");
        lines.insert(0, "");
        prop_assert_eq!(version(&lines.join("\n")), version(FILE));
    }
}

#[test]
fn any_changed_price_changes_the_version() {
    let original = version(FILE);
    let lines = priced_lines();
    assert!(lines.len() > 300, "{}", lines.len());
    // Every tenth is enough to meet each kind of field, and keeps the test below a second or two.
    for &changed in lines.iter().step_by(10) {
        let line = |(number, line): (usize, &str)| {
            if number == changed { line.replacen(": \"", ": \"7", 1) } else { line.to_owned() }
        };
        let text: Vec<String> = FILE.lines().enumerate().map(line).collect();
        assert_ne!(version(&text.join("\n")), original, "line {}", changed + 1);
    }
}

#[test]
fn everything_that_decides_a_price_is_in_the_version() {
    let original = "provider: p\nsource: s\nread_on: \"2026-11-24\"\nstrip_prefixes: [a/]\n\
        http_errors_are_free: true\nservice_tier_aliases: { fast: flex }\n\
        class_defaults: { cache_write_1h: { billed_as: input_uncached, multiplier: \"2\" } }\nmodels:\n  \
        - model: m\n    match: [n, \"n-{date}\"]\n    prices:\n      - valid_from: \"2026-01-01\"\n        \
        valid_until: \"2026-02-01\"\n        usd_per_million_tokens: { input_uncached: \"1\", output_text: \"3\" }\n        \
        usd_per_thousand_web_searches: \"10\"\n        inference_geo: { us: \"1.1\" }\n        \
        speeds: { quick: \"4\" }\n        service_tiers: { flex: { usd_per_million_tokens: { output_text: \"5\" } } }\n        \
        long_context: [{ above_prompt_tokens: 6, input_multiplier: \"7\", output_multiplier: \"8\" }]\n";
    for (from, to) in [
        ("provider: p", "provider: q"),
        ("a/", "b/"),
        ("free: true", "free: false"),
        ("{ fast", "{ faster"),
        ("fast: flex", "fast: other"),
        ("cache_write_1h", "cache_write_5m"),
        ("billed_as: input_uncached", "billed_as: output_text"),
        ("multiplier: \"2\"", "multiplier: \"2.5\""),
        ("model: m", "model: k"),
        ("[n,", "[o,"),
        ("\"n-{date}\"", "\"o-{date}\""),
        ("2026-01-01", "2026-01-02"),
        ("2026-02-01", "2026-02-02"),
        ("input_uncached: \"1\"", "input_uncached: \"1.000000001\""),
        ("{ input_uncached: \"1\"", "{ input_audio: \"1\""),
        ("output_text: \"3\"", "output_text: \"4\""),
        ("\"10\"", "\"11\""),
        ("us:", "eu:"),
        ("1.1", "1.2"),
        ("quick:", "quicker:"),
        ("quick: \"4\"", "quick: \"4.1\""),
        ("{ flex: {", "{ slow: {"),
        ("output_text: \"5\"", "output_text: \"6\""),
        ("above_prompt_tokens", "from_prompt_tokens"),
        ("tokens: 6", "tokens: 7"),
        ("input_multiplier: \"7\"", "input_multiplier: \"7.5\""),
        ("output_multiplier: \"8\"", "output_multiplier: \"8.5\""),
    ] {
        let changed = original.replacen(from, to, 1);
        assert_ne!(changed, original, "{from}");
        assert_ne!(version(&changed), version(original), "{from}");
    }
}

#[test]
fn a_call_is_priced_at_the_time_of_its_request() {
    // 2026-08-21T00:00:00Z, the day gpt-5.6-sol became cheaper.
    let cut = 1_787_270_400_000_000_000;
    let call = |start_unix_ns, end_unix_ns| Call {
        start_unix_ns,
        end_unix_ns,
        request_model: "gpt-5.6".into(),
        usage: Some(Usage::of(Quantities::from_pairs(&[(Unit::OutputText, 1_000)]), UsageSource::Provider)),
        billing: Billing {
            conditions: Conditions::from_pairs([(Condition::ServiceTier, "flex")]),
            ..Billing::default()
        },
        ..call::call("openai", "gpt-5.6-sol")
    };
    let book = PriceBook::embedded();
    let picos = |start, end| book.bill(&call(start, end)).cost.amount().map(PicoUsd::picos);
    assert_eq!(picos(cut - 1, cut + 1), Some(15_000_000_000));
    assert_eq!(picos(cut, cut + 1), Some(10_000_000_000));
}

#[test]
fn notation_and_the_order_of_models_do_not_change_the_version() {
    let original = version(FILE);
    let (head, models) = FILE.split_once("\nmodels:\n").unwrap();
    let mut models: Vec<&str> = models.split("\n\n").map(|model| model.trim_end_matches('\n')).collect();
    models.reverse();
    assert_eq!(version(&format!("{head}\nmodels:\n{}\n", models.join("\n\n"))), original, "order");
    let spelled = FILE.replace("input_uncached: \"2\"\n", "input_uncached: '2.000'\n");
    assert_ne!(spelled, FILE);
    assert_eq!(version(&spelled), original, "notation");
    let read_later = FILE.replace("read_on: \"2026-11-24\"", "read_on: \"2026-12-24\"");
    assert_ne!(read_later, FILE);
    assert_eq!(version(&read_later), original, "the day the page was read");
}
