//! The whole product on one machine, for a few minutes: real processes, a mock provider, services that call it.
//!
//! Shows what the record says while it fills, lets one team break its budget, and proves at the end that SQL, PromQL and
//! the provider agree. It leaves nothing running and nothing behind.
#![allow(clippy::print_stdout, reason = "a demo is there to be read on a terminal")]

use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use ledgerline_bench::{table, terminal};
use ledgerline_mock_provider::MockOptions;
use ledgerline_process::shutdown;
use ledgerline_testkit::alertmanager::{Alertmanager, Webhook};
use ledgerline_testkit::stack::{Stack, StackOptions};
use ledgerline_testkit::traffic::{self, Plan, Report};
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Calls the provider remembers to be compared with; a demo makes a few thousand.
const CALLS_REMEMBERED: usize = 50_000;

/// Runs Ledgerline on this machine with a mock provider and several services that call it.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// How long the services call, in seconds.
    #[arg(long, default_value_t = 180)]
    seconds: u64,
    /// Calls per second.
    #[arg(long, default_value_t = 8.0)]
    rate: f64,
    /// What the team `support` may spend in ten minutes, in USD, before its budget alert fires.
    #[arg(long, default_value = "0.25")]
    budget_usd: String,
    /// End when the services have finished, instead of serving until Ctrl-C.
    #[arg(long)]
    exit: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let stop = shutdown::on_signal()?;
    let started = Instant::now();
    println!("Starting: provider, Alertmanager, collector with its ClickHouse engine, agent ...");
    tokio::select! {
        biased;
        // Dropping what runs ends every process it started.
        () = stop.cancelled() => println!("\nStopped; nothing is left running."),
        result = play(&options, started, stop.clone()) => result?,
    }
    Ok(())
}

async fn play(options: &Options, started: Instant, stop: CancellationToken) -> anyhow::Result<()> {
    let directory = tempfile::Builder::new().prefix("ledgerline-demo-").tempdir()?;
    let webhook = Webhook::start().await?;
    let alertmanager = Alertmanager::start(directory.path(), &webhook.url).await?;
    let mut stack = Stack::start(StackOptions {
        provider: MockOptions::for_load(CALLS_REMEMBERED),
        files: vec![("budget.yaml".to_owned(), budget_rule(&options.budget_usd))],
        collector_yaml: format!(
            "alerting:\n  rule_files: ['{{directory}}/budget.yaml']\n  query_offset_ms: 0\n  evaluation_interval_ms: 5000\n  \
             receivers: [{{name: alertmanager, kind: alertmanager, url: '{}'}}]\n",
            alertmanager.url
        ),
        ..StackOptions::default()
    })
    .await?;
    println!(
        "Ready after {:.1} s. Services begin to call through the agent.",
        started.elapsed().as_secs_f64()
    );

    let plan =
        Plan { duration: Duration::from_secs(options.seconds), rate_per_s: options.rate, ..Plan::default() };
    let targets = stack.targets()?;
    let oracle = stack.provider.ledger();
    let cut = stop.child_token();
    let traffic = tokio::spawn(async move { traffic::run(&plan, &targets, Some(oracle), cut, |_| {}).await });
    let first = stack.wait_for_calls(1, Duration::from_secs(60)).await;
    first
        .with_context(|| format!("no call was recorded\n{}\n{}", stack.agent.log(), stack.collector.log()))?;
    println!("First priced call {:.1} s after the start.", started.elapsed().as_secs_f64());
    watch(&stack, &alertmanager, &traffic, options.seconds).await?;
    let report = traffic.await?;
    prove(&stack, &report).await?;
    println!("{}", notifications(&webhook.received()));
    println!("{}", where_to_look(&stack, &alertmanager.url));
    if !options.exit && terminal::is_watched() {
        println!("\nServing. Ctrl-C ends it and leaves nothing running.");
        stop.cancelled().await;
    }
    stack.agent.terminate().await?;
    stack.collector.terminate().await?;
    Ok(())
}

fn budget_rule(budget_usd: &str) -> String {
    format!(
        "groups:\n- name: budgets\n  rules:\n  - alert: TeamBudgetExceeded\n    \
         expr: sum by (team) (increase(llm_cost_usd_total{{team=\"support\"}}[10m])) > {budget_usd}\n    for: 10s\n    \
         labels: {{severity: page}}\n    annotations:\n      \
         summary: 'team {{{{ $labels.team }}}} has spent {{{{ $value | printf \"%.4f\" }}}} USD in ten minutes, its budget is {budget_usd}'\n"
    )
}

/// Draws the table until the services have finished.
async fn watch(
    stack: &Stack,
    alertmanager: &Alertmanager,
    traffic: &tokio::task::JoinHandle<Report>,
    seconds: u64,
) -> anyhow::Result<()> {
    let began = Instant::now();
    terminal::clear();
    let pause = if terminal::is_watched() { terminal::REFRESH } else { terminal::REPRINT };
    loop {
        let alerts = alertmanager.alerts().await?;
        let page = format!(
            "Ledgerline demo, {} of {seconds} s\n\n{}\n{}\n",
            began.elapsed().as_secs(),
            table::render(&table::read(&stack.engine()?).await?),
            firing(&alerts)
        );
        terminal::show(&page);
        let end = Instant::now() + pause;
        while Instant::now() < end {
            if traffic.is_finished() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

fn firing(alerts: &[Value]) -> String {
    if alerts.is_empty() {
        return "Alertmanager: no alert.".to_owned();
    }
    let lines: Vec<String> = alerts
        .iter()
        .map(|alert| {
            format!("Alertmanager: {}", alert["annotations"]["summary"].as_str().unwrap_or_default())
        })
        .collect();
    lines.join("\n")
}

/// The three accounts that must agree, and what the clients saw.
async fn prove(stack: &Stack, report: &Report) -> anyhow::Result<()> {
    let stored = stack.wait_recorded(Duration::from_secs(20)).await?;
    let sql = stack.sql("SELECT toString(sum(cost)) FROM spans").await?;
    let rollup = stack.sql("SELECT toString(sum(amount)) FROM spend_day").await?;
    let promql = stack.promql("sum(increase(llm_cost_usd_total[1h]))").await?;
    println!("\nThe accounts");
    println!("  calls made by the services {}, recorded {stored}", report.started);
    println!(
        "  answers compared byte for byte with the provider: {} equal, {} different; client errors {}",
        report.equal, report.different, report.client_errors
    );
    println!("  spend by SQL on spans   {} USD", sql.trim());
    println!("  spend by SQL on days    {} USD", rollup.trim());
    println!("  spend by PromQL         {} USD", promql[0]["value"][1].as_str().unwrap_or("none"));
    Ok(())
}

fn notifications(received: &[Value]) -> String {
    let lines: Vec<String> = received
        .iter()
        .flat_map(|notification| notification["alerts"].as_array().cloned().unwrap_or_default())
        .map(|alert| {
            format!(
                "  {} {}: {}",
                alert["status"].as_str().unwrap_or_default(),
                alert["labels"]["alertname"].as_str().unwrap_or_default(),
                alert["annotations"]["summary"].as_str().unwrap_or_default()
            )
        })
        .collect();
    format!("\nDelivered by Alertmanager to its webhook\n{}", lines.join("\n"))
}

fn where_to_look(stack: &Stack, alertmanager: &str) -> String {
    format!(
        "\nWhere to look\n  the console    {}/\n  agent          {}\n  collector      {}/ready  {}/metrics\n  Prometheus API {}\n  \
         ClickHouse     {}\n  Alertmanager   {alertmanager}\n\nAdd it to a Grafana, no plugin needed\n  \
         1. Connections, Data sources, Add: Prometheus\n  2. URL: {}   then Save & test\n  \
         3. Dashboards, New, Import: dashboards/ledgerline-overview.json",
        stack.api(),
        stack.openai(),
        stack.api(),
        stack.api(),
        stack.prometheus(),
        stack.engine().unwrap_or_default(),
        stack.prometheus()
    )
}
