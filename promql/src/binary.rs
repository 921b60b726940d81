//! Pure: binary operators. Two vectors are matched by signature once per series; only who is present is decided per step.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::error::QueryError;
use super::eval::{Cells, Columns, Evaluator, Value};
use super::labels::{Labels, METRIC_NAME};
use super::number::Number;
use super::plan::{Binary, Cardinality, Comparison, Grid, MatchLabels, Matching, Operator};

/// Evaluates a binary expression.
pub(super) fn evaluate(evaluator: &Evaluator<'_>, node: &Binary, grid: Grid) -> Result<Value, QueryError> {
    let left = evaluator.node(&node.left, grid)?;
    let right = evaluator.node(&node.right, grid)?;
    Ok(match (left, right) {
        (Value::Scalar(left), Value::Scalar(right)) => {
            let pairs = left.into_iter().zip(right);
            Value::Scalar(pairs.map(|(a, b)| scalar(node.operator, a, b)).collect())
        }
        (Value::Vector(left), Value::Scalar(right)) => {
            Value::Vector(with_scalar(evaluator, node, left, &right, Side::Left)?)
        }
        (Value::Scalar(left), Value::Vector(right)) => {
            Value::Vector(with_scalar(evaluator, node, right, &left, Side::Right)?)
        }
        (Value::Vector(left), Value::Vector(right)) if node.operator.is_set() => {
            Value::Vector(set(evaluator, node, grid, left, right)?)
        }
        (Value::Vector(left), Value::Vector(right)) => {
            Value::Vector(matched(evaluator, node, grid, &left, &right)?)
        }
        _ => {
            let message = "binary operators need numbers on both sides".to_owned();
            return Err(QueryError::Parameter { message });
        }
    })
}

/// On which side of the operator the vector stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

fn truth(value: bool) -> Number {
    Number::Float(if value { 1.0 } else { 0.0 })
}

fn compare(operator: Operator, a: Number, b: Number) -> bool {
    let order = a.compare(b);
    match operator {
        Operator::Equal => order == Some(Ordering::Equal),
        Operator::NotEqual => order != Some(Ordering::Equal),
        Operator::Less => order == Some(Ordering::Less),
        Operator::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Operator::Greater => order == Some(Ordering::Greater),
        Operator::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        _ => false,
    }
}

fn arithmetic(operator: Operator, a: Number, b: Number) -> Number {
    let float = |compute: fn(f64, f64) -> f64| Number::Float(compute(a.to_f64(), b.to_f64()));
    match operator {
        Operator::Add => a.plus(b),
        Operator::Subtract => a.minus(b),
        Operator::Multiply => float(|a, b| a * b),
        Operator::Divide => float(|a, b| a / b),
        Operator::Modulo => float(|a, b| a % b),
        Operator::Power => float(f64::powf),
        Operator::Atan2 => float(f64::atan2),
        _ => Number::Float(f64::NAN),
    }
}

fn scalar(operator: Operator, a: Number, b: Number) -> Number {
    if operator.is_comparison() { truth(compare(operator, a, b)) } else { arithmetic(operator, a, b) }
}

/// One element's result: `kept` is what a filtering comparison leaves standing.
fn element(node: &Binary, a: Number, b: Number, kept: Number) -> Option<Number> {
    if !node.operator.is_comparison() {
        return Some(arithmetic(node.operator, a, b));
    }
    let holds = compare(node.operator, a, b);
    match node.comparison {
        Comparison::Bool => Some(truth(holds)),
        Comparison::Filter => holds.then_some(kept),
    }
}

fn keeps_name(node: &Binary) -> bool {
    node.operator.is_comparison() && node.comparison == Comparison::Filter
}

fn with_scalar(
    evaluator: &Evaluator<'_>,
    node: &Binary,
    mut vector: Columns,
    scalars: &[Number],
    side: Side,
) -> Result<Columns, QueryError> {
    for column in &mut vector.list {
        evaluator.budget.check_deadline()?;
        if !keeps_name(node) {
            column.labels = column.labels.without_name();
        }
        for (cell, other) in column.cells.iter_mut().zip(scalars) {
            *cell = cell.and_then(|value| match side {
                Side::Left => element(node, value, *other, value),
                Side::Right => element(node, *other, value, value),
            });
        }
    }
    evaluator.merged(vector)
}

fn signature(matching: &Matching, labels: &Labels) -> Labels {
    match &matching.labels {
        MatchLabels::On(names) => labels.only(names),
        MatchLabels::Ignoring(names) => labels.without(names),
    }
}

/// Numbers the signatures of both sides: for each series the number of its signature, and how many there are.
struct Signatures {
    left: Vec<usize>,
    right: Vec<usize>,
    labels: Vec<Labels>,
}

impl Signatures {
    fn of(matching: &Matching, left: &Columns, right: &Columns) -> Self {
        let mut numbers: HashMap<Labels, usize> = HashMap::new();
        let mut labels = Vec::new();
        let mut number = |column: &super::eval::Column| {
            let key = signature(matching, &column.labels);
            let next = labels.len();
            let number = *numbers.entry(key.clone()).or_insert(next);
            if number == next {
                labels.push(key);
            }
            number
        };
        let left = left.list.iter().map(&mut number).collect();
        let right = right.list.iter().map(&mut number).collect();
        Self { left, right, labels }
    }
}

/// For each signature and step, whether any of the series has a value.
fn presence(columns: &Columns, numbers: &[usize], signatures: usize, steps: usize) -> Vec<Option<Vec<bool>>> {
    let mut present: Vec<Option<Vec<bool>>> = vec![None; signatures];
    for (column, number) in columns.list.iter().zip(numbers) {
        let seen = present[*number].get_or_insert_with(|| vec![false; steps]);
        seen.iter_mut().zip(&column.cells).for_each(|(seen, cell)| *seen |= cell.is_some());
    }
    present
}

fn set(
    evaluator: &Evaluator<'_>,
    node: &Binary,
    grid: Grid,
    mut left: Columns,
    right: Columns,
) -> Result<Columns, QueryError> {
    let signatures = Signatures::of(&node.matching, &left, &right);
    let _scratch = evaluator.budget.charge(signatures.labels.len() * grid.len() / 32)?;
    let at = |present: &[Option<Vec<bool>>], number: usize, step: usize| {
        present[number].as_ref().is_some_and(|steps| steps[step])
    };
    let count = signatures.labels.len();
    if node.operator == Operator::Or {
        let present = presence(&left, &signatures.left, count, grid.len());
        for (column, number) in right.list.into_iter().zip(&signatures.right) {
            let cells = column.cells.into_iter().enumerate();
            let cells: Cells =
                cells.map(|(step, cell)| cell.filter(|_| !at(&present, *number, step))).collect();
            if cells.iter().any(Option::is_some) {
                evaluator.push(&mut left, column.labels, cells)?;
            }
        }
        return evaluator.merged(left);
    }
    let present = presence(&right, &signatures.right, count, grid.len());
    let wanted = node.operator == Operator::And;
    for (column, number) in left.list.iter_mut().zip(&signatures.left) {
        for (step, cell) in column.cells.iter_mut().enumerate() {
            *cell = cell.filter(|_| at(&present, *number, step) == wanted);
        }
    }
    left.list.retain(|column| column.cells.iter().any(Option::is_some));
    Ok(left)
}

/// Arithmetic and comparison between two vectors.
fn matched(
    evaluator: &Evaluator<'_>,
    node: &Binary,
    grid: Grid,
    left: &Columns,
    right: &Columns,
) -> Result<Columns, QueryError> {
    let swapped = matches!(node.matching.cardinality, Cardinality::OneToMany(_));
    let (many, one) = if swapped { (right, left) } else { (left, right) };
    let signatures = Signatures::of(&node.matching, many, one);
    if many.list.is_empty() || one.list.is_empty() {
        return evaluator.no_columns();
    }
    let partners = Partners::find(one, &signatures, grid, if swapped { "left" } else { "right" })?;
    let _scratch = evaluator.budget.charge(partners.cells())?;
    let mut shared: Vec<usize> = vec![0; signatures.labels.len()];
    signatures.left.iter().for_each(|number| shared[*number] += 1);
    let mut taken: HashMap<usize, Vec<bool>> = HashMap::new();
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut out = evaluator.no_columns()?;
    for (column, number) in many.list.iter().zip(&signatures.left) {
        evaluator.budget.check_deadline()?;
        for (partner, steps) in partners.of(*number) {
            let labels = result_labels(node, &column.labels, &one.list[partner].labels);
            let mut cells: Cells = vec![None; grid.len()];
            // A match counts even if a comparison then filters it away.
            let mut taken = (shared[*number] > 1 && node.matching.cardinality == Cardinality::OneToOne)
                .then(|| taken.entry(*number).or_insert_with(|| vec![false; grid.len()]));
            for step in 0..grid.len() {
                let (Some(a), Some(b)) = (column.cells[step], one.list[partner].cells[step]) else {
                    continue;
                };
                if steps.is_some_and(|owner| owner[step] != partner) {
                    continue;
                }
                if let Some(taken) = taken.as_mut() {
                    if taken[step] {
                        return Err(QueryError::ImplicitManyToOne);
                    }
                    taken[step] = true;
                }
                let (l, r) = if swapped { (b, a) } else { (a, b) };
                cells[step] = element(node, l, r, l);
            }
            if cells.iter().all(Option::is_none) {
                continue;
            }
            let Some(place) = places.get(&labels) else {
                places.insert(labels.clone(), out.list.len());
                evaluator.push(&mut out, labels, cells)?;
                continue;
            };
            for (target, cell) in out.list[*place].cells.iter_mut().zip(cells) {
                match (&target, cell) {
                    (Some(_), Some(_)) => return Err(QueryError::AmbiguousGrouping),
                    (None, Some(_)) => *target = cell,
                    _ => {}
                }
            }
        }
    }
    Ok(out)
}

/// For each signature the series of the "one" side that carry it; where there are several, who is present at each step.
struct Partners {
    members: Vec<Vec<usize>>,
    owners: HashMap<usize, Vec<usize>>,
}

impl Partners {
    fn find(
        one: &Columns,
        signatures: &Signatures,
        grid: Grid,
        side: &'static str,
    ) -> Result<Self, QueryError> {
        let mut members: Vec<Vec<usize>> = vec![Vec::new(); signatures.labels.len()];
        for (at, number) in signatures.right.iter().enumerate() {
            members[*number].push(at);
        }
        let mut owners = HashMap::new();
        for (number, group) in members.iter().enumerate().filter(|(_, group)| group.len() > 1) {
            let mut owner = vec![usize::MAX; grid.len()];
            for at in group {
                for (step, cell) in one.list[*at].cells.iter().enumerate() {
                    if cell.is_none() {
                        continue;
                    }
                    if owner[step] != usize::MAX {
                        return Err(QueryError::DuplicateMatch {
                            group: signatures.labels[number].to_string(),
                            side,
                            first: one.list[owner[step]].labels.to_string(),
                            second: one.list[*at].labels.to_string(),
                        });
                    }
                    owner[step] = *at;
                }
            }
            owners.insert(number, owner);
        }
        Ok(Self { members, owners })
    }

    fn of(&self, number: usize) -> impl Iterator<Item = (usize, Option<&Vec<usize>>)> {
        let owner = self.owners.get(&number);
        self.members[number].iter().map(move |at| (*at, owner))
    }

    fn cells(&self) -> usize {
        self.owners.values().map(Vec::len).sum::<usize>() / 4
    }
}

/// The labels of a match, as the PromQL documentation defines them.
fn result_labels(node: &Binary, many: &Labels, one: &Labels) -> Labels {
    let named = if keeps_name(node) { many.clone() } else { many.without_name() };
    match &node.matching.cardinality {
        Cardinality::OneToOne => match &node.matching.labels {
            MatchLabels::On(names) => named.only(names),
            MatchLabels::Ignoring(names) => {
                let mut labels = named.without(names);
                labels.set(METRIC_NAME, named.get(METRIC_NAME));
                labels
            }
        },
        Cardinality::ManyToOne(include) | Cardinality::OneToMany(include) => {
            let mut labels = named;
            for name in include {
                labels.set(name.clone(), one.get(name));
            }
            labels
        }
    }
}
