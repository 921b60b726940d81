//! The task of one receiver: takes from its outbox, sends, and removes only what was accepted.
//!
//! Only answers that blame the request itself (400, 413, 422) end a notification, after the batch was split down to find the one
//! at fault. Everything else, a wrong path or an expired password included, can be repaired by a person while we keep trying.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use ledgerline_process::backoff::Backoff;
use ledgerline_process::clock::Clock;
use ledgerline_process::connect::{Connector, Offer, connector};
use ledgerline_process::error;
use ledgerline_process::tls::{Roots, TlsError, client_config};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::alerting::config::{Receiver, ReceiverKind};
use crate::alerting::once::OnceLog;
use crate::alerting::time::UnixMs;
use crate::limits::{
    ALERTS_PER_REQUEST_MAX, BACKOFF_MAX, BACKOFF_MIN, CONNECT_WAIT, DRAIN_DEADLINE, NOTIFICATION_AGE_MAX,
    OUTBOX_NOTIFICATIONS_MAX, RESPONSE_BYTES_MAX,
};
use crate::metrics::Metrics;

use super::outbox::{Outbox, Ticket};
use super::{Notification, webhook};

/// Idle connections are closed before the usual server side limits of 60 s and more.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// Cheap to clone; clones share connections.
pub(super) type Client = legacy::Client<Connector, Full<Bytes>>;

/// Trusts the machine's certificate store, so that a company's own authority works, else Mozilla's.
pub(super) fn client() -> Result<Client, TlsError> {
    let connector = connector(client_config(Roots::Native, None)?, Offer::Both, CONNECT_WAIT);
    let mut builder = legacy::Client::builder(TokioExecutor::new());
    Ok(builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE_MAX).build(connector))
}

/// One receiver with what waits for it.
pub(super) struct Delivery {
    pub(super) receiver: Receiver,
    pub(super) metrics: Metrics,
    client: Client,
    once: Arc<dyn OnceLog>,
    clock: Arc<dyn Clock>,
    outbox: Mutex<Outbox>,
    /// Wakes the task.
    notify: Notify,
    backoff_max: Duration,
}

enum Failure {
    /// The receiver will never take this request.
    Rejected(String),
    /// Worth another try.
    Transient(String),
}

impl Delivery {
    pub(super) fn new(
        receiver: Receiver,
        resend_delay: Duration,
        client: Client,
        once: Arc<dyn OnceLog>,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
    ) -> Self {
        let backoff_max = match receiver.kind {
            // A firing alert that an Alertmanager does not hear of for 4 resend delays resolves there, so it gets at least
            // one attempt per resend delay however long it has been away.
            ReceiverKind::Alertmanager => BACKOFF_MAX.min(resend_delay).max(BACKOFF_MIN),
            ReceiverKind::Webhook => BACKOFF_MAX,
        };
        let outbox = Mutex::new(Outbox::new(receiver.kind, OUTBOX_NOTIFICATIONS_MAX));
        let notify = Notify::new();
        let delivery = Self { receiver, metrics, client, once, clock, outbox, notify, backoff_max };
        delivery.show_waiting(0);
        delivery
    }

    /// Hands over. Never waits.
    pub(super) fn put(&self, notifications: impl IntoIterator<Item = Notification>) {
        let (dropped, waiting) = {
            let news = notifications.into_iter().filter(|notification| !self.has_heard(notification));
            let mut outbox = self.outbox();
            let dropped: u64 = news.map(|notification| outbox.put(notification)).sum();
            (dropped, outbox.len())
        };
        self.count_dropped("overflow", dropped);
        self.show_waiting(waiting);
        self.notify.notify_one();
    }

    fn has_heard(&self, notification: &Notification) -> bool {
        self.receiver.kind == ReceiverKind::Webhook
            && notification.is_once
            && self.once.is_told(&self.receiver.name, &notification.labels)
    }

    /// Where that fails, or the process ends before, the next one tells it again with the same key.
    async fn note_heard(&self, batch: &[(Ticket, Notification)]) {
        let is_webhook = self.receiver.kind == ReceiverKind::Webhook;
        let once = batch.iter().map(|(_, notification)| notification);
        let at = UnixMs::from_unix_ns(self.clock.now_unix_ns());
        for Notification { labels, .. } in once.filter(|one| is_webhook && one.is_once) {
            if let Err(reason) = self.once.told(&self.receiver.name, labels, at).await {
                tracing::warn!(
                    receiver = self.receiver.name,
                    reason,
                    "a delivery could not be noted; after a restart it may be repeated"
                );
            }
        }
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name(&self) -> String {
        self.receiver.name.clone()
    }

    fn count_dropped(&self, reason: &str, count: u64) {
        if count > 0 {
            self.metrics.notifications_dropped.of([self.name(), reason.to_owned()]).inc_by(count);
        }
    }

    fn show_waiting(&self, waiting: usize) {
        let waiting = i64::try_from(waiting).unwrap_or(i64::MAX);
        self.metrics.outbox_notifications.of([self.name()]).set(waiting);
    }

    /// Delivers until `shutdown`, then tries for [`DRAIN_DEADLINE`] to deliver what is left. A request that `shutdown` cuts off
    /// is sent again, with the same key.
    pub(super) async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        shutdown.run_until_cancelled(self.deliver()).await;
        // A receiver that fails now gets no second chance: the process wants to end.
        let mut batch_size = self.batch_size_max();
        let emptying = async {
            loop {
                let batch = self.next_batch(batch_size);
                if batch.is_empty() || self.attempt(&batch, &mut batch_size).await.is_err() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(DRAIN_DEADLINE, emptying).await;
        let left = self.outbox().len();
        if left > 0 {
            self.count_dropped("shutdown", left as u64);
            tracing::warn!(
                receiver = self.receiver.name,
                left,
                "notifications were not delivered before shutdown"
            );
        }
    }

    /// Never returns. Safe to drop anywhere: a notification leaves the outbox only after it was accepted.
    async fn deliver(&self) {
        let mut backoff = Backoff::new(BACKOFF_MIN, self.backoff_max);
        let mut batch_size = self.batch_size_max();
        loop {
            // `Notify` keeps one permit, so news that comes between the look and the wait is not missed.
            let batch = self.next_batch(batch_size);
            if batch.is_empty() {
                self.notify.notified().await;
            } else if self.attempt(&batch, &mut batch_size).await.is_ok() {
                backoff.reset();
            } else {
                tokio::time::sleep(backoff.pause()).await;
            }
        }
    }

    fn batch_size_max(&self) -> usize {
        match self.receiver.kind {
            ReceiverKind::Alertmanager => ALERTS_PER_REQUEST_MAX,
            ReceiverKind::Webhook => 1,
        }
    }

    fn next_batch(&self, count: usize) -> Vec<(Ticket, Notification)> {
        let now = UnixMs::from_unix_ns(self.clock.now_unix_ns());
        let (expired, batch) = {
            let mut outbox = self.outbox();
            (outbox.expire(now, NOTIFICATION_AGE_MAX), outbox.peek(count))
        };
        self.count_dropped("expired", expired);
        batch
    }

    /// Sends one batch once. `Err` asks for a pause before the next attempt.
    async fn attempt(&self, batch: &[(Ticket, Notification)], batch_size: &mut usize) -> Result<(), ()> {
        let receiver = &self.receiver.name;
        let sent = self.send(batch).await;
        let is_failing = matches!(sent, Err(Failure::Transient(_)));
        self.metrics.delivery_failing.of([self.name()]).set(i64::from(is_failing));
        let Err(failure) = sent else {
            self.note_heard(batch).await;
            self.remove(batch);
            self.metrics.notifications_sent.of([self.name()]).inc_by(batch.len() as u64);
            *batch_size = batch_size.saturating_mul(2).min(self.batch_size_max());
            return Ok(());
        };
        self.metrics.delivery_failures.of([self.name()]).inc();
        match failure {
            Failure::Transient(reason) => {
                tracing::warn!(receiver, reason, "delivery failed and will be repeated");
                return Err(());
            }
            Failure::Rejected(answer) if batch.len() > 1 => {
                tracing::warn!(
                    receiver,
                    answer,
                    "receiver refused a batch; sending it in halves to find the cause"
                );
                *batch_size = batch.len() / 2;
            }
            Failure::Rejected(answer) => {
                self.remove(batch);
                self.count_dropped("rejected", 1);
                let key = batch.first().map(|(_, notification)| notification.key.as_str());
                tracing::error!(
                    receiver,
                    key,
                    answer,
                    "receiver refused a notification for good; it is dropped"
                );
            }
        }
        Ok(())
    }

    fn remove(&self, batch: &[(Ticket, Notification)]) {
        let waiting = {
            let mut outbox = self.outbox();
            outbox.remove(batch.iter().map(|(ticket, _)| *ticket));
            outbox.len()
        };
        self.show_waiting(waiting);
    }

    /// Safe to drop at any point: the request may or may not have arrived, which is what at-least-once delivery expects.
    async fn send(&self, batch: &[(Ticket, Notification)]) -> Result<(), Failure> {
        let request = self.request(batch).map_err(Failure::Rejected)?;
        let timeout = self.receiver.timeout;
        let exchange = async {
            let answer = self.client.request(request).await;
            let answer = answer
                .map_err(|error| Failure::Transient(format!("cannot reach it: {}", error::text(&error))))?;
            let status = answer.status();
            // A body that is too long or breaks off does not change the verdict of the status line.
            let body = Limited::new(answer.into_body(), RESPONSE_BYTES_MAX).collect().await;
            let bytes = body.map(Collected::to_bytes).unwrap_or_default();
            let excerpt: String = String::from_utf8_lossy(&bytes).chars().take(200).collect();
            let text = format!("{status}: {excerpt}");
            match status {
                _ if status.is_success() => Ok(()),
                StatusCode::BAD_REQUEST
                | StatusCode::PAYLOAD_TOO_LARGE
                | StatusCode::UNPROCESSABLE_ENTITY => Err(Failure::Rejected(text)),
                _ => Err(Failure::Transient(text)),
            }
        };
        let late = |_| Err(Failure::Transient(format!("no answer within {} ms", timeout.as_millis())));
        tokio::time::timeout(timeout, exchange).await.unwrap_or_else(late)
    }

    fn request(&self, batch: &[(Ticket, Notification)]) -> Result<Request<Full<Bytes>>, String> {
        let mut request =
            Request::post(self.receiver.uri.clone()).header(header::CONTENT_TYPE, "application/json");
        if let Some(authorization) = &self.receiver.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let body = match (self.receiver.kind, batch.first()) {
            (ReceiverKind::Webhook, Some((_, notification))) => {
                request = request.header("Idempotency-Key", notification.key.as_str());
                webhook::body(&self.receiver.name, notification)
            }
            _ => batch.iter().map(|(_, notification)| serde_json::json!(notification)).collect(),
        };
        request.body(Full::new(body.to_string().into())).map_err(|error| error.to_string())
    }
}
