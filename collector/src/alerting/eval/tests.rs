//! One rule over time: tables of histories, the labels of alerts, and properties against the whole history.

use super::*;
use crate::alerting::rules::tests::load;
use proptest::prelude::*;
use std::time::Duration;

/// A step of a rule whose texts ask nothing.
fn step(
    rule: &AlertRule,
    limit: Option<usize>,
    state: &RuleState,
    at: UnixMs,
    samples: &[Sample],
) -> Result<(RuleState, Vec<Alert>), EvalError> {
    super::step(rule, limit, state, at, samples, &Answers::new())
}

fn rule(yaml: &str) -> AlertRule {
    let text = format!("groups: [{{name: g, rules: [{yaml}]}}]");
    load("f", &text).unwrap().remove(0).rules.remove(0)
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn sample(pairs: &[(&str, &str)], value: f64) -> Sample {
    Sample { labels: labels(pairs), value }
}

fn seconds(at: i64) -> UnixMs {
    UnixMs(at * 1000)
}

/// Runs a history written as `time:value` or `time:-` (no sample), and prints what changed as `time phase`.
fn transitions(rule: &AlertRule, history: &str) -> Vec<String> {
    let mut state = RuleState::default();
    let mut told = Vec::new();
    for entry in history.split_whitespace() {
        let (at, value) = entry.split_once(':').unwrap();
        let samples: Vec<Sample> =
            value.parse().ok().map(|value| sample(&[("team", "a")], value)).into_iter().collect();
        let (next, changes) = step(rule, None, &state, seconds(at.parse().unwrap()), &samples).unwrap();
        state = next;
        told.extend(changes.iter().map(|change| format!("{at} {}", change.phase.name())));
    }
    told
}

#[track_caller]
fn check(yaml: &str, history: &str, want: &[&str]) {
    assert_eq!(transitions(&rule(yaml), history), want, "{yaml} over {history}");
}

#[test]
fn an_alert_without_for_fires_at_once_and_resolves_at_the_first_absence() {
    check("{alert: A, expr: up}", "0:- 15:1 30:1 45:- 60:- 75:1", &["15 firing", "45 resolved", "75 firing"]);
}

#[test]
fn for_counts_from_the_first_evaluation_that_holds() {
    let yaml = "{alert: A, expr: up, for: 30s}";
    check(yaml, "0:1 15:1 30:1", &["0 pending", "30 firing"]);
    check(yaml, "0:1 15:1 29:1 31:1", &["0 pending", "31 firing"]);
    check(yaml, "0:1 15:- 30:1 60:1", &["0 pending", "15 inactive", "30 pending", "60 firing"]);
    // A resolved alert that comes back serves its time again.
    check(
        yaml,
        "0:1 30:1 45:- 60:1 75:1 90:1",
        &["0 pending", "30 firing", "45 resolved", "60 pending", "90 firing"],
    );
    // ... and if it does not come to firing again, nobody hears a second resolve.
    check(
        yaml,
        "0:1 30:1 45:- 60:1 75:-",
        &["0 pending", "30 firing", "45 resolved", "60 pending", "75 inactive"],
    );
}

#[test]
fn keep_firing_for_bridges_absences_shorter_than_itself() {
    let yaml = "{alert: A, expr: up, keep_firing_for: 30s}";
    check(yaml, "0:1 15:- 30:- 44:-", &["0 firing"]);
    check(yaml, "0:1 15:- 30:- 45:-", &["0 firing", "45 resolved"]);
    // The clock of an absence starts anew with each absence.
    check(yaml, "0:1 15:- 30:1 45:- 74:- 75:-", &["0 firing", "75 resolved"]);
    check("{alert: A, expr: up, for: 30s, keep_firing_for: 30s}", "0:1 15:-", &["0 pending", "15 inactive"]);
}

#[test]
fn identity_is_series_labels_without_the_name_plus_rule_labels_plus_alertname() {
    let rule = rule(
        "{alert: A, expr: up, labels: {severity: page, team: '{{ $labels.team | toUpper }}', drop: '', alertname: x},
          annotations: {text: '{{ $labels.__name__ }} {{ $value }}'}}",
    );
    let samples = [sample(&[("__name__", "m"), ("team", "a"), ("drop", "gone"), ("empty", "")], 2.0)];
    let (state, changes) = step(&rule, None, &RuleState::default(), seconds(1), &samples).unwrap();
    let want = labels(&[("alertname", "A"), ("severity", "page"), ("team", "A")]);
    assert_eq!(state.alerts.keys().collect::<Vec<_>>(), [&want]);
    assert_eq!(changes[0].annotations, labels(&[("text", "m 2")]));
}

#[test]
fn annotations_and_value_follow_the_samples_and_stay_when_they_end() {
    let rule = rule("{alert: A, expr: up, annotations: {text: '{{ $value }}'}}");
    let at = |state: &RuleState, at: i64, value: Option<f64>| {
        let samples: Vec<Sample> = value.map(|value| sample(&[], value)).into_iter().collect();
        step(&rule, None, state, seconds(at), &samples).unwrap().0
    };
    let text = |state: &RuleState| state.alerts.values().next().unwrap().annotations["text"].clone();
    let first = at(&RuleState::default(), 1, Some(1.5));
    let second = at(&first, 2, Some(2.5));
    let third = at(&second, 3, None);
    assert_eq!([text(&first), text(&second), text(&third)], ["1.5", "2.5", "2.5"]);
    assert_eq!(third.alerts.values().next().unwrap().value, 2.5);
}

#[test]
fn series_that_become_one_alert_are_an_error_and_change_nothing() {
    let rule = rule("{alert: A, expr: up, labels: {team: all}}");
    let samples = [sample(&[("team", "a")], 1.0), sample(&[("team", "b")], 1.0)];
    let error = step(&rule, None, &RuleState::default(), seconds(1), &samples).unwrap_err();
    assert_eq!(error, EvalError::DuplicateLabels { labels: labels(&[("alertname", "A"), ("team", "all")]) });
    let names = [sample(&[("__name__", "a")], 1.0), sample(&[("__name__", "b")], 1.0)];
    assert!(matches!(
        step(&rule, None, &RuleState::default(), seconds(1), &names),
        Err(EvalError::DuplicateLabels { .. })
    ));
}

#[test]
fn limits_fail_the_evaluation() {
    let rule = rule("{alert: A, expr: up}");
    let samples: Vec<Sample> = (0..3).map(|team| sample(&[("team", &team.to_string())], 1.0)).collect();
    assert!(step(&rule, Some(3), &RuleState::default(), seconds(1), &samples).is_ok());
    assert_eq!(
        step(&rule, Some(2), &RuleState::default(), seconds(1), &samples),
        Err(EvalError::LimitExceeded { got: 3, limit: 2 })
    );
    let many: Vec<Sample> =
        (0..=SERIES_PER_RULE_MAX).map(|team| sample(&[("team", &team.to_string())], 1.0)).collect();
    assert!(matches!(
        step(&rule, None, &RuleState::default(), seconds(1), &many),
        Err(EvalError::TooManySeries { .. })
    ));
}

#[test]
fn evaluation_times_must_increase() {
    let rule = rule("{alert: A, expr: up}");
    let (state, _) = step(&rule, None, &RuleState::default(), seconds(10), &[]).unwrap();
    for at in [10, 9] {
        let error = step(&rule, None, &state, seconds(at), &[]).unwrap_err();
        assert_eq!(error, EvalError::NotAfterLast { at: seconds(at), last: seconds(10) });
    }
    // After the clock was set back the state continues from there, and alerts keep firing.
    let (firing, _) = step(&rule, None, &state, seconds(20), &[sample(&[], 1.0)]).unwrap();
    let realigned = firing.realigned(seconds(5));
    let (next, changes) = step(&rule, None, &realigned, seconds(6), &[sample(&[], 1.0)]).unwrap();
    assert_eq!(changes, []);
    assert_eq!(next.alerts.values().next().unwrap().active_since, seconds(5));
}

#[test]
fn resolved_alerts_are_told_for_fifteen_minutes_and_then_forgotten() {
    let rule = rule("{alert: A, expr: up}");
    let resend = Duration::from_secs(60);
    let mut state = RuleState::default();
    let mut told = Vec::new();
    for tick in 0..100 {
        let at = seconds(tick * 15);
        let samples = if tick < 10 { vec![sample(&[], 1.0)] } else { Vec::new() };
        state = step(&rule, None, &state, at, &samples).unwrap().0;
        for alert in state.take_due(at, resend) {
            told.push((tick * 15, matches!(alert.phase, Phase::Resolved { .. })));
        }
    }
    let firing: Vec<i64> = told.iter().filter(|(_, resolved)| !resolved).map(|(at, _)| *at).collect();
    let resolved: Vec<i64> = told.iter().filter(|(_, resolved)| *resolved).map(|(at, _)| *at).collect();
    assert_eq!(firing, [0, 60, 120]);
    let end = 150 + i64::try_from(RESOLVED_RETENTION.as_secs()).unwrap();
    assert_eq!(resolved, (0..=15).map(|minute| 150 + minute * 60).collect::<Vec<_>>());
    assert_eq!(resolved.last(), Some(&end));
    assert!(state.alerts.is_empty());
}

#[test]
fn an_alert_that_comes_back_is_told_at_once() {
    let rule = rule("{alert: A, expr: up}");
    let mut state = RuleState::default();
    let mut told = Vec::new();
    for (at, holds) in [(0, true), (1, false), (2, true), (3, true), (4, false)] {
        let samples: Vec<Sample> = holds.then(|| sample(&[], 1.0)).into_iter().collect();
        state = step(&rule, None, &state, seconds(at), &samples).unwrap().0;
        told.extend(state.take_due(seconds(at), Duration::from_secs(60)).iter().map(|_| at));
    }
    assert_eq!(told, [0, 1, 2, 4]);
}

#[test]
fn pending_alerts_are_told_to_nobody() {
    let rule = rule("{alert: A, expr: up, for: 1h}");
    let (mut state, _) = step(&rule, None, &RuleState::default(), seconds(1), &[sample(&[], 1.0)]).unwrap();
    assert_eq!(state.take_due(seconds(1), Duration::from_secs(60)), []);
}

/// What a rule's alert does, told from its whole history instead of from a state.
fn firing_by_history(hold: i64, keep: i64, history: &[(i64, bool)]) -> Vec<bool> {
    let mut firing = Vec::new();
    for end in 0..history.len() {
        // Fires now if some run of holding evaluations served `hold`, and no absence since then lasted `keep`.
        let mut now = false;
        let mut run_start = None;
        let mut absence_start = None;
        for (at, holds) in &history[..=end] {
            if *holds {
                absence_start = None;
                let start = *run_start.get_or_insert(*at);
                now |= at - start >= hold;
            } else {
                let start = *absence_start.get_or_insert(*at);
                if now && at - start >= keep {
                    now = false;
                }
                run_start = None;
            }
        }
        firing.push(now);
    }
    firing
}

prop_compose! {
    fn histories()(steps in prop::collection::vec((1i64..40, any::<bool>()), 1..40)) -> Vec<(i64, bool)> {
        let mut at = 0;
        steps.into_iter().map(|(gap, holds)| { at += gap; (at, holds) }).collect()
    }
}

proptest! {
    #[test]
    fn stepping_agrees_with_the_history(
        hold in 0u64..90, keep in 0u64..90, team_a in histories(), salt in any::<u64>()
    ) {
        let rule = rule(&format!("{{alert: A, expr: up, for: {hold}s, keep_firing_for: {keep}s}}"));
        // A second alert with its own history at the same times must not disturb the first.
        let team_b: Vec<bool> = (0..team_a.len()).map(|bit| salt >> (bit % 64) & 1 == 1).collect();
        let want = firing_by_history(i64::try_from(hold).unwrap(), i64::try_from(keep).unwrap(), &team_a);
        let mut state = RuleState::default();
        let mut fired = false;
        for (position, (at, holds)) in team_a.iter().enumerate() {
            let mut samples = Vec::new();
            if *holds { samples.push(sample(&[("team", "a")], 1.0)); }
            if team_b[position] { samples.push(sample(&[("team", "b")], 1.0)); }
            let (next, changes) = step(&rule, None, &state, seconds(*at), &samples).unwrap();
            let key = labels(&[("alertname", "A"), ("team", "a")]);
            let firing = next.alerts.get(&key).is_some_and(|alert| matches!(alert.phase, Phase::Firing { .. }));
            prop_assert_eq!(firing, want[position], "at {}", at);
            // What changed is told exactly, once, in label order.
            let mine: Vec<_> = changes.iter().filter(|change| change.labels == key).collect();
            prop_assert!(mine.len() <= 1);
            match mine.first().map(|change| change.phase) {
                Some(Phase::Firing { .. }) => { prop_assert!(!fired); fired = true; }
                Some(Phase::Resolved { .. }) => { prop_assert!(fired); fired = false; }
                _ => {}
            }
            prop_assert_eq!(fired, firing);
            prop_assert!(changes.is_sorted_by(|left, right| left.labels < right.labels));
            state = next;
        }
    }

    #[test]
    fn a_refused_evaluation_leaves_the_state_and_the_outcome_alone(history in histories(), hold in 0u64..60) {
        let rule = rule(&format!("{{alert: A, expr: up, for: {hold}s}}"));
        let twice = [sample(&[], 1.0), sample(&[], 2.0)];
        let (mut plain, mut disturbed) = (RuleState::default(), RuleState::default());
        for (at, holds) in history {
            let samples: Vec<Sample> = holds.then(|| sample(&[], 1.0)).into_iter().collect();
            prop_assert!(step(&rule, None, &disturbed, UnixMs(at * 1000 - 1), &twice).is_err());
            plain = step(&rule, None, &plain, seconds(at), &samples).unwrap().0;
            disturbed = step(&rule, None, &disturbed, seconds(at), &samples).unwrap().0;
            prop_assert_eq!(&plain, &disturbed);
        }
    }
}
