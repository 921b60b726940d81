//! Every metric of the collector but those of the store, which declares its own. A test keeps `metrics.txt` in step, so that a
//! rename is seen.
//!
//! Spans balance: received = stored + quarantined + unacknowledged + waiting, at every moment a request is not between two
//! of them. An unacknowledged span is the sender's to repeat, and is then received again.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeMetric;
use prometheus_client::metrics::TypedMetric;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry, Unit};

use ledgerline_pricing::UnpricedReason;
use ledgerline_process::serve::ConnectionCounters;
use ledgerline_store::metrics::StoreMetrics;
use ledgerline_store::quarantine;

use crate::ingest::dimensions::CAPPED;
use crate::ingest::normalise::TimeCorrection;
use crate::ingest::refusal::Refusal;

/// Metrics told apart by labels, whose values are words of ours or bounded by the configuration. Clones count together.
#[derive(Clone, Debug)]
pub struct Labelled<M = Counter, const N: usize = 1> {
    names: [&'static str; N],
    family: Family<[(&'static str, Cow<'static, str>); N], M>,
}

impl<M: Clone + Default, const N: usize> Labelled<M, N> {
    /// The metric with these values of its labels.
    pub fn of(&self, values: [impl Into<Cow<'static, str>>; N]) -> M {
        let mut values = values.into_iter().map(Into::into);
        let labels = self.names.map(|name| (name, values.next().unwrap_or_default()));
        self.family.get_or_create(&labels).clone()
    }
}

impl<M: Clone + Default> Labelled<M> {
    /// A series that appears with its first event has no increase over it: all known ones start at zero.
    pub(crate) fn at_zero(self, values: impl IntoIterator<Item = &'static str>) -> Self {
        values.into_iter().for_each(|value| drop(self.of([value])));
        self
    }
}

/// The metrics, each explained by the text it is registered with. All clones count together.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the registered texts say it")]
pub struct Metrics {
    pub store: StoreMetrics,
    pub connections: Labelled<Gauge>,
    pub accept_errors: Labelled,
    pub silent_connections_closed: Labelled,
    pub requests: Labelled,
    pub refused: Labelled,
    pub received: Counter,
    pub stored: Counter,
    pub quarantined: Labelled,
    pub unacknowledged: Counter,
    pub waiting: Gauge,
    pub attributes_dropped: Labelled,
    pub dimension_overflows: Labelled,
    pub times_corrected: Labelled,
    pub unpriced: Labelled,
    pub request_seconds: Histogram,
    pub query: QueryMetrics,
    pub alerting: AlertingMetrics,
}

/// How queries ended and how long they took.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the registered texts say it")]
pub struct QueryMetrics {
    pub ended: Labelled,
    pub seconds: Histogram,
}

/// What rules and receivers did. Groups are `file;name`, as Prometheus labels its own.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the registered texts say it")]
pub struct AlertingMetrics {
    pub evaluations: Labelled,
    pub evaluation_failures: Labelled,
    pub iterations_missed: Labelled,
    pub last_duration_seconds: Labelled<Gauge<f64, AtomicU64>>,
    pub alerts: Labelled<Gauge, 2>,
    pub notifications_sent: Labelled,
    pub delivery_failures: Labelled,
    pub notifications_dropped: Labelled<Counter, 2>,
    pub outbox_notifications: Labelled<Gauge>,
}

/// Registers a metric without labels.
fn plain<M: Metric + Clone + Default>(to: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    to.register(name, help, metric.clone());
    metric
}

/// Registers a metric with these labels.
fn labelled<M, const N: usize>(
    to: &mut Registry,
    names: [&'static str; N],
    name: &str,
    help: &str,
) -> Labelled<M, N>
where
    M: EncodeMetric + TypedMetric + Clone + Default + Send + Sync + Debug + 'static,
{
    let family = Family::default();
    to.register(name, help, family.clone());
    Labelled { names, family }
}

/// Registers a distribution of times, from a millisecond to half a minute.
fn seconds(to: &mut Registry, name: &str, help: &str) -> Histogram {
    let histogram = Histogram::new(exponential_buckets(0.001, 2.0, 16));
    to.register_with_unit(name, help, Unit::Seconds, histogram.clone());
    histogram
}

impl Metrics {
    /// The metrics, registered.
    pub fn register(registry: &mut Registry) -> Self {
        let to = registry.sub_registry_with_prefix("ledgerline_collector");
        let unpriced =
            [UnpricedReason::UsageMissing, UnpricedReason::UnknownModel, UnpricedReason::UnknownProvider];
        Self {
            store: StoreMetrics::register(to),
            connections: labelled(to, ["port"], "connections", "Connections now open, by port"),
            accept_errors: labelled(
                to,
                ["port"],
                "accept_errors",
                "Connections the operating system would not hand over, by port",
            ),
            silent_connections_closed: labelled(
                to,
                ["port"],
                "silent_connections_closed",
                "Connections closed before their first request, by port: it did not come in time, or others needed their place",
            ),
            requests: labelled(to, ["protocol"], "requests", "Requests that reached a telemetry port")
                .at_zero(["grpc", "http"]),
            refused: labelled(to, ["reason"], "requests_refused", "Requests not acknowledged")
                .at_zero(Refusal::NAMES),
            received: plain(to, "spans_received", "Spans decoded"),
            stored: plain(to, "spans_stored", "Spans acknowledged and in the table"),
            quarantined: labelled(
                to,
                ["reason"],
                "spans_quarantined",
                "Spans acknowledged and in the quarantine",
            )
            .at_zero(quarantine::Reason::ALL.map(quarantine::Reason::name)),
            unacknowledged: plain(
                to,
                "spans_unacknowledged",
                "Spans decoded and not acknowledged; their sender repeats them",
            ),
            waiting: plain(to, "spans_waiting", "Spans between decoding and the answer"),
            attributes_dropped: labelled(
                to,
                ["name"],
                "attributes_dropped",
                "Attributes not kept because neither the allow-list nor ingest.attributes.keep names them",
            ),
            dimension_overflows: labelled(
                to,
                ["dimension"],
                "dimension_overflows",
                "Calls counted as other, because their dimension has as many values as ingest.dimension_values_max allows",
            )
            .at_zero(CAPPED.map(|dimension| dimension.name())),
            times_corrected: labelled(
                to,
                ["reason"],
                "spans_time_corrected",
                "Spans counted at their receipt or without a duration, because their times cannot be",
            )
            .at_zero(TimeCorrection::ALL.map(TimeCorrection::name)),
            unpriced: labelled(to, ["reason"], "calls_unpriced", "Calls stored without a cost")
                .at_zero(unpriced.map(|reason| reason.name())),
            request_seconds: seconds(to, "request", "From a request's head to its answer"),
            query: QueryMetrics::register(to),
            alerting: AlertingMetrics::register(to),
        }
    }

    /// What is counted of this port: `grpc`, `http` or `api`.
    pub(crate) fn connections(&self, port: &'static str) -> ConnectionCounters {
        ConnectionCounters {
            open: self.connections.of([port]),
            accept_errors: self.accept_errors.of([port]),
            silent_closed: self.silent_connections_closed.of([port]),
        }
    }
}

impl QueryMetrics {
    pub(crate) fn register(to: &mut Registry) -> Self {
        let ended =
            labelled(to, ["outcome"], "queries", "PromQL queries of dashboards and rules, by outcome");
        Self { ended, seconds: seconds(to, "query", "From a query's arrival to its end") }
    }
}

impl AlertingMetrics {
    fn register(to: &mut Registry) -> Self {
        let (group, receiver) = ("rule_group", "receiver");
        Self {
            evaluations: labelled(to, [group], "rule_evaluations", "Rule evaluations, failed ones included"),
            evaluation_failures: labelled(
                to,
                [group],
                "rule_evaluation_failures",
                "Rule evaluations that failed; a failure resolves no alert",
            ),
            iterations_missed: labelled(
                to,
                [group],
                "rule_group_iterations_missed",
                "Evaluation times at which a rule group was not evaluated",
            ),
            last_duration_seconds: labelled(
                to,
                [group],
                "rule_group_last_duration_seconds",
                "How long the last evaluation of a rule group took",
            ),
            alerts: labelled(to, [group, "state"], "alerts", "Alerts by rule group and state"),
            notifications_sent: labelled(
                to,
                [receiver],
                "notifications_sent",
                "Alert notifications that a receiver accepted",
            ),
            delivery_failures: labelled(
                to,
                [receiver],
                "notification_delivery_failures",
                "Attempts to deliver alert notifications that failed and are repeated",
            ),
            notifications_dropped: labelled(
                to,
                [receiver, "reason"],
                "notifications_dropped",
                "Alert notifications given up, by reason",
            ),
            outbox_notifications: labelled(
                to,
                [receiver],
                "outbox_notifications",
                "Alert notifications that wait for delivery",
            ),
        }
    }
}

impl Default for AlertingMetrics {
    fn default() -> Self {
        Self::register(&mut Registry::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The committed list. `LEDGERLINE_UPDATE=1` writes it anew.
    #[test]
    fn the_list_of_metrics_is_the_committed_one() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let alerting = &metrics.alerting;
        // A family without a series has no line, and these have none until something happens.
        drop(metrics.connections("grpc"));
        drop(metrics.query.ended.of(["ok"]));
        for counter in [
            &metrics.attributes_dropped,
            &alerting.evaluations,
            &alerting.evaluation_failures,
            &alerting.iterations_missed,
            &alerting.notifications_sent,
            &alerting.delivery_failures,
        ] {
            drop(counter.of(["x"]));
        }
        drop(alerting.last_duration_seconds.of(["x"]));
        drop(alerting.outbox_notifications.of(["x"]));
        alerting.alerts.of(["f;g", "firing"]).set(2);
        alerting.notifications_dropped.of(["am", "overflow"]).inc();
        let list = ledgerline_process::admin::describe(&registry).unwrap();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/metrics.txt");
        if std::env::var_os("LEDGERLINE_UPDATE").is_some() {
            std::fs::write(path, &list).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(list, committed, "run the test with LEDGERLINE_UPDATE=1 and commit metrics.txt");

        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "ledgerline_collector_alerts{rule_group=\"f;g\",state=\"firing\"} 2",
            "ledgerline_collector_notifications_dropped_total{receiver=\"am\",reason=\"overflow\"} 1",
            "ledgerline_collector_requests_total{protocol=\"grpc\"} 0",
        ] {
            assert!(text.lines().any(|got| got == line), "{line} is not in\n{text}");
        }
    }
}
