//! All metrics of the agent.
//!
//! They hold two identities that an operator can check:
//! observed = recorded + ignored + unobserved + open, and recorded = exported + dropped + waiting.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ledgerline_proto::EndOfStream;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeLabelValue, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

use crate::worker::{Failure, WorkerCounters};

/// How a request to the relay went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the names are label values")]
pub enum Outcome {
    /// The upstream answered, whatever its status.
    answered,
    /// No connection to the upstream.
    connect_failed,
    /// The upstream broke the connection before it answered.
    upstream_failed,
    /// The client went away before the upstream answered.
    client_gone,
    /// No upstream for this path, or something the relay does not carry.
    refused,
}

/// Labels of `relay_requests`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// The upstream's name in the configuration, empty for refused requests.
    pub upstream: Arc<str>,
    /// How it went.
    pub outcome: Outcome,
}

/// Why calls that were recorded will not reach the collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the names are label values")]
pub enum DropReason {
    /// The spool was full.
    spool_full,
    /// The collector refused the request for good.
    rejected,
    /// The agent stopped before the collector acknowledged.
    shutdown,
    /// Sending broke off by a fault of ours.
    fault,
}

/// Label of `calls_dropped`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DropLabels {
    /// What made the call undeliverable.
    pub reason: DropReason,
}

/// Why nothing was injected into a request that may ask for a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the names are label values")]
pub enum NotInjectedReason {
    /// Other requests took the memory for collecting.
    memory,
    /// It is too large, or does not state its size.
    size,
    /// It is not understood to its last byte.
    not_understood,
    /// It is compressed, signed, or not JSON by its headers.
    encoding,
    /// Its upstream refused the field before, or could not be filtered.
    disabled,
}

/// Label of `relay_usage_not_injected`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct NotInjectedLabels {
    /// What stood against asking for usage.
    pub reason: NotInjectedReason,
}

/// What the collector said to one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the names are label values")]
pub enum ExportResult {
    /// Stored.
    acknowledged,
    /// Not now; sent again.
    retried,
    /// Never.
    rejected,
}

/// Label of `export_requests`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ExportLabels {
    /// What the collector said.
    pub result: ExportResult,
}

/// One handle per metric; cheap to share behind an `Arc`.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Client connections now open.
    pub connections: Gauge,
    /// Connections the operating system would not hand over.
    pub accept_errors: Counter,
    /// Idle connections closed to make room for others.
    pub connections_evicted: Counter,
    /// Headers with our prefix that nothing reads.
    pub unknown_headers: Counter,
    /// Requests by upstream and outcome.
    pub requests: Family<RequestLabels, Counter>,
    /// Requests now between their head and the last byte of their answer.
    pub requests_running: Gauge,
    /// Streams whose request was changed to carry usage.
    pub usage_injected: Counter,
    /// Changed requests that the upstream refused and that were sent again as they came.
    pub usage_refused: Counter,
    /// Requests that may ask for streams and were not changed, by reason.
    pub usage_not_injected: Family<NotInjectedLabels, Counter>,
    /// Streams whose request was changed and from which the usage could not be stripped.
    pub usage_unstripped: Counter,

    /// Calls that should be observed.
    pub calls_observed: Counter,
    /// Of those: not calls to a model, by their path.
    pub calls_ignored: Counter,
    /// Of those: observation could not start.
    pub calls_unobserved: Counter,
    /// Calls of which bytes were left out.
    pub calls_with_gaps: Counter,
    /// Bytes now between relay and worker.
    pub observed_bytes: Gauge,

    /// Recorded calls that are not acknowledged yet.
    pub calls_waiting: Gauge,
    /// Memory they take.
    pub spool_bytes: Gauge,
    /// Calls the collector acknowledged.
    pub calls_exported: Counter,
    /// Recorded calls that will not reach the collector.
    pub calls_dropped: Family<DropLabels, Counter>,
    /// Spans inside acknowledged requests that the collector did not take.
    pub spans_rejected: Counter,
    /// Attempts to send, by the collector's answer.
    pub export_requests: Family<ExportLabels, Counter>,
    /// Restarts of worker or export after a fault of ours.
    pub restarts: Counter,
}

impl Metrics {
    /// Counts one request of the relay.
    pub fn count_request(&self, upstream: &Arc<str>, outcome: Outcome) {
        self.requests.get_or_create(&RequestLabels { upstream: upstream.clone(), outcome }).inc();
    }

    /// Counts a request that was not changed to carry usage.
    pub fn count_not_injected(&self, reason: NotInjectedReason) {
        self.usage_not_injected.get_or_create(&NotInjectedLabels { reason }).inc();
    }

    /// Counts recorded calls that will not reach the collector.
    pub fn count_dropped(&self, reason: DropReason, calls: u64) {
        self.calls_dropped.get_or_create(&DropLabels { reason }).inc_by(calls);
    }

    /// Counts one attempt to send.
    pub fn count_export(&self, result: ExportResult) {
        self.export_requests.get_or_create(&ExportLabels { result }).inc();
    }

    /// A registry with all of them and what the worker counts.
    #[must_use]
    pub fn registry(&self, worker: &Arc<WorkerCounters>) -> Registry {
        let mut registry = Registry::with_prefix("ledgerline_agent");
        self.register_relay(&mut registry);
        self.register_observation(&mut registry);
        self.register_export(&mut registry);
        let ignored = self.calls_ignored.clone();
        registry.register_collector(Box::new(WorkerCollector { counters: worker.clone(), ignored }));
        registry
    }

    fn register_relay(&self, registry: &mut Registry) {
        let r = registry;
        r.register("relay_connections", "Client connections now open", self.connections.clone());
        r.register(
            "relay_accept_errors",
            "Connections the operating system would not hand over",
            self.accept_errors.clone(),
        );
        r.register(
            "relay_connections_evicted",
            "Idle client connections closed to make room for others",
            self.connections_evicted.clone(),
        );
        r.register(
            "relay_unknown_headers",
            "Headers with the prefix x-ledgerline- that nothing reads, taken off requests",
            self.unknown_headers.clone(),
        );
        r.register("relay_requests", "Requests by upstream and outcome", self.requests.clone());
        r.register(
            "relay_requests_running",
            "Requests between their head and the last byte of their answer",
            self.requests_running.clone(),
        );
        r.register(
            "relay_usage_injected",
            "Streams whose request was changed to carry usage",
            self.usage_injected.clone(),
        );
        r.register(
            "relay_usage_refused",
            "Changed requests that the upstream refused and that were sent again as they came",
            self.usage_refused.clone(),
        );
        r.register(
            "relay_usage_not_injected",
            "Chat requests that may be streams and were not changed to carry usage, by reason",
            self.usage_not_injected.clone(),
        );
        r.register(
            "relay_usage_unstripped",
            "Streams whose request was changed and from which the usage could not be stripped",
            self.usage_unstripped.clone(),
        );
    }

    fn register_observation(&self, registry: &mut Registry) {
        let r = registry;
        r.register(
            "calls_observed",
            "Calls that should be observed: recorded, ignored, unobserved or open",
            self.calls_observed.clone(),
        );
        r.register(
            "calls_unobserved",
            "Calls forwarded without observation, because the worker was behind",
            self.calls_unobserved.clone(),
        );
        r.register(
            "calls_with_gaps",
            "Calls of which bytes were left out, because the worker was behind",
            self.calls_with_gaps.clone(),
        );
        r.register("observed_bytes", "Bytes between relay and worker", self.observed_bytes.clone());
        r.register("restarts", "Restarts of worker or export after a fault", self.restarts.clone());
    }

    fn register_export(&self, registry: &mut Registry) {
        let r = registry;
        r.register("calls_waiting", "Recorded calls not yet acknowledged", self.calls_waiting.clone());
        r.register("spool_bytes", "Memory of calls not yet acknowledged", self.spool_bytes.clone());
        r.register("calls_exported", "Calls the collector acknowledged", self.calls_exported.clone());
        r.register(
            "calls_dropped",
            "Recorded calls that will not reach the collector, by reason",
            self.calls_dropped.clone(),
        );
        r.register(
            "spans_rejected",
            "Spans the collector did not take from acknowledged requests",
            self.spans_rejected.clone(),
        );
        r.register("export_requests", "Attempts to send, by result", self.export_requests.clone());
    }
}

/// Shows the worker's counters, which are plain atomics, as metrics.
#[derive(Debug)]
struct WorkerCollector {
    counters: Arc<WorkerCounters>,
    /// What the relay did not even hand over.
    ignored: Counter,
}

impl Collector for WorkerCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let worker = &*self.counters;
        let read = |value: &AtomicU64| value.load(Ordering::Relaxed);
        let ignored = read(&worker.requests_ignored) + self.ignored.get();
        let mut recorded = encoder.encode_descriptor(
            "calls_recorded",
            "Calls recorded, by how they ended.",
            None,
            MetricType::Counter,
        )?;
        for end in EndOfStream::ALL {
            let labels = [("end", end.name())];
            ConstCounter::new(read(worker.recorded(end))).encode(recorded.encode_family(&labels)?)?;
        }
        let mut unread = encoder.encode_descriptor(
            "parts_unread",
            "Parts of calls that could not be read, by reason.",
            None,
            MetricType::Counter,
        )?;
        for failure in Failure::ALL {
            let labels = [("reason", failure.name())];
            ConstCounter::new(read(worker.failure(failure))).encode(unread.encode_family(&labels)?)?;
        }
        let mut calls_unread = encoder.encode_descriptor(
            "calls_unread",
            "Calls recorded without usage or cost because no dialect reads them, by upstream.",
            None,
            MetricType::Counter,
        )?;
        for (upstream, count) in worker.calls_unread.list() {
            let labels = [("upstream", &*upstream)];
            ConstCounter::new(count).encode(calls_unread.encode_family(&labels)?)?;
        }
        let counters = [
            ("calls_ignored", "Requests that are not calls to a model.", ignored),
            (
                "calls_evicted",
                "Calls recorded before their end because too many were under way.",
                read(&worker.calls_evicted),
            ),
            ("calls_headless", "Ends of calls whose beginning was lost.", read(&worker.calls_unobserved)),
            ("usage_estimated", "Calls recorded with an estimated usage.", read(&worker.usage_estimated)),
            ("usage_missing", "Answered calls recorded without usage.", read(&worker.usage_missing)),
            (
                "foreign_runs",
                "Runs of other models within calls, not in the record.",
                read(&worker.foreign_runs),
            ),
            ("worker_events", "Events read by the worker.", read(&worker.events_observed)),
            ("worker_panics", "Panics while reading a call, recorded without usage.", read(&worker.panics)),
        ];
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)?;
        }
        let gauges = [
            ("calls_open", "Calls under way in the worker.", &worker.open_calls),
            (
                "calls_in_background",
                "Calls whose response is still to be fetched from the provider.",
                &worker.background_calls,
            ),
            ("worker_held_bytes", "Bytes of bodies held by the worker.", &worker.held_bytes),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(read(value)).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_list_is_up_to_date() {
        let metrics = Metrics::default();
        // A family shows up with its first member.
        metrics.count_request(&"openai".into(), Outcome::answered);
        metrics.count_not_injected(NotInjectedReason::size);
        metrics.count_dropped(DropReason::spool_full, 1);
        metrics.count_export(ExportResult::acknowledged);
        let list = ledgerline_process::admin::describe(&metrics.registry(&Arc::default())).unwrap();
        assert_eq!(
            list,
            include_str!("../metrics.txt"),
            "copy the left side into agent/metrics.txt and tell the change in CHANGELOG.md"
        );
    }
}
