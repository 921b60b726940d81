//! A request's body, read by a blocking thread.
//!
//! A task reads the socket and hands pieces over a bounded channel; the engine's thread sees a `BufRead`. A client that stalls or
//! leaves is an error there, never an early end: half a body must not be committed.

use std::io::{self, BufRead, Cursor, Read};

use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::compression::blocks::BlockError;
use crate::errors::{Kind, QueryError};
use crate::limits;

/// Why a body did not end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// Nothing came for `BODY_STALL_WAIT`.
    #[error("The request body paused for longer than {0} s")]
    Stalled(u64),
    /// The connection broke, or the body was cut.
    #[error("The request body ended early: {0}")]
    Lost(hyper::Error),
}

/// The reading side, for a blocking thread.
pub struct BodyReader {
    pieces: mpsc::Receiver<Result<Bytes, BodyError>>,
    current: Bytes,
}

/// The two sides of a body: the reader, and the task that feeds it.
pub fn channel(body: Incoming) -> (BodyReader, impl Future<Output = ()>) {
    let (sender, pieces) = mpsc::channel(limits::BODY_PIECES_MAX);
    (BodyReader { pieces, current: Bytes::new() }, feed(body, sender))
}

async fn feed(mut body: Incoming, pieces: mpsc::Sender<Result<Bytes, BodyError>>) {
    loop {
        let piece = match timeout(limits::BODY_STALL_WAIT, body.frame()).await {
            Ok(None) => return,
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => Ok(data),
                Err(_trailers) => continue,
            },
            Ok(Some(Err(error))) => Err(BodyError::Lost(error)),
            Err(_) => Err(BodyError::Stalled(limits::BODY_STALL_WAIT.as_secs())),
        };
        let last = piece.is_err();
        let unwanted = pieces.send(piece).await.is_err();
        if last {
            return;
        }
        if unwanted {
            return drain(body).await;
        }
    }
}

/// Reads on, within a bound, after the statement has failed: a client that still sends would not read our answer.
async fn drain(mut body: Incoming) {
    let mut left = limits::DRAIN_BYTES_MAX;
    while let Ok(Some(Ok(frame))) = timeout(limits::BODY_STALL_WAIT, body.frame()).await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        if length > left {
            return;
        }
        left -= length;
    }
}

impl Read for BodyReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let length = available.len().min(out.len());
        out[..length].copy_from_slice(&available[..length]);
        self.consume(length);
        Ok(length)
    }
}

impl BufRead for BodyReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.is_empty() {
            match self.pieces.blocking_recv() {
                None => break,
                Some(Ok(piece)) => self.current = piece,
                Some(Err(error)) => return Err(io::Error::new(io::ErrorKind::ConnectionAborted, error)),
            }
        }
        Ok(&self.current)
    }

    fn consume(&mut self, amount: usize) {
        self.current.advance(amount);
    }
}

/// The text of the URL, a line end, and the body, as one stream.
pub fn after_query(query: &[u8], body: Box<dyn BufRead + Send>) -> Box<dyn BufRead + Send> {
    if query.is_empty() {
        return body;
    }
    Box::new(Read::chain(Cursor::new([query, b"\n"].concat()), body))
}

/// What a failed read of a body means.
pub fn body_error(error: &io::Error) -> QueryError {
    let inner = error.get_ref();
    if let Some(lost) = inner.and_then(|inner| inner.downcast_ref::<BodyError>()) {
        return QueryError::new(Kind::BodyLost, lost);
    }
    match inner.and_then(|inner| inner.downcast_ref::<BlockError>()) {
        Some(checksum @ BlockError::Checksum) => QueryError::new(Kind::ChecksumMismatch, checksum),
        Some(malformed) => QueryError::new(Kind::CannotDecompress, malformed),
        None => QueryError::new(
            Kind::CannotDecompress,
            format_args!("Cannot decompress the request body: {error}"),
        ),
    }
}
