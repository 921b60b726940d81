//! What is kept of a long document still parses to the same counts.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;

fn skim(chunks: &[&[u8]], limits: SkimLimits) -> (String, u64) {
    let mut skim = Skim::new(limits);
    for chunk in chunks {
        skim.push(chunk);
    }
    (String::from_utf8(skim.kept().to_vec()).unwrap(), skim.text_bytes_left_out())
}

fn check(json: &str, expected: &str, left_out: u64) {
    let limits = SkimLimits { text_bytes_max: 4, numbers_bytes_max: 6 };
    let expected = (expected.to_owned(), left_out);
    assert_eq!(skim(&[json.as_bytes()], limits), expected, "{json} whole");
    let bytes: Vec<&[u8]> = json.as_bytes().chunks(1).collect();
    assert_eq!(skim(&bytes, limits), expected, "{json} byte by byte");
}

#[test]
fn what_a_model_says_is_not_printed() {
    let mut skim = Skim::new(SkimLimits::default());
    skim.push(br#"{"content":"secret"}"#);
    let printed = format!("{skim:?}");
    assert!(!printed.contains("115, 101, 99") && !printed.contains("secret"), "{printed}");
}

#[test]
fn long_values_are_cut_and_the_rest_is_the_same() {
    check(r#"{"a":"1234","b":[1,2,3]}"#, r#"{"a":"1234","b":[1,2,3]}"#, 0);
    check(r#"{"a":"12345678","n":-1.5e3}"#, r#"{"a":"1234","n":-1.5e3}"#, 4);
    check(r#"["ab\"cdef\"gh\\"]"#, r#"["ab\""]"#, 10);
    check(r#"["abc\u00e9xyz"]"#, r#"["abc\u00e9"]"#, 3);
    check("[\"\u{65e5}\u{672c}\u{8a9e}\"]", "[\"\u{65e5}\u{672c}\"]", 3);
    check(r#"[0.125,0.25,-0.5,1e9],"x":1"#, r#"[0.125,0.25],"x":1"#, 0);
    check("[1, 2, 3, 4, 5, \"a\"]", "[1, 2, 3,\"a\"]", 0);
    check("[1,2,3,4,5,6,{\"a\":1}]", "[1,2,3,4,{\"a\":1}]", 0);
    check("{\"use\":{\"in\":12345678}}", "{\"use\":{\"in\":12345678}}", 0);
}

#[test]
fn a_batch_of_embeddings_shrinks_to_its_frame() {
    let vector: Vec<f64> = (0..1_536).map(|n| f64::from(n) / 4096.0).collect();
    let data: Vec<Json> = (0..100).map(|n| json!({"index": n, "embedding": vector})).collect();
    let body = json!({"data": data, "model": "m", "usage": {"prompt_tokens": 4321}}).to_string();
    let mut skim = Skim::new(SkimLimits::default());
    body.as_bytes().chunks(16 << 10).for_each(|chunk| skim.push(chunk));
    assert!(body.len() > 1 << 20 && skim.kept().len() < 40 << 10, "{} {}", body.len(), skim.kept().len());
    let kept: Json = serde_json::from_slice(skim.kept()).unwrap();
    assert_eq!(kept["usage"]["prompt_tokens"], 4321);
    assert_eq!(kept["data"].as_array().unwrap().len(), 100);
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (-99_i64..99).prop_map(Json::from),
        "[a-z\"\\\\\n\u{1}\u{e9}\u{65e5}\u{1f980}]{0,12}".prop_map(Json::from),
        prop::collection::vec(-99_i64..99, 0..12).prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
            prop::collection::hash_map("[a-f]{1,3}", inner, 0..5)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

/// The same shape: lists may be shorter, texts are prefixes, everything else is equal.
fn is_skimmed(whole: &Json, kept: &Json) -> bool {
    match (whole, kept) {
        (Json::String(whole), Json::String(kept)) => whole.starts_with(kept.as_str()),
        (Json::Object(whole), Json::Object(kept)) => {
            whole.len() == kept.len()
                && whole.iter().all(|(key, value)| kept.get(key).is_some_and(|kept| is_skimmed(value, kept)))
        }
        (Json::Array(whole), Json::Array(kept)) => {
            let mut kept = kept.iter().peekable();
            for value in whole {
                if kept.peek().is_some_and(|kept| is_skimmed(value, kept)) {
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
        let text = if pretty { serde_json::to_string_pretty(&json).unwrap() } else { json.to_string() };
        let limits = SkimLimits { text_bytes_max: 4, numbers_bytes_max: 6 };
        let (kept, _) = skim(&[text.as_bytes()], limits);
        let parsed: Json = serde_json::from_str(&kept).map_err(|error| {
            TestCaseError::fail(format!("{error}: {text} became {kept}"))
        })?;
        prop_assert!(is_skimmed(&json, &parsed), "{} became {}", text, kept);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();
        prop_assert_eq!(skim(&chunks, limits).0, kept);
        prop_assert_eq!(skim(&[text.as_bytes()], SkimLimits::default()).0, text);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut skim = Skim::new(SkimLimits { text_bytes_max: 4, numbers_bytes_max: 6 });
        skim.push(&bytes);
        prop_assert!(skim.kept().len() <= bytes.len() + 1);
    }
}
