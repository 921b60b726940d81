//! Pure: strings between quotes, with Go's escapes.

/// A text between double quotes, as Go's `strconv.Quote` writes it.
pub(super) fn quote(text: &str) -> String {
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

/// Whether a character is shown as it is.
pub(super) fn is_printable(c: char) -> bool {
    matches!(c, '"' | '\'' | '\\') || c.escape_debug().len() == 1
}

fn push_escaped(out: &mut String, c: char, quote: char) {
    match c {
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        '\\' => out.push_str("\\\\"),
        _ if c == quote => out.extend(['\\', c]),
        _ if is_printable(c) => out.push(c),
        _ => {
            let code = u32::from(c);
            out.push_str(&match code {
                0..=0x7f => format!("\\x{code:02x}"),
                0x80..=0xffff => format!("\\u{code:04x}"),
                _ => format!("\\U{code:08x}"),
            });
        }
    }
}

/// The text of a string token, which the lexer has checked, quotes included; `None` when its escapes spell bytes that are not UTF-8.
pub(super) fn unquote(token: &str) -> Option<String> {
    let inner = token.get(1..token.len().checked_sub(1)?)?;
    if token.starts_with('`') {
        return Some(inner.to_owned());
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(rest.get(..at)?.as_bytes());
        let mut chars = rest.get(at + 1..)?.chars();
        let escape = chars.next()?;
        rest = chars.as_str();
        let (digits, radix) = match escape {
            'x' => (2, 16),
            'u' => (4, 16),
            'U' => (8, 16),
            '0'..='7' => {
                rest = token_from(inner, rest, escape)?;
                (3, 8)
            }
            _ => {
                out.push(simple(escape)?);
                continue;
            }
        };
        let code = u32::from_str_radix(rest.get(..digits)?, radix).ok()?;
        rest = rest.get(digits..)?;
        if matches!(escape, 'u' | 'U') {
            out.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            out.push(u8::try_from(code).ok()?);
        }
    }
    out.extend_from_slice(rest.as_bytes());
    String::from_utf8(out).ok()
}

/// The rest of the text with the first octal digit, which is one byte, put back.
fn token_from<'a>(inner: &'a str, rest: &str, digit: char) -> Option<&'a str> {
    inner.get(inner.len() - rest.len() - digit.len_utf8()..)
}

fn simple(escape: char) -> Option<u8> {
    Some(match escape {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' | '"' | '\'' => u8::try_from(escape).ok()?,
        _ => return None,
    })
}
