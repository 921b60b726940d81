//! Every metric of the collector but those of the store, which declares its own. A test keeps `metrics.txt` in step, so that a
//! rename is seen.
//!
//! Spans balance: received = stored + quarantined + unacknowledged + waiting, at every moment a request is not between two
//! of them. An unacknowledged span is the sender's to repeat, and is then received again.

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::{Registry, Unit};

use ledgerline_process::serve::ConnectionCounters;
use ledgerline_proto::UnpricedReason;
use ledgerline_store::metrics::StoreMetrics;
use ledgerline_store::quarantine;

use crate::ingest::dimensions::CAPPED;
use crate::ingest::normalise::TimeCorrection;
use crate::ingest::refusal::Refusal;
use crate::query::error::RunError;

/// Metrics told apart by labels, whose values are words of ours or bounded by the configuration. Clones count together.
#[derive(Clone, Debug)]
pub struct Labelled<M = Counter, const N: usize = 1> {
    names: [&'static str; N],
    family: Family<[(&'static str, Cow<'static, str>); N], M>,
}

impl<M: Clone + Default, const N: usize> Labelled<M, N> {
    fn by(names: [&'static str; N]) -> Self {
        Self { names, family: Family::default() }
    }

    /// The metric with these values of its labels.
    pub fn of(&self, values: [impl Into<Cow<'static, str>>; N]) -> M {
        let mut values = values.into_iter().map(Into::into);
        let labels = self.names.map(|name| (name, values.next().unwrap_or_default()));
        self.family.get_or_create(&labels).clone()
    }
}

impl Labelled {
    /// A series that appears with its first event has no increase over it: all known ones start at zero.
    fn at_zero(self, values: impl IntoIterator<Item = &'static str>) -> Self {
        values.into_iter().for_each(|value| drop(self.of([value])));
        self
    }
}

impl<M: EncodeMetric + TypedMetric, const N: usize> EncodeMetric for Labelled<M, N> {
    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        self.family.encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        self.family.metric_type()
    }

    fn is_empty(&self) -> bool {
        self.family.is_empty()
    }
}

/// A distribution of times, from a millisecond to half a minute.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 16))
}

/// Declares each metric once: field, type, what it begins as, name after our prefix, unit, what it says.
macro_rules! metrics {
    ($($field:ident: $kind:ty = $metric:expr, $name:literal $(in $unit:ident)?, $help:literal;)*) => {
        /// The metrics, each explained by the text it is registered with. All clones count together.
        #[derive(Clone, Debug)]
        #[allow(missing_docs, reason = "the registered texts say it")]
        pub struct Metrics {
            pub store: StoreMetrics,
            $(pub $field: $kind,)*
        }

        impl Metrics {
            /// The metrics, registered.
            pub fn register(registry: &mut Registry) -> Self {
                let registry = registry.sub_registry_with_prefix("ledgerline_collector");
                let metrics = Self { store: StoreMetrics::register(registry), $($field: $metric,)* };
                $(metrics!(@ registry, $name $($unit)?, $help, metrics.$field.clone());)*
                metrics
            }
        }
    };
    (@ $to:ident, $name:literal, $help:literal, $metric:expr) => { $to.register($name, $help, $metric) };
    (@ $to:ident, $name:literal $unit:ident, $help:literal, $metric:expr) => {
        $to.register_with_unit($name, $help, Unit::$unit, $metric)
    };
}

metrics! {
    connections: Labelled<Gauge> = Labelled::by(["port"]), "connections", "Connections now open, by port";
    accept_errors: Labelled = Labelled::by(["port"]),
        "accept_errors", "Connections the operating system would not hand over, by port";
    silent_connections_closed: Labelled = Labelled::by(["port"]), "silent_connections_closed",
        "Connections closed before their first request, by port: it did not come in time, or others needed their place";
    requests: Labelled = Labelled::by(["protocol"]).at_zero(["grpc", "http"]),
        "requests", "Requests that reached a telemetry port";
    refused: Labelled = Labelled::by(["reason"]).at_zero(Refusal::NAMES),
        "requests_refused", "Requests not acknowledged";
    received: Counter = Counter::default(), "spans_received", "Spans decoded";
    stored: Counter = Counter::default(), "spans_stored", "Spans acknowledged and in the table";
    quarantined: Labelled = Labelled::by(["reason"]).at_zero(quarantine::Reason::ALL.map(quarantine::Reason::name)),
        "spans_quarantined", "Spans acknowledged and in the quarantine";
    unacknowledged: Counter = Counter::default(),
        "spans_unacknowledged", "Spans decoded and not acknowledged; their sender repeats them";
    waiting: Gauge = Gauge::default(), "spans_waiting", "Spans between decoding and the answer";
    attributes_dropped: Labelled = Labelled::by(["name"]), "attributes_dropped",
        "Attributes not kept because neither the allow-list nor ingest.attributes.keep names them";
    dimension_overflows: Labelled = Labelled::by(["dimension"]).at_zero(CAPPED.map(|dimension| dimension.name())),
        "dimension_overflows",
        "Calls counted as other, because their dimension has as many values as ingest.dimension_values_max allows";
    times_corrected: Labelled = Labelled::by(["reason"]).at_zero(TimeCorrection::NAMES), "spans_time_corrected",
        "Spans counted at their receipt or without a duration, because their times cannot be";
    repeated: Counter = Counter::default(), "spans_repeated", "Spans acknowledged that were in the table already";
    uncounted: Labelled = Labelled::by(["reason"]).at_zero(["repeat", "wrapper"]),
        "calls_uncounted", "Calls stored and not billed, because another span tells of the same call";
    corrections: Counter = Counter::default(), "corrections_booked", "Calls taken back or booked because of a later span";
    sights_forgotten: Labelled<Gauge> = Labelled::by(["kind"]), "sights_forgotten",
        "What was forgotten before its time, for the bound of memory: call and response may be billed again when they are seen again, span only if a call is above and below it";
    sights_known: Gauge = Gauge::default(), "sights_known",
        "1 when the spans of the last hours are known; until then, after a start, spans are refused and senders repeat them";
    sights_read_failures: Counter = Counter::default(), "sights_read_failures",
        "Attempts to read the spans of the last hours, or to book what a restart left open, that failed and are repeated";
    unpriced: Labelled = Labelled::by(["reason"]).at_zero(UNPRICED.map(|reason| reason.name())),
        "calls_unpriced", "Calls stored without a cost";
    reported_cost: Labelled<Counter<f64, AtomicU64>> = Labelled::by(["provider"]), "reported_cost_usd",
        "What providers and senders say that calls cost, of those that counted when they came and that the price book knows a price of";
    reported_cost_difference: Labelled<Counter<f64, AtomicU64>, 2> = Labelled::by(["provider", "book"]), "reported_cost_difference_usd",
        "How far the price book is above or below what was reported, call by call";
    request_seconds: Histogram = seconds(), "request" in Seconds, "From a request's head to its answer";
    queries: Labelled = Labelled::by(["outcome"]).at_zero(RunError::OUTCOMES),
        "queries", "PromQL queries of dashboards and rules, by outcome";
    query_seconds: Histogram = seconds(), "query" in Seconds, "From a query's arrival to its end";

    // A group is `file;name`, as Prometheus labels its own.
    evaluations: Labelled = Labelled::by(["rule_group"]), "rule_evaluations", "Rule evaluations, failed ones included";
    evaluation_failures: Labelled = Labelled::by(["rule_group"]),
        "rule_evaluation_failures", "Rule evaluations that failed; a failure resolves no alert";
    iterations_missed: Labelled = Labelled::by(["rule_group"]),
        "rule_group_iterations_missed", "Evaluation times at which a rule group was not evaluated";
    last_duration_seconds: Labelled<Gauge<f64, AtomicU64>> = Labelled::by(["rule_group"]),
        "rule_group_last_duration_seconds", "How long the last evaluation of a rule group took";
    alerts: Labelled<Gauge, 2> = Labelled::by(["rule_group", "state"]), "alerts", "Alerts by rule group and state";
    notifications_sent: Labelled = Labelled::by(["receiver"]),
        "notifications_sent", "Alert notifications that a receiver accepted";
    delivery_failures: Labelled = Labelled::by(["receiver"]), "notification_delivery_failures",
        "Attempts to deliver alert notifications that failed and are repeated";
    notifications_dropped: Labelled<Counter, 2> = Labelled::by(["receiver", "reason"]),
        "notifications_dropped", "Alert notifications given up, by reason";
    outbox_notifications: Labelled<Gauge> = Labelled::by(["receiver"]),
        "outbox_notifications", "Alert notifications that wait for delivery";
    delivery_failing: Labelled<Gauge> = Labelled::by(["receiver"]), "notification_delivery_failing",
        "1 while the last attempt to deliver to a receiver failed and is repeated";
}

const UNPRICED: [UnpricedReason; 3] =
    [UnpricedReason::UsageMissing, UnpricedReason::UnknownModel, UnpricedReason::UnknownProvider];

impl Metrics {
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
        drop(metrics.sights_forgotten.of(["call"]));
        drop(metrics.reported_cost.of(["x"]));
        drop(metrics.reported_cost_difference.of(["x", "above"]));
        drop(metrics.last_duration_seconds.of(["x"]));
        drop(metrics.outbox_notifications.of(["x"]));
        drop(metrics.delivery_failing.of(["x"]));
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
