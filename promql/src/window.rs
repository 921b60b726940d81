//! Pure: functions over range vectors. Windows are open on the left and closed on the right, `(t - w, t]`, as in Prometheus 3.
//!
//! A counter stored as increments has no resets, no gaps and nothing to extrapolate: its increase over a window is the difference of
//! two prefix sums of integers.

use super::budget::Budget;
use super::cells::{Cells, Steps};
use super::error::QueryError;
use super::labels::{Labels, METRIC_NAME};
use super::notices::Notices;
use super::number::Number;
use super::plan::{Grid, TimeShift};
use super::series::{Increments, Point, Samples, Series};
use super::statistics::count_f64;
use super::value::Vector;

/// The samples in one window.
pub(super) struct Window<'a> {
    /// Ascending, without staleness markers, never empty.
    pub points: &'a [Point],
    /// The window's length.
    pub length_ms: i64,
    /// The window's end: time of evaluation with `offset` and `@` applied.
    pub end_ms: i64,
    /// The time of evaluation.
    pub evaluated_ms: i64,
}

/// Computes one value from one window and the scalar arguments.
pub(super) type Compute = fn(&Window<'_>, &[f64]) -> Option<Number>;

/// Whether a result keeps the metric's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NameRule {
    Drop,
    Keep,
}

/// What an increase is divided by.
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
    fn ends(self) -> impl Iterator<Item = (i64, i64)> {
        self.grid.times().map(move |evaluated_ms| (evaluated_ms, self.shift.apply(evaluated_ms)))
    }
}

/// The samples a range vector is taken from.
pub(super) enum RangeSamples<'a> {
    /// Of a selector.
    Stored(&'a [Series]),
    /// Of a subquery: its values, and the times at which it was evaluated.
    Computed(Vector, Grid),
}

impl RangeSamples<'_> {
    /// Calls `each` with the labels and samples of every series. Increments are no samples and are refused in the name of `function`.
    pub fn for_each(
        &self,
        budget: &Budget<'_>,
        function: &str,
        mut each: impl FnMut(&Labels, &[Point]) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        match self {
            Self::Stored(stored) => {
                for series in *stored {
                    match &series.samples {
                        Samples::Delta(_) => return Err(delta_counter(function, &series.labels)),
                        Samples::Cumulative(all) | Samples::Gauge(all) => {
                            with_live_points(budget, all, |points| each(&series.labels, points))?;
                        }
                    }
                }
            }
            Self::Computed(vector, grid) => {
                for column in &vector.columns {
                    let _scratch = budget.charge(column.cells.len().saturating_mul(size_of::<Point>()))?;
                    budget.work(column.cells.len())?;
                    let points: Vec<Point> = points(&column.cells, *grid).collect();
                    each(&column.labels, &points)?;
                }
            }
        }
        Ok(())
    }
}

/// The values of a column with their times.
pub(super) fn points(cells: &Cells, grid: Grid) -> impl Iterator<Item = Point> + '_ {
    let with_times = grid.times().zip(cells.iter());
    with_times.filter_map(|(time_ms, cell)| Some(Point { time_ms, value: cell? }))
}

fn delta_counter(function: &str, labels: &Labels) -> QueryError {
    let metric = labels.get(METRIC_NAME).to_owned();
    QueryError::DeltaCounter { function: function.to_owned(), metric }
}

/// Calls `each` with the points that are no staleness markers.
fn with_live_points<T>(
    budget: &Budget<'_>,
    all: &[Point],
    each: impl FnOnce(&[Point]) -> Result<T, QueryError>,
) -> Result<T, QueryError> {
    budget.work(all.len())?;
    if !all.iter().any(Point::is_stale) {
        return each(all);
    }
    let _scratch = budget.charge(size_of_val(all))?;
    let live: Vec<Point> = all.iter().filter(|point| !point.is_stale()).copied().collect();
    each(&live)
}

/// Slides a window over ascending samples; `read` computes the value of every step whose window is not empty.
fn slide(
    budget: &Budget<'_>,
    all: &[Point],
    windows: Windows,
    mut read: impl FnMut(usize, &Window<'_>) -> Option<Number>,
) -> Result<Cells, QueryError> {
    budget.work(cells_read(all, windows))?;
    let (mut from, mut to) = (0, 0);
    let mut cells = Cells::blank(budget, windows.grid.len())?;
    for (step, (evaluated_ms, end_ms)) in windows.ends().enumerate() {
        to += all[to..].iter().take_while(|point| point.time_ms <= end_ms).count();
        from += all[from..to].iter().take_while(|point| point.time_ms <= end_ms - windows.length_ms).count();
        let points = &all[from..to];
        if points.is_empty() {
            continue;
        }
        // Counted above; asked here, because one window may be as long as a million samples.
        budget.pause(points.len())?;
        let window = Window { points, length_ms: windows.length_ms, end_ms, evaluated_ms };
        if let Some(value) = read(step, &window) {
            cells.set(step, value)?;
        }
    }
    Ok(cells)
}

/// How many samples all windows of a series hold together, so that too many are refused before the first is read.
fn cells_read(all: &[Point], windows: Windows) -> usize {
    let (mut from, mut to, mut total) = (0, 0, 0_usize);
    for (_, end_ms) in windows.ends() {
        to += all[to..].iter().take_while(|point| point.time_ms <= end_ms).count();
        from += all[from..to].iter().take_while(|point| point.time_ms <= end_ms - windows.length_ms).count();
        total = total.saturating_add(to - from);
    }
    total
}

/// A function over every window of every series. `parameters` are its scalar arguments.
pub(super) fn over(
    budget: &Budget<'_>,
    function: &str,
    (compute, name): (Compute, NameRule),
    parameters: &[Cells],
    samples: &RangeSamples<'_>,
    windows: Windows,
) -> Result<Vector, QueryError> {
    let mut out = Vector::default();
    let mut row = Vec::with_capacity(parameters.len());
    samples.for_each(budget, function, |labels, all| {
        let cells = slide(budget, all, windows, |step, window| {
            row.clear();
            row.extend(parameters.iter().filter_map(|parameter| parameter.float(step)));
            compute(window, &row)
        })?;
        let labels = if name == NameRule::Keep { labels.clone() } else { labels.without_name() };
        out.push(budget, labels, cells)
    })?;
    out.merged(budget)
}

/// The steps at which any series has a sample in its window. Works for increments too.
pub(super) fn presence(
    budget: &Budget<'_>,
    function: &str,
    samples: &RangeSamples<'_>,
    windows: Windows,
) -> Result<Steps, QueryError> {
    let mut present = Steps::none(budget, windows.grid.len())?;
    if let RangeSamples::Stored(stored) = samples
        && stored.iter().any(|series| matches!(series.samples, Samples::Delta(_)))
    {
        for series in *stored {
            if let Samples::Delta(increments) = &series.samples {
                present.insert_all(&increase_of_increments(budget, increments, windows, Per::Window)?);
            }
        }
        return Ok(present);
    }
    samples.for_each(budget, function, |_, all| {
        present.insert_all(&slide(budget, all, windows, |_, _| Some(Number::Float(1.0)))?);
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
) -> Result<Vector, QueryError> {
    let mut out = Vector::default();
    let mut push = |labels: &Labels, cells: Cells| out.push(budget, labels.without_name(), cells);
    let of_points =
        |all: &[Point]| slide(budget, all, windows, |_, window| extrapolated(window, Counter::Monotone, per));
    match samples {
        RangeSamples::Stored(stored) => {
            for series in *stored {
                let cells = match &series.samples {
                    Samples::Delta(increments) => increase_of_increments(budget, increments, windows, per)?,
                    Samples::Cumulative(all) | Samples::Gauge(all) => {
                        let cells = with_live_points(budget, all, of_points)?;
                        inform_of_name(notices, &series.labels, &cells);
                        cells
                    }
                };
                push(&series.labels, cells)?;
            }
        }
        RangeSamples::Computed(..) => samples.for_each(budget, "increase", |labels, all| {
            let cells = of_points(all)?;
            inform_of_name(notices, labels, &cells);
            push(labels, cells)
        })?,
    }
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

/// The exact increase over each window, by prefix sums. A window without any increment has no value.
fn increase_of_increments(
    budget: &Budget<'_>,
    Increments { times_ms, nanos }: &Increments,
    windows: Windows,
    per: Per,
) -> Result<Cells, QueryError> {
    budget.work(nanos.len())?;
    let _scratch = budget.charge((nanos.len() + 1) * size_of::<Number>())?;
    let mut total = Number::Exact(0);
    let mut prefix = Vec::with_capacity(nanos.len() + 1);
    prefix.push(total);
    prefix.extend(nanos.iter().map(|increment| {
        total = total.plus(Number::Exact(*increment));
        total
    }));
    let (mut from, mut to) = (0, 0);
    let values = windows.ends().map(|(_, end_ms)| {
        to += times_ms[to..].iter().take_while(|time| **time <= end_ms).count();
        from += times_ms[from..to].iter().take_while(|time| **time <= end_ms - windows.length_ms).count();
        let increase = prefix[to].minus(prefix[from]);
        (to > from).then(|| match per {
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

/// Milliseconds as seconds.
#[allow(clippy::cast_precision_loss, reason = "times are bounded far below 2^53")]
pub(super) fn seconds(time_ms: i64) -> f64 {
    time_ms as f64 / 1000.0
}
