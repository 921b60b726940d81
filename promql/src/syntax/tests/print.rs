//! The tree as text, as Prometheus prints it but for durations, which are numbers of seconds here: on one line, with the matchers in
//! order. Reading the text again gives the same tree.

use std::fmt::{self, Display, Formatter, Write};
use std::sync::Arc;

use crate::syntax::ast::{
    Aggregate, At, Binary, Cardinality, Expr, ExprKind, Grouping, LabelMatcher, Modifiers, Operation,
    Selector, Sign,
};
use crate::syntax::quoted::quote;

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Number(value) => f.write_str(&number(*value)),
            ExprKind::String(text) => f.write_str(&quote(text)),
            ExprKind::Paren(inner) => write!(f, "({inner})"),
            ExprKind::Unary(sign, inner) => {
                write!(f, "{}{inner}", if *sign == Sign::Minus { '-' } else { '+' })
            }
            ExprKind::Selector(selector) => {
                f.write_str(&bare(selector))?;
                write_modifiers(f, &selector.modifiers, ["", &mode(selector)])
            }
            ExprKind::Range(range) => {
                write!(f, "{}[{}]", bare(&range.selector), range.range)?;
                write_modifiers(f, &range.selector.modifiers, [&mode(&range.selector), ""])
            }
            ExprKind::Subquery(subquery) => {
                write!(f, "{}[{}:", subquery.expr, subquery.range)?;
                if let Some(step) = &subquery.step {
                    step.fmt(f)?;
                }
                f.write_char(']')?;
                write_modifiers(f, &subquery.modifiers, [""; 2])
            }
            ExprKind::Binary(binary) => binary.fmt(f),
            ExprKind::Aggregate(aggregate) => aggregate.fmt(f),
            ExprKind::Call(call) => {
                write!(f, "{}(", call.function.name)?;
                write_list(f, &call.arguments)?;
                f.write_char(')')
            }
        }
    }
}

/// A selector without its modifiers.
fn bare(Selector { name, matchers, .. }: &Selector) -> String {
    let mut sorted: Vec<String> = matchers.iter().map(LabelMatcher::to_string).collect();
    sorted.sort_unstable();
    match name {
        Some(name) if sorted.is_empty() => name.clone(),
        name => format!("{}{{{}}}", name.as_deref().unwrap_or_default(), sorted.join(",")),
    }
}

impl Display for LabelMatcher {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", label(&self.name), self.kind.name(), quote(&self.value))
    }
}

/// A label's name, quoted unless it is an ordinary one.
fn label(name: &str) -> String {
    let plain = |c: char| c == '_' || c.is_ascii_alphanumeric();
    let ordinary = name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit());
    // Between brackets these two words are numbers.
    let number = ["inf", "nan"].iter().any(|word| name.eq_ignore_ascii_case(word));
    if ordinary && !number && !name.is_empty() { name.to_owned() } else { quote(name) }
}

fn number(value: f64) -> String {
    match value {
        // Prometheus prints +Inf, which reads back as a sign and a number where it stands left of `^`.
        f64::INFINITY => "Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        _ => value.to_string(),
    }
}

impl Display for Binary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Operation { operator, return_bool, matching, fill } = &self.operation;
        write!(f, "{} {}{}", self.left, operator.name(), if *return_bool { " bool" } else { "" })?;
        match (&matching.labels, &matching.cardinality) {
            (Grouping::By(labels), _) => write_labels(f, " on", labels)?,
            (Grouping::Without(labels), Cardinality::OneToOne) if labels.is_empty() => {}
            (Grouping::Without(labels), _) => write_labels(f, " ignoring", labels)?,
        }
        match &matching.cardinality {
            Cardinality::OneToOne => {}
            Cardinality::ManyToOne(labels) => write_labels(f, " group_left", labels)?,
            Cardinality::OneToMany(labels) => write_labels(f, " group_right", labels)?,
        }
        match (fill.left, fill.right) {
            (Some(left), Some(right)) if left.to_bits() == right.to_bits() => {
                write!(f, " fill ({})", number(left))?;
            }
            (left, right) => {
                for (name, value) in [("fill_left", left), ("fill_right", right)] {
                    if let Some(value) = value {
                        write!(f, " {name} ({})", number(value))?;
                    }
                }
            }
        }
        write!(f, " {}", self.right)
    }
}

impl Display for Aggregate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.aggregation.name())?;
        if self.grouping != Grouping::By(Vec::new()) {
            let word = if matches!(self.grouping, Grouping::By(_)) { " by" } else { " without" };
            write_labels(f, word, self.grouping.names())?;
            f.write_char(' ')?;
        }
        f.write_char('(')?;
        write_list(f, self.parameter.iter().chain([&self.expr]))?;
        f.write_char(')')
    }
}

fn write_list<T: Display>(f: &mut Formatter<'_>, items: impl IntoIterator<Item = T>) -> fmt::Result {
    for (at, item) in items.into_iter().enumerate() {
        let separator = if at == 0 { "" } else { ", " };
        write!(f, "{separator}{item}")?;
    }
    Ok(())
}

fn write_labels(f: &mut Formatter<'_>, word: &str, labels: &[Arc<str>]) -> fmt::Result {
    write!(f, "{word} (")?;
    write_list(f, labels.iter().map(|name| label(name)))?;
    f.write_char(')')
}

fn mode(selector: &Selector) -> String {
    selector.mode.map(|mode| format!(" {}", mode.name())).unwrap_or_default()
}

/// Writes `@` with what stands before and after it, then the offset. An offset in parentheses goes first: at the end it would take
/// in an operator that follows.
fn write_modifiers(f: &mut Formatter<'_>, modifiers: &Modifiers, around: [&str; 2]) -> fmt::Result {
    let at = match modifiers.at {
        None => String::new(),
        Some(At::Start) => " @ start()".to_owned(),
        Some(At::End) => " @ end()".to_owned(),
        Some(At::Time(ms)) => {
            let (sign, ms) = (if ms < 0 { "-" } else { "" }, ms.unsigned_abs());
            format!(" @ {sign}{}.{:03}", ms / 1000, ms % 1000)
        }
    };
    let offset = modifiers.offset.as_ref().map(|offset| format!(" offset {offset}")).unwrap_or_default();
    let first = offset.starts_with(" offset (");
    let (before, after) = if first { (offset.as_str(), "") } else { ("", offset.as_str()) };
    write!(f, "{before}{}{at}{}{after}", around[0], around[1])
}
