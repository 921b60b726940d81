//! Our own spans, for an OTLP endpoint. Off unless configured, and then a span costs one look at its call site.
//!
//! Only spans of our own crates leave, and they hold sizes, counts and results: no bodies, keys or names of people. Log lines
//! are no part of them. What cannot be sent is dropped; the work that a span tells of never waits for it.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde::Deserialize;
use tokio::runtime::Handle;
use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::{Layer, Registry};

use crate::config::{Problems, parse_base_url};
use crate::connect::{Connector, Offer, connector};
use crate::error;
use crate::limits::{TELEMETRY_RESPONSE_BYTES_MAX, TELEMETRY_WAIT, TELEMETRY_WARNING_EVERY};
use crate::throttle::Throttle;
use crate::tls::{Roots, TlsError, client_config};

/// The `telemetry` section of a configuration file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct TelemetryConfig {
    /// Where this process sends spans of its own work, OTLP over HTTP: `http://host:4318`, without `/v1/traces`. A token goes
    /// into the environment variable `OTEL_EXPORTER_OTLP_HEADERS`. Default: nowhere.
    pub endpoint: Option<Endpoint>,
}

/// An OTLP endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Endpoint(Uri);

impl TryFrom<String> for Endpoint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse_base_url(&text).map(Self)
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.to_string().trim_end_matches('/'))
    }
}

impl TelemetryConfig {
    /// Spans of taking in spans would never end: the endpoint must be none of this process's own ports.
    pub fn check(&self, own: &[SocketAddr], problems: &mut Problems) {
        let Some(endpoint) = &self.endpoint else { return };
        if let Some(port) = own.iter().find(|port| endpoint.reaches(port)) {
            problems.push("telemetry.endpoint", format!("{port} is this process's own; name another one's"));
        }
    }
}

impl Endpoint {
    /// Whether it is surely that listener. Names other than `localhost` are not looked up.
    pub fn reaches(&self, listener: &SocketAddr) -> bool {
        let default_port = if self.0.scheme_str() == Some("https") { 443 } else { 80 };
        let host = self.0.host().unwrap_or_default().trim_matches(['[', ']']);
        let ip = match host.parse::<IpAddr>() {
            Ok(ip) => ip,
            Err(_) if host.eq_ignore_ascii_case("localhost") => IpAddr::from([127, 0, 0, 1]),
            Err(_) => return false,
        };
        let is_here = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
        self.0.port_u16().unwrap_or(default_port) == listener.port()
            && (ip == listener.ip() || (is_here(ip) && is_here(listener.ip())))
    }
}

/// Why spans cannot be sent.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each text says what is wrong")]
pub enum TelemetryError {
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The environment (`OTEL_...`) asks for something that cannot be had.
    #[error("telemetry cannot start")]
    Exporter(#[from] ExporterBuildError),
}

/// Collects spans and sends them in batches; nothing when no endpoint is configured.
#[derive(Debug, Default)]
pub struct Telemetry(Option<SdkTracerProvider>);

impl Telemetry {
    /// Under the name of `service`, over connections that `runtime` drives. Sends nothing before the first span.
    pub fn start(
        config: &TelemetryConfig,
        service: &'static str,
        runtime: &Handle,
    ) -> Result<Self, TelemetryError> {
        let Some(endpoint) = &config.endpoint else { return Ok(Self(None)) };
        let connector = connector(client_config(Roots::Native, None)?, Offer::Both, TELEMETRY_WAIT);
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_http_client(Client {
                connections: legacy::Client::builder(TokioExecutor::new()).build(connector),
                runtime: runtime.clone(),
            })
            .with_endpoint(format!("{endpoint}/v1/traces"))
            .build()?;
        // Empty: the name is ours and not the environment's.
        let resource = Resource::builder_empty()
            .with_service_name(service)
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider =
            SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
        Ok(Self(Some(provider)))
    }

    /// What hands our spans over; without an endpoint there is none, which keeps spans from being made at all.
    pub(crate) fn layer(&self) -> Option<Box<dyn Layer<Registry> + Send + Sync>> {
        let tracer = self.0.as_ref()?.tracer("ledgerline");
        let layer = tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_level(false)
            .with_target(false);
        Some(layer.with_filter(filter_fn(is_ours).with_max_level_hint(LevelFilter::INFO)).boxed())
    }

    /// Sends what is left, within [`TELEMETRY_WAIT`]. Blocks, so not on a thread of the runtime, which must still run.
    pub fn stop(self) {
        if let Some(Err(error)) = self.0.map(|provider| provider.shutdown_with_timeout(TELEMETRY_WAIT)) {
            tracing::warn!(%error, "the last spans of this process's own work may be lost");
        }
    }
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target().starts_with("ledgerline_")
}

static WARNINGS: Throttle = Throttle::new(TELEMETRY_WARNING_EVERY);

/// The exporter's way out. It calls from a thread of its own, and the work is done on the process's runtime.
#[derive(Debug)]
struct Client {
    connections: legacy::Client<Connector, Full<Bytes>>,
    runtime: Handle,
}

type Sending<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for Client {
    fn send_bytes<'this, 'sending>(&'this self, request: Request<Bytes>) -> Sending<'sending>
    where
        'this: 'sending,
    {
        let sending = self.connections.request(request.map(Full::new));
        let exchange = async move {
            let (head, body) = sending.await?.into_parts();
            let body = Limited::new(body, TELEMETRY_RESPONSE_BYTES_MAX).collect().await?;
            Ok::<_, HttpError>(Response::from_parts(head, body.to_bytes()))
        };
        let task = self.runtime.spawn(async move {
            let answer =
                tokio::time::timeout(TELEMETRY_WAIT, exchange).await.unwrap_or_else(|late| Err(late.into()));
            let reason = match &answer {
                Ok(response) if response.status().is_success() => return answer,
                Ok(response) => response.status().to_string(),
                Err(error) => error::text(error.as_ref()),
            };
            if WARNINGS.passes() {
                tracing::warn!(reason, "spans of this process's own work cannot be sent and are dropped");
            }
            answer
        });
        Box::pin(async move { task.await? })
    }
}

#[cfg(test)]
mod tests;
