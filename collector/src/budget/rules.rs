//! Pure: budgets as alerting rules, which are evaluated, shown and delivered as any others: one for the thresholds of each, so that what was
//! spent is added up once for all of them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::Budget;
use super::calendar::Every;
use crate::alerting::{AlertRule, Defaults, Group, Template};
use ledgerline_proto::money::dollars;

/// What the rules API says in place of a file.
const FILE: &str = "budgets";

/// How long more than the amount must be expected: one large call is no forecast.
const FORECAST_HOLD: Duration = Duration::from_secs(3600);

/// A group for all budgets; none where there are none.
pub(crate) fn group(budgets: &[Budget], defaults: Defaults<'_>) -> Option<Group> {
    let rules: Vec<AlertRule> = budgets.iter().flat_map(of_budget).collect();
    (!rules.is_empty()).then(|| Group {
        file: FILE.to_owned(),
        name: FILE.to_owned(),
        interval: defaults.interval,
        query_offset: defaults.query_offset,
        limit: None,
        rules,
    })
}

fn of_budget(budget: &Budget) -> Vec<AlertRule> {
    // A string of JSON is one of PromQL.
    let of = json!(budget.name);
    let amount = text(budget.amount);
    let mut rules: Vec<AlertRule> = Vec::new();
    if !budget.thresholds.is_empty() {
        let summary = format!(
            "Budget {{{{ $labels.budget }}}} has spent {{{{ $value | printf \"%.2f\" }}}} USD in {{{{ $labels.period }}}}: {{{{ $labels.threshold \
             }}}} of {amount} USD or more."
        );
        // Nothing ends in a window that rolls: what is below again is below, and may be reached again.
        let is_once = !matches!(budget.calendar.every, Every::Rolling(_));
        let expr = format!("llm_budget_crossed_usd{{budget={of}}}");
        let rule = rule("LLMBudgetThreshold", &expr, &[], &summary);
        rules.extend(rule.map(|rule| AlertRule { is_once, ..rule }));
    }
    if budget.forecast_alert {
        let expr = format!("llm_budget_forecast_usd{{budget={of},band=\"expected\"}} > {amount}");
        let summary = format!(
            "Budget {{{{ $labels.budget }}}} will have spent {{{{ $value | printf \"%.0f\" }}}} USD at the end of {{{{ $labels.period }}}}, if it \
             goes on like this: more than its {amount} USD."
        );
        let rule = rule("LLMBudgetForecast", &expr, &[("severity", "warning")], &summary);
        rules.extend(rule.map(|rule| AlertRule { hold: FORECAST_HOLD, ..rule }));
    }
    rules
}

/// Dollars without zeros behind them.
fn text(picos: i128) -> String {
    dollars(picos).trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn rule(name: &str, expr: &str, labels: &[(&str, &str)], summary: &str) -> Option<AlertRule> {
    let templates = |pairs: &[(&str, &str)]| -> Option<BTreeMap<String, Template>> {
        pairs.iter().map(|(name, text)| Some(((*name).to_owned(), Template::parse(text).ok()?))).collect()
    };
    Some(AlertRule {
        name: name.to_owned(),
        expr: expr.to_owned(),
        hold: Duration::ZERO,
        keep_firing_for: Duration::ZERO,
        labels: templates(labels)?,
        annotations: templates(&[("summary", summary)])?,
        is_once: false,
    })
}
