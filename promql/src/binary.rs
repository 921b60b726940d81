//! Pure: binary operators on values. Two vectors are matched by signature once per series; only who is present is decided per step.

use std::cmp::Ordering;

use super::budget::Budget;
use super::cells::{Cells, Steps};
use super::error::{QueryError, Result};
use super::labels::{Labels, METRIC_NAME};
use super::number::Number;
use super::syntax::{Cardinality, Grouping, Matching, Operation, Operator};
use super::value::{Column, LabelSets, Value, Vector};

/// The value of a binary expression whose sides have these values.
pub(super) fn apply(budget: &Budget<'_>, operation: &Operation, left: Value, right: Value) -> Result<Value> {
    let vector = match (left, right) {
        (Value::Scalar(left), Value::Scalar(right)) => {
            let pairs = left.iter().zip(right.iter());
            let values = pairs.map(|(a, b)| Some(scalar(operation.operator, a?, b?)));
            return Cells::build(budget, left.len(), values).map(Value::Scalar);
        }
        (Value::Vector(left), Value::Scalar(right)) => with_scalar(budget, operation, left, |step, value| {
            element(operation, value, right.get(step)?, value)
        }),
        (Value::Scalar(left), Value::Vector(right)) => {
            with_scalar(budget, operation, right, |step, value| {
                element(operation, left.get(step)?, value, value)
            })
        }
        (Value::Vector(left), Value::Vector(right)) => match operation.operator {
            Operator::Or => union(budget, &operation.matching, left, right),
            operator @ (Operator::And | Operator::Unless) => {
                intersection(budget, operator, &operation.matching, left, &right)
            }
            _ => matched(budget, operation, &left, &right),
        },
        _ => Err(QueryError::Parameter("binary operators need numbers on both sides".to_owned())),
    };
    vector.map(Value::Vector)
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
fn element(operation: &Operation, a: Number, b: Number, kept: Number) -> Option<Number> {
    if !operation.operator.is_comparison() {
        return Some(arithmetic(operation.operator, a, b));
    }
    let holds = compare(operation.operator, a, b);
    if operation.return_bool { Some(truth(holds)) } else { holds.then_some(kept) }
}

fn keeps_name(operation: &Operation) -> bool {
    operation.operator.is_comparison() && !operation.return_bool
}

fn with_scalar(
    budget: &Budget<'_>,
    operation: &Operation,
    vector: Vector,
    compute: impl Fn(usize, Number) -> Option<Number>,
) -> Result<Vector> {
    let vector = vector.map(budget, compute)?;
    let vector = if keeps_name(operation) { vector } else { vector.drop_names()? };
    vector.merged(budget)
}

/// Numbers the signatures of both sides: for each series the number of its signature.
struct Signatures {
    left: Vec<usize>,
    right: Vec<usize>,
    sets: LabelSets,
}

impl Signatures {
    fn of(budget: &Budget<'_>, matching: &Matching, left: &Vector, right: &Vector) -> Result<Self> {
        let mut sets = LabelSets::new(budget)?;
        let mut number = |column: &Column| sets.number(&matching.labels.of(&column.labels));
        let left = left.columns.iter().map(&mut number).collect::<Result<_>>()?;
        let right = right.columns.iter().map(&mut number).collect::<Result<_>>()?;
        Ok(Self { left, right, sets })
    }
}

/// The steps of a signature, none at first.
fn steps_of<'s>(budget: &Budget<'_>, steps: &'s mut Option<Steps>, len: usize) -> Result<&'s mut Steps> {
    Ok(match steps {
        Some(steps) => steps,
        None => steps.insert(Steps::none(budget, len)?),
    })
}

/// `or`: the left side, and of the right side what has no match on the left.
fn union(budget: &Budget<'_>, matching: &Matching, mut left: Vector, right: Vector) -> Result<Vector> {
    let mut rest = intersection(budget, Operator::Unless, matching, right, &left)?;
    left.columns.append(&mut rest.columns);
    budget.check_series(left.columns.len())?;
    left.merged(budget)
}

/// `and` and `unless`: of the left side what has, or lacks, a match on the right.
fn intersection(
    budget: &Budget<'_>,
    operator: Operator,
    matching: &Matching,
    mut left: Vector,
    right: &Vector,
) -> Result<Vector> {
    let signatures = Signatures::of(budget, matching, &left, right)?;
    let mut present = Vec::new();
    present.resize_with(signatures.sets.len(), || None);
    for (column, number) in right.columns.iter().zip(&signatures.right) {
        steps_of(budget, &mut present[*number], column.cells.len())?.insert_all(&column.cells);
    }
    for (column, number) in left.columns.iter_mut().zip(&signatures.left) {
        budget.work(column.cells.len())?;
        let seen = present[*number].as_ref();
        for step in 0..column.cells.len() {
            if seen.is_some_and(|seen| seen.contains(step)) != (operator == Operator::And) {
                column.cells.clear(step);
            }
        }
    }
    left.columns.retain(|column| !column.cells.is_blank());
    Ok(left)
}

/// Arithmetic and comparison between two vectors. Where one of them is empty nothing matches and nothing can be wrong, so what
/// is wrong is decided step by step.
fn matched(budget: &Budget<'_>, operation: &Operation, left: &Vector, right: &Vector) -> Result<Vector> {
    let swapped = matches!(operation.matching.cardinality, Cardinality::OneToMany(_));
    let (many, one) = if swapped { (right, left) } else { (left, right) };
    let mut out = Vector::default();
    let Some(steps) = many.columns.first().map(|column| column.cells.len()) else { return Ok(out) };
    let signatures = Signatures::of(budget, &operation.matching, many, one)?;
    let partners = partners(budget, many, one, &signatures, &operation.matching)?;
    let mut sharing: Vec<usize> = vec![0; signatures.sets.len()];
    signatures.left.iter().for_each(|number| sharing[*number] += 1);
    let mut taken = Vec::new();
    taken.resize_with(signatures.sets.len(), || None);
    let mut results = LabelSets::new(budget)?;
    for (column, number) in many.columns.iter().zip(&signatures.left) {
        // Several elements of one signature must not match at one step, unless group_left or group_right says so.
        let exclusive = sharing[*number] > 1 && operation.matching.cardinality == Cardinality::OneToOne;
        for partner in &partners[*number] {
            budget.work(2 * steps)?;
            let other = &one.columns[*partner];
            let mut cells = Cells::blank(budget, steps)?;
            for (step, a) in column.cells.values() {
                let Some(b) = other.cells.get(step) else { continue };
                // A match counts even if a comparison then filters it away.
                if exclusive {
                    let taken = steps_of(budget, &mut taken[*number], steps)?;
                    if taken.contains(step) {
                        return Err(QueryError::ImplicitManyToOne);
                    }
                    taken.insert(step);
                }
                let (l, r) = if swapped { (b, a) } else { (a, b) };
                if let Some(value) = element(operation, l, r, l) {
                    cells.set(step, value)?;
                }
            }
            if cells.is_blank() {
                continue;
            }
            let labels = result_labels(operation, &column.labels, &other.labels);
            if !out.add(budget, &mut results, Column::new(budget, labels, cells)?)? {
                return Err(QueryError::AmbiguousGrouping);
            }
        }
    }
    Ok(out)
}

/// For each signature the series of the "one" side that carry it. Several may, but not at one step at which the "many" side has any
/// value: then there is no one.
fn partners(
    budget: &Budget<'_>,
    many: &Vector,
    one: &Vector,
    signatures: &Signatures,
    matching: &Matching,
) -> Result<Vec<Vec<usize>>> {
    let side = if matches!(matching.cardinality, Cardinality::OneToMany(_)) { "left" } else { "right" };
    let steps = many.columns.first().map_or(0, |column| column.cells.len());
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); signatures.sets.len()];
    for (at, number) in signatures.right.iter().enumerate() {
        members[*number].push(at);
    }
    let mut asked = Steps::none(budget, steps)?;
    many.columns.iter().for_each(|column| asked.insert_all(&column.cells));
    for group in members.iter().filter(|group| group.len() > 1) {
        let mut seen = Steps::none(budget, steps)?;
        for at in group {
            let cells = &one.columns[*at].cells;
            budget.work(steps)?;
            if let Some((step, _)) =
                cells.values().find(|(step, _)| asked.contains(*step) && seen.contains(*step))
            {
                let first = group.iter().find(|other| one.columns[**other].cells.is_present(step));
                let second = &one.columns[*at].labels;
                return Err(QueryError::DuplicateMatch {
                    group: matching.labels.of(second).to_string(),
                    side,
                    first: one.columns[*first.unwrap_or(at)].labels.to_string(),
                    second: second.to_string(),
                });
            }
            seen.insert_all(cells);
        }
    }
    Ok(members)
}

/// The labels of a match, as the PromQL documentation defines them.
fn result_labels(operation: &Operation, many: &Labels, one: &Labels) -> Labels {
    let named = if keeps_name(operation) { many.clone() } else { many.without_name() };
    match &operation.matching.cardinality {
        Cardinality::OneToOne => match &operation.matching.labels {
            Grouping::By(names) => named.only(names),
            Grouping::Without(names) => {
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
