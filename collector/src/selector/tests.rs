//! What is read, and what is written of it.

use super::*;

#[test]
fn a_selector_names_dimensions() {
    let Selector(found) = r#"{team="search",model=~"gpt-5.*"}"#.parse().unwrap();
    let names: Vec<&str> = found.iter().map(|(dimension, _)| dimension.name()).collect();
    assert_eq!(names, ["team", "model"]);
    for (text, wanted) in [
        ("llm_calls_total", "no metric name"),
        (r#"llm_calls_total{team="a"}"#, "no metric name"),
        (r#"{__name__="llm_calls_total",team="a"}"#, "twice"),
        ("", "no metric name"),
        (r#"{user="a"}"#, "no label user; they have: service, environment"),
        (r#"{team="a""#, "1:10: parse error: unexpected end of input inside braces"),
        ("{team=", "1:7: parse error: unexpected end of input"),
        ("  {team=", "1:9: parse error: unexpected end of input"),
        ("{team=\n", "2:1: parse error: unexpected end of input"),
        (r#"{team=~"("}"#, "invalid regular expression \"(\""),
    ] {
        let error = text.parse::<Selector>().unwrap_err();
        assert!(error.contains(wanted) && !error.contains("query"), "{text}: {error}");
    }
}

#[test]
fn its_text_means_the_same() {
    let text = "{team=\"a\\\"b\\\\c\\n\\u0001\",model!~\"x\\\\d\",feature!=\"\",service=~\".*\u{e4}\"} # why";
    let selector: Selector = text.parse().unwrap();
    let again: Selector = selector.to_string().parse().unwrap();
    let values = |selector: &Selector| {
        let of =
            |(dimension, matcher): &(Dimension, Matcher)| (*dimension, matcher.kind, matcher.value.clone());
        selector.0.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(values(&selector), values(&again));
    assert_eq!(values(&selector)[0].2, "a\"b\\c\n\u{1}");
    assert_eq!(Selector::default().to_string(), "{}");
}
