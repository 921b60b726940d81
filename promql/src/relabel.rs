//! Pure: `label_replace` and `label_join`, the two functions that build texts. What they build is bounded and charged for before it
//! is built: applied to their own result, either can double a label's length.

use std::sync::Arc;

use super::budget::Budget;
use super::error::{QueryError, Result};
use super::limits::LABEL_VALUE_BYTES_MAX;
use super::regex::Regex;
use super::value::Vector;

fn check_name(function: &str, name: &str) -> Result<()> {
    if name.is_empty() || name.contains('\u{fffd}') {
        return Err(QueryError::Parameter(format!("invalid label name in {function}(): {name:?}")));
    }
    Ok(())
}

fn check_length(function: &'static str, label: &str, bytes: usize) -> Result<()> {
    if bytes > LABEL_VALUE_BYTES_MAX {
        return Err(QueryError::LabelTooLong(function, label.chars().take(80).collect()));
    }
    Ok(())
}

pub(super) fn replace(
    budget: &Budget<'_>,
    [target, template, source, pattern]: [String; 4],
    mut vector: Vector,
) -> Result<Vector> {
    check_name("label_replace", &target)?;
    let regex = Regex::compile(budget, &pattern)?;
    for column in &mut vector.columns {
        let text = column.labels.get(&source);
        budget.work(text.len())?;
        let Some((value, groups)) = regex.expand(text, &template, LABEL_VALUE_BYTES_MAX) else { continue };
        check_length("label_replace", &target, groups.max(value.len()))?;
        let mut labels = column.labels.clone();
        labels.set(target.as_str(), value);
        column.relabel(labels)?;
    }
    vector.merged(budget)
}

pub(super) fn join(
    budget: &Budget<'_>,
    target: &str,
    separator: &str,
    sources: &[String],
    mut vector: Vector,
) -> Result<Vector> {
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
