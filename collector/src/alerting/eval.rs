//! Pure. One evaluation of one rule: `(rule, state, time, samples, answers) -> (state, transitions)`.
//!
//! The semantics are Prometheus' (rules/alerting.go), with one deliberate difference: when an evaluation fails, for whatever
//! reason, the state stays as it was. Prometheus forgets all alerts of a rule that exceeds its group's limit, which resolves
//! them by silence; here a failure never resolves anything.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::mem::discriminant;

use crate::alerting::rules::AlertRule;
use crate::alerting::sample::{ALERT_NAME, Labels, METRIC_NAME, Sample};
use crate::alerting::state::{Alert, Phase, RuleState};
use crate::alerting::template::{Answers, Template};
use crate::alerting::time::UnixMs;
use crate::limits::{RESOLVED_RETENTION, SERIES_PER_RULE_MAX};

/// Why an evaluation was refused. The state before it still holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    #[error("evaluation at {} is not after the last one at {}", .at.rfc3339(), .last.rfc3339())]
    NotAfterLast { at: UnixMs, last: UnixMs },
    #[error(
        "two series have the same labels {labels:?} once the rule's labels are applied; keep a label that tells them apart, or aggregate"
    )]
    DuplicateLabels { labels: Labels },
    #[error(
        "the expression returned {got} series, more than {SERIES_PER_RULE_MAX}; aggregate it or raise its threshold"
    )]
    TooManySeries { got: usize },
    #[error("{got} alerts are active, more than the group's limit of {limit}")]
    LimitExceeded { got: usize, limit: usize },
}

/// What the texts of the rule's alerts want to know beside what its expression returned.
pub fn queries(rule: &AlertRule, samples: &[Sample]) -> BTreeSet<String> {
    let texts = || rule.labels.values().chain(rule.annotations.values());
    samples
        .iter()
        .flat_map(|sample| texts().flat_map(|text| text.queries(&sample.labels, sample.value)))
        .collect()
}

/// Evaluates `rule` at `at` given what its expression returned and what [`queries`] were answered. Beside the state stand the alerts that changed their phase, as
/// they are now, in label order.
pub fn step(
    rule: &AlertRule,
    limit: Option<usize>,
    state: &RuleState,
    at: UnixMs,
    samples: &[Sample],
    answers: &Answers,
) -> Result<(RuleState, Vec<Alert>), EvalError> {
    if let Some(last) = state.last_eval.filter(|last| at <= *last) {
        return Err(EvalError::NotAfterLast { at, last });
    }
    if samples.len() > SERIES_PER_RULE_MAX {
        return Err(EvalError::TooManySeries { got: samples.len() });
    }
    let mut holding = label(rule, at, samples, answers)?;
    let mut next = RuleState { last_eval: Some(at), alerts: BTreeMap::new() };
    let mut changed = Vec::new();
    for (labels, before) in &state.alerts {
        let after = match holding.remove(labels) {
            Some(held) => advance_holding(rule, Some(before), held, at),
            None => advance_absent(rule, before, at),
        };
        if discriminant(&after.phase) != discriminant(&before.phase) {
            changed.push(after.clone());
        }
        let is_kept = match after.phase {
            Phase::Inactive => false,
            Phase::Pending | Phase::Firing { .. } => true,
            Phase::Resolved { at: resolved, .. } => at.since(resolved) <= RESOLVED_RETENTION,
        };
        if is_kept {
            next.alerts.insert(labels.clone(), after);
        }
    }
    for (labels, held) in holding {
        let after = advance_holding(rule, None, held, at);
        changed.push(after.clone());
        next.alerts.insert(labels, after);
    }
    let got = next.alerts.values().filter(|alert| alert.is_active()).count();
    if let Some(limit) = limit.filter(|limit| got > *limit) {
        return Err(EvalError::LimitExceeded { got, limit });
    }
    changed.sort_by(|left, right| left.labels.cmp(&right.labels));
    Ok((next, changed))
}

/// The alerts the samples stand for, as if each were new at this evaluation.
fn label(
    rule: &AlertRule,
    at: UnixMs,
    samples: &[Sample],
    answers: &Answers,
) -> Result<BTreeMap<Labels, Alert>, EvalError> {
    let mut holding = BTreeMap::new();
    for sample in samples {
        let mut labels = sample.labels.clone();
        labels.remove(METRIC_NAME);
        labels.extend(render(&rule.labels, sample, answers));
        labels.insert(ALERT_NAME.to_owned(), rule.name.clone());
        // In Prometheus' data model a label with an empty value is an absent label.
        labels.retain(|_, text| !text.is_empty());
        let alert = Alert {
            labels: labels.clone(),
            annotations: render(&rule.annotations, sample, answers),
            value: sample.value,
            active_since: at,
            phase: Phase::Pending,
            last_sent: None,
        };
        if holding.insert(labels.clone(), alert).is_some() {
            return Err(EvalError::DuplicateLabels { labels });
        }
    }
    Ok(holding)
}

fn render(templates: &BTreeMap<String, Template>, sample: &Sample, answers: &Answers) -> Labels {
    let text = |template: &Template| template.render(&sample.labels, sample.value, answers);
    templates.iter().map(|(name, template)| (name.clone(), text(template))).collect()
}

/// The expression holds for this alert.
fn advance_holding(rule: &AlertRule, before: Option<&Alert>, mut alert: Alert, at: UnixMs) -> Alert {
    // A resolved alert that comes back starts over, `for` included.
    let continued = before.filter(|alert| alert.is_active());
    if let Some(before) = continued {
        (alert.active_since, alert.last_sent) = (before.active_since, before.last_sent);
    }
    let served = at.since(alert.active_since) >= rule.hold;
    alert.phase = match continued.map(|alert| alert.phase) {
        Some(Phase::Firing { since, .. }) => Phase::Firing { since, kept_since: None },
        _ if served => Phase::Firing { since: at, kept_since: None },
        _ => Phase::Pending,
    };
    alert
}

/// The expression does not hold for this alert.
fn advance_absent(rule: &AlertRule, before: &Alert, at: UnixMs) -> Alert {
    let phase = match before.phase {
        Phase::Inactive | Phase::Pending => Phase::Inactive,
        Phase::Resolved { .. } => before.phase,
        Phase::Firing { since, kept_since } => {
            let kept = kept_since.unwrap_or(at);
            if at.since(kept) < rule.keep_firing_for {
                Phase::Firing { since, kept_since: Some(kept) }
            } else {
                Phase::Resolved { fired: since, at }
            }
        }
    };
    Alert { phase, ..before.clone() }
}
