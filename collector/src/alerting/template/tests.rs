//! Templates: what they print, and where they are refused. promtool judges the printing in tests/integration.

use super::*;
use proptest::prelude::*;

fn labels() -> Labels {
    [("team", "search"), ("model", "gpt-4o mini"), ("count", "1536"), ("quoted", "a\"b")]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// To the only queries that these tests ask.
fn answers() -> Answers {
    let failed = Err("the store is away".to_owned());
    [("calls{team=\"search\"}".to_owned(), Ok(7.0)), ("broken".to_owned(), failed)].into()
}

#[track_caller]
fn check(source: &str, value: f64, want: &str) {
    let template = Template::parse(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    assert_eq!(template.render(&labels(), value, &answers()), want, "{source}");
}

#[track_caller]
fn refused(source: &str, position: usize, part: &str) {
    let error = Template::parse(source).expect_err(source);
    assert_eq!(error.position, position, "{source}: {error}");
    assert!(error.message.contains(part), "{source}: {error}");
}

#[test]
fn values_and_labels_are_inserted() {
    check("plain } text {", 1.0, "plain } text {");
    check("{{ $value }} {{.Value}} {{ $labels.team }}/{{.Labels.team}}", 1.25, "1.25 1.25 search/search");
    check("[{{ $labels.missing }}{{ $externalLabels.cluster }}]", 1.0, "[]");
    check("{{ $labels }}", 1.0, "map[count:1536 model:gpt-4o mini quoted:a\"b team:search]");
    check("a {{- $value -}} b {{ \"}}\" }}{{ `x|y` }}", 3.0, "a3b }}x|y");
}

#[test]
fn printf_formats_as_go_does() {
    check("{{ printf \"%.2f\" $value }} USD", 12.3456, "12.35 USD");
    check("{{ $value | printf \"%.0f%%\" }}", 12.3456, "12%");
    check(
        "{{ printf \"%s=%8.1f|%-6s|%q|%v\" $labels.team $value \"ab\" $labels.quoted $value }}",
        2.5,
        "search=     2.5|ab    |\"a\\\"b\"|2.5",
    );
    check(
        "{{ printf \"%+g %e %08.3f\" $value $value $value }}",
        1_234_567.0,
        "+1.234567e+06 1.234567e+06 1234567.000",
    );
    check(
        "{{ printf \"%05.1f|%5.1f|%e|%g\" $value $value $value $value }}",
        f64::NEG_INFINITY,
        " -Inf| -Inf|-Inf|-Inf",
    );
    check("{{ $value }} {{ printf \"%.2f\" $value }}", f64::INFINITY, "+Inf +Inf");
    check("{{ $value }} {{ printf \"%e\" $value }}", f64::NAN, "NaN NaN");
    check("{{ printf \"%s\" ($value | humanize) }}", 1500.0, "1.5k");
}

/// What Go's strconv says of strings: what `Unquote` reads, and what `Quote` writes for `%q`.
#[test]
fn strings_are_read_and_quoted_as_in_go() {
    for (written, read) in [
        (r#""\x41\101\u00e9\U0001F600""#, "AA\u{e9}\u{1f600}"),
        (r#""\a\b\f\n\r\t\v\\\"""#, "\x07\x08\x0c\n\r\t\x0b\\\""),
        (r#""\xc3\xa9""#, "\u{e9}"),
        ("\"a\tb\"", "a\tb"),
        (r"`a\n\x41`", r"a\n\x41"),
    ] {
        check(&format!("{{{{ {written} }}}}"), 0.0, read);
    }
    for (text, quoted) in [
        ("a\"b\\'`", r#""a\"b\\'`""#),
        ("\x07\x08\x0c\n\r\t\x0b", r#""\a\b\f\n\r\t\v""#),
        ("\0\x01\x7f", r#""\x00\x01\x7f""#),
        ("\u{a0}\u{202e}\u{feff}", r#""\u00a0\u202e\ufeff""#),
        ("\u{e0001}", r#""\U000e0001""#),
        ("\u{e9}e\u{301}\u{1f600}", "\"\u{e9}e\u{301}\u{1f600}\""),
        ("\u{301}", "\"\u{301}\""),
    ] {
        let labels = Labels::from([("l".to_owned(), text.to_owned())]);
        let template = Template::parse("{{ printf \"%q\" $labels.l }}").unwrap();
        assert_eq!(template.render(&labels, 0.0, &answers()), quoted, "{text:?}");
    }
}

#[test]
fn humanize_functions_scale_as_prometheus_does() {
    for (function, value, want) in [
        ("humanize", 0.0, "0"),
        ("humanize", 1_234_567.0, "1.235M"),
        ("humanize", -0.00123, "-1.23m"),
        ("humanize", f64::NAN, "NaN"),
        ("humanize1024", 1_048_576.0, "1Mi"),
        ("humanize1024", 0.5, "0.5"),
        ("humanizeDuration", 0.0, "0s"),
        ("humanizeDuration", 0.0021, "2.1ms"),
        ("humanizeDuration", 59.94, "59.94s"),
        ("humanizeDuration", 3661.0, "1h 1m 1s"),
        ("humanizeDuration", -90_061.0, "-1d 1h 1m 1s"),
        ("humanizePercentage", 0.12345, "12.35%"),
        ("humanizePercentage", 1.0, "100%"),
    ] {
        check(&format!("{{{{ $value | {function} }}}}"), value, want);
        check(&format!("{{{{ {function} $value }}}}"), value, want);
    }
    check("{{ $labels.count | humanize1024 }}", 0.0, "1.5ki");
    check("{{ humanize $labels.team }}", 0.0, "<error expanding template: \"search\" is not a number>");
}

#[test]
fn case_functions_change_case_only() {
    check(
        "{{ $labels.model | title }} {{ toUpper $labels.team }} {{ \"ABc\" | toLower }}",
        0.0,
        "Gpt-4o Mini SEARCH abc",
    );
    check("{{ \"a-b cDE f_g\" | title }}", 0.0, "A-B CDE F_g");
}

/// Prometheus's own way to say a second number, in the form that needs no control flow.
#[test]
fn a_query_is_asked_and_its_first_value_is_inserted() {
    let text = "{{ $value }} of {{ printf \"calls{team=%q}\" $labels.team | query | first | value | printf \"%.0f\" }}";
    check(text, 7.0, "7 of 7");
    check("{{ query `calls{team=\"search\"}` | first | value | humanize }}", 0.0, "7");
    check("a {{ query \"broken\" | first | value }}", 0.0, "<error expanding template: the store is away>");
    check("{{ query \"else\" | first | value }}", 0.0, "<error expanding template: the query was not asked>");
    let asked = |source: &str| Template::parse(source).unwrap().queries(&labels(), 2.5);
    assert_eq!(asked(text), ["calls{team=\"search\"}"]);
    assert_eq!(asked("{{ printf \"a > %g\" $value | query | first | value }}{{ $value }}"), ["a > 2.5"]);
    assert!(asked("{{ $value | humanize }} query").is_empty());
}

#[test]
fn everything_else_is_refused_with_its_position() {
    refused("{{ if gt $value 1.0 }}x{{ end }}", 4, "\"if\" is not supported");
    refused("x {{ query \"up\" }}", 6, "query | first | value");
    refused("{{ query \"up\" | first }}", 4, "query | first | value");
    refused("{{ query \"up\" | value }}", 17, "query | first | value");
    refused("{{ query $value | first | value }}", 4, "query | first | value");
    refused("{{ printf \"%v\" (query \"up\" | first) }}", 4, "query | first | value");
    refused("{{ query \"up\" | humanize }}", 17, "query | first | value");
    refused(
        "{{ printf \"%v\" (query \"up\" | first | value) | query | first | value }}",
        47,
        "without a query in it",
    );
    refused("{{ query \"up\" | first | value | title }}", 33, "needs text");
    refused("{{ $x := 1 }}", 4, "\"$x\" is not supported");
    refused("{{ $value", 10, "not closed");
    refused("{{ }}", 4, "a value is missing");
    refused("{{ $value | }}", 13, "a value is missing");
    refused("{{ $value $value }}", 4, "only a function");
    refused("{{ \"a }}", 4, "unterminated quoted string");
    refused("{{ \"a\nb\" }}", 4, "unterminated quoted string");
    refused("{{ `a }}", 4, "unterminated raw string");
    refused(r#"{{ "\/" }}"#, 4, "unknown escape sequence");
    refused(r#"{{ "\xff" }}"#, 4, "not UTF-8");
    refused("{{ $labels.a-b }}", 13, "'-' is not supported");
    refused("{{ $value | title }}", 13, "needs text");
    refused("{{ $labels | humanize }}", 14, "name one label");
    refused("{{ printf \"%d\" $value }}", 4, "%.0f");
    refused("{{ printf \"%s\" $value }}", 4, "needs text");
    refused("{{ printf \"%.2f\" $labels.team }}", 4, "needs a number");
    refused("{{ printf \"%.2f\" }}", 4, "1 verbs and 0 values");
    refused("{{ printf \"%999f\" $value }}", 4, "above 200");
    refused("{{ printf $value }}", 4, "format in quotes");
    refused("{{ humanize humanize $value }}", 13, "parentheses");
    refused("{{ ($value }}", 4, "parenthesis is not closed");
    refused("{{ $value) }}", 4, "closing parenthesis");
    refused("{{/* note */}}", 3, "'/' is not supported");
    refused(&format!("{{{{ {}$value }}}}", "(".repeat(20)), 21, "nest deeper");
}

proptest! {
    #[test]
    fn parsing_and_rendering_never_panic(source in "(\\{\\{|\\}\\}|\\$value|\\$labels\\.team| |\\||printf|\"%.2f\"|humanize|\\(|\\)|[a-z%\"`\u{e9}-]){0,20}", value in any::<f64>()) {
        if let Ok(template) = Template::parse(&source) {
            template.render(&labels(), value, &answers());
        }
    }

    #[test]
    fn text_without_actions_is_unchanged(source in "[^{]{0,40}") {
        prop_assert_eq!(Template::parse(&source).unwrap().render(&labels(), 1.0, &answers()), source);
    }
}
