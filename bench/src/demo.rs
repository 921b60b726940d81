//! The whole product on one machine, as a plausible company: real processes, a mock provider, services that call it, thirty
//! days of the past, alerts; and the proof at the end that every account of the money is the same.
//!
//! It leaves nothing running and nothing behind.

pub mod accounts;
pub mod history;
pub mod prices;
pub mod scenes;
pub mod screen;
pub mod spans;

use std::collections::HashSet;
use std::time::Duration;

use anyhow::Context;
use ledgerline_mock_provider::MockOptions;
use ledgerline_process::{Clock, SystemClock};
use ledgerline_testkit::alertmanager::{Alertmanager, Webhook};
use ledgerline_testkit::http::get;
use ledgerline_testkit::stack::{Ports, Stack, StackOptions};
use ledgerline_testkit::traffic::{self, End, Plan, Report};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use accounts::Accounts;
use history::History;
use scenes::Stage;

/// Calls the provider remembers to be compared with; a demo makes a few thousand.
const CALLS_REMEMBERED: usize = 50_000;
/// How long the first call may take to reach the record.
const FIRST_CALL_DEADLINE: Duration = Duration::from_secs(60);

/// Everything that runs. Dropping it ends every process.
#[derive(Debug)]
pub struct Company {
    /// Agent, collector with its engine, and the provider.
    pub stack: Stack,
    /// A real one, which gets the alerts.
    pub alertmanager: Alertmanager,
    /// Where it delivers them.
    pub webhook: Webhook,
    history: History,
    /// Keeps Alertmanager's files.
    _directory: TempDir,
}

impl Company {
    /// Starts everything, at these ports where they are free.
    ///
    /// # Errors
    /// When a program is missing or does not become ready.
    pub async fn open(ports: Option<Ports>) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix("ledgerline-demo-").tempdir()?;
        let webhook = Webhook::start().await?;
        let alertmanager = Alertmanager::start(directory.path(), &webhook.url).await?;
        let history = History::until(SystemClock.now_unix_ns());
        let stack = Stack::start(StackOptions {
            provider: MockOptions::for_load(CALLS_REMEMBERED),
            files: vec![
                ("rules.yaml".to_owned(), RULES.to_owned()),
                ("budgets.yaml".to_owned(), budgets(&history)),
            ],
            collector_yaml: format!(
                "budgets: {{files: ['{{directory}}/budgets.yaml'], evaluation_interval_ms: 5000}}\nalerting:\n  rule_files: ['{{directory}}/rules.yaml']\n  query_offset_ms: 0\n  evaluation_interval_ms: 5000\n  \
                 receivers: [{{name: alertmanager, kind: alertmanager, url: '{}'}}]\n",
                alertmanager.url
            ),
            upstreams: scenes::UPSTREAMS.to_owned(),
            ports,
            ..StackOptions::default()
        })
        .await?;
        scenes::prepare(&stack.provider);
        Ok(Self { stack, alertmanager, webhook, history, _directory: directory })
    }

    /// Lets the services call, at this rate for so long.
    ///
    /// # Errors
    /// Never for the URLs of a stack.
    pub fn play(&self, seconds: u64, rate_per_s: f64, stop: &CancellationToken) -> anyhow::Result<Play> {
        let plan = Plan { duration: Duration::from_secs(seconds), rate_per_s, ..Plan::default() };
        let (targets, oracle) = (self.stack.targets()?, self.stack.provider.ledger());
        let (cut, rounds) = (stop.child_token(), stop.child_token());
        let traffic = tokio::spawn(async move {
            let mut whole = HashSet::new();
            let note = |outcome: &traffic::Outcome| {
                if outcome.end == End::Complete {
                    whole.extend(outcome.call_id.clone());
                }
            };
            let report = traffic::run(&plan, &targets, Some(oracle), cut, note).await;
            (report, whole)
        });
        let stage = Stage { agent: self.stack.agent.url("relay"), otlp_http: self.stack.otlp_http() };
        let last_round = rounds.clone();
        let scenes = tokio::spawn(async move { scenes::play(&stage, &last_round).await });
        Ok(Play { traffic, scenes, rounds })
    }

    /// Waits until the console's own answer holds a call.
    ///
    /// # Errors
    /// When it does not in a minute; the error shows what agent and collector logged.
    pub async fn first_call(&self) -> anyhow::Result<()> {
        let end = Instant::now() + FIRST_CALL_DEADLINE;
        let url = format!("{}/api/v1/spend?from=2024-01-01&to=2100-01-01", self.stack.api());
        while get(&url).await?.json()?["total"]["calls"].as_u64() < Some(1) {
            anyhow::ensure!(
                Instant::now() < end,
                "no call was recorded\n{}\n{}",
                self.stack.agent.log(),
                self.stack.collector.log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Sends the last thirty days.
    ///
    /// # Errors
    /// When the collector does not take them.
    pub async fn send_history(&self) -> anyhow::Result<()> {
        spans::export(&self.stack.otlp_http(), &self.history.resources).await.context("the last days")
    }

    /// Lets everybody finish, waits for every acknowledgement, reads every account and compares.
    ///
    /// # Errors
    /// When a call cannot be made or an account cannot be read.
    pub async fn settle(&self, play: Play) -> anyhow::Result<(Report, Accounts)> {
        let (report, mut whole) = play.traffic.await?;
        play.rounds.cancel();
        whole.extend(play.scenes.await??);
        let mut accounts = accounts::read(&self.stack, &self.history, &whole).await?;
        for (what, count) in [
            ("answers that differ from the provider's", report.different),
            ("errors of clients", report.client_errors),
        ] {
            if count > 0 {
                accounts.disagreements.push(format!("{count} {what}: {:?}", report.failures));
            }
        }
        Ok((report, accounts))
    }

    /// Waits until Alertmanager has been told of every budget that is spent or nearly so and of the provider that fails, and returns
    /// all that it holds, a line each.
    ///
    /// # Errors
    /// When it has not in a minute.
    pub async fn alerts(&self) -> anyhow::Result<Vec<String>> {
        let end = Instant::now() + FIRST_CALL_DEADLINE;
        loop {
            let lines = alert_lines(&self.alertmanager.alerts().await?);
            let thresholds = lines.iter().filter(|line| line.contains("LLMBudgetThreshold")).count();
            if thresholds == THRESHOLDS_REACHED && lines.iter().any(|line| line == OUTAGE) {
                return Ok(lines);
            }
            anyhow::ensure!(
                Instant::now() < end,
                "the alerts of the budgets and of the outage did not come: {lines:?}\n{}",
                self.stack.collector.log()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Ends everything in order.
    ///
    /// # Errors
    /// When a process does not end.
    pub async fn close(mut self) -> anyhow::Result<()> {
        self.stack.agent.terminate().await?;
        self.stack.collector.terminate().await?;
        Ok(())
    }
}

/// Calls under way.
#[derive(Debug)]
pub struct Play {
    traffic: JoinHandle<(Report, HashSet<String>)>,
    scenes: JoinHandle<anyhow::Result<Vec<String>>>,
    rounds: CancellationToken,
}

impl Play {
    /// Whether the services have finished.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.traffic.is_finished()
    }
}

/// A provider that fails. One failed call of a quiet provider is no outage: there must be some.
const RULES: &str = "groups:
- name: providers
  rules:
  - alert: ProviderFails
    expr: >-
      sum by (provider) (increase(llm_errors_total[5m])) / sum by (provider) (increase(llm_calls_total[5m])) > 0.5
      and sum by (provider) (increase(llm_errors_total[5m])) >= 3
    for: 10s
    labels: {severity: page}
    annotations: {summary: '{{ $value | humanizePercentage }} of the calls to {{ $labels.provider }} failed in the last 5 minutes'}
";

/// One budget that is spent, one that is nearly so, and one of the whole company that is not.
fn budgets(history: &History) -> String {
    // In whole cents.
    let amount = |picos: i128, percent: i128| {
        let cents = picos * percent / 1_000_000_000_000;
        format!("{}.{:02}", cents / 100, cents % 100)
    };
    let team = |team: &str| history.cost_by_team.get(team).copied().unwrap_or_default();
    let rolling = |name: &str, percent| {
        let amount = amount(team(name), percent);
        format!(
            "- {{name: {name}, owner: {name}-leads@example.com, match: '{{team=\"{name}\"}}', amount: {amount}, rolling: 32d}}\n"
        )
    };
    let company = amount(history.cost(), 300);
    format!(
        "kind: budgets\nbudgets:\n{}{}- {{name: company, owner: finance@example.com, amount: {company}, period: month, forecast_alert: true}}\n",
        rolling("support", 90),
        rolling("search", 115)
    )
}

/// Two thresholds of the first, one of the second.
const THRESHOLDS_REACHED: usize = 3;

/// The alert of the provider that fails, as it is shown.
const OUTAGE: &str = "  ProviderFails: groq";

/// What an Alertmanager holds, a line each: which alert, of whom. Without its text, whose amounts are of the moment at which it was sent.
#[must_use]
pub fn alert_lines(alerts: &[Value]) -> Vec<String> {
    let line = |alert: &Value| {
        let label = |name: &str| alert["labels"][name].as_str().filter(|value| !value.is_empty());
        let whose: Vec<&str> = ["provider", "budget", "threshold"].into_iter().filter_map(label).collect();
        format!("  {}: {}", label("alertname").unwrap_or_default(), whose.join(", "))
    };
    let mut lines: Vec<String> = alerts.iter().map(line).collect();
    lines.sort();
    lines
}
