//! What the commands print, for a book of the published files and a few overrides.

use std::path::PathBuf;

use clap::Parser;

use super::*;

/// 2026-11-27T00:00:00Z.
const NOW_NS: u64 = 1_795_737_600_000_000_000;

#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// What `prices ARGUMENTS` prints with that configuration, `DIR` standing for the folder; or its error.
    fn prices(&self, config: &str, arguments: &str) -> String {
        let folder = self.0.path().display().to_string();
        let config = self.write("collector.yaml", &config.replace("DIR", &folder));
        let arguments = arguments.replace("DIR", &folder);
        let line = Line::try_parse_from(std::iter::once("prices").chain(arguments.split(' '))).unwrap();
        let mut out = Vec::new();
        match run(&config, &line.command, NOW_NS, &mut out) {
            Ok(()) => String::from_utf8(out).unwrap().replace(&folder, "DIR"),
            Err(error) => format!("error: {error}").replace(&folder, "DIR"),
        }
    }
}

const OWN: &str = "\
provider: openai
source: contract 4711
read_on: \"2026-11-20\"
models:
  gpt-4.1:
    retires: \"2026-12-01\"
    per_million: { input_uncached: \"1.5\", output_text: \"7\" }
    when:
      - { service_tier: [batch, flex], tokens: \"0.5\" }
      - { prompt_above: 200000, weekdays: [sat, sun], time: \"22:00-06:00\", per_million: { input_uncached: \"3\" } }
  gpt-40:
    prices:
      - per_million: { input_uncached: \"1\" }
      - from: \"2027-01-01\"
        per_million: { input_uncached: \"2\" }
        each: { request: \"0.01\" }
        minimum: { input_uncached: 10 }
";

const WITH_OWN: &str =
    "pricing: {overrides: [DIR/own.yaml]}\nstorage: {engine: {binary: /nowhere}}\nauth: {}\n";

#[test]
fn list_shows_what_prices_calls_now() {
    let folder = Folder::new();
    folder.write("own.yaml", OWN);
    let text = folder.prices(WITH_OWN, "list --provider openai --model gpt-4.1");
    let lines: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    assert_eq!(lines[0][..4], ["PROVIDER", "MODEL", "SINCE", "LAYER"]);
    let own = "input_uncached 1.5/M, output_text 7/M (+2 when) retires 2026-12-01, in 4 days";
    assert_eq!(lines[4], ["openai", "gpt-4.1", "start", "override", own, "contract 4711 (2026-11-20)"]);
    // The published prices of the sizes that have no contract; of the one that has, once and not twice.
    let models: Vec<&str> = lines[1..].iter().map(|cells| cells[1]).collect();
    assert_eq!(models[3..], ["gpt-4.1", "gpt-4.1-mini", "gpt-4.1-nano"]);
    assert!(models[..3].iter().all(|model| model.starts_with("ft:gpt-4.1")), "{text}");
    assert!(lines[5][4].starts_with("input_uncached 0.4/M, cache_read 0.1/M, output_text 1.6/M"), "{text}");
    let all = folder.prices(WITH_OWN, "list --provider openai --model gpt-4.1 --all");
    assert_eq!(all.lines().filter(|line| line.contains(" gpt-4.1 ")).count(), 3, "{all}");
    assert!(all.lines().filter(|line| line.contains("(not used)")).count() >= 2, "{all}");
    let json: Value =
        serde_json::from_str(&folder.prices(WITH_OWN, "list --provider openai --model gpt-4.1 --json"))
            .unwrap();
    assert_eq!(json[3]["prices"][0]["units"]["input_uncached"], "1.5 per million");
    assert_eq!(json[3]["layer"], "override");
}

#[test]
fn show_prints_every_clause() {
    let folder = Folder::new();
    folder.write("own.yaml", OWN);
    let text = folder.prices(WITH_OWN, "show openai/gpt-4.1-2025-04-14");
    let (own, published) = text.split_once("\n\n").unwrap();
    let expected = "\
openai/gpt-4.1
  layer             override, DIR/own.yaml
  retires           2026-12-01, in 4 days
  price from the start, used (read 2026-11-20 at contract 4711)
    input_uncached  1.5 per million
    output_text     7 per million
    when service_tier batch or flex: tokens x 0.5
    when prompt above 200000, time 22:00-06:00 UTC, sat or sun: input_uncached 3 per million";
    assert_eq!(own, expected);
    assert!(published.starts_with("openai/gpt-4.1\n  layer             hand, openai.yaml\n"), "{published}");
    let text = folder.prices(WITH_OWN, "show gpt-40 --at 2027-02-01");
    let expected = "\
openai/gpt-40
  layer             override, DIR/own.yaml
  price from the start until 2027-01-01 (read 2026-11-20 at contract 4711)
    input_uncached  1 per million
  price from 2027-01-01, used (read 2026-11-20 at contract 4711)
    input_uncached  2 per million, at least 10
    request         0.01 each
";
    assert_eq!(text, expected);
    assert!(folder.prices(WITH_OWN, "show gpt-99").starts_with("error: no price file names gpt-99"));
    assert!(folder.prices(WITH_OWN, "show gpt-4.1 --at soon").starts_with("error: --at: `soon` is no time"));
}

#[test]
fn a_tenant_has_a_book_of_its_own() {
    let folder = Folder::new();
    folder.write(
        "own.yaml",
        &format!("tenant: acme\n{OWN}discounts: [{{ match: \"openai/gpt-4.1-mini\", percent: \"15\" }}]\n"),
    );
    let list = |more: &str| folder.prices(WITH_OWN, &format!("list --provider openai --model gpt-4.1{more}"));
    assert!(!list("").contains("override") && !list("").contains("contract"), "{}", list(""));
    assert!(list(" --tenant acme").contains("override(acme)"), "{}", list(" --tenant acme"));
    let mini = folder.prices(WITH_OWN, "show openai/gpt-4.1-mini --tenant acme");
    assert!(mini.contains("  for all models\n    always: -15% (openai/gpt-4.1-mini)\n"), "{mini}");
}

#[test]
fn diff_says_what_changes_by_model_and_unit() {
    let folder = Folder::new();
    folder.write("own.yaml", OWN);
    let newer = OWN.replace("\"1.5\"", "\"1.25\"").replace("        each: { request: \"0.01\" }\n", "");
    folder.write("newer.yaml", &newer.replace("[batch, flex]", "batch"));
    let changed = "\
~  openai/gpt-4.1@start     input_uncached                   1.5 per million -> 1.25 per million
+  openai/gpt-4.1@start     when service_tier batch          tokens x 0.5
-  openai/gpt-4.1@start     when service_tier batch or flex  tokens x 0.5
-  openai/gpt-40@2027-01-01  request                          0.01 each
";
    let squeezed = |text: &str| {
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    let found = folder.prices("{}", "diff DIR/own.yaml DIR/newer.yaml");
    assert_eq!(squeezed(&found), squeezed(changed));
    assert_eq!(folder.prices("{}", "diff DIR/own.yaml DIR/own.yaml"), "no difference\n");
    // Against the book: what calls of now would cost otherwise.
    let found = squeezed(&folder.prices("{}", "diff DIR/own.yaml"));
    for line in [
        "~ openai/gpt-4.1 input_uncached 2 per million -> 1.5 per million",
        "~ openai/gpt-4.1 output_text 8 per million -> 7 per million",
        "- openai/gpt-4.1 cache_read 0.5 per million",
        "~ openai/gpt-4.1 retires 2027-01-14 -> 2026-12-01",
        "+ openai/gpt-40 input_uncached 1 per million",
    ] {
        assert!(found.iter().any(|found| found == line), "{line} is not in {found:#?}");
    }
    assert!(
        found.iter().all(|line| line.contains("openai/gpt-4.1 ") || line.contains("openai/gpt-40 ")),
        "{found:#?}"
    );
    let json: Value =
        serde_json::from_str(&folder.prices("{}", "diff DIR/own.yaml DIR/newer.yaml --json")).unwrap();
    assert_eq!(json[0]["before"], "1.5 per million");
}

#[test]
fn check_names_the_line_of_each_problem_and_warns() {
    let folder = Folder::new();
    folder.write("own.yaml", OWN);
    let text = folder.prices("{}", "check DIR/own.yaml");
    let expected = "\
warning: openai/gpt-40: matches no model of the published price files; right only for a model of your own
warning: openai/gpt-4.1: retires 2026-12-01, in 4 days; calls to it fail then
1 file: no problem; warnings: 2
";
    assert_eq!(text, expected);
    folder.write("wrong.yaml", &OWN.replace("\"7\"", "7").replace("\"2027-01-01\"", "soon"));
    let text = folder.prices("{}", "check DIR/wrong.yaml");
    assert!(text.contains("DIR/wrong.yaml:7: gpt-4.1: per_million.output_text: `7` has no quotes"), "{text}");
    assert!(text.contains("DIR/wrong.yaml:14: gpt-40: prices[1].from: `soon` is no time"), "{text}");
    // Without its first moment the second price of gpt-40 holds at any time, as the first does.
    assert!(text.starts_with("error: ") && text.lines().count() == 3, "{text}");
    let text = folder.prices("pricing: {overrides: [DIR/nowhere.yaml]}", "check");
    assert!(text.contains("pricing.overrides[0]: cannot read DIR/nowhere.yaml"), "{text}");
    let text = folder.prices("{}", "check");
    assert!(
        text.contains("warning: openai/gpt-5: retires 2026-12-11, in 14 days; calls to it fail then\n"),
        "{text}"
    );
    // In 48 days, and long since.
    assert!(!text.contains("openai/gpt-4.1:") && !text.contains("openai/o1:"), "{text}");
    assert!(text.contains("\nthe price book ") && text.contains(": no problem; warnings: "), "{text}");
}

const LITELLM: &str = r#"{
  "sample_spec": {"litellm_provider": "one of ...", "input_cost_per_token": 0.0, "mode": "one of ..."},
  "gpt-9": {
    "litellm_provider": "openai", "mode": "chat", "max_tokens": 4096, "supports_vision": true, "deprecation_date": "2027-01-14",
    "input_cost_per_token": 2e-06, "output_cost_per_token": 8.75e-06, "cache_creation_input_token_cost": 2.5e-06,
    "input_cost_per_token_batches": 1e-06, "output_cost_per_token_batches": 4.375e-06,
    "input_cost_per_token_above_272k_tokens": 4e-06, "input_cost_per_token_above_272k_tokens_priority": 6e-06,
    "regional_processing_uplift_multiplier_eu": 1.1, "output_cost_per_token_ultrafast": 1e-05,
    "search_context_cost_per_query": {"search_context_size_low": 0.025, "search_context_size_medium": 0.025}
  },
  "openai/search-9": {
    "litellm_provider": "openai", "input_cost_per_token": 1e-06,
    "search_context_cost_per_query": {"search_context_size_low": 0.005, "search_context_size_high": 0.012}
  },
  "free-9": {"litellm_provider": "openai", "input_cost_per_token": 0.0, "output_cost_per_token": 0},
  "video-9": {"litellm_provider": "openai", "output_cost_per_second_1080p": 0.5},
  "odd name": {"litellm_provider": "openai", "input_cost_per_token": 1e-06},
  "xai/grok-9": {"litellm_provider": "xai", "input_cost_per_token": 3e-06}
}"#;

#[test]
fn import_writes_what_it_understands_and_says_what_it_does_not() {
    let folder = Folder::new();
    folder.write("litellm.json", LITELLM);
    let text = folder.prices("{}", "import DIR/litellm.json --provider openai");
    let expected = "\
# Imported from LiteLLM's litellm.json by `prices import` on 2026-11-27.
# left out: free-9: all its prices are 0, which there also means unknown
# left out: odd name: file: is no plain name; the key of a model is its canonical name, patterns go under names
# left out: video-9: has no price that is known here
provider: \"openai\"
source: \"LiteLLM's litellm.json\"
read_on: \"2026-11-27\"
models:
  \"gpt-9\":
    # not imported: output_cost_per_token_ultrafast: 1e-05
    # not imported: regional_processing_uplift_multiplier_eu: 1.1
    retires: \"2027-01-14\"
    each: { web_search: \"0.025\" }
    per_million: { cache_write_30m: \"2.5\", input_uncached: \"2\", output_text: \"8.75\" }
    when:
      - { service_tier: standard, prompt_above: 272000, per_million: { input_uncached: \"4\" } }
      - { service_tier: batch, per_million: { input_uncached: \"1\", output_text: \"4.375\" } }
      - { service_tier: priority, prompt_above: 272000, per_million: { input_uncached: \"6\" } }
  \"search-9\":
    per_million: { input_uncached: \"1\" }
    when:
      - { search_context: high, each: { web_search: \"0.012\" } }
      - { search_context: low, each: { web_search: \"0.005\" } }
";
    assert_eq!(text, expected);
    folder.write("imported.yaml", &text);
    assert!(folder.prices("{}", "check DIR/imported.yaml").ends_with("1 file: no problem; warnings: 2\n"));
    assert_eq!(
        folder.prices("{}", "import DIR/litellm.json"),
        "error: the file has prices of several providers, and a price file is about one: choose with --provider, or give --output DIR; \
         there are openai, x_ai"
    );
    let written = folder.prices("{}", "import DIR/litellm.json --output DIR/out");
    assert_eq!(
        written,
        "DIR/out/openai.yaml: models 2, left out 3, prices not imported 2\nDIR/out/x_ai.yaml: models 1, left out 0, prices not imported 0\n"
    );
    let grok = std::fs::read_to_string(folder.0.path().join("out/x_ai.yaml")).unwrap();
    assert!(grok.contains("  \"grok-9\":\n    per_million: { input_uncached: \"3\" }\n"), "{grok}");
    folder.write("list.json", "[1]");
    assert!(
        folder.prices("{}", "import DIR/list.json").contains("DIR/list.json is no price file of LiteLLM")
    );
}

#[test]
fn explain_can_be_followed_with_a_calculator() {
    let folder = Folder::new();
    folder.write(
        "own.yaml",
        "tenant: acme\nprovider: acme\nsource: contract\nread_on: \"2026-11-20\"\ncurrency: EUR\nrates: [{ from: \"2026-01-01\", usd: \"1.08\" }]\n\
         models:\n  m:\n    per_million:\n      input_uncached: \"2.5\"\n      character: [{ up_to: 1000000, price: \"16\" }, { price: \"12\" }]\n    \
         per_hour: { input_audio_ms: \"0.36\" }\n    minimum: { input_audio_ms: 10000 }\n    when: [{ service_tier: flex, tokens: \"0.5\" }]\n",
    );
    let squeezed = |text: &str| {
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    let units = "--unit input_uncached=1000 --unit character=1500000 --unit input_audio_ms=4000 --condition service_tier=flex";
    let text = folder.prices(WITH_OWN, &format!("explain --tenant acme --provider acme --model m {units}"));
    // 1,000 x 2.5/1e6 x 0.5 x 1.08; (16 + 6) x 1.08; 10 s of 0.36 an hour x 1.08.
    let rule = "by override(acme):acme/m@start/flex/EUR*1.08";
    assert_eq!(
        squeezed(&text),
        [
            "acme/m".to_owned(),
            format!(
                "input_uncached 1000 x 2.5 / 1000000 x 0.5 (service_tier flex) x 1.08 (EUR*1.08) 0.001350000000 {rule}"
            ),
            format!(
                "character (1000000 x 16 + 500000 x 12) / 1000000 x 1.08 (EUR*1.08) 23.760000000000 {rule}"
            ),
            format!(
                "input_audio_ms 10000 x 0.36 / 3600000 x 1.08 (EUR*1.08), 10000 billed for 4000 0.001080000000 {rule}"
            ),
            "total 23.762430000000 USD".to_owned(),
        ]
    );
    let text = folder.prices("{}", "explain --provider openai --model gpt-99 --unit input_uncached=7");
    assert_eq!(squeezed(&text), ["openai/gpt-99", "input_uncached 7 -", "total - unpriced: unknown_model"]);
    let json = folder.prices("{}", "explain --provider openai --model gpt-4.1 --unit output_text=100 --json");
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["lines"][0]["arithmetic"], "100 x 8 / 1000000");
    assert_eq!(json["cost_usd"], "0.000800000000");
}
