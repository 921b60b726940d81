//! All metrics of the agent.
//!
//! They hold two identities that an operator can check:
//! observed = recorded + ignored + unobserved + open, and recorded = exported + dropped + waiting.

use std::sync::Arc;

use ledgerline_proto::EndOfStream;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Counters by one label, which is named where they are counted.
type By<Label> = Family<[(&'static str, Label); 1], Counter>;

/// Declares each metric once: field, type, name after our prefix, what it says.
macro_rules! metrics {
    ($($field:ident: $kind:ty = $name:literal, $help:literal;)*) => {
        #[derive(Debug, Default)]
        pub struct Metrics {
            $(pub $field: $kind,)*
        }

        impl Metrics {
            fn register(&self, registry: &mut Registry) {
                $(registry.register($name, $help, self.$field.clone());)*
            }
        }
    };
}

metrics! {
    connections: Gauge = "relay_connections", "Client connections now open";
    accept_errors: Counter = "relay_accept_errors", "Connections the operating system would not hand over";
    connections_evicted: Counter = "relay_connections_evicted",
        "Idle client connections closed to make room for others";
    unknown_headers: Counter = "relay_unknown_headers",
        "Headers with the prefix x-ledgerline- that nothing reads, taken off requests";
    requests: Family<RequestLabels, Counter> = "relay_requests", "Requests by upstream and outcome";
    requests_running: Gauge = "relay_requests_running",
        "Requests between their head and the last byte of their answer";
    usage_injected: Counter = "relay_usage_injected", "Streams whose request was changed to carry usage";
    usage_refused: Counter = "relay_usage_refused",
        "Changed requests that the upstream refused and that were sent again as they came";
    usage_not_injected: By<NotInjectedReason> = "relay_usage_not_injected",
        "Chat requests that may be streams and were not changed to carry usage, by reason";
    usage_unstripped: Counter = "relay_usage_unstripped",
        "Streams whose request was changed and from which the usage could not be stripped";

    calls_observed: Counter = "calls_observed",
        "Calls that should be observed: recorded, ignored, unobserved or open";
    calls_unobserved: Counter = "calls_unobserved",
        "Calls forwarded without observation, because the worker was behind";
    calls_with_gaps: Counter = "calls_with_gaps",
        "Calls of which bytes were left out, because the worker was behind";
    observed_bytes: Gauge = "observed_bytes", "Bytes between relay and worker";
    restarts: Counter = "restarts", "Restarts of worker or export after a fault";

    calls_waiting: Gauge = "calls_waiting", "Recorded calls not yet acknowledged";
    spool_bytes: Gauge = "spool_bytes", "Memory of calls not yet acknowledged";
    calls_exported: Counter = "calls_exported", "Calls the collector acknowledged";
    calls_dropped: By<DropReason> = "calls_dropped",
        "Recorded calls that will not reach the collector, by reason";
    spans_rejected: Counter = "spans_rejected", "Spans the collector did not take from acknowledged requests";
    export_requests: By<ExportResult> = "export_requests", "Attempts to send, by result";

    calls_recorded: By<&'static str> = "calls_recorded", "Calls recorded, by how they ended";
    parts_unread: By<Failure> = "parts_unread", "Parts of calls that could not be read, by reason";
    calls_unread: By<Arc<str>> = "calls_unread",
        "Calls recorded without usage or cost because no dialect reads them, by upstream";
    calls_ignored: Counter = "calls_ignored", "Requests that are not calls to a model";
    calls_evicted: Counter = "calls_evicted",
        "Calls recorded before their end because too many were under way";
    calls_headless: Counter = "calls_headless", "Ends of calls whose beginning was lost";
    usage_estimated: Counter = "usage_estimated", "Calls recorded with an estimated usage";
    usage_missing: Counter = "usage_missing", "Answered calls recorded without usage";
    worker_events: Counter = "worker_events", "Events read by the worker";
    worker_panics: Counter = "worker_panics", "Panics while reading a call, recorded without usage";
    calls_open: Gauge = "calls_open", "Calls under way in the worker";
    calls_in_background: Gauge = "calls_in_background",
        "Calls whose response is still to be fetched from the provider";
    worker_held_bytes: Gauge = "worker_held_bytes", "Bytes of bodies held by the worker";
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// The upstream's name in the configuration, empty for refused requests.
    pub upstream: Arc<str>,
    pub outcome: Outcome,
}

/// Declares an enum whose variants are the values of a label.
macro_rules! label_values {
    ($($(#[$doc:meta])* $name:ident { $($(#[$of_variant:meta])* $variant:ident,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
        #[allow(non_camel_case_types, reason = "the names are label values")]
        pub enum $name {
            $($(#[$of_variant])* $variant,)*
        }

        impl $name {
            #[allow(dead_code, reason = "not every label is listed")]
            pub const ALL: &[Self] = &[$(Self::$variant,)*];
        }
    )*};
}

label_values! {
    Outcome {
        /// The upstream answered, whatever its status.
        answered,
        connect_failed,
        /// The upstream broke the connection before it answered.
        upstream_failed,
        client_gone,
        /// No upstream for this path, or something the relay does not carry.
        refused,
    }

    /// Why calls that were recorded will not reach the collector.
    DropReason {
        spool_full,
        /// The collector refused the request for good.
        rejected,
        /// The agent stopped before the collector acknowledged.
        shutdown,
        /// Sending broke off by a fault of ours.
        fault,
    }

    /// Why nothing was injected into a request that may ask for a stream.
    NotInjectedReason {
        /// Other requests took the memory for collecting.
        memory,
        /// It is too large, or does not state its size.
        size,
        /// It is not understood to its last byte.
        not_understood,
        /// It is compressed, signed, or not JSON by its headers.
        encoding,
        /// Its upstream refused the field lately, or could not be filtered.
        disabled,
    }

    ExportResult {
        acknowledged,
        /// Not now; sent again.
        retried,
        rejected,
    }

    /// Why a part of a call could not be read. The call itself is recorded all the same.
    Failure {
        /// `content-encoding` names one we do not decode.
        unknown_encoding,
        corrupt_encoding,
        response_too_large,
        expansion,
        /// All calls under way together hold too much.
        held_bytes,
        event_too_large,
        malformed_event,
        malformed_body,
        /// A request body is not JSON, or longer than we read.
        unread_request,
    }
}

impl Metrics {
    pub fn count_request(&self, upstream: &Arc<str>, outcome: Outcome) {
        self.requests.get_or_create(&RequestLabels { upstream: upstream.clone(), outcome }).inc();
    }

    pub fn count_not_injected(&self, reason: NotInjectedReason) {
        self.usage_not_injected.get_or_create(&[("reason", reason)]).inc();
    }

    pub fn count_dropped(&self, reason: DropReason, calls: u64) {
        self.calls_dropped.get_or_create(&[("reason", reason)]).inc_by(calls);
    }

    pub fn count_export(&self, result: ExportResult) {
        self.export_requests.get_or_create(&[("result", result)]).inc();
    }

    pub fn fail(&self, failure: Failure) {
        self.parts_unread.get_or_create(&[("reason", failure)]).inc();
    }

    /// A registry with all of them. What alerts watch is there from the start, as 0.
    pub fn registry(&self) -> Registry {
        for end in EndOfStream::ALL {
            drop(self.calls_recorded.get_or_create(&[("end", end.name())]));
        }
        for failure in Failure::ALL {
            drop(self.parts_unread.get_or_create(&[("reason", *failure)]));
        }
        let mut registry = Registry::with_prefix("ledgerline_agent");
        self.register(&mut registry);
        registry
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
        metrics.calls_unread.get_or_create(&[("upstream", "openai".into())]).inc();
        let list = ledgerline_process::admin::describe(&metrics.registry()).unwrap();
        assert_eq!(
            list,
            include_str!("../metrics.txt"),
            "copy the left side into agent/metrics.txt and write the change into CHANGELOG.md"
        );
    }
}
