//! Pure: functions that need more than one value or window at a time.

use std::sync::Arc;

use super::aggregate::warn_quantile;
use super::error::QueryError;
use super::eval::{Cells, Columns, Evaluator, Value, seconds};
use super::functions::NameRule;
use super::labels::{Labels, METRIC_NAME};
use super::matcher::{MatchKind, anchored_regex};
use super::number::Number;
use super::plan::{Call, Grid, Node, RangeOver};
use super::series::Samples;
use super::{range, window};

fn argument(call: &Call, at: usize) -> Result<&Node, QueryError> {
    let missing = || QueryError::Parameter { message: format!("{} lacks an argument", call.function.name) };
    call.arguments.get(at).ok_or_else(missing)
}

pub fn time(_: &Evaluator<'_>, _: &Call, grid: Grid) -> Result<Value, QueryError> {
    Ok(Value::Scalar(grid.times().map(|time| Number::Float(seconds(time))).collect()))
}

pub fn pi(_: &Evaluator<'_>, _: &Call, grid: Grid) -> Result<Value, QueryError> {
    Ok(Value::Scalar(vec![Number::Float(std::f64::consts::PI); grid.len()]))
}

pub fn vector(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Result<Value, QueryError> {
    let cells = evaluator.scalar(argument(call, 0)?, grid)?;
    let mut columns = evaluator.no_columns()?;
    evaluator.push(&mut columns, Labels::default(), cells.into_iter().map(Some).collect())?;
    Ok(Value::Vector(columns))
}

/// The value where exactly one series has one, NaN elsewhere.
pub fn scalar(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Result<Value, QueryError> {
    let columns = evaluator.vector(argument(call, 0)?, grid)?;
    let at = |step: usize| {
        let mut present = columns.list.iter().filter_map(|column| column.cells[step]);
        match (present.next(), present.next()) {
            (Some(value), None) => value,
            _ => Number::Float(f64::NAN),
        }
    };
    Ok(Value::Scalar((0..grid.len()).map(at).collect()))
}

/// When the newest sample was taken, for a bare selector; otherwise the time of evaluation.
pub fn timestamp(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Result<Value, QueryError> {
    let node = argument(call, 0)?;
    let mut columns = if let Node::Selector(selector) = node {
        let series = evaluator.series(selector.id)?;
        if let Some(series) = series.iter().find(|series| matches!(series.samples, Samples::Delta(_))) {
            let metric = series.labels.get(METRIC_NAME).to_owned();
            return Err(QueryError::DeltaCounter { function: "timestamp".to_owned(), metric });
        }
        evaluator.instant(selector, grid, |point, _| Number::Float(seconds(point.time_ms)))?
    } else {
        let mut columns = evaluator.vector(node, grid)?;
        for column in &mut columns.list {
            for (cell, time) in column.cells.iter_mut().zip(grid.times()) {
                *cell = cell.map(|_| Number::Float(seconds(time)));
            }
        }
        columns
    };
    for column in &mut columns.list {
        column.labels = column.labels.without_name();
    }
    evaluator.merged(columns).map(Value::Vector)
}

/// The labels an absent series would have: those its selector fixes with `=`.
fn absent_labels(evaluator: &Evaluator<'_>, selector: Option<usize>) -> Labels {
    let mut labels = Labels::default();
    let request = selector.and_then(|id| evaluator.requests.get(id));
    let mut seen: Vec<&str> = Vec::new();
    for matcher in request.iter().flat_map(|request| &request.matchers) {
        if matcher.name == METRIC_NAME {
            continue;
        }
        if matcher.kind == MatchKind::Equal && !seen.contains(&matcher.name.as_str()) {
            labels.set(matcher.name.as_str(), matcher.value.as_str());
            seen.push(&matcher.name);
        } else {
            labels.set(matcher.name.as_str(), "");
        }
    }
    labels
}

fn where_absent(
    evaluator: &Evaluator<'_>,
    labels: Labels,
    present: impl Iterator<Item = bool>,
) -> Result<Value, QueryError> {
    let mut columns = evaluator.no_columns()?;
    let cells: Cells = present.map(|present| (!present).then(|| Number::whole(1))).collect();
    evaluator.push(&mut columns, labels, cells)?;
    Ok(Value::Vector(columns))
}

pub fn absent(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Result<Value, QueryError> {
    let node = argument(call, 0)?;
    let selector = if let Node::Selector(selector) = node { Some(selector.id) } else { None };
    let columns = evaluator.vector(node, grid)?;
    let present = (0..grid.len()).map(|step| columns.list.iter().any(|column| column.cells[step].is_some()));
    where_absent(evaluator, absent_labels(evaluator, selector), present)
}

pub fn absent_over_time(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Result<Value, QueryError> {
    let selector = match argument(call, 0)? {
        Node::Range(range) => match &range.over {
            RangeOver::Selector { id } => Some(*id),
            RangeOver::Subquery { .. } => None,
        },
        _ => None,
    };
    let present = window::presence(evaluator, call, grid)?;
    where_absent(evaluator, absent_labels(evaluator, selector), present.into_iter())
}

pub fn quantile_over_time(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Result<Value, QueryError> {
    let quantiles = evaluator.scalar(argument(call, 0)?, grid)?;
    let quantiles: Vec<f64> = quantiles.into_iter().map(Number::to_f64).collect();
    let columns = window::over(evaluator, call, grid, range::quantile_of, NameRule::Drop)?;
    if !columns.list.is_empty() {
        warn_quantile(evaluator, &quantiles);
    }
    Ok(Value::Vector(columns))
}

/// Orders the series of an instant answer; a range answer is always ordered by labels.
fn ordered(
    evaluator: &Evaluator<'_>,
    call: &Call,
    grid: Grid,
    order: fn(Number, Number) -> Option<std::cmp::Ordering>,
) -> Result<Value, QueryError> {
    let mut columns: Columns = evaluator.vector(argument(call, 0)?, grid)?;
    if grid.count == 1 {
        columns.list.retain(|column| column.cells.first().is_some_and(Option::is_some));
        columns.list.sort_by(|a, b| match (a.cells[0], b.cells[0]) {
            (Some(a), Some(b)) => order(a, b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan())),
            _ => std::cmp::Ordering::Equal,
        });
    }
    Ok(Value::Vector(columns))
}

pub fn sort(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Result<Value, QueryError> {
    ordered(evaluator, call, grid, Number::compare)
}

pub fn sort_desc(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Result<Value, QueryError> {
    ordered(evaluator, call, grid, |a, b| b.compare(a))
}

fn label_name(function: &str, name: String) -> Result<String, QueryError> {
    if name.is_empty() || name.contains('\u{fffd}') {
        let message = format!("invalid label name in {function}(): {name:?}");
        return Err(QueryError::Parameter { message });
    }
    Ok(name)
}

pub fn label_replace(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Result<Value, QueryError> {
    let text = |at| evaluator.text(argument(call, at)?, grid);
    let target = label_name("label_replace", text(1)?)?;
    let (replacement, source, pattern) = (text(2)?, text(3)?, text(4)?);
    let regex = anchored_regex(&pattern)?;
    let mut columns = evaluator.vector(argument(call, 0)?, grid)?;
    for column in &mut columns.list {
        let Some(captures) = regex.captures(column.labels.get(&source)) else { continue };
        let mut value = String::new();
        captures.expand(&replacement, &mut value);
        drop(captures);
        column.labels.set(target.as_str(), value);
    }
    evaluator.merged(columns).map(Value::Vector)
}

pub fn label_join(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Result<Value, QueryError> {
    let target = label_name("label_join", evaluator.text(argument(call, 1)?, grid)?)?;
    let separator = evaluator.text(argument(call, 2)?, grid)?;
    let mut sources: Vec<Arc<str>> = Vec::new();
    for node in call.arguments.iter().skip(3) {
        sources.push(label_name("label_join", evaluator.text(node, grid)?)?.into());
    }
    let mut columns = evaluator.vector(argument(call, 0)?, grid)?;
    for column in &mut columns.list {
        let values: Vec<&str> = sources.iter().map(|source| column.labels.get(source)).collect();
        let joined = values.join(&separator);
        column.labels.set(target.as_str(), joined);
    }
    evaluator.merged(columns).map(Value::Vector)
}
