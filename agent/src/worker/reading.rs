//! Reads one call while it is under way: collects the request, decodes and splits the answer, feeds the dialect.
//!
//! Keeps as little as it can: the request until the answer begins, an answer that is not a stream until it ends, of a
//! stream one event. A part that cannot be read is counted and left out; nothing here returns an error.

use ledgerline_proto::{EndOfStream, Operation};

use super::assemble::Seen;
use super::counters::{Failure, WorkerCounters};
use super::decode::{DecodeError, Decoder};
use super::dialect::{Dialect, request};
use super::limits::WorkerLimits;
use super::skim::{Skim, SkimLimits};
use super::sse::{Event, Splitter};
use crate::observation::ResponseHead;

/// The machinery of one call. What it finds out goes into a [`Seen`].
pub struct Reading {
    dialect: Box<dyn Dialect>,
    /// One piece, because a client that sends in small chunks would make each cost more than it holds.
    request: Vec<u8>,
    request_is_whole: bool,
    answer: AnswerReader,
}

enum AnswerReader {
    /// The head has not come.
    Waiting,
    Events(Decoder, Splitter),
    Whole(Decoder, Skim),
    /// It cannot be read, or no more of it.
    Lost,
}

impl Reading {
    /// Reads with that dialect.
    #[must_use]
    pub fn new(dialect: Box<dyn Dialect>) -> Self {
        Self { dialect, request: Vec::new(), request_is_whole: true, answer: AnswerReader::Waiting }
    }

    /// Memory that bodies take now.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let answer = match &self.answer {
            AnswerReader::Waiting | AnswerReader::Lost => 0,
            AnswerReader::Events(_, splitter) => splitter.held_bytes(),
            AnswerReader::Whole(_, body) => body.held_bytes(),
        };
        self.request.capacity() + answer
    }

    /// Lets go of everything kept, because there is no room.
    pub fn release(&mut self, seen: &mut Seen) {
        self.request_is_whole &= self.request.is_empty();
        self.drop_request();
        if matches!(self.answer, AnswerReader::Events(..) | AnswerReader::Whole(..)) {
            self.lose_answer(seen);
        }
    }

    /// Bytes were lost between relay and worker.
    pub fn gap(&mut self, seen: &mut Seen) {
        match &mut self.answer {
            AnswerReader::Waiting => self.request_is_whole = false,
            AnswerReader::Events(decoder, splitter) if decoder.is_identity() => {
                splitter.resynchronise();
                seen.answer_is_whole = false;
            }
            _ => self.lose_answer(seen),
        }
    }

    /// Bytes of the request. Those that come after the answer has begun are not read: no provider answers a question
    /// before it has heard it.
    pub fn request_body(&mut self, bytes: &[u8], limits: &WorkerLimits) {
        if !self.request_is_whole || !matches!(self.answer, AnswerReader::Waiting) {
            return;
        }
        let room = limits.request_bytes_max - self.request.len();
        self.request_is_whole = bytes.len() <= room;
        self.request.extend_from_slice(&bytes[..room.min(bytes.len())]);
    }

    /// The answer's head: the request is complete and can be read.
    pub fn response_head(
        &mut self,
        head: &ResponseHead,
        seen: &mut Seen,
        limits: &WorkerLimits,
        counters: &WorkerCounters,
    ) {
        self.read_request(seen, counters);
        let is_events = match head.content_type.as_deref() {
            Some(content_type) => is_event_stream(content_type),
            None => seen.request.stream,
        };
        seen.streamed = is_events;
        self.answer = match Decoder::new(head.content_encoding.as_deref(), limits.decode) {
            Ok(decoder) if is_events => AnswerReader::Events(decoder, Splitter::new(limits.event_bytes_max)),
            Ok(decoder) => AnswerReader::Whole(decoder, Skim::new(SkimLimits::default())),
            Err(error) => {
                counters.fail(reason(error));
                seen.answer_is_whole = false;
                AnswerReader::Lost
            }
        };
    }

    /// Bytes of the answer.
    pub fn response_body(&mut self, bytes: &[u8], at: u64, seen: &mut Seen, counters: &WorkerCounters) {
        let decoded = match &mut self.answer {
            AnswerReader::Waiting => {
                // The head was lost: without it there is no telling what these bytes are.
                return self.lose_answer(seen);
            }
            AnswerReader::Lost => return,
            AnswerReader::Whole(decoder, body) => decoder.decode(bytes, |plain| body.push(plain)),
            AnswerReader::Events(decoder, splitter) => {
                let skipped = splitter.events_skipped();
                let mut events = EventReader { dialect: &mut *self.dialect, at, seen };
                let decoded = decoder.decode(bytes, |plain| {
                    splitter.push(plain, |event| events.read(event, Some(counters)));
                });
                for _ in skipped..splitter.events_skipped() {
                    counters.fail(Failure::EventTooLarge);
                    seen.answer_is_whole = false;
                }
                decoded
            }
        };
        if let Err(error) = decoded {
            counters.fail(reason(error));
            self.lose_answer(seen);
        }
    }

    /// The last event: reads what was kept for it.
    pub fn end(mut self, relay: EndOfStream, at: u64, seen: &mut Seen, counters: &WorkerCounters) {
        self.read_request(seen, counters);
        let was_cut = relay != EndOfStream::Complete;
        match &mut self.answer {
            AnswerReader::Waiting => {
                seen.streamed = seen.request.stream;
                // A complete answer has a head: if it did not come, it was lost.
                seen.answer_is_whole &= was_cut;
            }
            AnswerReader::Lost => {}
            AnswerReader::Events(_, splitter) => {
                let mut events = EventReader { dialect: &mut *self.dialect, at, seen };
                // An event cut in two is no fault of its own.
                splitter.finish(|event| events.read(event, (!was_cut).then_some(counters)));
            }
            AnswerReader::Whole(_, body) => {
                let is_readable = self.dialect.read_body(body.kept(), &mut seen.answer).is_ok();
                read_left_over(body, is_readable, was_cut, seen, counters);
            }
        }
    }

    fn read_request(&mut self, seen: &mut Seen, counters: &WorkerCounters) {
        if !matches!(self.answer, AnswerReader::Waiting) {
            return;
        }
        if !self.request.is_empty() {
            seen.request = request::read(&self.request);
            if !seen.request.whole {
                counters.fail(Failure::UnreadRequest);
            }
        }
        seen.request.whole &= self.request_is_whole;
        self.drop_request();
    }

    fn drop_request(&mut self) {
        self.request = Vec::new();
    }

    fn lose_answer(&mut self, seen: &mut Seen) {
        self.answer = AnswerReader::Lost;
        seen.answer_is_whole = false;
    }
}

/// Whether a `content-type` names an event stream, whatever its parameters.
fn is_event_stream(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("text/event-stream")
}

/// What the body says beyond what the dialect read in it.
fn read_left_over(body: &Skim, is_readable: bool, was_cut: bool, seen: &mut Seen, counters: &WorkerCounters) {
    let is_text = seen.operation != Operation::Embeddings;
    let is_error = seen.status.is_some_and(|status| status >= 300);
    if is_readable {
        seen.answer.text_bytes += if is_text { body.text_bytes_left_out() } else { 0 };
    } else if was_cut && is_text {
        // The text in it cannot be told from its frame; the frame is small.
        seen.answer.text_bytes = body.kept().len() as u64 + body.text_bytes_left_out();
    } else if !was_cut && !is_error {
        counters.fail(Failure::MalformedBody);
        seen.answer_is_whole = false;
    }
}

struct EventReader<'r> {
    dialect: &'r mut dyn Dialect,
    at: u64,
    seen: &'r mut Seen,
}

impl EventReader<'_> {
    fn read(&mut self, event: Event<'_>, counters: Option<&WorkerCounters>) {
        let read = self.dialect.read_event(event, &mut self.seen.answer);
        if let (Err(_), Some(counters)) = (read, counters) {
            counters.fail(Failure::MalformedEvent);
            self.seen.answer_is_whole = false;
        }
        if self.seen.answer.has_token && self.seen.first_token_unix_ns.is_none() {
            self.seen.first_token_unix_ns = Some(self.at);
        }
    }
}

fn reason(error: DecodeError) -> Failure {
    match error {
        DecodeError::UnknownEncoding => Failure::UnknownEncoding,
        DecodeError::Corrupt => Failure::CorruptEncoding,
        DecodeError::TooLarge => Failure::AnswerTooLarge,
        DecodeError::Expansion => Failure::Expansion,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::dialect::OpenAiEmbeddings;

    #[test]
    fn a_request_in_crumbs_takes_what_is_counted() {
        let mut reading = Reading::new(Box::new(OpenAiEmbeddings));
        for _ in 0..5_000 {
            reading.request_body(b"[", &WorkerLimits::default());
        }
        let taken = size_of_val(reading.request.as_slice());
        assert!(taken <= reading.held_bytes(), "{taken} bytes taken, {} counted", reading.held_bytes());
    }
}
