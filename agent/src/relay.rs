//! The relay: takes requests, forwards them to an upstream, hands the response back.
//!
//! The promise of this module is that the call never suffers. It parses no body to forward it, holds none longer than it
//! takes to pass it on, sends every request once (one that we changed and that was refused for it goes again as it came),
//! and sets no timeout that is shorter than the client's. Only what the tap copies is best effort.

mod body;
mod client;
mod forward;
pub(crate) mod headers;
pub(crate) mod identity;
pub mod inject;
mod reply;
pub mod route;
pub(crate) mod server;
pub mod strip;
pub mod tap;
mod trace;
mod unknown_headers;
pub mod upstream;
mod usage;

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::config::UpstreamSettings;
use crate::limits::{INJECT_BYTES_IN_FLIGHT_MAX, RelayLimits};
use crate::metrics::Metrics;
use crate::reachability::Reachability;
use identity::IdentityReader;
use route::Routes;
use tap::Tap;
use unknown_headers::UnknownHeaders;
use upstream::Upstream;
use usage::InjectionPolicy;

/// A call's place on one of an upstream's connections, until it is dropped.
type ConnectionSlot = Arc<()>;

/// Where a route leads.
struct Destination {
    upstream: Upstream,
    /// `None`: usage is not injected.
    injection: Option<InjectionPolicy>,
    reachability: Reachability,
}

/// Everything one request needs.
pub(crate) struct Relay {
    routes: Routes<Destination>,
    identity: IdentityReader,
    unknown_headers: UnknownHeaders,
    tap: Tap,
    metrics: Arc<Metrics>,
    /// Ends of streams whose clients have gone.
    drains: TaskTracker,
}

impl Relay {
    /// A relay to these upstreams. Opens no connection.
    pub(crate) fn new(
        upstreams: Vec<UpstreamSettings>,
        identity: IdentityReader,
        (tls, connect_timeout, limits): (&ClientConfig, Duration, RelayLimits),
        tap: Tap,
        metrics: Arc<Metrics>,
    ) -> Self {
        let memory = Arc::new(Semaphore::new(INJECT_BYTES_IN_FLIGHT_MAX));
        let destination = |upstream: UpstreamSettings| {
            let UpstreamSettings { route, http_version, usage_injection } = upstream;
            let upstream = Upstream::new(tls, http_version, route.is_https(), connect_timeout, limits);
            let injection = usage_injection.then(|| InjectionPolicy::new(memory.clone()));
            (route, Destination { upstream, injection, reachability: Reachability::default() })
        };
        Self {
            routes: Routes::new(upstreams.into_iter().map(destination).collect()),
            identity,
            unknown_headers: UnknownHeaders::default(),
            tap,
            metrics,
            drains: TaskTracker::new(),
        }
    }
}
