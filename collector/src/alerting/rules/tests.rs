//! Rule files: what loads, and what is said about what does not.

use super::*;
use proptest::prelude::*;

pub const DEFAULTS: Defaults<'_> = Defaults {
    interval: Duration::from_secs(15),
    query_offset: Duration::from_secs(10),
    accept: &|_| Ok(()),
};

pub fn load(file: &str, text: &str) -> Result<Vec<Group>, Vec<String>> {
    load_with(DEFAULTS, file, text)
}

fn load_with(defaults: Defaults<'_>, file: &str, text: &str) -> Result<Vec<Group>, Vec<String>> {
    let mut problems = Problems::default();
    let groups = parse(file, text, defaults, &mut problems);
    problems.into_result(Some(groups)).map_err(|found| found.iter().map(ToString::to_string).collect())
}

fn pack(text: &str) -> Result<Vec<Group>, Vec<String>> {
    load("pack.yaml", text)
}

fn problems(text: &str) -> Vec<String> {
    pack(text).expect_err("the file must be refused")
}

#[track_caller]
fn refused(rule: &str, part: &str) {
    let text = format!("groups:\n- name: g\n  rules:\n  - {rule}\n");
    let found = problems(&text);
    assert_eq!(found.len(), 1, "{rule}: {found:?}");
    assert!(found[0].contains(part), "{rule}: {found:?}");
}

#[test]
fn a_plain_prometheus_file_loads_unchanged() {
    let groups = pack(
        r#"
groups:
- name: spend
  interval: 1m
  limit: 10
  query_offset: 30s
  labels: {owner: finops, severity: info}
  rules:
  - alert: TeamOverBudget
    expr: |
      sum by (team) (increase(llm_cost_usd_total[1d])) > 100
    for: 1h30m
    keep_firing_for: 5m
    labels:
      severity: page
      tier: 1.0
      _A9_z: x
    annotations:
      summary: "{{ $labels.team }} spent {{ $value | printf \"%.2f\" }} USD"
- name: empty
"#,
    )
    .unwrap();
    assert_eq!(groups.len(), 2);
    let group = &groups[0];
    assert_eq!((group.file.as_str(), group.name.as_str()), ("pack.yaml", "spend"));
    assert_eq!(group.interval, Duration::from_secs(60));
    assert_eq!(group.query_offset, Duration::from_secs(30));
    assert_eq!(group.limit, Some(10));
    let rule = &group.rules[0];
    assert_eq!(rule.name, "TeamOverBudget");
    assert_eq!(rule.expr, "sum by (team) (increase(llm_cost_usd_total[1d])) > 100");
    assert_eq!(rule.hold, Duration::from_secs(5400));
    assert_eq!(rule.keep_firing_for, Duration::from_secs(300));
    let labels: Vec<_> =
        rule.labels.iter().map(|(name, text)| (name.as_str(), text.source.as_str())).collect();
    // The rule's label wins over the group's, and a number stays the text it was written as.
    assert_eq!(labels, [("_A9_z", "x"), ("owner", "finops"), ("severity", "page"), ("tier", "1.0")]);
    assert!(groups[1].rules.is_empty());
}

#[test]
fn files_without_groups_are_empty_rule_sets() {
    for text in ["", "# only a comment\n", "groups:", "groups: []", "{}"] {
        assert!(pack(text).unwrap().is_empty(), "{text:?}");
    }
}

#[test]
fn zero_limits_and_intervals_mean_the_default() {
    let groups = pack("groups: [{name: g, interval: 0s, limit: 0, rules: [{alert: A, expr: 1}]}]").unwrap();
    assert_eq!((groups[0].interval, groups[0].limit), (DEFAULTS.interval, None));
    assert_eq!(groups[0].rules[0].expr, "1");
}

#[test]
fn every_problem_of_a_file_is_reported_at_once_with_its_place() {
    let found = problems(
        r#"
unknown: 1
groups:
- name: a
  intervall: 1m
  interval: 1 minute
  limit: many
  labels: {__name__: x}
  rules:
  - alert: Broken
    expr: sum(
    fro: 5m
    for: 5 m
    labels: {a-b: x, ok: "{{ if }}"}
    annotations: {summary: "{{ $value"}
  - expr: up
- name: a
  rules:
  - {alert: NoExpr}
- rules: []
"#,
    );
    let starts = [
        "pack.yaml: unknown key \"unknown\"",
        "pack.yaml: group \"a\": unknown key \"intervall\"; remove it or use one of: name, interval,",
        "pack.yaml: group \"a\": interval: not a valid duration string: \"1 minute\"; write for example 5m or 1h30m",
        "pack.yaml: group \"a\": limit: \"many\"",
        "pack.yaml: group \"a\": group label \"__name__\"",
        "pack.yaml: group \"a\": rule 1 \"Broken\": unknown key \"fro\"",
        "pack.yaml: group \"a\": rule 1 \"Broken\": expr is not valid PromQL",
        "pack.yaml: group \"a\": rule 1 \"Broken\": for: not a valid duration string: \"5 m\"",
        "pack.yaml: group \"a\": rule 1 \"Broken\": label \"a-b\"",
        "pack.yaml: group \"a\": rule 1 \"Broken\": label \"ok\": template, character 4",
        "pack.yaml: group \"a\": rule 1 \"Broken\": annotation \"summary\": template",
        "pack.yaml: group \"a\": rule 2: the rule has neither alert: nor record:",
        "pack.yaml: group \"a\": the file has two groups of this name",
        "pack.yaml: group \"a\": rule 1 \"NoExpr\": the rule has no expr:",
        "pack.yaml: group 3: the group has no name",
    ];
    assert_eq!(found.len(), starts.len(), "{found:#?}");
    for (line, start) in found.iter().zip(starts) {
        assert!(line.starts_with(start), "want {start:?} in {line:?}");
    }
}

#[test]
fn rules_that_could_never_work_are_refused() {
    refused("{alert: A, expr: 'up[5m]'}", "expr gives a range vector");
    refused("{alert: A, expr: '\"text\"'}", "expr gives a string");
    refused("{alert: A, expr: 'foo('}", "not valid PromQL");
    refused("{alert: A, expr: up, expr: down}", "groups[0].rules[0]: duplicate field `expr`");
    refused("{alert: A, expr: up, labels: {a: 1, a: 2}}", "label \"a\" stands here twice");
    refused("{alert: A, expr: up, keep_firing_for: x}", "keep_firing_for");
    for name in ["", "9a", "a b", "a:b", "\u{fc}", "a.b"] {
        refused(&format!("{{alert: A, expr: up, annotations: {{{name:?}: x}}}}"), "not a usable name");
    }
    refused(
        "{alert: A, expr: up, annotations: {a: '{{ query \"up[\" | first | value }}'}}",
        "annotation \"a\": up[: expr is not valid",
    );
    refused("{alert: A, record: b, expr: up}", "both alert: and record:");
    refused("{record: 'team:spend:1h', expr: up}", "recording rules are not supported; remove the rule");
}

#[test]
fn deep_and_long_input_is_read_or_refused_but_never_crashes() {
    let nested = |depth: usize| format!("{{alert: A, expr: '{}1{}'}}", "(".repeat(depth), ")".repeat(depth));
    let file = |rule: &str| format!("groups: [{{name: g, rules: [{rule}]}}]");
    assert!(pack(&file(&nested(64))).is_ok());
    refused(&nested(65), "its nesting depth is 65, the limit is 64");
    refused(&nested(10_000), "its length in bytes is 20001, the limit is 16384");
    let signs = |count: usize| format!("{{alert: A, expr: '{}1'}}", "-".repeat(count));
    assert!(pack(&file(&signs(500))).is_ok());
    refused(&signs(15_000), "its number of operators is 501, the limit is 500");
    problems(&format!("groups: {}", "[".repeat(5_000)));
}

#[test]
fn an_expression_the_query_source_cannot_evaluate_is_refused() {
    let text = "groups: [{name: g, rules: [{alert: A, expr: 'up > 1'}]}]";
    let accept = |_: &str| Err("use only selectors".to_owned());
    let found = load_with(Defaults { accept: &accept, ..DEFAULTS }, "f", text).unwrap_err();
    assert_eq!(found[0], "f: group \"g\": rule 1 \"A\": expr cannot be evaluated here: use only selectors");
}

#[test]
fn yaml_that_is_no_rule_file_is_refused_with_the_position() {
    for text in [
        "- a\n- b\n",
        "groups: 5\n",
        "groups:\n- name: [a]\n",
        "groups:\n\t- x",
        "a: 1\n---\nb: 2\n",
        "groups: [1]",
    ] {
        let found = problems(text);
        assert!(found[0].starts_with("pack.yaml: not a rule file: "), "{text:?}: {found:?}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_loader_panic(text in "(groups:|- name: |rules:|alert: A|expr: up|for: 5m|\\n|  |[a-z:{}\\[\\]\"'&*]){0,30}") {
        let _ = pack(&text);
    }
}
