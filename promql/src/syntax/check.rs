//! Pure: the types of a parsed query. Says what Prometheus says first.

use super::ast::{
    Aggregate, Binary, Call, Cardinality, Expr, ExprKind, Fill, Grouping, MatchKind, Operation, Selector,
    Span, Subquery,
};
use super::error::SyntaxError;
use super::quoted::quote;
use super::signatures::ValueType;
use crate::labels::METRIC_NAME;

type Checked = Result<(), SyntaxError>;

pub(super) fn check(text: &str, expr: &Expr) -> Checked {
    Check { text }.expr(expr)
}

/// Refuses a selector that names its metric twice or selects everything. Whether a regular expression matches the empty text is
/// left to who compiles it.
pub(super) fn check_selector(text: &str, selector: &Selector, span: Span) -> Checked {
    Check { text }.selector(selector, span)
}

struct Check<'a> {
    text: &'a str,
}

impl Check<'_> {
    fn fail(&self, span: Span, message: impl Into<String>) -> Checked {
        Err(SyntaxError::new(self.text, span, message))
    }

    fn expr(&self, expr: &Expr) -> Checked {
        match &expr.kind {
            ExprKind::Number(_) | ExprKind::String(_) => Ok(()),
            ExprKind::Paren(inner) => self.expr(inner),
            ExprKind::Unary(_, inner) => {
                self.expr(inner)?;
                let found = inner.value_type();
                if matches!(found, ValueType::Scalar | ValueType::Vector) {
                    return Ok(());
                }
                let only = "unary expression only allowed on expressions of type scalar or instant vector";
                self.fail(expr.span, format!("{only}, got {}", quote(found.name())))
            }
            ExprKind::Selector(selector) => self.selector(selector, expr.span),
            ExprKind::Range(range) => self.selector(&range.selector, expr.span),
            ExprKind::Subquery(subquery) => self.subquery(subquery, expr.span),
            ExprKind::Binary(binary) => self.binary(binary, expr.span),
            ExprKind::Aggregate(aggregate) => self.aggregate(aggregate),
            ExprKind::Call(call) => self.call(call, expr.span),
        }
    }

    fn selector(&self, selector: &Selector, span: Span) -> Checked {
        if let Some(name) = &selector.name {
            return match selector.matchers.iter().find(|matcher| matcher.name == METRIC_NAME) {
                None => Ok(()),
                Some(other) => {
                    let (name, other) = (quote(name), quote(&other.value));
                    self.fail(span, format!("metric name must not be set twice: {name} or {other}"))
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
        self.fail(span, "vector selector must contain at least one non-empty matcher")
    }

    fn subquery(&self, subquery: &Subquery, span: Span) -> Checked {
        self.expr(&subquery.expr)?;
        let found = match subquery.expr.value_type() {
            ValueType::Vector => return Ok(()),
            ValueType::Matrix => "matrix",
            other => other.name(),
        };
        self.fail(span, format!("subquery is only allowed on instant vector, got {found} instead"))
    }

    fn expect(&self, expr: &Expr, wanted: ValueType, place: &str) -> Checked {
        self.expr(expr)?;
        let found = expr.value_type();
        if found == wanted {
            return Ok(());
        }
        self.fail(expr.span, format!("expected type {} in {place}, got {}", wanted.name(), found.name()))
    }

    fn aggregate(&self, aggregate: &Aggregate) -> Checked {
        self.expect(&aggregate.expr, ValueType::Vector, "aggregation expression")?;
        match (&aggregate.parameter, aggregate.aggregation.parameter()) {
            (Some(parameter), Some(wanted)) => self.expect(parameter, wanted, "aggregation parameter"),
            _ => Ok(()),
        }
    }

    fn call(&self, call: &Call, span: Span) -> Checked {
        let (function, found) = (call.function, call.arguments.len());
        let exact = function.least == function.most;
        let wanted = match found {
            _ if found < function.least => Some((if exact { "" } else { "at least " }, function.least)),
            _ if found > function.most => Some((if exact { "" } else { "at most " }, function.most)),
            _ => None,
        };
        let name = quote(function.name);
        if let Some((bound, count)) = wanted {
            return self
                .fail(span, format!("expected {bound}{count} argument(s) in call to {name}, got {found}"));
        }
        let labels_only = function.name == "info";
        for (at, argument) in call.arguments.iter().enumerate() {
            if labels_only && at == 1 {
                self.label_selector(argument, span)?;
                continue;
            }
            let Some(wanted) = function.arguments.get(at).or(function.arguments.last()) else { break };
            self.expect(argument, *wanted, &format!("call to function {}", quote(function.name)))?;
        }
        Ok(())
    }

    /// The second argument of `info`: braces without a name, empty ones too.
    fn label_selector(&self, argument: &Expr, call: Span) -> Checked {
        let found = argument.value_type();
        if found != ValueType::Vector {
            return self.fail(
                call,
                format!("expected type instant vector in call to function \"info\", got {}", found.name()),
            );
        }
        match &argument.kind {
            ExprKind::Selector(selector) if selector.name.is_none() => Ok(()),
            ExprKind::Selector(_) => {
                self.fail(argument.span, "expected label selectors only, got vector selector instead")
            }
            _ => self.fail(argument.span, "expected label selectors only"),
        }
    }

    fn binary(&self, binary: &Binary, span: Span) -> Checked {
        self.expr(&binary.left)?;
        self.expr(&binary.right)?;
        let (left, right) = (binary.left.value_type(), binary.right.value_type());
        let operation = &binary.operation;
        let operator = operation.operator;
        let between = self.between(binary);
        if operation.return_bool && !operator.is_comparison() {
            return self.fail(between, "bool modifier can only be used on comparison operators");
        }
        let scalars = left == ValueType::Scalar && right == ValueType::Scalar;
        if operator.is_comparison() && !operation.return_bool && scalars {
            return self.fail(between, "comparisons between scalars must use BOOL modifier");
        }
        if let (Grouping::By(on), Cardinality::ManyToOne(taken) | Cardinality::OneToMany(taken)) =
            (&operation.matching.labels, &operation.matching.cardinality)
            && let Some(twice) = on.iter().find(|label| taken.contains(label))
        {
            return self.fail(
                between,
                format!("label {} must not occur in ON and GROUP clause at once", quote(twice)),
            );
        }
        for side in [&binary.left, &binary.right] {
            if !matches!(side.value_type(), ValueType::Scalar | ValueType::Vector) {
                let message = "binary expression must contain only scalar and instant vector types";
                return self.fail(side.span, message);
            }
        }
        self.matching(operation, span, left == ValueType::Vector && right == ValueType::Vector)
    }

    fn matching(&self, operation: &Operation, span: Span, vectors: bool) -> Checked {
        let Operation { operator, matching, fill, .. } = operation;
        let filled = *fill != Fill::default();
        if !vectors {
            if !matching.labels.names().is_empty() {
                return self.fail(span, "vector matching only allowed between instant vectors");
            }
            if filled {
                return self.fail(span, "filling in missing series only allowed between instant vectors");
            }
            if operator.is_set() {
                let name = quote(operator.name());
                return self
                    .fail(span, format!("set operator {name} not allowed in binary scalar expression"));
            }
        } else if operator.is_set() {
            if matching.cardinality != Cardinality::OneToOne {
                return self
                    .fail(span, format!("no grouping allowed for {} operation", quote(operator.name())));
            }
            if filled {
                return self.fail(span, "filling in missing series not allowed for set operators");
            }
        }
        Ok(())
    }

    /// The operator and its modifiers, without the blanks around them.
    fn between(&self, binary: &Binary) -> Span {
        let (start, end) = (binary.left.span.end, binary.right.span.start);
        let inner = self.text.get(start..end).unwrap_or_default();
        let blanks = inner.len() - inner.trim_start().len();
        Span { start: start + blanks, end: start + inner.trim_end().len() }
    }
}
