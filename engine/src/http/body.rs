//! A request's body, read by a blocking thread.
//!
//! A client that stalls or leaves is an error there, never an early end: half a body must not be committed.

use std::io::{self, BufRead, Cursor, Read};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::compression::blocks::BlockError;
use crate::errors::{Kind, QueryError};
use crate::limits;
use crate::pieces::Pieces;

/// Why a body did not end.
#[derive(Debug, thiserror::Error)]
enum BodyError {
    #[error("The request body paused for longer than {} s", limits::BODY_STALL_WAIT.as_secs())]
    Stalled,
    #[error("The request body ended early: {0}")]
    Lost(hyper::Error),
}

/// A body for a thread that is none of the runtime's. What the thread leaves unread is thrown away by a task of `tasks`.
pub fn reader(body: Incoming, runtime: Handle, tasks: TaskTracker) -> Box<dyn BufRead + Send> {
    let mut unread = Unread { body: Some(body), runtime, tasks };
    Box::new(Pieces::new(move || unread.next()))
}

struct Unread {
    body: Option<Incoming>,
    runtime: Handle,
    tasks: TaskTracker,
}

impl Unread {
    fn next(&mut self) -> io::Result<Option<Bytes>> {
        let Some(body) = &mut self.body else { return Ok(None) };
        let frame = self.runtime.block_on(async { timeout(limits::BODY_STALL_WAIT, body.frame()).await });
        let lost = match frame {
            Ok(Some(Ok(frame))) => {
                if body.is_end_stream() {
                    self.body = None;
                }
                // Trailers are no bytes.
                return Ok(Some(frame.into_data().unwrap_or_default()));
            }
            Ok(None) => None,
            Ok(Some(Err(error))) => Some(BodyError::Lost(error)),
            Err(_) => Some(BodyError::Stalled),
        };
        self.body = None;
        lost.map_or(Ok(None), |lost| Err(io::Error::new(io::ErrorKind::ConnectionAborted, lost)))
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) {
            self.tasks.spawn_on(drain(body), &self.runtime);
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

/// The text of the URL, a line end, and the body, as one stream.
pub fn after_query(query: &[u8], body: Box<dyn BufRead + Send>) -> Box<dyn BufRead + Send> {
    if query.is_empty() {
        return body;
    }
    Box::new(Read::chain(Cursor::new([query, b"\n"].concat()), body))
}

/// What a failed read of a body means.
#[expect(clippy::needless_pass_by_value, reason = "it goes into `map_err`")]
pub fn body_error(error: io::Error) -> QueryError {
    let inner = error.get_ref();
    if let Some(lost) = inner.and_then(|inner| inner.downcast_ref::<BodyError>()) {
        return QueryError::new(Kind::NETWORK_ERROR, lost);
    }
    let text = format_args!("Cannot decompress the request body: {error}");
    match inner.and_then(|inner| inner.downcast_ref::<BlockError>()) {
        Some(checksum @ BlockError::Checksum) => QueryError::new(Kind::CHECKSUM_DOESNT_MATCH, checksum),
        Some(malformed) => QueryError::new(Kind::CANNOT_DECOMPRESS, malformed),
        None => QueryError::new(Kind::CANNOT_DECOMPRESS, text),
    }
}
