//! A load run with faults, and the proof that nothing was lost or counted twice.
//!
//! Used short by the end-to-end tests and long by `make soak`. The proof compares three sets: what the services called,
//! what the provider served, and what the record holds, in the spans and in every rollup.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::ensure;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::stack::Stack;
use crate::traffic::{self, Plan, Report};

/// A process that is killed without warning during the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victim {
    /// The collector, which takes its engine with it.
    Collector,
    /// The engine alone.
    Engine,
}

/// When to kill whom.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Time since the first call.
    pub at: Duration,
    /// Who.
    pub victim: Victim,
}

/// What a run showed.
#[derive(Debug)]
pub struct Outcome {
    /// What the services saw.
    pub report: Report,
    /// Calls in the record.
    pub recorded: u64,
    /// The agent's largest resident memory, KiB.
    pub agent_resident_kib_max: u64,
    /// From the last call's end until the last call was in the record.
    pub drained_in: Duration,
}

/// Plays the plan through the stack, kills as told, waits until everything is recorded.
///
/// # Errors
/// When a process does not come back or calls are missing after the deadline.
pub async fn run(
    stack: &mut Stack,
    plan: &Plan,
    faults: &[Fault],
    drain: Duration,
) -> anyhow::Result<Outcome> {
    let targets = stack.targets()?;
    let oracle = stack.provider.ledger();
    let owned = plan.clone();
    let traffic = tokio::spawn(async move {
        traffic::run(&owned, &targets, Some(oracle), CancellationToken::new(), |_| {}).await
    });
    let started = Instant::now();
    let mut faults: Vec<Fault> = faults.to_vec();
    faults.sort_by_key(|fault| std::cmp::Reverse(fault.at));
    let mut resident_max = 0;
    while !traffic.is_finished() {
        if faults.last().is_some_and(|fault| started.elapsed() >= fault.at)
            && let Some(fault) = faults.pop()
        {
            strike(stack, fault.victim).await?;
        }
        resident_max = resident_max.max(stack.agent.resident_kib().unwrap_or(0));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let report = traffic.await?;
    ensure!(faults.is_empty(), "the run ended before {faults:?}");
    let ended = Instant::now();
    let recorded = stack.wait_recorded(drain).await?;
    Ok(Outcome { report, recorded, agent_resident_kib_max: resident_max, drained_in: ended.elapsed() })
}

async fn strike(stack: &mut Stack, victim: Victim) -> anyhow::Result<()> {
    match victim {
        Victim::Engine => stack.kill_engine(),
        Victim::Collector => {
            stack.collector.kill();
            stack.collector.restart().await
        }
    }
}

/// Checks the run's promises and returns the lines of its report.
///
/// # Errors
/// Names the first promise that does not hold.
pub async fn prove(stack: &Stack, outcome: &Outcome) -> anyhow::Result<Vec<String>> {
    let report = &outcome.report;
    ensure!(report.client_errors == 0, "client errors: {} {:?}", report.client_errors, report.failures);
    ensure!(report.different == 0, "answers that differ: {} {:?}", report.different, report.failures);
    ensure!(
        report.skipped == 0,
        "{} calls were not made, the machine is too slow for the plan",
        report.skipped
    );
    ensure!(
        outcome.recorded == report.started,
        "{} calls made, {} recorded",
        report.started,
        outcome.recorded
    );
    let distinct = stack.sql("SELECT uniqExact(span_id) FROM spans WHERE is_call").await?;
    ensure!(
        distinct.trim() == report.started.to_string(),
        "{} calls made, {} distinct",
        report.started,
        distinct.trim()
    );
    each_answer_is_recorded_once(stack).await?;
    let mut lines = vec![
        format!("calls made {}, recorded {}, distinct {}", report.started, outcome.recorded, distinct.trim()),
        format!("answers compared {}, different {}, client errors 0", report.equal, report.different),
        format!("agent resident at most {:.1} MiB", outcome.agent_resident_kib_max as f64 / 1024.0),
        format!("everything recorded {:.2} s after the last call", outcome.drained_in.as_secs_f64()),
    ];
    lines.extend(the_accounts_agree(stack).await?);
    Ok(lines)
}

/// Every answer that the provider gave an id is in the record exactly once.
async fn each_answer_is_recorded_once(stack: &Stack) -> anyhow::Result<()> {
    let text = stack
        .sql("SELECT response_id, count() FROM spans WHERE response_id != '' GROUP BY response_id")
        .await?;
    let recorded: HashMap<&str, &str> = text.lines().filter_map(|line| line.split_once('\t')).collect();
    let served = stack.provider.calls();
    for (id, count) in &recorded {
        ensure!(*count == "1", "answer {id} is recorded {count} times");
        ensure!(
            served.iter().any(|call| call.id == **id) || served.len() < recorded.len(),
            "answer {id} was never served"
        );
    }
    Ok(())
}

/// Spans, minute, quarter and day hold the same calls and the same money, and PromQL says so too.
///
/// # Errors
/// Names the account that differs.
pub async fn the_accounts_agree(stack: &Stack) -> anyhow::Result<Vec<String>> {
    let spans = stack
        .sql("SELECT count(), toString(sum(cost)), countIf(cost IS NULL) FROM spans WHERE is_call")
        .await?;
    for tier in ["record", "minute", "quarter", "day"] {
        let rollup = stack
            .sql(&format!(
                "SELECT sum(calls), (SELECT toString(sum(amount)) FROM spend_{tier}), sumIf(calls, unpriced_reason != '') \
                 FROM calls_{tier}"
            ))
            .await?;
        ensure!(rollup == spans, "calls and spend by {tier} say {rollup:?}, spans say {spans:?}");
    }
    let cost =
        spans.split('\t').nth(1).unwrap_or_default().trim_end_matches('0').trim_end_matches('.').to_owned();
    let promql = stack.promql("sum(increase(llm_cost_usd_total[1h]))").await?;
    let increase = promql[0]["value"][1].as_str().unwrap_or_default();
    ensure!(increase == cost, "PromQL says {increase}, SQL says {cost}");
    Ok(vec![format!("spans = minutes = quarters = days = PromQL: {} USD", cost)])
}
