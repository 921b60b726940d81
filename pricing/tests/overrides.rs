//! A company's own prices on top of the published ones: what bills as data do not show.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use ledgerline_pricing::PriceBook;
use ledgerline_proto::{
    Call, Cost, EndOfStream, NotBilled, Quantities, Unit, UnpricedReason, Usage, UsageSource,
};

#[path = "support/call.rs"]
mod call;

fn head(provider: &str) -> String {
    format!("provider: {provider}\nsource: contract 4711\nread_on: \"2026-11-23\"\n")
}

fn book(provider: &str, rest: &str) -> PriceBook {
    let text = head(provider) + rest;
    PriceBook::parse(&[("own.yaml", &text)]).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn used(provider: &str, model: &str, unit: Unit, quantity: u64) -> Call {
    let usage = Usage::of(Quantities::from_pairs(&[(unit, quantity)]), UsageSource::Provider);
    Call { usage: Some(usage), ..call::call(provider, model) }
}

#[test]
fn the_version_tells_layers_apart() {
    let one = book("vllm", "models: { a: { per_million: { output_text: \"1\" } } }\n");
    let two = book("vllm", "models: { a: { per_million: { output_text: \"2\" } } }\n");
    let published = PriceBook::embedded();
    assert_ne!(published.with_overrides(&one).version(), published.version());
    assert_ne!(one.with_overrides(&two).version(), two.with_overrides(&one).version());
    assert_eq!(published.with_overrides(&one).version(), published.with_overrides(&one).version());
    assert_eq!(published.version().to_string().len(), 32);
}

#[test]
fn an_override_decides_whether_failed_requests_are_free() {
    let models = "models: { m: { per_million: { output_text: \"1\" } } }\n";
    let own = book("openai", &format!("failed_requests: unknown\n{models}"));
    let silent = book("openai", models);
    let published = PriceBook::embedded();
    let cost = |book: &PriceBook| {
        let failed = Call {
            request_model: "gpt-4.1".to_owned(),
            end: EndOfStream::ProviderError,
            http_status: Some(500),
            ..call::call("openai", "")
        };
        book.bill(&failed).cost
    };
    let (free, unknown) =
        (Cost::NotBilled(NotBilled::HttpError), Cost::Unpriced(UnpricedReason::FailedWithoutUsage));
    assert_eq!((cost(&published), cost(&published.with_overrides(&silent))), (free, free));
    assert_eq!((cost(&published.with_overrides(&own)), cost(&silent)), (unknown, unknown));
}

#[test]
fn what_an_override_file_probably_does_not_mean_is_a_warning() {
    let check = |provider: &str, rest: &str, expected: &[&str]| {
        let warnings = PriceBook::embedded().with_overrides(&book(provider, rest)).warnings();
        assert_eq!(warnings, expected, "{rest}");
    };
    let price = "per_million: { output_text: \"1\" }";
    check("openai", &format!("models: {{ gpt-4o: {{ {price} }} }}\n"), &[]);
    check("openai", &format!("models: {{ gpt-4o-2024-08-06: {{ {price} }} }}\n"), &[]);
    check("openai", &format!("models: {{ all-gpt: {{ names: [\"gpt-5*\"], {price} }} }}\n"), &[]);
    check(
        "openai",
        &format!("models: {{ gpt-40: {{ {price} }} }}\n"),
        &["openai/gpt-40: matches no model of the published price files; right only for a model of your own"],
    );
    check(
        "openai",
        &format!(
            "models: {{ mini: {{ names: [\"*codex-mini-l*\"], {price} }}, codex-mini-latest: {{ {price} }} }}\n"
        ),
        &[
            "openai/mini: is never used, because the more exact entry `codex-mini-latest` answers for all its names",
        ],
    );
    check(
        "openai",
        &format!("models: {{ gpt-4o: {{ {price}, when: [{{ month_from: 1000000, tokens: \"0.9\" }}] }} }}\n"),
        &[
            "openai/gpt-4o: has prices by the month's volume, and every call is priced like the first of its month",
        ],
    );
    let grok = book("grok", &format!("models: {{ grok-4: {{ {price} }} }}\n"));
    let warnings = PriceBook::embedded().with_overrides(&grok).warnings();
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    let (what, known) = warning.split_once("; known are ").unwrap();
    assert_eq!(what, "provider grok: no published price file names it");
    for name in ["anthropic", "azure.ai.openai", "openai", "x_ai"] {
        assert!(known.split(", ").any(|known| known == name), "{name}: {warning}");
    }
    check(
        "azure.ai.openai",
        "tenant: acme\ndeployments: { prod: gpt-40, old: gpt-4o }\n",
        &["azure.ai.openai (tenant acme): `prod` stands for `gpt-40`, which no price file names"],
    );
    check(
        "openai",
        "tenant: acme\ndiscounts: [{ match: \"openai/gpt-9*\", percent: \"5\" }, { match: \"*/*\", percent: \"5\" }]\naliases: { a: gpt-4o }\n",
        &["discount openai/gpt-9* (tenant acme): matches no model of the published price files"],
    );
    let twice = "aliases: { a: gpt-4o }\ndiscounts: [{ match: \"openai/gpt-4o\", percent: \"5\" }, { match: \"openai/gpt-4o\", percent: \"6\" }]\n";
    let warnings = PriceBook::embedded().with_overrides(&book("openai", twice)).warnings();
    assert!(
        warnings.iter().any(|warning| warning.contains("openai/gpt-4o: several discounts hold at once")),
        "{warnings:?}"
    );
}

#[test]
fn of_a_router_its_own_number_is_booked_and_no_guess_of_another() {
    let cost = |source, reported: Option<&str>| {
        let mut call = used("openrouter", "ai21/jamba-1-5-large", Unit::OutputText, 1_000);
        call.usage.as_mut().unwrap().source = source;
        call.billing.reported_cost = reported.map(|usd| usd.parse().unwrap());
        PriceBook::embedded().bill(&call).cost.amount().unwrap().to_string()
    };
    // The list says 8 dollars a million.
    assert_eq!(cost(UsageSource::Provider, Some("0.0075")), "0.007500000000");
    assert_eq!(cost(UsageSource::Drained, Some("0.0075")), "0.007500000000");
    assert_eq!(cost(UsageSource::Sender, Some("0.0075")), "0.008000000000");
    assert_eq!(cost(UsageSource::Provider, None), "0.008000000000");
}

#[test]
fn hosts_and_provider_names_are_known() {
    let book = PriceBook::embedded();
    for (host, provider) in [
        ("api.openai.com", Some("openai")),
        ("eu.api.openai.com", Some("openai")),
        ("api.anthropic.com", Some("anthropic")),
        ("acme.openai.azure.com", Some("azure.ai.openai")),
        ("API.OpenAI.com", Some("openai")),
        ("bedrock-runtime.eu-central-1.amazonaws.com", Some("aws.bedrock")),
        ("bedrock-runtime.amazonaws.com", None),
        ("europe-west4-aiplatform.googleapis.com", Some("gcp.vertex_ai")),
        (".api.openai.com.example.org", None),
        ("example.org", None),
    ] {
        assert_eq!(book.provider_of_host(host), provider, "{host}");
    }
    assert!(book.knows_provider("openai") && !book.knows_provider("grok"));
}

#[test]
fn an_explanation_is_the_bill_and_its_arithmetic() {
    let own = book(
        "acme",
        "currency: EUR\nrates: [{ from: \"2026-01-01\", usd: \"1.08\" }]\nmodels:\n  m:\n    per_million: { input_uncached: \"2.5\" }\n    \
         per_hour: { input_audio_ms: \"0.111\" }\n    minimum: { input_audio_ms: 10000 }\n    \
         when: [{ prompt_above: 10, tokens: \"2\" }]\n",
    );
    let explained = own.explain(&used("acme", "m", Unit::InputUncached, 1_000));
    assert_eq!(explained.bill, own.bill(&used("acme", "m", Unit::InputUncached, 1_000)));
    let line = &explained.lines[0];
    assert_eq!(
        (line.unit, line.billed, line.per, line.rounded),
        (Unit::InputUncached, 1_000, 1_000_000, false)
    );
    assert_eq!(line.prices, [(None, "2.5".to_owned())]);
    let factors: Vec<_> = line.factors.iter().map(|(why, by)| format!("{why}: {by}")).collect();
    assert_eq!(factors, ["above_10: 2", "EUR*1.08: 1.08"]);
    // 1,000 * 2.5/M * 2 * 1.08
    assert_eq!(explained.bill.cost.amount().unwrap().picos(), 5_400_000_000);
    let audio = own.explain(&used("acme", "m", Unit::InputAudioMs, 3));
    assert_eq!(
        (audio.lines[0].billed, audio.lines[0].per, audio.lines[0].rounded),
        (10_000, 3_600_000, false)
    );
    let unknown = own.explain(&used("acme", "n", Unit::InputUncached, 1));
    assert!(
        unknown.lines.is_empty() && matches!(unknown.bill.cost, Cost::Unpriced(UnpricedReason::UnknownModel))
    );
}
