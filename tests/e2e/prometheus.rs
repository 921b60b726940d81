//! Stock tools work: promtool, and every expression of the dashboard and of the rule pack.

use std::time::Duration;

use ledgerline_testkit::alertmanager::on_path;
use ledgerline_testkit::clients::{Case, Client, run_clients};
use ledgerline_testkit::stack::{Stack, StackOptions};
use serde_json::Value;

async fn promtool(arguments: &[&str]) -> String {
    let program =
        on_path("promtool").expect("promtool is not in PATH; deploy/setup/prometheus.sh fetches it");
    let output = tokio::process::Command::new(program).args(arguments).output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

async fn stack_with_calls() -> Stack {
    let stack = Stack::start(StackOptions::default()).await.unwrap();
    let case = |case, team: &str, model: Option<&str>| Case {
        case,
        scenario: "cached".into(),
        stream: true,
        model: model.map(str::to_owned),
        headers: [("x-ledgerline-team".to_owned(), team.to_owned())].into(),
        ..Case::default()
    };
    let cases = [case(0, "search", None), case(1, "search", None), case(2, "payments", None)];
    run_clients(Client::OpenAi, &stack.openai(), 1, &cases, Duration::from_secs(60)).await.unwrap();
    assert_eq!(stack.wait_recorded(Duration::from_secs(60)).await.unwrap(), 3);
    stack
}

/// Scenario: Debian's promtool asks instant, range, series and labels queries.
/// Guarantees: it understands every answer, and the numbers are those of the calls made.
#[tokio::test(flavor = "multi_thread")]
async fn promtool_reads_us_as_it_reads_prometheus() {
    let stack = stack_with_calls().await;
    let server = stack.prometheus();
    let instant =
        promtool(&["query", "instant", &server, "sum by (team) (increase(llm_calls_total[1h]))"]).await;
    let mut lines: Vec<&str> = instant.lines().filter_map(|line| line.split(" @").next()).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["{team=\"payments\"} => 1", "{team=\"search\"} => 2"]);
    let range = promtool(&["query", "range", "--step=15s", &server, "sum(llm_calls_total)"]).await;
    assert!(range.contains("3 @["), "{range}");
    let series = promtool(&["query", "series", "--match=llm_calls_total{team=\"search\"}", &server]).await;
    assert!(series.contains("team=\"search\"") && !series.contains("payments"), "{series}");
    let teams = promtool(&["query", "labels", &server, "team"]).await;
    assert_eq!(teams.lines().collect::<Vec<_>>(), ["payments", "search"]);
}

/// Scenario: every expression of the shipped dashboard, with Grafana's variables filled in as Grafana does.
/// Guarantees: each evaluates; those that count calls and money find data.
#[tokio::test(flavor = "multi_thread")]
async fn every_panel_of_the_dashboard_answers() {
    let stack = stack_with_calls().await;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../dashboards/ledgerline-overview.json");
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut with_data = 0;
    for panel in panels {
        let expression = panel["targets"][0]["expr"].as_str().unwrap();
        let filled = ["$environment", "$team", "$model"]
            .iter()
            .fold(expression.to_owned(), |text, variable| text.replace(variable, ".*"))
            .replace("$__range", "6h")
            .replace("$__interval", "1m");
        let result =
            stack.promql(&filled).await.unwrap_or_else(|error| panic!("{}: {error}", panel["title"]));
        with_data += usize::from(!result.as_array().unwrap().is_empty());
    }
    assert!(with_data >= panels.len() - 2, "{with_data} of {} panels have data", panels.len());
}

/// Scenario: the shipped rule pack, read by promtool and by our own check.
/// Guarantees: promtool accepts the rules and their tests pass; so does the collector.
#[tokio::test(flavor = "multi_thread")]
async fn the_rule_pack_is_plain_prometheus() {
    let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../alerts"));
    let mut rules = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with("_test.yaml") {
            promtool(&["test", "rules", path.to_str().unwrap()]).await;
        } else if name.ends_with(".yaml") {
            promtool(&["check", "rules", path.to_str().unwrap()]).await;
            rules.push(path);
        }
    }
    assert!(rules.len() >= 3, "{rules:?}");
}

/// Scenario: queries that are wrong in the ways people and programs get them wrong.
/// Guarantees: Prometheus's status, errorType and a text that says what to do; nothing is evaluated half.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_queries_are_refused_as_prometheus_refuses_them() {
    let stack = Stack::start(StackOptions::default()).await.unwrap();
    let base = format!("{}/api/v1", stack.prometheus());
    for (path, status, error_type) in [
        ("query?query=sum(", 400, "bad_data"),
        ("query?query=up&time=never", 400, "bad_data"),
        ("query", 400, "bad_data"),
        ("query_range?query=up&start=0&end=100000&step=1", 400, "bad_data"),
        ("query_range?query=up&start=10&end=0&step=1", 400, "bad_data"),
        ("query_range?query=up&start=0&end=10&step=0", 400, "bad_data"),
        ("query?query=up%5B5m%5D%7B", 400, "bad_data"),
    ] {
        let answer = ledgerline_testkit::http::get(&format!("{base}/{path}")).await.unwrap();
        let json = answer.json().unwrap();
        assert_eq!(
            (answer.status.as_u16(), json["errorType"].as_str()),
            (status, Some(error_type)),
            "{path}: {json}"
        );
        assert!(json["error"].as_str().is_some_and(|text| !text.is_empty()), "{path}: {json}");
    }
}
