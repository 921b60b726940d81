//! The cost bugs that others have had, each class as a group of calls through the real agent and collector, with what
//! they must cost.
//!
//! The cases are `cost_bugs/*.yaml`. An amount there is arithmetic that a person wrote down from the provider's page and the
//! counts of the answer; [`bills::pico_usd`](crate::bills::pico_usd) works it out, and the product never does.

mod answers;
mod senders;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use http::Method;
use ledgerline_testkit::http::send;
use ledgerline_testkit::stack::{Stack, StackOptions};
use serde::Deserialize;

use crate::bills::pico_usd;
use answers::Exchange;
use senders::Span;

/// The bug classes of the list, and the cases that each must have at least.
const GROUPS: usize = 19;
const CASES_MIN: usize = 5;

/// A class of bugs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    /// What goes wrong.
    bug: String,
    /// Where it went wrong.
    threads: Vec<String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// Through the agent, one after the other.
    #[serde(default)]
    calls: Vec<Exchange>,
    /// From somebody else, after them, in a trace with those that are `under` one.
    #[serde(default)]
    spans: Vec<Span>,
    /// US dollars, as arithmetic.
    costs: Option<String>,
    /// The reason why the one call has no amount, or why it costs nothing.
    reason: Option<String>,
    /// How many calls are billed, or have no price; 1 if it is not stated.
    billed: Option<i64>,
    /// The usage source, where the case is about that.
    counted_by: Option<String>,
}

/// What is booked of a case: calls and pico-dollars by reason, which is empty where there is an amount, and by usage source.
type Booked = BTreeMap<(String, String), (i64, Option<i128>)>;

impl Case {
    fn expected(&self) -> Booked {
        let billed = self.billed.unwrap_or(1);
        let reason = self.reason.clone().unwrap_or_default();
        let amount = match (&self.costs, reason.starts_with("not_billed/")) {
            (Some(arithmetic), _) => Some(pico_usd(arithmetic)),
            (None, true) => Some(0),
            (None, false) => None,
        };
        let source = self.counted_by.clone().unwrap_or_default();
        if billed == 0 { Booked::new() } else { Booked::from([((reason, source), (billed, amount))]) }
    }

    /// Without the usage source where the case does not state it.
    fn of_interest(&self, booked: &Booked) -> Booked {
        if self.counted_by.is_some() {
            return booked.clone();
        }
        let mut found = Booked::new();
        for ((reason, _), (calls, amount)) in booked {
            let (all, sum) = found.entry((reason.clone(), String::new())).or_insert((0, Some(0)));
            *all += calls;
            *sum = sum.zip(*amount).map(|(sum, amount)| sum + amount);
        }
        found
    }

    fn check(&self, group: &str) -> anyhow::Result<()> {
        ensure!(!self.calls.is_empty() || !self.spans.is_empty(), "{group}/{}: nothing happens", self.name);
        let says = [self.costs.is_some(), self.reason.is_some(), self.billed == Some(0)];
        let says = says.iter().filter(|says| **says).count();
        ensure!(says == 1, "{group}/{}: an amount, a reason or nothing billed: one of them", self.name);
        Ok(())
    }
}

/// The groups by the name of their file, which is the number of the class and its name.
fn groups() -> anyhow::Result<BTreeMap<String, Group>> {
    let mut groups = BTreeMap::new();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/cost_bugs"))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let name = path.file_stem().context("a name")?.to_string_lossy().into_owned();
        let group: Group = yaml_serde::from_str(&std::fs::read_to_string(&path)?).context(name.clone())?;
        ensure!(group.cases.len() >= CASES_MIN, "{name} ({}): {} cases", group.bug, group.cases.len());
        ensure!(!group.threads.is_empty(), "{name}: where did it happen?");
        let mut names = BTreeSet::new();
        for case in &group.cases {
            case.check(&name)?;
            ensure!(names.insert(&case.name), "{name}: {} twice", case.name);
        }
        groups.insert(name, group);
    }
    ensure!(groups.len() == GROUPS, "{} groups", groups.len());
    Ok(groups)
}

/// Spans and corrections together, by case.
async fn booked(stack: &Stack) -> anyhow::Result<BTreeMap<String, Booked>> {
    let text = stack
        .sql(
            "SELECT feature, unpriced_reason, usage_source, toString(sum(sign)), ifNull(toString(sum(sign * cost)), '') FROM ( \
             SELECT toInt64(1) AS sign, feature, unpriced_reason, usage_source, cost FROM spans WHERE is_call \
             UNION ALL SELECT toInt64(sign), feature, unpriced_reason, usage_source, cost FROM corrections) \
             GROUP BY feature, unpriced_reason, usage_source HAVING sum(sign) != 0",
        )
        .await?;
    let mut found = BTreeMap::<String, Booked>::new();
    for line in text.lines() {
        let [case, reason, source, calls, cost] = line.split('\t').collect::<Vec<_>>()[..] else {
            bail!("{line}")
        };
        let amount = if cost.is_empty() { None } else { Some(picos(cost)?) };
        let key = (reason.to_owned(), source.to_owned());
        found.entry(case.to_owned()).or_default().insert(key, (calls.parse()?, amount));
    }
    Ok(found)
}

/// `0.0021` are 2,100,000,000 pico-dollars.
fn picos(dollars: &str) -> anyhow::Result<i128> {
    let (whole, fraction) = dollars.split_once('.').unwrap_or((dollars, ""));
    ensure!(fraction.len() <= 12, "{dollars}: more than twelve decimals");
    Ok(format!("{whole}{fraction:0<12}").parse()?)
}

/// Scenario: the calls of every known class of cost bugs, at the agent's relay and in other senders' spans.
/// Guarantees: each case is billed as a person worked it out, to the pico-dollar, or is unpriced with the reason that was
/// written down; nothing else is billed; spans with corrections, minutes, quarters, days and PromQL hold the same money.
#[tokio::test(flavor = "multi_thread")]
async fn the_known_cost_bugs_are_not_ours() {
    let groups = groups().unwrap();
    let stack = Stack::start(StackOptions {
        upstreams: answers::UPSTREAMS.to_owned(),
        collector_yaml: "pricing: {overrides: ['{directory}/own.yaml']}".to_owned(),
        files: vec![("own.yaml".to_owned(), include_str!("cost_bugs/own/azure.yaml").to_owned())],
        ..StackOptions::default()
    })
    .await
    .unwrap();
    let cases = || {
        groups
            .iter()
            .flat_map(|(group, of)| of.cases.iter().map(move |case| (format!("{group}/{}", case.name), case)))
    };
    for (id, case) in cases() {
        for (place, exchange) in case.calls.iter().enumerate() {
            exchange.play(&stack, &id, place).await.with_context(|| id.clone()).unwrap();
        }
    }
    stack.wait_recorded(Duration::from_secs(120)).await.unwrap();
    for (id, case) in cases() {
        for request in senders::requests(&id, &case.spans) {
            let url = format!("{}/v1/traces", stack.otlp_http());
            let answer =
                send(Method::POST, &url, &[("content-type", "application/json")], request).await.unwrap();
            assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "{}"), "{id}");
        }
    }
    let found = booked(&stack).await.unwrap();
    let mut wrong = Vec::new();
    let mut total = 0;
    for (id, case) in cases() {
        let expected = case.expected();
        total += expected.values().filter_map(|(_, amount)| *amount).sum::<i128>();
        let booked = found.get(&id).map(|booked| case.of_interest(booked)).unwrap_or_default();
        if booked != expected {
            wrong.push(format!("{id}: booked {booked:?}, expected {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases().count(), wrong.join("\n"));
    assert!(total > 0);
    for tier in ["minute", "quarter", "day"] {
        let sum = stack.sql(&format!("SELECT toString(sum(amount)) FROM spend_{tier}")).await.unwrap();
        assert_eq!(picos(sum.trim()).unwrap(), total, "spend by {tier}");
    }
    let promql = stack.promql("sum(increase(llm_cost_usd_total[1h]))").await.unwrap();
    assert_eq!(picos(promql[0]["value"][1].as_str().unwrap()).unwrap(), total);
}
