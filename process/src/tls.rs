//! TLS on both sides: what a client trusts, and what a port shows. Only rustls with ring; no OpenSSL.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use hyper_rustls::ConfigBuilderExt;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::Problems;
use crate::limits::{CERTIFICATE_CHECK_EVERY, TLS_HANDSHAKE_TIMEOUT};
use crate::locked;

/// What is looked for in a PEM file.
const CERTIFICATES: &str = "certificates";
const PRIVATE_KEY: &str = "a private key";

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each text says what is wrong, with which values")]
pub enum TlsError {
    #[error("cannot read {what} from {path}: {reason}")]
    File { what: &'static str, path: PathBuf, reason: String },
    #[error("{cert_file} and {key_file} do not belong together: {reason}")]
    Pair { cert_file: PathBuf, key_file: PathBuf, reason: String },
    #[error("TLS cannot be set up")]
    Defaults(#[from] rustls::Error),
}

/// Certificate authorities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Roots {
    /// The machine's.
    #[default]
    Native,
    /// Mozilla's, built in.
    Webpki,
}

/// A client configuration that trusts the authorities of `ca_file`, or else `roots`. `Native` on a machine without
/// certificates is `Webpki`, with a warning.
pub fn client_config(roots: Roots, ca_file: Option<&Path>) -> Result<ClientConfig, TlsError> {
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

fn read_authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in read_certificates(path)? {
        store.add(certificate).map_err(|error| unreadable(CERTIFICATES, path, &error))?;
    }
    Ok(store)
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(CERTIFICATES, path, &error))?;
    if certificates.is_empty() {
        return Err(unreadable(CERTIFICATES, path, &"it holds none"));
    }
    Ok(certificates)
}

fn unreadable(what: &'static str, path: &Path, reason: &impl ToString) -> TlsError {
    TlsError::File { what, path: path.to_owned(), reason: reason.to_string() }
}

/// A `tls` section: the certificate that a port shows.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct TlsConfig {
    /// PEM file with the certificate and its chain. Read again when it changes.
    pub cert_file: PathBuf,
    /// PEM file with the private key. Read again when it changes.
    pub key_file: PathBuf,
}

impl TlsConfig {
    /// Adds what is wrong with the files, under the key's `path`.
    pub fn validate(&self, path: &str, problems: &mut Problems) {
        if let Err(error) = self.read() {
            let is_key = matches!(&error, TlsError::File { what: PRIVATE_KEY, .. });
            let key = if is_key { "key_file" } else { "cert_file" };
            problems.push(format!("{path}.{key}"), error.to_string());
        }
    }

    fn read(&self) -> Result<CertifiedKey, TlsError> {
        let chain = read_certificates(&self.cert_file)?;
        let key = PrivateKeyDer::from_pem_file(&self.key_file)
            .map_err(|error| unreadable(PRIVATE_KEY, &self.key_file, &error))?;
        let provider = rustls::crypto::ring::default_provider();
        CertifiedKey::from_der(chain, key, &provider).map_err(|error| TlsError::Pair {
            cert_file: self.cert_file.clone(),
            key_file: self.key_file.clone(),
            reason: error.to_string(),
        })
    }

    /// When the files were last written; what cannot be told does not count as a change.
    fn written_at(&self) -> [Option<SystemTime>; 2] {
        [&self.cert_file, &self.key_file]
            .map(|file| std::fs::metadata(file).and_then(|metadata| metadata.modified()).ok())
    }
}

/// The TLS side of a port, for HTTP/2 and HTTP/1.1. Cheap to clone; clones share the certificate.
#[derive(Clone)]
pub struct ServerTls(TlsAcceptor);

impl ServerTls {
    /// Reads certificate and key, and reads them again when the files change: a renewal needs no restart. A changed pair
    /// that cannot be used is reported, and the old one stays.
    pub fn load(config: &TlsConfig) -> Result<Self, TlsError> {
        let certificate = Certificate::load(config.clone())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(certificate));
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(server))))
    }

    /// The handshake of one client, within [`TLS_HANDSHAKE_TIMEOUT`]. `None`: it failed, which is the client's business
    /// and told at level debug.
    pub async fn accept(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let handshake = tokio::time::timeout(TLS_HANDSHAKE_TIMEOUT, self.0.accept(stream)).await;
        let accepted = handshake.unwrap_or_else(|late| Err(late.into()));
        accepted.inspect_err(|error| tracing::debug!(%error, "a TLS handshake failed")).ok()
    }
}

/// The certificate on disk. Looked at when a client connects, not by a task: a port that nobody uses costs nothing.
#[derive(Debug)]
struct Certificate {
    config: TlsConfig,
    loaded: Mutex<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    key: Arc<CertifiedKey>,
    written_at: [Option<SystemTime>; 2],
    checked_at: Instant,
}

impl Certificate {
    fn load(config: TlsConfig) -> Result<Self, TlsError> {
        let written_at = config.written_at();
        let key = Arc::new(config.read()?);
        let loaded = Mutex::new(Loaded { key, written_at, checked_at: Instant::now() });
        Ok(Self { config, loaded })
    }

    fn current(&self) -> Arc<CertifiedKey> {
        let mut loaded = locked(&self.loaded);
        if loaded.checked_at.elapsed() < CERTIFICATE_CHECK_EVERY {
            return Arc::clone(&loaded.key);
        }
        loaded.checked_at = Instant::now();
        let written_at = self.config.written_at();
        if written_at != loaded.written_at {
            loaded.written_at = written_at;
            match self.config.read() {
                Ok(key) => {
                    loaded.key = Arc::new(key);
                    tracing::info!(cert_file = %self.config.cert_file.display(), "the certificate was renewed");
                }
                // Often a pair of which one file is written and the other is not yet.
                Err(error) => {
                    tracing::warn!(%error, "the changed certificate cannot be used; the old one stays");
                }
            }
        }
        Arc::clone(&loaded.key)
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

#[cfg(test)]
mod tests;
