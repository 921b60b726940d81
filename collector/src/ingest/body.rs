//! Reads a request's body within its size, its time and the memory granted.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use super::admission::Grant;
use super::refusal::Refusal;
use crate::limits;

/// The whole body.
///
/// # Errors
/// When it is too large, too slow, breaks off, or there is no memory for it.
pub async fn read(body: Body, grant: &mut Grant) -> Result<Bytes, Refusal> {
    let deadline = Instant::now() + limits::BODY_READ_WAIT;
    let mut body = body;
    let outcome = collect(&mut body, grant, deadline).await;
    if matches!(outcome, Err(Refusal::TooLarge { .. } | Refusal::Busy(_))) {
        discard(&mut body, deadline).await;
    }
    outcome
}

async fn collect(body: &mut Body, grant: &mut Grant, deadline: Instant) -> Result<Bytes, Refusal> {
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

async fn next(body: &mut Body, deadline: Instant) -> Result<Option<Bytes>, Refusal> {
    loop {
        let frame = timeout_at(deadline, body.frame())
            .await
            .map_err(|_| Refusal::BodyTimeout(limits::BODY_READ_WAIT))?;
        match frame.transpose().map_err(|error| Refusal::Malformed(format!("the body broke off: {error}")))? {
            None => return Ok(None),
            Some(frame) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// Reads on without keeping anything. A sender that is cut off while it writes does not read the answer, sees a broken
/// connection, and repeats what can never be taken.
async fn discard(body: &mut Body, deadline: Instant) {
    let mut left = limits::DISCARD_BYTES_MAX;
    while let Ok(Some(data)) = next(body, deadline).await {
        left = left.saturating_sub(data.len());
        if left == 0 {
            return;
        }
    }
}
