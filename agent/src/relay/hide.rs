//! Hides from the client the usage chunk that it did not ask for. Pure.
//!
//! A stream that was amended (see [`super::amend`]) ends with one event more: `choices` is empty and `usage` is not
//! null. Many clients read `choices[0]` of every chunk and would fail on it. Everything else passes byte for byte
//! and chunk for chunk. Bytes wait only while they may still turn out to be that event, which ordinary chunks decide at
//! the first byte within `choices`; never more than [`HELD_BYTES_MAX`], beyond which the filter gives up and lets everything
//! pass. Only for streams that are not encoded.

mod payload;

use bytes::Bytes;
use memchr::memchr2;

use self::payload::Payload;

/// Bytes that may wait for a decision.
pub const HELD_BYTES_MAX: usize = 64 << 10;

/// The filter of one stream.
#[derive(Default)]
pub struct UsageFilter {
    event: EventScan,
    /// What has come of an undecided event in earlier chunks.
    held: Vec<Bytes>,
    held_bytes: usize,
    /// The last byte was a CR that ended an event, and whether that event passed: an LF now belongs to it.
    after_cr: Option<Fate>,
    /// Too much was held: everything passes.
    is_off: bool,
}

/// The stream is somebody's answer: lengths, no contents.
impl std::fmt::Debug for UsageFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UsageFilter")
            .field("held_bytes", &self.held_bytes)
            .field("is_off", &self.is_off)
            .finish_non_exhaustive()
    }
}

/// What becomes of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Fate {
    #[default]
    Undecided,
    Pass,
    Hide,
}

impl UsageFilter {
    /// A filter at the beginning of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next chunk and returns what to send now, in order; slices of the chunk, never copies.
    pub fn push(&mut self, chunk: Bytes) -> Vec<Bytes> {
        let mut out = Vec::new();
        if self.is_off {
            out.push(chunk);
            return out;
        }
        let mut pass_from = 0;
        let mut event_from = 0;
        let mut at = 0;
        while at < chunk.len() {
            if let Some(fate) = self.after_cr.take()
                && chunk[at] == b'\n'
            {
                at += 1;
                event_from = at;
                if fate == Fate::Hide {
                    // Nothing of this chunk is before the LF.
                    pass_from = at;
                }
                continue;
            }
            let step = self.event.take(&chunk[at..]);
            at += step.taken;
            if self.event.fate() == Fate::Pass {
                out.append(&mut self.held);
                self.held_bytes = 0;
            }
            if step.is_end {
                let ends_with_cr = chunk[at - 1] == b'\r';
                if ends_with_cr && chunk.get(at) == Some(&b'\n') {
                    at += 1;
                }
                let fate = self.event.end();
                if ends_with_cr && at == chunk.len() && chunk[at - 1] == b'\r' {
                    self.after_cr = Some(fate);
                }
                if fate == Fate::Hide {
                    self.hide();
                    send(&mut out, &chunk, pass_from, event_from);
                    pass_from = at;
                } else {
                    out.append(&mut self.held);
                    self.held_bytes = 0;
                }
                event_from = at;
            }
        }
        if self.event.fate() == Fate::Undecided && event_from < chunk.len() {
            send(&mut out, &chunk, pass_from, event_from);
            self.hold(chunk.slice(event_from..), &mut out);
        } else {
            send(&mut out, &chunk, pass_from, chunk.len());
        }
        out
    }

    /// The stream is over: what still waits, unless it is the event to hide and only lacks its blank line.
    pub fn finish(&mut self) -> Vec<Bytes> {
        if self.event.end() == Fate::Hide {
            self.hide();
        }
        self.held_bytes = 0;
        std::mem::take(&mut self.held)
    }

    fn hide(&mut self) {
        self.held.clear();
        self.held_bytes = 0;
    }

    fn hold(&mut self, rest: Bytes, out: &mut Vec<Bytes>) {
        self.held_bytes += rest.len();
        self.held.push(rest);
        if self.held_bytes > HELD_BYTES_MAX {
            self.is_off = true;
            out.append(&mut self.held);
            self.held_bytes = 0;
        }
    }
}

fn send(out: &mut Vec<Bytes>, chunk: &Bytes, from: usize, to: usize) {
    if from < to {
        out.push(chunk.slice(from..to));
    }
}

/// Scans one event of the stream.
#[derive(Debug, Default)]
struct EventScan {
    line: Line,
    /// The last byte was a CR: an LF now ends the same line.
    after_cr: bool,
    has_data: bool,
    payload: Payload,
    /// Bytes of the stream before any line, to pass over a byte order mark.
    mark: usize,
}

/// Where in a line the next byte is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Line {
    #[default]
    Start,
    /// So many bytes of `data:` were seen.
    Field(usize),
    /// Behind the colon, where one space is not part of the value.
    Colon,
    Data,
    /// Another field or a comment.
    Other,
}

struct Step {
    taken: usize,
    is_end: bool,
}

const FIELD: &[u8] = b"data:";
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

impl EventScan {
    fn fate(&self) -> Fate {
        if self.payload.is_refuted() { Fate::Pass } else { Fate::Undecided }
    }

    /// The event is complete: its fate, and a fresh start.
    fn end(&mut self) -> Fate {
        let is_it = self.has_data && self.payload.is_usage_chunk();
        let mark = BYTE_ORDER_MARK.len();
        *self = Self { mark, ..Self::default() };
        if is_it { Fate::Hide } else { Fate::Pass }
    }

    /// Takes bytes up to and including a line end that ends the event, or to a place where its fate may have changed.
    fn take(&mut self, bytes: &[u8]) -> Step {
        let byte = bytes[0];
        if std::mem::take(&mut self.after_cr) && byte == b'\n' {
            return Step { taken: 1, is_end: false };
        }
        if byte == b'\n' || byte == b'\r' {
            return self.end_line(byte);
        }
        if self.line == Line::Start && self.mark < BYTE_ORDER_MARK.len() {
            if byte == BYTE_ORDER_MARK[self.mark] {
                self.mark += 1;
                return Step { taken: 1, is_end: false };
            }
            self.mark = BYTE_ORDER_MARK.len();
        }
        if self.line == Line::Other || (self.payload.is_refuted() && self.line != Line::Start) {
            let taken = memchr2(b'\n', b'\r', bytes).unwrap_or(bytes.len());
            return Step { taken, is_end: false };
        }
        if self.line == Line::Data {
            return Step { taken: self.take_data(bytes), is_end: false };
        }
        self.take_byte(byte);
        Step { taken: 1, is_end: false }
    }

    /// The bytes of a data line that are here, or fewer when they settle the matter; the first is no line end.
    fn take_data(&mut self, bytes: &[u8]) -> usize {
        for (at, &byte) in bytes.iter().enumerate() {
            if byte == b'\n' || byte == b'\r' {
                return at;
            }
            self.payload.take(byte);
            if self.payload.is_refuted() {
                return at + 1;
            }
        }
        bytes.len()
    }

    fn end_line(&mut self, byte: u8) -> Step {
        let line = std::mem::take(&mut self.line);
        if line == Line::Start {
            return Step { taken: 1, is_end: true };
        }
        // `data` without a colon is an empty data line.
        self.has_data |= line == Line::Field(FIELD.len() - 1);
        self.after_cr = byte == b'\r';
        Step { taken: 1, is_end: false }
    }

    fn take_byte(&mut self, byte: u8) {
        self.line = match self.line {
            Line::Start | Line::Field(_) => {
                let seen = if let Line::Field(seen) = self.line { seen } else { 0 };
                if byte != FIELD[seen] {
                    Line::Other
                } else if seen + 1 < FIELD.len() {
                    Line::Field(seen + 1)
                } else {
                    if std::mem::replace(&mut self.has_data, true) {
                        self.payload.take(b'\n');
                    }
                    Line::Colon
                }
            }
            Line::Colon if byte == b' ' => Line::Data,
            Line::Colon | Line::Data => {
                self.payload.take(byte);
                Line::Data
            }
            Line::Other => Line::Other,
        };
    }
}

#[cfg(test)]
mod tests;
