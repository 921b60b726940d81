//! The query part of a ClickHouse request. Pure.

use std::fmt::Write as _;

/// Names and values, escaped.
#[derive(Clone, Debug, Default)]
pub(super) struct QueryString(String);

impl QueryString {
    pub(super) fn push(&mut self, name: &str, value: &str) {
        self.0.push(if self.0.is_empty() { '?' } else { '&' });
        percent_encode(&mut self.0, name);
        self.0.push('=');
        percent_encode(&mut self.0, value);
    }

    pub(super) fn path(&self) -> String {
        format!("/{}", self.0)
    }
}

/// RFC 3986: everything but the unreserved characters.
fn percent_encode(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing into a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// A parameter is read by ClickHouse as an escaped (TSV) text.
pub(super) fn escaped_parameter(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\0' => text.push_str("\\0"),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_value_can_become_another_parameter() {
        let mut query = QueryString::default();
        query.push("param_a", "x&readonly=0#\u{e9}");
        query.push("b", "");
        assert_eq!(query.path(), "/?param_a=x%26readonly%3D0%23%C3%A9&b=");
    }

    #[test]
    fn a_parameter_keeps_its_tabs_and_backslashes() {
        assert_eq!(escaped_parameter("a\tb\\c\nd"), "a\\tb\\\\c\\nd");
    }
}
