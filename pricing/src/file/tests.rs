//! Price files that are right, and every way to get one wrong.

use crate::PriceBook;

const HEAD: &str = "provider: acme\nsource: https://example.org\nread_on: \"2026-11-24\"\n";

fn file(rest: &str) -> String {
    format!("{HEAD}{rest}")
}

fn model(prices: &str) -> String {
    file(&format!("models:\n  - model: m\n    match: [m]\n    prices:\n{prices}\n"))
}

fn problems(text: &str) -> Vec<String> {
    match PriceBook::parse(&[("acme.yaml", text)]) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    assert_eq!(problems(text), expected, "{text}");
}

#[test]
fn the_embedded_files_have_no_problem() {
    assert_eq!(PriceBook::parse(crate::book::EMBEDDED_FILES).map(|_| ()), Ok(()));
    let book = PriceBook::embedded();
    let providers = book.layers().iter().flat_map(|layer| layer.values());
    assert!(providers.map(|provider| provider.models.len()).sum::<usize>() >= 100);
}

#[test]
fn a_number_without_quotes_is_refused() {
    check(
        &model("      - usd_per_million_tokens: { input_uncached: 0.1, output_text: 2 }"),
        &[
            "acme.yaml: m: prices[0].usd_per_million_tokens.input_uncached: `0.1` has no quotes; write \"0.1\", so that \
             it is read digit by digit",
            "acme.yaml: m: prices[0].usd_per_million_tokens.output_text: `2` has no quotes; write \"2\", so that it is \
             read digit by digit",
            "acme.yaml: m: prices[0].usd_per_million_tokens: names no price",
        ],
    );
}

#[test]
fn a_price_that_cannot_be_kept_exactly_is_refused() {
    for (price, message) in [
        ("0.0000000000001", "more than 12 digits"),
        ("-1", "negative"),
        ("1e3", "not a decimal amount"),
        ("1,5", "not a decimal amount"),
        ("9999999999", "larger than"),
    ] {
        let found =
            problems(&model(&format!("      - usd_per_million_tokens: {{ output_text: \"{price}\" }}")));
        assert!(found.first().is_some_and(|problem| problem.contains(message)), "{price}: {found:?}");
    }
}

#[test]
fn all_problems_of_all_files_are_reported_at_once() {
    let one = model("      - usd_per_million_tokens: { gold: \"1\" }\n        valid_frm: \"2026-01-01\"");
    let two = "provider: other\nmodels: []\n";
    let found =
        PriceBook::parse(&[("one.yaml", &one), ("two.yaml", two), ("three.yaml", "a: [")]).unwrap_err();
    let found: Vec<_> = found.iter().map(|problem| (problem.file.as_str(), problem.field.as_str())).collect();
    assert_eq!(
        found,
        [
            ("one.yaml", "prices[0].valid_frm"),
            ("one.yaml", "prices[0].usd_per_million_tokens.gold"),
            ("one.yaml", "prices[0].usd_per_million_tokens"),
            ("two.yaml", "source"),
            ("two.yaml", "read_on"),
            ("two.yaml", "models"),
            ("three.yaml", "file"),
        ]
    );
}

#[test]
fn two_prices_for_one_moment_are_refused() {
    let message = "acme.yaml: m: prices: two prices hold at once; give each a valid_from, and end one where the next begins";
    let price = "usd_per_million_tokens: { output_text: \"1\" }";
    for (first, second, refused) in [
        ("", "", true),
        ("valid_from: \"2026-01-01\", ", "valid_from: \"2026-01-01\", ", true),
        ("valid_until: \"2026-02-01\", ", "valid_from: \"2026-01-01\", ", true),
        ("valid_until: \"2026-01-01\", ", "valid_from: \"2026-01-01\", ", false),
        ("valid_until: \"2025-12-01\", ", "valid_from: \"2026-01-01\", ", false),
        ("", "valid_from: \"2026-01-01\", ", false),
        ("valid_from: \"2026-01-01\", ", "", false),
    ] {
        let text = model(&format!("      - {{ {first}{price} }}\n      - {{ {second}{price} }}"));
        let expected: &[&str] = if refused { &[message] } else { &[] };
        check(&text, expected);
    }
}

#[test]
fn a_period_that_ends_before_it_begins_is_refused() {
    let text = model(
        "      - { valid_from: \"2026-01-01\", valid_until: \"2026-01-01\", usd_per_million_tokens: { output_text: \"1\" } }",
    );
    check(
        &text,
        &[
            "acme.yaml: m: prices[0].valid_until: is not after valid_from; it is the first day without the price",
        ],
    );
    for date in ["2026-13-01", "2026-1-1", "yesterday", "1969-12-31", "2026-01-01T00:00:00"] {
        let text = model(&format!(
            "      - {{ valid_from: \"{date}\", usd_per_million_tokens: {{ output_text: \"1\" }} }}"
        ));
        assert!(problems(&text).iter().any(|problem| problem.contains("is no day")), "{date}");
    }
}

#[test]
fn a_name_belongs_to_one_model_and_is_no_pattern() {
    let two = |first: &str, second: &str| {
        let model = |name: &str, names: &str| {
            format!(
                "  - model: {name}\n    match: [{names}]\n    prices: [{{ usd_per_million_tokens: {{ output_text: \"1\" }} }}]\n"
            )
        };
        file(&format!("models:\n{}{}", model("a", first), model("b", second)))
    };
    check(&two("x, y", "z"), &[]);
    check(&two("x, \"x-{date}\"", "y"), &[]);
    check(&two("x", "x"), &["acme.yaml: b: match: `x` is listed twice; a name belongs to one model"]);
    check(
        &two("\"x-{date}\"", "\"x-{date}\""),
        &["acme.yaml: b: match: `x` is listed twice; a name belongs to one model"],
    );
    for bad in ["x*", "x-{date}-y", "-{date}", "{date}", "^x$", "x y", "", "ft:x:acme", "x.ft-1"] {
        let found = problems(&two(&format!("\"{bad}\""), "y"));
        assert!(found.first().is_some_and(|problem| problem.contains("match[0]")), "{bad}: {found:?}");
    }
}

#[test]
fn a_model_has_one_entry() {
    let entry = |name: &str| {
        let prices = "[{ usd_per_million_tokens: { output_text: \"1\" } }]";
        format!("  - {{ model: m, match: [{name}], prices: {prices} }}\n")
    };
    check(
        &file(&format!("models:\n{}{}", entry("x"), entry("y"))),
        &["acme.yaml: m: model: is listed twice; put all its prices under one entry"],
    );
}

#[test]
fn tiers_and_steps_are_complete_or_refused() {
    let price =
        |rest: &str| model(&format!("      - usd_per_million_tokens: {{ output_text: \"1\" }}\n{rest}"));
    check(
        &price(
            "        service_tiers: { flex: \"0.5\", batch: { usd_per_million_tokens: { output_text: \"1\" } } }",
        ),
        &[],
    );
    check(
        &price("        service_tiers: { default: \"1\" }"),
        &["acme.yaml: m: prices[0].service_tiers.default: is the standard price itself; put it under \
           usd_per_million_tokens of the price"],
    );
    check(
        &price("        speeds: { fast: \"twice\" }"),
        &[
            "acme.yaml: m: prices[0].speeds.fast: `twice` is no multiplier; write for example 0.5 or 1.1, at most 6 \
           digits behind the point",
        ],
    );
    check(
        &price(
            "        long_context: [{ above_prompt_tokens: 5, from_prompt_tokens: 5, input_multiplier: \"2\" }]",
        ),
        &[
            "acme.yaml: m: prices[0].long_context[0]: needs either above_prompt_tokens (more than) or \
             from_prompt_tokens (that many and more)",
            "acme.yaml: m: prices[0].long_context[0]: needs either usd_per_million_tokens or both input_multiplier and \
             output_multiplier",
        ],
    );
    let step = "input_multiplier: \"2\", output_multiplier: \"2\"";
    check(
        &price(&format!(
            "        long_context: [{{ above_prompt_tokens: 4, {step} }}, {{ from_prompt_tokens: 5, {step} }}]"
        )),
        &["acme.yaml: m: prices[0].long_context: has two steps that begin at one prompt length"],
    );
}

#[test]
fn one_file_per_provider() {
    let text = model("      - usd_per_million_tokens: { output_text: \"1\" }");
    let found = PriceBook::parse(&[("a.yaml", &text), ("b.yaml", &text)]).unwrap_err();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].file.as_str(), found[0].field.as_str()), ("b.yaml", "provider"));
}
