//! Pure: aggregation over the series of a vector. The groups are found once; then each step is folded.

use std::collections::HashMap;

use super::budget::Charge;
use super::error::QueryError;
use super::eval::{Cells, Column, Columns, Evaluator};
use super::format::format_plain;
use super::labels::Labels;
use super::number::{Number, Sum};
use super::plan::{Aggregate, Aggregation, Grid, Grouping};
use super::statistics::{Mean, Variance, maximum, minimum, quantile};

/// Evaluates an aggregation.
pub(super) fn evaluate(
    evaluator: &Evaluator<'_>,
    node: &Aggregate,
    grid: Grid,
) -> Result<Columns, QueryError> {
    let input = evaluator.vector(&node.over, grid)?;
    let groups = groups(&input, &node.grouping);
    match node.operation {
        Aggregation::Top | Aggregation::Bottom => ranked(evaluator, node, grid, input, &groups),
        Aggregation::CountValues => count_values(evaluator, node, grid, &input, &groups),
        Aggregation::Quantile => quantiles(evaluator, node, grid, &input, &groups),
        operation => folded(evaluator, operation, grid, &input, groups),
    }
}

/// The labels of a group and the places of its members.
type Group = (Labels, Vec<usize>);

fn groups(input: &Columns, grouping: &Grouping) -> Vec<Group> {
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut groups: Vec<Group> = Vec::new();
    for (at, column) in input.list.iter().enumerate() {
        let key = match grouping {
            Grouping::By(names) => column.labels.only(names),
            Grouping::Without(names) => column.labels.without(names),
        };
        let place = *places.entry(key.clone()).or_insert(groups.len());
        if place == groups.len() {
            groups.push((key, Vec::new()));
        }
        groups[place].1.push(at);
    }
    groups
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

fn folded(
    evaluator: &Evaluator<'_>,
    operation: Aggregation,
    grid: Grid,
    input: &Columns,
    groups: Vec<Group>,
) -> Result<Columns, QueryError> {
    let mut out = evaluator.no_columns()?;
    // A fold is about three times the size of a cell.
    let _scratch: Charge = evaluator.budget.charge(grid.len() * 3)?;
    let mut folds: Vec<Option<Fold>> = Vec::with_capacity(grid.len());
    for (labels, members) in groups {
        folds.clear();
        folds.resize(grid.len(), None);
        for member in members {
            evaluator.budget.check_deadline()?;
            for (fold, cell) in folds.iter_mut().zip(&input.list[member].cells) {
                match (fold.as_mut(), cell) {
                    (Some(fold), Some(value)) => fold.add(operation, *value),
                    (None, Some(value)) => *fold = Some(Fold::start(operation, *value)),
                    (_, None) => {}
                }
            }
        }
        let cells = folds.iter().map(|fold| fold.map(|fold| fold.finish(operation))).collect();
        evaluator.push(&mut out, labels, cells)?;
    }
    Ok(out)
}

/// The aggregation's parameter at each step.
fn parameter(evaluator: &Evaluator<'_>, node: &Aggregate, grid: Grid) -> Result<Vec<f64>, QueryError> {
    let missing = || QueryError::Parameter { message: "the aggregation needs a parameter".to_owned() };
    let values = evaluator.scalar(node.parameter.as_ref().ok_or_else(missing)?, grid)?;
    Ok(values.into_iter().map(Number::to_f64).collect())
}

fn quantiles(
    evaluator: &Evaluator<'_>,
    node: &Aggregate,
    grid: Grid,
    input: &Columns,
    groups: &[Group],
) -> Result<Columns, QueryError> {
    let parameters = parameter(evaluator, node, grid)?;
    warn_quantile(evaluator, &parameters);
    let mut out = evaluator.no_columns()?;
    let mut values = Vec::new();
    for (labels, members) in groups {
        let mut cells: Cells = Vec::with_capacity(grid.len());
        for (step, q) in parameters.iter().enumerate() {
            values.clear();
            values.extend(members.iter().filter_map(|at| input.list[*at].cells[step]).map(Number::to_f64));
            cells.push((!values.is_empty()).then(|| Number::Float(quantile(*q, &mut values))));
        }
        evaluator.push(&mut out, labels.clone(), cells)?;
    }
    Ok(out)
}

/// Warns of quantiles that do not exist.
pub(super) fn warn_quantile(evaluator: &Evaluator<'_>, values: &[f64]) {
    if let Some(bad) = values.iter().find(|q| !(0.0..=1.0).contains(*q)) {
        evaluator.warn(format!("quantile value should be between 0 and 1, got {}", format_plain(*bad)));
    }
}

/// `topk` and `bottomk`: the series themselves, where they are among the first k of their group.
fn ranked(
    evaluator: &Evaluator<'_>,
    node: &Aggregate,
    grid: Grid,
    input: Columns,
    groups: &[Group],
) -> Result<Columns, QueryError> {
    let descending = node.operation == Aggregation::Top;
    let counts = counts(&parameter(evaluator, node, grid)?)?;
    let mut kept: Vec<Cells> = input.list.iter().map(|_| Vec::new()).collect();
    let _scratch = evaluator.budget.charge(input.list.len() * grid.len())?;
    for cells in &mut kept {
        cells.resize(grid.len(), None);
    }
    let mut order = Vec::new();
    for (_, members) in groups {
        for (step, count) in counts.iter().enumerate() {
            let mut values: Vec<(usize, Number)> =
                members.iter().filter_map(|at| Some((*at, input.list[*at].cells[step]?))).collect();
            values.sort_by(|(_, a), (_, b)| {
                let by_value = a.compare(*b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()).reverse());
                let nan = a.is_nan() || b.is_nan();
                if descending && !nan { by_value.reverse() } else { by_value }
            });
            for (at, value) in values.into_iter().take(*count) {
                kept[at][step] = Some(value);
                if step == 0 {
                    order.push(at);
                }
            }
        }
    }
    // An instant answer is read in order of rank; series that appear later only follow.
    let mut rank = vec![usize::MAX; kept.len()];
    order.into_iter().enumerate().for_each(|(place, at)| rank[at] = place);
    let mut columns: Vec<(usize, Column)> = input.list.into_iter().enumerate().collect();
    columns.sort_by_key(|(at, _)| rank[*at]);
    let mut out = evaluator.no_columns()?;
    for (at, column) in columns {
        let cells = std::mem::take(&mut kept[at]);
        if cells.iter().any(Option::is_some) {
            evaluator.push(&mut out, column.labels, cells)?;
        }
    }
    Ok(out)
}

/// The parameter of `topk` as whole numbers; below one means none.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be finite, and clamped to what a vector can hold"
)]
fn counts(values: &[f64]) -> Result<Vec<usize>, QueryError> {
    let count = |value: &f64| {
        if value.is_nan() {
            return Err(QueryError::Parameter { message: "Parameter value is NaN".to_owned() });
        }
        if value.abs() >= 9_223_372_036_854_775_808.0 {
            let message = format!("Scalar value {value} overflows int64");
            return Err(QueryError::Parameter { message });
        }
        Ok(value.clamp(0.0, 1e9) as usize)
    };
    values.iter().map(count).collect()
}

fn count_values(
    evaluator: &Evaluator<'_>,
    node: &Aggregate,
    grid: Grid,
    input: &Columns,
    groups: &[Group],
) -> Result<Columns, QueryError> {
    let missing = || QueryError::Parameter { message: "count_values needs a label name".to_owned() };
    let label = evaluator.text(node.parameter.as_ref().ok_or_else(missing)?, grid)?;
    if label.is_empty() || label.contains('\u{fffd}') {
        return Err(QueryError::Parameter { message: format!("invalid label name {label:?}") });
    }
    let mut out = evaluator.no_columns()?;
    let mut places: HashMap<Labels, usize> = HashMap::new();
    for (labels, members) in groups {
        for (step, value) in members.iter().flat_map(|at| input.list[*at].cells.iter().enumerate()) {
            let Some(value) = value else { continue };
            let mut labels = labels.clone();
            labels.set(label.as_str(), format_plain(value.to_f64()));
            let place = *places.entry(labels.clone()).or_insert(out.list.len());
            if place == out.list.len() {
                evaluator.push(&mut out, labels, vec![None; grid.len()])?;
            }
            let cell = &mut out.list[place].cells[step];
            *cell = Some(cell.unwrap_or(Number::Exact(0)).plus(Number::whole(1)));
        }
    }
    Ok(out)
}
