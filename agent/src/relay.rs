//! The relay: takes requests, forwards them to an upstream, hands the answer back.
//!
//! The promise of this module is that the call never suffers. It parses no body to forward it, holds no body longer
//! than it takes to pass it on, sends every request once (one that we changed and that was refused for it goes again as
//! it came), and sets no timeout that is shorter than the client's. What
//! the tap copies is best effort; what is forwarded is not.

pub mod body;
pub mod client;
pub mod forward;
pub mod guards;
pub mod headers;
pub mod identity;
pub mod idle;
pub mod inject;
pub mod reply;
pub mod route;
pub mod server;
pub mod strip;
pub mod tap;
pub mod trace;
pub mod unknown_headers;
pub mod upstream;
pub mod usage;

use std::sync::Arc;

use http::header::InvalidHeaderName;
use rustls::ClientConfig;

use crate::config::Config;
use crate::metrics::Metrics;
use crate::reachability::Reachability;
use identity::IdentityReader;
use route::{Route, RouteError, Routes};
use tap::Tap;
use unknown_headers::UnknownHeaders;
use upstream::{KeepAlive, Upstream};
use usage::{Collecting, InjectionPolicy};

/// Why there is no relay.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// An upstream cannot be used.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// A header name cannot be used.
    #[error("identity_headers names a header that cannot be")]
    Header(#[from] InvalidHeaderName),
}

/// Where a route leads.
struct Destination {
    upstream: Upstream,
    /// `None`: usage is not injected.
    injection: Option<InjectionPolicy>,
    reachability: Reachability,
}

/// Everything one request needs.
pub struct Relay {
    routes: Routes<Destination>,
    identity: IdentityReader,
    unknown_headers: UnknownHeaders,
    tap: Tap,
    metrics: Arc<Metrics>,
}

impl Relay {
    /// A relay for this configuration. Opens no connection.
    ///
    /// # Errors
    /// When the configuration cannot be used; see [`RelayError`].
    pub fn new(
        config: &Config,
        tls: &ClientConfig,
        tap: Tap,
        keep_alive: KeepAlive,
        metrics: Arc<Metrics>,
    ) -> Result<Self, RelayError> {
        let mut routes = Vec::with_capacity(config.upstreams.len());
        let collecting = Collecting::new();
        for upstream in &config.upstreams {
            let route = Route::new(upstream)?;
            let timeout = config.relay.connect_timeout();
            let connections =
                Upstream::new(tls, upstream.http_version, route.is_https(), timeout, keep_alive);
            let injection = upstream
                .usage_injection
                .unwrap_or(config.relay.usage_injection)
                .then(|| InjectionPolicy::new(collecting.clone()));
            routes.push((
                route,
                Destination { upstream: connections, injection, reachability: Reachability::default() },
            ));
        }
        Ok(Self {
            routes: Routes::new(routes),
            identity: IdentityReader::new(&config.identity_headers, &config.identity)?,
            unknown_headers: UnknownHeaders::default(),
            tap,
            metrics,
        })
    }

    /// From now on a call that is broken off was broken off by us.
    pub fn kill(&self) {
        self.tap.kill();
    }
}
