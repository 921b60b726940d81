//! What is spliced is the one member and nothing else; every doubtful body is left as it came.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::wire::json::tests::any_json;

fn injected(body: &str) -> Option<String> {
    inject_usage(body.as_bytes()).ok().map(|bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn usage_is_injected_where_the_client_left_it_open() {
    for (body, expected) in [
        (r#"{"stream":true}"#, r#"{"stream_options":{"include_usage":true},"stream":true}"#),
        (
            "\n {\t\"model\": \"gpt-5\", \"stream\" : true , \"temperature\": 1e-2 }\r\n",
            "\n {\"stream_options\":{\"include_usage\":true},\t\"model\": \"gpt-5\", \"stream\" : true , \"temperature\": 1e-2 }\r\n",
        ),
        (
            r#"{"stream":true,"stream_options":{}}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
        ),
        (
            r#"{"stream_options": { "include_obfuscation": false },"stream":true}"#,
            r#"{"stream_options": {"include_usage":true, "include_obfuscation": false },"stream":true}"#,
        ),
        (
            r#"{"stream":true,"stream_options":null,"n":2}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true},"n":2}"#,
        ),
        (
            concat!(
                r#"{"messages":[{"content":"\"stream\":false, \\ {[ "#,
                "\u{1f600}",
                r#" "#,
                "\u{65e5}\u{672c}",
                r#""}],"stream":true}"#
            ),
            concat!(
                r#"{"stream_options":{"include_usage":true},"messages":[{"content":"\"stream\":false, \\ {[ "#,
                "\u{1f600}",
                r#" "#,
                "\u{65e5}\u{672c}",
                r#""}],"stream":true}"#
            ),
        ),
    ] {
        assert_eq!(injected(body).as_deref(), Some(expected), "{body}");
    }
}

#[test]
fn every_other_body_is_untouched_for_its_reason() {
    use NotInjected::{ClientDecided, NotAStream, NotUnderstood};
    let deep = format!(r#"{{"stream":true,"x":{}1{}}}"#, "[".repeat(127), "]".repeat(127));
    for (body, reason) in [
        (r#"{"model":"gpt-5"}"#, NotAStream),
        (r#"{"stream":false}"#, NotAStream),
        (r#"{"stream":"true"}"#, NotAStream),
        (r#"{"stream":1,"stream_options":{}}"#, NotAStream),
        (r#"{"nested":{"stream":true}}"#, NotAStream),
        (r#"{"messages":"\"stream\":true"}"#, NotAStream),
        ("{}", NotAStream),
        (r#"{"stream":true,"stream_options":{"include_usage":true}}"#, ClientDecided),
        (r#"{"stream":true,"stream_options":{"include_usage":false}}"#, ClientDecided),
        (r#"{"stream":true,"stream_options":{"include_usage":null}}"#, ClientDecided),
        (r#"{"stream":true,"stream_options":[]}"#, NotUnderstood),
        (r#"{"stream":true,"stream_options":"include_usage"}"#, NotUnderstood),
        (r#"{"stream":true,"stream":true}"#, NotUnderstood),
        (r#"{"stream":true,"stream_options":{},"stream_options":{}}"#, NotUnderstood),
        (r#"{"stream":true,"stream_options":{"include_\u0075sage":false}}"#, NotUnderstood),
        (r#"{"stream":true,"stre\u0061m":false}"#, NotUnderstood),
        (r#"{"stream":true} x"#, NotUnderstood),
        (r#"{"stream":true}{}"#, NotUnderstood),
        (r#"{"stream":true,}"#, NotUnderstood),
        (r#"{"stream":true"#, NotUnderstood),
        (r#"{"stream":tru}"#, NotUnderstood),
        (r#"{"stream":true,"n":01}"#, NotUnderstood),
        (r#"{"stream":true,"n":1.}"#, NotUnderstood),
        (r#"{"stream":true,"n":-}"#, NotUnderstood),
        (r#"{"stream":true,"n":1e}"#, NotUnderstood),
        (r#"{"stream":true,"n":NaN}"#, NotUnderstood),
        (r#"{"stream":true,"s":"\x"}"#, NotUnderstood),
        (r#"{"stream":true,"s":"\u12g4"}"#, NotUnderstood),
        ("{\"stream\":true,\"s\":\"a\nb\"}", NotUnderstood),
        ("\u{feff}{\"stream\":true}", NotUnderstood),
        (r#"[{"stream":true}]"#, NotUnderstood),
        ("", NotUnderstood),
        ("   ", NotUnderstood),
        (&deep, NotUnderstood),
    ] {
        assert_eq!(inject_usage(body.as_bytes()), Err(reason), "{body}");
    }
    let not_text = b"{\"stream\":true,\"s\":\"\xff\"}";
    assert_eq!(inject_usage(not_text), Err(NotUnderstood));
    let compressed = b"\x1f\x8b\x08\x00\x00\x00\x00\x00";
    assert_eq!(inject_usage(compressed), Err(NotUnderstood));
}

#[test]
fn a_megabyte_of_brackets_does_not_overflow_the_stack() {
    let body = format!(r#"{{"stream":true,"x":{}"#, "[".repeat(1 << 20));
    assert_eq!(inject_usage(body.as_bytes()), Err(NotInjected::NotUnderstood));
}

fn request() -> impl Strategy<Value = Json> {
    let options = prop_oneof![
        3 => Just(None),
        1 => Just(Some(json!({}))),
        1 => Just(Some(Json::Null)),
        1 => any::<bool>().prop_map(|x| Some(json!({"include_obfuscation": x}))),
        1 => any::<bool>().prop_map(|x| Some(json!({"include_usage": x}))),
        1 => any_json().prop_map(Some),
    ];
    let others = prop::collection::hash_map("[a-z]{1,4}", any_json(), 0..5);
    let stream =
        prop_oneof![4 => Just(Some(Json::Bool(true))), 1 => any_json().prop_map(Some), 1 => Just(None)];
    (others, stream, options).prop_map(|(others, stream, options)| {
        let mut body: serde_json::Map<_, _> = others.into_iter().collect();
        body.extend(stream.map(|value| ("stream".to_owned(), value)));
        body.extend(options.map(|value| ("stream_options".to_owned(), value)));
        Json::Object(body)
    })
}

fn expected(request: &Json) -> Option<Json> {
    let options = request.get("stream_options");
    let is_open = match options {
        None | Some(Json::Null) => true,
        Some(Json::Object(options)) => !options.contains_key("include_usage"),
        Some(_) => false,
    };
    if request.get("stream") != Some(&Json::Bool(true)) || !is_open {
        return None;
    }
    let mut request = request.clone();
    if options.is_none_or(Json::is_null) {
        request["stream_options"] = json!({});
    }
    request["stream_options"]["include_usage"] = Json::Bool(true);
    Some(request)
}

fn has_escaped_names(request: &Json) -> bool {
    let escaped = |object: Option<&Json>| {
        object.and_then(Json::as_object).is_some_and(|map| map.keys().any(|key| key.contains(['"', '\\'])))
    };
    escaped(Some(request)) || escaped(request.get("stream_options"))
}

proptest! {
    #[test]
    fn the_injected_body_is_the_same_json_plus_one_member(request in request(), pretty in any::<bool>()) {
        let body = if pretty {
            serde_json::to_string_pretty(&request).unwrap()
        } else {
            request.to_string()
        };
        let injected = injected(&body);
        let parsed = injected.as_deref().map(|text| serde_json::from_str::<Json>(text).unwrap());
        if !has_escaped_names(&request) {
            prop_assert_eq!(&parsed, &expected(&request));
        }
        if let Some(text) = injected {
            let inserted = ["\"stream_options\":{\"include_usage\":true},", "\"include_usage\":true,", "\"include_usage\":true"];
            let restored = inserted.iter().any(|piece| text.replacen(piece, "", 1) == body);
            let from_null = text.replacen("{\"include_usage\":true}", "null", 1) == body;
            prop_assert!(restored || from_null, "{}", text);
        }
    }

    #[test]
    fn a_body_that_is_not_json_is_never_touched(body in request(), flip in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut bytes = body.to_string().into_bytes();
        let at = flip.index(bytes.len());
        bytes[at] = to;
        if let Ok(injected) = inject_usage(&bytes) {
            // As grammar: a number beyond f64 is JSON all the same.
            let is_json = |bytes| serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok();
            prop_assert!(is_json(&bytes), "{}", String::from_utf8_lossy(&bytes));
            prop_assert!(is_json(&injected));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(inject_usage(&bytes).is_err());
    }
}
