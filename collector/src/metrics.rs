//! Every metric of the collector, declared in one place but those of alerting and of the store, which are in a `metrics.rs` of their own. A test keeps `metrics.txt` in step, so that a rename is seen.
//!
//! Spans balance: received = stored + quarantined + unacknowledged + waiting, at every moment a request is not between two
//! of them. An unacknowledged span is the sender's to repeat, and is then received again.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use ledgerline_pricing::UnpricedReason;
use ledgerline_process::serve::ConnectionCounters;
use ledgerline_proto::dimension::Dimension;
use ledgerline_store::metrics::StoreMetrics;
use ledgerline_store::quarantine;

use crate::ingest::dimensions::CAPPED;
use crate::ingest::dropped::DroppedAttributes;
use crate::ingest::normalise::TimeCorrection;
use crate::ingest::refusal::Refusal;
use crate::query::querier::{Outcome, QueryEvents};

/// One label with a fixed set of values.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Reason {
    /// Which.
    pub reason: &'static str,
}

/// How a query ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Ended {
    /// `ok`, why there was no answer, or `abandoned`.
    pub outcome: &'static str,
}

/// One of the dimensions that senders fill.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfDimension {
    /// The label under which queries know it.
    pub dimension: &'static str,
}

impl OfDimension {
    /// The label of that dimension.
    #[must_use]
    pub const fn new(dimension: Dimension) -> Self {
        Self { dimension: dimension.name() }
    }
}

/// How a request came in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Protocol {
    /// `grpc` or `http`.
    pub protocol: &'static str,
}

/// One of the ports.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Port {
    /// `grpc`, `http` or `api`.
    pub port: &'static str,
}

/// The metrics. Cheap to clone: all clones count together.
#[derive(Clone)]
pub struct Metrics {
    /// Connections now open, by port.
    pub connections: Family<Port, Gauge>,
    /// Connections the operating system would not hand over, by port.
    pub accept_errors: Family<Port, Counter>,
    /// Connections closed because their first request did not come, by port.
    pub silent_connections_closed: Family<Port, Counter>,
    /// Requests that reached a telemetry port, by protocol.
    pub requests: Family<Protocol, Counter>,
    /// Requests that were not acknowledged, by reason.
    pub refused: Family<Reason, Counter>,
    /// Spans decoded.
    pub received: Counter,
    /// Spans acknowledged and in the table.
    pub stored: Counter,
    /// Spans acknowledged and in the quarantine, by reason.
    pub quarantined: Family<Reason, Counter>,
    /// Spans decoded and not acknowledged: their sender repeats them.
    pub unacknowledged: Counter,
    /// Spans between decoding and the answer.
    pub waiting: Gauge,
    /// Attributes that are not kept because no list names them, by name.
    pub attributes_dropped: DroppedAttributes,
    /// Calls counted under `other`, because their tenant has too many values of a dimension.
    pub dimension_overflows: Family<OfDimension, Counter>,
    /// Spans whose times could not be kept, by what was wrong.
    pub times_corrected: Family<Reason, Counter>,
    /// Calls stored without a cost, by reason.
    pub unpriced: Family<Reason, Counter>,
    /// From the request's head to its answer.
    pub request_seconds: Histogram,
    /// PromQL queries of dashboards and rules, by outcome.
    pub queries: Family<Ended, Counter>,
    /// From a query's arrival to its end, the wait for a free place included.
    pub query_seconds: Histogram,
    /// What the store counts.
    pub store: StoreMetrics,
}

impl Metrics {
    /// The metrics, registered.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("ledgerline_collector");
        let seconds = || Histogram::new(exponential_buckets(0.001, 2.0, 16));
        let metrics = Self {
            connections: Family::default(),
            accept_errors: Family::default(),
            silent_connections_closed: Family::default(),
            requests: Family::default(),
            refused: Family::default(),
            received: Counter::default(),
            stored: Counter::default(),
            quarantined: Family::default(),
            unacknowledged: Counter::default(),
            waiting: Gauge::default(),
            attributes_dropped: DroppedAttributes::default(),
            dimension_overflows: Family::default(),
            times_corrected: Family::default(),
            unpriced: Family::default(),
            request_seconds: seconds(),
            queries: Family::default(),
            query_seconds: seconds(),
            store: StoreMetrics::register(registry),
        };
        metrics.name(registry);
        metrics.start_at_zero();
        metrics
    }

    /// What is counted of this port: `grpc`, `http` or `api`.
    #[must_use]
    pub fn connections(&self, port: &'static str) -> ConnectionCounters {
        let port = Port { port };
        ConnectionCounters {
            open: self.connections.get_or_create(&port).clone(),
            accept_errors: self.accept_errors.get_or_create(&port).clone(),
            silent_closed: self.silent_connections_closed.get_or_create(&port).clone(),
        }
    }

    /// A series that appears with its first event has no increase over it: all known ones start at zero.
    fn start_at_zero(&self) {
        let of = |reason| Reason { reason };
        for protocol in ["grpc", "http"] {
            drop(self.requests.get_or_create(&Protocol { protocol }));
        }
        for reason in Refusal::NAMES {
            drop(self.refused.get_or_create(&of(reason)));
        }
        for dimension in CAPPED {
            drop(self.dimension_overflows.get_or_create(&OfDimension::new(dimension)));
        }
        for correction in TimeCorrection::ALL {
            drop(self.times_corrected.get_or_create(&of(correction.name())));
        }
        for reason in quarantine::Reason::ALL {
            drop(self.quarantined.get_or_create(&of(reason.name())));
        }
        for reason in
            [UnpricedReason::UsageMissing, UnpricedReason::UnknownModel, UnpricedReason::UnknownProvider]
        {
            drop(self.unpriced.get_or_create(&of(reason.name())));
        }
        for outcome in Outcome::ALL {
            drop(self.queries.get_or_create(&Ended { outcome: outcome.name() }));
        }
    }

    fn name(&self, to: &mut Registry) {
        to.register("connections", "Connections now open, by port", self.connections.clone());
        to.register(
            "accept_errors",
            "Connections the operating system would not hand over, by port",
            self.accept_errors.clone(),
        );
        to.register(
            "silent_connections_closed",
            "Connections closed before their first request, by port: it did not come in time, or others needed their place",
            self.silent_connections_closed.clone(),
        );
        to.register("requests", "Requests that reached a telemetry port", self.requests.clone());
        to.register("requests_refused", "Requests not acknowledged", self.refused.clone());
        to.register("spans_received", "Spans decoded", self.received.clone());
        to.register("spans_stored", "Spans acknowledged and in the table", self.stored.clone());
        to.register(
            "spans_quarantined",
            "Spans acknowledged and in the quarantine",
            self.quarantined.clone(),
        );
        to.register(
            "spans_unacknowledged",
            "Spans decoded and not acknowledged; their sender repeats them",
            self.unacknowledged.clone(),
        );
        to.register("spans_waiting", "Spans between decoding and the answer", self.waiting.clone());
        to.register(
            "attributes_dropped",
            "Attributes not kept because neither the allow-list nor ingest.attributes.keep names them",
            self.attributes_dropped.family.clone(),
        );
        to.register(
            "dimension_overflows",
            "Calls counted as other, because their dimension has as many values as ingest.dimension_values_max allows",
            self.dimension_overflows.clone(),
        );
        to.register(
            "spans_time_corrected",
            "Spans counted at their receipt or without a duration, because their times cannot be",
            self.times_corrected.clone(),
        );
        to.register("calls_unpriced", "Calls stored without a cost", self.unpriced.clone());
        to.register_with_unit(
            "request",
            "From a request's head to its answer",
            Unit::Seconds,
            self.request_seconds.clone(),
        );
        to.register("queries", "PromQL queries of dashboards and rules, by outcome", self.queries.clone());
        to.register_with_unit(
            "query",
            "From a query's arrival to its end",
            Unit::Seconds,
            self.query_seconds.clone(),
        );
    }
}

impl QueryEvents for Metrics {
    fn ended(&self, outcome: Outcome, took: Duration) {
        self.queries.get_or_create(&Ended { outcome: outcome.name() }).inc();
        self.query_seconds.observe(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerting::AlertingMetrics;
    use crate::alerting::metrics::{AlertLabels, DropLabels, GroupLabels, ReceiverLabels};
    use crate::ingest::dropped::AttributeName;

    /// The committed list. `LEDGERLINE_UPDATE=1` writes it anew.
    #[test]
    fn the_list_of_metrics_is_the_committed_one() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let alerting = AlertingMetrics::register(&mut registry);
        // A family without a series has no line, and these have none until something happens.
        drop(metrics.attributes_dropped.family.get_or_create(&AttributeName { name: String::new() }));
        let group = GroupLabels { rule_group: String::new() };
        let receiver = ReceiverLabels { receiver: String::new() };
        for counter in [&alerting.evaluations, &alerting.evaluation_failures, &alerting.iterations_missed] {
            drop(counter.get_or_create(&group));
        }
        drop(alerting.last_duration_seconds.get_or_create(&group));
        drop(alerting.alerts.get_or_create(&AlertLabels { rule_group: String::new(), state: String::new() }));
        for counter in [&alerting.notifications_sent, &alerting.delivery_failures] {
            drop(counter.get_or_create(&receiver));
        }
        let dropped = DropLabels { receiver: String::new(), reason: String::new() };
        drop(alerting.notifications_dropped.get_or_create(&dropped));
        drop(alerting.outbox_notifications.get_or_create(&receiver));
        let list = ledgerline_process::admin::describe(&registry).unwrap();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/metrics.txt");
        if std::env::var_os("LEDGERLINE_UPDATE").is_some() {
            std::fs::write(path, &list).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(list, committed, "run the test with LEDGERLINE_UPDATE=1 and commit metrics.txt");
    }
}
