//! The response body: plays a script step by step. After each chunk it returns pending once, which makes hyper flush
//! what it has, so that every chunk leaves as a frame of its own and at its own time.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::ledger::{Entry, ServedEnd};
use crate::wire::Step;

/// The scenario wants the connection cut here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the scenario cuts the connection")
    }
}

impl std::error::Error for Cut {}

impl From<Infallible> for Cut {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// A body that follows its script and enters each step in the ledger.
pub struct ScriptBody {
    steps: VecDeque<Step>,
    wait: Option<Pin<Box<Sleep>>>,
    must_flush: bool,
    content_length: Option<u64>,
    entry: Entry,
}

impl ScriptBody {
    /// A body over these steps; a declared length is kept even if the steps do not reach it.
    pub(super) fn new(steps: Vec<Step>, content_length: Option<u64>, entry: Entry) -> Self {
        let mut body = Self { steps: steps.into(), wait: None, must_flush: false, content_length, entry };
        body.note_end();
        body
    }

    fn note_end(&mut self) {
        if self.steps.is_empty() {
            self.entry.end(ServedEnd::Complete);
        }
    }
}

impl Body for ScriptBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let this = self.get_mut();
        if std::mem::replace(&mut this.must_flush, false) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            if let Some(wait) = &mut this.wait {
                if wait.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                this.wait = None;
            }
            match this.steps.pop_front() {
                Some(Step::Wait(duration)) => {
                    this.wait = Some(Box::pin(tokio::time::sleep_until(Instant::now() + duration)));
                }
                Some(Step::Chunk(bytes)) => {
                    this.entry.chunk(&bytes);
                    this.note_end();
                    this.must_flush = true;
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Some(Step::Cut) => {
                    this.entry.end(ServedEnd::CutByScenario);
                    return Poll::Ready(Some(Err(Cut)));
                }
                None => return Poll::Ready(None),
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.content_length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
