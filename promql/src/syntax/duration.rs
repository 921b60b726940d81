//! Pure: lengths of time: `1h30m` as Prometheus reads it, and the arithmetic inside `[]` and after `offset`.

use super::ast::{Expr, ExprKind, Operator, Span};
use super::quoted::quote;

/// The units from the largest to the smallest, in milliseconds; each may stand once, in this order.
const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// The longest length that Prometheus can hold, in seconds: 64 bits of nanoseconds.
pub(super) const SECONDS_MAX: f64 = 9_223_372_036.854_775;

/// Milliseconds of a text such as `1h30m`, or Prometheus's complaint.
pub fn parse_duration_ms(text: &str) -> Result<i64, String> {
    let fail = || format!("not a valid duration string: {}", quote(text));
    match text {
        "" => return Err("empty duration string".to_owned()),
        "0" => return Ok(0),
        _ => {}
    }
    let (mut total, mut rest, mut unit) = (0_i64, text, 0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(fail)?;
        let (amount, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (name, tail) = tail.split_at(letters);
        let place = UNITS.iter().skip(unit).position(|(known, _)| *known == name).ok_or_else(fail)?;
        if amount.is_empty() {
            return Err(fail());
        }
        unit += place + 1;
        let out_of_range = || "duration out of range".to_owned();
        let amount: i64 = amount.parse().map_err(|_| out_of_range())?;
        let ms = amount.checked_mul(UNITS[unit - 1].1).and_then(|ms| total.checked_add(ms));
        total = ms.filter(|ms| *ms <= i64::MAX / 1_000_000).ok_or_else(out_of_range)?;
        rest = tail;
    }
    Ok(total)
}

impl Expr {
    /// The seconds of a length of time, for a query of this step and this range (its end less its start), both in seconds; or
    /// where it cannot be computed, and why.
    pub(crate) fn seconds(&self, step: f64, range: f64) -> Result<f64, (Span, &'static str)> {
        let of = |part: &Self| part.seconds(step, range);
        Ok(match &self.kind {
            ExprKind::Number(number) => *number,
            ExprKind::Paren(inner) => of(inner)?,
            ExprKind::Unary(_, inner) => -of(inner)?,
            ExprKind::Call(call) => match (call.function.name, call.arguments.as_slice()) {
                ("step", _) => step,
                ("range", _) => range,
                ("min_of", [left, right]) => of(left)?.min(of(right)?),
                ("max_of", [left, right]) => of(left)?.max(of(right)?),
                _ => return Err((self.span, "not a duration")),
            },
            ExprKind::Binary(binary) => {
                let (left, right) = (of(&binary.left)?, of(&binary.right)?);
                match binary.operation.operator {
                    Operator::Add => left + right,
                    Operator::Subtract => left - right,
                    Operator::Multiply => left * right,
                    Operator::Divide if right == 0.0 => return Err((self.span, "division by zero")),
                    Operator::Divide => left / right,
                    Operator::Modulo if right == 0.0 => return Err((self.span, "modulo by zero")),
                    Operator::Modulo => left % right,
                    _ => left.powf(right),
                }
            }
            _ => return Err((self.span, "not a duration")),
        })
    }
}
