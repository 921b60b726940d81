//! Pure: RE2's regular expressions, which PromQL promises, in the notation of the `regex` crate, which is linear too but reads some
//! things differently: in RE2 the Perl classes are ASCII, a brace that does not open a repetition is a brace, a bracket or a doubled
//! operator inside a class is a literal, `\101` is a character and `\Q` quotes.

use std::iter::Peekable;
use std::str::CharIndices;

/// The same pattern for the `regex` crate, or RE2's complaint.
pub fn translate(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len() + 16);
    // In a bracketed class, the place of its first item, where `]` is a literal.
    let mut class: Option<usize> = None;
    let bytes = pattern.as_bytes();
    let mut chars = pattern.char_indices().peekable();
    // Where the repetition begins that ends here, if one does.
    let mut repetition: Option<usize> = None;
    while let Some((at, c)) = chars.next() {
        let inside = class.is_some();
        let repeated = repetition.take();
        match c {
            '\\' => push_escape(&mut chars, inside, &mut out)?,
            '[' if !inside => {
                class = Some(at + 1);
                out.push('[');
            }
            '[' => match pattern[at..].strip_prefix("[:").and_then(|rest| rest.find(":]")) {
                Some(end) => {
                    out.push_str(&pattern[at..at + end + 4]);
                    chars.by_ref().take(end + 3).for_each(drop);
                }
                None => out.push_str("\\["),
            },
            '^' if class == Some(at) && bytes.get(at.wrapping_sub(1)) == Some(&b'[') => {
                class = Some(at + 1);
                out.push('^');
            }
            ']' if class == Some(at) => out.push_str("\\]"),
            ']' if inside => {
                class = None;
                out.push(']');
            }
            '&' | '~' if inside => out.extend(['\\', c]),
            '{' if !inside && repetition_end(&pattern[at..]).is_none() => out.push_str("\\{"),
            '(' if !inside => {
                out.push('(');
                out.extend(chars.next_if(|(_, next)| *next == '?').map(|(_, next)| next));
            }
            '*' | '+' | '?' | '{' if !inside => {
                let length = if c == '{' { repetition_end(&pattern[at..]).unwrap_or_default() } else { 1 };
                if let Some(start) = repeated {
                    let both = &pattern[start..at + length];
                    return Err(format!("invalid nested repetition operator: `{both}`"));
                }
                repetition = Some(at);
                out.push_str(&pattern[at..at + length]);
                chars.by_ref().take(length - 1).for_each(drop);
                out.extend(chars.next_if(|(_, next)| *next == '?').map(|(_, next)| next));
            }
            _ => out.push(c),
        }
    }
    Ok(out)
}

fn push_escape(
    chars: &mut Peekable<CharIndices<'_>>,
    in_class: bool,
    out: &mut String,
) -> Result<(), String> {
    let Some((_, escaped)) = chars.next() else {
        return Err("trailing backslash at end of expression".to_owned());
    };
    match escaped {
        'd' => out.push_str("[0-9]"),
        'D' => out.push_str("[^0-9]"),
        'w' => out.push_str("[0-9A-Za-z_]"),
        'W' => out.push_str("[^0-9A-Za-z_]"),
        's' => out.push_str("[\\t\\n\\x0C\\r ]"),
        'S' => out.push_str("[^\\t\\n\\x0C\\r ]"),
        'x' | 'p' | 'P' if chars.peek().is_some_and(|(_, next)| *next == '{') => {
            out.extend(['\\', escaped]);
            for (_, c) in chars.by_ref() {
                out.push(c);
                if c == '}' {
                    break;
                }
            }
        }
        '0'..='7' if escaped == '0' || chars.peek().is_some_and(|(_, next)| next.is_digit(8)) => {
            let mut code = escaped.to_digit(8).unwrap_or_default();
            for _ in 0..2 {
                let Some(digit) = chars.next_if(|(_, next)| next.is_digit(8)) else { break };
                code = code * 8 + digit.1.to_digit(8).unwrap_or_default();
            }
            out.push_str(&format!("\\x{{{code:x}}}"));
        }
        'Q' if !in_class => {
            while let Some((_, c)) = chars.next() {
                if c == '\\' && chars.next_if(|(_, next)| *next == 'E').is_some() {
                    break;
                }
                push_literal(c, out);
            }
        }
        'b' if !in_class => out.push_str("(?-u:\\b)"),
        'B' if !in_class => out.push_str("(?-u:\\B)"),
        'a' | 'f' | 'n' | 'r' | 't' | 'v' | 'x' | 'p' | 'P' => out.extend(['\\', escaped]),
        'A' | 'z' if !in_class => out.extend(['\\', escaped]),
        _ if escaped.is_ascii() && !escaped.is_ascii_alphanumeric() => {
            push_literal(escaped, out);
        }
        _ => return Err(format!("invalid escape sequence: `\\{escaped}`")),
    }
    Ok(())
}

/// A character that means itself, in a class or outside.
fn push_literal(c: char, out: &mut String) {
    out.push_str(&format!("\\x{{{:x}}}", u32::from(c)));
}

/// How long `{n}`, `{n,}` or `{n,m}` is at the start of this text, if it is one.
fn repetition_end(rest: &str) -> Option<usize> {
    let end = rest.find('}')?;
    let body = &rest[1..end];
    let (low, high) = body.split_once(',').unwrap_or((body, ""));
    let digits = low.bytes().chain(high.bytes()).all(|b| b.is_ascii_digit());
    (digits && !low.is_empty()).then_some(end + 1)
}
