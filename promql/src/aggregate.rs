//! Pure: aggregation over the series of a vector. The groups are found once; then each step is folded.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::budget::Budget;
use super::cells::Cells;
use super::error::QueryError;
use super::format::format_plain;
use super::labels::Labels;
use super::notices::Notices;
use super::number::{Number, Sum};
use super::pool::Charge;
use super::statistics::{Mean, Variance, maximum, minimum, quantile};
use super::syntax::{Aggregation, Grouping};
use super::value::{Value, Vector};

/// The aggregation of a vector; `parameter` is that of `topk`, `bottomk`, `quantile` and `count_values`.
pub(super) fn apply(
    budget: &Budget<'_>,
    notices: &Notices,
    operation: Aggregation,
    grouping: &Grouping,
    parameter: Option<Value>,
    input: Vector,
) -> Result<Vector, QueryError> {
    let groups = Groups::of(budget, &input, grouping)?;
    match (operation, parameter) {
        (Aggregation::Top, Some(Value::Scalar(counts))) => {
            ranked(budget, Rank::Highest, &counts, input, &groups)
        }
        (Aggregation::Bottom, Some(Value::Scalar(counts))) => {
            ranked(budget, Rank::Lowest, &counts, input, &groups)
        }
        (Aggregation::CountValues, Some(Value::Text(label))) => count_values(budget, &label, &input, &groups),
        (Aggregation::Quantile, Some(Value::Scalar(quantiles))) => {
            warn_quantile(notices, &quantiles);
            of_quantiles(budget, &quantiles, &input, &groups)
        }
        (Aggregation::Top | Aggregation::Bottom | Aggregation::CountValues | Aggregation::Quantile, _) => {
            Err(QueryError::Parameter { message: "the aggregation needs a parameter".to_owned() })
        }
        (operation, _) => folded(budget, operation, &input, &groups),
    }
}

/// The labels of each group and the places of its members.
struct Groups {
    list: Vec<(Labels, Vec<usize>)>,
    _charge: Charge,
}

impl Groups {
    fn of(budget: &Budget<'_>, input: &Vector, grouping: &Grouping) -> Result<Self, QueryError> {
        let mut charge = budget.charge(input.columns.len() * size_of::<usize>())?;
        let mut places: HashMap<Labels, usize> = HashMap::new();
        let mut list: Vec<(Labels, Vec<usize>)> = Vec::new();
        for (at, column) in input.columns.iter().enumerate() {
            let key = grouping.of(&column.labels);
            let place = *places.entry(key.clone()).or_insert(list.len());
            if place == list.len() {
                // The key stands in the map and in the list.
                charge.join(budget.charge(2 * (key.own_bytes() + size_of::<(Labels, Vec<usize>)>()))?);
                list.push((key, Vec::new()));
            }
            list[place].1.push(at);
        }
        Ok(Self { list, _charge: charge })
    }
}

/// The state of one group at one step.
#[derive(Clone, Copy)]
enum Fold {
    Sum(Sum),
    Mean(Mean),
    Extreme(Number),
    Count(u64),
    One,
    Variance(Variance),
}

impl Fold {
    fn start(operation: Aggregation, value: Number) -> Self {
        let mut fold = match operation {
            Aggregation::Sum => Self::Sum(Sum::default()),
            Aggregation::Average => Self::Mean(Mean::default()),
            Aggregation::Minimum | Aggregation::Maximum => Self::Extreme(value),
            Aggregation::Count => Self::Count(0),
            Aggregation::Deviation | Aggregation::Variance => Self::Variance(Variance::default()),
            _ => Self::One,
        };
        fold.add(operation, value);
        fold
    }

    fn add(&mut self, operation: Aggregation, value: Number) {
        match self {
            Self::Sum(sum) => sum.add(value),
            Self::Mean(mean) => mean.add(value),
            Self::Extreme(current) if operation == Aggregation::Minimum => {
                *current = minimum(*current, value);
            }
            Self::Extreme(current) => *current = maximum(*current, value),
            Self::Count(count) => *count += 1,
            Self::Variance(variance) => variance.add(value.to_f64()),
            Self::One => {}
        }
    }

    fn finish(self, operation: Aggregation) -> Number {
        match self {
            Self::Sum(sum) => sum.total(),
            Self::Mean(mean) => mean.value(),
            Self::Extreme(value) => value,
            Self::Count(count) => Number::whole(count),
            Self::Variance(variance) if operation == Aggregation::Deviation => {
                Number::Float(variance.value().sqrt())
            }
            Self::Variance(variance) => Number::Float(variance.value()),
            Self::One => Number::whole(1),
        }
    }
}

fn steps(input: &Vector) -> usize {
    input.columns.first().map_or(0, |column| column.cells.len())
}

fn folded(
    budget: &Budget<'_>,
    operation: Aggregation,
    input: &Vector,
    groups: &Groups,
) -> Result<Vector, QueryError> {
    let steps = steps(input);
    let mut out = Vector::default();
    let _scratch = budget.charge(steps * size_of::<Option<Fold>>())?;
    let mut folds: Vec<Option<Fold>> = Vec::with_capacity(steps);
    for (labels, members) in &groups.list {
        folds.clear();
        folds.resize(steps, None);
        for member in members {
            budget.work(steps)?;
            for (step, value) in input.columns[*member].cells.values() {
                match &mut folds[step] {
                    Some(fold) => fold.add(operation, value),
                    empty => *empty = Some(Fold::start(operation, value)),
                }
            }
        }
        let values = folds.iter().map(|fold| fold.map(|fold| fold.finish(operation)));
        out.push(budget, labels.clone(), Cells::build(budget, steps, values)?)?;
    }
    Ok(out)
}

fn of_quantiles(
    budget: &Budget<'_>,
    quantiles: &Cells,
    input: &Vector,
    groups: &Groups,
) -> Result<Vector, QueryError> {
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

/// Warns of quantiles that do not exist.
pub(super) fn warn_quantile(notices: &Notices, quantiles: &Cells) {
    let wrong = |value: &f64| !(0.0..=1.0).contains(value);
    if let Some(bad) = quantiles.values().map(|(_, value)| value.to_f64()).find(wrong) {
        notices.warn(&format!("quantile value should be between 0 and 1, got {}", format_plain(bad)));
    }
}

/// Which end of the order `topk` and `bottomk` keep.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rank {
    Highest,
    Lowest,
}

impl Rank {
    /// The better value first; NaN is never better than a number.
    fn order(self, a: Number, b: Number) -> Ordering {
        match (a.compare(b), self) {
            (Some(order), Self::Lowest) => order,
            (Some(order), Self::Highest) => order.reverse(),
            (None, _) => a.is_nan().cmp(&b.is_nan()),
        }
    }
}

/// `topk` and `bottomk`: the series themselves, where they are among the first k of their group.
fn ranked(
    budget: &Budget<'_>,
    rank: Rank,
    counts: &Cells,
    input: Vector,
    groups: &Groups,
) -> Result<Vector, QueryError> {
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
            values.sort_by(|(_, a), (_, b)| rank.order(*a, *b));
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
fn whole_count(value: Number) -> Result<usize, QueryError> {
    let value = value.to_f64();
    if value.is_nan() {
        return Err(QueryError::Parameter { message: "Parameter value is NaN".to_owned() });
    }
    if value.abs() >= 9_223_372_036_854_775_808.0 {
        let message = format!("Scalar value {value} overflows int64");
        return Err(QueryError::Parameter { message });
    }
    Ok(value.clamp(0.0, 1e9) as usize)
}

fn count_values(
    budget: &Budget<'_>,
    label: &str,
    input: &Vector,
    groups: &Groups,
) -> Result<Vector, QueryError> {
    if label.is_empty() || label.contains('\u{fffd}') {
        return Err(QueryError::Parameter { message: format!("invalid label name {label:?}") });
    }
    let steps = steps(input);
    let mut out = Vector::default();
    let mut places: HashMap<Labels, usize> = HashMap::new();
    for (labels, members) in &groups.list {
        for at in members {
            budget.work(steps)?;
            for (step, value) in input.columns[*at].cells.values() {
                let mut labels = labels.clone();
                labels.set(label, format_plain(value.to_f64()));
                let Some(place) = places.get(&labels) else {
                    let mut cells = Cells::blank(budget, steps)?;
                    cells.set(step, Number::whole(1))?;
                    places.insert(labels.clone(), out.columns.len());
                    out.push(budget, labels, cells)?;
                    continue;
                };
                let cells = &mut out.columns[*place].cells;
                let count = cells.get(step).unwrap_or(Number::Exact(0));
                cells.set(step, count.plus(Number::whole(1)))?;
            }
        }
    }
    Ok(out)
}
