//! Pure: strings between quotes, with Go's escapes.

use std::str::Chars;

/// A text between double quotes, as Go's `strconv.Quote` writes it.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    text.chars().for_each(|c| push_escaped(&mut out, c, '"'));
    out.push('"');
    out
}

/// A character between single quotes, as Go's `%q` writes it; the end of the text prints as the replacement character.
pub(super) fn quote_char(c: Option<char>) -> String {
    let mut out = String::from("'");
    push_escaped(&mut out, c.unwrap_or(char::REPLACEMENT_CHARACTER), '\'');
    out.push('\'');
    out
}

/// Go's `%#U`.
fn code_point(c: char) -> String {
    let code = format!("U+{:04X}", u32::from(c));
    if is_printable(c) { format!("{code} '{c}'") } else { code }
}

fn is_printable(c: char) -> bool {
    // Behind a letter, where a combining mark prints, as it does everywhere in Go.
    matches!(c, '"' | '\'' | '\\') || format!("a{c}").escape_debug().count() == 2
}

/// The letters behind a backslash that stand for one character.
const ESCAPES: [(char, char); 8] = [
    ('a', '\x07'),
    ('b', '\x08'),
    ('f', '\x0c'),
    ('n', '\n'),
    ('r', '\r'),
    ('t', '\t'),
    ('v', '\x0b'),
    ('\\', '\\'),
];

fn push_escaped(out: &mut String, c: char, quote: char) {
    if let Some((letter, _)) = ESCAPES.iter().find(|(_, plain)| *plain == c) {
        return out.extend(['\\', *letter]);
    }
    match u32::from(c) {
        _ if c == quote => out.extend(['\\', c]),
        _ if is_printable(c) => out.push(c),
        code @ 0..=0x7f => out.push_str(&format!("\\x{code:02x}")),
        code @ 0x80..=0xffff => out.push_str(&format!("\\u{code:04x}")),
        code => out.push_str(&format!("\\U{code:08x}")),
    }
}

/// The text of a string token, quotes included; `None` when its escapes spell bytes that are not UTF-8.
pub(super) fn unquote(token: &str) -> Option<String> {
    String::from_utf8(read_string(token).ok()?.1).ok()
}

/// Reads the string with which a text begins, in whichever of Go's quotes: its length with them, and the bytes it spells; or
/// Prometheus's complaint.
pub fn read_string(text: &str) -> Result<(usize, Vec<u8>), String> {
    let mut chars = text.chars();
    let quote = chars.next().unwrap_or_default();
    let is_raw = quote == '`';
    let mut out = Vec::new();
    loop {
        match chars.next() {
            Some('\\') if !is_raw => unescape(&mut chars, quote, &mut out)?,
            Some(char::REPLACEMENT_CHARACTER) => return Err("invalid UTF-8 rune".to_owned()),
            None if is_raw => return Err("unterminated raw string".to_owned()),
            None => return Err("unterminated quoted string".to_owned()),
            Some('\n') if !is_raw => return Err("unterminated quoted string".to_owned()),
            Some(c) if c == quote => return Ok((text.len() - chars.as_str().len(), out)),
            Some(c) => push(c, &mut out),
        }
    }
}

fn push(c: char, out: &mut Vec<u8>) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// What follows a backslash in a string between these quotes.
fn unescape(chars: &mut Chars<'_>, quote: char, out: &mut Vec<u8>) -> Result<(), String> {
    let unterminated = || "escape sequence not terminated".to_owned();
    let first = chars.next().ok_or_else(unterminated)?;
    if let Some((_, plain)) = ESCAPES.iter().chain([&(quote, quote)]).find(|(letter, _)| *letter == first) {
        push(*plain, out);
        return Ok(());
    }
    let (digits, radix) = match first {
        '0'..='7' => (3, 8),
        'x' => (2, 16),
        'u' => (4, 16),
        'U' => (8, 16),
        _ => return Err(format!("unknown escape sequence {}", code_point(first))),
    };
    let mut code = 0_u32;
    for at in 0..digits {
        let digit = if at == 0 && radix == 8 { first } else { chars.next().ok_or_else(unterminated)? };
        let value = digit.to_digit(radix);
        let value =
            value.ok_or_else(|| format!("illegal character {} in escape sequence", code_point(digit)))?;
        code = code.wrapping_mul(radix).wrapping_add(value);
    }
    let invalid = || "escape sequence is an invalid Unicode code point".to_owned();
    if matches!(first, 'u' | 'U') {
        push(char::from_u32(code).ok_or_else(invalid)?, out);
    } else {
        out.push(u8::try_from(code).map_err(|_| invalid())?);
    }
    Ok(())
}
