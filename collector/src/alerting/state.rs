//! Pure. The state of one rule's alerts between two evaluations, and what of it an Alertmanager has to hear.
//! `eval.rs` moves it; nothing here reads a clock or sends anything.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::alerting::sample::Labels;
use crate::alerting::time::UnixMs;

/// Where an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The expression stopped holding before the alert fired; never kept.
    Inactive,
    /// The expression holds, but not yet for as long as `for` asks.
    Pending,
    /// Firing.
    Firing {
        /// When it began to fire.
        since: UnixMs,
        /// When the expression stopped holding, while `keep_firing_for` still runs.
        kept_since: Option<UnixMs>,
    },
    /// It fired and ended; kept for [`crate::limits::RESOLVED_RETENTION`] so that receivers hear of it more than once.
    Resolved {
        /// When it had begun to fire.
        fired: UnixMs,
        /// When it ended.
        at: UnixMs,
    },
}

impl Phase {
    /// Its word in the API, in metrics and in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Pending => "pending",
            Self::Firing { .. } => "firing",
            Self::Resolved { .. } => "resolved",
        }
    }
}

/// One alert: an instance of a rule for one label set.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// With the rule's labels and `alertname`.
    pub labels: Labels,
    /// Rendered at the last evaluation at which the expression held.
    pub annotations: Labels,
    pub value: f64,
    /// When the expression began to hold.
    pub active_since: UnixMs,
    pub phase: Phase,
    /// When it was last handed to the Alertmanagers in its present run.
    pub last_sent: Option<UnixMs>,
}

impl Alert {
    pub fn is_active(&self) -> bool {
        matches!(self.phase, Phase::Pending | Phase::Firing { .. })
    }
}

/// All alerts of one rule but the inactive ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleState {
    /// Time of the last successful evaluation; the next must be later.
    pub last_eval: Option<UnixMs>,
    /// By label set.
    pub alerts: BTreeMap<Labels, Alert>,
}

impl RuleState {
    /// Alerts to hand to the Alertmanagers now, marked as handed over: at once after beginning to fire and after resolving, then
    /// again every `resend`. (Source: Prometheus, Alert Generator Compliance 1.0.)
    pub fn take_due(&mut self, at: UnixMs, resend: Duration) -> Vec<Alert> {
        let mut due = Vec::new();
        for alert in self.alerts.values_mut() {
            if is_due(alert, at, resend) {
                alert.last_sent = Some(at);
                due.push(alert.clone());
            }
        }
        due
    }

    /// After the wall clock was set back to `now`: no time in the state may lie in the future, else a rule would wait for the
    /// clock to catch up with its own past. Durations already served are shortened, never lengthened.
    pub fn realigned(mut self, now: UnixMs) -> Self {
        self.last_eval = None;
        for alert in self.alerts.values_mut() {
            alert.active_since = alert.active_since.min(now);
            alert.last_sent = None;
            match &mut alert.phase {
                Phase::Inactive | Phase::Pending => {}
                Phase::Firing { since, kept_since } => {
                    *since = (*since).min(now);
                    *kept_since = kept_since.map(|kept| kept.min(now));
                }
                Phase::Resolved { fired, at } => {
                    *fired = (*fired).min(now);
                    *at = (*at).min(now);
                }
            }
        }
        self
    }
}

fn is_due(alert: &Alert, at: UnixMs, resend: Duration) -> bool {
    let is_again = |last| at.since(last) >= resend;
    match alert.phase {
        Phase::Inactive | Phase::Pending => false,
        Phase::Resolved { at: resolved, .. } if alert.last_sent < Some(resolved) => true,
        Phase::Firing { .. } | Phase::Resolved { .. } => alert.last_sent.is_none_or(is_again),
    }
}
