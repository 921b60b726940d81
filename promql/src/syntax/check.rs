//! Pure: the types of a parsed query. Says what Prometheus says first.

use super::ast::{
    Aggregate, Binary, Call, Cardinality, Expr, ExprKind, Fill, Grouping, MatchKind, Operation, Selector,
    Span, Subquery,
};
use super::error::SyntaxError;
use super::quoted::quote;
use super::signatures::ValueType;
use crate::labels::METRIC_NAME;

/// What is at fault, blanks around it included, and why.
type Checked = Result<(), (Span, String)>;

pub(super) fn check(text: &str, expr: &Expr) -> Result<(), SyntaxError> {
    expression(expr).map_err(|fault| syntax_error(text, fault))
}

/// Refuses a selector that names its metric twice or selects everything. Whether a regular expression matches the empty text is
/// left to who compiles it.
pub(super) fn check_selector(text: &str, of: &Selector, span: Span) -> Result<(), SyntaxError> {
    selector(of, span).map_err(|fault| syntax_error(text, fault))
}

fn syntax_error(text: &str, (Span { start, end }, message): (Span, String)) -> SyntaxError {
    let inner = text.get(start..end).unwrap_or_default();
    let (start, end) = (end - inner.trim_start().len(), start + inner.trim_end().len());
    SyntaxError::new(text, Span { start, end }, message)
}

fn fail(span: Span, message: impl Into<String>) -> Checked {
    Err((span, message.into()))
}

fn expression(expr: &Expr) -> Checked {
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => Ok(()),
        ExprKind::Paren(inner) => expression(inner),
        ExprKind::Unary(_, inner) => {
            expression(inner)?;
            let found = inner.value_type();
            if matches!(found, ValueType::Scalar | ValueType::Vector) {
                return Ok(());
            }
            let only = "unary expression only allowed on expressions of type scalar or instant vector";
            fail(expr.span, format!("{only}, got {}", quote(found.name())))
        }
        ExprKind::Selector(of) => selector(of, expr.span),
        ExprKind::Range(of) => selector(&of.selector, expr.span),
        ExprKind::Subquery(of) => subquery(of, expr.span),
        ExprKind::Binary(of) => binary(of, expr.span),
        ExprKind::Aggregate(of) => aggregate(of),
        ExprKind::Call(of) => call(of, expr.span),
    }
}

fn selector(selector: &Selector, span: Span) -> Checked {
    if let Some(name) = &selector.name {
        return match selector.matchers.iter().find(|matcher| matcher.name == METRIC_NAME) {
            None => Ok(()),
            Some(other) => {
                let (name, other) = (quote(name), quote(&other.value));
                fail(span, format!("metric name must not be set twice: {name} or {other}"))
            }
        };
    }
    let may_match_only_some = selector.matchers.iter().any(|matcher| match matcher.kind {
        MatchKind::Equal => !matcher.value.is_empty(),
        MatchKind::NotEqual => matcher.value.is_empty(),
        MatchKind::Regex | MatchKind::NotRegex => true,
    });
    if may_match_only_some {
        return Ok(());
    }
    fail(span, "vector selector must contain at least one non-empty matcher")
}

fn subquery(subquery: &Subquery, span: Span) -> Checked {
    expression(&subquery.expr)?;
    let found = match subquery.expr.value_type() {
        ValueType::Vector => return Ok(()),
        ValueType::Matrix => "matrix",
        other => other.name(),
    };
    fail(span, format!("subquery is only allowed on instant vector, got {found} instead"))
}

fn expect(expr: &Expr, wanted: ValueType, place: &str) -> Checked {
    expression(expr)?;
    let found = expr.value_type();
    if found == wanted {
        return Ok(());
    }
    fail(expr.span, format!("expected type {} in {place}, got {}", wanted.name(), found.name()))
}

fn aggregate(aggregate: &Aggregate) -> Checked {
    expect(&aggregate.expr, ValueType::Vector, "aggregation expression")?;
    match (&aggregate.parameter, aggregate.aggregation.parameter()) {
        (Some(parameter), Some(wanted)) => expect(parameter, wanted, "aggregation parameter"),
        _ => Ok(()),
    }
}

fn call(call: &Call, span: Span) -> Checked {
    let (function, found) = (call.function, call.arguments.len());
    let exact = function.least == function.most;
    let wanted = match found {
        _ if found < function.least => Some((if exact { "" } else { "at least " }, function.least)),
        _ if found > function.most => Some((if exact { "" } else { "at most " }, function.most)),
        _ => None,
    };
    let name = quote(function.name);
    if let Some((bound, count)) = wanted {
        return fail(span, format!("expected {bound}{count} argument(s) in call to {name}, got {found}"));
    }
    let labels_only = function.name == "info";
    for (at, argument) in call.arguments.iter().enumerate() {
        if labels_only && at == 1 {
            label_selector(argument, span)?;
            continue;
        }
        let Some(wanted) = function.arguments.get(at).or(function.arguments.last()) else { break };
        expect(argument, *wanted, &format!("call to function {}", quote(function.name)))?;
    }
    Ok(())
}

/// The second argument of `info`: braces without a name, empty ones too.
fn label_selector(argument: &Expr, call: Span) -> Checked {
    let found = argument.value_type();
    if found != ValueType::Vector {
        let message = "expected type instant vector in call to function \"info\"";
        return fail(call, format!("{message}, got {}", found.name()));
    }
    match &argument.kind {
        ExprKind::Selector(selector) if selector.name.is_none() => Ok(()),
        ExprKind::Selector(_) => {
            fail(argument.span, "expected label selectors only, got vector selector instead")
        }
        _ => fail(argument.span, "expected label selectors only"),
    }
}

fn binary(binary: &Binary, span: Span) -> Checked {
    expression(&binary.left)?;
    expression(&binary.right)?;
    let (left, right) = (binary.left.value_type(), binary.right.value_type());
    let operation = &binary.operation;
    let operator = operation.operator;
    let between = Span { start: binary.left.span.end, end: binary.right.span.start };
    if operation.return_bool && !operator.is_comparison() {
        return fail(between, "bool modifier can only be used on comparison operators");
    }
    let scalars = left == ValueType::Scalar && right == ValueType::Scalar;
    if operator.is_comparison() && !operation.return_bool && scalars {
        return fail(between, "comparisons between scalars must use BOOL modifier");
    }
    if let (Grouping::By(on), Cardinality::ManyToOne(taken) | Cardinality::OneToMany(taken)) =
        (&operation.matching.labels, &operation.matching.cardinality)
        && let Some(twice) = on.iter().find(|label| taken.contains(label))
    {
        let twice = quote(twice);
        return fail(between, format!("label {twice} must not occur in ON and GROUP clause at once"));
    }
    for side in [&binary.left, &binary.right] {
        if !matches!(side.value_type(), ValueType::Scalar | ValueType::Vector) {
            let message = "binary expression must contain only scalar and instant vector types";
            return fail(side.span, message);
        }
    }
    matching(operation, span, left == ValueType::Vector && right == ValueType::Vector)
}

fn matching(operation: &Operation, span: Span, vectors: bool) -> Checked {
    let Operation { operator, matching, fill, .. } = operation;
    let filled = *fill != Fill::default();
    if !vectors {
        if !matching.labels.names().is_empty() {
            return fail(span, "vector matching only allowed between instant vectors");
        }
        if filled {
            return fail(span, "filling in missing series only allowed between instant vectors");
        }
        if operator.is_set() {
            let name = quote(operator.name());
            return fail(span, format!("set operator {name} not allowed in binary scalar expression"));
        }
    } else if operator.is_set() {
        if matching.cardinality != Cardinality::OneToOne {
            return fail(span, format!("no grouping allowed for {} operation", quote(operator.name())));
        }
        if filled {
            return fail(span, "filling in missing series not allowed for set operators");
        }
    }
    Ok(())
}
