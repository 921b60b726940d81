//! The alerting module's own metrics. Labels are bounded by the configuration: groups, receivers, fixed words.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Which rule group, as `file;name`, as Prometheus labels its own.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct GroupLabels {
    /// File and name joined by a semicolon.
    pub rule_group: String,
}

/// Which rule group and which state.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct AlertLabels {
    /// File and name joined by a semicolon.
    pub rule_group: String,
    /// `pending` or `firing`.
    pub state: String,
}

/// Which receiver.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ReceiverLabels {
    /// Its configured name.
    pub receiver: String,
}

/// Which receiver, and why a notification was given up.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct DropLabels {
    /// Its configured name.
    pub receiver: String,
    /// `overflow`, `expired`, `rejected` or `shutdown`.
    pub reason: String,
}

/// Handles to the metrics; clones share them.
#[derive(Clone, Debug, Default)]
pub struct AlertingMetrics {
    /// Rule evaluations, failed ones included.
    pub evaluations: Family<GroupLabels, Counter>,
    /// Rule evaluations that failed: query error, timeout, or a result no alert can be made of.
    pub evaluation_failures: Family<GroupLabels, Counter>,
    /// Grid points at which a group was not evaluated.
    pub iterations_missed: Family<GroupLabels, Counter>,
    /// How long the last evaluation of a group took.
    pub last_duration_seconds: Family<GroupLabels, Gauge<f64, AtomicU64>>,
    /// Alerts that are pending or firing.
    pub alerts: Family<AlertLabels, Gauge>,
    /// Notifications a receiver accepted.
    pub notifications_sent: Family<ReceiverLabels, Counter>,
    /// Delivery attempts that failed; each is tried again unless it is counted as dropped.
    pub delivery_failures: Family<ReceiverLabels, Counter>,
    /// Notifications given up.
    pub notifications_dropped: Family<DropLabels, Counter>,
    /// Notifications that wait.
    pub outbox_notifications: Family<ReceiverLabels, Gauge>,
}

impl AlertingMetrics {
    /// Creates the metrics and adds them to the registry under their full names.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "ledgerline_collector_rule_evaluations",
            "Rule evaluations, failed ones included",
            metrics.evaluations.clone(),
        );
        registry.register(
            "ledgerline_collector_rule_evaluation_failures",
            "Rule evaluations that failed; a failure resolves no alert",
            metrics.evaluation_failures.clone(),
        );
        registry.register(
            "ledgerline_collector_rule_group_iterations_missed",
            "Evaluation times at which a rule group was not evaluated",
            metrics.iterations_missed.clone(),
        );
        registry.register(
            "ledgerline_collector_rule_group_last_duration_seconds",
            "How long the last evaluation of a rule group took",
            metrics.last_duration_seconds.clone(),
        );
        registry.register(
            "ledgerline_collector_alerts",
            "Alerts by rule group and state",
            metrics.alerts.clone(),
        );
        registry.register(
            "ledgerline_collector_notifications_sent",
            "Alert notifications that a receiver accepted",
            metrics.notifications_sent.clone(),
        );
        registry.register(
            "ledgerline_collector_notification_delivery_failures",
            "Attempts to deliver alert notifications that failed and are repeated",
            metrics.delivery_failures.clone(),
        );
        registry.register(
            "ledgerline_collector_notifications_dropped",
            "Alert notifications given up, by reason",
            metrics.notifications_dropped.clone(),
        );
        registry.register(
            "ledgerline_collector_outbox_notifications",
            "Alert notifications that wait for delivery",
            metrics.outbox_notifications.clone(),
        );
        metrics
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_exported_under_their_full_names() {
        let mut registry = Registry::default();
        let metrics = AlertingMetrics::register(&mut registry);
        let group = GroupLabels { rule_group: "f;g".to_owned() };
        let receiver = ReceiverLabels { receiver: "am".to_owned() };
        metrics.evaluations.get_or_create(&group).inc();
        metrics.evaluation_failures.get_or_create(&group).inc();
        metrics.iterations_missed.get_or_create(&group).inc_by(3);
        metrics.last_duration_seconds.get_or_create(&group).set(0.5);
        let state = AlertLabels { rule_group: "f;g".to_owned(), state: "firing".to_owned() };
        metrics.alerts.get_or_create(&state).set(2);
        metrics.notifications_sent.get_or_create(&receiver).inc();
        metrics.delivery_failures.get_or_create(&receiver).inc();
        let dropped = DropLabels { receiver: "am".to_owned(), reason: "overflow".to_owned() };
        metrics.notifications_dropped.get_or_create(&dropped).inc();
        metrics.outbox_notifications.get_or_create(&receiver).set(7);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "ledgerline_collector_rule_evaluations_total{rule_group=\"f;g\"} 1",
            "ledgerline_collector_rule_evaluation_failures_total{rule_group=\"f;g\"} 1",
            "ledgerline_collector_rule_group_iterations_missed_total{rule_group=\"f;g\"} 3",
            "ledgerline_collector_rule_group_last_duration_seconds{rule_group=\"f;g\"} 0.5",
            "ledgerline_collector_alerts{rule_group=\"f;g\",state=\"firing\"} 2",
            "ledgerline_collector_notifications_sent_total{receiver=\"am\"} 1",
            "ledgerline_collector_notification_delivery_failures_total{receiver=\"am\"} 1",
            "ledgerline_collector_notifications_dropped_total{receiver=\"am\",reason=\"overflow\"} 1",
            "ledgerline_collector_outbox_notifications{receiver=\"am\"} 7",
        ] {
            assert!(text.lines().any(|got| got == line), "{line} is not in\n{text}");
        }
    }
}
