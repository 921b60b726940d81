//! Pure: functions over range vectors. Windows are open on the left and closed on the right, `(t - w, t]`, as in Prometheus 3.
//!
//! A counter stored as increments has no resets, no gaps and nothing to extrapolate: its increase over a window is the difference of
//! two prefix sums of integers.

use std::ops::Range;

use super::alive::Alive;
use super::budget::Budget;
use super::cells::{Cells, Steps};
use super::error::{QueryError, Result};
use super::labels::{Labels, METRIC_NAME};
use super::notices::Notices;
use super::number::Number;
use super::plan::{Grid, TimeShift};
use super::series::{Increments, Point, Samples, Series};
use super::statistics::count_f64;
use super::value::Vector;

pub(super) struct Window<'a> {
    /// Ascending, without staleness markers, never empty.
    pub points: &'a [Point],
    pub length_ms: i64,
    /// The window's end: time of evaluation with `offset` and `@` applied.
    pub end_ms: i64,
    pub evaluated_ms: i64,
}

impl Window<'_> {
    pub fn values(&self) -> impl Iterator<Item = Number> {
        self.points.iter().map(|point| point.value)
    }

    pub fn fold<T: Default>(&self, add: fn(&mut T, Number)) -> T {
        let mut folded = T::default();
        self.values().for_each(|value| add(&mut folded, value));
        folded
    }
}

pub(super) type Compute = fn(&Window<'_>, &[f64]) -> Option<Number>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Per {
    Window,
    Second,
}

/// The windows of a range vector: one ends at each time of evaluation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Windows {
    pub grid: Grid,
    pub length_ms: i64,
    pub shift: TimeShift,
}

impl Windows {
    /// For each window the time of evaluation, its end, and which samples are in it: of `count` samples at ascending times.
    fn slide(
        self,
        count: usize,
        time: impl Fn(usize) -> i64,
    ) -> impl Iterator<Item = (i64, i64, Range<usize>)> {
        let (mut from, mut to) = (0, 0);
        self.grid.times().map(move |evaluated_ms| {
            let end_ms = self.shift.apply(evaluated_ms);
            while to < count && time(to) <= end_ms {
                to += 1;
            }
            while from < to && time(from) <= end_ms - self.length_ms {
                from += 1;
            }
            (evaluated_ms, end_ms, from..to)
        })
    }
}

pub(super) enum RangeSamples<'a> {
    Stored(&'a [Series]),
    /// Of a subquery: its values, and the times at which it was evaluated.
    Computed(Vector, Grid),
}

enum Stored<'a> {
    Increments(&'a Increments),
    /// Without staleness markers.
    Points(&'a [Point]),
}

impl RangeSamples<'_> {
    /// Calls `each` with the labels and samples of every series. Increments are no samples and are refused in the name of `function`.
    pub fn for_each(
        &self,
        budget: &Budget<'_>,
        function: &str,
        mut each: impl FnMut(&Labels, &[Point]) -> Result<()>,
    ) -> Result<()> {
        self.read(budget, |labels, samples| match samples {
            Stored::Points(points) => each(labels, points),
            Stored::Increments(_) => {
                let (function, metric) = (function.to_owned(), labels.get(METRIC_NAME).to_owned());
                Err(QueryError::DeltaCounter(function, metric))
            }
        })
    }

    fn read(
        &self,
        budget: &Budget<'_>,
        mut each: impl FnMut(&Labels, Stored<'_>) -> Result<()>,
    ) -> Result<()> {
        match self {
            Self::Stored(stored) => stored.iter().try_for_each(|series| {
                budget.work(series.samples.len())?;
                match &series.samples {
                    Samples::Delta(increments) => each(&series.labels, Stored::Increments(increments)),
                    Samples::Points(all) if all.iter().any(Point::is_stale) => {
                        let _scratch = budget.charge(size_of_val(all.as_slice()))?;
                        let live: Vec<Point> =
                            all.iter().filter(|point| !point.is_stale()).copied().collect();
                        each(&series.labels, Stored::Points(&live))
                    }
                    Samples::Points(all) => each(&series.labels, Stored::Points(all)),
                }
            }),
            Self::Computed(vector, grid) => vector.columns.iter().try_for_each(|column| {
                let _scratch = budget.charge(column.cells.len().saturating_mul(size_of::<Point>()))?;
                budget.work(column.cells.len())?;
                let with_times = grid.times().zip(column.cells.iter());
                let points = with_times.filter_map(|(time_ms, cell)| Some(Point { time_ms, value: cell? }));
                each(&column.labels, Stored::Points(&points.collect::<Vec<_>>()))
            }),
        }
    }
}

/// Computes the value of every step whose window is not empty.
fn slide(
    budget: &Budget<'_>,
    all: &[Point],
    windows: Windows,
    mut read: impl FnMut(usize, &Window<'_>) -> Option<Number>,
) -> Result<Cells> {
    let slide = || windows.slide(all.len(), |at| all[at].time_ms);
    // So that too many are refused before the first is read.
    budget.work(slide().fold(0, |sum: usize, (_, _, places)| sum.saturating_add(places.len())))?;
    let mut cells = Cells::blank(budget, windows.grid.len())?;
    for (step, (evaluated_ms, end_ms, places)) in slide().enumerate().filter(|(_, (_, _, at))| !at.is_empty())
    {
        let points = &all[places];
        // Counted above; asked here, because one window may be as long as a million samples.
        budget.pause(points.len())?;
        let window = Window { points, length_ms: windows.length_ms, end_ms, evaluated_ms };
        if let Some(value) = read(step, &window) {
            cells.set(step, value)?;
        }
    }
    Ok(cells)
}

/// A function over every window of every series. `parameters` are its scalar arguments.
pub(super) fn over(
    budget: &Budget<'_>,
    function: &str,
    compute: Compute,
    parameters: &[Cells],
    samples: &RangeSamples<'_>,
    windows: Windows,
) -> Result<Vector> {
    let mut out = Vector::default();
    let mut row = Vec::with_capacity(parameters.len());
    let keeps_name = matches!(function, "first_over_time" | "last_over_time");
    samples.for_each(budget, function, |labels, all| {
        let cells = slide(budget, all, windows, |step, window| {
            row.clear();
            row.extend(parameters.iter().filter_map(|parameter| parameter.float(step)));
            compute(window, &row)
        })?;
        let labels = if keeps_name { labels.clone() } else { labels.without_name() };
        out.push(budget, labels, cells)
    })?;
    out.merged(budget)
}

/// The steps at which any series has a sample in its window. Works for increments too.
pub(super) fn presence(budget: &Budget<'_>, samples: &RangeSamples<'_>, windows: Windows) -> Result<Steps> {
    let mut present = Steps::none(budget, windows.grid.len())?;
    samples.read(budget, |_, samples| {
        present.insert_all(&match samples {
            Stored::Increments(increments) => {
                increase_of_increments(budget, increments, windows, Per::Window)?
            }
            Stored::Points(all) => slide(budget, all, windows, |_, _| Some(Number::Float(1.0)))?,
        });
        Ok(())
    })?;
    Ok(present)
}

/// `increase` and `rate`: exact for increments, extrapolated for stored counters.
pub(super) fn increase(
    budget: &Budget<'_>,
    notices: &Notices,
    samples: &RangeSamples<'_>,
    windows: Windows,
    per: Per,
) -> Result<Vector> {
    let mut out = Vector::default();
    samples.read(budget, |labels, samples| {
        let cells = match samples {
            Stored::Increments(increments) => increase_of_increments(budget, increments, windows, per)?,
            Stored::Points(all) => {
                let extrapolate = |_, window: &Window<'_>| extrapolated(window, Counter::Monotone, per);
                let cells = slide(budget, all, windows, extrapolate)?;
                inform_of_name(notices, labels, &cells);
                cells
            }
        };
        out.push(budget, labels.without_name(), cells)
    })?;
    out.merged(budget)
}

/// Says that a metric whose name is not that of a counter is taken for one.
fn inform_of_name(notices: &Notices, labels: &Labels, cells: &Cells) {
    let name = labels.get(METRIC_NAME);
    let counter = ["_total", "_sum", "_count", "_bucket"].iter().any(|end| name.ends_with(end));
    if !name.is_empty() && !counter && !cells.is_blank() {
        notices.inform(&format!(
            "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"{name}\""
        ));
    }
}

/// The exact increase over each window, by prefix sums, where the series is alive.
fn increase_of_increments(
    budget: &Budget<'_>,
    Increments { times_ms, picos }: &Increments,
    windows: Windows,
    per: Per,
) -> Result<Cells> {
    let _scratch = budget.charge((picos.len() + 1) * size_of::<Number>())?;
    let mut total = Number::Exact(0);
    let mut prefix = Vec::with_capacity(picos.len() + 1);
    prefix.push(total);
    prefix.extend(picos.iter().map(|increment| {
        total = total.plus(Number::Exact(*increment));
        total
    }));
    let alive = Alive::new(windows.grid, windows.shift, windows.length_ms);
    let values = windows.slide(times_ms.len(), |at| times_ms[at]).map(|(_, end_ms, places)| {
        let increase = prefix[places.end].minus(prefix[places.start]);
        alive.at(end_ms, &times_ms[..places.end], places.len()).then(|| match per {
            Per::Window => increase,
            Per::Second => Number::Float(increase.to_f64() / seconds(windows.length_ms)),
        })
    });
    Cells::build(budget, windows.grid.len(), values)
}

/// Whether a fall in value is a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counter {
    Monotone,
    Gauge,
}

/// The change over a window of sampled values, extended to the window's ends by at most half a sample distance, and never below zero
/// for a counter. The rules are Prometheus's.
pub(super) fn extrapolated(window: &Window<'_>, counter: Counter, per: Per) -> Option<Number> {
    let (first, last) = (window.points.first()?, window.points.last()?);
    if window.points.len() < 2 || last.time_ms == first.time_ms {
        return None;
    }
    let first_value = first.value.to_f64();
    let mut change = last.value.to_f64() - first_value;
    if counter == Counter::Monotone {
        let mut previous = first_value;
        for point in &window.points[1..] {
            let value = point.value.to_f64();
            if value < previous {
                change += previous;
            }
            previous = value;
        }
    }
    let mut to_start = seconds(first.time_ms - (window.end_ms - window.length_ms));
    let mut to_end = seconds(window.end_ms - last.time_ms);
    let sampled = seconds(last.time_ms - first.time_ms);
    let mean_distance = sampled / count_f64(window.points.len() - 1);
    let threshold = mean_distance * 1.1;
    if to_start >= threshold {
        to_start = mean_distance / 2.0;
    }
    if counter == Counter::Monotone && change > 0.0 && first_value >= 0.0 {
        to_start = to_start.min(sampled * (first_value / change));
    }
    if to_end >= threshold {
        to_end = mean_distance / 2.0;
    }
    let mut factor = (sampled + to_start + to_end) / sampled;
    if per == Per::Second {
        factor /= seconds(window.length_ms);
    }
    Some(Number::Float(change * factor))
}

#[allow(clippy::cast_precision_loss, reason = "times are bounded far below 2^53")]
pub(super) fn seconds(time_ms: i64) -> f64 {
    time_ms as f64 / 1000.0
}
