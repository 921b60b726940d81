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

/// Where in the file a price or a multiplier begins, behind its quote.
fn prices() -> Vec<usize> {
    let models = FILE.find("\nmodels:\n").unwrap();
    let is_number = |at: &usize| {
        let text = FILE[*at..].split('"').next().unwrap();
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    };
    FILE.match_indices(": \"")
        .map(|(at, mark)| at + mark.len())
        .filter(|at| *at > models)
        .filter(is_number)
        .collect()
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
}

#[test]
fn comments_and_blank_lines_do_not_change_the_version() {
    let original = version(FILE);
    for at in (0..FILE.lines().count()).step_by(25) {
        let mut lines: Vec<&str> = FILE.lines().collect();
        lines.insert(at, "# a remark");
        lines.insert(0, "");
        assert_eq!(version(&lines.join("\n")), original, "line {at}");
    }
}

#[test]
fn any_changed_price_changes_the_version() {
    let original = version(FILE);
    let prices = prices();
    assert!(prices.len() > 400, "{}", prices.len());
    // Every tenth is enough to meet each kind of field, and keeps the test below a second or two.
    for &at in prices.iter().step_by(10) {
        let text = format!("{}7{}", &FILE[..at], &FILE[at..]);
        assert_ne!(version(&text), original, "byte {at}");
    }
}

#[test]
fn everything_that_decides_a_price_is_in_the_version() {
    let original = "provider: p\nsource: s\nread_on: \"2026-11-24\"\nnames_within: [\"a/{name}\"]\n\
        failed_requests: free\nbooked: ours\ninherits: q\nstandard: { region: [here] }\n\
        same_as: { service_tier: { fast: flex } }\naliases: { best: m }\ndeployments: { prod: m }\n\
        billed_as: { cache_write_1h: { unit: input_uncached, times: \"2\" } }\n\
        currency: EUR\nrates: [{ from: \"2025-01-01\", usd: \"1.08\" }]\nwhen: [{ route: x, all: \"1.5\" }]\n\
        discounts: [{ match: \"p/m\", percent: \"15\" }]\nmodels:\n  \
        m:\n    names: [n, \"n-{date}\", \"k*\"]\n    from: \"2026-01-01\"\n    until: \"2026-02-01\"\n    \
        per_million: { input_uncached: \"1\", output_text: \"3\" }\n    per_thousand: { web_search: \"10\" }\n    \
        minimum: { input_uncached: 20 }\n    rounded_up_to: { output_text: 30 }\n    when:\n      \
        - { region: us, tokens: \"1.1\" }\n      - { speed: quick, tokens: \"4\" }\n      \
        - { service_tier: slow, per_million: { output_text: \"5\" } }\n      \
        - { prompt_above: 6, input: \"7\", output: \"8\" }\n      \
        - { time: \"01:00-02:00\", weekdays: mon, fees: \"9\" }\n      - { month_above: 40, fees: \"0.5\" }\n";
    for (from, to) in [
        ("provider: p", "provider: r"),
        ("a/{name}", "b/{name}"),
        ("requests: free", "requests: unknown"),
        ("booked: ours", "booked: reported"),
        ("inherits: q", "inherits: z"),
        ("[here]", "[there]"),
        ("{ fast", "{ faster"),
        ("fast: flex", "fast: other"),
        ("best: m", "better: m"),
        ("prod: m", "prod: n"),
        ("cache_write_1h", "cache_write_5m"),
        ("unit: input_uncached", "unit: output_text"),
        ("times: \"2\"", "times: \"2.5\""),
        ("EUR", "CHF"),
        ("1.08", "1.09"),
        ("2025-01-01", "2025-01-02"),
        ("route: x", "route: y"),
        ("1.5", "1.6"),
        ("p/m", "p/*"),
        ("15\"", "16\""),
        ("  m:", "  l:"),
        ("[n,", "[o,"),
        ("\"n-{date}\"", "\"o-{date}\""),
        ("k*", "kk*"),
        ("2026-01-01", "2026-01-02"),
        ("2026-02-01", "2026-02-02"),
        ("input_uncached: \"1\"", "input_uncached: \"1.000000000000000001\""),
        ("{ input_uncached: \"1\"", "{ input_audio: \"1\""),
        ("output_text: \"3\"", "output_text: \"4\""),
        ("\"10\"", "\"11\""),
        ("per_thousand", "each"),
        ("uncached: 20", "uncached: 21"),
        ("text: 30", "text: 31"),
        ("region: us", "region: eu"),
        ("1.1", "1.2"),
        ("quick", "quicker"),
        ("tokens: \"4\"", "tokens: \"4.1\""),
        ("slow", "slower"),
        ("output_text: \"5\"", "output_text: \"6\""),
        ("prompt_above", "prompt_from"),
        ("above: 6", "above: 7"),
        ("input: \"7\"", "input: \"7.5\""),
        ("output: \"8\"", "output: \"8.5\""),
        ("01:00-02:00", "01:00-02:01"),
        ("weekdays: mon", "weekdays: tue"),
        ("fees: \"9\"", "fees: \"9.5\""),
        ("month_above: 40", "month_above: 41"),
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
    let spelled = FILE.replace("input_uncached: \"2\",", "input_uncached: '2.000',");
    assert_ne!(spelled, FILE);
    assert_eq!(version(&spelled), original, "notation");
    let read_later = FILE.replace("read_on: \"2026-11-24\"", "read_on: \"2026-12-24\"");
    assert_ne!(read_later, FILE);
    assert_eq!(version(&read_later), original, "the day the page was read");
}
