//! The client's side of an HTTP/1 connection, where the server library is not enough.
//!
//! The library takes a client that closes its sending side for one that is gone, sends no interim responses (1xx), says
//! `100 Continue` for the provider, and refuses malformed requests with an empty body. This file stands between it and the
//! socket and mends that on plain connections; under TLS, where the socket's bytes are not ours to read, and in HTTP/2 only
//! the refusals. Must never write while a response, or what the library has buffered of one, is on its way.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{HeaderMap, StatusCode, Version};
use ledgerline_process::locked;
use ledgerline_process::serve::{IdleSlot, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::either::Either;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::Span;
use tracing::field::Empty;

use super::headers::strip_hop_by_hop;
use crate::dialect;
use crate::limits::{HALF_CLOSED_ASK_EVERY, HEAD_BYTES_MAX};
use crate::metrics::{Metrics, Outcome};

/// What the library writes when a client waits with its body, and what finds out whether a client still listens.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The library's own refusals are shorter.
const REFUSAL_BYTES_MAX: usize = 160;

#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the client is gone")]
pub struct ClientGone;

/// Where an HTTP/1 connection is. HTTP/2 connections leave it as it is.
#[derive(Debug, Default)]
struct Phase {
    /// A request was read and its response is not finished.
    is_running: AtomicBool,
    /// The head of the response has been handed to the library.
    has_begun: AtomicBool,
    /// And the library has not written it yet.
    owes_head: AtomicBool,
    /// `Expect: 100-continue` went to the upstream, whose word counts.
    awaits_upstream: AtomicBool,
    /// The client closed its sending side and still listens.
    is_half_closed: AtomicBool,
    /// The library has bytes that the socket did not take.
    is_blocked: AtomicBool,
    /// Half an interim response was written.
    is_broken: AtomicBool,
}

#[derive(Debug)]
struct Shared {
    phase: Phase,
    socket: Mutex<Stream>,
    slot: Arc<IdleSlot>,
}

impl Shared {
    /// Does this with the socket, unless its bytes are not ours.
    fn plain<T>(&self, with: impl FnOnce(&TcpStream) -> T) -> Option<T> {
        match &*locked(&self.socket) {
            Either::Left(socket) => Some(with(socket)),
            Either::Right(_) => None,
        }
    }

    /// Whether a client sends more behind a complete request; `false` when it has closed its side. Never known under TLS.
    fn poll_continues(&self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let peeked = self.plain(|socket| socket.poll_peek(context, &mut ReadBuf::new(&mut [0])));
        peeked.map_or(Poll::Pending, |peeked| peeked.map_ok(|read| read > 0))
    }
}

/// A client's connection, for the requests that come on it.
#[derive(Clone, Debug)]
pub struct Client(Arc<Shared>);

impl Client {
    /// A client on this connection, and what the library shall read and write in its place.
    pub fn new(stream: Stream, slot: Arc<IdleSlot>, metrics: Arc<Metrics>) -> (Self, ClientIo) {
        let shared = Arc::new(Shared { phase: Phase::default(), socket: Mutex::new(stream), slot });
        (Self(shared.clone()), ClientIo { shared, metrics })
    }

    /// A request was read. What is returned lives as long as its response.
    pub fn begin(&self, version: Version) -> Exchange {
        let is_http1 = version <= Version::HTTP_11;
        if is_http1 {
            let phase = &self.0.phase;
            for flag in [&phase.has_begun, &phase.awaits_upstream, &phase.is_half_closed] {
                flag.store(false, Ordering::Relaxed);
            }
            phase.is_running.store(true, Ordering::Relaxed);
        }
        let span = tracing::info_span!("relay call", http.response.status_code = Empty);
        let version = is_http1.then_some(version);
        Exchange { shared: self.0.clone(), version, body_end: CancellationToken::new(), span }
    }
}

#[derive(Debug)]
pub struct Exchange {
    shared: Arc<Shared>,
    /// `None` on HTTP/2.
    version: Option<Version>,
    /// The body of the request has been read.
    body_end: CancellationToken,
    /// Of our own telemetry; disabled unless that is on.
    span: Span,
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.version.is_some() {
            self.shared.phase.is_running.store(false, Ordering::Relaxed);
        }
        self.shared.slot.leave();
    }
}

impl Exchange {
    fn takes_interim(&self) -> bool {
        self.version == Some(Version::HTTP_11) && self.shared.plain(|_| ()).is_some()
    }

    /// What passes the upstream's interim responses on to this client; `None` where none can be passed.
    pub fn interim(&self) -> Option<Interim> {
        self.takes_interim().then(|| Interim(self.shared.clone()))
    }

    /// To be dropped when the body of the request has been read.
    pub fn body_end(&self) -> DropGuard {
        self.body_end.clone().drop_guard()
    }

    /// The upstream, not the library, says whether the client shall send its body. Returns whether that is possible.
    pub fn await_upstream(&self) -> bool {
        let possible = self.takes_interim();
        self.shared.phase.awaits_upstream.store(possible, Ordering::Relaxed);
        possible
    }

    pub fn begin_response(&self, status: StatusCode) {
        self.span.record("http.response.status_code", status.as_u16());
        self.shared.phase.owes_head.store(self.version.is_some(), Ordering::Relaxed);
        self.shared.phase.has_begun.store(true, Ordering::Relaxed);
    }

    /// Resolves when the client is gone, while it waits for its response. One that has closed its sending side may still
    /// listen: an interim response finds out, because the kernel of one that is gone answers it with a reset.
    pub async fn gone(&self) {
        if self.version.is_none() {
            return std::future::pending().await;
        }
        self.body_end.cancelled().await;
        match std::future::poll_fn(|context| self.shared.poll_continues(context)).await {
            Ok(false) => {}
            Ok(true) => return std::future::pending().await,
            Err(_) => return,
        }
        // The socket stays readable from now on, so there is no event to wait for; a client is asked from time to time.
        let ask = || self.shared.plain(|socket| socket.try_write(CONTINUE));
        while self.takes_interim() && matches!(ask(), Some(Ok(written)) if written == CONTINUE.len()) {
            self.shared.phase.is_half_closed.store(true, Ordering::Relaxed);
            let asked_at = Instant::now();
            let mut pause = Duration::from_millis(1);
            while asked_at.elapsed() < HALF_CLOSED_ASK_EVERY {
                if !matches!(self.shared.plain(TcpStream::take_error), Some(Ok(None))) {
                    return;
                }
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
        }
    }

    /// Whether the client has left a response in its middle. One that only listened before is seen when the library writes.
    pub fn poll_left(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.version.is_none() || self.shared.phase.is_half_closed.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        let continues = matches!(ready!(self.shared.poll_continues(context)), Ok(true));
        if continues { Poll::Pending } else { Poll::Ready(()) }
    }
}

pub struct Interim(Arc<Shared>);

impl Interim {
    /// Writes an interim response, if it comes before the response and nothing is in its way.
    pub fn send(&self, status: StatusCode, headers: &HeaderMap) {
        let phase = &self.0.phase;
        let is_meant_for_us =
            status == StatusCode::CONTINUE && !phase.awaits_upstream.load(Ordering::Relaxed);
        if is_meant_for_us {
            return;
        }
        let mut headers = headers.clone();
        strip_hop_by_hop(&mut headers);
        let mut text =
            format!("HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or(""))
                .into_bytes();
        for (name, value) in &headers {
            text.extend_from_slice(name.as_str().as_bytes());
            text.extend_from_slice(b": ");
            text.extend_from_slice(value.as_bytes());
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(b"\r\n");
        self.0.plain(|socket| {
            let is_possible = phase.is_running.load(Ordering::Relaxed)
                && !phase.has_begun.load(Ordering::Relaxed)
                && !phase.is_blocked.load(Ordering::Relaxed)
                && text.len() <= HEAD_BYTES_MAX;
            if is_possible && matches!(socket.try_write(&text), Ok(written) if written < text.len()) {
                // The rest would come in the middle of the response; no connection is better than a garbled one.
                phase.is_broken.store(true, Ordering::Relaxed);
            }
        });
    }
}

/// The socket, as the library sees it.
pub struct ClientIo {
    shared: Arc<Shared>,
    metrics: Arc<Metrics>,
}

/// What is to become of bytes that the library writes.
enum Written {
    AsTheyAre,
    /// The upstream says it, or will not.
    Swallowed,
    /// The text of a refusal in their place.
    Explained(Vec<u8>),
}

impl ClientIo {
    /// Looks at the first bytes of a write. What the library says of its own accord it says in one piece.
    fn judge(&self, bytes: &[u8]) -> io::Result<Written> {
        let phase = &self.shared.phase;
        if phase.is_broken.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if phase.is_running.load(Ordering::Relaxed) {
            if bytes.starts_with(b"HTTP/1.") && phase.has_begun.load(Ordering::Relaxed) {
                phase.owes_head.store(false, Ordering::Relaxed);
            }
            let swallow = !phase.has_begun.load(Ordering::Relaxed)
                && phase.awaits_upstream.load(Ordering::Relaxed)
                && bytes == CONTINUE;
            return Ok(if swallow { Written::Swallowed } else { Written::AsTheyAre });
        }
        if bytes.starts_with(b"HTTP/1.") && phase.owes_head.swap(false, Ordering::Relaxed) {
            return Ok(Written::AsTheyAre);
        }
        Ok(explain(bytes).map_or(Written::AsTheyAre, Written::Explained))
    }

    fn write(
        &self,
        first: &[u8],
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut Stream>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match self.judge(first)? {
            Written::Swallowed => Poll::Ready(Ok(first.len())),
            Written::Explained(text) => {
                // It is the last word on this connection and far smaller than the socket's buffer.
                let _written =
                    ready!(Pin::new(&mut *locked(&self.shared.socket)).poll_write(context, &text))?;
                self.metrics.count_request(&"".into(), Outcome::refused);
                Poll::Ready(Ok(first.len()))
            }
            Written::AsTheyAre => {
                let written = write(Pin::new(&mut *locked(&self.shared.socket)), context);
                let is_blocked = written.is_pending();
                self.shared.phase.is_blocked.store(is_blocked, Ordering::Relaxed);
                written
            }
        }
    }
}

const REFUSALS: [(&str, &str, &str); 3] = [
    (
        "HTTP/1.1 400 ",
        "malformed_request",
        "ledgerline-agent cannot read this request: its first line or a header is malformed. Spaces, quotes, backticks, < and > \
         in a path or query must be percent-encoded",
    ),
    ("HTTP/1.1 414 ", "path_too_long", "the path is too long to be forwarded"),
    ("HTTP/1.1 431 ", "headers_too_large", "ledgerline-agent takes 2,000 headers and 256 KiB of them"),
];

/// The library's refusal with a text that says what is wrong; `None` when the bytes are not one.
fn explain(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.len() > REFUSAL_BYTES_MAX || !bytes.starts_with(b"HTTP/1.1 4") || !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let head = std::str::from_utf8(bytes).ok().filter(|head| head.contains("content-length: 0\r\n"))?;
    let (_, class, message) = REFUSALS.iter().find(|(start, ..)| head.starts_with(start))?;
    let status_line = head.lines().next()?;
    let body = (dialect::ALL[0].error_body)(class, message).to_string();
    let length = body.len();
    Some(
        format!(
            "{status_line}\r\nconnection: close\r\ncontent-type: application/json\r\nx-ledgerline-error: {class}\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
        .into_bytes(),
    )
}

impl AsyncRead for ClientIo {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *locked(&self.shared.socket)).poll_read(context, buffer)
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.write(bytes, context, |socket, context| socket.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first: &[u8] = slices.first().map_or(&[], |slice| slice);
        self.write(first, context, |socket, context| socket.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        locked(&self.shared.socket).is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *locked(&self.shared.socket)).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *locked(&self.shared.socket)).poll_shutdown(context)
    }
}
