//! Evaluates one group on its grid: asks for the time, runs the queries, moves the states, hands alerts to the notifier and
//! publishes the result. Each group is a task of its own, so a slow or failing group holds up no other.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use ledgerline_process::clock::Clock;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::alerting::config::LinkBase;
use crate::alerting::eval;
use crate::alerting::grid::{self, Tick};
use crate::alerting::notify::{Notifier, Source};
use crate::alerting::once::OnceLog;
use crate::alerting::rules::AlertRule;
use crate::alerting::sample::Sample;
use crate::alerting::snapshot::{GroupSnapshot, Health, RuleSnapshot, RulesView};
use crate::alerting::state::{Alert, Phase, RuleState};
use crate::alerting::template::Answers;
use crate::alerting::time::UnixMs;
use crate::limits::TEMPLATE_QUERIES_MAX;
use crate::metrics::Metrics;

/// So often the clock is read at least: a wall clock that jumps is noticed.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Until when a firing alert may be believed, in units of max(interval, resend delay). As in Prometheus.
const VALID_FOR_DELAYS: u32 = 4;

/// Answers PromQL at one instant; a scalar is one sample without labels, and an error says why there are none. Dropping the future
/// must cancel the query.
pub trait InstantQuery: Send + Sync {
    /// Evaluates `expr` at `at`.
    fn query<'a>(&'a self, expr: &'a str, at: UnixMs) -> BoxFuture<'a, Result<Vec<Sample>, String>>;
}

/// What all groups share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) query: Arc<dyn InstantQuery>,
    pub(super) once: Arc<dyn OnceLog>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Metrics,
    pub(super) notifier: Notifier,
    pub(super) view: RulesView,
    /// Bounds the queries of all groups together.
    pub(super) permits: Arc<Semaphore>,
    pub(super) query_timeout: Duration,
    pub(super) resend_delay: Duration,
    pub(super) link: LinkBase,
}

/// One group and its states.
pub(super) struct GroupTask {
    shared: Shared,
    index: usize,
    /// The group as it is now; published after each evaluation.
    current: GroupSnapshot,
    /// The label of its metrics.
    label: String,
}

impl GroupTask {
    pub(super) fn new(shared: Shared, index: usize, current: GroupSnapshot) -> Self {
        let label = format!("{};{}", current.group.file, current.group.name);
        let Metrics { evaluations, evaluation_failures, iterations_missed, .. } = &shared.metrics;
        // Counters that exist from the start at 0 make increase() over them right.
        for counter in [evaluations, evaluation_failures, iterations_missed] {
            drop(counter.of([label.clone()]));
        }
        Self { shared, index, current, label }
    }

    /// Runs until `shutdown`. Cancelled queries change no state.
    pub(super) async fn run(self, shutdown: CancellationToken) {
        shutdown.run_until_cancelled(self.follow_the_clock()).await;
    }

    async fn follow_the_clock(mut self) {
        let group = Arc::clone(&self.current.group);
        let mut last = grid::floor(self.now(), group.interval);
        loop {
            match grid::tick(last, self.now(), group.interval) {
                Tick::Wait(wait) => tokio::time::sleep(wait.min(LOOK_AGAIN)).await,
                Tick::Due { at, missed } => {
                    if missed > 0 {
                        self.shared.metrics.iterations_missed.of([self.label.clone()]).inc_by(missed);
                        tracing::warn!(group = group.name, missed, "rule group skipped evaluations");
                    }
                    last = at;
                    self.evaluate(at).await;
                }
                Tick::SetBack { to } => {
                    tracing::warn!(group = group.name, "the clock was set back; rule states are realigned");
                    last = to;
                    for rule in &mut self.current.rules {
                        rule.state = Arc::new(RuleState::clone(&rule.state).realigned(to));
                    }
                }
            }
        }
    }

    fn now(&self) -> UnixMs {
        UnixMs::from_unix_ns(self.shared.clock.now_unix_ns())
    }

    /// Evaluates every rule in order. A rule that fails keeps its state and does not keep the next from its turn.
    async fn evaluate(&mut self, at: UnixMs) {
        let started = Instant::now();
        for position in 0..self.current.rules.len() {
            self.evaluate_rule(position, at).await;
        }
        self.current.last_evaluation = Some(at);
        self.current.evaluation_time = started.elapsed();
        let seconds = self.current.evaluation_time.as_secs_f64();
        self.shared.metrics.last_duration_seconds.of([self.label.clone()]).set(seconds);
        for state in ["pending", "firing"] {
            let alerts = self.current.rules.iter().flat_map(|rule| rule.state.alerts.values());
            let count = alerts.filter(|alert| alert.phase.name() == state).count();
            let gauge = self.shared.metrics.alerts.of([self.label.clone(), state.to_owned()]);
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.shared.view.publish(self.index, self.current.clone());
    }

    #[tracing::instrument(name = "rule evaluation", skip_all, fields(failed, transitions))]
    async fn evaluate_rule(&mut self, position: usize, at: UnixMs) {
        let group = Arc::clone(&self.current.group);
        let (Some(rule), Some(before)) = (group.rules.get(position), self.current.rules.get(position)) else {
            return;
        };
        let started = Instant::now();
        let deadline = started + self.shared.query_timeout;
        let stepped = match self.query(&rule.expr, at, deadline).await {
            Ok(samples) => {
                let answers = self.answers(eval::queries(rule, &samples), at, deadline).await;
                eval::step(rule, group.limit, &before.state, at, &samples, &answers)
                    .map_err(|error| error.to_string())
            }
            Err(reason) => Err(reason),
        };
        let stepped = match stepped {
            Ok(stepped) if rule.is_once => self.remembered(stepped, at).await,
            other => other,
        };
        self.shared.metrics.evaluations.of([self.label.clone()]).inc();
        let (mut state, changed, health) = match stepped {
            Ok((state, changed)) => (state, changed, Health::Ok),
            Err(reason) => {
                self.shared.metrics.evaluation_failures.of([self.label.clone()]).inc();
                tracing::warn!(
                    group = group.name,
                    rule = rule.name,
                    reason,
                    "rule evaluation failed; its alerts stay as they are"
                );
                (RuleState::clone(&before.state), Vec::new(), Health::Failed(reason))
            }
        };
        let span = tracing::Span::current();
        span.record("failed", matches!(health, Health::Failed(_))).record("transitions", changed.len());
        self.announce(rule, &mut state, &changed, at);
        let evaluation_time = started.elapsed();
        if let Some(slot) = self.current.rules.get_mut(position) {
            *slot =
                RuleSnapshot { state: Arc::new(state), health, last_evaluation: Some(at), evaluation_time };
        }
    }

    /// Alerts that begin to fire, with the time at which they first did, also before a restart. Remembered before anybody is told: where that
    /// fails the evaluation has.
    async fn remembered(
        &self,
        (mut state, mut changed): (RuleState, Vec<Alert>),
        at: UnixMs,
    ) -> Result<(RuleState, Vec<Alert>), String> {
        let seen = at.minus(self.current.group.query_offset);
        for alert in changed.iter_mut().filter(|alert| matches!(alert.phase, Phase::Firing { .. })) {
            let since = self.shared.once.began(&alert.labels, seen).await?;
            (alert.active_since, alert.phase) = (since, Phase::Firing { since, kept_since: None });
            state.alerts.insert(alert.labels.clone(), alert.clone());
        }
        Ok((state, changed))
    }

    /// Also after a failed evaluation: alerts that fired before it must not resolve at an Alertmanager by silence.
    fn announce(&self, rule: &AlertRule, state: &mut RuleState, changed: &[Alert], at: UnixMs) {
        let (group, interval) = (&self.current.group.name, self.current.group.interval);
        for Alert { phase, value, .. } in changed {
            tracing::info!(group, rule = rule.name, state = phase.name(), value, "alert changed state");
        }
        let resend = self.shared.resend_delay;
        let due = state.take_due(at, resend);
        let source = Source { group, rule, link: &self.shared.link };
        let valid_for = interval.max(resend) * VALID_FOR_DELAYS;
        self.shared.notifier.offer(&source, changed, &due, at, valid_for);
    }

    /// What the texts of alerts ask. A question without an answer spoils a text and nothing else.
    async fn answers(&self, texts: BTreeSet<String>, at: UnixMs, deadline: Instant) -> Answers {
        let mut answers = Answers::new();
        for (asked, text) in texts.into_iter().enumerate() {
            let answer = if asked < TEMPLATE_QUERIES_MAX {
                let first =
                    self.query(&text, at, deadline).await.map(|samples| samples.first().map(|one| one.value));
                first.and_then(|value| value.ok_or_else(|| "the query has no answer".to_owned()))
            } else {
                Err(format!("the alerts of a rule may ask {TEMPLATE_QUERIES_MAX} queries"))
            };
            answers.insert(text, answer);
        }
        answers
    }

    /// One query with its deadline; waiting for a permit counts. A panic in the query source is an error of this evaluation. What an
    /// alert's texts ask is read as far behind as what its rule asks, or the two would not fit together.
    async fn query(&self, expr: &str, at: UnixMs, deadline: Instant) -> Result<Vec<Sample>, String> {
        let limit = self.shared.query_timeout;
        let answering = async {
            let _permit = self.shared.permits.acquire().await.map_err(|error| error.to_string())?;
            let query = self.shared.query.query(expr, at.minus(self.current.group.query_offset));
            match AssertUnwindSafe(query).catch_unwind().await {
                Ok(answer) => answer,
                Err(_) => Err("the query source panicked".to_owned()),
            }
        };
        match tokio::time::timeout_at(deadline, answering).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {} ms", limit.as_millis())),
        }
    }
}
