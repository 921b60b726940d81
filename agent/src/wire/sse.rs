//! Splits a byte stream into server-sent events. Pure.
//!
//! Follows the HTML standard's "event stream" grammar, with two deviations that accounting needs: an event that the stream
//! ended without a blank line is still given out by [`Splitter::finish`], and one above the limit is skipped and counted.
//! It splits bytes, not text, so a character cut in two by the network is whole again. Must never hold more than one event.

use memchr::memchr2;

/// The largest buffer that is kept for the next event: a stream that waits for an hour should cost little.
const KEPT_BYTES_MAX: usize = 8 << 10;

/// One event. `data` is borrowed from the pushed bytes wherever the event has one `data:` line that arrived whole.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// The `event:` field, empty when the event has none.
    pub name: &'a [u8],
    /// The `data:` lines, joined by LF.
    pub data: &'a [u8],
}

/// The state between two pushes.
#[derive(Default)]
pub struct Splitter {
    event_bytes_max: usize,
    /// The beginning of a line whose end has not come yet.
    line: Vec<u8>,
    name: Vec<u8>,
    data: Vec<u8>,
    /// Whether the event has a `data:` line, which may be empty.
    has_data: bool,
    /// Bytes of the event's finished lines, comments excepted.
    event_bytes: usize,
    /// The rest of the event is dropped.
    skipping: bool,
    /// Whether the line that is being skipped has bytes: a line without any is the event's end.
    skipped_line_has_bytes: bool,
    /// The last byte was a CR, so that an LF now is the same line's end.
    pub(crate) awaits_line_feed: bool,
    /// A line has ended: only the first may begin with a byte order mark.
    has_begun: bool,
    /// Events left out so far because they were too long.
    pub events_skipped: u64,
}

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The single `data:` line of an event that lies whole within the bytes being pushed.
type Borrowed<'a> = Option<&'a [u8]>;

/// Takes what a blank line ends.
type OnEnd<'f> = dyn FnMut(Option<Event<'_>>) + 'f;

impl Splitter {
    /// A splitter that skips events of more than `event_bytes_max` bytes (line ends not counted).
    pub fn new(event_bytes_max: usize) -> Self {
        Self { event_bytes_max, ..Self::default() }
    }

    /// Whether nothing of an event has come since the last one, comments apart.
    pub fn is_between_events(&self) -> bool {
        self.line.is_empty() && self.event_bytes == 0 && !self.skipping
    }

    /// Memory taken for an event that is not complete, and kept for the next.
    pub fn held_bytes(&self) -> usize {
        self.line.capacity() + self.data.capacity() + self.name.capacity()
    }

    /// Takes the next bytes and gives out the events they complete.
    pub fn push(&mut self, bytes: &[u8], mut on_event: impl FnMut(Event<'_>)) {
        self.split(bytes, |event, _| event.into_iter().for_each(&mut on_event));
    }

    /// The same for who needs the raw bytes: tells for each blank line where in `bytes` it ends, and the event that it
    /// ends, unless that has no data or was skipped. A comment before an event is told like a blank line.
    pub fn split(&mut self, bytes: &[u8], mut on_end: impl FnMut(Option<Event<'_>>, usize)) {
        let mut borrowed: Borrowed<'_> = None;
        let mut at = 0;
        if self.awaits_line_feed && !bytes.is_empty() {
            self.awaits_line_feed = false;
            at = usize::from(bytes[0] == b'\n');
        }
        while at < bytes.len() {
            let Some(length) = memchr2(b'\n', b'\r', &bytes[at..]) else {
                self.keep_partial_line(&bytes[at..]);
                break;
            };
            let line = &bytes[at..at + length];
            at += length + 1;
            if bytes[at - 1] == b'\r' {
                self.awaits_line_feed = at == bytes.len();
                at += usize::from(bytes.get(at) == Some(&b'\n'));
            }
            let mut on_end = |event: Option<Event<'_>>| on_end(event, at);
            if self.line.is_empty() {
                self.take_line(line, &mut borrowed, &mut on_end);
            } else {
                self.keep_partial_line(line);
                let whole = std::mem::take(&mut self.line);
                self.take_joined_line(&whole, &mut borrowed, &mut on_end);
                self.line = whole;
                empty(&mut self.line);
            }
        }
        if let Some(line) = borrowed
            && !self.skipping
        {
            self.data.extend_from_slice(line);
        }
    }

    /// The stream is over: gives out an event that lacks its blank line. Such an event may be cut short.
    pub fn finish(&mut self, mut on_event: impl FnMut(Event<'_>)) {
        let mut borrowed = None;
        let mut on_end = |event: Option<Event<'_>>| event.into_iter().for_each(&mut on_event);
        let last = std::mem::take(&mut self.line);
        if !last.is_empty() {
            self.take_joined_line(&last, &mut borrowed, &mut on_end);
        }
        self.end_event(&mut borrowed, &mut on_end);
    }

    /// Bytes were lost here: drops the event under way and whatever comes before the next event's beginning.
    pub fn resynchronise(&mut self) {
        self.clear_event();
        empty(&mut self.line);
        self.skipping = true;
        self.skipped_line_has_bytes = true;
        self.awaits_line_feed = false;
    }

    fn keep_partial_line(&mut self, bytes: &[u8]) {
        if !self.skipping && self.event_bytes + self.line.len() + bytes.len() > self.event_bytes_max {
            self.skip_event();
        }
        if self.skipping {
            self.skipped_line_has_bytes |= !bytes.is_empty();
        } else {
            self.line.extend_from_slice(bytes);
        }
    }

    fn skip_event(&mut self) {
        self.events_skipped += 1;
        self.skipped_line_has_bytes = !self.line.is_empty();
        self.clear_event();
        self.line = Vec::new();
        self.skipping = true;
    }

    /// A line that began in an earlier push: it cannot be borrowed.
    fn take_joined_line<'a>(&mut self, line: &[u8], borrowed: &mut Borrowed<'a>, on_end: &mut OnEnd<'_>) {
        let mut own = None;
        if let Some(earlier) = borrowed.take() {
            self.data.extend_from_slice(earlier);
        }
        self.take_line(line, &mut own, on_end);
        if let Some(line) = own {
            self.data.extend_from_slice(line);
        }
    }

    fn take_line<'a>(&mut self, line: &'a [u8], borrowed: &mut Borrowed<'a>, on_end: &mut OnEnd<'_>) {
        if self.skipping {
            let blank = line.is_empty() && !self.skipped_line_has_bytes;
            self.skipped_line_has_bytes = false;
            self.skipping = !blank;
            if blank {
                on_end(None);
            }
            return;
        }
        if line.len() + self.event_bytes > self.event_bytes_max {
            *borrowed = None;
            self.skip_event();
            self.skipped_line_has_bytes = false;
            return;
        }
        let line = match line.strip_prefix(BYTE_ORDER_MARK) {
            Some(rest) if !self.has_begun => rest,
            _ => line,
        };
        self.has_begun = true;
        if line.is_empty() {
            return self.end_event(borrowed, on_end);
        }
        if line[0] == b':' {
            if self.event_bytes == 0 {
                on_end(None);
            }
            return;
        }
        self.event_bytes += line.len();
        let (field, value) = match memchr::memchr(b':', line) {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &line[line.len()..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => self.take_data(value, borrowed),
            b"event" => {
                self.name.clear();
                self.name.extend_from_slice(value);
            }
            _ => {}
        }
    }

    fn take_data<'a>(&mut self, value: &'a [u8], borrowed: &mut Borrowed<'a>) {
        if self.has_data {
            if let Some(first) = borrowed.take() {
                self.data.extend_from_slice(first);
            }
            self.data.push(b'\n');
            self.data.extend_from_slice(value);
        } else {
            self.has_data = true;
            *borrowed = Some(value);
        }
    }

    fn end_event(&mut self, borrowed: &mut Borrowed<'_>, on_end: &mut OnEnd<'_>) {
        let data = borrowed.take().unwrap_or(&self.data);
        on_end(self.has_data.then_some(Event { name: &self.name, data }));
        self.clear_event();
    }

    fn clear_event(&mut self) {
        empty(&mut self.name);
        empty(&mut self.data);
        self.has_data = false;
        self.event_bytes = 0;
    }
}

/// Empties a buffer, and gives it back when it has grown large.
fn empty(buffer: &mut Vec<u8>) {
    if buffer.capacity() > KEPT_BYTES_MAX {
        *buffer = Vec::new();
    }
    buffer.clear();
}

#[cfg(test)]
mod tests;
