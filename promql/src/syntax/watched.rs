//! Pure: what a condition is about, so that it can be shown when the condition does not hold.

use super::ast::{Cardinality, Expr, ExprKind, Operation, Operator};
use super::error::ParseError;
use super::parser::parse;

/// What a condition is about.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Watched<'a> {
    /// The part whose values it keeps, as written: of `rate > 0.1 and calls > 50` it is `rate`.
    pub query: &'a str,
    /// The number that those are compared with, if it is one: 0.1.
    pub limit: Option<f64>,
}

/// Reads a condition.
pub fn watched(condition: &str) -> Result<Watched<'_>, ParseError> {
    let parsed = parse(condition)?;
    let (expr, limit) = left_most(&parsed, None);
    Ok(Watched { query: &condition[expr.span.start..expr.span.end], limit })
}

/// The left side of comparisons, of `and` and of `unless`, which only choose among its samples; and the number of the innermost comparison.
fn left_most(expr: &Expr, limit: Option<f64>) -> (&Expr, Option<f64>) {
    match &expr.kind {
        ExprKind::Paren(inner) => left_most(inner, limit),
        ExprKind::Binary(binary) if only_chooses(&binary.operation) => {
            let is_compared = binary.operation.operator.is_comparison();
            left_most(&binary.left, number(&binary.right).filter(|_| is_compared).or(limit))
        }
        _ => (expr, limit),
    }
}

/// Whether each sample of the result is one of the left side's.
fn only_chooses(operation: &Operation) -> bool {
    let compares = operation.operator.is_comparison() && !operation.return_bool;
    let keeps_left = !matches!(operation.matching.cardinality, Cardinality::OneToMany(_));
    matches!(operation.operator, Operator::And | Operator::Unless) || compares && keeps_left
}

fn number(expr: &Expr) -> Option<f64> {
    match &expr.kind {
        ExprKind::Number(number) => Some(*number),
        ExprKind::Paren(inner) => number(inner),
        _ => None,
    }
}
