//! Price files that are right, and every way to get one wrong.

use crate::{PriceBook, PriceBookProblem};

const HEAD: &str = "provider: acme\nsource: https://example.org\nread_on: \"2026-11-24\"\n";
const PRICE: &str = "per_million: { output_text: \"1\" }";

fn file(rest: &str) -> String {
    format!("{HEAD}{rest}")
}

/// A model `m` with these lines.
fn model(lines: &[&str]) -> String {
    file(&format!("models:\n  m:\n    {}\n", lines.join("\n    ")))
}

fn problems(text: &str) -> Vec<String> {
    match PriceBook::parse(&[("acme.yaml", text)]) {
        Ok(_) => Vec::new(),
        Err(problems) => {
            problems.into_iter().map(|one| PriceBookProblem { line: None, ..one }.to_string()).collect()
        }
    }
}

#[test]
fn a_problem_says_its_line() {
    let text = model(&["per_million:", "  output_text: 2", "retires: soon"]) + "standrd: {}\n";
    let found = PriceBook::parse(&[("acme.yaml", &text)]).unwrap_err();
    let found: Vec<_> = found.iter().map(|problem| problem.to_string()).collect();
    for (found, start) in found.iter().zip([
        "acme.yaml:9: standrd: is not known",
        "acme.yaml:8: m: retires: `soon`",
        "acme.yaml:7: m: per_million.output_text: `2`",
    ]) {
        assert!(found.starts_with(start), "{start}: {found}");
    }
    assert_eq!(found.len(), 3);
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    assert_eq!(problems(text), expected, "{text}");
}

/// One problem, of which this is a part.
#[track_caller]
fn check_part(text: &str, part: &str) {
    let found = problems(text);
    assert!(found.len() == 1 && found[0].contains(part), "{part}: {found:#?}\n{text}");
}

#[test]
fn the_embedded_files_have_no_problem() {
    for files in crate::book::EMBEDDED_FILES {
        assert_eq!(PriceBook::parse(files).map(|_| ()), Ok(()));
    }
    assert_eq!(PriceBook::embedded().problems(), [""; 0]);
    assert_eq!(PriceBook::embedded().warnings(), [""; 0]);
    let book = PriceBook::embedded();
    let shelves = book.provider("openai").map_or(&[][..], |provider| &provider.shelves);
    assert!(shelves.iter().map(|shelf| shelf.models.len()).sum::<usize>() >= 70);
}

#[test]
fn a_number_without_quotes_is_refused() {
    check(
        &model(&["per_million: { input_uncached: 0.1, output_text: 2 }"]),
        &[
            "acme.yaml: m: per_million.input_uncached: `0.1` has no quotes; write \"0.1\", so that it is read digit by digit",
            "acme.yaml: m: per_million.output_text: `2` has no quotes; write \"2\", so that it is read digit by digit",
        ],
    );
}

#[test]
fn a_price_that_cannot_be_kept_exactly_is_refused() {
    for (price, message) in [
        ("0.0000000000000000000000000000001", "more than 30 digits"),
        ("1234567890123456789012345678901234567", "more than 36 digits"),
        ("-1", "negative"),
        ("1e3", "not a decimal number"),
        ("1,5", "not a decimal number"),
        ("$5", "not a decimal number"),
        ("", "not a decimal number"),
    ] {
        check_part(&model(&[&format!("per_million: {{ output_text: \"{price}\" }}")]), message);
    }
}

#[test]
fn all_problems_of_all_files_are_reported_at_once() {
    let one = model(&["per_million: { gold: \"1\" }", "valid_from: \"2026-01-01\""]);
    let two = "provider: other\nmodels: []\n";
    let found =
        PriceBook::parse(&[("one.yaml", &one), ("two.yaml", two), ("three.yaml", "a: [")]).unwrap_err();
    let found: Vec<_> = found.iter().map(|problem| (problem.file.as_str(), problem.field.as_str())).collect();
    assert_eq!(
        found,
        [
            ("one.yaml", "valid_from"),
            ("one.yaml", "per_million.gold"),
            ("two.yaml", "source"),
            ("two.yaml", "read_on"),
            ("two.yaml", "models"),
            ("three.yaml", "file"),
        ]
    );
}

#[test]
fn two_prices_for_one_moment_are_refused() {
    let message =
        "acme.yaml: m: prices: two prices hold at once; give each a from, and end one where the next begins";
    for (first, second, refused) in [
        ("", "", true),
        ("from: \"2026-01-01\", ", "from: \"2026-01-01\", ", true),
        ("from: \"2026-01-01\", ", "from: \"2026-01-01T00:00:00Z\", ", true),
        ("until: \"2026-02-01\", ", "from: \"2026-01-01\", ", true),
        ("until: \"2026-01-01T12:00:01Z\", ", "from: \"2026-01-01T12:00:00Z\", ", true),
        ("until: \"2026-01-01T12:00:00Z\", ", "from: \"2026-01-01T12:00:00Z\", ", false),
        ("until: \"2025-12-01\", ", "from: \"2026-01-01\", ", false),
        ("", "from: \"2026-01-01\", ", false),
        ("from: \"2026-01-01\", ", "", false),
    ] {
        let text =
            model(&["prices:", &format!("  - {{ {first}{PRICE} }}"), &format!("  - {{ {second}{PRICE} }}")]);
        let expected: &[&str] = if refused { &[message] } else { &[] };
        check(&text, expected);
    }
}

#[test]
fn a_period_that_ends_before_it_begins_is_refused() {
    check(
        &model(&["from: \"2026-01-01\"", "until: \"2026-01-01\"", PRICE]),
        &["acme.yaml: m: until: is not after from; it is the first moment without the price"],
    );
    for time in [
        "2026-13-01",
        "2026-1-1",
        "yesterday",
        "1969-12-31",
        "2026-01-01T00:00:00",
        "2026-01-01T00:00:00+01:00",
    ] {
        check_part(&model(&[&format!("from: \"{time}\""), PRICE]), "is no time since 1970");
    }
}

#[test]
fn a_name_belongs_to_one_model() {
    let two = |first: &str, second: &str| {
        let model = |name: &str, names: &str| format!("  {name}:\n    names: [{names}]\n    {PRICE}\n");
        file(&format!("models:\n{}{}", model("a", first), model("b", second)))
    };
    check(&two("x, y", "z"), &[]);
    check(&two("x, \"x-{date}\"", "y"), &[]);
    check(&two("x", "x"), &["acme.yaml: b: names: `x` is a name of `a` too; a name belongs to one model"]);
    check(&two("x", "a"), &["acme.yaml: b: names: `a` is a name of `a` too; a name belongs to one model"]);
    check_part(&two("\"x-{date}\"", "\"x-{date}\""), "`x` is a name of `a` too");
    check_part(&two("a", "y"), "`a` is the model's key and need not be repeated");
    // Two patterns of one length that can meet; a longer one is asked first.
    check_part(&two("\"xy*\"", "\"*zz\""), "can match one name; make one longer");
    check(&two("\"xy*\"", "\"*zzz\""), &[]);
    check(&two("\"xy*\"", "\"xz*\""), &[]);
    check(&two("\"xy*\", \"*zz\"", "y"), &[]);
    for bad in ["x?", "{date}", "^x$", "x y", "", "ft:x:acme", "x.ft-1", "*", "x(y)", "x-{day}"] {
        let found = problems(&two(&format!("\"{bad}\""), "y"));
        assert!(found.first().is_some_and(|problem| problem.contains("names[0]")), "{bad}: {found:?}");
    }
    check_part(&file(&format!("models:\n  \"a*\":\n    {PRICE}\n")), "is no plain name");
    check_part(&file(&format!("models:\n  a:\n    {PRICE}\n  a:\n    {PRICE}\n")), "is not YAML: ");
}

#[test]
fn a_clause_has_conditions_and_one_effect() {
    let clause = |clause: &str| model(&[PRICE, &format!("when: [{{ {clause} }}]")]);
    check(&clause("service_tier: flex, tokens: \"0.5\""), &[]);
    check_part(&clause("service_tier: flex"), "when[0]: has no effect");
    check_part(&clause("tokens: \"0.5\""), "when[0]: has no condition");
    check_part(&clause(&format!("speed: fast, tokens: \"2\", {PRICE}")), "has both prices and multipliers");
    check_part(
        &clause("speed: fast, all: \"2\", input: \"3\""),
        "when[0].input: multiplies what another multiplier",
    );
    check_part(&clause("speed: fast, tokens: \"twice\""), "`twice` is no multiplier");
    check_part(&clause("speed: fast, tokens: \"1.0000000000001\""), "at most 12 digits");
    check_part(&clause("tier: fast, speed: fast, tokens: \"2\""), "is not known here");
    check_part(
        &clause("speed: fast, prompt_above: 5, prompt_from: 5, tokens: \"2\""),
        "needs either prompt_above",
    );
    check_part(&clause("speed: fast, prompt_above: many, tokens: \"2\""), "must be a whole number");
    check_part(&clause("speed: [], prompt_above: 5, tokens: \"2\""), "must be a list with at least one item");
    check_part(&clause("speed: fast, weekdays: [monday], tokens: \"2\""), "`monday` is no weekday");
    for window in ["16:30", "16:30-16:30", "25:00-01:00", "9:00-10:00", "10:00-11:60", "10-11"] {
        check_part(
            &clause(&format!("speed: fast, time: \"{window}\", tokens: \"2\"")),
            "is no window of the day",
        );
    }
    check(
        &clause("time: \"00:00-24:00\", weekdays: sun, tokens: \"2\"").replace("00:00-24:00", "00:00-23:59"),
        &[],
    );
}

#[test]
fn clauses_that_contradict_each_other_are_named_at_load() {
    let when = |clauses: &[&str]| {
        let clauses: Vec<_> = clauses.iter().map(|clause| format!("  - {{ {clause} }}")).collect();
        model(&["per_million: { input_uncached: \"1\" }", "when:", &clauses.join("\n    ")])
    };
    let table = |price: &str| format!("per_million: {{ input_uncached: \"{price}\" }}");
    let (batch, long) =
        (format!("service_tier: batch, {}", table("2")), format!("prompt_above: 9, {}", table("3")));
    check(
        &when(&[&batch, &long]),
        &[
            "acme.yaml: m: when: two prices for input_uncached hold at once: that of [service_tier batch] and that of [above_9]; \
           limit one of them, or add a clause for both",
        ],
    );
    check(&when(&[&batch, &long, &format!("service_tier: batch, prompt_above: 9, {}", table("4"))]), &[]);
    check(&when(&[&batch, &format!("service_tier: standard, {long}")]), &[]);
    check_part(
        &when(&["region: [eu, us], tokens: \"2\"", "region: [us, jp], tokens: \"3\""]),
        "two multipliers",
    );
    check_part(&when(&["region: eu, tokens: \"2\"", "region: eu, input: \"3\""]), "two multipliers");
    check(&when(&["region: eu, output: \"2\"", "region: eu, input: \"3\""]), &[]);
    check(&when(&["region: [eu, us], tokens: \"2\"", "region: us, tokens: \"3\""]), &[]);
    check_part(
        &when(&["time: \"01:00-03:00\", tokens: \"2\"", "time: \"02:00-04:00\", tokens: \"3\""]),
        "two multipliers",
    );
    check(&when(&["time: \"01:00-03:00\", tokens: \"2\"", "time: \"03:00-04:00\", tokens: \"3\""]), &[]);
    let many: Vec<String> = (0..3)
        .map(|key| {
            let words: Vec<_> = (0..40).map(|word| format!("w{word}")).collect();
            format!("{}: [{}], tokens: \"2\"", ["region", "route", "deployment"][key], words.join(", "))
        })
        .collect();
    check_part(&when(&many.iter().map(String::as_str).collect::<Vec<_>>()), "combinations");
}

#[test]
fn units_have_one_price_under_a_key_that_fits() {
    check_part(&model(&["per_million: {}"]), "names no price");
    check_part(&model(&["names: [x]"]), "has no price");
    check_part(&model(&[PRICE, "each: { output_text: \"1\" }"]), "has a price already");
    check_part(&model(&["per_hour: { output_text: \"1\" }"]), "is no unit of time");
    check(&model(&["per_hour: { input_audio_ms: \"1\" }", "per_second: { container_second: \"1\" }"]), &[]);
    check_part(&model(&[PRICE, "minimum: { output_text: 0 }"]), "must be above 0");
    check_part(&model(&[PRICE, "prices: [{ each: { image: \"1\" } }]"]), "stands beside prices");
    let parts = |parts: &str| model(&[&format!("per_million: {{ character: [{parts}] }}")]);
    check(&parts("{ up_to: 5, price: \"2\" }, { price: \"1\" }"), &[]);
    check_part(&parts("{ up_to: 5, price: \"2\" }, { up_to: 6, price: \"1\" }"), "each part but the last");
    check_part(
        &parts("{ up_to: 5, price: \"2\" }, { up_to: 5, price: \"2\" }, { price: \"1\" }"),
        "more than the one before",
    );
}

#[test]
fn the_head_of_a_file_is_checked() {
    let with = |line: &str| format!("{}{line}\n", model(&[PRICE]));
    check_part(&with("currency: euro\nrates: [{ from: \"2026-01-01\", usd: \"1.08\" }]"), "is no currency");
    check_part(&with("currency: EUR"), "rates: are missing");
    check_part(&with("rates: [{ from: \"2026-01-01\", usd: \"1.08\" }]"), "need a currency other than USD");
    let nothing = problems(&with("currency: EUR\nrates: [{ from: \"2026-01-01\", usd: \"0\" }]"));
    assert!(nothing.iter().any(|problem| problem.contains("is worth nothing")), "{nothing:?}");
    check_part(&with("names_within: [\"openai/\"]"), "must hold {name} once");
    check_part(&with("failed_requests: maybe"), "write free or unknown");
    check_part(&with("booked: theirs"), "write ours or reported");
    check_part(&with("standard: { tier: [default] }"), "`tier` is no condition");
    check_part(&with("billed_as: { output_reasoning: gold }"), "`gold` is no unit");
    check_part(
        &with("when: [{ region: eu, all: \"2\", per_million: { output_text: \"1\" } }]"),
        "is not known here",
    );
    check_part(&with("discounts: [{ match: openai, percent: \"5\" }]"), "must name a provider and a model");
    check_part(
        &with("discounts: [{ match: \"openai/*\", percent: \"101\" }]"),
        "no percentage between 0 and 100",
    );
    check(&with("standard: { region: any }\nhosts: [\"*.acme.com\"]\ninherits: openai"), &[]);
}

#[test]
fn one_file_per_provider_and_tenant() {
    let text = model(&[PRICE]);
    let found = PriceBook::parse(&[("a.yaml", &text), ("b.yaml", &text)]).unwrap_err();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].file.as_str(), found[0].field.as_str()), ("b.yaml", "provider"));
    let tenant = format!("{text}tenant: acme\n");
    assert!(PriceBook::parse(&[("a.yaml", &text), ("b.yaml", &tenant)]).is_ok());
}
