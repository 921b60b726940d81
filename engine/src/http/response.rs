//! The answer to one request: buffered while it is small, streamed when it is not.
//!
//! While nothing has been sent, an error is a proper status. So the first `buffer_bytes` wait here, in memory and then in a file
//! without a name. Only a larger result is sent under a 200 that cannot be taken back; an error after that is written into
//! the body in ClickHouse's tagged form and the connection is cut, so that every client notices.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::{self, Read, Seek, Write};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::poll_fn;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use tempfile::{SpooledData, SpooledTempFile};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::DropGuard;

use super::request::ResponseOptions;
use crate::compression::Encoder;
use crate::errors::{Kind, QueryError};
use crate::ffi::Counters;
use crate::limits;

/// What the engine says about itself in every answer; read once at start.
#[derive(Debug)]
pub struct ServerInfo {
    pub version: String,
    pub timezone: String,
    /// Content type by lower-case format name, from `system.formats`.
    pub content_types: HashMap<String, String>,
    /// Where buffered responses go that do not fit into memory.
    pub temporary: PathBuf,
}

impl ServerInfo {
    fn content_type(&self, format: &str) -> &str {
        let known = self.content_types.get(&format.to_ascii_lowercase()).filter(|known| !known.is_empty());
        known.map_or("application/octet-stream", String::as_str)
    }
}

/// The error that makes hyper cut the connection.
#[derive(Debug, thiserror::Error)]
#[error("the query failed after its response had begun")]
pub struct Aborted;

/// The head of an answer, with its body when that is complete; `None`: it follows in pieces.
pub type Head = Response<Option<Bytes>>;
pub type Piece = Result<Bytes, Aborted>;
pub type Body = UnsyncBoxBody<Bytes, Aborted>;

pub fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// A body in pieces. Dropped before its end it cancels the statement.
pub fn streamed(mut pieces: mpsc::Receiver<Piece>, cancel: DropGuard) -> Body {
    let frames = poll_fn(move |context| {
        let _held = &cancel;
        pieces.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    });
    StreamBody::new(frames).boxed_unsync()
}

/// Writes one answer, from the engine's thread.
pub struct Responder {
    info: Arc<ServerInfo>,
    runtime: Handle,
    started: Instant,
    options: ResponseOptions,
    exception_tag: String,
    /// Until the head is sent.
    head: Option<oneshot::Sender<Head>>,
    pieces: mpsc::Sender<Piece>,
    buffer: SpooledTempFile,
    buffered_bytes: u64,
    /// From the first piece to the last.
    encoder: Option<Encoder>,
}

impl Responder {
    /// An answer with these options; it arrives through the two receivers.
    pub fn new(
        info: Arc<ServerInfo>,
        runtime: Handle,
        options: ResponseOptions,
    ) -> (Self, oneshot::Receiver<Head>, mpsc::Receiver<Piece>) {
        let (head, head_received) = oneshot::channel();
        let (pieces, pieces_received) = mpsc::channel(limits::RESPONSE_PIECES_MAX);
        let responder = Self {
            buffer: tempfile::spooled_tempfile_in(limits::RESPONSE_MEMORY_BYTES_MAX, &info.temporary),
            buffered_bytes: 0,
            info,
            runtime,
            started: Instant::now(),
            options,
            exception_tag: uuid::Uuid::new_v4().simple().to_string()[..16].to_owned(),
            head: Some(head),
            pieces,
            encoder: None,
        };
        (responder, head_received, pieces_received)
    }

    pub fn set_format(&mut self, format: Option<String>) {
        self.options.format = format.or_else(|| self.options.format.take());
    }

    /// The format the answer is in.
    pub fn format(&self) -> &str {
        self.options.format.as_deref().unwrap_or("TabSeparated")
    }

    /// Adds bytes of the result.
    pub fn write(&mut self, plain: &[u8]) -> Result<(), QueryError> {
        if self.head.is_none() {
            return self.stream(plain);
        }
        let most = self.options.buffer_bytes;
        let length = self.buffered_bytes + u64::try_from(plain.len()).unwrap_or(u64::MAX);
        if length <= most {
            self.buffered_bytes = length;
            return self.buffer.write_all(plain).map_err(internal);
        }
        if self.options.buffer_all {
            let message =
                format!("The result is larger than the {most} bytes that wait_end_of_query can hold");
            return Err(QueryError::new(Kind::TOO_MANY_ROWS_OR_BYTES, message));
        }
        self.begin_stream(Counters::default())?;
        self.stream(plain)
    }

    /// Sends the head and what is buffered; from here on the status is 200.
    fn begin_stream(&mut self, counters: Counters) -> Result<(), QueryError> {
        self.encoder = Some(self.new_encoder()?);
        self.send_head(StatusCode::OK, self.headers(counters), None)?;
        self.buffer.rewind().map_err(internal)?;
        let mut piece = vec![0; limits::DECODE_BUFFER_BYTES];
        loop {
            match self.buffer.read(&mut piece).map_err(internal)? {
                0 => return Ok(()),
                length => self.stream(&piece[..length])?,
            }
        }
    }

    /// Ends a good answer.
    pub fn finish(mut self, counters: Counters) {
        if let Err(error) = self.try_finish(counters) {
            self.fail(&error);
        }
    }

    fn try_finish(&mut self, counters: Counters) -> Result<(), QueryError> {
        if self.head.is_some() && self.buffer.is_rolled() {
            self.begin_stream(counters)?;
        }
        if let Some(encoder) = self.encoder.take() {
            return self.send(encoder.finish());
        }
        let mut encoder = self.new_encoder()?;
        let buffer = std::mem::replace(&mut self.buffer, tempfile::spooled_tempfile(0));
        if let SpooledData::InMemory(plain) = buffer.into_inner() {
            encoder.write(plain.get_ref()).map_err(internal)?;
        }
        self.send_head(StatusCode::OK, self.headers(counters), Some(encoder.finish().into()))
    }

    /// Ends with an error: as a status while that is possible, else inside the body.
    pub fn fail(mut self, error: &QueryError) {
        let text = error.body(&self.info.version);
        if self.head.is_some() {
            // Plain whatever was asked for: an error must be readable.
            self.options.encoding = None;
            let mut headers = self.headers(Counters::default());
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=UTF-8"));
            headers.insert(HeaderName::from_static("x-clickhouse-exception-code"), error.code.into());
            if error.status() == StatusCode::SERVICE_UNAVAILABLE {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            let _ = self.send_head(error.status(), headers, Some(text.into()));
            return;
        }
        let tag = &self.exception_tag;
        let block = format!("\r\n__exception__\r\n{tag}\r\n{text}{} {tag}\r\n__exception__\r\n", text.len());
        if let Some(mut encoder) = self.encoder.take()
            && encoder.write(block.as_bytes()).is_ok()
            && self.send(encoder.finish()).is_ok()
        {
            // hyper flushes only while the body is pending: give the exception's text time to leave.
            self.runtime.block_on(async { sleep(limits::ABORT_FLUSH_WAIT).await });
            let _ = self.pieces.blocking_send(Err(Aborted));
        }
    }

    fn new_encoder(&self) -> Result<Encoder, QueryError> {
        Encoder::new(self.options.compress, self.options.encoding).map_err(internal)
    }

    fn stream(&mut self, plain: &[u8]) -> Result<(), QueryError> {
        let encoder = self.encoder.as_mut().ok_or_else(client_gone)?;
        encoder.write(plain).map_err(internal)?;
        let compressed = encoder.take();
        self.send(compressed)
    }

    fn send(&self, bytes: Vec<u8>) -> Result<(), QueryError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let sent = self.pieces.send(Ok(bytes.into()));
        let sent = self.runtime.block_on(async { timeout(limits::RESPONSE_STALL_WAIT, sent).await });
        sent.ok().and_then(Result::ok).ok_or_else(client_gone)
    }

    fn send_head(
        &mut self,
        status: StatusCode,
        headers: HeaderMap,
        body: Option<Bytes>,
    ) -> Result<(), QueryError> {
        let mut head = Response::new(body);
        *head.status_mut() = status;
        *head.headers_mut() = headers;
        let sender = self.head.take().ok_or_else(client_gone)?;
        sender.send(head).map_err(|_| client_gone())
    }

    fn headers(&self, counters: Counters) -> HeaderMap {
        let Counters { read_rows, read_bytes, written_rows, written_bytes, result_rows, result_bytes } =
            counters;
        let elapsed_ns = self.started.elapsed().as_nanos();
        let summary = format!(
            "{{\"read_rows\":\"{read_rows}\",\"read_bytes\":\"{read_bytes}\",\"written_rows\":\"{written_rows}\",\
             \"written_bytes\":\"{written_bytes}\",\"total_rows_to_read\":\"{read_rows}\",\
             \"result_rows\":\"{result_rows}\",\"result_bytes\":\"{result_bytes}\",\"elapsed_ns\":\"{elapsed_ns}\"}}"
        );
        let encoding = self.options.encoding.map(|encoding| ("content-encoding", encoding.name()));
        let fields = [
            ("content-type", self.info.content_type(self.format())),
            ("x-clickhouse-summary", &summary),
            ("x-clickhouse-query-id", &self.options.query_id),
            ("x-clickhouse-format", self.format()),
            ("x-clickhouse-timezone", &self.info.timezone),
            ("x-clickhouse-server-display-name", "ledgerline-engine"),
            ("x-clickhouse-exception-tag", &self.exception_tag),
        ];
        // A query id with odd bytes is left out rather than refused: the query has run.
        let readable =
            |(name, value)| Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?));
        fields.into_iter().chain(encoding).filter_map(readable).collect()
    }
}

fn client_gone() -> QueryError {
    QueryError::new(Kind::QUERY_WAS_CANCELLED, "The client has gone")
}

#[expect(clippy::needless_pass_by_value, reason = "it goes into `map_err`")]
fn internal(error: io::Error) -> QueryError {
    QueryError::new(Kind::UNKNOWN_EXCEPTION, format!("Cannot write the response: {error}"))
}
