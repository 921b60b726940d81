//! Pure: functions over range vectors. Windows are open on the left and closed on the right, `(t - w, t]`, as in Prometheus 3.
//!
//! A counter stored as increments has no resets, no gaps and nothing to extrapolate: its increase over a window is the difference of
//! two prefix sums of integers.

use super::error::QueryError;
use super::eval::{Cells, Columns, Evaluator, points, seconds};
use super::functions::NameRule;
use super::labels::{Labels, METRIC_NAME};
use super::number::Number;
use super::plan::{Call, Grid, Node, RangeNode, RangeOver};
use super::series::{Point, Samples};

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

/// What an increase is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Per {
    Window,
    Second,
}

/// The range argument of a call and the scalar ones.
fn arguments(call: &Call) -> Result<(&RangeNode, Vec<&Node>), QueryError> {
    let mut range = None;
    let mut scalars = Vec::new();
    for argument in &call.arguments {
        match argument {
            Node::Range(node) => range = Some(&**node),
            other => scalars.push(other),
        }
    }
    let missing =
        || QueryError::Parameter { message: format!("{} needs a range vector", call.function.name) };
    Ok((range.ok_or_else(missing)?, scalars))
}

/// Calls `each` with the labels and samples of every series a range covers. Increments are refused in the name of `function`.
pub(super) fn for_each_series(
    evaluator: &Evaluator<'_>,
    range: &RangeNode,
    grid: Grid,
    function: &str,
    mut each: impl FnMut(&Labels, &[Point]) -> Result<(), QueryError>,
) -> Result<(), QueryError> {
    match &range.over {
        RangeOver::Selector { id } => {
            for series in evaluator.series(*id)?.iter() {
                evaluator.budget.check_deadline()?;
                match &series.samples {
                    Samples::Delta(_) => {
                        let metric = series.labels.get(METRIC_NAME).to_owned();
                        return Err(QueryError::DeltaCounter { function: function.to_owned(), metric });
                    }
                    Samples::Cumulative(all) | Samples::Gauge(all) if all.iter().any(Point::is_stale) => {
                        let live: Vec<Point> =
                            all.iter().filter(|point| !point.is_stale()).copied().collect();
                        each(&series.labels, &live)?;
                    }
                    Samples::Cumulative(all) | Samples::Gauge(all) => each(&series.labels, all)?,
                }
            }
        }
        RangeOver::Subquery { node, step_ms } => {
            let inner = range.inner_grid(grid, *step_ms);
            let columns = evaluator.vector(node, inner)?;
            for column in &columns.list {
                evaluator.budget.check_deadline()?;
                each(&column.labels, &points(&column.cells, inner))?;
            }
        }
    }
    Ok(())
}

/// Slides a window over ascending samples, calling `read` for every step whose window is not empty.
fn slide(
    all: &[Point],
    range: &RangeNode,
    grid: Grid,
    mut read: impl FnMut(usize, &Window<'_>) -> Option<Number>,
) -> Cells {
    let (mut from, mut to) = (0, 0);
    let step = |(step, evaluated_ms)| {
        let end_ms = range.shift.apply(evaluated_ms);
        to += all[to..].iter().take_while(|point| point.time_ms <= end_ms).count();
        from += all[from..to].iter().take_while(|point| point.time_ms <= end_ms - range.window_ms).count();
        let points = &all[from..to];
        if points.is_empty() {
            return None;
        }
        read(step, &Window { points, length_ms: range.window_ms, end_ms, evaluated_ms })
    };
    grid.times().enumerate().map(step).collect()
}

/// A function from the table over every window of every series.
pub(super) fn over(
    evaluator: &Evaluator<'_>,
    call: &Call,
    grid: Grid,
    compute: Compute,
    name: NameRule,
) -> Result<Columns, QueryError> {
    let (range, scalars) = arguments(call)?;
    let mut parameters = vec![Vec::new(); grid.len()];
    for node in scalars {
        for (row, value) in parameters.iter_mut().zip(evaluator.scalar(node, grid)?) {
            row.push(value.to_f64());
        }
    }
    let mut columns = evaluator.no_columns()?;
    for_each_series(evaluator, range, grid, call.function.name, |labels, all| {
        let cells = slide(all, range, grid, |step, window| compute(window, &parameters[step]));
        if cells.iter().all(Option::is_none) {
            return Ok(());
        }
        let labels = if name == NameRule::Keep { labels.clone() } else { labels.without_name() };
        evaluator.push(&mut columns, labels, cells)
    })?;
    evaluator.merged(columns)
}

/// For each step, whether any series has a sample in its window. Works for increments too.
pub(super) fn presence(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Result<Vec<bool>, QueryError> {
    let (range, _) = arguments(call)?;
    let mut present = vec![false; grid.len()];
    if let RangeOver::Selector { id } = &range.over {
        for series in evaluator.series(*id)?.iter() {
            if let Samples::Delta(increments) = &series.samples {
                let cells = increase_of_increments(increments, range, grid, Per::Window);
                present.iter_mut().zip(cells).for_each(|(seen, cell)| *seen |= cell.is_some());
            }
        }
        if evaluator.series(*id)?.iter().any(|series| matches!(series.samples, Samples::Delta(_))) {
            return Ok(present);
        }
    }
    for_each_series(evaluator, range, grid, call.function.name, |_, all| {
        let cells = slide(all, range, grid, |_, _| Some(Number::Float(1.0)));
        present.iter_mut().zip(cells).for_each(|(seen, cell)| *seen |= cell.is_some());
        Ok(())
    })?;
    Ok(present)
}

/// `increase` and `rate`: exact for increments, extrapolated for stored counters.
pub(super) fn increase(
    evaluator: &Evaluator<'_>,
    call: &Call,
    grid: Grid,
    per: Per,
) -> Result<Columns, QueryError> {
    let (range, _) = arguments(call)?;
    let mut columns = evaluator.no_columns()?;
    if let RangeOver::Selector { id } = &range.over {
        let series = evaluator.series(*id)?;
        if series.iter().any(|series| matches!(series.samples, Samples::Delta(_))) {
            for series in series.iter() {
                let cells = match &series.samples {
                    Samples::Delta(increments) => increase_of_increments(increments, range, grid, per),
                    Samples::Cumulative(all) | Samples::Gauge(all) => {
                        let live: Vec<Point> =
                            all.iter().filter(|point| !point.is_stale()).copied().collect();
                        slide(&live, range, grid, |_, window| extrapolated(window, Counter::Monotone, per))
                    }
                };
                if cells.iter().any(Option::is_some) {
                    evaluator.push(&mut columns, series.labels.without_name(), cells)?;
                }
            }
            return evaluator.merged(columns);
        }
    }
    for_each_series(evaluator, range, grid, call.function.name, |labels, all| {
        let cells = slide(all, range, grid, |_, window| extrapolated(window, Counter::Monotone, per));
        if cells.iter().all(Option::is_none) {
            return Ok(());
        }
        let name = labels.get(METRIC_NAME);
        if !name.is_empty() && !["_total", "_sum", "_count", "_bucket"].iter().any(|end| name.ends_with(end))
        {
            evaluator.inform(format!(
                "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"{name}\""
            ));
        }
        evaluator.push(&mut columns, labels.without_name(), cells)
    })?;
    evaluator.merged(columns)
}

/// The exact increase over each window, by prefix sums. A window without any increment has no value.
fn increase_of_increments(increments: &[(i64, i128)], range: &RangeNode, grid: Grid, per: Per) -> Cells {
    let mut total = Number::Exact(0);
    let mut prefix = Vec::with_capacity(increments.len() + 1);
    prefix.push(total);
    prefix.extend(increments.iter().map(|(_, increment)| {
        total = total.plus(Number::Exact(*increment));
        total
    }));
    let (mut from, mut to) = (0, 0);
    let step = |evaluated_ms| {
        let end_ms = range.shift.apply(evaluated_ms);
        to += increments[to..].iter().take_while(|(time, _)| *time <= end_ms).count();
        from += increments[from..to].iter().take_while(|(time, _)| *time <= end_ms - range.window_ms).count();
        let increase = prefix[to].minus(prefix[from]);
        (to > from).then(|| match per {
            Per::Window => increase,
            Per::Second => Number::Float(increase.to_f64() / seconds(range.window_ms)),
        })
    };
    grid.times().map(step).collect()
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

/// A count as a float.
#[allow(clippy::cast_precision_loss, reason = "counts of samples are far below 2^53")]
pub(super) fn count_f64(count: usize) -> f64 {
    count as f64
}
