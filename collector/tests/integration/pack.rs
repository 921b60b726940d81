//! The shipped rules and their runbook: each alert has a page and each page an alert, and whatever the texts tell a reader to type is there
//! to be typed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use crate::memory_source::MemorySource;
use ledgerline_collector::alerting::{Defaults, Group, Template, load_rules};
use ledgerline_collector::config::Config;
use ledgerline_collector::metrics::Metrics;
use ledgerline_collector::query::querier::Querier;
use ledgerline_process::config::{Problems, parse};
use ledgerline_promql::limits::MEMORY_BYTES_DEFAULT;
use ledgerline_promql::source::Tenant;
use ledgerline_promql::{MemoryPool, QueryParams, syntax};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn load(folder: &str) -> Vec<Group> {
    let defaults =
        Defaults { interval: Duration::from_secs(60), query_offset: Duration::ZERO, accept: &|_| Ok(()) };
    let mut problems = Problems::default();
    let groups = load_rules(&[root().join(folder)], defaults, &mut problems);
    problems.into_result(Some(groups)).unwrap()
}

/// Severity by alert.
fn alerts(folder: &str) -> BTreeMap<String, String> {
    let groups = load(folder);
    let rules = groups.iter().flat_map(|group| &group.rules);
    rules.map(|rule| (rule.name.clone(), written(&rule.labels["severity"]))).collect()
}

fn written(template: &Template) -> String {
    serde_json::to_value(template).unwrap().as_str().unwrap().to_owned()
}

/// The text of each page.
fn pages() -> BTreeMap<String, String> {
    let files = std::fs::read_dir(root().join("docs/runbook")).unwrap();
    let page = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, std::fs::read_to_string(path).unwrap())
    };
    files.map(|entry| page(entry.unwrap().path())).collect()
}

#[test]
fn each_alert_has_a_page_that_says_how_fast_and_how_severe_and_each_page_an_alert() {
    let mut alerts_of_both = alerts("alerts");
    alerts_of_both.extend(alerts("alerts/prometheus"));
    // Those that budgets are made into.
    let of_budgets = ["LLMBudgetThreshold", "LLMBudgetForecast"];
    alerts_of_both.extend(of_budgets.map(|name| (name.to_owned(), "warning".to_owned())));
    let pages = pages();
    let names = |names: Vec<&String>| names.into_iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(alerts_of_both.keys().collect()), names(pages.keys().collect()));
    assert!(pages.len() >= 28, "{} pages", pages.len());
    for (name, text) in &pages {
        assert!(text.starts_with(&format!("# {name}\n")), "{name}");
        assert!(text.contains(&format!("Severity: {}.\n", alerts_of_both[name])), "{name}");
        let parts =
            ["\nFires within: ", "\n**Look first.**\n", "\n**It ends** ", "\n**Tune.** ", "\n**Silence.**\n"];
        for part in parts {
            assert!(text.contains(part), "{name} lacks {part:?}");
        }
    }
}

/// The lines of a page that are to be typed.
fn typed(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.strip_prefix("       ")).map(str::trim)
}

fn is_command(line: &str) -> bool {
    ["amtool ", "ledgerline-collector "].iter().any(|program| line.starts_with(program))
}

#[test]
fn each_command_in_the_texts_exists() {
    let mut commands = BTreeSet::new();
    let pages = pages();
    let rules = ["alerts", "alerts/prometheus"].map(load).concat();
    let annotations = rules.iter().flat_map(|group| &group.rules).flat_map(|rule| rule.annotations.values());
    let annotations: Vec<String> = annotations.map(written).collect();
    for text in pages.values().chain(&annotations) {
        for (_, rest) in text.match_indices("ledgerline-collector ").map(|(at, _)| text.split_at(at)) {
            // What stands before the first option or the end of the line; of prose, the next word.
            let words = rest.lines().next().unwrap().split_whitespace().skip(1);
            let words: Vec<String> = words
                .take_while(|word| word.starts_with(|first: char| first.is_ascii_lowercase()))
                .take(if typed(text).any(|line| rest.starts_with(line)) { 2 } else { 1 })
                .map(str::to_owned)
                .collect();
            commands.insert(words);
        }
    }
    assert!(commands.contains(&vec!["reprice".to_owned()]), "{commands:?}");
    for words in &commands {
        let output = Command::new(env!("CARGO_BIN_EXE_ledgerline-collector"))
            .args(words)
            .arg("--help")
            .output()
            .unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// With the program's own check, as if the queries were rules.
fn refusals(rule_files: &str) -> String {
    let yaml =
        format!("storage: {{url: 'http://127.0.0.1:8123'}}\nalerting: {{rule_files: [{rule_files}]}}\n");
    parse::<Config>("test", &yaml).err().map(|error| error.to_string()).unwrap_or_default()
}

/// Scenario: the pack, every query that its runbook says, and every query that its alerts' descriptions say.
/// Guarantees: the collector accepts them all as it accepts rules (so each metric and label exists), and each of them runs. What is said
/// of the processes' own health is PromQL.
#[tokio::test]
async fn each_query_in_the_texts_is_accepted_and_runs() {
    let mut queries: Vec<String> = Vec::new();
    for (name, text) in pages() {
        for line in typed(&text).filter(|line| !is_command(line)) {
            syntax::parse(line).unwrap_or_else(|error| panic!("{name}: {line}: {error}"));
            if name.starts_with("LLM") {
                queries.push(line.to_owned());
            }
        }
    }
    assert!(queries.len() > 20, "{queries:?}");
    for group in load("alerts") {
        for rule in group.rules {
            let Some(description) = rule.annotations.get("description") else { continue };
            let text = description.render(&BTreeMap::new(), 1.0, &BTreeMap::new());
            if let Some((_, query)) = text.split_once(" with sum by") {
                queries.push(format!("sum by{}", query.trim_end_matches('.')));
            }
        }
    }
    let rules = queries.iter().map(|query| serde_json::json!({"alert": "A", "expr": query}));
    let rules = serde_json::json!({"groups": [{"name": "g", "rules": rules.collect::<Vec<_>>()}]});
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    std::fs::write(&file, rules.to_string()).unwrap();
    assert_eq!(refusals(&format!("'{}'", file.path().display())), "");
    assert_eq!(refusals(&format!("'{}'", root().join("alerts").display())), "");
    assert!(
        refusals(&format!("'{}'", root().join("alerts/prometheus").display())).contains("there is no metric")
    );

    let memory = MemoryPool::new(MEMORY_BYTES_DEFAULT);
    let querier = Querier::new(Arc::new(MemorySource::default()), memory, Metrics::default());
    let expressions = load("alerts").into_iter().flat_map(|group| group.rules).map(|rule| rule.expr);
    for query in queries.into_iter().chain(expressions) {
        let scope = querier.scope(Tenant("acme".into()), Duration::from_secs(60));
        let answer = querier.run(&scope, &query, QueryParams::Instant { time_ms: 1_700_000_000_000 }).await;
        assert!(answer.is_ok(), "{query}: {answer:?}");
    }
}

/// A metric that a health rule names and no process has would never fire.
#[test]
fn the_health_rules_read_metrics_that_the_processes_have() {
    let lists = ["collector/metrics.txt", "agent/metrics.txt"];
    let lists = lists.map(|file| std::fs::read_to_string(root().join(file)).unwrap()).concat();
    let known: BTreeSet<String> = lists
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|line| match line.split_once(' ').unwrap() {
            (name, "counter") => format!("{name}_total"),
            (name, _) => name.to_owned(),
        })
        .collect();
    let named = load("alerts/prometheus").into_iter().flat_map(|group| group.rules).map(|rule| rule.expr);
    let pages = pages().into_iter().filter(|(name, _)| name.starts_with("Ledgerline")).map(|(_, text)| text);
    let mut seen = 0;
    for text in named.chain(pages) {
        for name in text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_') {
            if name.starts_with("ledgerline_") {
                seen += 1;
                assert!(known.contains(name), "{name} in {text}");
            }
        }
    }
    assert!(seen > 20, "{seen}");
}
