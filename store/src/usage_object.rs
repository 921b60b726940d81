//! A provider's usage object as it is stored: the text without its whole numbers, and the numbers. Pure.
//!
//! The text says how a provider counts and is the same for nearly all of its calls, so it becomes a dictionary entry; what differs
//! is a few integers. What does not split cleanly (fractions, exponents, signs, numbers within strings) stays in the text. Put
//! together again it is the sender's text, byte for byte.

use crate::limits::{USAGE_TEMPLATE_BYTES_MAX, USAGE_TEXT_BYTES_MAX};

/// Stands in the template where a number was. A text that has one itself is not split.
const MARK: char = '#';

/// A usage object, split.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageObject {
    /// The text with a `#` for each of the counts; the text itself if there are none.
    pub template: String,
    /// The whole numbers that stood there, in order.
    pub counts: Vec<i64>,
}

impl UsageObject {
    /// Splits a text of at most [`USAGE_TEXT_BYTES_MAX`]; of a longer one the rest is lost. A template beyond
    /// [`USAGE_TEMPLATE_BYTES_MAX`] is no shape that others share: such a text is kept as it is.
    pub fn split(text: &str) -> Self {
        let text = &text[..text.floor_char_boundary(USAGE_TEXT_BYTES_MAX)];
        let whole = || Self { template: text.to_owned(), counts: Vec::new() };
        if text.contains(MARK) {
            return whole();
        }
        let (mut template, mut counts) = (String::new(), Vec::new());
        let mut rest = text;
        while let Some(byte) = rest.bytes().next() {
            let length = match byte {
                b'"' => string_length(rest),
                _ if is_of_number(byte) => length_of(rest, is_of_number),
                _ => length_of(rest, |byte| byte != b'"' && !is_of_number(byte)),
            };
            let (token, after) = rest.split_at(length);
            match whole_number(token) {
                Some(count) => {
                    template.push(MARK);
                    counts.push(count);
                }
                None => template.push_str(token),
            }
            rest = after;
        }
        if template.len() > USAGE_TEMPLATE_BYTES_MAX { whole() } else { Self { template, counts } }
    }

    /// The text that was split.
    pub fn join(&self) -> String {
        if self.counts.is_empty() {
            return self.template.clone();
        }
        let mut pieces = self.template.split(MARK);
        let mut text = pieces.next().unwrap_or_default().to_owned();
        for (count, piece) in self.counts.iter().zip(pieces) {
            text.push_str(&count.to_string());
            text.push_str(piece);
        }
        text
    }
}

/// A JSON string with its quotes, or all that is left of one that does not end.
fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    });
    end.map_or(text.len(), |end| end + 2)
}

const fn is_of_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')
}

fn length_of(text: &str, belongs: impl Fn(u8) -> bool) -> usize {
    text.bytes().position(|byte| !belongs(byte)).unwrap_or(text.len())
}

/// The number, if printing it gives this text again.
fn whole_number(token: &str) -> Option<i64> {
    let is_plain =
        token.bytes().all(|byte| byte.is_ascii_digit()) && (token == "0" || !token.starts_with('0'));
    if is_plain { token.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(text: &str) -> (String, Vec<i64>) {
        let UsageObject { template, counts } = UsageObject::split(text);
        (template, counts)
    }

    #[test]
    fn whole_numbers_outside_of_strings_are_taken_out() {
        for (text, template, counts) in [
            (r#"{"input_tokens":12,"cache_5m":0}"#, r##"{"input_tokens":#,"cache_5m":#}"##, vec![12, 0]),
            (r#"{"a":[1, 2],"tier":"t-4"}"#, r##"{"a":[#, #],"tier":"t-4"}"##, vec![1, 2]),
            // What would not be printed as it stands, or is no whole number.
            ("[007,-1,1.5,2e3,9223372036854775808]", "[007,-1,1.5,2e3,9223372036854775808]", vec![]),
            ("[9223372036854775807]", "[#]", vec![i64::MAX]),
            // A quote within a string does not end it.
            (r#"{"a\"1":1}"#, r##"{"a\"1":#}"##, vec![1]),
            (r#"{"a\\":1}"#, r##"{"a\\":#}"##, vec![1]),
            (r#"{"unfinished 5"#, r#"{"unfinished 5"#, vec![]),
            // A mark of its own could not be told from ours.
            (r##"{"#":1}"##, r##"{"#":1}"##, vec![]),
            ("", "", vec![]),
        ] {
            assert_eq!(split(text), (template.to_owned(), counts), "{text}");
        }
    }

    #[test]
    fn what_no_other_call_shares_is_kept_whole_and_what_is_too_long_is_cut() {
        let long = format!(r#"{{"{}":1}}"#, "x".repeat(USAGE_TEMPLATE_BYTES_MAX));
        assert_eq!(split(&long), (long.clone(), vec![]));
        let many = format!("[{}]", "1000000,".repeat(100));
        assert_eq!(UsageObject::split(&many).counts.len(), 100);
        let endless = "\u{e9}".repeat(USAGE_TEXT_BYTES_MAX);
        assert_eq!(UsageObject::split(&endless).template.len(), USAGE_TEXT_BYTES_MAX);
    }

    proptest! {
        #[test]
        fn what_is_split_is_put_together_again(
            text in prop_oneof![
                ".{0,200}",
                r#"[\[\]{}:,"\\#0-9eE+.\- a-c\u{e9}-]{0,200}"#,
                "[0-9]{0,40}",
            ]
        ) {
            prop_assert_eq!(UsageObject::split(&text).join(), text);
        }
    }
}
