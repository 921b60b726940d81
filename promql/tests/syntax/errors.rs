//! Errors: the words and the positions of Prometheus.

use ledgerline_promql::syntax::{ParseError, SyntaxError, parse};
use ledgerline_promql::{Budget, parse_selector};

#[track_caller]
fn refused(text: &str, wanted: &str) -> SyntaxError {
    match parse(text) {
        Err(ParseError::Syntax(error)) => {
            let position = error.position.map_or("?".to_owned(), |(line, column)| format!("{line}:{column}"));
            assert_eq!(format!("{position} {}", error.message), wanted, "{text}");
            error
        }
        other => panic!("{text}: {other:?}"),
    }
}

const SYNTAX: &[(&str, &str)] = &[
    ("", "? no expression found in input"),
    (" # only a comment", "1:1 no expression found in input"),
    ("1+", "1:3 unexpected end of input"),
    (".", "1:1 unexpected character: '.'"),
    ("2.5.", "1:1 bad number or duration syntax: \"2.5.\""),
    ("100..4", "1:1 bad number or duration syntax: \"100..\""),
    ("0deadbeef", "1:1 bad number or duration syntax: \"0de\""),
    ("1 /", "1:4 unexpected end of input"),
    ("*1", "1:1 unexpected <op:*>"),
    ("(1))", "1:5 unexpected right parenthesis ')'"),
    ("((1)", "1:5 unclosed left parenthesis"),
    ("1 !~ 1", "1:3 unexpected character after '!': '~'"),
    ("1 =~ 1", "1:3 unexpected character after '=': '~'"),
    ("1 a", "1:3 unexpected identifier \"a\""),
    ("a b:c", "1:3 unexpected metric identifier \"b:c\""),
    ("a \"0123456789\"", "1:3 unexpected string \"\\\"012345678\"..."),
    ("a 5m", "1:3 unexpected duration \"5m\""),
    ("sum(a b)", "1:7 unexpected identifier \"b\" in aggregation"),
    ("sum(a) b", "1:8 unexpected identifier \"b\""),
    ("sum by a (b)", "1:8 unexpected identifier \"a\" in grouping opts, expected \"(\""),
    ("sum by (a b) (c)", "1:11 unexpected identifier \"b\" in grouping opts, expected \",\" or \")\""),
    ("sum by (5) (c)", "1:9 unexpected number \"5\" in grouping opts, expected label"),
    ("sum by (\"\") (c)", "1:9 invalid label name for grouping: \"\""),
    ("a + on(b) group_left (1) c", "1:23 unexpected number \"1\" in grouping opts, expected label"),
    ("a group_left b", "1:3 unexpected <group_left>"),
    ("sum()", "1:1 no arguments for aggregate expression provided"),
    ("topk(a)", "1:1 wrong number of arguments for aggregate expression provided, expected 2, got 1"),
    ("rate(a[5m],)", "1:11 trailing commas not allowed in function call args"),
    ("floor(a", "1:8 unclosed left parenthesis"),
    ("nope(a)", "1:1 unknown function with name \"nope\""),
    ("1 +\n  nope(a)", "2:3 unknown function with name \"nope\""),
    ("{", "1:2 unexpected end of input inside braces"),
    ("a{b}", "1:4 unexpected \"}\" in label matching, expected label matching operator"),
    ("a{b=c}", "1:5 unexpected identifier \"c\" in label matching, expected string"),
    ("a{,}", "1:3 unexpected \",\" in label matching, expected identifier or \"}\""),
    ("a{b=\"c\" d=\"e\"}", "1:9 unexpected identifier \"d\" in label matching, expected \",\" or \"}\""),
    ("a{\"b\" \"c\"}", "1:7 unexpected string \"\\\"c\\\"\" in label matching, expected \",\" or \"}\""),
    ("a{b!c}", "1:4 unexpected character after '!' inside braces: 'c'"),
    ("a{b=\"c\"", "1:8 unexpected end of input inside braces"),
    ("a{1=\"c\"}", "1:3 unexpected character inside braces: '1'"),
    ("a[5m", "1:5 unclosed left bracket"),
    ("a[", "1:3 unexpected end of input in duration expression"),
    (
        "a[]",
        "1:3 unexpected \"]\" in subquery or range selector, expected number, duration, step(), or range()",
    ),
    ("a[x]", "1:3 unexpected character in duration expression: 'x'"),
    ("a[5m x]", "1:6 unexpected character: 'x', expected ':'"),
    ("a[5m 5m]", "1:6 unexpected duration \"5m\" in subquery or range, expected \":\" or \"]\""),
    ("a[5m:1m 2]", "1:9 unexpected number \"2\" in subquery selector, expected \"]\""),
    ("a[5m:)]", "1:7 unexpected right parenthesis ')'"),
    ("a[0s]", "1:3 duration must be greater than 0"),
    ("a[-5m]", "1:3 duration must be greater than 0"),
    ("a[5m/0]", "1:5 division by zero"),
    ("a[300y]", "1:3 duration out of range"),
    ("a[1m1h]", "1:3 not a valid duration string: \"1m1h\""),
    ("1[5m]", "1:2 ranges only allowed for vector selectors"),
    ("a offset 5m[5m]", "1:12 no offset modifiers allowed before range"),
    ("a @ 5[5m]", "1:6 no @ modifiers allowed before range"),
    ("a offset", "1:9 unexpected end of input in offset, expected number, duration, step(), or range()"),
    (
        "a offset x",
        "1:10 unexpected identifier \"x\" in offset, expected number, duration, step(), or range()",
    ),
    ("a offset 1m offset 2m", "1:1 offset may not be set multiple times"),
    (
        "1 offset 1m",
        "1:1 offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
    ),
    ("a @", "1:4 unexpected end of input in @, expected timestamp"),
    ("a @ x", "1:5 unexpected identifier \"x\" in @, expected timestamp"),
    ("a @ 1 @ start()", "1:1 @ <timestamp> may not be set multiple times"),
    ("a @ Inf", "1:1 timestamp out of bounds for @ modifier: inf"),
    (
        "sum(a) @ 1",
        "1:1 @ modifier must be preceded by an instant vector selector or range vector selector or a subquery",
    ),
    ("a[5m:1m] anchored", "1:1 anchored modifier is not supported for subqueries"),
    ("a anchored smoothed", "1:1 anchored and smoothed modifiers cannot be used together"),
    ("\"a", "1:1 unterminated quoted string"),
    ("`a", "1:1 unterminated raw string"),
    ("\"a\nb\"", "1:1 unterminated quoted string"),
    ("\"\\q\"", "1:1 unknown escape sequence U+0071 'q'"),
    ("'\\\"'", "1:1 unknown escape sequence U+0022 '\"'"),
    ("\"\\xZ0\"", "1:1 illegal character U+005A 'Z' in escape sequence"),
    ("\"\\777\"", "1:1 escape sequence is an invalid Unicode code point"),
    ("\"\\ud800\"", "1:1 escape sequence is an invalid Unicode code point"),
    ("\"\u{fffd}\"", "1:1 invalid UTF-8 rune"),
    ("\"\\xff\"", "1:1 invalid UTF-8 rune"),
    ("1e999", "1:1 error parsing number: strconv.ParseFloat: parsing \"1e999\": value out of range"),
    ("$x", "1:1 unexpected character: '$'"),
];

#[test]
fn syntax_errors_are_in_prometheus_words() {
    for (text, wanted) in SYNTAX {
        refused(text, wanted);
    }
}

const TYPES: &[(&str, &str)] = &[
    ("1 == 1", "1:3 comparisons between scalars must use BOOL modifier"),
    ("1 + bool 2", "1:3 bool modifier can only be used on comparison operators"),
    ("1 or 1", "1:1 set operator \"or\" not allowed in binary scalar expression"),
    ("a and 1", "1:1 set operator \"and\" not allowed in binary scalar expression"),
    ("1 == on(a) b", "1:1 vector matching only allowed between instant vectors"),
    ("a and on(b) group_left(c) d", "1:1 no grouping allowed for \"and\" operation"),
    ("a + on(b) group_left(b) d", "1:3 label \"b\" must not occur in ON and GROUP clause at once"),
    ("a[5m] + 1", "1:1 binary expression must contain only scalar and instant vector types"),
    ("1 + \"a\"", "1:5 binary expression must contain only scalar and instant vector types"),
    ("1 + fill(0) a", "1:1 filling in missing series only allowed between instant vectors"),
    ("a or fill(0) b", "1:1 filling in missing series not allowed for set operators"),
    ("{}", "1:1 vector selector must contain at least one non-empty matcher"),
    ("{a=\"\"}", "1:1 vector selector must contain at least one non-empty matcher"),
    ("sum({a!=\"b\"})", "1:5 vector selector must contain at least one non-empty matcher"),
    ("a{__name__=\"b\"}", "1:1 metric name must not be set twice: \"a\" or \"b\""),
    ("a{\"b\"}", "1:1 metric name must not be set twice: \"a\" or \"b\""),
    (
        "-\"a\"",
        "1:1 unary expression only allowed on expressions of type scalar or instant vector, got \"string\"",
    ),
    (
        "-a[5m]",
        "1:1 unary expression only allowed on expressions of type scalar or instant vector, got \"range vector\"",
    ),
    ("1[5m:1m]", "1:1 subquery is only allowed on instant vector, got scalar instead"),
    ("a[5m][5m:]", "1:1 subquery is only allowed on instant vector, got matrix instead"),
    ("rate(a)", "1:6 expected type range vector in call to function \"rate\", got instant vector"),
    ("sum(1)", "1:5 expected type instant vector in aggregation expression, got scalar"),
    ("topk(a, b)", "1:6 expected type scalar in aggregation parameter, got instant vector"),
    ("count_values(1, b)", "1:14 expected type string in aggregation parameter, got scalar"),
    ("time(1)", "1:1 expected 0 argument(s) in call to \"time\", got 1"),
    ("round()", "1:1 expected at least 1 argument(s) in call to \"round\", got 0"),
    ("round(a, 1, 2)", "1:1 expected at most 2 argument(s) in call to \"round\", got 3"),
    ("label_join(a)", "1:1 expected at least 3 argument(s) in call to \"label_join\", got 1"),
    (
        "label_join(a, \"b\", \"c\", d)",
        "1:25 expected type string in call to function \"label_join\", got instant vector",
    ),
    ("info(a, b)", "1:9 expected label selectors only, got vector selector instead"),
    ("info(a, sum(b))", "1:9 expected label selectors only"),
];

#[test]
fn type_errors_are_in_prometheus_words() {
    for (text, wanted) in TYPES {
        refused(text, wanted);
    }
}

#[test]
fn errors_say_where() {
    let error = refused("sum(a) +\n\"\u{e9}\" * foo(b)", "2:8 unknown function with name \"foo\"");
    assert_eq!((error.span.start, error.span.end), (16, 19));
    assert_eq!(error.to_string(), "2:8: parse error: unknown function with name \"foo\"");
    let error =
        refused("a[5m] + 1", "1:1 binary expression must contain only scalar and instant vector types");
    assert_eq!((error.span.start, error.span.end), (0, 5));
}

#[test]
fn a_bare_selector_is_one_and_nothing_else() {
    for text in ["a", "a{b=\"c\"}", "{b=~\"c\"}", "{\"a.b\"}", "sum{a=\"b\"}", "a:b"] {
        assert!(parse_selector(&Budget::default(), text).is_ok(), "{text}");
    }
    for text in ["", "1", "a offset 5m", "a[5m]", "sum(a)", "(a)", "a b", "{}", "a{__name__=\"b\"}"] {
        assert!(parse_selector(&Budget::default(), text).is_err(), "{text}");
    }
}
