//! Connections to other processes: name lookup, TCP, TLS, all within one deadline.
//!
//! Used for upstreams of the agent, the collector, the store, the receivers of alerts and our own telemetry.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::ClientConfig;
use tower::Service;

use crate::limits::{TCP_KEEPALIVE, TCP_UNACKNOWLEDGED_MAX};

/// Which HTTP versions to offer in TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// Both; the server chooses.
    Both,
}

/// A connector for `http` and `https` that gives up after a deadline.
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
    let inner = match offer {
        Offer::Http1 => builder.enable_http1().wrap_connector(tcp),
        Offer::Http2 => builder.enable_http2().wrap_connector(tcp),
        Offer::Both => builder.enable_all_versions().wrap_connector(tcp),
    };
    Connector { inner, deadline }
}

/// Connects within a deadline that covers name lookup and TLS too, which the library's own does not.
#[derive(Clone)]
pub struct Connector {
    inner: HttpsConnector<HttpConnector>,
    deadline: Duration,
}

/// The deadline passed.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {} ms", .0.as_millis())]
pub struct ConnectTimeout(Duration);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Service<Uri> for Connector {
    type Response = <HttpsConnector<HttpConnector> as Service<Uri>>::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.inner.call(uri);
        let deadline = self.deadline;
        Box::pin(async move {
            match tokio::time::timeout(deadline, connecting).await {
                Ok(result) => result,
                Err(_) => Err(ConnectTimeout(deadline).into()),
            }
        })
    }
}
