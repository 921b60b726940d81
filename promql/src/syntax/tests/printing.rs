//! What is printed reads back as the same tree, so nothing of a text is lost on the way.

use crate::syntax::ast::{Expr, ExprKind, Modifiers, Selector, Span};
use crate::syntax::{ParseError, parse};
use proptest::prelude::*;

use super::generator::Generator;

/// The tree without places, and with the matchers in the order in which they are printed.
fn bare(mut expr: Expr) -> String {
    strip(&mut expr);
    // The debug form, because NaN is not equal to itself.
    format!("{expr:?}")
}

fn strip(expr: &mut Expr) {
    expr.span = Span::default();
    match &mut expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => {}
        ExprKind::Paren(inner) | ExprKind::Unary(_, inner) => strip(inner),
        ExprKind::Selector(selector) => strip_selector(selector),
        ExprKind::Range(range) => {
            strip_selector(&mut range.selector);
            strip(&mut range.range);
        }
        ExprKind::Subquery(subquery) => {
            strip(&mut subquery.expr);
            strip(&mut subquery.range);
            subquery.step.iter_mut().for_each(strip);
            strip_modifiers(&mut subquery.modifiers);
        }
        ExprKind::Binary(binary) => {
            strip(&mut binary.left);
            strip(&mut binary.right);
        }
        ExprKind::Aggregate(aggregate) => {
            aggregate.parameter.iter_mut().for_each(strip);
            strip(&mut aggregate.expr);
        }
        ExprKind::Call(call) => call.arguments.iter_mut().for_each(strip),
    }
}

fn strip_selector(selector: &mut Selector) {
    selector.matchers.iter_mut().for_each(|matcher| matcher.span = Span::default());
    selector.matchers.sort_by_key(ToString::to_string);
    strip_modifiers(&mut selector.modifiers);
}

fn strip_modifiers(modifiers: &mut Modifiers) {
    modifiers.offset.iter_mut().for_each(strip);
}

#[test]
fn what_is_printed_reads_back_as_the_same_tree() {
    let mut read = 0;
    for seed in 1..=4_000 {
        let text = Generator::new(seed * 7_919, 60, false).expression();
        let Ok(expr) = parse(&text) else { continue };
        read += 1;
        let printed = expr.to_string();
        let again = parse(&printed).unwrap_or_else(|error| panic!("{text}\n{printed}\n{error}"));
        assert_eq!(again.to_string(), printed, "{text}");
        assert_eq!(bare(again), bare(expr), "{text}\n{printed}");
    }
    assert!(read > 2_500, "only {read} of 4000 generated expressions are valid");
}

#[test]
fn every_construct_is_printed_in_one_form() {
    for (text, printed) in [
        ("sum(a)by(b)", "sum by (b) (a)"),
        ("SUM by () (a)", "sum(a)"),
        ("sum without() (a)", "sum without () (a)"),
        ("topk(  5,a )", "topk(5, a)"),
        ("a{c='d',b=~`e\\d`,}", "a{b=~\"e\\\\d\",c=\"d\"}"),
        ("{'a.b',\"c d\"='e'}", "{\"c d\"=\"e\",__name__=\"a.b\"}"),
        ("sum by ('c d', e) (a)", "sum by (\"c d\", e) (a)"),
        ("a[90s]offset -300", "a[90] offset -300"),
        ("a[300]@1.5", "a[300] @ 1.500"),
        ("a[1h:]@end()offset 1w", "a[3600:] @ end() offset 604800"),
        ("a[5m+step()*(2)]", "a[300 + step() * (2)]"),
        ("a offset -(1m+max(1m,2m))", "a offset -(60 + max_of(60, 120))"),
        ("a[5m]anchored", "a[300] anchored"),
        ("a[5m]offset 1m@end()smoothed", "a[300] smoothed @ end() offset 60"),
        ("a offset (1m)@5 / b", "a offset (60) @ 5.000 / b"),
        ("a offset(1m)anchored / b", "a offset (60) anchored / b"),
        ("1e3+0x1F*5m", "1000 + 31 * 300"),
        ("-+-1^-2", "-+-1 ^ -2"),
        ("- 1", "-1"),
        ("a<bool on()group_left b", "a < bool on () group_left () b"),
        ("a+ignoring(c)b", "a + ignoring (c) b"),
        ("a+fill(0)b", "a + fill (0) b"),
        ("a+fill_right(1)fill_left(-2)b", "a + fill_left (-2) fill_right (1) b"),
        ("a>/5", "a >/ 5"),
        ("'it\\'s' # note", "\"it's\""),
        ("inf+nan", "Inf + NaN"),
        ("(((a)))", "(((a)))"),
    ] {
        assert_eq!(parse(text).map(|expr| expr.to_string()), Ok(printed.to_owned()), "{text}");
    }
}

/// The tree with every operation in parentheses.
fn grouped(expr: &Expr) -> String {
    match &expr.kind {
        ExprKind::Binary(binary) => {
            format!(
                "({} {} {})",
                grouped(&binary.left),
                binary.operation.operator.name(),
                grouped(&binary.right)
            )
        }
        ExprKind::Unary(_, inner) => format!("(-{})", grouped(inner)),
        _ => expr.to_string(),
    }
}

#[test]
fn operators_bind_as_in_prometheus() {
    for (text, wanted) in [
        ("a + b * c", "(a + (b * c))"),
        ("a - b - c", "((a - b) - c)"),
        ("a ^ b ^ c", "(a ^ (b ^ c))"),
        ("-a ^ b", "(-(a ^ b))"),
        ("-a * b", "((-a) * b)"),
        ("a ^ -b * c", "((a ^ (-b)) * c)"),
        ("a ^ -b ^ c", "(a ^ (-(b ^ c)))"),
        ("-1 ^ 2", "(-(1 ^ 2))"),
        ("a or b and c", "(a or (b and c))"),
        ("a and b unless c", "((a and b) unless c)"),
        ("a == b or c > d", "((a == b) or (c > d))"),
        ("a == b + c % d atan2 e", "(a == (b + ((c % d) atan2 e)))"),
        ("a offset 5m + b", "(a offset 300 + b)"),
        ("a offset 5m * 2", "(a offset 300 * 2)"),
        ("a offset -2 ^ 2", "(a offset -2 ^ 2)"),
        ("a offset (5m) * 2", "a offset (300) * 2"),
        ("and and and", "(and and and)"),
        ("fill + fill", "(fill + fill)"),
        ("sum * min", "(sum * min)"),
    ] {
        assert_eq!(parse(text).map(|expr| grouped(&expr)), Ok(wanted.to_owned()), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Any text is read or refused, in bounds: the place of a mistake lies in the text, and what is read can be printed.
    #[test]
    fn any_text_is_read_or_refused(text in "[a-c0-9 (){}\\[\\]\"'`\\\\,:=~!<>+*/^%@#.\n\u{e9}xmsn_-]{0,60}") {
        checked(&text);
    }

    /// The same of texts that are nearly expressions.
    #[test]
    fn any_broken_expression_is_read_or_refused(seed in 1..u64::MAX) {
        checked(&Generator::new(seed, 20, false).broken());
    }
}

/// The same of what the fuzzer begins with, and has found since.
#[test]
fn the_fuzzers_corpus_is_read_or_refused() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fuzz/corpus/promql_parse");
    for file in std::fs::read_dir(corpus).unwrap() {
        checked(&String::from_utf8_lossy(&std::fs::read(file.unwrap().path()).unwrap()));
    }
}

fn checked(text: &str) {
    match parse(text) {
        Ok(expr) => {
            assert!(expr.span.end <= text.len());
            assert!(parse(&expr.to_string()).is_ok(), "{text}");
        }
        Err(ParseError::Syntax(error)) => {
            assert!(error.span.start <= text.len() && error.span.end <= text.len(), "{text}: {error:?}");
        }
        Err(ParseError::TooLarge { found, limit, .. }) => assert!(found > limit),
    }
}
