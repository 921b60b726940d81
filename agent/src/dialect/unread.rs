//! Requests that carry a model and that no dialect reads: another provider's shape, an API that is new. Pure.
//!
//! They may cost money, so they are recorded, named so, without usage or cost. Whether a request carries a model is told from
//! its path, or by the worker from its copy of the body; the relay looks at the head only.

use http::Method;
use ledgerline_proto::Operation;

use super::{
    ALL, Endpoint, Purpose, Reader, RequestFacts, Response, TextCounts, TextSink, Unreadable, ends_with,
    request,
};
use crate::wire::framing::media_type;
use crate::wire::sse::Event;

/// Stands for all that no dialect reads.
pub static UNREAD: Endpoint = Endpoint {
    method: Method::POST,
    path: "",
    purpose: Purpose::Unread,
    operation: Operation::Unread,
    injects_usage: false,
    finish_field: None,
    reader: || Box::new(UnreadReader),
};

/// Ends of paths at which providers without a dialect of their own count tokens, for nothing.
const FREE: [&str; 2] = ["/models/*:countTokens", "/model/*/count-tokens"];

/// Segments that a model's name follows.
const BEFORE_MODEL: [&str; 3] = ["models", "model", "deployments"];

/// Segments of a path that are kept apart.
const SEGMENTS_MAX: usize = 8;

/// Bytes of such a segment.
const SEGMENT_BYTES_MAX: usize = 32;

/// Whether a POST that no dialect reads may be a call, from its head.
pub fn may_carry_model(path: &str, content_type: Option<&str>) -> bool {
    let mut free = ALL.iter().flat_map(|spec| spec.free).chain(&FREE);
    if free.any(|free| ends_with(path, free)) {
        return false;
    }
    let has_readable_body = content_type.is_none_or(|content_type| {
        let media_type = media_type(content_type).to_ascii_lowercase();
        media_type.ends_with("json") || media_type == "multipart/form-data"
    });
    has_readable_body || model_in_path(path).is_some()
}

/// The model that a path names: `/models/<model>:generateContent`, `/model/<model>/converse`, `/deployments/<name>/..`.
pub fn model_in_path(path: &str) -> Option<&str> {
    let mut segments = path.split('/');
    segments.find(|segment| BEFORE_MODEL.contains(segment))?;
    let model = segments.next()?;
    let (model, verb) = model.split_once(':').unwrap_or((model, ""));
    let is_verb = verb.chars().next().is_some_and(char::is_alphabetic);
    (!model.is_empty() && (is_verb || segments.next().is_some())).then_some(model)
}

/// The path with `*` for what looks like an id or a name.
pub fn template(path: &str) -> String {
    let mut template = String::new();
    let mut is_model = false;
    for segment in path.split('/').filter(|segment| !segment.is_empty()).take(SEGMENTS_MAX) {
        let (name, verb) = segment.split_once(':').unwrap_or((segment, ""));
        template.push('/');
        template.push_str(if is_model || !is_word(name) { "*" } else { name });
        if is_word(verb) {
            template.push(':');
            template.push_str(verb);
        }
        is_model = BEFORE_MODEL.contains(&segment);
    }
    template
}

/// Whether a segment can be a fixed part of an API: letters, and digits only in a version.
fn is_word(segment: &str) -> bool {
    let is_version = segment
        .strip_prefix('v')
        .is_some_and(|rest| rest.len() <= 8 && rest.starts_with(|first: char| first.is_ascii_digit()));
    let is_plain = segment.bytes().all(|byte| byte.is_ascii_alphabetic() || b"_-".contains(&byte));
    !segment.is_empty() && segment.len() <= SEGMENT_BYTES_MAX && (is_version || is_plain)
}

/// Finds the model in a request's body, and reads no more.
struct UnreadReader;

impl Reader for UnreadReader {
    fn read_request(&mut self, body: &[u8], _: &mut dyn TextSink) -> RequestFacts {
        if body.starts_with(b"--") {
            return RequestFacts {
                model: model_in_form(body).unwrap_or_default(),
                ..RequestFacts::default()
            };
        }
        request::read(body, &mut TextCounts::default())
    }

    fn read_event(&mut self, _: Event<'_>, _: &mut Response, _: &mut dyn TextSink) -> Result<(), Unreadable> {
        Err(Unreadable)
    }

    fn read_body(&mut self, _: &[u8], _: &mut Response, _: &mut dyn TextSink) -> Result<(), Unreadable> {
        Err(Unreadable)
    }
}

/// The field `model` of a form with parts (RFC 7578), as uploads of sound and images have it.
fn model_in_form(body: &[u8]) -> Option<String> {
    let field = memchr::memmem::find(body, b"name=\"model\"")?;
    let head_end = memchr::memmem::find(&body[field..], b"\r\n\r\n")?;
    let value = &body[field + head_end + 4..];
    let value = std::str::from_utf8(&value[..memchr::memchr(b'\r', value)?]).ok()?;
    Some(ledgerline_proto::json::lenient::bounded(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_carry_a_model_is_told_from_the_head() {
        let json = Some("application/json; charset=utf-8");
        for (path, content_type, expected) in [
            ("/v1/images/generations", json, true),
            ("/v1/rerank", Some("Application/JSON"), true),
            ("/v1/audio/transcriptions", Some("multipart/form-data; boundary=x"), true),
            ("/v1/unknown", None, true),
            ("/v1beta/models/gemini-3:generateContent", Some("text/plain"), true),
            ("/model/anthropic.claude-v2%3A1/invoke", Some("application/octet-stream"), true),
            ("/v1/upload", Some("application/octet-stream"), false),
            ("/v1/messages/count_tokens", json, false),
            ("/v1/responses/input_tokens", json, false),
            ("/v1/moderations/", json, false),
            ("/v1beta/models/gemini-3:countTokens", json, false),
        ] {
            assert_eq!(may_carry_model(path, content_type), expected, "{path} {content_type:?}");
        }
    }

    #[test]
    fn models_are_found_in_paths() {
        for (path, expected) in [
            ("/v1beta/models/gemini-3-pro:streamGenerateContent", Some("gemini-3-pro")),
            ("/v1/projects/p/locations/l/publishers/google/models/g-1:predict", Some("g-1")),
            ("/model/us.amazon.nova/converse", Some("us.amazon.nova")),
            ("/openai/deployments/mine/images/generations", Some("mine")),
            ("/v1/models", None),
            ("/v1/models/gpt-5", None),
            ("/v1/models/:generateContent", None),
            ("/v1/chat", None),
        ] {
            assert_eq!(model_in_path(path), expected, "{path}");
        }
    }

    #[test]
    fn a_template_has_no_ids() {
        for (path, expected) in [
            ("/v1/images/generations", "/v1/images/generations"),
            ("/v1beta/models/gemini-3-pro:generateContent", "/v1beta/models/*:generateContent"),
            ("/openai/deployments/prod/audio/speech", "/openai/deployments/*/audio/speech"),
            ("/v1/threads/thread_abc123/runs", "/v1/threads/*/runs"),
            ("/v1/x/6f9619ff-8b86-d011-b42d-00c04fc964ff/", "/v1/x/*"),
            ("/v1/caf%C3%A9/abcdefghijklmnopqrstuvwxyzabcdefghijkl", "/v1/*/*"),
            ("//v1//messages", "/v1/messages"),
            ("/a/b/c/d/e/f/g/h/i/j", "/a/b/c/d/e/f/g/h"),
            ("/", ""),
        ] {
            assert_eq!(template(path), expected, "{path}");
        }
    }

    #[test]
    fn the_model_is_found_in_json_and_in_forms() {
        let form = "--x\r\nContent-Disposition: form-data; name=\"language\"\r\n\r\nen\r\n\
                    --x\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n\
                    --x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n\u{0}";
        for (body, expected) in [
            (r#"{"prompt":"a cat","model":"gpt-image-1"}"#, "gpt-image-1"),
            (r#"{"requests":[{"model":"nested"}]}"#, ""),
            (r#"["model"]"#, ""),
            (form, "whisper-1"),
            ("--x\r\nname=\"model\"", ""),
            ("", ""),
        ] {
            let facts = UnreadReader.read_request(body.as_bytes(), &mut TextCounts::default());
            assert_eq!(facts.model, expected, "{body}");
        }
    }
}
