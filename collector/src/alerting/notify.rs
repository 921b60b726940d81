//! From alerts to receivers: each receiver has a bounded outbox and one task that empties it. Handing over never waits, so a
//! dead receiver can delay neither an evaluation nor another receiver.
//!
//! An Alertmanager is told states: its outbox keeps only the newest state of each alert. A webhook is told transitions: its
//! outbox keeps every one, in order, each with a stable key. Both deliver at least once while this process lives.

mod deliver;
mod link;
mod outbox;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use ledgerline_process::clock::Clock;
use ledgerline_process::tls::TlsError;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::alerting::config::{LinkBase, Receiver, ReceiverKind};
use crate::alerting::once::OnceLog;
use crate::alerting::rules::AlertRule;
use crate::alerting::sample::Labels;
use crate::alerting::state::{Alert, Phase};
use crate::alerting::time::UnixMs;
use crate::metrics::Metrics;

use deliver::Delivery;

/// Something to tell a receiver. Its JSON is an alert as Alertmanager's `POST /api/v2/alerts` takes it. (Source: alertmanager,
/// api/v2/openapi.yaml.)
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Notification {
    /// Stable across retries, restarts and replicas; see [`Source::key`].
    #[serde(skip)]
    key: String,
    #[serde(skip)]
    status: Status,
    /// A webhook that has heard it is not told again.
    #[serde(skip)]
    is_once: bool,
    labels: Labels,
    annotations: Labels,
    /// When the alert began to fire.
    starts_at: UnixMs,
    /// When it ended; for an Alertmanager, while firing, until when it may be believed without hearing of it again.
    ends_at: UnixMs,
    #[serde(rename = "generatorURL")]
    generator_url: String,
    #[serde(skip)]
    queued_at: UnixMs,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Firing,
    Resolved,
}

/// The rule a notification comes from.
pub(crate) struct Source<'a> {
    pub(crate) group: &'a str,
    pub(crate) rule: &'a AlertRule,
    pub(crate) link: &'a LinkBase,
}

impl Source<'_> {
    /// 128-bit hash of rule, labels and the time of the transition, in hex. Evaluation times of a rule strictly increase, so that
    /// this is unique, also across restarts, and equal between replicas on the same grid. Fields are length-prefixed, so that no
    /// two inputs run together.
    fn key(&self, labels: &Labels, transition: UnixMs) -> String {
        let at = transition.0.to_le_bytes();
        let rule = [self.group, &self.rule.name, &self.rule.expr].map(str::as_bytes);
        let labels = labels.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
        let mut bytes = Vec::new();
        for field in rule.into_iter().chain(labels).chain([&at[..]]) {
            bytes.extend_from_slice(&(field.len() as u64).to_le_bytes());
            bytes.extend_from_slice(field);
        }
        format!("{:032x}", xxhash_rust::xxh3::xxh3_128(&bytes))
    }

    /// `believed_until`: see [`Notification::ends_at`].
    fn notification(&self, alert: &Alert, at: UnixMs, believed_until: UnixMs) -> Option<Notification> {
        let (status, starts_at, ends_at, transition) = match alert.phase {
            Phase::Inactive | Phase::Pending => return None,
            Phase::Firing { since, .. } => (Status::Firing, since, believed_until, since),
            Phase::Resolved { fired, at } => (Status::Resolved, fired, at, at),
        };
        Some(Notification {
            key: self.key(&alert.labels, transition),
            status,
            is_once: self.rule.is_once && matches!(status, Status::Firing),
            labels: alert.labels.clone(),
            annotations: alert.annotations.clone(),
            starts_at,
            ends_at,
            generator_url: link::generator_url(self.link, &alert.labels, &self.rule.expr),
            queued_at: at,
        })
    }
}

/// Hands alerts to all receivers. Clones share the outboxes.
#[derive(Clone)]
pub(crate) struct Notifier(Arc<[Arc<Delivery>]>);

impl Notifier {
    pub(crate) fn new(
        receivers: Vec<Receiver>,
        resend_delay: Duration,
        once: &Arc<dyn OnceLog>,
        clock: &Arc<dyn Clock>,
        metrics: &Metrics,
    ) -> Result<Self, TlsError> {
        let client = deliver::client()?;
        let delivery = |receiver| {
            let (once, clock) = (Arc::clone(once), Arc::clone(clock));
            Arc::new(Delivery::new(receiver, resend_delay, client.clone(), once, clock, metrics.clone()))
        };
        Ok(Self(receivers.into_iter().map(delivery).collect()))
    }

    /// Hands over what one evaluation of one rule brought: changes for webhooks, states for Alertmanagers. Never waits.
    pub(crate) fn offer(
        &self,
        source: &Source<'_>,
        changed: &[Alert],
        due: &[Alert],
        at: UnixMs,
        valid_for: Duration,
    ) {
        let notifications = |alerts: &[Alert], believed_until| -> Vec<Notification> {
            alerts.iter().filter_map(|alert| source.notification(alert, at, believed_until)).collect()
        };
        let (states, changes) =
            (notifications(due, at.plus(valid_for)), notifications(changed, UnixMs::NEVER));
        for delivery in self.0.iter() {
            let notifications = match delivery.receiver.kind {
                ReceiverKind::Alertmanager => &states,
                ReceiverKind::Webhook => &changes,
            };
            if !notifications.is_empty() {
                delivery.put(notifications.iter().cloned());
            }
        }
    }

    /// Delivers until `shutdown`, then gives each receiver a last chance to hear what waits for it.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut tasks = JoinSet::new();
        for delivery in self.0.iter() {
            tasks.spawn(Arc::clone(delivery).run(shutdown.clone()));
        }
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a delivery task ended abnormally; its receiver hears nothing until a restart");
            }
        }
    }
}
