//! Bodies on their way: forwarded frame by frame, copied to the tap in passing.
//!
//! The peer's own flow control is the only brake: a frame is handed on before the next one is asked for. A body that breaks
//! is broken on the other side as well, never ended cleanly: truncation must be seen.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use ledgerline_process::serve::GaugeGuard;
use ledgerline_proto::EndOfStream;
use tokio::time::timeout;
use tokio_util::sync::DropGuard;
use tokio_util::task::TaskTracker;

use super::ConnectionSlot;
use super::client::{ClientGone, Exchange};
use super::strip::UsageStrip;
use super::tap::{CallTap, ObservedCall};
use crate::limits::{DRAIN_BYTES_MAX, DRAIN_WAIT};

pub enum RequestBody {
    Streamed {
        client: Incoming,
        tap: Option<Arc<CallTap>>,
        /// Dropped with the body, or when it has been read.
        end: Option<DropGuard>,
    },
    Whole {
        bytes: Option<Bytes>,
        trailers: Option<HeaderMap>,
        /// Where a copy goes when the connection takes the body, and what the client sent, which may differ.
        copy: Option<(Arc<CallTap>, Bytes)>,
    },
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Streamed { client, tap, end } => {
                let frame = ready!(Pin::new(&mut *client).poll_frame(context));
                if frame.is_none() || client.is_end_stream() {
                    *end = None;
                }
                if let (Some(Ok(frame)), Some(tap)) = (&frame, tap)
                    && let Some(bytes) = frame.data_ref()
                {
                    tap.request_body(bytes);
                }
                Poll::Ready(frame)
            }
            Self::Whole { bytes, trailers, copy } => {
                if let Some((tap, original)) = copy.take() {
                    tap.request_body(&original);
                }
                let data = bytes.take().map(Frame::data);
                Poll::Ready(data.or_else(|| trailers.take().map(Frame::trailers)).map(Ok))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Streamed { client, .. } => client.is_end_stream(),
            Self::Whole { bytes, trailers, .. } => bytes.is_none() && trailers.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Streamed { client, .. } => client.size_hint(),
            Self::Whole { bytes, .. } => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error("the upstream broke off")]
    Upstream(#[from] hyper::Error),
    #[error(transparent)]
    Client(#[from] ClientGone),
}

#[derive(Default)]
pub struct ResponseBody {
    /// What the filter released at the end, or a response of our own.
    ready: Option<Bytes>,
    /// What the upstream still sends; `None` for a response of our own and after the end.
    upstream: Option<Incoming>,
    /// What comes after `ready` when `upstream` is `None`.
    last: Option<Result<HeaderMap, BodyError>>,
    /// The server has had a turn to write what came before a break.
    paused_before_break: bool,
    strip: Option<UsageStrip>,
    call: Option<ObservedCall>,
    /// Held until the body is dropped.
    held: Option<(ConnectionSlot, GaugeGuard)>,
    /// The model has said that it has finished. A word cut by the frames is missed, and costs an estimate at worst.
    has_finished: bool,
    /// Where the rest is read of what its client left.
    drains: TaskTracker,
    /// The request that it responds to, as long as the body lives.
    pub exchange: Option<Exchange>,
}

impl ResponseBody {
    pub fn whole(bytes: Bytes) -> Self {
        let mut body = Self::default();
        body.ready = Some(bytes);
        body
    }

    pub fn forward(
        upstream: Incoming,
        strip: Option<UsageStrip>,
        call: Option<ObservedCall>,
        held: (ConnectionSlot, GaugeGuard),
        drains: TaskTracker,
    ) -> Self {
        let mut body = Self::default();
        body.drains = drains;
        (body.upstream, body.strip, body.call, body.held) = (Some(upstream), strip, call, Some(held));
        body
    }

    fn end_call(&mut self, end: EndOfStream, class: Option<&'static str>) {
        if let Some(call) = self.call.take() {
            call.end(end, class);
        }
    }

    /// The client has gone. That cancels the call upstream, unless the model has finished: then only its usage is still to
    /// come, which nobody pays for, and which is the bill.
    fn leave(&mut self) {
        let (Some(upstream), Some(call)) = (self.upstream.take(), self.call.take()) else { return };
        if self.has_finished && !call.tap().is_killed() {
            self.drains.spawn(drain(upstream, call, self.held.take()));
        }
    }

    /// The upstream has said its last word: release what the filter holds back.
    fn finish(
        &mut self,
        end: EndOfStream,
        class: Option<&'static str>,
        last: Option<Result<HeaderMap, BodyError>>,
    ) {
        self.end_call(end, class);
        self.upstream = None;
        self.last = last;
        if let Some(mut strip) = self.strip.take() {
            self.ready = Some(strip.finish()).filter(|rest| !rest.is_empty());
        }
    }

    /// Takes in one event of the upstream. A frame that needs no change is returned at once.
    fn take_in(&mut self, event: Option<Result<Frame<Bytes>, hyper::Error>>) -> Option<Frame<Bytes>> {
        let frame = match event.transpose() {
            Ok(frame) => frame,
            Err(error) => {
                self.finish(EndOfStream::ProviderError, Some("upstream_reset"), Some(Err(error.into())));
                return None;
            }
        };
        let Some(bytes) = frame.as_ref().and_then(Frame::data_ref) else {
            let trailers = frame.and_then(|frame| frame.into_trailers().ok());
            self.finish(EndOfStream::Complete, None, trailers.map(Ok));
            return None;
        };
        if let Some(call) = &self.call {
            call.tap().response_body(bytes);
            self.has_finished |= call.tap().has_finished_in(bytes);
        }
        let Some(strip) = &mut self.strip else { return frame };
        let passing = strip.push(bytes);
        (!passing.is_empty()).then(|| Frame::data(passing))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        loop {
            if let Some(bytes) = this.ready.take() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            let Some(upstream) = &mut this.upstream else {
                // The server throws away what it has not written when a body breaks, so it gets a turn before.
                if matches!(this.last, Some(Err(_))) && !this.paused_before_break {
                    this.paused_before_break = true;
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                return Poll::Ready(this.last.take().map(|last| last.map(Frame::trailers)));
            };
            let Poll::Ready(event) = Pin::new(upstream).poll_frame(context) else {
                let left = this.exchange.as_ref().map_or(Poll::Pending, |e| e.poll_left(context));
                ready!(left);
                this.leave();
                return Poll::Ready(Some(Err(ClientGone.into())));
            };
            if let Some(frame) = this.take_in(event) {
                return Poll::Ready(Some(Ok(frame)));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let upstream_ended =
            self.upstream.as_ref().is_none_or(|upstream| self.strip.is_none() && upstream.is_end_stream());
        self.ready.is_none() && self.last.is_none() && upstream_ended
    }

    fn size_hint(&self) -> SizeHint {
        match &self.upstream {
            _ if self.strip.is_some() => SizeHint::default(),
            Some(upstream) => upstream.size_hint(),
            None if matches!(self.last, Some(Err(_))) => SizeHint::default(),
            None => SizeHint::with_exact(self.ready.as_ref().map_or(0, |bytes| bytes.len() as u64)),
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        // A body of known length is dropped after its last byte without being asked for its end.
        if self.upstream.as_ref().is_some_and(Body::is_end_stream) {
            self.end_call(EndOfStream::Complete, None);
        }
        self.leave();
    }
}

/// Reads on for the worker alone; dropping the call ends it as one that its client left.
async fn drain(mut upstream: Incoming, call: ObservedCall, _held: Option<(ConnectionSlot, GaugeGuard)>) {
    call.tap().client_left();
    let mut left = DRAIN_BYTES_MAX;
    let rest = async {
        while let Some(Ok(frame)) = upstream.frame().await {
            let Some(bytes) = frame.data_ref() else { continue };
            let Some(less) = left.checked_sub(bytes.len()) else { return };
            left = less;
            call.tap().response_body(bytes);
        }
    };
    // Late or not, what was read counts.
    let _late = timeout(DRAIN_WAIT, rest).await;
}
