//! What both transports do with a request: count it, find out whose it is, and read its body within its size, its time and the
//! memory granted.

use std::sync::Arc;

use axum::body::{Body, BodyDataStream};
use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use ledgerline_proto::producer::{EPOCH_KEY, PRODUCER_ID_KEY, RequestIdentity, SEQUENCE_KEY};
use tokio::time::{Instant, timeout_at};

use super::admission::Grant;
use super::decode::Format;
use super::decompress::Encoding;
use super::refusal::Refusal;
use super::reply::Receipt;
use super::{Ingest, Request};
use crate::limits;

impl Ingest {
    /// Counts a request, the time it takes and how it ends.
    pub(super) async fn counted(
        &self,
        protocol: &'static str,
        request: impl Future<Output = Result<Receipt, Refusal>>,
    ) -> Result<Receipt, Refusal> {
        let (begun, metrics) = (Instant::now(), &self.parts.metrics);
        metrics.requests.of([protocol]).inc();
        let outcome = request.await;
        metrics.request_seconds.observe(begun.elapsed().as_secs_f64());
        if let Err(refusal) = &outcome {
            metrics.refused.of([refusal.name()]).inc();
        }
        outcome
    }

    /// Takes a request. The header `encoding` says how its message is compressed; `unframe` says whether it is, and gets it out
    /// of the body.
    pub(super) async fn receive(
        self: &Arc<Self>,
        (headers, body): (&HeaderMap, Body),
        encoding: HeaderName,
        format: Format,
        deadline: Instant,
        unframe: impl FnOnce(Bytes) -> Result<(bool, Bytes), Refusal>,
    ) -> Result<Receipt, Refusal> {
        let principal = self.parts.access.principal(headers)?;
        let encoding = headers.get(encoding).map_or(Ok(""), HeaderValue::to_str);
        let encoding = Encoding::from_name(encoding.unwrap_or("not text"))?;
        let mut grant = self.admission.enter();
        let (compressed, body) = unframe(read(body, &mut grant).await?)?;
        let encoding = if compressed { encoding } else { Encoding::Identity };
        let producer = producer(headers);
        self.export(Request { principal, producer, format, encoding, body, grant, deadline }).await
    }
}

/// The agent's numbering. Without all three it is some other sender, whose request is named by its spans alone.
fn producer(headers: &HeaderMap) -> Option<RequestIdentity> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    Some(RequestIdentity {
        producer_id: text(PRODUCER_ID_KEY).filter(|id| !id.is_empty() && id.len() <= 64)?.to_owned(),
        epoch: text(EPOCH_KEY)?.parse().ok()?,
        sequence: text(SEQUENCE_KEY)?.parse().ok()?,
    })
}

async fn read(body: Body, grant: &mut Grant) -> Result<Bytes, Refusal> {
    let mut body = body.into_data_stream();
    let deadline = Instant::now() + limits::BODY_READ_WAIT;
    let outcome = collect(&mut body, grant, deadline).await;
    if matches!(outcome, Err(Refusal::TooLarge { .. } | Refusal::Busy(_))) {
        discard(&mut body, deadline).await;
    }
    outcome
}

async fn collect(body: &mut BodyDataStream, grant: &mut Grant, deadline: Instant) -> Result<Bytes, Refusal> {
    let mut read = BytesMut::new();
    while let Some(data) = next(body, deadline).await? {
        if read.len() + data.len() > limits::REQUEST_BYTES_MAX {
            return Err(Refusal::TooLarge { what: "as sent", limit: limits::REQUEST_BYTES_MAX });
        }
        grant.grow(data.len())?;
        read.extend_from_slice(&data);
    }
    Ok(read.freeze())
}

async fn next(body: &mut BodyDataStream, deadline: Instant) -> Result<Option<Bytes>, Refusal> {
    let late = |_| Refusal::BodyTimeout(limits::BODY_READ_WAIT);
    let data = timeout_at(deadline, body.try_next()).await.map_err(late)?;
    data.map_err(|error| Refusal::Malformed(format!("the body broke off: {error}")))
}

/// Reads on without keeping anything. A sender that is cut off while it writes does not read the answer, sees a broken
/// connection, and repeats what can never be taken.
async fn discard(body: &mut BodyDataStream, deadline: Instant) {
    let mut left = limits::DISCARD_BYTES_MAX;
    while left > 0
        && let Ok(Some(data)) = next(body, deadline).await
    {
        left = left.saturating_sub(data.len());
    }
}
