//! Adds up what was spent of budgets: exact sums of the cost of calls, read from the record in as few statements as there are periods.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use ledgerline_process::Clock;
use ledgerline_promql::source::{Scope, SeriesSource, SourceError, Tenant};
use ledgerline_promql::{Edges, Grouping, Samples, SelectorRequest};

use super::Budget;
use super::calendar::{Every, Stretch};
use super::crossings::Crossings;
use super::forecast::{self, Band, Unknown};
use crate::finance::period::runs;
use crate::limits::{DAYS_MAX, FORECAST_DAYS_MAX, PERIODS_MAX};

/// Statements of one request that run side by side.
pub(super) const SIDE_BY_SIDE: usize = 4;

const DAY_MS: i64 = 86_400_000;

/// The budgets of a tenant, and where what was spent is read from.
#[derive(Clone)]
pub struct Ledger {
    /// The record.
    pub source: Arc<dyn SeriesSource>,
    /// In the order of their documents.
    pub budgets: Arc<[Budget]>,
    /// Whose they are.
    pub owner: Tenant,
    /// Which thresholds were reached.
    pub crossings: Arc<Crossings>,
    /// Up to when there is a record.
    pub clock: Arc<dyn Clock>,
}

/// Evenly spaced moments.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// The first, milliseconds since the epoch.
    pub first_ms: i64,
    /// From one to the next, milliseconds.
    pub step_ms: i64,
    /// How many.
    pub count: usize,
}

impl Times {
    /// One moment.
    pub const fn once(time_ms: i64) -> Self {
        Self { first_ms: time_ms, step_ms: 0, count: 1 }
    }

    /// That one, counted from 0.
    pub fn at(&self, place: usize) -> i64 {
        self.first_ms + self.step_ms * i64::try_from(place).unwrap_or(i64::MAX)
    }

    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = i64> {
        (0..self.count).map(move |place| self.at(place))
    }

    fn edges(self, window_ms: i64) -> Edges {
        let count = i64::try_from(self.count).unwrap_or(i64::MAX);
        Edges { first_ms: self.first_ms, step_ms: self.step_ms, count, window_ms: Some(window_ms) }
    }
}

/// Moments side by side that are in one period.
#[derive(Clone, Debug)]
pub struct Run {
    /// The period; of a rolling window that of the first of them.
    pub stretch: Stretch,
    /// The place of the first.
    pub at: usize,
    /// How many.
    pub count: usize,
}

impl Budget {
    /// The periods of moments. All of a rolling window are in one.
    pub fn runs(&self, times: Times) -> Vec<Run> {
        let is_rolling = matches!(self.calendar.every, Every::Rolling(_));
        let mut runs: Vec<Run> = Vec::new();
        for (at, time_ms) in times.iter().enumerate() {
            match runs.last_mut() {
                Some(run) if run.at + run.count == at && (is_rolling || time_ms <= run.stretch.to_ms) => {
                    run.count += 1;
                }
                _ => runs.extend(self.calendar.at(time_ms).map(|stretch| Run { stretch, at, count: 1 })),
            }
        }
        runs
    }

    /// What the store is asked for.
    fn request(&self, edges: Edges) -> SelectorRequest {
        SelectorRequest {
            selector: 0,
            matchers: self.matchers.clone(),
            edges,
            alive_from_ms: None,
            grouping: Some(Grouping::By(Vec::new())),
            samples_for: None,
        }
    }
}

impl Ledger {
    /// Now, milliseconds since the epoch.
    pub fn now_ms(&self) -> i64 {
        i64::try_from(self.clock.now_unix_ns() / 1_000_000).unwrap_or(i64::MAX)
    }

    /// What was spent of a budget in its period up to each moment, pico-dollars.
    pub async fn spent(
        &self,
        scope: &Scope,
        budget: &Budget,
        times: Times,
    ) -> Result<Vec<i128>, SourceError> {
        if let Every::Rolling(length_ms) = budget.calendar.every {
            return self.sums(scope, budget, times, length_ms).await;
        }
        let runs = budget.runs(times);
        // The first moment of each period by itself, the others by what was spent since the one before.
        let first = |run: &Run| (times.at(run.at), times.at(run.at) - run.stretch.from_ms);
        let firsts: Vec<(i64, i64)> = runs.iter().map(first).collect();
        let heads = stream::iter(firsts)
            .map(|(time_ms, window_ms)| self.sums(scope, budget, Times::once(time_ms), window_ms));
        let heads: Vec<Vec<i128>> = heads.buffered(SIDE_BY_SIDE).try_collect().await?;
        let steps = if runs.iter().any(|run| run.count > 1) {
            let later = Times { first_ms: times.at(1), count: times.count - 1, ..times };
            self.sums(scope, budget, later, times.step_ms).await?
        } else {
            Vec::new()
        };
        let mut spent = vec![0; times.count];
        for (run, head) in runs.iter().zip(heads) {
            let mut sum = head.first().copied().unwrap_or_default();
            for place in run.at..run.at + run.count {
                if place > run.at {
                    sum = add(sum, steps[place - 1])?;
                }
                spent[place] = sum;
            }
        }
        Ok(spent)
    }

    /// What was spent in a window that ends at each moment.
    async fn sums(
        &self,
        scope: &Scope,
        budget: &Budget,
        times: Times,
        window_ms: i64,
    ) -> Result<Vec<i128>, SourceError> {
        let request = budget.request(times.edges(window_ms));
        let series = self.source.select(scope, &request).await?;
        let count: usize = series.iter().map(|series| points(&series.samples).count()).sum();
        let _charge = scope.memory.charge((count + times.count) * 3 * size_of::<(i64, i128)>())?;
        let mut increments: Vec<(i64, i128)> =
            series.iter().flat_map(|series| points(&series.samples)).collect();
        increments.sort_unstable_by_key(|(time_ms, _)| *time_ms);
        let mut before = vec![0_i128];
        for (at, (_, picos)) in increments.iter().enumerate() {
            before.push(add(before[at], *picos)?);
        }
        let up_to = |time_ms: i64| before[increments.partition_point(|(at_ms, _)| *at_ms <= time_ms)];
        times.iter().map(|time_ms| add(up_to(time_ms), -up_to(time_ms - window_ms))).collect()
    }

    /// What whoever asks for these moments should know, such as that old ones are less precise.
    pub fn info(&self, budget: &Budget, times: Times) -> Option<String> {
        let run = budget.runs(times).into_iter().next()?;
        self.source.info(&budget.request(times.edges(times.first_ms - run.stretch.from_ms)))
    }

    /// What will have been spent at the end of the period, as it looks at each moment, where that can be said. `spent` is what
    /// [`Ledger::spent`] says of the same moments.
    pub async fn forecasts(
        &self,
        scope: &Scope,
        budget: &Budget,
        times: Times,
        spent: &[i128],
    ) -> Result<Vec<Result<Band, Unknown>>, SourceError> {
        let now_ms = self.now_ms();
        let runs = budget.runs(times);
        if !budget.calendar.has_forecast() {
            return Ok(vec![Err(Unknown::NoEnd); times.count]);
        }
        let last_ms = times.at(times.count.saturating_sub(1)).min(now_ms);
        let history_ms = i64::try_from(FORECAST_DAYS_MAX + 1).unwrap_or(i64::MAX) * DAY_MS;
        let days = budget.calendar.days(times.first_ms - history_ms, last_ms, DAYS_MAX);
        let days = days.ok_or(SourceError::TooManyRows(DAYS_MAX))?;
        let daily = self.daily(scope, budget, &days).await?;
        // Days that are over at a moment, and days that are left of its period: moments of one day share an outlook.
        let mut asked: Vec<(usize, usize)> = Vec::new();
        let mut by_moment: Vec<Option<usize>> = vec![None; times.count];
        for run in runs {
            for (place, of) in by_moment.iter_mut().enumerate().skip(run.at).take(run.count) {
                let time_ms = times.at(place);
                let over = days.partition_point(|end| *end <= time_ms).saturating_sub(1);
                if asked.last().is_none_or(|(day, _)| *day != over) || place == run.at {
                    asked.push((over, budget.calendar.days_left(time_ms, run.stretch.to_ms)));
                }
                *of = asked.len().checked_sub(1).filter(|_| time_ms <= now_ms);
            }
        }
        if asked.len() > PERIODS_MAX {
            return Err(SourceError::TooManyRows(PERIODS_MAX));
        }
        // Milliseconds of work for each day.
        let look = move |(over, rest): (usize, usize)| {
            forecast::outlook(&daily[over.saturating_sub(FORECAST_DAYS_MAX)..over], rest)
        };
        let looking = tokio::task::spawn_blocking(move || asked.into_iter().map(look).collect::<Vec<_>>());
        let outlooks = looking.await.map_err(|error| SourceError::Malformed(error.to_string()))?;
        let moments = by_moment.iter().zip(times.iter()).zip(spent);
        let forecasts = moments.map(|((outlook, time_ms), spent)| {
            let outlook = outlook.and_then(|at| outlooks.get(at)).ok_or(Unknown::Future)?;
            Ok(outlook.at(budget.calendar.left_of_day(time_ms))?.after(*spent))
        });
        Ok(forecasts.collect())
    }

    /// What was spent on each day, of days that begin and end there.
    async fn daily(&self, scope: &Scope, budget: &Budget, ends: &[i64]) -> Result<Vec<i128>, SourceError> {
        let mut daily = Vec::with_capacity(ends.len());
        // A year has three lengths of days side by side.
        for run in runs(ends) {
            let times = Times { first_ms: run.first_end_ms, step_ms: run.length_ms, count: run.count };
            daily.extend(self.sums(scope, budget, times, run.length_ms).await?);
        }
        Ok(daily)
    }
}

fn points(samples: &Samples) -> impl Iterator<Item = (i64, i128)> {
    let increments = match samples {
        Samples::Delta(increments) => Some(increments),
        // Nothing of the record is a gauge.
        Samples::Points(_) => None,
    };
    increments.into_iter().flat_map(|all| all.times_ms.iter().copied().zip(all.picos.iter().copied()))
}

fn add(sum: i128, more: i128) -> Result<i128, SourceError> {
    sum.checked_add(more).ok_or_else(|| SourceError::Malformed("a sum beyond 128 bits".to_owned()))
}
