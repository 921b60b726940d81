//! Pure: aggregation over the series of a vector. The groups are found once; then each step is folded.

use std::cmp::Ordering;

use super::budget::Budget;
use super::cells::Cells;
use super::error::{QueryError, Result};
use super::format::format_plain;
use super::notices::Notices;
use super::number::{Number, Sum};
use super::statistics::{Mean, Variance, in_order, maximum, minimum, quantile};
use super::syntax::{Aggregation, Grouping};
use super::value::{Column, Groups, LabelSets, Value, Vector};

/// The aggregation of a vector; `parameter` is that of `topk`, `bottomk`, `quantile` and `count_values`.
pub(super) fn apply(
    budget: &Budget<'_>,
    notices: &Notices,
    operation: Aggregation,
    grouping: &Grouping,
    parameter: Option<Value>,
    input: Vector,
) -> Result<Vector> {
    let places = input.columns.iter().map(|column| grouping.of(&column.labels)).zip(0..);
    let groups = Groups::of(budget, places)?;
    match (operation, parameter) {
        (Aggregation::Top, Some(Value::Scalar(counts))) => {
            ranked(budget, |a, b| b.compare(a), &counts, input, &groups)
        }
        (Aggregation::Bottom, Some(Value::Scalar(counts))) => {
            ranked(budget, Number::compare, &counts, input, &groups)
        }
        (Aggregation::CountValues, Some(Value::Text(label))) => count_values(budget, &label, &input, &groups),
        (Aggregation::Quantile, Some(Value::Scalar(quantiles))) => {
            warn_quantile(notices, &quantiles);
            of_quantiles(budget, &quantiles, &input, &groups)
        }
        (Aggregation::Sum, _) => folded(budget, &input, &groups, Sum::add, Sum::total),
        (Aggregation::Average, _) => folded(budget, &input, &groups, Mean::add, Mean::value),
        (Aggregation::Minimum, _) => folded(budget, &input, &groups, extreme(minimum), extreme_value),
        (Aggregation::Maximum, _) => folded(budget, &input, &groups, extreme(maximum), extreme_value),
        (Aggregation::Count, _) => folded(budget, &input, &groups, |n: &mut u64, _| *n += 1, Number::whole),
        (Aggregation::Group, _) => {
            folded(budget, &input, &groups, |(): &mut (), _| (), |()| Number::whole(1))
        }
        (Aggregation::Deviation, _) => {
            folded(budget, &input, &groups, Variance::add, |v: Variance| Number::Float(v.value().sqrt()))
        }
        (Aggregation::Variance, _) => {
            folded(budget, &input, &groups, Variance::add, |v: Variance| Number::Float(v.value()))
        }
        _ => Err(QueryError::Parameter(format!("{} needs a parameter", operation.name()))),
    }
}

fn steps(input: &Vector) -> usize {
    input.columns.first().map_or(0, |column| column.cells.len())
}

fn extreme(better: fn(Number, Number) -> Number) -> impl Fn(&mut Option<Number>, Number) {
    move |current, value| *current = Some(current.map_or(value, |current| better(current, value)))
}

fn extreme_value(found: Option<Number>) -> Number {
    found.unwrap_or(Number::Float(f64::NAN))
}

/// One value of each group and step: `finish` of what `add` made of the values of its members.
fn folded<T: Default + Copy>(
    budget: &Budget<'_>,
    input: &Vector,
    groups: &Groups<usize>,
    add: impl Fn(&mut T, Number),
    finish: impl Fn(T) -> Number,
) -> Result<Vector> {
    let steps = steps(input);
    let mut out = Vector::default();
    let _scratch = budget.charge(steps * size_of::<Option<T>>())?;
    let mut folds: Vec<Option<T>> = Vec::with_capacity(steps);
    for (labels, members) in &groups.list {
        folds.clear();
        folds.resize(steps, None);
        for member in members {
            budget.work(steps)?;
            for (step, value) in input.columns[*member].cells.values() {
                add(folds[step].get_or_insert_default(), value);
            }
        }
        let values = folds.iter().map(|fold| fold.map(&finish));
        out.push(budget, labels.clone(), Cells::build(budget, steps, values)?)?;
    }
    Ok(out)
}

fn of_quantiles(
    budget: &Budget<'_>,
    quantiles: &Cells,
    input: &Vector,
    groups: &Groups<usize>,
) -> Result<Vector> {
    let steps = steps(input);
    let mut out = Vector::default();
    for (labels, members) in &groups.list {
        budget.work(members.len().saturating_mul(steps))?;
        let _scratch = budget.charge(members.len() * size_of::<f64>())?;
        let mut values = Vec::with_capacity(members.len());
        let cells = quantiles.iter().enumerate().map(|(step, q)| {
            values.clear();
            values.extend(members.iter().filter_map(|at| input.columns[*at].cells.float(step)));
            (!values.is_empty()).then(|| q.map(|q| Number::Float(quantile(q.to_f64(), &mut values))))?
        });
        let cells = Cells::build(budget, steps, cells)?;
        out.push(budget, labels.clone(), cells)?;
    }
    Ok(out)
}

pub(super) fn warn_quantile(notices: &Notices, quantiles: &Cells) {
    let wrong = |value: &f64| !(0.0..=1.0).contains(value);
    if let Some(bad) = quantiles.values().map(|(_, value)| value.to_f64()).find(wrong) {
        notices.warn(&format!("quantile value should be between 0 and 1, got {}", format_plain(bad)));
    }
}

/// `topk` and `bottomk`: the series themselves, where they are among the first k of their group.
fn ranked(
    budget: &Budget<'_>,
    order: fn(Number, Number) -> Option<Ordering>,
    counts: &Cells,
    input: Vector,
    groups: &Groups<usize>,
) -> Result<Vector> {
    // Checked for every step first: whether a parameter is valid must not depend on what it is applied to.
    counts.values().try_for_each(|(_, value)| whole_count(value).map(drop))?;
    let mut kept: Vec<Cells> = input
        .columns
        .iter()
        .map(|column| Cells::blank(budget, column.cells.len()))
        .collect::<Result<_, _>>()?;
    let mut place = vec![usize::MAX; kept.len()];
    let mut placed = 0;
    for (_, members) in &groups.list {
        let _scratch = budget.charge(members.len() * size_of::<(usize, Number)>())?;
        for (step, count) in counts.values() {
            let count = whole_count(count)?;
            budget.work(members.len())?;
            let values = members.iter().filter_map(|at| Some((*at, input.columns[*at].cells.get(step)?)));
            let mut values: Vec<(usize, Number)> = values.collect();
            values.sort_by(|(_, a), (_, b)| in_order(order, *a, *b));
            for (at, value) in values.into_iter().take(count) {
                kept[at].set(step, value)?;
                if step == 0 {
                    place[at] = placed;
                    placed += 1;
                }
            }
        }
    }
    // An instant answer is read in order of rank; series that appear later only follow.
    let mut columns: Vec<_> = input.columns.into_iter().zip(kept).zip(place).collect();
    columns.sort_by_key(|(_, place)| *place);
    let mut out = Vector::default();
    for ((column, cells), _) in columns {
        out.push(budget, column.labels, cells)?;
    }
    Ok(out)
}

/// The parameter of `topk` as a whole number; below one means none.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be finite, and clamped to what a vector can hold"
)]
fn whole_count(value: Number) -> Result<usize> {
    let value = value.to_f64();
    if value.is_nan() {
        return Err(QueryError::Parameter("Parameter value is NaN".to_owned()));
    }
    if value.abs() >= 9_223_372_036_854_775_808.0 {
        let message = format!("Scalar value {value} overflows int64");
        return Err(QueryError::Parameter(message));
    }
    Ok(value.clamp(0.0, 1e9) as usize)
}

fn count_values(budget: &Budget<'_>, label: &str, input: &Vector, groups: &Groups<usize>) -> Result<Vector> {
    if label.is_empty() || label.contains('\u{fffd}') {
        return Err(QueryError::Parameter(format!("invalid label name {label:?}")));
    }
    let steps = steps(input);
    let mut out = Vector::default();
    let mut sets = LabelSets::new(budget)?;
    for (labels, members) in &groups.list {
        for at in members {
            budget.work(steps)?;
            for (step, value) in input.columns[*at].cells.values() {
                let mut labels = labels.clone();
                labels.set(label, format_plain(value.to_f64()));
                let place = sets.number(&labels)?;
                if place == out.columns.len() {
                    budget.check_series(place + 1)?;
                    out.columns.push(Column::new(budget, labels, Cells::blank(budget, steps)?)?);
                }
                let cells = &mut out.columns[place].cells;
                let count = cells.get(step).unwrap_or(Number::Exact(0));
                cells.set(step, count.plus(Number::whole(1)))?;
            }
        }
    }
    Ok(out)
}
