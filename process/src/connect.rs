//! Connections to other processes: name lookup, TCP, TLS, all within one deadline.
//!
//! Used for upstreams of the agent, the collector, the store, the receivers of alerts and our own telemetry.

use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::ClientConfig;
use serde::Deserialize;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service, ServiceExt};

use crate::limits::{TCP_KEEPALIVE, TCP_UNACKNOWLEDGED_MAX};

/// Which HTTP versions to offer in TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Offer {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// Both; the server chooses.
    #[default]
    #[serde(rename = "auto")]
    Both,
}

/// Opens connections. Cheap to clone.
pub type Connector =
    BoxCloneSyncService<Uri, <HttpsConnector<HttpConnector> as Service<Uri>>::Response, BoxError>;

/// The deadline passed.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {} ms", .0.as_millis())]
pub struct ConnectTimeout(Duration);

/// A connector for `http` and `https` with a deadline that covers name lookup and TLS too, which the library's own does not.
pub fn connector(tls: ClientConfig, offer: Offer, deadline: Duration) -> Connector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(TCP_KEEPALIVE));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(TCP_UNACKNOWLEDGED_MAX));
    // Shared out among the host's addresses, so that one dead address leaves time for the next.
    tcp.set_connect_timeout(Some(deadline));
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    let connector = match offer {
        Offer::Http1 => builder.enable_http1().wrap_connector(tcp),
        Offer::Http2 => builder.enable_http2().wrap_connector(tcp),
        Offer::Both => builder.enable_all_versions().wrap_connector(tcp),
    };
    BoxCloneSyncService::new(connector.map_future(move |connecting| async move {
        let connected = tokio::time::timeout(deadline, connecting).await;
        connected.unwrap_or_else(|_| Err(ConnectTimeout(deadline).into()))
    }))
}
