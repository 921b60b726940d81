//! Tests of what only this module sees: numbers, durations, quotes and the list of functions.

mod generator;
mod print;
mod printing;

use std::collections::BTreeSet;

use super::duration::parse_duration_ms;
use super::number::parse_number;
use super::quoted::{quote, unquote};
use super::signatures::ValueType;
use super::signatures::{Signature, signatures};

#[test]
fn numbers_are_read_as_go_reads_them() {
    let check = |text: &str, wanted: f64| assert_eq!(parse_number(text), Ok(wanted), "{text}");
    check("1", 1.0);
    check("0x1F", 31.0);
    check("0X_1f", 31.0);
    check("0755", 493.0);
    check("08", 8.0);
    check("08.5", 8.5);
    check("1_000", 1000.0);
    check("1_000.5", 1000.5);
    check("5e-3", 0.005);
    check(".5", 0.5);
    check("1.", 1.0);
    check("9223372036854775808", 9_223_372_036_854_775_808.0);
    check("Inf", f64::INFINITY);
    assert!(parse_number("nAn").unwrap().is_nan());
    let refused = |text: &str, reason: &str| {
        let wanted = format!("error parsing number: strconv.ParseFloat: parsing \"{text}\": {reason}");
        assert_eq!(parse_number(text), Err(wanted));
    };
    refused("1e999", "value out of range");
    refused("0xffffffffffffffffff", "invalid syntax");
    refused("1__0", "invalid syntax");
    refused(".5.5", "invalid syntax");
}

#[test]
fn a_condition_watches_what_its_values_are_of() {
    let check = |condition: &str, query: &str, limit: Option<f64>| {
        assert_eq!(super::watched(condition).unwrap(), super::Watched { query, limit });
    };
    check("vector(1)", "vector(1)", None);
    check("sum by (team) (a) > 5", "sum by (team) (a)", Some(5.0));
    check("a / b and a > 0.1 * (b + 50) unless c > 1", "a / b", None);
    check("(a >= (-6)) unless b > 7", "a", Some(-6.0));
    check("a > 1 > b", "a", Some(1.0));
    check("a > on (team) group_left () b", "a", None);
    // Their values are no part's.
    for whole in ["a > bool 5", "a > 1 or b > 2", "a > on (team) group_right () b"] {
        check(whole, whole, None);
    }
    assert!(super::watched("a >").is_err());
}

#[test]
fn durations_are_read_as_prometheus_reads_them() {
    let check = |text: &str, ms: i64| assert_eq!(parse_duration_ms(text), Ok(ms), "{text}");
    check("0", 0);
    check("0s", 0);
    check("90s", 90_000);
    check("1y", 31_536_000_000);
    check("52w", 31_449_600_000);
    check("8d", 691_200_000);
    check("1h1ms", 3_600_001);
    check("1d1h", 90_000_000);
    let refused = |text: &str, reason: &str| assert_eq!(parse_duration_ms(text), Err(reason.to_owned()));
    refused("", "empty duration string");
    refused("5", "not a valid duration string: \"5\"");
    refused("m", "not a valid duration string: \"m\"");
    refused("1m1h", "not a valid duration string: \"1m1h\"");
    refused("1m1m", "not a valid duration string: \"1m1m\"");
    refused("1hs", "not a valid duration string: \"1hs\"");
    refused("300y", "duration out of range");
    refused("99999999999999999999s", "duration out of range");
}

#[test]
fn escapes_are_those_of_go() {
    let check = |token: &str, wanted: Option<&str>| assert_eq!(unquote(token).as_deref(), wanted, "{token}");
    check(r#""a\tb\"\\""#, Some("a\tb\"\\"));
    check(r"'it\'s'", Some("it's"));
    check(r"`\d+\n`", Some("\\d+\\n"));
    check(r#""\x41\101\u00e9\U0001F600""#, Some("AA\u{e9}\u{1f600}"));
    check(r#""\xc3\xa9""#, Some("\u{e9}"));
    check(r#""\a\b\f\v\r""#, Some("\x07\x08\x0c\x0b\r"));
    check(r#""\xff""#, None);
    check(r#""\377""#, None);
    check("''", Some(""));
    let printed = "\"a\\\"b\\\\\\n\\a\\x01\u{e9}\\u202e\"";
    assert_eq!(quote("a\"b\\\n\x07\x01\u{e9}\u{202e}"), printed);
}

#[test]
fn the_functions_are_ninety_and_the_evaluator_has_no_others() {
    let names: BTreeSet<&str> = signatures().map(|signature| signature.name).collect();
    assert_eq!((names.len(), signatures().count()), (90, 90));
    for signature in signatures() {
        let Signature { name, arguments, least, most, .. } = signature;
        assert!(least <= most && least <= arguments.len() && (most > 0) != arguments.is_empty(), "{name}");
    }
    for name in crate::supported_functions() {
        assert!(names.contains(&name), "the evaluator has {name}, which the language lacks");
    }
}
