//! The tokenizer sees what `serde_json` sees, however the document is cut.

use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::Value as Json;

use super::*;

/// All tokens of a document that comes in these pieces, put together again; `None` when it is not JSON.
fn tokens(pieces: &[&[u8]]) -> Option<Vec<(Kind, String, bool)>> {
    let mut tokenizer = Tokenizer::default();
    let mut found: Vec<(Kind, Vec<u8>, bool)> = Vec::new();
    let mut is_open = false;
    for piece in pieces {
        let mut at = 0;
        while let Some(token) = tokenizer.next(piece, &mut at).ok()? {
            assert!(token.from < token.to || token.ends, "a token without bytes: {token:?}");
            assert!(!(token.begins && is_open), "{token:?} begins within another");
            let bytes = &piece[token.from..token.to];
            if is_open {
                let (kind, text, has_escapes) = found.last_mut().unwrap();
                assert_eq!(*kind, token.kind);
                text.extend_from_slice(bytes);
                *has_escapes |= token.has_escapes;
            } else {
                found.push((token.kind, bytes.to_vec(), token.has_escapes));
            }
            is_open = !token.ends;
        }
    }
    let text = |bytes| String::from_utf8(bytes).unwrap();
    tokenizer
        .is_complete()
        .then(|| found.into_iter().map(|(kind, bytes, escapes)| (kind, text(bytes), escapes)).collect())
}

fn cut<'t>(text: &'t [u8], cuts: &[prop::sample::Index]) -> Vec<&'t [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
    cuts.extend([0, text.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect()
}

#[test]
fn a_document_is_told_token_by_token() {
    let document = br#" {"a\n" : [1, -0.5e+3,true] ,"b":"x\u00e9\"","c":null} "#;
    let expected = [
        (Kind::Open, "{", false),
        (Kind::Name, r#""a\n""#, true),
        (Kind::Colon, ":", false),
        (Kind::Open, "[", false),
        (Kind::Number, "1", false),
        (Kind::Comma, ",", false),
        (Kind::Number, "-0.5e+3", false),
        (Kind::Comma, ",", false),
        (Kind::Literal, "true", false),
        (Kind::Close, "]", false),
        (Kind::Comma, ",", false),
        (Kind::Name, r#""b""#, false),
        (Kind::Colon, ":", false),
        (Kind::Text, r#""x\u00e9\"""#, true),
        (Kind::Comma, ",", false),
        (Kind::Name, r#""c""#, false),
        (Kind::Colon, ":", false),
        (Kind::Literal, "null", false),
        (Kind::Close, "}", false),
    ];
    let expected: Vec<_> =
        expected.into_iter().map(|(kind, text, escapes)| (kind, text.to_owned(), escapes)).collect();
    assert_eq!(tokens(&[document]).unwrap(), expected);
    let bytes: Vec<&[u8]> = document.chunks(1).collect();
    assert_eq!(tokens(&bytes).unwrap(), expected);
}

#[test]
fn what_is_not_json_is_found_out() {
    for text in [
        "",
        " ",
        "{",
        "[",
        "[1",
        "[1,]",
        "[,1]",
        "{,}",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1,}"#,
        r#"{"a" 1}"#,
        "{1:2}",
        "[1}",
        r#"{"a":1]"#,
        "]",
        "01",
        "1.",
        ".5",
        "+1",
        "-",
        "1e",
        "1e+",
        "--1",
        "nul",
        "nulll",
        "truefalse",
        "True",
        "NaN",
        "[1 2]",
        "1 2",
        "{}{}",
        r#""\x""#,
        r#""\u12g4""#,
        r#""\u123"#,
        "\"a\nb\"",
        "\"a",
        "'a'",
        "\u{feff}1",
    ] {
        assert_eq!(tokens(&[text.as_bytes()]), None, "{text:?}");
        let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(tokens(&bytes), None, "{text:?} byte by byte");
    }
    for text in ["1", "-0", "0.0e-0", "\"\"", "null", " [ ] ", "{ }", "\"\\u0000\\/\""] {
        assert!(tokens(&[text.as_bytes()]).is_some(), "{text:?}");
    }
}

#[test]
fn nesting_is_followed_as_deep_as_serde_json_follows_it() {
    for depth in [1, 126, 127, 128, 200, 1 << 20] {
        let document = ["[".repeat(depth), "]".repeat(depth)].concat();
        let accepted = serde_json::from_str::<Json>(&document).is_ok();
        assert_eq!(tokens(&[document.as_bytes()]).is_some(), accepted, "{depth}");
    }
}

#[test]
fn members_are_those_of_the_outermost_object() {
    let document = br#" { "a" : {"x":[1,{"y":2}]} , "b":"}" ,"c":[ ],"d":-1,"":null} "#;
    let found = unique_members(document, ["a", "b", "c", "d", "", "x"]).unwrap();
    let found = found.map(|member| member.map(|member| str::from_utf8(&document[member.value]).unwrap()));
    let expected = [r#"{"x":[1,{"y":2}]}"#, r#""}""#, "[ ]", "-1", "null"].map(Some);
    assert_eq!(found[..5], expected);
    assert_eq!(found[5], None);
    for document in
        ["[1]", "1", "\"a\"", "", "{\"a\":1", "{\"a\":1}x", r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0062":1}"#]
    {
        assert_eq!(unique_members(document.as_bytes(), ["a"]), None, "{document}");
    }
}

pub(crate) fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        // Exact in binary: serde_json reads other floats only nearly back.
        any::<i32>().prop_map(|number| Json::from(f64::from(number) / 8.0)),
        "[a-z\"\\\\\n\u{1}\u{e9}\u{65e5}\u{1f980}]{0,12}".prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
            prop::collection::hash_map("[a-f\"\u{e9}]{0,3}", inner, 0..5)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

pub(crate) fn print(json: &Json, pretty: bool) -> String {
    if pretty { serde_json::to_string_pretty(json).unwrap() } else { json.to_string() }
}

proptest! {
    #[test]
    fn tokens_do_not_depend_on_the_pieces_and_miss_nothing_but_space(
        json in any_json(),
        pretty in any::<bool>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..24),
    ) {
        let text = print(&json, pretty);
        let whole = tokens(&[text.as_bytes()]).unwrap();
        prop_assert_eq!(&tokens(&cut(text.as_bytes(), &cuts)).unwrap(), &whole);
        let joined: String = whole.iter().map(|(_, text, _)| text.as_str()).collect();
        prop_assert_eq!(serde_json::from_str::<Json>(&joined).unwrap(), json);
    }

    #[test]
    fn members_are_what_serde_json_finds(json in any_json(), pretty in any::<bool>()) {
        let document = print(&json, pretty);
        let members = json.as_object().cloned().unwrap_or_default();
        let has_escapes = members.keys().any(|name| Json::from(name.as_str()).to_string().contains('\\'));
        for name in members.keys().map(String::as_str).chain(["a", "z"]) {
            let found = unique_members(document.as_bytes(), [name]);
            prop_assert_eq!(found.is_some(), json.is_object() && !has_escapes);
            let found = found.and_then(|[member]| member);
            let quoted = format!("\"{name}\"");
            prop_assert!(found.iter().all(|member| document[member.from..].starts_with(&quoted)));
            let value = found.map(|member| serde_json::from_str::<Json>(&document[member.value]).unwrap());
            prop_assert_eq!(value.as_ref(), json.get(name).filter(|_| !has_escapes));
        }
    }

    #[test]
    fn what_is_accepted_is_what_serde_json_accepts(
        json in any_json(),
        flip in any::<prop::sample::Index>(),
        to in prop_oneof![any::<u8>(), prop::sample::select(&b"{}[]:,\"\\0e.-ntu"[..])],
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let mut bytes = json.to_string().into_bytes();
        let at = flip.index(bytes.len());
        bytes[at] = to;
        let mut tokenizer = Tokenizer::default();
        let accepted = cut(&bytes, &cuts).iter().all(|piece| {
            let mut at = 0;
            loop {
                match tokenizer.next(piece, &mut at) {
                    Ok(Some(_)) => {}
                    end => return end.is_ok(),
                }
            }
        }) && tokenizer.is_complete();
        let expected = serde_json::from_slice::<IgnoredAny>(&bytes).is_ok();
        prop_assert_eq!(accepted, expected, "{}", String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut at = 0;
        let mut tokenizer = Tokenizer::default();
        while let Ok(Some(_)) = tokenizer.next(&bytes, &mut at) {}
        let _how = unique_members(&bytes, ["a"]);
    }
}

#[test]
fn a_document_that_ends_anywhere_is_refused_and_not_a_panic() {
    let document = br#" {"model":"gpt-4o","n":1,"a":[{"b":null}]}"#;
    for end in 0..document.len() {
        assert_eq!(unique_members(&document[..end], ["n"]), None, "cut at {end}");
    }
    assert!(unique_members(document, ["n"]).is_some());
}
