//! The client side of the relay: pooled connections to one upstream.
//!
//! A request is sent once; the library repeats only one that was not yet written, because its pooled connection turned out
//! closed. There is no timeout after the connection stands, because thinking models are silent for minutes and the client
//! has a timeout of its own. HTTP/2 pings, which a silent model answers, find a peer that has vanished.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use ledgerline_process::connect::{ConnectTimeout, Connector, Offer, connector};
use ledgerline_process::error::{find, innermost};
use rustls::ClientConfig;

use super::ConnectionSlot;
use super::body::RequestBody;
use crate::limits::{
    HEADERS_MAX, HTTP2_CONNECTION_WINDOW_BYTES, HTTP2_HEADER_LIST_BYTES_MAX, HTTP2_STREAM_WINDOW_BYTES,
    RESPONSE_HEAD_BYTES_MAX, RelayLimits, UPSTREAM_IDLE_MAX, UPSTREAM_IDLE_TIMEOUT, UPSTREAM_LANES,
    UPSTREAM_STREAMS_PER_LANE,
};

#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    #[error("could not connect: {0}")]
    ConnectTimeout(String),
    /// The connection was refused, the name is unknown, or TLS failed.
    #[error("could not connect: {0}")]
    Connect(String),
    #[error("the connection broke before the answer came: {0}")]
    Reset(String),
    #[error("the client broke off within its request")]
    RequestBody,
}

impl UpstreamError {
    /// Our error class, as in spans and in the header of our response.
    pub const fn class(&self) -> &'static str {
        match self {
            Self::ConnectTimeout(_) => "timeout",
            Self::Connect(_) => "connect",
            Self::Reset(_) => "upstream_reset",
            Self::RequestBody => "incomplete_request",
        }
    }
}

/// Connections to one upstream. The pooling client keeps one HTTP/2 connection per host, on which servers allow about 100
/// streams: so there are several such clients, lanes, and a call takes the first one with room.
#[derive(Clone)]
pub(crate) struct Upstream {
    offer: Offer,
    lanes: Arc<[Lane]>,
}

struct Lane {
    client: Client<Connector, RequestBody>,
    /// Shared with each call on it.
    running: ConnectionSlot,
}

impl Upstream {
    pub fn new(
        tls: &ClientConfig,
        offer: Offer,
        is_https: bool,
        connect_timeout: Duration,
        limits: RelayLimits,
    ) -> Self {
        // In plain text nothing is negotiated, and HTTP/2 is by prior knowledge.
        let offer = if offer == Offer::Both && !is_https { Offer::Http1 } else { offer };
        let lanes = if offer == Offer::Http1 { 1 } else { UPSTREAM_LANES };
        let connector = connector(tls.clone(), offer, connect_timeout);
        let lane = || Lane {
            client: client(connector.clone(), offer == Offer::Http2, limits),
            running: ConnectionSlot::default(),
        };
        Self { offer, lanes: std::iter::repeat_with(lane).take(lanes).collect() }
    }

    /// Whether it is never spoken to in HTTP/2, where the library does not tell us of interim responses.
    pub fn is_http1_only(&self) -> bool {
        self.offer == Offer::Http1
    }

    /// Sends a request and returns the head of the response. Dropping the future, or later the body, cancels it upstream.
    pub async fn send(
        &self,
        mut request: Request<RequestBody>,
    ) -> Result<(Response<Incoming>, ConnectionSlot), UpstreamError> {
        // What the connection speaks decides; the library refuses HTTP/2 requests on HTTP/1 connections.
        *request.version_mut() = Version::HTTP_11;
        let (client, slot) = self.enter();
        match client.request(request).await {
            Ok(response) => Ok((response, slot)),
            Err(error) if error.is_connect() => Err(match find::<ConnectTimeout>(&error) {
                Some(timeout) => UpstreamError::ConnectTimeout(timeout.to_string()),
                None => UpstreamError::Connect(innermost(&error)),
            }),
            Err(error) if find::<hyper::Error>(&error).is_some_and(hyper::Error::is_user) => {
                Err(UpstreamError::RequestBody)
            }
            Err(error) => Err(UpstreamError::Reset(innermost(&error))),
        }
    }

    fn enter(&self) -> (&Client<Connector, RequestBody>, ConnectionSlot) {
        // The lane itself holds one.
        let running = |lane: &&Lane| Arc::strong_count(&lane.running) - 1;
        let with_room = self.lanes.iter().find(|lane| running(lane) < UPSTREAM_STREAMS_PER_LANE);
        let lane = with_room.or_else(|| self.lanes.iter().min_by_key(running)).unwrap_or(&self.lanes[0]);
        (&lane.client, lane.running.clone())
    }
}

fn client(connector: Connector, http2_only: bool, limits: RelayLimits) -> Client<Connector, RequestBody> {
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(UPSTREAM_IDLE_TIMEOUT)
        .pool_max_idle_per_host(UPSTREAM_IDLE_MAX)
        .http1_max_buf_size(RESPONSE_HEAD_BYTES_MAX)
        .http1_max_headers(HEADERS_MAX)
        .http2_max_header_list_size(HTTP2_HEADER_LIST_BYTES_MAX)
        // A response may have been billed: a head that is written badly is no reason to throw it away.
        .http1_allow_obsolete_multiline_headers_in_responses(true)
        .http1_allow_spaces_after_header_name_in_responses(true)
        .http1_ignore_invalid_headers_in_responses(true)
        .http2_only(http2_only)
        .http2_initial_stream_window_size(HTTP2_STREAM_WINDOW_BYTES)
        .http2_initial_connection_window_size(HTTP2_CONNECTION_WINDOW_BYTES)
        .http2_keep_alive_interval(limits.ping_interval)
        .http2_keep_alive_timeout(limits.ping_timeout)
        .http2_keep_alive_while_idle(true)
        .build(connector)
}
