//! The task of one receiver: takes from its outbox, sends, and removes only what was accepted.
//!
//! Only answers that blame the request itself (400, 413, 422) end a notification, after the batch was split down to find the one
//! at fault. Everything else, a wrong path or an expired password included, can be repaired by a person while we keep trying.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Full;
use ledgerline_process::backoff::Backoff;
use ledgerline_process::clock::Clock;
use tokio_util::sync::CancellationToken;

use crate::alerting::config::{Receiver, ReceiverKind};
use crate::alerting::limits::{
    ALERTS_PER_REQUEST_MAX, BACKOFF_MAX, BACKOFF_MIN, DRAIN_DEADLINE, NOTIFICATION_AGE_MAX,
};
use crate::alerting::time::UnixMs;

use super::http::Client;
use super::outbox::Ticket;
use super::{Mailbox, Notification, alertmanager, webhook};

/// One receiver, ready to run.
pub(crate) struct Delivery {
    mailbox: Arc<Mailbox>,
    client: Client,
    clock: Arc<dyn Clock>,
    receiver: Receiver,
    backoff_max: Duration,
}

enum Outcome {
    Delivered,
    /// The receiver will never take this request.
    Rejected(String),
    /// Worth another try.
    Failed(String),
}

impl Delivery {
    pub(super) fn new(
        receiver: Receiver,
        resend_delay: Duration,
        mailbox: Arc<Mailbox>,
        client: Client,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let backoff_max = match receiver.kind {
            // A firing alert that an Alertmanager does not hear of for 4 resend delays resolves there, so it gets at least
            // one attempt per resend delay however long it has been away.
            ReceiverKind::Alertmanager => BACKOFF_MAX.min(resend_delay).max(BACKOFF_MIN),
            ReceiverKind::Webhook => BACKOFF_MAX,
        };
        Self { mailbox, client, clock, receiver, backoff_max }
    }

    /// Delivers until `shutdown`, then tries for [`DRAIN_DEADLINE`] to deliver what is left. A request that `shutdown` cuts off
    /// is sent again, with the same key.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.deliver() => {}
        }
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
        let left = self.mailbox.outbox.lock().unwrap_or_else(PoisonError::into_inner).len();
        if left > 0 {
            self.mailbox.count_dropped("shutdown", u64::try_from(left).unwrap_or(u64::MAX));
            tracing::warn!(
                receiver = self.mailbox.name,
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
                self.mailbox.notify.notified().await;
            } else if self.attempt(&batch, &mut batch_size).await.is_ok() {
                backoff.reset();
            } else {
                tokio::time::sleep(backoff.pause()).await;
            }
        }
    }

    fn batch_size_max(&self) -> usize {
        match self.mailbox.kind {
            ReceiverKind::Alertmanager => ALERTS_PER_REQUEST_MAX,
            ReceiverKind::Webhook => 1,
        }
    }

    fn next_batch(&self, count: usize) -> Vec<(Ticket, Notification)> {
        let now = UnixMs::from_unix_ns(self.clock.now_unix_ns());
        let (expired, batch) = {
            let mut outbox = self.mailbox.outbox.lock().unwrap_or_else(PoisonError::into_inner);
            (outbox.expire(now, NOTIFICATION_AGE_MAX), outbox.peek(count))
        };
        self.mailbox.count_dropped("expired", expired);
        batch
    }

    /// Sends one batch once. `Err` asks for a pause before the next attempt.
    async fn attempt(&self, batch: &[(Ticket, Notification)], batch_size: &mut usize) -> Result<(), ()> {
        let metrics = &self.mailbox.metrics;
        let receiver = &self.mailbox.name;
        match self.send(batch).await {
            Outcome::Delivered => {
                self.remove(batch);
                let sent = u64::try_from(batch.len()).unwrap_or(u64::MAX);
                metrics.notifications_sent.get_or_create(&self.mailbox.labels()).inc_by(sent);
                *batch_size = batch_size.saturating_mul(2).min(self.batch_size_max());
                Ok(())
            }
            Outcome::Rejected(answer) if batch.len() == 1 => {
                metrics.delivery_failures.get_or_create(&self.mailbox.labels()).inc();
                self.remove(batch);
                self.mailbox.count_dropped("rejected", 1);
                let key = batch.first().map(|(_, notification)| notification.key.as_str());
                tracing::error!(
                    receiver,
                    key,
                    answer,
                    "receiver refused a notification for good; it is dropped"
                );
                Ok(())
            }
            Outcome::Rejected(answer) => {
                metrics.delivery_failures.get_or_create(&self.mailbox.labels()).inc();
                tracing::warn!(
                    receiver,
                    answer,
                    "receiver refused a batch; sending it in halves to find the cause"
                );
                *batch_size = batch.len() / 2;
                Ok(())
            }
            Outcome::Failed(reason) => {
                metrics.delivery_failures.get_or_create(&self.mailbox.labels()).inc();
                tracing::warn!(receiver, reason, "delivery failed and will be repeated");
                Err(())
            }
        }
    }

    fn remove(&self, batch: &[(Ticket, Notification)]) {
        let waiting = {
            let mut outbox = self.mailbox.outbox.lock().unwrap_or_else(PoisonError::into_inner);
            outbox.remove(batch.iter().map(|(ticket, _)| *ticket));
            outbox.len()
        };
        self.mailbox.show_waiting(waiting);
    }

    async fn send(&self, batch: &[(Ticket, Notification)]) -> Outcome {
        let request = match self.request(batch) {
            Ok(request) => request,
            Err(error) => return Outcome::Rejected(error),
        };
        match self.client.send(request, self.receiver.timeout).await {
            Ok(answer) if answer.status.is_success() => Outcome::Delivered,
            Ok(answer) => {
                let text = format!("{}: {}", answer.status, answer.excerpt);
                match answer.status {
                    StatusCode::BAD_REQUEST
                    | StatusCode::PAYLOAD_TOO_LARGE
                    | StatusCode::UNPROCESSABLE_ENTITY => Outcome::Rejected(text),
                    _ => Outcome::Failed(text),
                }
            }
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    fn request(&self, batch: &[(Ticket, Notification)]) -> Result<Request<Full<Bytes>>, String> {
        let mut request =
            Request::post(self.receiver.uri.clone()).header(header::CONTENT_TYPE, "application/json");
        if let Some(authorization) = &self.receiver.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let body = match (self.mailbox.kind, batch.first()) {
            (ReceiverKind::Webhook, Some((_, notification))) => {
                request = request.header("Idempotency-Key", notification.key.as_str());
                webhook::body(&self.mailbox.name, notification)
            }
            _ => alertmanager::body(batch.iter().map(|(_, notification)| notification)),
        };
        let body = body.map_err(|error| error.to_string())?;
        request.body(Full::new(Bytes::from(body))).map_err(|error| error.to_string())
    }
}
