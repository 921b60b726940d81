//! Budgets as series beside those of the record, computed when they are asked for: what a query adds up and what a budget says is one sum.
//!
//! A series is of one period: at its end it is gone, and another begins. Only the tenant whose budgets they are sees them.

use std::collections::BTreeSet;
use std::sync::Arc;

use ledgerline_promql::source::{BoxFuture, Scope, SeriesFilter, SeriesSource, SourceError};
use ledgerline_promql::{
    Grouping, Labels, METRIC_NAME, Matcher, Number, Point, STALE_NAN_BITS, Samples, SelectorRequest, Series,
};

use super::Budget;
use super::calendar::Stretch;
use super::catalog::{BANDS, GAUGES, Gauge, LABELS, Value, gauge};
use super::forecast::{Band, Unknown};
use super::ledger::{Ledger, Run, Times};
use crate::limits::{BUDGET_POINTS_MAX, PERIODS_MAX};

/// How often a range selector finds a sample: the first of these of which there are not too many.
const SAMPLES_MS: [i64; 4] = [60_000, 900_000, 3_600_000, 86_400_000];

/// The record, and the budgets over it.
pub struct BudgetSource(pub Ledger);

/// A series that is asked for.
struct Wanted {
    labels: Labels,
    value: Value,
    /// The place among its thresholds, or of its band.
    place: usize,
}

/// What was computed of a budget at each moment, as far as it is asked for.
#[derive(Default)]
struct Computed {
    spent: Vec<i128>,
    forecasts: Vec<Result<Band, Unknown>>,
}

impl BudgetSource {
    async fn own(&self, scope: &Scope, request: &SelectorRequest) -> Result<Vec<Series>, SourceError> {
        let times = times(request)?;
        let mut found = Vec::new();
        if scope.tenant != self.0.owner {
            return Ok(found);
        }
        for budget in self.0.budgets.iter() {
            let runs = budget.runs(times);
            let wanted = runs.iter().map(|run| wanted(budget, &run.stretch, &request.matchers));
            let wanted: Vec<Vec<Wanted>> = wanted.collect();
            let asks = |value| wanted.iter().flatten().any(|series| series.value == value);
            let mut computed = Computed::default();
            if asks(Value::Spent) || asks(Value::Crossed) || asks(Value::Forecast) {
                computed.spent = self.0.spent(scope, budget, times).await?;
            }
            if asks(Value::Forecast) {
                computed.forecasts = self.0.forecasts(scope, budget, times, &computed.spent).await?;
            }
            for (run, wanted) in runs.iter().zip(&wanted) {
                for wanted in wanted {
                    let values = self.values(budget, run, wanted, &computed, times);
                    let samples = Samples::Points(points(values, run, times));
                    found.push(Series { labels: wanted.labels.clone(), samples });
                }
            }
        }
        Ok(found)
    }

    /// The values of a series at each moment of a period.
    fn values(
        &self,
        budget: &Budget,
        run: &Run,
        wanted: &Wanted,
        computed: &Computed,
        times: Times,
    ) -> Vec<Option<Number>> {
        let threshold = budget.thresholds.get(wanted.place);
        let since = threshold.and_then(|reached| {
            self.0.crossings.reached(&budget.name, &run.stretch.key, &reached.name, reached.amount)
        });
        let value = |at: usize| match wanted.value {
            Value::Amount => Some(Number::Exact(budget.amount)),
            Value::Spent => Some(Number::Exact(computed.spent[at])),
            Value::Crossed => {
                let was = since.is_some_and(|since_ms| since_ms <= times.at(at));
                let is = threshold.is_some_and(|reached| computed.spent[at] >= reached.amount);
                (was || is).then_some(Number::Exact(computed.spent[at]))
            }
            Value::Forecast => computed.forecasts[at].ok().map(|Band { low, expected, high }| {
                Number::Exact([low, expected, high].get(wanted.place).copied().unwrap_or(expected))
            }),
        };
        (run.at..run.at + run.count).map(value).collect()
    }

    /// The labels of the series that a filter accepts; without a beginning, of what is now.
    fn own_labels(&self, scope: &Scope, filter: &SeriesFilter) -> BTreeSet<Labels> {
        let mut found = BTreeSet::new();
        if scope.tenant != self.0.owner {
            return found;
        }
        let last_ms = filter.end_ms.unwrap_or(i64::MAX).min(self.0.now_ms());
        let first_ms = filter.start_ms.unwrap_or(last_ms).min(last_ms);
        for budget in self.0.budgets.iter() {
            let mut next = budget.calendar.at(last_ms);
            for _ in 0..PERIODS_MAX {
                let Some(stretch) = next else { break };
                for matchers in filter.sets() {
                    found.extend(wanted(budget, &stretch, matchers).into_iter().map(|series| series.labels));
                }
                // A rolling window is one series.
                let goes_on = stretch.from_ms > first_ms && !budget.calendar.zone_name().is_empty();
                next = if goes_on { budget.calendar.at(stretch.from_ms) } else { None };
            }
        }
        found
    }
}

/// The moments of a request; of a range selector so many that each window has some.
fn times(request: &SelectorRequest) -> Result<Times, SourceError> {
    let edges = request.edges;
    let many = || SourceError::TooManyRows(BUDGET_POINTS_MAX);
    let Some(window_ms) = edges.window_ms else {
        let count = usize::try_from(edges.count).map_err(|_| many())?;
        if count > BUDGET_POINTS_MAX {
            return Err(many());
        }
        return Ok(Times { first_ms: edges.first_ms, step_ms: edges.step_ms, count });
    };
    let (after_ms, last_ms) = (edges.first_ms - window_ms, edges.until_ms());
    for step_ms in SAMPLES_MS {
        let (before, last) = (after_ms.div_euclid(step_ms), last_ms.div_euclid(step_ms));
        let count = usize::try_from(last - before).map_err(|_| many())?;
        if count <= BUDGET_POINTS_MAX {
            return Ok(Times { first_ms: (before + 1) * step_ms, step_ms, count });
        }
    }
    Err(many())
}

/// The series of a budget in a period that the matchers accept.
fn wanted(budget: &Budget, stretch: &Stretch, matchers: &[Matcher]) -> Vec<Wanted> {
    let mut found = Vec::new();
    let accepts = |name: &str, value: &str| {
        matchers.iter().filter(|matcher| matcher.name == name).all(|matcher| matcher.matches(value))
    };
    for Gauge { name, value, .. } in GAUGES.into_iter().filter(|gauge| accepts(METRIC_NAME, gauge.name)) {
        let own: Vec<[&str; 2]> = match value {
            Value::Crossed => {
                let all = budget.thresholds.iter();
                all.map(|threshold| [threshold.name.as_str(), threshold.severity.as_str()]).collect()
            }
            Value::Forecast if budget.calendar.has_forecast() => BANDS.map(|band| [band, ""]).to_vec(),
            Value::Forecast => Vec::new(),
            Value::Amount | Value::Spent => vec![["", ""]],
        };
        let of_budget = [&budget.name, &budget.owner, &stretch.key, budget.calendar.zone_name()];
        for (place, own) in own.into_iter().enumerate() {
            let pairs = LABELS.into_iter().zip(of_budget).chain([(METRIC_NAME, name)]);
            let labels = Labels::from_pairs(pairs.chain(value.labels().iter().copied().zip(own)));
            if matchers.iter().all(|matcher| matcher.matches(labels.get(&matcher.name))) {
                found.push(Wanted { labels, value, place });
            }
        }
    }
    found
}

/// Points where there are values, and the marker that a series is gone behind them.
fn points(values: Vec<Option<Number>>, run: &Run, times: Times) -> Vec<Point> {
    let mut points: Vec<Point> = Vec::with_capacity(values.len() + 1);
    for (at, value) in values.into_iter().chain([None]).enumerate().take(times.count - run.at) {
        let gone = Number::Float(f64::from_bits(STALE_NAN_BITS));
        let is_there = points.last().is_some_and(|last| !last.is_stale());
        let value = value.or_else(|| is_there.then_some(gone));
        points.extend(value.map(|value| Point { time_ms: times.at(run.at + at), value }));
    }
    points
}

impl SeriesSource for BudgetSource {
    fn are_increments(&self, request: &SelectorRequest) -> bool {
        request.metric().and_then(gauge).is_none() && self.0.source.are_increments(request)
    }

    fn info(&self, request: &SelectorRequest) -> Option<String> {
        if request.metric().and_then(gauge).is_none() {
            return self.0.source.info(request);
        }
        let times = times(request).ok()?;
        self.0.budgets.iter().find_map(|budget| self.0.info(budget, times))
    }

    fn select<'a>(
        &'a self,
        scope: &'a Scope,
        request: &'a SelectorRequest,
    ) -> BoxFuture<'a, Result<Vec<Series>, SourceError>> {
        Box::pin(async move {
            let is_own = |gauge: &Gauge| {
                let names = request.matchers.iter().filter(|matcher| matcher.name == METRIC_NAME);
                names.clone().all(|matcher| matcher.matches(gauge.name))
            };
            let mut found = self.0.source.select(scope, request).await?;
            if GAUGES.iter().any(is_own) {
                found.extend(self.own(scope, request).await?);
            }
            Ok(found)
        })
    }

    fn labels<'a>(
        &'a self,
        scope: &'a Scope,
        filter: &'a SeriesFilter,
        grouping: Option<Grouping>,
    ) -> BoxFuture<'a, Result<BTreeSet<Labels>, SourceError>> {
        Box::pin(async move {
            let mut found = self.0.source.labels(scope, filter, grouping).await?;
            found.extend(self.own_labels(scope, filter));
            Ok(found)
        })
    }

    fn label_names<'a>(
        &'a self,
        scope: &'a Scope,
        filter: &'a SeriesFilter,
    ) -> BoxFuture<'a, Result<Vec<String>, SourceError>> {
        Box::pin(async move {
            let mut names: BTreeSet<String> =
                self.0.source.label_names(scope, filter).await?.into_iter().collect();
            let own = self.own_labels(scope, filter);
            names.extend(own.iter().flat_map(Labels::iter).map(|(name, _)| name.to_owned()));
            Ok(names.into_iter().collect())
        })
    }

    fn label_values<'a>(
        &'a self,
        scope: &'a Scope,
        label: &'a str,
        filter: &'a SeriesFilter,
    ) -> BoxFuture<'a, Result<Vec<String>, SourceError>> {
        Box::pin(async move {
            let mut values: BTreeSet<String> =
                self.0.source.label_values(scope, label, filter).await?.into_iter().collect();
            let own = self.own_labels(scope, filter);
            let own = own.iter().map(|labels| labels.get(label)).filter(|value| !value.is_empty());
            values.extend(own.map(str::to_owned));
            Ok(values.into_iter().collect())
        })
    }
}

/// The source with its budgets, where there are any.
pub fn over(ledger: Ledger) -> Arc<dyn SeriesSource> {
    if ledger.budgets.is_empty() { ledger.source } else { Arc::new(BudgetSource(ledger)) }
}
