//! Sends sealed requests to the collector until it has responded to each.
//!
//! One without a response is sent again under the same identity, so that the collector can tell a repeat from a new one.
//! There is no giving up; the spool's bound is the bound of patience. What the collector calls invalid would be invalid
//! forever, so it is counted as rejected and let go.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::uri::PathAndQuery;
use ledgerline_process::backoff::Backoff;
use ledgerline_process::connect::{Connector, Offer, connector};
use ledgerline_proto::otlp::ExportTraceServiceResponse;
use ledgerline_proto::producer::{EPOCH_KEY, PRODUCER_ID_KEY, SEQUENCE_KEY};
use rustls::ClientConfig;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tonic::client::Grpc;
use tonic::codec::CompressionEncoding;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tracing::field::Empty;

use super::codec::EncodedExport;
use super::credential::Credential;
use super::fault::Faults;
use super::spool::{SealedRequest, Spool};
use crate::config::{Compression, ExportSettings};
use crate::limits::{
    EXPORT_BACKOFF_MAX, EXPORT_BACKOFF_MIN, EXPORT_IN_FLIGHT_MAX, EXPORT_RESPONSE_BYTES_MAX, EXPORT_TIMEOUT,
};
use crate::metrics::{DropReason, ExportResult, Metrics};

const EXPORT_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

#[derive(Clone)]
pub struct Sender {
    endpoint: Endpoint,
    connector: Connector,
    compression: Compression,
    spool: Arc<Spool>,
    metrics: Arc<Metrics>,
    producer_id: MetadataValue<Ascii>,
    epoch: u64,
    credential: Arc<Credential>,
    faults: Arc<Faults>,
}

/// A request under way. However it is dropped, by a panic too, its memory is free and its calls no longer wait.
struct Delivery<'a> {
    sender: &'a Sender,
    request: &'a SealedRequest,
    /// What makes its calls undeliverable if it ends now.
    lost_by: Option<DropReason>,
}

impl Drop for Delivery<'_> {
    fn drop(&mut self) {
        self.sender.spool.release(self.request);
        if let Some(reason) = self.lost_by {
            self.sender.metrics.count_dropped(reason, self.request.calls as u64);
        }
    }
}

impl Sender {
    /// A sender to the configured collector. Connects when there is something to send.
    pub fn new(
        settings: ExportSettings,
        tls: &ClientConfig,
        epoch: u64,
        spool: Arc<Spool>,
        metrics: Arc<Metrics>,
    ) -> io::Result<Self> {
        let tls = settings.tls.unwrap_or_else(|| tls.clone());
        Ok(Self {
            endpoint: Endpoint::from(settings.collector)
                .timeout(EXPORT_TIMEOUT)
                .http2_keep_alive_interval(EXPORT_TIMEOUT),
            connector: connector(tls, Offer::Http2, EXPORT_BACKOFF_MAX),
            compression: settings.compression,
            spool,
            metrics,
            producer_id: uuid::Uuid::new_v4().to_string().parse().map_err(io::Error::other)?,
            epoch,
            credential: Arc::new(settings.credential),
            faults: Arc::default(),
        })
    }

    fn client(&self) -> Grpc<Channel> {
        let channel = self.endpoint.connect_with_connector_lazy(self.connector.clone());
        let client = Grpc::new(channel).max_decoding_message_size(EXPORT_RESPONSE_BYTES_MAX);
        match self.compression {
            Compression::None => client,
            Compression::Zstd => client.send_compressed(CompressionEncoding::Zstd),
        }
    }

    /// Sends until the spool is closed and empty, or until `give_up`, after which the rest is counted as dropped.
    pub async fn run(self, give_up: CancellationToken) {
        let client = self.client();
        let sender = Arc::new(self);
        let mut running = JoinSet::new();
        loop {
            tokio::select! {
                // Finished ones make room first.
                biased;
                Some(joined) = running.join_next() => sender.check(&joined),
                () = give_up.cancelled() => break,
                request = sender.spool.next(), if running.len() < EXPORT_IN_FLIGHT_MAX => match request {
                    Some(request) => {
                        let (sender, client, give_up) = (sender.clone(), client.clone(), give_up.clone());
                        running.spawn(async move { sender.deliver(client, request, give_up).await });
                    }
                    None => break,
                },
            }
        }
        while let Some(joined) = running.join_next().await {
            sender.check(&joined);
        }
        sender.drop_the_rest().await;
    }

    fn check(&self, joined: &Result<(), JoinError>) {
        if joined.is_err() {
            self.metrics.restarts.inc();
            tracing::error!("sending a request panicked; its calls are not recorded");
        }
    }

    /// After giving up: what was never handed out.
    async fn drop_the_rest(&self) {
        self.spool.close();
        let mut dropped = 0;
        while let Some(request) = self.spool.next().await {
            dropped += request.calls;
            drop(Delivery { sender: self, request: &request, lost_by: Some(DropReason::shutdown) });
        }
        if dropped > 0 {
            tracing::warn!(dropped, "the collector did not respond in time; finished calls are lost");
        }
    }

    async fn deliver(&self, client: Grpc<Channel>, request: SealedRequest, give_up: CancellationToken) {
        let mut delivery = Delivery { sender: self, request: &request, lost_by: Some(DropReason::fault) };
        match give_up.run_until_cancelled(self.send(client, &request)).await {
            Some(Ok(response)) => {
                delivery.lost_by = None;
                drop(delivery);
                self.acknowledged(&request, response);
            }
            Some(Err(status)) => {
                delivery.lost_by = Some(DropReason::rejected);
                self.rejected(&request, &status);
            }
            None => {
                delivery.lost_by = Some(DropReason::shutdown);
                tracing::warn!(
                    sequence = request.sequence,
                    calls = request.calls,
                    "stopping without the collector's response; these calls may be lost"
                );
            }
        }
    }

    /// Sends until there is a response that counts; an error is for good.
    async fn send(
        &self,
        client: Grpc<Channel>,
        request: &SealedRequest,
    ) -> Result<ExportTraceServiceResponse, Status> {
        let mut backoff = Backoff::new(EXPORT_BACKOFF_MIN, EXPORT_BACKOFF_MAX);
        loop {
            let unreadable = || Status::internal("it cannot be read from memory");
            let bytes = request.message().ok_or_else(unreadable)?;
            let span =
                tracing::info_span!("export", calls = request.calls, bytes = bytes.len(), code = Empty);
            let response = self.attempt(client.clone(), request.sequence, bytes).await;
            span.record("code", response.as_ref().map_or_else(|status| status.code() as i32, |_| 0));
            drop(span);
            match response {
                // All but one pass: a collector that restarts, a wrong token that is being put right, a proxy.
                Err(status) if status.code() != Code::InvalidArgument => self.postponed(&status),
                last_word => return last_word,
            }
            tokio::time::sleep(backoff.pause_with_jitter()).await;
        }
    }

    async fn attempt(
        &self,
        mut client: Grpc<Channel>,
        sequence: u64,
        bytes: Bytes,
    ) -> Result<ExportTraceServiceResponse, Status> {
        let mut message = Request::new(bytes);
        let metadata = message.metadata_mut();
        metadata.insert(PRODUCER_ID_KEY, self.producer_id.clone());
        metadata.insert(EPOCH_KEY, self.epoch.into());
        metadata.insert(SEQUENCE_KEY, sequence.into());
        if let Some(authorization) = self.credential.authorization() {
            metadata.insert("authorization", authorization);
        }
        client.ready().await.map_err(|error| Status::from_error(error.into()))?;
        let path = PathAndQuery::from_static(EXPORT_PATH);
        Ok(client.unary(message, path, EncodedExport).await?.into_inner())
    }

    fn postponed(&self, status: &Status) {
        self.metrics.count_export(ExportResult::retried);
        self.faults.report(status, self.metrics.calls_waiting.get());
        if status.code() == Code::Unauthenticated {
            self.credential.read_again();
        }
    }

    fn acknowledged(&self, request: &SealedRequest, response: ExportTraceServiceResponse) {
        self.metrics.count_export(ExportResult::acknowledged);
        self.faults.end();
        let calls = request.calls as u64;
        let partial = response.partial_success.unwrap_or_default();
        let rejected = u64::try_from(partial.rejected_spans).unwrap_or(0).min(calls);
        self.metrics.calls_exported.inc_by(calls - rejected);
        if rejected > 0 {
            self.metrics.spans_rejected.inc_by(rejected);
            self.metrics.count_dropped(DropReason::rejected, rejected);
            tracing::error!(
                sequence = request.sequence,
                rejected,
                reason = partial.error_message,
                "the collector rejected spans"
            );
        }
    }

    fn rejected(&self, request: &SealedRequest, status: &Status) {
        self.metrics.count_export(ExportResult::rejected);
        self.metrics.spans_rejected.inc_by(request.calls as u64);
        tracing::error!(
            sequence = request.sequence,
            calls = request.calls,
            code = ?status.code(),
            reason = status.message(),
            "a request was rejected for good; its calls are lost"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::spool::tests::call;
    use ledgerline_process::tls::{Roots, client_config};

    use super::*;

    /// Scenario: a delivery ends without a response, as a panic or the end of its task ends it.
    #[tokio::test]
    async fn a_delivery_that_breaks_off_gives_its_request_back() {
        let metrics = Arc::new(Metrics::default());
        let spool = Arc::new(Spool::new(1 << 20, metrics.clone()));
        // Takes connections and never responds.
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = ExportSettings {
            collector: format!("http://{}", silent.local_addr().unwrap()).parse().unwrap(),
            credential: Credential::read(None).unwrap(),
            tls: None,
            compression: Compression::None,
            spool_bytes_max: 1 << 20,
            flush_timeout: EXPORT_TIMEOUT,
        };
        let tls = client_config(Roots::Webpki, None).unwrap();
        let sender = Sender::new(settings, &tls, 1, spool.clone(), metrics.clone()).unwrap();
        spool.push(call(1));
        spool.close();
        let request = spool.next().await.unwrap();
        let delivery = {
            let (sender, client) = (sender.clone(), sender.client());
            tokio::spawn(async move { sender.deliver(client, request, CancellationToken::new()).await })
        };
        let _connection = silent.accept().await.unwrap();
        assert_eq!(metrics.calls_waiting.get(), 1);
        delivery.abort();
        assert!(delivery.await.unwrap_err().is_cancelled());
        assert_eq!((metrics.calls_waiting.get(), metrics.spool_bytes.get()), (0, 0));
        assert_eq!(metrics.calls_dropped.get_or_create(&[("reason", DropReason::fault)]).get(), 1);
    }
}
