//! Debian's promtool (Prometheus 2.42) judges the same expressions: what it accepts is read here, what it refuses is refused here.
//! What the language has gained since is listed by name, each with its reason.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use ledgerline_promql::syntax::ParseError;
use ledgerline_promql::{QueryError, QueryParams, plan};

use crate::generator::Generator;

/// The functions and aggregations that came after promtool 2.42.
const NEWER_FUNCTIONS: &[&str] = &[
    "double_exponential_smoothing",
    "first_over_time",
    "histogram_avg",
    "histogram_quantiles",
    "histogram_stddev",
    "histogram_stdvar",
    "limit_ratio",
    "limitk",
    "mad_over_time",
    "max_of",
    "min_of",
    "range",
    "sort_by_label",
    "sort_by_label_desc",
    "step",
    "ts_of_first_over_time",
    "ts_of_last_over_time",
    "ts_of_max_over_time",
    "ts_of_min_over_time",
];

/// What else Prometheus 3 reads and promtool 2.42 does not: a part of the text, a part of promtool's complaint, and why.
const NEWER: &[(&str, &str, &str)] = &[
    ("start()", "unexpected \"(\"", "start() became a function"),
    ("end()", "unexpected \"(\"", "end() became a function"),
    ("[", "missing unit character in duration", "a range may be a number of seconds"),
    ("offset", "in offset, expected duration", "an offset may be a number of seconds"),
    ("offset", "duration must be greater than 0", "an offset may be 0"),
    (":", "in grouping opts, expected label", "a label's name may hold any character, a colon too"),
    (":", "in subquery selector, expected duration", "a step may be a number of seconds"),
    ("", "unexpected duration", "a number may be a duration"),
    (" 1h)", "trailing commas not allowed", "a number may be a duration"),
    (" 50m)", "trailing commas not allowed", "a number may be a duration"),
];

/// What promtool 2.42 accepts and is refused here: a part of the text, a part of our complaint, and why.
const OLDER: &[(&str, &str, &str)] = &[(
    "\\x",
    "invalid UTF-8 rune",
    "a label's value is UTF-8 here, so bytes that are not can match nothing",
)];

/// What promtool says of each text; `None` where it has no complaint.
fn judge(texts: &[String]) -> Vec<Option<String>> {
    let mut rules = String::from("groups:\n- name: g\n  rules:\n");
    for (at, text) in texts.iter().enumerate() {
        let mut quoted = String::new();
        for c in text.chars() {
            match c {
                _ if c.is_ascii_alphanumeric() => quoted.push(c),
                _ => write!(quoted, "\\U{:08x}", u32::from(c)).unwrap(),
            }
        }
        writeln!(rules, "  - record: r{at}\n    expr: \"{quoted}\"").unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.yaml");
    std::fs::write(&file, rules).unwrap();
    let output = Command::new("promtool").args(["check", "rules"]).arg(&file).output();
    let output = output.expect("promtool is not in PATH: deploy/setup/prometheus.sh fetches it");
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    let mut verdicts = vec![None; texts.len()];
    for line in said.lines() {
        let Some((place, complaint)) = line.split_once("could not parse expression: ") else { continue };
        let number = place.split("rule ").nth(1).and_then(|rest| rest.split(',').next()).unwrap();
        let at: usize = number.parse::<usize>().unwrap() - 1;
        verdicts[at].get_or_insert_with(|| complaint.to_owned());
    }
    let refused = verdicts.iter().filter(|verdict| verdict.is_some()).count();
    assert!(output.status.success() == (refused == 0), "promtool said what is not understood here:\n{said}");
    verdicts
}

/// Our verdict: what cannot be evaluated here is still read.
fn ours(text: &str) -> Option<String> {
    match plan(text, QueryParams::Instant { time_ms: 0 }) {
        Err(error @ QueryError::Parse(ParseError::Syntax(_))) => Some(error.to_string()),
        _ => None,
    }
}

/// Every expression of Prometheus's own scripts, if they are beside the repository.
fn scripts() -> Vec<String> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/promqltest");
    let folder = std::env::var_os("LEDGERLINE_PROMQLTEST_DIR").map_or(beside, PathBuf::from);
    let Ok(entries) = std::fs::read_dir(&folder) else { return Vec::new() };
    let mut texts = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "test") {
            texts.extend(std::fs::read_to_string(path).unwrap().lines().filter_map(evaluated));
        }
    }
    texts
}

/// The expression of an `eval` line.
fn evaluated(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let skipped = match (words.next()?.starts_with("eval"), words.next()?) {
        (true, "instant") => 4,
        (true, "range") => 8,
        _ => return None,
    };
    let mut rest = line.trim();
    for _ in 0..skipped {
        rest = rest.split_once(char::is_whitespace)?.1.trim_start();
    }
    Some(rest.to_owned())
}

/// Every expression of the dashboards and the rules that are shipped, with Grafana's variables filled in.
fn shipped() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut texts = Vec::new();
    for folder in ["dashboards", "alerts"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let value: serde_json::Value = match path.extension().and_then(|extension| extension.to_str()) {
                Some("json") => serde_json::from_str(&text).unwrap(),
                Some("yaml") => yaml_serde::from_str(&text).unwrap(),
                _ => continue,
            };
            collect(&value, &mut texts);
        }
    }
    for (variable, value) in [("$__rate_interval", "5m"), ("$__interval", "1m"), ("$__range", "1h")] {
        texts.iter_mut().for_each(|text| *text = text.replace(variable, value));
    }
    texts
}

fn collect(value: &serde_json::Value, texts: &mut Vec<String>) {
    match value {
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, texts)),
        serde_json::Value::Object(fields) => {
            for (name, field) in fields {
                match field.as_str() {
                    Some(text) if name == "expr" => texts.push(text.to_owned()),
                    _ => collect(field, texts),
                }
            }
        }
        _ => {}
    }
}

fn generated() -> Vec<String> {
    let mut texts = Vec::new();
    for seed in 1..=1_500 {
        texts.push(Generator::new(seed * 104_729, 80, true).expression());
        texts.push(Generator::new(seed * 15_485_863, 20, true).expression());
        texts.push(Generator::new(seed * 32_452_843, 80, true).broken());
    }
    texts
}

/// How many texts both accept, both refuse, and both refuse in the same words at the same place.
#[derive(Debug, Default)]
struct Agreement {
    accepted: usize,
    refused: usize,
    same_words: usize,
}

/// Compares all verdicts, which must agree but for the listed ones.
fn compare(texts: &[String]) -> Agreement {
    let (mut agreement, mut wrong) = (Agreement::default(), String::new());
    for (text, theirs) in texts.iter().zip(judge(texts)) {
        let listed = |list: &[(&str, &str, &str)], said: &str| {
            let newer =
                said.split_once("unknown function with name ").map(|(_, name)| name.trim_matches('"'));
            newer.is_some_and(|name| NEWER_FUNCTIONS.contains(&name))
                || list.iter().any(|(part, complaint, _)| text.contains(part) && said.contains(complaint))
        };
        match (ours(text), theirs) {
            (None, None) => agreement.accepted += 1,
            (Some(here), Some(said)) => {
                agreement.refused += 1;
                agreement.same_words += usize::from(here.ends_with(&said));
            }
            (None, Some(said)) if listed(NEWER, &said) => {}
            (Some(said), None) if listed(OLDER, &said) => {}
            (ours, theirs) => {
                writeln!(wrong, "{text}\n    here:     {ours:?}\n    promtool: {theirs:?}").unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{} texts are judged differently:\n{wrong}", wrong.lines().count() / 3);
    agreement
}

#[test]
fn promtool_reads_and_refuses_the_same_expressions() {
    let mut texts = shipped();
    assert!(texts.len() >= 20, "found only {} expressions in dashboards and alerts", texts.len());
    texts.extend(generated());
    texts.retain(|text| !text.trim().is_empty());
    let agreement = compare(&texts);
    let Agreement { accepted, refused, same_words } = agreement;
    assert!(accepted > 1_000 && refused > 1_000, "too few of one to prove anything: {agreement:?}");
    // The rest is said in the words of a newer version, or is the second of two mistakes.
    assert!(same_words * 100 > refused * 93, "Prometheus's words are missed: {agreement:?}");
}

#[test]
fn the_expressions_of_prometheus_scripts_are_judged_alike() {
    let texts = scripts();
    if texts.is_empty() {
        eprintln!("not compared: Prometheus's scripts are not here; set LEDGERLINE_PROMQLTEST_DIR");
        return;
    }
    let Agreement { accepted, .. } = compare(&texts);
    assert!(accepted > 800, "only {accepted} of {} expressions are accepted by both", texts.len());
}

#[test]
fn every_expression_of_prometheus_scripts_parses() {
    let texts = scripts();
    // Two lines of the scripts must fail, and fail here because their strings are not UTF-8.
    let not_text = |text: &str| text.contains("\"a\\xc5z\"") || text.contains("\"\\xff\"");
    let read = texts.iter().filter(|text| !not_text(text));
    let unread: Vec<String> = read.filter_map(|text| Some(format!("{text}\n    {}", ours(text)?))).collect();
    assert!(unread.is_empty(), "{} of {} are not read:\n{}", unread.len(), texts.len(), unread.join("\n"));
    assert!(texts.is_empty() || texts.len() > 1_000, "only {} expressions were found", texts.len());
}
