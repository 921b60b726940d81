//! Pure. From events to the exact chunks that are written: line endings, framing, content encodings, cuts, pauses and
//! corruption. Everything that spoils bytes is here, so the dialects only ever write correct ones.

use std::io::Write;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;

use crate::request::{Api, Inbound};
use crate::scenario::{Defect, Encoding, Framing};

/// What an event is for; defects choose their victim by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Opens the answer or a block.
    Start,
    /// A sign of life, or of progress without content.
    Ping,
    /// Carries content.
    Delta,
    /// Closes a block.
    BlockStop,
    /// Carries the reason of the end.
    Finish,
    /// The same with the final usage.
    FinishWithUsage,
    /// OpenAI's extra event, which a proxy may hide.
    Usage,
    /// The last event.
    Terminator,
    /// Content without the end of its line.
    Endless,
}

/// One server-sent event before it is written.
#[derive(Clone, Debug)]
pub struct Event {
    /// The `event:` line; Chat Completions have none.
    pub name: Option<&'static str>,
    /// The `data:` line.
    pub data: String,
    /// What it is for.
    pub role: Role,
    /// How many times in a row it is written; the copies share their memory.
    pub repeat: u64,
}

impl Event {
    /// An event that is written once.
    pub fn new(name: Option<&'static str>, data: String, role: Role) -> Self {
        Self { name, data, role, repeat: 1 }
    }
}

/// One thing the body does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send nothing for this long.
    Wait(Duration),
    /// One HTTP chunk, flushed.
    Chunk(Bytes),
    /// Break the connection.
    Cut,
}

/// A body as a list of steps.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// Pause before the status line.
    pub header_wait: Duration,
    /// What the body does.
    pub steps: Vec<Step>,
    /// The header's value.
    pub content_encoding: Option<&'static str>,
    /// Declared, even if the body is cut; `None` is chunked.
    pub content_length: Option<u64>,
    /// Where OpenAI's extra usage event lies in the bytes, if they are not encoded.
    pub usage_event: Option<Range<u64>>,
    /// The true usage is on the wire once this many bytes are.
    pub usage_end: Option<u64>,
}

const PIECE_BYTES_MAX: usize = 64 * 1024;

/// How large the scenarios that are about size are.
pub fn bulk_bytes(inbound: &Inbound) -> u64 {
    inbound.parameters.size_bytes.unwrap_or(match inbound.scenario.defect {
        Defect::Bulk => 32 << 20,
        _ => 10_000_000,
    })
}

/// A written stretch of the body and whether the true usage, or the extra usage event, is in it.
struct Piece {
    bytes: Bytes,
    has_usage: bool,
    is_usage_event: bool,
}

/// The body of a call that streams. `errors`, which is told how many events went before, replaces the second half if the
/// scenario says so.
pub fn stream(inbound: &Inbound, mut events: Vec<Event>, errors: impl FnOnce(usize) -> Vec<Event>) -> Script {
    let scenario = inbound.scenario;
    let deltas: Vec<usize> = events
        .iter()
        .enumerate()
        .filter(|(_, event)| event.role == Role::Delta)
        .map(|(index, _)| index)
        .collect();
    // What is left of a stream that is taken up again may hold no delta at all.
    let middle = deltas.get(deltas.len() / 2).copied().unwrap_or(0);
    match scenario.defect {
        Defect::ErrorEvent | Defect::FlatErrorEvent => {
            events.truncate(middle);
            events.extend(errors(middle));
        }
        Defect::MalformedJson => {
            let data = &mut events[middle].data;
            let half = (0..=data.len() / 2).rev().find(|at| data.is_char_boundary(*at)).unwrap_or(0);
            data.truncate(half);
        }
        Defect::NoTerminator if inbound.api == Api::Responses => {
            events.retain(|event| event.role != Role::FinishWithUsage);
        }
        Defect::NoTerminator => events.retain(|event| event.role != Role::Terminator),
        Defect::EndlessLine => {
            let end =
                events.iter().position(|event| event.role == Role::Endless).map_or(0, |index| index + 1);
            events.truncate(end);
        }
        Defect::Empty => events.clear(),
        _ => {}
    }
    let mut pieces = Vec::new();
    for (index, event) in events.iter().enumerate() {
        if scenario.framing == Framing::Comments && index > 0 {
            pieces.push(comment(inbound.api, index));
        }
        let mut bytes = render(event, scenario.framing);
        if scenario.defect == Defect::InvalidUtf8 && index == middle {
            spoil_utf8(&mut bytes);
        }
        let bytes = Bytes::from(bytes);
        for _ in 0..event.repeat {
            pieces.push(Piece {
                bytes: bytes.clone(),
                has_usage: matches!(event.role, Role::Usage | Role::FinishWithUsage),
                is_usage_event: event.role == Role::Usage,
            });
        }
    }
    if scenario.defect == Defect::TrailingGarbage {
        pieces.push(garbage());
    }
    script(inbound, pieces, Kind::Stream)
}

/// The body of a call that does not stream, or of an error.
pub fn whole(inbound: &Inbound, body: String, has_usage: bool) -> Script {
    let mut bytes = body.into_bytes();
    match inbound.scenario.defect {
        Defect::MalformedJson => bytes.truncate(bytes.len() * 2 / 3),
        Defect::InvalidUtf8 => spoil_utf8(&mut bytes),
        Defect::Empty => bytes.clear(),
        _ => {}
    }
    let mut pieces = vec![Piece { bytes: Bytes::from(bytes), has_usage, is_usage_event: false }];
    if inbound.scenario.defect == Defect::TrailingGarbage {
        pieces.push(garbage());
    }
    script(inbound, pieces, Kind::Whole)
}

/// A short body that no scenario touches.
pub fn untouched(body: String) -> Script {
    let bytes = Bytes::from(body);
    Script { content_length: Some(bytes.len() as u64), steps: vec![Step::Chunk(bytes)], ..Script::default() }
}

fn render(event: &Event, framing: Framing) -> Vec<u8> {
    let mut text = event.name.map_or(String::new(), |name| format!("event: {name}\n"));
    let split = if framing == Framing::MultilineData { comma_outside_strings(&event.data) } else { None };
    match split {
        Some(at) => text += &format!("data: {}\ndata: {}", &event.data[..at], &event.data[at..]),
        None => text += &format!("data: {}", event.data),
    }
    if event.role != Role::Endless {
        text += "\n\n";
    }
    if framing == Framing::Crlf { text.replace('\n', "\r\n").into_bytes() } else { text.into_bytes() }
}

/// The place behind the first comma between two members, where JSON may hold a line feed.
fn comma_outside_strings(json: &str) -> Option<usize> {
    let (mut in_string, mut escaped) = (false, false);
    for (at, byte) in json.bytes().enumerate() {
        match byte {
            b',' if !in_string => return Some(at + 1),
            b'"' if !escaped => in_string = !in_string,
            _ => {}
        }
        escaped = in_string && byte == b'\\' && !escaped;
    }
    None
}

fn comment(api: Api, index: usize) -> Piece {
    let text = match api {
        Api::Anthropic if index.is_multiple_of(2) => "event: ping\ndata: {\"type\": \"ping\"}\n\n",
        Api::OpenAi | Api::Responses if index.is_multiple_of(2) => ":\n\n",
        _ => ": PROCESSING data: {not data}\n\n",
    };
    Piece { bytes: Bytes::from_static(text.as_bytes()), has_usage: false, is_usage_event: false }
}

fn garbage() -> Piece {
    Piece {
        bytes: Bytes::from_static(b"\x00\x01}} trailing bytes \xff\n\n"),
        has_usage: false,
        is_usage_event: false,
    }
}

/// Puts three bytes that no UTF-8 text holds at the beginning of the text of the answer.
fn spoil_utf8(bytes: &mut Vec<u8>) {
    let markers: [&[u8]; 6] = [
        b"\"content\":\"",
        b"\"content\": \"",
        b"\"text\":\"",
        b"\"text\": \"",
        b"\"thinking\":\"",
        b"\"delta\":\"",
    ];
    let place = markers.iter().find_map(|marker| {
        bytes.windows(marker.len()).position(|window| window == *marker).map(|at| at + marker.len())
    });
    let at = place.expect("an answer has a text to spoil");
    bytes.splice(at..at, *b"\xc3\x28\xff");
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Stream,
    Whole,
}

fn script(inbound: &Inbound, pieces: Vec<Piece>, kind: Kind) -> Script {
    let scenario = inbound.scenario;
    let is_identity = matches!(scenario.encoding, Encoding::Identity | Encoding::FalseGzip);
    let pieces = if is_identity { pieces } else { encode(scenario.encoding, pieces) };
    let (mut usage_end, mut usage_event, mut total) = (None, None, 0_u64);
    for piece in &pieces {
        let start = total;
        total += piece.bytes.len() as u64;
        if piece.has_usage {
            usage_end = Some(total);
        }
        if piece.is_usage_event && is_identity {
            usage_event = Some(start..total);
        }
    }
    let chunks = frame(scenario.framing, pieces.into_iter().map(|piece| piece.bytes).collect());
    let declares_length = kind == Kind::Whole
        && is_identity
        && matches!(scenario.framing, Framing::Event)
        && scenario.defect != Defect::Bulk;
    let mut script = Script {
        steps: Vec::with_capacity(chunks.len() * 2),
        content_encoding: match scenario.encoding {
            Encoding::Identity => None,
            Encoding::Gzip | Encoding::FalseGzip => Some("gzip"),
            Encoding::Brotli => Some("br"),
            Encoding::Zstd => Some("zstd"),
        },
        content_length: declares_length.then_some(total),
        usage_event,
        usage_end,
        ..Script::default()
    };
    pace(inbound, cut(inbound, chunks, total), &mut script);
    script
}

/// The chunks up to the cut, and whether there is one.
fn cut(inbound: &Inbound, chunks: Vec<Bytes>, total: u64) -> (Vec<Bytes>, bool) {
    if inbound.scenario.defect != Defect::Cut {
        return (chunks, false);
    }
    // Three fifths of the way, then back into the middle of the chunk that is there.
    let mut left = inbound.parameters.cut_at_byte.unwrap_or(total * 3 / 5);
    let mut kept = Vec::new();
    for chunk in chunks {
        let length = chunk.len() as u64;
        if length < left {
            left -= length;
            kept.push(chunk);
            continue;
        }
        let exact = inbound.parameters.cut_at_byte.is_some();
        kept.push(chunk.slice(..if exact { left as usize } else { chunk.len() / 2 }));
        break;
    }
    kept.retain(|chunk| !chunk.is_empty());
    (kept, true)
}

fn pace(inbound: &Inbound, (chunks, is_cut): (Vec<Bytes>, bool), script: &mut Script) {
    let parameters = &inbound.parameters;
    let slow = |slow_ms: u64| if inbound.scenario.slow { slow_ms } else { 0 };
    let wait = |ms: Option<u64>, default_ms: u64| Duration::from_millis(ms.unwrap_or(default_ms));
    script.header_wait = wait(parameters.header_ms, slow(40));
    let first = wait(parameters.first_ms, slow(40));
    let gap = wait(parameters.gap_ms, slow(15));
    let middle = chunks.len() / 2;
    for (index, chunk) in chunks.into_iter().enumerate() {
        let mut pause = if index == 0 { first } else { gap };
        if inbound.scenario.defect == Defect::Stall && index == middle {
            pause = wait(parameters.stall_ms, 15 * 60 * 1_000);
        }
        if !pause.is_zero() {
            script.steps.push(Step::Wait(pause));
        }
        script.steps.push(Step::Chunk(chunk));
    }
    if is_cut {
        script.steps.push(Step::Cut);
    }
}

fn frame(framing: Framing, pieces: Vec<Bytes>) -> Vec<Bytes> {
    let pieces: Vec<Bytes> = pieces
        .into_iter()
        .flat_map(|piece| {
            let count = piece.len().div_ceil(PIECE_BYTES_MAX).max(1);
            (0..count).map(move |part| {
                let start = part * PIECE_BYTES_MAX;
                piece.slice(start..(start + PIECE_BYTES_MAX).min(piece.len()))
            })
        })
        .filter(|piece| !piece.is_empty())
        .collect();
    match framing {
        Framing::Byte => split_at(&pieces, |_| true),
        Framing::InsideCodePoint => pieces.iter().flat_map(split_inside_code_points).collect(),
        Framing::Merged => merge(&pieces),
        Framing::Event | Framing::Crlf | Framing::MultilineData | Framing::Comments => pieces,
    }
}

/// Three pieces at a time, but the last half of the third waits for the next chunk.
fn merge(pieces: &[Bytes]) -> Vec<Bytes> {
    let mut chunks = Vec::new();
    let mut pending = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        if index % 3 == 2 {
            pending.extend_from_slice(&piece[..piece.len() / 2]);
            chunks.push(Bytes::from(std::mem::take(&mut pending)));
            pending.extend_from_slice(&piece[piece.len() / 2..]);
        } else {
            pending.extend_from_slice(piece);
        }
    }
    if !pending.is_empty() {
        chunks.push(Bytes::from(pending));
    }
    chunks
}

fn split_inside_code_points(piece: &Bytes) -> Vec<Bytes> {
    // Behind the first byte of a sequence: the next byte is a continuation and this one is not.
    split_at(std::slice::from_ref(piece), |pair| pair[0] >= 0xC0 && pair[1] & 0xC0 == 0x80)
}

fn split_at(pieces: &[Bytes], splits: impl Fn(&[u8]) -> bool) -> Vec<Bytes> {
    let mut chunks = Vec::new();
    for piece in pieces {
        let mut start = 0;
        for at in 1..piece.len() {
            if splits(&piece[at - 1..=at]) {
                chunks.push(piece.slice(start..at));
                start = at;
            }
        }
        chunks.push(piece.slice(start..));
    }
    chunks
}

/// Encodes piece by piece and flushes after each, so that a client can decode every event as it arrives.
fn encode(encoding: Encoding, pieces: Vec<Piece>) -> Vec<Piece> {
    let mut encoder: Box<dyn Encoder> = match encoding {
        Encoding::Gzip => Box::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default())),
        Encoding::Brotli => Box::new(brotli::CompressorWriter::new(Vec::new(), 4096, 4, 22)),
        Encoding::Zstd => Box::new(
            zstd::stream::write::Encoder::new(Vec::new(), 3).expect("the level is one that zstd has"),
        ),
        Encoding::Identity | Encoding::FalseGzip => return pieces,
    };
    let mut encoded: Vec<Piece> = pieces
        .into_iter()
        .map(|piece| {
            encoder.write_all(&piece.bytes).and_then(|()| encoder.flush()).expect("memory takes every byte");
            Piece { bytes: Bytes::from(encoder.take()), ..piece }
        })
        .collect();
    let has_usage = false;
    encoded.push(Piece { bytes: Bytes::from(encoder.end()), has_usage, is_usage_event: false });
    encoded
}

trait Encoder: Write {
    /// The bytes since the last take.
    fn take(&mut self) -> Vec<u8>;
    /// The bytes that end the body.
    fn end(self: Box<Self>) -> Vec<u8>;
}

impl Encoder for flate2::write::GzEncoder<Vec<u8>> {
    fn take(&mut self) -> Vec<u8> {
        std::mem::take(self.get_mut())
    }

    fn end(self: Box<Self>) -> Vec<u8> {
        self.finish().expect("memory takes every byte")
    }
}

impl Encoder for brotli::CompressorWriter<Vec<u8>> {
    fn take(&mut self) -> Vec<u8> {
        std::mem::take(self.get_mut())
    }

    fn end(self: Box<Self>) -> Vec<u8> {
        self.into_inner()
    }
}

impl Encoder for zstd::stream::write::Encoder<'_, Vec<u8>> {
    fn take(&mut self) -> Vec<u8> {
        std::mem::take(self.get_mut())
    }

    fn end(self: Box<Self>) -> Vec<u8> {
        self.finish().expect("memory takes every byte")
    }
}
