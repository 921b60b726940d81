//! Keeps of a JSON answer what accounting needs, while it arrives. Pure.
//!
//! An answer that is not streamed states its usage at the end, so it has to be kept until then, and a batch of
//! embeddings is tens of megabytes of numbers. This leaves out, byte by byte, the tail of every long text and of every
//! long run of numbers. What remains is the same JSON with shorter values: no name, bracket or short value changes, so
//! a count is what it was. Only a fault within what is left out goes unnoticed. Texts left out are measured.

use std::fmt;

use memchr::memchr2;

/// How much of a value is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkimLimits {
    /// Bytes of one text; a little more where a character or an escape would be cut in two.
    pub text_bytes_max: usize,
    /// Bytes of consecutive numbers.
    pub numbers_bytes_max: usize,
}

impl Default for SkimLimits {
    fn default() -> Self {
        Self { text_bytes_max: 1_024, numbers_bytes_max: 256 }
    }
}

/// The JSON kept so far.
#[derive(Default)]
pub struct Skim {
    limits: SkimLimits,
    kept: Vec<u8>,
    place: Place,
    text_bytes_left_out: u64,
}

impl fmt::Debug for Skim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Skim")
            .field("kept_bytes", &self.kept.len())
            .field("text_bytes_left_out", &self.text_bytes_left_out)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Between texts, so many bytes into a run of numbers.
    Outside { run: usize },
    /// The rest of a run of numbers, which is left out.
    LongRun,
    /// In a text of which so much is kept.
    Text { len: usize },
    /// Behind a backslash, with so many bytes of the escape to come (5 for `\u0000`, told by the first).
    Escape { len: usize, left: u8 },
    /// The rest of a text, which is left out.
    LongText,
    /// The same, behind a backslash.
    LongTextEscape,
}

impl Default for Place {
    fn default() -> Self {
        Self::Outside { run: 0 }
    }
}

impl Skim {
    /// Keeps as much as `limits` say.
    #[must_use]
    pub fn new(limits: SkimLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// What is kept.
    #[must_use]
    pub fn kept(&self) -> &[u8] {
        &self.kept
    }

    /// Memory taken.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.kept.capacity()
    }

    /// Bytes of texts that were left out, escapes as written.
    #[must_use]
    pub const fn text_bytes_left_out(&self) -> u64 {
        self.text_bytes_left_out
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(&byte) = rest.first() {
            let taken = match self.place {
                Place::Text { len } => self.text(rest, len),
                Place::LongText => self.long_text(rest),
                _ => {
                    self.place = self.step(byte);
                    1
                }
            };
            rest = &rest[taken..];
        }
    }

    fn step(&mut self, byte: u8) -> Place {
        match self.place {
            Place::Outside { run } => {
                if byte == b',' && run > self.limits.numbers_bytes_max {
                    return Place::LongRun;
                }
                self.outside(byte, run)
            }
            Place::LongRun if is_of_numbers(byte) => Place::LongRun,
            Place::LongRun => {
                // The comma before the next value was left out, the list's end needs none.
                if byte != b']' {
                    self.kept.push(b',');
                }
                self.outside(byte, 0)
            }
            Place::Escape { len, left } => {
                self.kept.push(byte);
                match left {
                    5 if byte != b'u' => Place::Text { len: len + 1 },
                    1 => Place::Text { len: len + 1 },
                    _ => Place::Escape { len: len + 1, left: left - 1 },
                }
            }
            Place::LongTextEscape => {
                self.text_bytes_left_out += 1;
                Place::LongText
            }
            Place::Text { .. } | Place::LongText => self.place,
        }
    }

    fn outside(&mut self, byte: u8, run: usize) -> Place {
        self.kept.push(byte);
        if byte == b'"' {
            Place::Text { len: 0 }
        } else if is_of_numbers(byte) {
            Place::Outside { run: run + 1 }
        } else {
            Place::Outside { run: 0 }
        }
    }

    /// Bytes of a text up to its end, its next escape or its limit.
    fn text(&mut self, rest: &[u8], len: usize) -> usize {
        let byte = rest[0];
        if byte == b'"' || byte == b'\\' {
            self.kept.push(byte);
            self.place = if byte == b'"' {
                Place::Outside { run: 0 }
            } else {
                Place::Escape { len: len + 1, left: 5 }
            };
            return 1;
        }
        let plain = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
        let room = self.limits.text_bytes_max.saturating_sub(len);
        // Up to the limit and on to the end of the character there.
        let end_of_character = (room..plain).find(|at| !is_continuation(rest[*at])).unwrap_or(plain);
        self.kept.extend_from_slice(&rest[..end_of_character]);
        self.place = if end_of_character < plain {
            Place::LongText
        } else {
            Place::Text { len: len + end_of_character }
        };
        end_of_character
    }

    fn long_text(&mut self, rest: &[u8]) -> usize {
        let plain = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
        self.text_bytes_left_out += plain as u64;
        match rest.get(plain) {
            Some(b'"') => {
                self.kept.push(b'"');
                self.place = Place::Outside { run: 0 };
                plain + 1
            }
            Some(_) => {
                self.text_bytes_left_out += 1;
                self.place = Place::LongTextEscape;
                plain + 1
            }
            None => plain,
        }
    }
}

const fn is_of_numbers(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E' | b',' | b' ' | b'\t' | b'\n' | b'\r')
}

/// A byte of a UTF-8 character other than its first.
const fn is_continuation(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}

#[cfg(test)]
mod tests;
