//! Connections to other processes: name lookup, TCP, TLS, all within one deadline.
//!
//! Used by the relay for upstreams and by the export for the collector.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tower::Service;

use crate::config::Roots;
use crate::limits::{TCP_KEEPALIVE, TCP_UNACKNOWLEDGED_MAX};

/// Why certificate authorities could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The `ca_file` cannot be read or has no certificate.
    #[error("cannot read certificates from {path}: {reason}")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// rustls refuses its own defaults.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// A client configuration that trusts the given authorities.
///
/// # Errors
/// When `ca_file` cannot be used.
pub fn client_tls(roots: Roots, ca_file: Option<&Path>) -> Result<ClientConfig, TrustError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = match (ca_file, roots) {
        (Some(path), _) => builder.with_root_certificates(Arc::new(read_authorities(path)?)),
        (None, Roots::Webpki) => builder.with_webpki_roots(),
        (None, Roots::Native) => match builder.clone().with_native_roots() {
            Ok(native) => native,
            Err(error) => {
                tracing::warn!(%error, "no certificate authorities on this machine; using the built-in list");
                builder.with_webpki_roots()
            }
        },
    };
    Ok(builder.with_no_client_auth())
}

fn read_authorities(path: &Path) -> Result<RootCertStore, TrustError> {
    let error = |reason: String| TrustError::CaFile { path: path.to_owned(), reason };
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|e| error(e.to_string()))? {
        let certificate = certificate.map_err(|e| error(e.to_string()))?;
        store.add(certificate).map_err(|e| error(e.to_string()))?;
    }
    if store.is_empty() { Err(error("it holds no certificate".to_owned())) } else { Ok(store) }
}

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
#[must_use]
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
