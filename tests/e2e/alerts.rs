//! A budget rule in a plain Prometheus rule file reaches a real Alertmanager and a webhook, and is taken back.

use std::time::Duration;

use ledgerline_testkit::alertmanager::{Alertmanager, Webhook};
use ledgerline_testkit::clients::{Case, Client, run_clients};
use ledgerline_testkit::stack::{Stack, StackOptions};
use serde_json::Value;

const RULES: &str = "groups:
- name: budgets
  rules:
  - alert: TeamBudgetExceeded
    expr: sum by (team) (increase(llm_cost_usd_total[8s])) > 0.000001
    for: 1s
    labels: {severity: page}
    annotations:
      summary: 'team {{ $labels.team }} spent {{ $value | printf \"%.7f\" }} USD'
";

fn is(status: &str, notification: &Value) -> bool {
    notification["alerts"].as_array().is_some_and(|alerts| {
        alerts.iter().any(|alert| {
            alert["status"] == status
                && alert["labels"]["alertname"] == "TeamBudgetExceeded"
                && alert["labels"]["team"] == "search"
                && alert["labels"]["severity"] == "page"
        })
    })
}

/// Scenario: a team spends more than its rule allows, then nothing for longer than the rule's window.
/// Guarantees: after `for`, the alert fires in Alertmanager, in Alertmanager's webhook and in our own webhook, with the
/// labels of the series and the rule and the annotation filled in; then both webhooks hear that it is resolved; the
/// rules API shows it.
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_budget_fires_and_resolves_everywhere() {
    let directory = tempfile::tempdir().unwrap();
    let behind_alertmanager = Webhook::start().await.unwrap();
    let own = Webhook::start().await.unwrap();
    let alertmanager = Alertmanager::start(directory.path(), &behind_alertmanager.url).await.unwrap();
    let collector_yaml = format!(
        "alerting:\n  rule_files: ['{{directory}}/rules.yaml']\n  query_offset_ms: 0\n  evaluation_interval_ms: 1000\n  receivers:\n  \
         - {{name: am, kind: alertmanager, url: '{}'}}\n  - {{name: hook, kind: webhook, url: '{}'}}\n",
        alertmanager.url, own.url
    );
    let files = vec![("rules.yaml".to_owned(), RULES.to_owned())];
    let stack =
        Stack::start(StackOptions { collector_yaml, files, ..StackOptions::default() }).await.unwrap();

    let headers = [("x-ledgerline-team".to_owned(), "search".to_owned())].into();
    let case = Case { scenario: "plain".into(), headers, ..Case::default() };
    run_clients(Client::OpenAi, &stack.openai(), 1, &[case], Duration::from_secs(60)).await.unwrap();

    let patience = Duration::from_secs(60);
    let fired = own.wait_for(patience, |notification| is("firing", notification)).await.unwrap();
    let summary = fired["alerts"][0]["annotations"]["summary"].as_str().unwrap();
    assert!(summary.starts_with("team search spent 0.0000"), "{summary}");
    behind_alertmanager.wait_for(patience, |notification| is("firing", notification)).await.unwrap();
    let rules = ledgerline_testkit::http::get(&format!("{}/api/v1/rules", stack.prometheus()))
        .await
        .unwrap()
        .json()
        .unwrap();
    assert_eq!(rules["data"]["groups"][0]["rules"][0]["name"], "TeamBudgetExceeded", "{rules}");
    own.wait_for(patience, |notification| is("resolved", notification)).await.unwrap();
    behind_alertmanager.wait_for(patience, |notification| is("resolved", notification)).await.unwrap();
}

/// Scenario: the shipped pack as it is, of which the watchdog fires at once, and a webhook.
/// Guarantees: the notification's link to the alert and its link to the runbook open, and so does the address at which Prometheus would
/// show an expression; the runbook has a page for every rule of the pack.
#[tokio::test(flavor = "multi_thread")]
async fn every_link_of_the_shipped_alerts_opens() {
    let own = Webhook::start().await.unwrap();
    let pack = concat!(env!("CARGO_MANIFEST_DIR"), "/../alerts");
    let collector_yaml = format!(
        "alerting:\n  rule_files: ['{pack}']\n  external_url: 'http://ledgerline.example'\n  receivers:\n  \
         - {{name: hook, kind: webhook, url: '{}'}}\n",
        own.url
    );
    let stack = Stack::start(StackOptions { collector_yaml, ..StackOptions::default() }).await.unwrap();
    let api = stack.api();
    let open = async |link: &str| {
        let path = link.strip_prefix("http://ledgerline.example").unwrap_or_else(|| panic!("{link}"));
        let answer = ledgerline_testkit::http::get(&format!("{api}{path}")).await.unwrap();
        assert_eq!(answer.status, 200, "{link}: {}", answer.text());
        answer.text()
    };

    let is_watchdog =
        |notification: &Value| notification["alerts"][0]["labels"]["alertname"] == "LLMWatchdog";
    // Its group is evaluated each minute.
    let fired = own.wait_for(Duration::from_secs(150), is_watchdog).await.unwrap();
    let alert = &fired["alerts"][0];
    let link = alert["generatorURL"].as_str().unwrap();
    let fingerprint = alert["fingerprint"].as_str().unwrap();
    assert_eq!(link, format!("http://ledgerline.example/alerts?alert=LLMWatchdog&fingerprint={fingerprint}"));
    assert!(open(link).await.contains("<html"), "the console is a page");
    let runbook = alert["annotations"]["runbook_url"].as_str().unwrap();
    assert!(open(runbook).await.starts_with("# LLMWatchdog\n"));

    let rules = ledgerline_testkit::http::get(&format!("{}/api/v1/rules", stack.prometheus())).await.unwrap();
    let rules = rules.json().unwrap();
    let groups = rules["data"]["groups"].as_array().unwrap();
    let mut opened = 0;
    for rule in groups.iter().flat_map(|group| group["rules"].as_array().unwrap()) {
        let name = rule["name"].as_str().unwrap();
        assert!(
            open(rule["annotations"]["runbook_url"].as_str().unwrap())
                .await
                .starts_with(&format!("# {name}\n"))
        );
        opened += 1;
    }
    assert!(opened >= 16, "{opened} rules");

    let graph =
        ledgerline_testkit::http::get(&format!("{}/graph?g0.expr=up", stack.prometheus())).await.unwrap();
    assert_eq!((graph.status.as_u16(), graph.headers["location"].to_str().unwrap()), (307, "../alerts"));
    let nothing = ledgerline_testkit::http::get(&format!("{api}/runbook/Nothing")).await.unwrap();
    assert_eq!(nothing.status, 404);
}
