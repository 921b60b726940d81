//! Where all budgets stand at a moment, for the API and the command alike.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use ledgerline_promql::source::{Scope, SourceError};
use ledgerline_proto::money::{cents, dollars};
use serde::Serialize;
use utoipa::ToSchema;

use super::calendar::Stretch;
use super::forecast::{Band, Unknown};
use super::ledger::{Ledger, SIDE_BY_SIDE, Times};
use super::{Budget, Threshold};

/// All budgets, in the order of their documents. Amounts are texts of US dollars with all twelve digits; a forecast has two.
#[derive(Debug, Serialize, ToSchema)]
pub struct BudgetsBody {
    budgets: Vec<BudgetBody>,
}

#[derive(Debug, Serialize, ToSchema)]
struct BudgetBody {
    name: String,
    /// Empty where nobody is named.
    owner: String,
    /// As PromQL selects series; empty: all calls.
    #[serde(rename = "match")]
    matched: String,
    /// Empty of a rolling window.
    zone: String,
    period: PeriodBody,
    amount_usd: String,
    /// Up to now, corrections included.
    spent_usd: String,
    /// Of the amount: 0.8 is 80 %.
    share: f64,
    forecast: Option<ForecastBody>,
    /// Why there is no forecast.
    #[serde(skip_serializing_if = "Option::is_none")]
    no_forecast: Option<String>,
    thresholds: Vec<ThresholdBody>,
    /// The amount and what was spent, in pico-dollars, which people read rounded.
    #[serde(skip)]
    exact: [i128; 2],
}

#[derive(Debug, Serialize, ToSchema)]
struct PeriodBody {
    /// day, week, month, quarter, year, or the length of a rolling window
    every: String,
    /// 2026-11
    key: String,
    from: String,
    to: String,
}

/// What will have been spent at the end of the period: in four of five periods between low and high.
#[derive(Debug, Serialize, ToSchema)]
struct ForecastBody {
    low_usd: String,
    expected_usd: String,
    high_usd: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct ThresholdBody {
    /// 80%
    at: String,
    amount_usd: String,
    severity: String,
    /// When it was reached in this period, if it was; not known of a rolling window.
    crossed_at: Option<String>,
    /// It was reached in this period; of a rolling window: it is now.
    reached: bool,
}

/// Where the budgets stand now.
pub async fn status(ledger: &Ledger, scope: &Scope) -> Result<BudgetsBody, SourceError> {
    let now_ms = ledger.now_ms();
    let all: Vec<_> = ledger.budgets.iter().map(|budget| one(ledger, scope, budget, now_ms)).collect();
    let all: Vec<Option<BudgetBody>> = stream::iter(all).buffered(SIDE_BY_SIDE).try_collect().await?;
    Ok(BudgetsBody { budgets: all.into_iter().flatten().collect() })
}

async fn one(
    ledger: &Ledger,
    scope: &Scope,
    budget: &Budget,
    now_ms: i64,
) -> Result<Option<BudgetBody>, SourceError> {
    let Some(stretch) = budget.calendar.at(now_ms) else { return Ok(None) };
    let now = Times::once(now_ms);
    let spent = ledger.spent(scope, budget, now).await?;
    let forecast = ledger.forecasts(scope, budget, now, &spent).await?;
    let forecast = forecast.first().copied().unwrap_or(Err(Unknown::Future));
    let spent = spent.first().copied().unwrap_or_default();
    let threshold = |threshold: &Threshold| {
        let Threshold { name, amount, severity } = threshold;
        let crossed = ledger.crossings.reached(&budget.name, &stretch.key, name, *amount);
        ThresholdBody {
            at: name.clone(),
            amount_usd: dollars(*amount),
            severity: severity.clone(),
            crossed_at: crossed.map(|at_ms| local(budget, at_ms)),
            reached: crossed.is_some() || spent >= *amount,
        }
    };
    let thresholds = budget.thresholds.iter().map(threshold).collect();
    Ok(Some(body(budget, &stretch, spent, forecast, thresholds)))
}

fn body(
    budget: &Budget,
    stretch: &Stretch,
    spent: i128,
    forecast: Result<Band, Unknown>,
    thresholds: Vec<ThresholdBody>,
) -> BudgetBody {
    let dollars_of = |picos: i128| ledgerline_promql::Number::Exact(picos).to_f64();
    BudgetBody {
        name: budget.name.clone(),
        owner: budget.owner.clone(),
        matched: budget.matched.clone(),
        zone: budget.calendar.zone_name().to_owned(),
        period: PeriodBody {
            every: budget.calendar.name.clone(),
            key: stretch.key.clone(),
            from: local(budget, stretch.from_ms),
            to: local(budget, stretch.to_ms),
        },
        amount_usd: dollars(budget.amount),
        spent_usd: dollars(spent),
        share: dollars_of(spent) / dollars_of(budget.amount),
        forecast: forecast.ok().map(|Band { low, expected, high }| ForecastBody {
            low_usd: cents(low),
            expected_usd: cents(expected),
            high_usd: cents(high),
        }),
        no_forecast: forecast.err().map(|unknown| unknown.to_string()),
        thresholds,
        exact: [budget.amount, spent],
    }
}

/// A time by the clock of the budget's zone, with its offset.
fn local(budget: &Budget, time_ms: i64) -> String {
    let time = Timestamp::from_millisecond(time_ms).unwrap_or(Timestamp::MAX);
    time.display_with_offset(budget.calendar.zone.to_offset(time)).to_string()
}

impl BudgetsBody {
    /// The cells of a table for people, its head first.
    pub fn rows(&self) -> Vec<[String; 7]> {
        let head = ["BUDGET", "PERIOD", "AMOUNT", "SPENT", "SHARE", "FORECAST", "REACHED"];
        let row = |budget: &BudgetBody| {
            let forecast = budget.forecast.as_ref().map_or_else(
                || "not known".to_owned(),
                |band| format!("{} ({} to {})", band.expected_usd, band.low_usd, band.high_usd),
            );
            let [amount, spent] = budget.exact.map(cents);
            let reached = budget.thresholds.iter().filter(|threshold| threshold.reached);
            let reached = reached.map(|ThresholdBody { at, crossed_at, .. }| match crossed_at {
                Some(since) => format!("{at} {since}"),
                None => at.clone(),
            });
            [
                budget.name.clone(),
                budget.period.key.clone(),
                amount,
                spent,
                format!("{:.1}%", budget.share * 100.0),
                forecast,
                reached.collect::<Vec<_>>().join(", "),
            ]
        };
        [head.map(str::to_owned)].into_iter().chain(self.budgets.iter().map(row)).collect()
    }
}
