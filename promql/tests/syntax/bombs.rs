//! Texts that would cost much more than they weigh. Each must end in an error that names its bound, before the work is done.

use ledgerline_promql::syntax::ParseError;
use ledgerline_promql::{Budget, ErrorKind, MatchKind, Matcher, QueryError, QueryParams, plan};

fn cases() -> Vec<(&'static str, String, &'static str)> {
    let many = |part: &str, count: usize| part.repeat(count);
    let joined = |part: &str, count: usize, separator: &str| vec![part; count].join(separator);
    let selector = |matcher: &str, count: usize| format!("a{{{}}}", joined(matcher, count, ","));
    let heavy = "team=~\"(?:[^a]{100}){90}\"";
    vec![
        ("480 heavy patterns", selector(heavy, 480), "label matchers"),
        (
            "240 patterns of 35 bytes",
            selector("b=~\"[a-z]{1,9}[a-z]{1,9}[a-z]{1,9}[a-z]\"", 240),
            "regular expressions",
        ),
        ("250 heavy patterns", selector(heavy, 250), "invalid regular expression"),
        ("200 small heavy patterns", selector("b=~\"\\\\pL{50}.{99}\"", 200), "invalid regular expression"),
        ("a pattern of patterns", "a{b=~\"((x{99}){99}){99}\"}".to_owned(), "invalid regular expression"),
        (
            "repeated alternatives",
            "a{b=~\"(?:(?i)\\\\pL|\\\\pN){999}\"}".to_owned(),
            "invalid regular expression",
        ),
        (
            "a deep pattern",
            format!("a{{b=~\"{}x{}\"}}", many("(", 500), many(")", 500)),
            "invalid regular expression",
        ),
        ("a long pattern", format!("a{{b=~\"{}\"}}", many("x", 1_025)), "the length of a regular expression"),
        (
            "patterns of label_replace",
            joined(&format!("label_replace(a,\"b\",\"\",\"\",\"{}\")", many("x?", 500)), 9, "+"),
            "regular expressions",
        ),
        ("300 matchers", selector("b=\"c\"", 300), "label matchers"),
        ("15,000 signs", format!("{}1", many("-", 15_000)), "operators"),
        ("15,000 parentheses", many("(", 15_000), "nesting depth"),
        ("8,000 powers", joined("1", 8_000, "^"), "operators"),
        ("16,001 bytes of powers", format!("1{}", many("^1", 8_000)), "operators"),
        ("a long sum", joined("1", 8_000, "+"), "operators"),
        ("a long set", joined("a", 2_000, " and "), "operators"),
        ("nested sums", format!("{}a{}", many("sum(", 2_000), many(")", 2_000)), "nesting depth"),
        ("nested additions", many("(1+", 5_000), "nesting depth"),
        ("stacked subqueries", format!("a{}", many("[1m:]", 3_000)), "nodes"),
        ("stacked modifiers", format!("a{}", many(" anchored", 1_700)), "anchored"),
        ("8,000 labels", format!("sum by ({}) (a)", joined("b", 8_000, ",")), "nodes"),
        ("8,000 arguments", format!("label_join({})", joined("a", 8_000, ",")), "nodes"),
        ("a long duration", format!("a[{}]", joined("1m", 4_000, "+")), "operators"),
        ("a deep duration", format!("a[{}", many("(", 15_000)), "nesting depth"),
        ("a duration of signs", format!("a[{}1m]", many("-", 15_000)), "nesting depth"),
        ("a tower of seconds", format!("a[{}]", joined("9", 40, "^")), "out of range"),
        ("an endless range", "a[1e999]".to_owned(), "value out of range"),
        ("a range of all time", "a[5m*1e300]".to_owned(), "out of range"),
        ("an offset beyond time", "a offset (1e300*1s)".to_owned(), "out of range"),
        ("a fine subquery", "a[100y:1ms]".to_owned(), "number of steps of a subquery"),
        ("16 KiB of escapes", format!("\"{}", many("\\x41", 4_000)), "unterminated quoted string"),
        ("16 KiB of comments", many("#\n", 8_000), "no expression found"),
        ("20 MB of text", many("a", 20_000_000), "length in bytes"),
    ]
}

#[test]
fn every_bomb_ends_in_an_error_that_names_its_bound() {
    // The stack of an ordinary thread must do.
    let work = || {
        for (name, text, bound) in cases() {
            let error = plan(&text, QueryParams::Instant { time_ms: 0 }).map(drop).expect_err(name);
            assert_eq!(error.kind(), ErrorKind::BadData, "{name}: {error}");
            let message = error.to_string();
            assert!(message.contains(bound), "{name}: {message}");
            assert!(message.len() < 2_000, "{name}: the error repeats the query");
        }
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(work).unwrap().join().unwrap();
}

#[test]
fn a_pattern_that_does_not_compile_is_refused_where_it_stands() {
    let refused = |text: &str| match plan(text, QueryParams::Instant { time_ms: 0 }) {
        Err(QueryError::Parse(ParseError::Syntax(error))) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let error = refused("1 +\n a{b=\"c\", d=~\"(\"}");
    assert!(error.starts_with("2:11: parse error: invalid regular expression \"(\""), "{error}");
    let empty = "1:5: parse error: vector selector must contain at least one non-empty matcher";
    assert_eq!(refused("sum({a=~\".*\"})"), empty);
    assert_eq!(refused("sum({a!~\"x\"})"), empty);
}

#[test]
fn octal_and_literal_stretches_are_read_as_re2_reads_them() {
    let check = |pattern: &str, value: &str, matches: bool| {
        let matcher = Matcher::new(&Budget::default(), "a", MatchKind::Regex, pattern).unwrap();
        assert_eq!(matcher.matches(value), matches, "{pattern} {value}");
    };
    check(r"\101\x42", "AB", true);
    check(r"[\101-\103]+", "ABC", true);
    check(r"\0", "\0", true);
    check(r"\60", "0", true);
    check(r"\Qa.b|c\E+", "a.b|ccc", true);
    check(r"\Qa.b\E", "axb", false);
    check(r"\Q(", "(", true);
    check(r"\<\-\_a", "<-_a", true);
    check("a??b{1,2}?(?:c)?", "abb", true);
    let refused = |pattern: &str, reason: &str| {
        let error = Matcher::new(&Budget::default(), "a", MatchKind::Regex, pattern).unwrap_err().to_string();
        assert!(error.ends_with(reason), "{pattern}: {error}");
    };
    refused(r"(a)\1", r"invalid escape sequence: `\1`");
    refused(r"\u00e9", r"invalid escape sequence: `\u`");
    refused("a++", "invalid nested repetition operator: `++`");
    refused("a*?{2}", "invalid nested repetition operator: `*?{2}`");
    refused("a\\", "trailing backslash at end of expression");
}
