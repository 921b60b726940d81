//! The accounts of one record that must be the same: what the provider says it served, SQL, PromQL and the spend API; and the verdict.
//!
//! Read when everything is acknowledged. The provider's word is its own counts at prices that a person wrote down; it covers the
//! answers that arrived whole, for nobody but us counts what a client that left has received.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Context;
use http::Method;
use ledgerline_mock_provider::{ServedCall, ServedEnd};
use ledgerline_testkit::http::get;
use ledgerline_testkit::stack::Stack;
use serde_json::Value;

use super::history::{History, TRACE_PREFIX};
use super::prices::{self, dollars, picos};

/// How long the agent and the collector may take to acknowledge the last call.
const DEADLINE: Duration = Duration::from_secs(60);

/// What the accounts say.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    /// For people, a line each.
    pub lines: Vec<String>,
    /// What does not agree; empty is the verdict that all do.
    pub disagreements: Vec<String>,
    /// Calls in the whole record.
    pub calls: u64,
    /// Pico-dollars of the whole record.
    pub cost: i128,
    /// Calls and pico-dollars of its parts, each call in one of them.
    parts: (u64, i128),
}

impl Accounts {
    fn line(&mut self, what: &str, calls: impl std::fmt::Display, cost: i128) {
        self.lines.push(format!("  {what:<44} {calls:>7} calls  {:>20} USD", dollars(cost)));
    }

    /// A line of a part of the record.
    fn part(&mut self, what: &str, calls: u64, cost: i128) {
        self.line(what, calls, cost);
        self.parts = (self.parts.0 + calls, self.parts.1 + cost);
    }

    fn same<T: PartialEq + std::fmt::Display + ?Sized>(&mut self, what: &str, wanted: &T, found: &T) {
        if wanted != found {
            self.disagreements.push(format!("{what}: {found} instead of {wanted}"));
        }
    }

    /// Everything as it is printed, the verdict last.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("The accounts\n{}\n", self.lines.join("\n"));
        for problem in &self.disagreements {
            let _written = writeln!(text, "  DIFFERENT: {problem}");
        }
        text.push_str(if self.disagreements.is_empty() {
            "Verdict: the accounts agree, to the last digit.\n"
        } else {
            "Verdict: THE ACCOUNTS DISAGREE.\n"
        });
        text
    }
}

/// Waits for every acknowledgement, then reads and compares. `whole` are the ids of the answers that clients got to their end.
///
/// # Errors
/// When something cannot be read, or is not acknowledged in a minute.
pub async fn read(stack: &Stack, history: &History, whole: &HashSet<String>) -> anyhow::Result<Accounts> {
    let acknowledged = stack.wait_acknowledged(DEADLINE).await?;
    let mut accounts = Accounts::default();
    served(stack, whole, acknowledged, &mut accounts).await?;
    past(stack, history, &mut accounts).await?;
    totals(stack, &mut accounts).await?;
    Ok(accounts)
}

/// A call of the agent in the record.
struct Row {
    usage_source: String,
    cost: Option<i128>,
}

/// What the provider served against what is recorded of it, call by call.
async fn served(
    stack: &Stack,
    whole: &HashSet<String>,
    acknowledged: u64,
    accounts: &mut Accounts,
) -> anyhow::Result<()> {
    let query = format!(
        "SELECT response_id, usage_source, ifNull(toDecimalString(cost, 12), '') FROM spans \
         WHERE observer = 'ledgerline-agent' AND NOT startsWith(trace_id, unhex('{TRACE_PREFIX}'))"
    );
    let text = stack.sql(&query).await?;
    let (mut rows, mut recorded, mut all) = (HashMap::new(), 0_u64, 0_i128);
    for line in text.lines() {
        let [id, usage_source, cost] = line.split('\t').collect::<Vec<_>>()[..] else { continue };
        recorded += 1;
        let row = Row { usage_source: usage_source.to_owned(), cost: picos(cost) };
        all += row.cost.unwrap_or_default();
        rows.insert(id.to_owned(), row);
    }
    // Batches, lists of models and what else is no call are GETs.
    let calls: Vec<ServedCall> =
        stack.provider.calls().into_iter().filter(|call| call.method == Method::POST).collect();
    // What a provider refused because the agent had asked for usage went to it once more as it came.
    let twice = stack.agent_metric("ledgerline_agent_relay_usage_refused_total").await? as u64;
    accounts.same("calls recorded, of those the provider got", &(calls.len() as u64 - twice), &recorded);
    accounts.same("calls recorded, of those acknowledged", &acknowledged, &recorded);
    let (mut known, mut word, mut record) = (0_u64, 0, 0);
    let is_whole = |call: &&ServedCall| {
        call.end == ServedEnd::Complete && call.usage_was_sent && whole.contains(&call.id)
    };
    for call in calls.iter().filter(is_whole) {
        let (Some(usage), Some(model)) = (&call.usage, &call.model_served) else { continue };
        let expected = prices::cost(model, usage);
        let Some(row) = rows.get(&call.id) else {
            accounts.disagreements.push(format!("{} {model}: served and not recorded", call.id));
            continue;
        };
        known += 1;
        word += expected.unwrap_or_default();
        record += row.cost.unwrap_or_default();
        let shown = |cost: Option<i128>| cost.map_or_else(|| "no price".to_owned(), dollars);
        let is_counted = matches!(row.usage_source.as_str(), "provider" | "drained");
        accounts.same(&format!("{} {model}", call.id), &shown(expected), &shown(row.cost));
        accounts.same(&format!("{} {model} counted by the provider", call.id), &true, &is_counted);
    }
    accounts.line("whole answers, by the provider's own counts", known, word);
    accounts.part("the same in the record", known, record);
    accounts.part("left, cut, failed or unread: recorded", recorded - known, all - record);
    Ok(())
}

async fn past(stack: &Stack, history: &History, accounts: &mut Accounts) -> anyhow::Result<()> {
    let query = format!(
        "SELECT count(), toDecimalString(sum(cost), 12) FROM spans WHERE startsWith(trace_id, unhex('{TRACE_PREFIX}'))"
    );
    let text = stack.sql(&query).await?;
    let (calls, cost) = text.trim().split_once('\t').context("two columns")?;
    accounts.same("calls of the last days", history.calls.to_string().as_str(), calls);
    accounts.same(
        "cost of the last days",
        &dollars(history.cost()),
        &picos(cost).map_or_else(|| cost.to_owned(), dollars),
    );
    accounts.part("the last thirty days, as they were sent", history.calls, history.cost());
    Ok(())
}

/// The whole record, by every way of asking.
async fn totals(stack: &Stack, accounts: &mut Accounts) -> anyhow::Result<()> {
    let mut found: Vec<(String, String, String)> = Vec::new();
    for (table, name) in
        [("record", "SQL: spans and corrections"), ("minute", "SQL: minutes"), ("day", "SQL: days")]
    {
        let calls = format!("SELECT sum(calls) FROM calls_{table}");
        let cost = format!("SELECT toDecimalString(sum(amount), 12) FROM spend_{table}");
        found.push((name.to_owned(), stack.sql(&calls).await?, stack.sql(&cost).await?));
    }
    let value = |answer: &Value| answer[0]["value"][1].as_str().unwrap_or("none").to_owned();
    let calls = stack.promql("sum(increase(llm_calls_total[32d]))").await?;
    let cost = stack.promql("sum(increase(llm_cost_usd_total[32d]))").await?;
    found.push(("PromQL: increase over 32 days".to_owned(), value(&calls), value(&cost)));
    let url = format!("{}/api/v1/spend?from=2024-01-01&to=2100-01-01&zone=Europe/Berlin", stack.api());
    let total = get(&url).await?.json()?["total"].clone();
    let cost = total["cost_usd"].as_str().unwrap_or("none").to_owned();
    found.push(("the spend API".to_owned(), total["calls"].to_string(), cost));
    for (name, calls, cost) in &found {
        let (calls, cost) = (calls.trim(), picos(cost).with_context(|| format!("{name}: {cost}"))?);
        accounts.line(name, calls, cost);
        if accounts.calls == 0 {
            (accounts.calls, accounts.cost) = (calls.parse()?, cost);
        }
        let (all, sum) = (accounts.calls.to_string(), dollars(accounts.cost));
        accounts.same(&format!("calls by {name}"), all.as_str(), calls);
        accounts.same(&format!("cost by {name}"), &sum, &dollars(cost));
    }
    let (calls, cost) = accounts.parts;
    let (all, sum) = (accounts.calls, dollars(accounts.cost));
    accounts.same("calls of the parts together", &all, &calls);
    accounts.same("cost of the parts together", &sum, &dollars(cost));
    Ok(())
}
