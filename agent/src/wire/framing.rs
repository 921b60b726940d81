//! How the body of a response is framed: as events, or as one document. Pure.
//!
//! Content types alone do not tell, because servers send streams as `text/plain` or `application/json`. Relay and worker
//! must agree on it: what the relay strips from a stream the worker must have read.

/// The framing of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events.
    Events,
    /// One JSON document.
    Document,
    /// The first byte tells, see [`Framing::of_body`].
    ByFirstByte,
}

impl Framing {
    /// What the head of a response tells. `may_stream`: a stream was asked for, or it is not known whether.
    pub fn of_head(content_type: Option<&str>, has_length: bool, may_stream: bool) -> Self {
        let media_type = content_type.map(media_type).unwrap_or_default();
        if media_type.eq_ignore_ascii_case("text/event-stream") {
            Self::Events
        } else if !may_stream || (has_length && media_type.eq_ignore_ascii_case("application/json")) {
            // Whoever knows the length knows the whole.
            Self::Document
        } else {
            Self::ByFirstByte
        }
    }

    /// What the first bytes of a body tell; `None` while only space has come. Events begin with a comment, a byte order mark
    /// or one of four fields (data, event, id, retry), no document does.
    pub fn of_body(bytes: &[u8]) -> Option<Self> {
        let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace())?;
        let is_of_events = matches!(first, b':' | 0xEF | b'd' | b'e' | b'i' | b'r');
        Some(if is_of_events { Self::Events } else { Self::Document })
    }
}

/// A content type without its parameters.
pub(crate) fn media_type(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_tells_where_it_can() {
        use Framing::{ByFirstByte, Document, Events};
        for (content_type, has_length, of_stream, of_other) in [
            (Some("Text/Event-Stream; charset=utf-8"), true, Events, Events),
            (Some("application/json"), true, Document, Document),
            (Some("application/json"), false, ByFirstByte, Document),
            (Some("text/plain"), true, ByFirstByte, Document),
            (Some("application/octet-stream"), false, ByFirstByte, Document),
            (None, false, ByFirstByte, Document),
        ] {
            for (may_stream, expected) in [(true, of_stream), (false, of_other)] {
                let framing = Framing::of_head(content_type, has_length, may_stream);
                assert_eq!(framing, expected, "{content_type:?}");
            }
        }
    }

    #[test]
    fn else_the_first_byte_does() {
        for (body, expected) in [
            ("", None),
            (" \r\n", None),
            ("\n{", Some(Framing::Document)),
            ("[", Some(Framing::Document)),
            ("null", Some(Framing::Document)),
            ("<html>", Some(Framing::Document)),
            ("id: 1", Some(Framing::Events)),
            ("data: {}", Some(Framing::Events)),
            (": ping", Some(Framing::Events)),
            ("\u{feff}data:", Some(Framing::Events)),
        ] {
            assert_eq!(Framing::of_body(body.as_bytes()), expected, "{body:?}");
        }
    }
}
