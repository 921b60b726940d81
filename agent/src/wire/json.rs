//! One pass over JSON (RFC 8259), in whatever pieces it comes, without building anything. Pure.
//!
//! For who must look into JSON and keep its bytes as they are: injecting usage, stripping it, truncating a response. It tells
//! where values are, checks the grammar and keeps its place between two pieces. It accepts what `serde_json` accepts, but
//! for UTF-8, which is the caller's to check. Must never allocate: its state is a hundred bytes.

use std::ops::Range;

use memchr::memchr2;

/// Nesting that is followed, as much as `serde_json` follows.
pub const DEPTH_MAX: u32 = 127;

/// Bytes of a string that are looked at one by one.
const SHORT_BYTES: usize = 24;

/// Not JSON, or nested too deep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not JSON, or nested deeper than {DEPTH_MAX}")]
pub struct Malformed;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Open,
    Close,
    Colon,
    Comma,
    /// The name of a member, with its quotes.
    Name,
    /// A string that is a value, with its quotes.
    Text,
    Number,
    Literal,
}

/// A token, or the part of one that lies in the piece that is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    pub(crate) kind: Kind,
    /// Where its first byte in this piece is.
    pub from: usize,
    /// Behind its last byte in this piece.
    pub to: usize,
    /// It began in this piece.
    pub begins: bool,
    /// It ended in this piece. A number at the end of a piece ends when the next piece, or the end of all, shows it.
    pub ends: bool,
    /// A string with a backslash in this piece or in an earlier one.
    pub has_escapes: bool,
}

/// What may come next between tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expect {
    #[default]
    Value,
    /// Behind `[`.
    ValueOrClose,
    Name,
    /// Behind `{`.
    NameOrClose,
    Colon,
    CommaOrClose,
    /// The document is complete.
    Nothing,
}

/// Within a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Inside {
    #[default]
    Nothing,
    String {
        is_name: bool,
        has_escapes: bool,
        escape: Escape,
    },
    Number(Number),
    Literal {
        word: &'static [u8],
        seen: usize,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    No,
    /// Behind a backslash.
    Kind,
    /// So many hexadecimal digits to come.
    Digits(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Minus,
    Zero,
    Integer,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
}

/// The place in a document.
#[derive(Clone, Debug, Default)]
pub struct Tokenizer {
    expect: Expect,
    inside: Inside,
    depth: u32,
    /// One bit for each open bracket, the innermost lowest: 1 is an object.
    nesting: u128,
}

impl Tokenizer {
    /// Whether what came so far is a whole document, if nothing but space follows.
    pub fn is_complete(&self) -> bool {
        match self.inside {
            Inside::Nothing => self.expect == Expect::Nothing,
            Inside::Number(state) => state.may_end() && self.depth == 0,
            Inside::String { .. } | Inside::Literal { .. } => false,
        }
    }

    /// How many bytes of the next piece, which begins with `next`, belong to an escape that began in this one.
    pub const fn escape_bytes_left(&self, next: u8) -> usize {
        match self.inside {
            Inside::String { escape: Escape::Kind, .. } if next == b'u' => 5,
            Inside::String { escape: Escape::Kind, .. } => 1,
            Inside::String { escape: Escape::Digits(left), .. } => left as usize,
            _ => 0,
        }
    }

    /// The next token of `piece` from `at` on, which moves behind it; `None` at the end of the piece. An error is at the
    /// first byte that cannot be; the tokenizer is of no use afterwards.
    pub fn next(&mut self, piece: &[u8], at: &mut usize) -> Result<Option<Token>, Malformed> {
        if self.inside != Inside::Nothing {
            return self.go_on(piece, at, false);
        }
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = piece.get(*at) {
            *at += 1;
        }
        let Some(&byte) = piece.get(*at) else { return Ok(None) };
        let in_object = self.nesting & 1 == 1;
        let kind = match (byte, self.expect) {
            (b',', Expect::CommaOrClose) => {
                self.expect = if in_object { Expect::Name } else { Expect::Value };
                Kind::Comma
            }
            (b':', Expect::Colon) => {
                self.expect = Expect::Value;
                Kind::Colon
            }
            (b'{' | b'[', Expect::Value | Expect::ValueOrClose) if self.depth < DEPTH_MAX => {
                self.depth += 1;
                self.nesting = self.nesting << 1 | u128::from(byte == b'{');
                self.expect = if byte == b'{' { Expect::NameOrClose } else { Expect::ValueOrClose };
                Kind::Open
            }
            (b'}' | b']', Expect::CommaOrClose | Expect::NameOrClose | Expect::ValueOrClose)
                if in_object == (byte == b'}') =>
            {
                self.depth -= 1;
                self.nesting >>= 1;
                self.end_value();
                Kind::Close
            }
            (b'"', Expect::Name | Expect::NameOrClose) => {
                self.inside = Inside::String { is_name: true, has_escapes: false, escape: Escape::No };
                return self.go_on(piece, at, true);
            }
            (_, Expect::Value | Expect::ValueOrClose) => {
                self.inside = match byte {
                    b'"' => Inside::String { is_name: false, has_escapes: false, escape: Escape::No },
                    b't' => Inside::Literal { word: b"true", seen: 0 },
                    b'f' => Inside::Literal { word: b"false", seen: 0 },
                    b'n' => Inside::Literal { word: b"null", seen: 0 },
                    b'-' => Inside::Number(Number::Minus),
                    b'0' => Inside::Number(Number::Zero),
                    b'1'..=b'9' => Inside::Number(Number::Integer),
                    _ => return Err(Malformed),
                };
                return self.go_on(piece, at, true);
            }
            _ => return Err(Malformed),
        };
        *at += 1;
        Ok(Some(Token { kind, from: *at - 1, to: *at, begins: true, ends: true, has_escapes: false }))
    }

    const fn end_value(&mut self) {
        self.inside = Inside::Nothing;
        self.expect = if self.depth == 0 { Expect::Nothing } else { Expect::CommaOrClose };
    }

    /// The rest of the token under way, as far as the piece has it.
    fn go_on(&mut self, piece: &[u8], at: &mut usize, begins: bool) -> Result<Option<Token>, Malformed> {
        let from = *at;
        if from == piece.len() {
            return Ok(None);
        }
        let (kind, ends, has_escapes) = match self.inside {
            Inside::String { is_name, has_escapes, escape } => {
                // Behind the opening quote.
                *at += usize::from(begins);
                let (ends, has_escapes) = self.string(piece, at, is_name, has_escapes, escape)?;
                (if is_name { Kind::Name } else { Kind::Text }, ends, has_escapes)
            }
            Inside::Number(state) => {
                *at += usize::from(begins);
                (Kind::Number, self.number(piece, at, state)?, false)
            }
            Inside::Literal { word, seen } => {
                let length = (word.len() - seen).min(piece.len() - from);
                if piece[from..from + length] != word[seen..seen + length] {
                    return Err(Malformed);
                }
                *at += length;
                let ends = seen + length == word.len();
                if ends {
                    self.end_value();
                } else {
                    self.inside = Inside::Literal { word, seen: seen + length };
                }
                (Kind::Literal, ends, false)
            }
            Inside::Nothing => return Ok(None),
        };
        Ok(Some(Token { kind, from, to: *at, begins, ends, has_escapes }))
    }

    /// Bytes of a string. Returns whether it ended, and whether it has escapes.
    fn string(
        &mut self,
        piece: &[u8],
        at: &mut usize,
        is_name: bool,
        mut has_escapes: bool,
        mut escape: Escape,
    ) -> Result<(bool, bool), Malformed> {
        // Names and most values are short, and what follows an escape is not.
        let mut is_short = !has_escapes;
        loop {
            if escape == Escape::No {
                let rest = &piece[*at..];
                *at += if is_short { short_bytes(rest)? } else { long_bytes(rest)? };
                is_short = false;
            }
            let Some(&byte) = piece.get(*at) else {
                self.inside = Inside::String { is_name, has_escapes, escape };
                return Ok((false, has_escapes));
            };
            *at += 1;
            escape = match escape {
                Escape::No if byte == b'"' => break,
                Escape::No => {
                    has_escapes = true;
                    Escape::Kind
                }
                Escape::Kind => match byte {
                    b'u' => Escape::Digits(4),
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Escape::No,
                    _ => return Err(Malformed),
                },
                Escape::Digits(_) if !byte.is_ascii_hexdigit() => return Err(Malformed),
                Escape::Digits(1) => Escape::No,
                Escape::Digits(left) => Escape::Digits(left - 1),
            };
        }
        if is_name {
            (self.inside, self.expect) = (Inside::Nothing, Expect::Colon);
        } else {
            self.end_value();
        }
        Ok((true, has_escapes))
    }

    /// Bytes of a number. Returns whether it ended.
    fn number(&mut self, piece: &[u8], at: &mut usize, mut state: Number) -> Result<bool, Malformed> {
        while let Some(&byte) = piece.get(*at) {
            match state.then(byte) {
                Some(next) => state = next,
                None if state.may_end() => {
                    self.end_value();
                    return Ok(true);
                }
                None => return Err(Malformed),
            }
            *at += 1;
        }
        self.inside = Inside::Number(state);
        Ok(false)
    }
}

impl Number {
    const fn then(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Minus, b'0') => Self::Zero,
            (Self::Minus, b'1'..=b'9') | (Self::Integer, b'0'..=b'9') => Self::Integer,
            (Self::Zero | Self::Integer, b'.') => Self::Point,
            (Self::Point | Self::Fraction, b'0'..=b'9') => Self::Fraction,
            (Self::Zero | Self::Integer | Self::Fraction, b'e' | b'E') => Self::Exponent,
            (Self::Exponent, b'+' | b'-') => Self::ExponentSign,
            (Self::Exponent | Self::ExponentSign | Self::ExponentDigits, b'0'..=b'9') => Self::ExponentDigits,
            _ => return None,
        })
    }

    const fn may_end(self) -> bool {
        matches!(self, Self::Zero | Self::Integer | Self::Fraction | Self::ExponentDigits)
    }
}

/// Bytes before the next quote, backslash or the end of most likely short strings: there a loop beats a vector search.
#[inline]
fn short_bytes(bytes: &[u8]) -> Result<usize, Malformed> {
    let short = bytes.len().min(SHORT_BYTES);
    for (at, byte) in bytes[..short].iter().enumerate() {
        match byte {
            b'"' | b'\\' => return Ok(at),
            0..0x20 => return Err(Malformed),
            _ => {}
        }
    }
    Ok(short + long_bytes(&bytes[short..])?)
}

/// The same for long ones.
#[inline]
fn long_bytes(bytes: &[u8]) -> Result<usize, Malformed> {
    let plain = memchr2(b'"', b'\\', bytes).unwrap_or(bytes.len());
    if has_control_characters(&bytes[..plain]) { Err(Malformed) } else { Ok(plain) }
}

/// Written so that the compiler makes vector instructions of it: most bytes of a prompt pass here.
fn has_control_characters(bytes: &[u8]) -> bool {
    bytes.iter().fold(false, |found, byte| found | (*byte < 0x20))
}

/// A member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// Where it begins: at the quote before its name.
    pub(crate) from: usize,
    pub(crate) value: Range<usize>,
}

/// The members of these names; `None` when it is no object, not JSON to its last byte, or doubtful which they are: a name
/// with escapes, which may be another than it looks, or one given twice.
pub(crate) fn unique_members<const N: usize>(object: &[u8], names: [&str; N]) -> Option<[Option<Member>; N]> {
    let mut tokenizer = Tokenizer::default();
    let mut at = 0;
    let first = tokenizer.next(object, &mut at).ok()??;
    if object[first.from] != b'{' {
        return None;
    }
    let mut found = [const { None::<Member> }; N];
    let mut place: Option<usize> = None;
    while let Some(token) = tokenizer.next(object, &mut at).ok()? {
        let member = place.and_then(|place| found[place].as_mut());
        match (tokenizer.depth, token.kind, member) {
            // A document may end within a name.
            (1, Kind::Name, _) if token.ends => {
                let name = &object[token.from + 1..token.to - 1];
                place = names.iter().position(|wanted| wanted.as_bytes() == name);
                let member = Member { from: token.from, value: 0..0 };
                let is_repeated = place.is_some_and(|place| found[place].replace(member).is_some());
                if is_repeated || token.has_escapes {
                    return None;
                }
            }
            (2, Kind::Open, Some(member)) | (1, Kind::Text | Kind::Number | Kind::Literal, Some(member)) => {
                member.value = token.from..token.to;
            }
            (1, Kind::Close, Some(member)) => member.value.end = token.to,
            _ => {}
        }
    }
    tokenizer.is_complete().then_some(found)
}

#[cfg(test)]
pub(crate) mod tests;
