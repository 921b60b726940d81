//! What is kept of a long document still parses to the same counts.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::wire::json::tests::{any_json, print};

fn truncate(chunks: &[&[u8]], limits: TruncateLimits) -> (String, u64) {
    let mut truncate = Truncate { limits, ..Truncate::default() };
    for chunk in chunks {
        truncate.push(chunk);
    }
    (String::from_utf8(truncate.kept.to_vec()).unwrap(), truncate.text_bytes_left_out)
}

fn check(json: &str, expected: &str, left_out: u64) {
    let limits = TruncateLimits { text_bytes_max: 4, numbers_bytes_max: 6 };
    let expected = (expected.to_owned(), left_out);
    assert_eq!(truncate(&[json.as_bytes()], limits), expected, "{json} whole");
    let bytes: Vec<&[u8]> = json.as_bytes().chunks(1).collect();
    assert_eq!(truncate(&bytes, limits), expected, "{json} byte by byte");
}

#[test]
fn long_values_are_cut_and_the_rest_is_the_same() {
    check(r#"{"a":"1234","b":[1,2,3]}"#, r#"{"a":"1234","b":[1,2,3]}"#, 0);
    check(r#"{"a":"12345678","n":-1.5e3}"#, r#"{"a":"1234","n":-1.5e3}"#, 4);
    check(r#"["ab\"cdef\"gh\\"]"#, r#"["ab\""]"#, 10);
    check(r#"["abc\u00e9xyz"]"#, r#"["abc\u00e9"]"#, 3);
    check("[\"\u{65e5}\u{672c}\u{8a9e}\"]", "[\"\u{65e5}\u{672c}\"]", 3);
    check(r#"{"e":[0.125,0.25,-0.5,1e9],"x":1}"#, r#"{"e":[0.125,0.25],"x":1}"#, 0);
    check("[1, 2, 3, 4, 5, \"a\"]", "[1, 2, 3, 4,\"a\"]", 0);
    check("[1,2,3,4,5,6,{\"a\":1}]", "[1,2,3,4,{\"a\":1}]", 0);
    check("{\"use\":{\"in\":12345678}}", "{\"use\":{\"in\":12345678}}", 0);
}

#[test]
fn behind_a_fault_nothing_is_kept_but_the_fault() {
    check("{\"a\":1]}}}\"tail\"", "{\"a\":1]", 9);
    check("<html>Bad Gateway</html>", "<", 23);
    check("{} {}", "{} {", 1);
}

#[test]
fn a_batch_of_embeddings_shrinks_to_its_frame() {
    let vector: Vec<f64> = (0..1_536).map(|n| f64::from(n) / 4096.0).collect();
    let data: Vec<Json> = (0..100).map(|n| json!({"index": n, "embedding": vector})).collect();
    let body = json!({"data": data, "model": "m", "usage": {"prompt_tokens": 4321}}).to_string();
    let mut truncate = Truncate::default();
    body.as_bytes().chunks(16 << 10).for_each(|chunk| truncate.push(chunk));
    assert!(body.len() > 1 << 20 && truncate.kept.len() < 40 << 10, "{} {}", body.len(), truncate.kept.len());
    let kept: Json = serde_json::from_slice(&truncate.kept).unwrap();
    assert_eq!(kept["usage"]["prompt_tokens"], 4321);
    assert_eq!(kept["data"].as_array().unwrap().len(), 100);
}

/// The same shape: lists may be shorter, texts are prefixes, everything else is equal.
fn is_truncated(whole: &Json, kept: &Json) -> bool {
    match (whole, kept) {
        (Json::String(whole), Json::String(kept)) => whole.starts_with(kept.as_str()),
        (Json::Object(whole), Json::Object(kept)) => {
            whole.len() == kept.len()
                && whole
                    .iter()
                    .all(|(key, value)| kept.get(key).is_some_and(|kept| is_truncated(value, kept)))
        }
        (Json::Array(whole), Json::Array(kept)) => {
            let mut kept = kept.iter().peekable();
            for value in whole {
                if kept.peek().is_some_and(|kept| is_truncated(value, kept)) {
                    kept.next();
                } else if !value.is_number() {
                    return false;
                }
            }
            kept.next().is_none()
        }
        (whole, kept) => whole == kept,
    }
}

proptest! {
    #[test]
    fn what_is_kept_is_the_same_json_with_shorter_values(
        json in any_json(),
        pretty in any::<bool>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..16),
    ) {
        let text = print(&json, pretty);
        let limits = TruncateLimits { text_bytes_max: 4, numbers_bytes_max: 6 };
        let (kept, _) = truncate(&[text.as_bytes()], limits);
        let parsed: Json = serde_json::from_str(&kept).map_err(|error| {
            TestCaseError::fail(format!("{error}: {text} became {kept}"))
        })?;
        prop_assert!(is_truncated(&json, &parsed), "{} became {}", text, kept);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();
        prop_assert_eq!(truncate(&chunks, limits).0, kept);
        prop_assert_eq!(truncate(&[text.as_bytes()], TruncateLimits::default()).0, text);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let limits = TruncateLimits { text_bytes_max: 4, numbers_bytes_max: 6 };
        let mut truncate = Truncate { limits, ..Truncate::default() };
        truncate.push(&bytes);
        prop_assert!(truncate.kept.len() <= bytes.len() + 1);
    }
}
