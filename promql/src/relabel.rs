//! Pure: `label_replace` and `label_join`, the two functions that build texts. What they build is bounded and charged for before it
//! is built: applied to their own result, either can double a label's length.

use std::sync::Arc;

use super::budget::Budget;
use super::error::QueryError;
use super::limits::LABEL_VALUE_BYTES_MAX;
use super::regex::Regex;
use super::value::Vector;

/// Refuses what cannot be a label's name.
fn check_name(function: &str, name: &str) -> Result<(), QueryError> {
    if name.is_empty() || name.contains('\u{fffd}') {
        let message = format!("invalid label name in {function}(): {name:?}");
        return Err(QueryError::Parameter { message });
    }
    Ok(())
}

fn check_length(function: &'static str, label: &str, bytes: usize) -> Result<(), QueryError> {
    if bytes > LABEL_VALUE_BYTES_MAX {
        let (label, limit) = (label.chars().take(80).collect(), LABEL_VALUE_BYTES_MAX);
        return Err(QueryError::LabelTooLong { function, label, limit });
    }
    Ok(())
}

/// The text arguments of `label_replace`, in the order of the language.
pub(super) struct Replacement {
    pub target: String,
    pub template: String,
    pub source: String,
    pub pattern: String,
}

/// Sets a label to what a pattern finds in another.
pub(super) fn replace(
    budget: &Budget<'_>,
    texts: &Replacement,
    mut vector: Vector,
) -> Result<Vector, QueryError> {
    check_name("label_replace", &texts.target)?;
    let regex = Regex::compile(budget, &texts.pattern)?;
    for column in &mut vector.columns {
        let text = column.labels.get(&texts.source);
        budget.work(text.len())?;
        let Some(captures) = regex.captures(text) else { continue };
        let value = captures.expand(text, &texts.template, LABEL_VALUE_BYTES_MAX);
        check_length("label_replace", &texts.target, value.as_ref().map_or(usize::MAX, String::len))?;
        let mut labels = column.labels.clone();
        labels.set(texts.target.as_str(), value.unwrap_or_default());
        column.relabel(labels)?;
    }
    vector.merged(budget)
}

/// Sets a label to the values of others, joined.
pub(super) fn join(
    budget: &Budget<'_>,
    target: &str,
    separator: &str,
    sources: &[String],
    mut vector: Vector,
) -> Result<Vector, QueryError> {
    for name in std::iter::once(target).chain(sources.iter().map(String::as_str)) {
        check_name("label_join", name)?;
    }
    for column in &mut vector.columns {
        let values: Vec<&str> = sources.iter().map(|source| column.labels.get(source)).collect();
        let texts: usize = values.iter().map(|value| value.len()).sum();
        let bytes = texts.saturating_add(separator.len() * values.len().saturating_sub(1));
        check_length("label_join", target, bytes)?;
        budget.work(bytes)?;
        let joined: Arc<str> = values.join(separator).into();
        let mut labels = column.labels.clone();
        labels.set(target, joined);
        column.relabel(labels)?;
    }
    vector.merged(budget)
}
