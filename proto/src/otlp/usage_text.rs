//! Counts in a text that holds a usage object. Pure.
//!
//! Senders put the provider's usage, or their own, into one attribute: as JSON, and as what Python prints of a dict, which
//! is JSON but for its quotation marks, `None` and `True`. One scanner reads both. It never fails: what it does not
//! understand is no count.

use crate::unit::Side;

/// The rest of a longer text is not read.
const BYTES_MAX: usize = 16 << 10;
/// Objects within each other; what is deeper is not read.
const DEPTH_MAX: usize = 8;

/// Finds every `"name": number` outside of lists (which repeat parts of the sum) and hands it on with the side that the
/// objects around it are about, and their number.
pub(super) fn scan(text: &str, side: Side, mut found: impl FnMut(&str, Side, u8, u64)) {
    let bytes = text.as_bytes();
    let end = bytes.len().min(BYTES_MAX);
    let mut sides = [side; DEPTH_MAX];
    let (mut depth, mut lists, mut at) = (0_usize, 0_usize, 0);
    let mut key: Option<&str> = None;
    while at < end {
        let start = at;
        at += 1;
        match bytes[start] {
            mark @ (b'"' | b'\'') => {
                let Some(closed) = string_end(&bytes[..end], at, mark) else { return };
                let after = (closed + 1..end).find(|at| !bytes[*at].is_ascii_whitespace());
                let is_key = after.is_some_and(|at| bytes[at] == b':');
                key = text.get(start + 1..closed).filter(|_| is_key);
                at = if is_key { after.map_or(end, |at| at + 1) } else { closed + 1 };
            }
            b'{' => {
                let outer = sides[depth.min(DEPTH_MAX - 1)];
                depth += 1;
                if let Some(inner) = sides.get_mut(depth) {
                    *inner = key.and_then(side_of).unwrap_or(outer);
                }
                key = None;
            }
            b'}' => (depth, key) = (depth.saturating_sub(1), None),
            b'[' => (lists, key) = (lists + 1, None),
            b']' => (lists, key) = (lists.saturating_sub(1), None),
            b',' => key = None,
            byte if byte.is_ascii_alphanumeric() || byte == b'-' => {
                at = (at..end).find(|at| !is_in_number(bytes[*at])).unwrap_or(end);
                let number = text.get(start..at).and_then(whole);
                if let (Some(key), Some(number), 0, Some(side)) =
                    (key.take(), number, lists, sides.get(depth))
                {
                    found(key, *side, u8::try_from(depth).unwrap_or(u8::MAX), number);
                }
            }
            _ => {}
        }
    }
}

fn string_end(bytes: &[u8], mut at: usize, mark: u8) -> Option<usize> {
    while *bytes.get(at)? != mark {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    Some(at)
}

/// Numbers, and words such as `None`.
fn is_in_number(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+' | b'_')
}

/// A whole number, also one that is written `10.0`.
fn whole(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    fraction.bytes().all(|digit| digit == b'0').then(|| whole.parse().ok()).flatten()
}

/// The side that an object of this name is about, where the name says so.
fn side_of(key: &str) -> Option<Side> {
    let has = |part: &str| key.contains(part);
    if has("output") || has("completion") {
        return Some(Side::Output);
    }
    (has("input") || has("prompt")).then_some(Side::Input)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(String, Side, u8, u64)> {
        let mut all = Vec::new();
        scan(text, Side::Input, |key, side, depth, number| all.push((key.to_owned(), side, depth, number)));
        all
    }

    #[test]
    fn json_and_python_are_read_alike() {
        let expected = vec![
            ("prompt_tokens".to_owned(), Side::Input, 1, 1500),
            ("audio".to_owned(), Side::Output, 2, 3),
            ("cached".to_owned(), Side::Input, 2, 1024),
        ];
        for text in [
            r#"{"prompt_tokens":1500,"completion_tokens_details":{"audio":3,"text":null},"prompt_details":{"cached":1024}}"#,
            "{'prompt_tokens': 1500, 'completion_tokens_details': {'audio': 3.0, 'text': None}, 'prompt_details' : {'cached': 1024}}",
        ] {
            assert_eq!(found(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_count_of_the_whole_is_left_out() {
        for text in [
            "",
            "nothing",
            "{",
            r#"{"a"#,
            r#"{"a":"5"}"#,
            r#"{"a":-5}"#,
            r#"{"a":1.5}"#,
            r#"{"a":1e3}"#,
            r#"{"a":99999999999999999999}"#,
            r#"{"a":[5,{"b":5}]}"#,
            r#"{"a":"\"b\":5"}"#,
            "Usage(a=5)",
            "}}]]5",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
        let deep = format!("{}{}", r#"{"a":"#.repeat(20), "7");
        assert_eq!(found(&deep), []);
        let long = format!("{}\"a\":5}}", " ".repeat(BYTES_MAX));
        assert_eq!(found(&long), []);
        assert_eq!(found("{'\u{e9}':5}"), [("\u{e9}".to_owned(), Side::Input, 1, 5)]);
    }
}
