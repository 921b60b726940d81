//! The answer to one request: buffered while it is small, streamed when it is not.
//!
//! While nothing has been sent, an error is a proper status. So the first `buffer_bytes` wait here, and only a larger result is sent
//! under a 200 that cannot be taken back; an error after that is written into the body in ClickHouse's tagged form and the
//! connection is cut, so that every client notices, tagged or not.

use std::collections::HashMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use http_body::Frame;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Sleep};

use super::request::Request;
use super::spill::SpillBuffer;
use crate::cancel::CancelOnDrop;
use crate::compression::Encoder;
use crate::errors::{Kind, QueryError};
use crate::ffi::Counters;
use crate::limits;

/// What the engine says about itself in every answer; read once at start.
#[derive(Debug)]
pub struct ServerInfo {
    /// `version()`.
    pub version: String,
    /// `timezone()`.
    pub timezone: String,
    /// Content type by lower-case format name, from `system.formats`.
    pub content_types: HashMap<String, String>,
    /// Where buffered responses go that do not fit into memory.
    pub temporary: PathBuf,
}

impl ServerInfo {
    fn content_type(&self, format: &str) -> &str {
        match self.content_types.get(&format.to_ascii_lowercase()).map(String::as_str) {
            None | Some("") => "application/octet-stream",
            Some(known) => known,
        }
    }
}

/// The head of an answer, and its body when that is complete.
#[derive(Debug)]
pub struct Head {
    /// HTTP status.
    pub status: StatusCode,
    /// ClickHouse's headers.
    pub headers: HeaderMap,
    /// The whole body, or `None` when pieces follow.
    pub body: Option<Bytes>,
}

/// One piece of a streamed body.
#[derive(Debug)]
pub enum Piece {
    /// Bytes.
    Data(Bytes),
    /// The answer failed: cut the connection.
    Abort,
}

/// Writes one answer, from the engine's thread.
pub struct Responder {
    info: Arc<ServerInfo>,
    runtime: tokio::runtime::Handle,
    started: Instant,
    head: Option<oneshot::Sender<Head>>,
    pieces: mpsc::Sender<Piece>,
    buffer: SpillBuffer,
    encoder: Option<Encoder>,
    format: String,
    exception_tag: String,
    request: ResponseOptions,
}

struct ResponseOptions {
    query_id: String,
    buffer_bytes: u64,
    buffer_all: bool,
    compress: bool,
    encoding: Option<crate::compression::ContentEncoding>,
    level: Option<u32>,
}

/// The client has gone; there is nobody to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientGone;

impl From<ClientGone> for QueryError {
    fn from(_: ClientGone) -> Self {
        Self::new(Kind::Cancelled, "The client has gone")
    }
}

impl Responder {
    /// An answer to `request`; it arrives through the two receivers.
    pub fn new(
        info: Arc<ServerInfo>,
        runtime: tokio::runtime::Handle,
        request: &Request,
    ) -> (Self, oneshot::Receiver<Head>, mpsc::Receiver<Piece>) {
        let (head, head_received) = oneshot::channel();
        let (pieces, pieces_received) = mpsc::channel(limits::RESPONSE_PIECES_MAX);
        let responder = Self {
            info,
            runtime,
            started: Instant::now(),
            head: Some(head),
            pieces,
            buffer: SpillBuffer::default(),
            encoder: None,
            format: request.format.clone().unwrap_or_else(|| "TabSeparated".to_owned()),
            exception_tag: uuid::Uuid::new_v4().simple().to_string()[..16].to_owned(),
            request: ResponseOptions {
                query_id: request.query_id.clone(),
                buffer_bytes: request.buffer_bytes,
                buffer_all: request.buffer_all,
                compress: request.compress,
                encoding: request.accept_encoding,
                level: request.compression_level,
            },
        };
        (responder, head_received, pieces_received)
    }

    /// The format the answer will be in, when the statement names one.
    pub fn set_format(&mut self, format: String) {
        self.format = format;
    }

    /// The format the answer is in.
    pub fn format(&self) -> &str {
        &self.format
    }

    /// Adds bytes of the result.
    pub fn write(&mut self, plain: &[u8]) -> Result<(), QueryError> {
        if self.head.is_none() {
            return self.stream(plain);
        }
        let length = self.buffer.length() + u64::try_from(plain.len()).unwrap_or(u64::MAX);
        if length <= self.request.buffer_bytes {
            return self.buffer.push(plain, &self.info.temporary).map_err(|error| internal(&error));
        }
        if self.request.buffer_all {
            let most = self.request.buffer_bytes;
            let message =
                format!("The result is larger than the {most} bytes that wait_end_of_query can hold");
            return Err(QueryError::new(Kind::ResultTooLarge, message));
        }
        self.begin_stream(Counters::default())?;
        self.stream(plain)
    }

    /// Sends the head and what is buffered; from here on the status is 200.
    fn begin_stream(&mut self, counters: Counters) -> Result<(), QueryError> {
        self.encoder = Some(self.new_encoder()?);
        let headers = self.headers(counters);
        self.send_head(Head { status: StatusCode::OK, headers, body: None })?;
        std::mem::take(&mut self.buffer)
            .replay(|bytes| self.stream(bytes).map_err(Replay))
            .map_err(|Replay(error)| error)
    }

    /// Ends a good answer.
    pub fn finish(mut self, counters: Counters) {
        if let Err(error) = self.try_finish(counters) {
            self.fail(&error);
        }
    }

    fn try_finish(&mut self, counters: Counters) -> Result<(), QueryError> {
        if self.head.is_some() && self.buffer.whole().is_none() {
            self.begin_stream(counters)?;
        }
        if self.head.is_none() {
            let Some(encoder) = self.encoder.take() else { return Ok(()) };
            return self.send(encoder.finish().map_err(|error| internal(&error))?);
        }
        let mut encoder = self.new_encoder()?;
        encoder.write(self.buffer.whole().unwrap_or_default()).map_err(|error| internal(&error))?;
        let body = encoder.finish().map_err(|error| internal(&error))?;
        let headers = self.headers(counters);
        Ok(self.send_head(Head { status: StatusCode::OK, headers, body: Some(body.into()) })?)
    }

    /// Ends with an error: as a status while that is possible, else inside the body.
    pub fn fail(mut self, error: &QueryError) {
        let text = error.body(&self.info.version);
        if self.head.is_some() {
            // Plain whatever was asked for: an error must be readable.
            self.request.encoding = None;
            let mut headers = self.headers(Counters::default());
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=UTF-8"));
            headers.insert(HeaderName::from_static("x-clickhouse-exception-code"), error.code().into());
            let _ = self.send_head(Head { status: error.status(), headers, body: Some(text.into()) });
            return;
        }
        let tag = &self.exception_tag;
        let block = format!("\r\n__exception__\r\n{tag}\r\n{text}{} {tag}\r\n__exception__\r\n", text.len());
        if let Some(mut encoder) = self.encoder.take()
            && encoder.write(block.as_bytes()).is_ok()
            && let Ok(rest) = encoder.finish()
            && self.send(rest).is_ok()
        {
            let _ = self.pieces.blocking_send(Piece::Abort);
        }
    }

    fn new_encoder(&self) -> Result<Encoder, QueryError> {
        Encoder::new(self.request.compress, self.request.encoding, self.request.level)
            .map_err(|error| internal(&error))
    }

    fn stream(&mut self, plain: &[u8]) -> Result<(), QueryError> {
        let Some(encoder) = &mut self.encoder else { return Err(ClientGone.into()) };
        encoder.write(plain).map_err(|error| internal(&error))?;
        let compressed = encoder.take();
        self.send(compressed)
    }

    fn send(&self, bytes: Vec<u8>) -> Result<(), QueryError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let sent = self.pieces.send(Piece::Data(bytes.into()));
        match self.runtime.block_on(async { tokio::time::timeout(limits::RESPONSE_STALL_WAIT, sent).await }) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(ClientGone.into()),
        }
    }

    fn send_head(&mut self, head: Head) -> Result<(), ClientGone> {
        self.head.take().ok_or(ClientGone)?.send(head).map_err(|_| ClientGone)
    }

    fn headers(&self, counters: Counters) -> HeaderMap {
        let summary = format!(
            "{{\"read_rows\":\"{}\",\"read_bytes\":\"{}\",\"written_rows\":\"{}\",\"written_bytes\":\"{}\",\
             \"total_rows_to_read\":\"{}\",\"result_rows\":\"{}\",\"result_bytes\":\"{}\",\"elapsed_ns\":\"{}\"}}",
            counters.read_rows,
            counters.read_bytes,
            counters.written_rows,
            counters.written_bytes,
            counters.read_rows,
            counters.result_rows,
            counters.result_bytes,
            self.started.elapsed().as_nanos()
        );
        let mut headers = HeaderMap::new();
        let mut set = |name: &'static str, value: &str| {
            // A query id with odd bytes is left out rather than refused: the query has run.
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        set("content-type", self.info.content_type(&self.format));
        set("x-clickhouse-summary", &summary);
        set("x-clickhouse-query-id", &self.request.query_id);
        set("x-clickhouse-format", &self.format);
        set("x-clickhouse-timezone", &self.info.timezone);
        set("x-clickhouse-server-display-name", "ledgerline-engine");
        set("x-clickhouse-exception-tag", &self.exception_tag);
        if let Some(encoding) = self.request.encoding {
            set("content-encoding", encoding.name());
        }
        headers
    }
}

/// Carries an error of the stream through `SpillBuffer::replay`, whose own errors are those of a file.
struct Replay(QueryError);

impl From<std::io::Error> for Replay {
    fn from(error: std::io::Error) -> Self {
        Self(internal(&error))
    }
}

fn internal(error: &std::io::Error) -> QueryError {
    QueryError::new(Kind::Internal, format_args!("Cannot write the response: {error}"))
}

/// The body that hyper reads.
pub enum ResponseBody {
    /// All of it.
    Whole(Option<Bytes>),
    /// Piece by piece.
    Streamed(Box<Streamed>),
}

/// A streamed body. Dropped before its end it cancels the statement.
pub struct Streamed {
    pieces: mpsc::Receiver<Piece>,
    cancel: CancelOnDrop,
    aborting: Option<Pin<Box<Sleep>>>,
}

/// The error that makes hyper cut the connection.
#[derive(Debug, thiserror::Error)]
#[error("the query failed after its response had begun")]
pub struct Aborted;

impl ResponseBody {
    /// A complete body.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::Whole(Some(bytes.into()))
    }

    /// A body in pieces.
    pub fn streamed(pieces: mpsc::Receiver<Piece>, cancel: CancelOnDrop) -> Self {
        Self::Streamed(Box::new(Streamed { pieces, cancel, aborting: None }))
    }
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        let streamed = match &mut *self {
            Self::Whole(bytes) => return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Streamed(streamed) => streamed,
        };
        if streamed.aborting.is_none() {
            match streamed.pieces.poll_recv(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Piece::Data(bytes))) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Poll::Ready(None) => {
                    streamed.cancel.disarm();
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(Piece::Abort)) => {
                    streamed.cancel.disarm();
                    // hyper flushes only while the body is pending: give the exception's text time to leave.
                    streamed.aborting = Some(Box::pin(tokio::time::sleep(limits::ABORT_FLUSH_WAIT)));
                }
            }
        }
        match &mut streamed.aborting {
            Some(sleep) => sleep.as_mut().poll(context).map(|()| Some(Err(Aborted))),
            None => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match self {
            Self::Whole(bytes) => http_body::SizeHint::with_exact(
                bytes.as_ref().map_or(0, |bytes| bytes.len()).try_into().unwrap_or(u64::MAX),
            ),
            Self::Streamed(_) => http_body::SizeHint::default(),
        }
    }
}
