//! Pure: functions of a whole vector, that need more than one value at a time.

use std::cmp::Ordering;

use super::budget::Budget;
use super::cells::{Cells, Steps};
use super::error::Result;
use super::labels::{Labels, METRIC_NAME};
use super::matcher::{MatchKind, Matcher};
use super::number::Number;
use super::plan::Grid;
use super::statistics::in_order;
use super::value::Vector;
use super::window::seconds;

pub(super) fn time(budget: &Budget<'_>, grid: Grid) -> Result<Cells> {
    Cells::build(budget, grid.len(), grid.times().map(|time| Some(Number::Float(seconds(time)))))
}

/// `scalar`: the value where exactly one series has one, NaN elsewhere.
pub(super) fn scalar(budget: &Budget<'_>, input: &Vector, grid: Grid) -> Result<Cells> {
    budget.work(input.columns.len().saturating_mul(grid.len()))?;
    let values = (0..grid.len()).map(|step| {
        let mut present = input.columns.iter().filter_map(|column| column.cells.get(step));
        match (present.next(), present.next()) {
            (Some(value), None) => Some(value),
            _ => Some(Number::Float(f64::NAN)),
        }
    });
    Cells::build(budget, grid.len(), values)
}

pub(super) fn presence(budget: &Budget<'_>, input: &Vector, grid: Grid) -> Result<Steps> {
    let mut present = Steps::none(budget, grid.len())?;
    input.columns.iter().for_each(|column| present.insert_all(&column.cells));
    Ok(present)
}

/// `absent` and `absent_over_time`: 1 where nothing is present, with the labels that the selector's `matchers` fix.
pub(super) fn where_absent(
    budget: &Budget<'_>,
    present: &Steps,
    matchers: &[Matcher],
    grid: Grid,
) -> Result<Vector> {
    let values = (0..grid.len()).map(|step| (!present.contains(step)).then(|| Number::whole(1)));
    let cells = Cells::build(budget, grid.len(), values)?;
    let mut out = Vector::default();
    out.push(budget, absent_labels(matchers), cells)?;
    Ok(out)
}

/// The labels an absent series would have: those its selector fixes with `=`.
fn absent_labels(matchers: &[Matcher]) -> Labels {
    let mut labels = Labels::default();
    let mut seen: Vec<&str> = Vec::new();
    for matcher in matchers.iter().filter(|matcher| matcher.name != METRIC_NAME) {
        if matcher.kind == MatchKind::Equal && !seen.contains(&matcher.name.as_str()) {
            labels.set(matcher.name.as_str(), matcher.value.as_str());
            seen.push(&matcher.name);
        } else {
            labels.set(matcher.name.as_str(), "");
        }
    }
    labels
}

/// `sort` and `sort_desc`: orders the series of an instant answer; a range answer is always ordered by labels.
pub(super) fn sorted(mut input: Vector, grid: Grid, order: fn(Number, Number) -> Option<Ordering>) -> Vector {
    if grid.count == 1 {
        input.columns.retain(|column| column.cells.is_present(0));
        input.columns.sort_by(|a, b| match (a.cells.get(0), b.cells.get(0)) {
            (Some(a), Some(b)) => in_order(order, a, b),
            _ => Ordering::Equal,
        });
    }
    input
}
