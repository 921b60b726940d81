//! Pure: looks at a query's text before the parser does. The parser and the tree it builds recurse once per operator and bracket and
//! compile every regular expression they meet, so the text is measured first.

use super::error::QueryError;
use super::limits::{NESTING_MAX, OPERATORS_MAX, QUERY_BYTES_MAX, REGEX_BYTES_MAX};

/// Refuses text that is too long, too deep or too wide.
pub fn check_text(query: &str) -> Result<(), QueryError> {
    let limit = |what, found, limit| Err(QueryError::TooLarge { what, found, limit });
    if query.len() > QUERY_BYTES_MAX {
        return limit("its length in bytes", query.len(), QUERY_BYTES_MAX);
    }
    let (mut depth, mut operators) = (0_usize, 0_usize);
    let mut previous = [0_u8; 2];
    let mut word = String::new();
    let bytes = query.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        if byte.is_ascii_alphanumeric() || byte == b'_' {
            word.push(char::from(byte.to_ascii_lowercase()));
        } else {
            operators += usize::from(matches!(word.as_str(), "and" | "or" | "unless" | "atan2"));
            word.clear();
        }
        match byte {
            b'"' | b'\'' | b'`' => {
                let end = end_of_string(bytes, at);
                let length = end.saturating_sub(at + 2);
                if matches!(&previous, b"=~" | b"!~") && length > REGEX_BYTES_MAX {
                    return limit("the length of a regular expression", length, REGEX_BYTES_MAX);
                }
                at = end;
                previous = [0; 2];
                continue;
            }
            b'#' => {
                at = bytes[at..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |line| at + line);
                continue;
            }
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b'+' | b'-' | b'*' | b'/' | b'%' | b'^' | b'=' | b'<' | b'>' | b'!' => operators += 1,
            _ => {}
        }
        if depth > NESTING_MAX {
            return limit("its nesting depth", depth, NESTING_MAX);
        }
        if operators > OPERATORS_MAX {
            return limit("its number of operators", operators, OPERATORS_MAX);
        }
        if !byte.is_ascii_whitespace() {
            previous = [previous[1], byte];
        }
        at += 1;
    }
    Ok(())
}

/// The place after a string's closing quote, or the end of the text.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let quote = bytes[start];
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quote != b'`' => at += 1,
            byte if byte == quote => return at + 1,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}
