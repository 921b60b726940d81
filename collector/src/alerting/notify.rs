//! From alerts to receivers: each receiver has a bounded outbox and one task that empties it. Handing over never waits, so a
//! dead receiver can delay neither an evaluation nor another receiver.
//!
//! An Alertmanager is told states: its outbox keeps only the newest state of each alert. A webhook is told transitions: its
//! outbox keeps every one, in order, each with a stable key. Both deliver at least once while this process lives.

mod alertmanager;
mod deliver;
pub(crate) mod http;
pub(crate) mod link;
mod outbox;
mod webhook;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ledgerline_process::clock::Clock;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::alerting::config::{Receiver, ReceiverKind};
use crate::alerting::metrics::{AlertingMetrics, DropLabels, ReceiverLabels};
use crate::alerting::sample::Labels;
use crate::alerting::state::{Alert, Phase, Transition, TransitionKind};
use crate::alerting::time::UnixMs;

pub(crate) use deliver::Delivery;
use http::Client;
use outbox::{Keep, Outbox};

/// Something to tell a receiver.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Notification {
    /// Stable across retries, restarts and replicas; see [`Source::key`].
    pub(crate) key: String,
    pub(crate) status: Status,
    pub(crate) labels: Labels,
    pub(crate) annotations: Labels,
    /// When the alert began to fire.
    pub(crate) starts_at: UnixMs,
    /// When it ended; for an Alertmanager, while firing, until when it may be believed without hearing of it again.
    pub(crate) ends_at: Option<UnixMs>,
    pub(crate) generator_url: String,
    pub(crate) queued_at: UnixMs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Firing,
    Resolved,
}

impl Status {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// The rule a notification comes from.
#[derive(Clone, Debug)]
pub(crate) struct Source<'a> {
    pub(crate) group: &'a str,
    pub(crate) rule: &'a str,
    pub(crate) expr: &'a str,
    pub(crate) generator_url: &'a str,
}

impl Source<'_> {
    /// 128-bit hash of rule, labels and transition number, in hex. Fields are length-prefixed, so that no two inputs run together.
    fn key(&self, labels: &Labels, transition: UnixMs) -> String {
        let mut bytes = Vec::new();
        let mut field = |text: &[u8]| {
            bytes.extend_from_slice(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes());
            bytes.extend_from_slice(text);
        };
        for text in [self.group, self.rule, self.expr] {
            field(text.as_bytes());
        }
        for (name, value) in labels {
            field(name.as_bytes());
            field(value.as_bytes());
        }
        field(&transition.0.to_le_bytes());
        format!("{:032x}", xxhash_rust::xxh3::xxh3_128(&bytes))
    }

    fn notification(&self, alert: &Alert, at: UnixMs, valid_for: Option<Duration>) -> Option<Notification> {
        let (status, starts_at, ends_at, transition) = match alert.phase {
            Phase::Pending => return None,
            Phase::Firing { since, .. } => {
                (Status::Firing, since, valid_for.map(|duration| at.plus(duration)), since)
            }
            Phase::Resolved { fired, at } => (Status::Resolved, fired, Some(at), at),
        };
        Some(Notification {
            key: self.key(&alert.labels, transition),
            status,
            labels: alert.labels.clone(),
            annotations: alert.annotations.clone(),
            starts_at,
            ends_at,
            generator_url: self.generator_url.to_owned(),
            queued_at: at,
        })
    }
}

/// The outbox of one receiver and the notification that wakes its task.
pub(crate) struct Mailbox {
    name: String,
    kind: ReceiverKind,
    outbox: Mutex<Outbox>,
    notify: Notify,
    metrics: AlertingMetrics,
}

impl Mailbox {
    fn put(&self, notifications: impl IntoIterator<Item = Notification>) {
        let (dropped, waiting) = {
            let mut outbox = self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
            let dropped: u64 = notifications.into_iter().map(|notification| outbox.put(notification)).sum();
            (dropped, outbox.len())
        };
        self.count_dropped("overflow", dropped);
        self.show_waiting(waiting);
        self.notify.notify_one();
    }

    fn count_dropped(&self, reason: &str, count: u64) {
        if count > 0 {
            let labels = DropLabels { receiver: self.name.clone(), reason: reason.to_owned() };
            self.metrics.notifications_dropped.get_or_create(&labels).inc_by(count);
        }
    }

    fn show_waiting(&self, waiting: usize) {
        let waiting = i64::try_from(waiting).unwrap_or(i64::MAX);
        self.metrics.outbox_notifications.get_or_create(&self.labels()).set(waiting);
    }

    fn labels(&self) -> ReceiverLabels {
        ReceiverLabels { receiver: self.name.clone() }
    }
}

/// Hands alerts to all receivers. Clones share the outboxes.
#[derive(Clone)]
pub(crate) struct Notifier {
    mailboxes: Arc<[Arc<Mailbox>]>,
}

impl Notifier {
    /// The notifier and one delivery for each receiver, to be run by [`run`].
    pub(crate) fn new(
        receivers: Vec<Receiver>,
        resend_delay: Duration,
        client: &Client,
        clock: &Arc<dyn Clock>,
        metrics: &AlertingMetrics,
    ) -> (Self, Vec<Delivery>) {
        let mut mailboxes = Vec::new();
        let mut deliveries = Vec::new();
        for receiver in receivers {
            let keep = match receiver.kind {
                ReceiverKind::Alertmanager => Keep::NewestPerAlert,
                ReceiverKind::Webhook => Keep::Every,
            };
            let mailbox = Arc::new(Mailbox {
                name: receiver.name.clone(),
                kind: receiver.kind,
                outbox: Mutex::new(Outbox::new(keep)),
                notify: Notify::new(),
                metrics: metrics.clone(),
            });
            mailbox.show_waiting(0);
            mailboxes.push(mailbox.clone());
            deliveries.push(Delivery::new(receiver, resend_delay, mailbox, client.clone(), clock.clone()));
        }
        (Self { mailboxes: mailboxes.into() }, deliveries)
    }

    /// Hands over what one evaluation of one rule brought: transitions for webhooks, states for Alertmanagers. Never waits.
    pub(crate) fn offer(
        &self,
        source: &Source<'_>,
        transitions: &[Transition],
        due: &[Alert],
        at: UnixMs,
        valid_for: Duration,
    ) {
        let states: Vec<Notification> =
            due.iter().filter_map(|alert| source.notification(alert, at, Some(valid_for))).collect();
        let changes: Vec<Notification> = transitions
            .iter()
            .filter(|transition| matches!(transition.kind, TransitionKind::Firing | TransitionKind::Resolved))
            .filter_map(|transition| source.notification(&transition.alert, at, None))
            .collect();
        for mailbox in self.mailboxes.iter() {
            let notifications = match mailbox.kind {
                ReceiverKind::Alertmanager => &states,
                ReceiverKind::Webhook => &changes,
            };
            if !notifications.is_empty() {
                mailbox.put(notifications.iter().cloned());
            }
        }
    }
}

/// Runs every delivery until `shutdown`, then gives each a last chance to empty its outbox.
pub(crate) async fn run(deliveries: Vec<Delivery>, shutdown: CancellationToken) {
    let mut tasks = JoinSet::new();
    for delivery in deliveries {
        tasks.spawn(delivery.run(shutdown.clone()));
    }
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a delivery task ended abnormally; its receiver hears nothing until a restart");
        }
    }
}
