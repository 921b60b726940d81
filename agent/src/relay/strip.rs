//! Strips from a stream what came of our injection (see [`super::inject`]). Pure.
//!
//! Such a stream has one event more, with empty `choices` and a `usage`, and a `"usage":null` in every other event. Many
//! clients read `choices[0]` of every chunk, and none asked for these. Everything else passes byte for byte and chunk for
//! chunk. An event waits until it is complete, which no reader of events notices; when more than [`STRIP_HELD_BYTES_MAX`]
//! would wait, everything passes from there on. Only for streams that are not encoded.

use std::ops::Range;
use std::sync::LazyLock;

use bytes::{Bytes, BytesMut};
use memchr::memmem::{self, Finder};

use crate::limits::STRIP_HELD_BYTES_MAX;
use crate::wire::Framing;
use crate::wire::json::unique_members;
use crate::wire::sse::Splitter;

static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(r#""usage""#));

/// The filter of one stream.
pub struct UsageStrip {
    framing: Framing,
    splitter: Splitter,
    /// An event whose end has not come.
    held: BytesMut,
    /// The event that ended last was stripped, so that a line feed that belongs to its end is too.
    stripped_last: bool,
}

/// What becomes of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Pass,
    Strip,
    /// This part of its data is left out.
    Cut(Range<usize>),
}

impl UsageStrip {
    /// A filter at the beginning of a stream.
    pub fn new(framing: Framing) -> Self {
        Self {
            framing,
            splitter: Splitter::new(STRIP_HELD_BYTES_MAX),
            held: BytesMut::new(),
            stripped_last: false,
        }
    }

    /// Takes the next chunk and returns what to send now, perhaps nothing. A chunk of which nothing is left out is not copied.
    pub fn push(&mut self, chunk: &Bytes) -> Bytes {
        if self.framing == Framing::ByFirstByte {
            self.framing = Framing::of_body(chunk).unwrap_or(Framing::ByFirstByte);
        }
        if self.framing != Framing::Events {
            return chunk.clone();
        }
        let mut out = BytesMut::new();
        // `chunk[pass_from..]` is not yet in `out`.
        let (mut pass_from, mut event_from) = (0, 0);
        if self.held.is_empty() && self.splitter.awaits_line_feed && chunk.first() == Some(&b'\n') {
            event_from = 1;
            pass_from = usize::from(self.stripped_last);
        }
        let Self { splitter, held, stripped_last, .. } = self;
        splitter.split(chunk, |event, end| {
            let (verdict, data) =
                event.map_or((Verdict::Pass, &[][..]), |event| (judge(event.data), event.data));
            *stripped_last = verdict == Verdict::Strip;
            if !held.is_empty() {
                held.extend_from_slice(&chunk[..end]);
                pass_without(held, data, &verdict, &mut out);
                held.clear();
                pass_from = end;
            } else if verdict != Verdict::Pass {
                out.extend_from_slice(&chunk[pass_from..event_from]);
                pass_without(&chunk[event_from..end], data, &verdict, &mut out);
                pass_from = end;
            }
            event_from = end;
        });
        if !held.is_empty() || (event_from < chunk.len() && !splitter.is_between_events()) {
            held.extend_from_slice(&chunk[event_from..]);
        } else {
            event_from = chunk.len();
        }
        let passing = chunk.slice(pass_from.min(event_from)..event_from);
        let holds_too_much = self.held.len() > STRIP_HELD_BYTES_MAX;
        if out.is_empty() && !holds_too_much {
            return passing;
        }
        out.extend_from_slice(&passing);
        if holds_too_much {
            self.framing = Framing::Document;
            out.extend_from_slice(&std::mem::take(&mut self.held));
        }
        out.freeze()
    }

    /// The stream is over: what still waits, without what is to be stripped from an event that only lacks its blank line.
    pub fn finish(&mut self) -> Bytes {
        let held = std::mem::take(&mut self.held).freeze();
        let mut rest = None;
        self.splitter.finish(|event| {
            let out = rest.get_or_insert_with(BytesMut::new);
            pass_without(&held, event.data, &judge(event.data), out);
        });
        rest.map_or(held.clone(), BytesMut::freeze)
    }
}

/// Appends the bytes of an event to `out`, without what its verdict leaves out.
fn pass_without(event: &[u8], data: &[u8], verdict: &Verdict, out: &mut BytesMut) {
    match verdict {
        Verdict::Strip => {}
        Verdict::Cut(part) if let Some(place) = place(event, data, part) => {
            out.extend_from_slice(&event[..place.start]);
            out.extend_from_slice(&event[place.end..]);
        }
        Verdict::Pass | Verdict::Cut(_) => out.extend_from_slice(event),
    }
}

/// Where a part of the data stands in its event; `None` when the data is spread over several lines and the part over two of
/// them, or there is another like it.
fn place(event: &[u8], data: &[u8], part: &Range<usize>) -> Option<Range<usize>> {
    let usual = b"data: ".len();
    let line = if event.get(usual..usual + data.len()) == Some(data) {
        Some(usual)
    } else {
        memmem::find(event, data)
    };
    if let Some(at) = line {
        return Some(at + part.start..at + part.end);
    }
    let mut found = memmem::find_iter(event, &data[part.clone()]);
    let at = found.next().filter(|_| found.next().is_none())?;
    Some(at..at + part.len())
}

fn judge(data: &[u8]) -> Verdict {
    if USAGE.find(data).is_none() {
        return Verdict::Pass;
    }
    let Some([Some(usage), Some(choices)]) = unique_members(data, ["usage", "choices"]) else {
        return Verdict::Pass;
    };
    let choices = &data[choices.value];
    let has_no_choices = choices.starts_with(b"[") && choices[1..choices.len() - 1].trim_ascii().is_empty();
    match &data[usage.value.clone()] {
        b"null" => Verdict::Cut(with_comma(data, usage.from..usage.value.end)),
        [b'{', ..] if has_no_choices => Verdict::Strip,
        _ => Verdict::Pass,
    }
}

/// A member with the comma before it, or behind it where it is the first.
fn with_comma(data: &[u8], member: Range<usize>) -> Range<usize> {
    let before = data[..member.start].trim_ascii_end();
    if before.ends_with(b",") {
        return before.len() - 1..member.end;
    }
    let behind = data[member.end..].trim_ascii_start();
    let end = match behind.strip_prefix(b",") {
        Some(rest) => data.len() - rest.trim_ascii_start().len(),
        None => member.end,
    };
    member.start..end
}

#[cfg(test)]
mod tests;
