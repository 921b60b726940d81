//! Strips from a stream what came of our injection (see [`super::inject`]). Pure.
//!
//! Such a stream ends with one event more, whose `choices` are empty and whose `usage` is not null, and has a
//! `"usage":null` in every other event. Many clients read `choices[0]` of every chunk and would fail on the first, and
//! none asked for the second. Everything else passes byte for byte and chunk for chunk. An event waits until it is
//! complete, which no reader of events notices; more than [`HELD_BYTES_MAX`] never wait: then everything passes from there on. Only for
//! streams that are not encoded.

use std::ops::Range;
use std::sync::LazyLock;

use bytes::{Bytes, BytesMut};
use memchr::memmem::{self, Finder};

use crate::limits::STRIP_HELD_BYTES_MAX;
use crate::wire::Framing;
use crate::wire::json::members;
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
        if self.held.is_empty() && self.splitter.awaits_line_feed() && chunk.first() == Some(&b'\n') {
            event_from = 1;
            pass_from = usize::from(self.stripped_last);
        }
        let Self { splitter, held, stripped_last, .. } = self;
        splitter.split(chunk, |event, end| {
            let verdict = event.map_or(Verdict::Pass, |event| judge(event.data));
            *stripped_last = verdict == Verdict::Strip;
            let data = event.map_or(&[][..], |event| event.data);
            if held.is_empty() {
                match (&verdict, event_from) {
                    (Verdict::Pass, _) => {}
                    (Verdict::Strip, _) => {
                        out.extend_from_slice(&chunk[pass_from..event_from]);
                        pass_from = end;
                    }
                    (Verdict::Cut(part), _) => {
                        if let Some(place) = place(&chunk[event_from..end], data, part) {
                            out.extend_from_slice(&chunk[pass_from..event_from + place.start]);
                            pass_from = event_from + place.end;
                        }
                    }
                }
            } else {
                held.extend_from_slice(&chunk[..end]);
                pass_from = end;
                pass_without(held, data, &verdict, &mut out);
                held.clear();
            }
            event_from = end;
        });
        if !held.is_empty() || (event_from < chunk.len() && !splitter.is_between_events()) {
            held.extend_from_slice(&chunk[event_from..]);
        } else {
            event_from = chunk.len();
        }
        let passing = chunk.slice(pass_from.min(event_from)..event_from);
        if self.held.len() > STRIP_HELD_BYTES_MAX {
            self.framing = Framing::Document;
            out.extend_from_slice(&passing);
            out.extend_from_slice(&std::mem::take(&mut self.held));
            return out.freeze();
        }
        if out.is_empty() {
            return passing;
        }
        out.extend_from_slice(&passing);
        out.freeze()
    }

    /// The stream is over: what still waits, without what is to be stripped from an event that only lacks its blank line.
    pub fn finish(&mut self) -> Bytes {
        let mut verdict = (Verdict::Pass, Vec::new());
        self.splitter.finish(|event| verdict = (judge(event.data), event.data.to_vec()));
        let mut out = BytesMut::new();
        pass_without(&std::mem::take(&mut self.held), &verdict.1, &verdict.0, &mut out);
        out.freeze()
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
    let mut usage = None;
    let mut choices = None;
    let mut is_doubtful = false;
    let read = members(data, |member| {
        is_doubtful |= member.has_escapes;
        match member.name {
            b"usage" => is_doubtful |= usage.replace((member.from, member.value)).is_some(),
            b"choices" => is_doubtful |= choices.replace(member.value).is_some(),
            _ => {}
        }
    });
    let (Ok(()), false, Some((from, usage)), Some(choices)) = (read, is_doubtful, usage, choices) else {
        return Verdict::Pass;
    };
    let has_no_choices = data[choices.clone()].starts_with(b"[")
        && data[choices.start + 1..choices.end - 1].trim_ascii().is_empty();
    match &data[usage.clone()] {
        b"null" => Verdict::Cut(with_comma(data, from..usage.end)),
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
