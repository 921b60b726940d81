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
    pub queries: Labelled,
    pub query_seconds: Histogram,
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

/// Names and explanations.
const HELP: [(&str, &str); 26] = [
    ("connections", "Connections now open, by port"),
    ("accept_errors", "Connections the operating system would not hand over, by port"),
    (
        "silent_connections_closed",
        "Connections closed before their first request, by port: it did not come in time, or others needed their place",
    ),
    ("requests", "Requests that reached a telemetry port"),
    ("requests_refused", "Requests not acknowledged"),
    ("spans_received", "Spans decoded"),
    ("spans_stored", "Spans acknowledged and in the table"),
    ("spans_quarantined", "Spans acknowledged and in the quarantine"),
    ("spans_unacknowledged", "Spans decoded and not acknowledged; their sender repeats them"),
    ("spans_waiting", "Spans between decoding and the answer"),
    (
        "attributes_dropped",
        "Attributes not kept because neither the allow-list nor ingest.attributes.keep names them",
    ),
    (
        "dimension_overflows",
        "Calls counted as other, because their dimension has as many values as ingest.dimension_values_max allows",
    ),
    (
        "spans_time_corrected",
        "Spans counted at their receipt or without a duration, because their times cannot be",
    ),
    ("calls_unpriced", "Calls stored without a cost"),
    ("request", "From a request's head to its answer"),
    ("queries", "PromQL queries of dashboards and rules, by outcome"),
    ("query", "From a query's arrival to its end"),
    ("rule_evaluations", "Rule evaluations, failed ones included"),
    ("rule_evaluation_failures", "Rule evaluations that failed; a failure resolves no alert"),
    ("rule_group_iterations_missed", "Evaluation times at which a rule group was not evaluated"),
    ("rule_group_last_duration_seconds", "How long the last evaluation of a rule group took"),
    ("alerts", "Alerts by rule group and state"),
    ("notifications_sent", "Alert notifications that a receiver accepted"),
    (
        "notification_delivery_failures",
        "Attempts to deliver alert notifications that failed and are repeated",
    ),
    ("notifications_dropped", "Alert notifications given up, by reason"),
    ("outbox_notifications", "Alert notifications that wait for delivery"),
];

/// Where metrics are registered.
struct Declare<'a>(&'a mut Registry);

impl Declare<'_> {
    fn declare<M: Metric + Clone>(&mut self, name: &str, unit: Option<Unit>, metric: M) -> M {
        let help = HELP.iter().find(|(known, _)| *known == name).map_or("", |(_, help)| help);
        match unit {
            Some(unit) => self.0.register_with_unit(name, help, unit, metric.clone()),
            None => self.0.register(name, help, metric.clone()),
        }
        metric
    }

    fn one<M: Metric + Clone + Default>(&mut self, name: &str) -> M {
        self.declare(name, None, M::default())
    }

    /// A metric with these labels.
    fn by<M, const N: usize>(&mut self, name: &str, names: [&'static str; N]) -> Labelled<M, N>
    where
        M: EncodeMetric + TypedMetric + Clone + Default + Send + Sync + Debug + 'static,
    {
        Labelled { names, family: self.one(name) }
    }

    /// A distribution of times, from a millisecond to half a minute.
    fn seconds(&mut self, name: &str) -> Histogram {
        self.declare(name, Some(Unit::Seconds), Histogram::new(exponential_buckets(0.001, 2.0, 16)))
    }
}

impl Metrics {
    /// The metrics, registered.
    pub fn register(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("ledgerline_collector");
        let store = StoreMetrics::register(registry);
        let to = &mut Declare(registry);
        let quarantined = quarantine::Reason::ALL.map(quarantine::Reason::name);
        let unpriced =
            [UnpricedReason::UsageMissing, UnpricedReason::UnknownModel, UnpricedReason::UnknownProvider];
        // A group is `file;name`, as Prometheus labels its own.
        let (group, receiver, reason) = ("rule_group", "receiver", "reason");
        Self {
            store,
            connections: to.by("connections", ["port"]),
            accept_errors: to.by("accept_errors", ["port"]),
            silent_connections_closed: to.by("silent_connections_closed", ["port"]),
            requests: to.by("requests", ["protocol"]).at_zero(["grpc", "http"]),
            refused: to.by("requests_refused", [reason]).at_zero(Refusal::NAMES),
            received: to.one("spans_received"),
            stored: to.one("spans_stored"),
            quarantined: to.by("spans_quarantined", [reason]).at_zero(quarantined),
            unacknowledged: to.one("spans_unacknowledged"),
            waiting: to.one("spans_waiting"),
            attributes_dropped: to.by("attributes_dropped", ["name"]),
            dimension_overflows: to
                .by("dimension_overflows", ["dimension"])
                .at_zero(CAPPED.map(|dimension| dimension.name())),
            times_corrected: to.by("spans_time_corrected", [reason]).at_zero(TimeCorrection::NAMES),
            unpriced: to.by("calls_unpriced", [reason]).at_zero(unpriced.map(|reason| reason.name())),
            request_seconds: to.seconds("request"),
            queries: to.by("queries", ["outcome"]),
            query_seconds: to.seconds("query"),
            evaluations: to.by("rule_evaluations", [group]),
            evaluation_failures: to.by("rule_evaluation_failures", [group]),
            iterations_missed: to.by("rule_group_iterations_missed", [group]),
            last_duration_seconds: to.by("rule_group_last_duration_seconds", [group]),
            alerts: to.by("alerts", [group, "state"]),
            notifications_sent: to.by("notifications_sent", [receiver]),
            delivery_failures: to.by("notification_delivery_failures", [receiver]),
            notifications_dropped: to.by("notifications_dropped", [receiver, reason]),
            outbox_notifications: to.by("outbox_notifications", [receiver]),
        }
    }

    /// What is counted of this port: `grpc`, `http` or `api`.
    pub(crate) fn connections(&self, port: &'static str) -> ConnectionCounters {
        ConnectionCounters {
            open: self.connections.of([port]),
            accept_errors: self.accept_errors.of([port]),
            silent_closed: self.silent_connections_closed.of([port]),
            ..ConnectionCounters::default()
        }
    }
}

impl Default for Metrics {
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
        // A family without a series has no line, and these have none until something happens.
        drop(metrics.connections("grpc"));
        drop(metrics.queries.of(["ok"]));
        for counter in [
            &metrics.attributes_dropped,
            &metrics.evaluations,
            &metrics.evaluation_failures,
            &metrics.iterations_missed,
            &metrics.notifications_sent,
            &metrics.delivery_failures,
        ] {
            drop(counter.of(["x"]));
        }
        drop(metrics.last_duration_seconds.of(["x"]));
        drop(metrics.outbox_notifications.of(["x"]));
        metrics.alerts.of(["f;g", "firing"]).set(2);
        metrics.notifications_dropped.of(["am", "overflow"]).inc();
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
            "alerts{rule_group=\"f;g\",state=\"firing\"} 2",
            "notifications_dropped_total{receiver=\"am\",reason=\"overflow\"} 1",
            "requests_total{protocol=\"grpc\"} 0",
        ] {
            assert!(text.contains(&format!("\nledgerline_collector_{line}\n")), "{line} is not in\n{text}");
        }
    }
}
