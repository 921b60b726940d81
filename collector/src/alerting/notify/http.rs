//! One HTTP client for all receivers: connections are reused, every request has a deadline, and no more of an answer is read
//! than the log shows.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use ledgerline_process::connect::{Connector, Offer, connector};
use ledgerline_process::error;
use ledgerline_process::tls::{Roots, TlsError, client_config};

use crate::alerting::limits::{CONNECT_WAIT, RESPONSE_BYTES_MAX};

/// Idle connections are closed before the usual server side limits of 60 s and more.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// Cheap to clone; clones share connections.
#[derive(Clone)]
pub(crate) struct Client(hyper_util::client::legacy::Client<Connector, Full<Bytes>>);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    #[error("cannot reach it: {0}")]
    Connect(String),
}

/// An answer, cut to what a person reads.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) excerpt: String,
}

impl Client {
    /// Trusts the machine's certificate store, so that a company's own authority works, else Mozilla's.
    pub(crate) fn new() -> Result<Self, TlsError> {
        let connector = connector(client_config(Roots::Native, None)?, Offer::Both, CONNECT_WAIT);
        let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .build(connector);
        Ok(Self(client))
    }

    /// Sends and reads the answer up to [`RESPONSE_BYTES_MAX`]. Safe to drop at any point: the request may or may not have
    /// arrived, which is what at-least-once delivery expects.
    pub(crate) async fn send(
        &self,
        request: Request<Full<Bytes>>,
        timeout: Duration,
    ) -> Result<Answer, HttpError> {
        let exchange = async {
            let answer =
                self.0.request(request).await.map_err(|error| HttpError::Connect(error::text(&error)))?;
            let status = answer.status();
            // A body that is too long or breaks off does not change the verdict of the status line.
            let body = Limited::new(answer.into_body(), RESPONSE_BYTES_MAX).collect().await;
            let bytes = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            let excerpt = String::from_utf8_lossy(&bytes).chars().take(200).collect();
            Ok(Answer { status, excerpt })
        };
        tokio::time::timeout(timeout, exchange).await.unwrap_or(Err(HttpError::Timeout(timeout)))
    }
}
