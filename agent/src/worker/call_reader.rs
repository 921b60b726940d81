//! Reads one call while it is under way: collects the request, decodes and splits the response, feeds the dialect's reader.
//! A part that cannot be read is counted and left out; nothing here returns an error.

use ledgerline_proto::json::mend_surrogates;
use ledgerline_proto::{EndOfStream, Operation};

use super::assemble::CallFacts;
use super::decode::Decoder;
use super::truncate::Truncate;
use crate::dialect::{Purpose, Read, Reader, as_clients_read};
use crate::limits::WorkerLimits;
use crate::metrics::{Failure, Metrics};
use crate::observation::ResponseHead;
use crate::wire::Framing;
use crate::wire::sse::{Event, Splitter};

pub struct CallReader {
    reader: Box<dyn Reader>,
    /// One piece, because a client that sends in small chunks would make each cost more than it holds.
    request: Vec<u8>,
    request_is_whole: bool,
    response: ResponseReader,
}

#[allow(clippy::large_enum_variant, reason = "one for each call, and nearly always the large one")]
enum ResponseReader {
    Waiting,
    Reading(Decoder, BodyReader),
    /// It cannot be read, or no more of it.
    Lost,
}

enum BodyReader {
    /// Only space has come.
    ByFirstByte {
        event_bytes_max: usize,
    },
    Events(Splitter),
    Document(Truncate),
}

impl BodyReader {
    fn new(framing: Framing, event_bytes_max: usize) -> Self {
        match framing {
            Framing::Events => Self::Events(Splitter::new(event_bytes_max)),
            Framing::Document => Self::Document(Truncate::default()),
            Framing::ByFirstByte => Self::ByFirstByte { event_bytes_max },
        }
    }

    fn push(&mut self, bytes: &[u8], on_event: impl FnMut(Event<'_>)) {
        if let Self::ByFirstByte { event_bytes_max } = *self
            && let Some(framing) = Framing::of_body(bytes)
        {
            *self = Self::new(framing, event_bytes_max);
        }
        match self {
            Self::ByFirstByte { .. } => {}
            Self::Events(splitter) => splitter.push(bytes, on_event),
            Self::Document(body) => body.push(bytes),
        }
    }

    fn held_bytes(&self) -> usize {
        match self {
            Self::ByFirstByte { .. } => 0,
            Self::Events(splitter) => splitter.held_bytes(),
            Self::Document(body) => body.held_bytes(),
        }
    }

    const fn events_skipped(&self) -> u64 {
        if let Self::Events(splitter) = self { splitter.events_skipped } else { 0 }
    }
}

impl CallReader {
    pub fn new(reader: Box<dyn Reader>) -> Self {
        Self { reader, request: Vec::new(), request_is_whole: true, response: ResponseReader::Waiting }
    }

    pub fn held_bytes(&self) -> usize {
        let response =
            if let ResponseReader::Reading(_, body) = &self.response { body.held_bytes() } else { 0 };
        self.request.capacity() + response
    }

    pub fn release(&mut self, facts: &mut CallFacts) {
        self.request_is_whole &= self.request.is_empty();
        self.request = Vec::new();
        if matches!(self.response, ResponseReader::Reading(..)) {
            self.lose_response(facts);
        }
    }

    /// Bytes were lost between relay and worker.
    pub fn gap(&mut self, facts: &mut CallFacts) {
        match &mut self.response {
            ResponseReader::Waiting => self.request_is_whole = false,
            ResponseReader::Reading(decoder, BodyReader::Events(splitter)) if decoder.is_identity() => {
                splitter.resynchronise();
                facts.response_is_whole = false;
            }
            _ => self.lose_response(facts),
        }
    }

    /// Those that come after the response has begun are not read: no provider answers before it has heard the question.
    pub fn request_body(&mut self, bytes: &[u8], limits: &WorkerLimits) {
        if !self.request_is_whole || !matches!(self.response, ResponseReader::Waiting) {
            return;
        }
        let room = limits.request_bytes_max - self.request.len();
        self.request_is_whole = bytes.len() <= room;
        self.request.extend_from_slice(&bytes[..room.min(bytes.len())]);
    }

    /// The response's head: the request is complete and can be read.
    pub fn response_head(
        &mut self,
        head: &ResponseHead,
        facts: &mut CallFacts,
        limits: &WorkerLimits,
        metrics: &Metrics,
    ) {
        self.read_request(facts, metrics);
        let may_stream = facts.request.stream || !facts.request.whole;
        let framing = Framing::of_head(head.content_type.as_deref(), head.has_length, may_stream);
        facts.streamed = match framing {
            Framing::Events => true,
            Framing::Document => false,
            Framing::ByFirstByte => facts.request.stream,
        };
        if facts.start.endpoint.purpose == Purpose::Unread {
            return self.lose_response(facts);
        }
        self.response = match Decoder::new(head.content_encoding.as_deref(), limits.decode) {
            Ok(decoder) => ResponseReader::Reading(decoder, BodyReader::new(framing, limits.event_bytes_max)),
            Err(failure) => {
                metrics.fail(failure);
                facts.response_is_whole = false;
                ResponseReader::Lost
            }
        };
    }

    pub fn response_body(&mut self, bytes: &[u8], at: u64, facts: &mut CallFacts, metrics: &Metrics) {
        let decoded = match &mut self.response {
            ResponseReader::Waiting => {
                // The head was lost: without it there is no telling what these bytes are.
                return self.lose_response(facts);
            }
            ResponseReader::Lost => return,
            ResponseReader::Reading(decoder, body) => {
                let skipped = body.events_skipped();
                let mut events = EventReader { reader: &mut *self.reader, at, facts };
                let decoded = decoder.decode(bytes, |plain| {
                    body.push(plain, |event| events.read(event, Some(metrics)));
                });
                for _ in skipped..body.events_skipped() {
                    metrics.fail(Failure::event_too_large);
                    facts.response_is_whole = false;
                }
                if !matches!(body, BodyReader::ByFirstByte { .. }) {
                    facts.streamed = matches!(body, BodyReader::Events(_));
                }
                decoded
            }
        };
        if let Err(failure) = decoded {
            metrics.fail(failure);
            self.lose_response(facts);
        }
    }

    pub fn end(mut self, relay: EndOfStream, at: u64, facts: &mut CallFacts, metrics: &Metrics) {
        self.read_request(facts, metrics);
        let was_cut = relay != EndOfStream::Complete;
        match &mut self.response {
            ResponseReader::Waiting => {
                facts.streamed = facts.request.stream;
                // A complete response has a head: if it did not come, it was lost.
                facts.response_is_whole &= was_cut;
            }
            ResponseReader::Lost => {}
            ResponseReader::Reading(_, BodyReader::ByFirstByte { .. }) => {
                read_left_over(&Truncate::default(), false, was_cut, facts, metrics);
            }
            ResponseReader::Reading(_, BodyReader::Events(splitter)) => {
                let mut events = EventReader { reader: &mut *self.reader, at, facts };
                // An event cut in two is no fault of its own.
                splitter.finish(|event| events.read(event, (!was_cut).then_some(metrics)));
            }
            ResponseReader::Reading(_, BodyReader::Document(body)) => {
                let CallFacts { response, response_texts: texts, .. } = &mut *facts;
                let read = read_json(&body.kept, |json| self.reader.read_body(json, response, texts));
                let is_readable = read.is_ok();
                read_left_over(body, is_readable, was_cut, facts, metrics);
            }
        }
    }

    fn read_request(&mut self, facts: &mut CallFacts, metrics: &Metrics) {
        if !matches!(self.response, ResponseReader::Waiting) {
            return;
        }
        if !self.request.is_empty() {
            // At once: its texts are handed on while it is read, so it cannot be read again.
            mend_surrogates(&mut self.request);
            facts.request = self.reader.read_request(&self.request, &mut facts.request_texts);
            if !facts.request.whole && facts.start.endpoint.purpose != Purpose::Unread {
                metrics.fail(Failure::unread_request);
            }
        }
        facts.request.whole &= self.request_is_whole;
        self.request = Vec::new();
    }

    fn lose_response(&mut self, facts: &mut CallFacts) {
        self.response = ResponseReader::Lost;
        facts.response_is_whole = false;
    }
}

/// What the body says beyond what the dialect read in it.
fn read_left_over(
    body: &Truncate,
    is_readable: bool,
    was_cut: bool,
    facts: &mut CallFacts,
    metrics: &Metrics,
) {
    let is_text = facts.start.endpoint.operation != Operation::Embeddings;
    if is_readable {
        facts.response_texts.text_bytes += if is_text { body.text_bytes_left_out } else { 0 };
    } else if was_cut && is_text {
        // The text in it cannot be told from its frame; the frame is small.
        facts.response_texts.text_bytes = body.kept.len() as u64 + body.text_bytes_left_out;
    } else if !was_cut && !facts.has_error_status() {
        metrics.fail(Failure::malformed_body);
        facts.response_is_whole = false;
    }
}

/// Reads JSON; where it is refused, as the provider's clients read it.
fn read_json(json: &[u8], mut read: impl FnMut(&[u8]) -> Read) -> Read {
    read(json).or_else(|unreadable| read(&as_clients_read(json).ok_or(unreadable)?))
}

struct EventReader<'r> {
    reader: &'r mut dyn Reader,
    at: u64,
    facts: &'r mut CallFacts,
}

impl EventReader<'_> {
    fn read(&mut self, event: Event<'_>, metrics: Option<&Metrics>) {
        let CallFacts { response, response_texts: texts, .. } = &mut *self.facts;
        let read =
            read_json(event.data, |data| self.reader.read_event(Event { data, ..event }, response, texts));
        if let (Err(_), Some(metrics)) = (read, metrics) {
            metrics.fail(Failure::malformed_event);
            self.facts.response_is_whole = false;
        }
        if self.facts.response_texts.has_part && self.facts.first_token_unix_ns.is_none() {
            self.facts.first_token_unix_ns = Some(self.at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect;

    #[test]
    fn a_request_in_crumbs_takes_what_is_counted() {
        let mut reader = CallReader::new((dialect::ALL[0].endpoints[0].reader)());
        for _ in 0..5_000 {
            reader.request_body(b"[", &WorkerLimits::default());
        }
        let taken = size_of_val(reader.request.as_slice());
        assert!(taken <= reader.held_bytes(), "{taken} bytes taken, {} counted", reader.held_bytes());
    }
}
