//! Tests of the evaluator that need no scripts: exactness as a property, bounds, regular expressions, notation, speed.

mod alive;
mod bombs;

use std::cell::Cell;

use proptest::prelude::*;

use super::number::decimal;
use super::regex::Regex;
use super::syntax::ParseError;
use super::*;

const TIME_MS: i64 = 1_700_000_000_000;

fn counter(labels: &[(&str, &str)], points: Vec<(i64, i128)>) -> Series {
    Series {
        labels: Labels::from_pairs(labels.iter().copied()),
        samples: Samples::Delta(points.into_iter().collect()),
    }
}

fn run(query: &str, params: QueryParams, series: &[Series]) -> Result<QueryResult, QueryError> {
    let budget = Budget::default();
    let plan = plan_within(&budget, query, params)?;
    let mut fetched = Fetched::default();
    for request in &plan.requests {
        let accepts = |series: &&Series| {
            request.matchers.iter().all(|matcher| matcher.matches(series.labels.get(&matcher.name)))
        };
        let found = series.iter().filter(accepts);
        fetched.insert(budget.memory(), request.selector, found.cloned().collect())?;
    }
    evaluate(&plan, &fetched, &budget)
}

fn one(query: &str, series: &[Series]) -> Option<Number> {
    match run(query, QueryParams::Instant { time_ms: TIME_MS }, series).unwrap().value {
        QueryValue::Vector(samples) => samples.first().map(|sample| sample.point.value),
        other => panic!("{other:?}"),
    }
}

fn is_exactly(value: Option<Number>, picos: i128) {
    assert!(
        matches!(value, Some(Number::Exact(got)) if got == picos),
        "{value:?} is not exactly {picos} picos"
    );
}

proptest! {
    /// For any spends and any window, the sum over all series of the increase is the integer sum of what lies in it, and windows
    /// laid end to end add up to the whole.
    #[test]
    fn increase_is_the_integer_sum(
        spends in prop::collection::vec((0..20_usize, -86_400_000..=0_i64, 0..2_000_000_000_000_000_i128), 1..200),
        window_ms in prop::sample::select(vec![1_i64, 999, 60_000, 3_600_000, 86_400_000]),
    ) {
        let mut series: Vec<Vec<(i64, i128)>> = vec![Vec::new(); 20];
        for (at, age, picos) in &spends {
            series[*at].push((TIME_MS + age, *picos));
        }
        let series: Vec<Series> = series.into_iter().enumerate().map(|(at, mut points)| {
            points.sort_unstable();
            counter(&[("__name__", "llm_cost_usd_total"), ("team", &at.to_string())], points)
        }).collect();
        let inside: Vec<i128> = spends.iter().filter(|(_, age, _)| *age > -window_ms).map(|(_, _, picos)| *picos).collect();
        let query = format!("sum(increase(llm_cost_usd_total[{window_ms}ms]))");
        match one(&query, &series) {
            // Quiet for a whole day.
            None => prop_assert!(spends.iter().all(|(_, age, _)| *age <= 900_000 - 86_400_000)),
            Some(Number::Exact(picos)) => prop_assert_eq!(picos, inside.iter().sum::<i128>()),
            Some(float) => prop_assert!(false, "{float:?} is not exact"),
        }
        let hours = QueryParams::Range { start_ms: TIME_MS - 86_400_000, end_ms: TIME_MS, step_ms: 3_600_000 };
        let result = run("sum(increase(llm_cost_usd_total[1h]))", hours, &series).unwrap();
        let QueryValue::Matrix(rows) = result.value else { panic!("{result:?}") };
        let total = rows.iter().flat_map(RangeSeries::points).fold(Number::Exact(0), |sum, point| sum.plus(point.value));
        is_exactly(Some(total), spends.iter().map(|(_, _, picos)| picos).sum());
    }

    /// Any sequence of the language's words is answered or refused; nothing panics.
    #[test]
    fn garbage_is_refused_and_never_panics(
        words in prop::collection::vec(prop::sample::select(vec![
            "a_total", "{", "}", "(", ")", "[", "]", "5m", "1h:1m", ":", "sum", "by", "without", "rate", "increase", "offset", "@", "start()",
            "-", "+", "*", "/", "^", "%", "==", "!=", ">", "bool", "and", "or", "unless", "on", "ignoring", "group_left", "1", "0x1F", "NaN",
            "Inf", "\"s\"", "'", "`", "\\", "x", "=", "=~", "!~", "\".*\"", ",", "topk", "quantile", "histogram_quantile", "label_replace",
            "\"$1\"", "time()", "vector", "#", "\n", "\u{fffd}", "1e999", "9999999999999999y", "__name__", "smoothed", "fill", "le", "count_values",
        ]), 0..14),
    ) {
        let series = [counter(&[("__name__", "a_total"), ("x", "s"), ("le", "1")], vec![(TIME_MS, 5), (TIME_MS + 1, 6)])];
        let text = words.join(" ");
        let range = QueryParams::Range { start_ms: TIME_MS - 60_000, end_ms: TIME_MS + 60_000, step_ms: 30_000 };
        for params in [QueryParams::Instant { time_ms: TIME_MS }, range] {
            let _ = run(&text, params, &series);
            let _ = run(&words.concat(), params, &series);
        }
    }

    /// Rounded once: to the float that is nearest to the decimal.
    #[test]
    fn floats_are_the_nearest(picos in any::<i128>(), shift in 0..127_u32) {
        let picos = picos >> shift;
        prop_assert_eq!(Number::Exact(picos).to_f64().to_bits(), decimal(picos).parse::<f64>().unwrap().to_bits());
    }

    /// What is printed reads back as the same integer.
    #[test]
    fn decimals_read_back(picos in any::<i64>()) {
        let text = decimal(i128::from(picos));
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let digits = format!("{whole}{fraction:0<12}");
        prop_assert_eq!(digits.parse::<i128>().unwrap(), i128::from(picos));
        prop_assert!(!text.contains('.') || !text.ends_with('0'));
    }
}

/// Expected values are decimals as the compiler reads them: the standard library rounds those once.
#[test]
#[allow(clippy::excessive_precision, reason = "the digits that do not fit are the test")]
fn exact_values_become_the_nearest_float() {
    let check = |picos: i128, wanted: f64| {
        assert_eq!(Number::Exact(picos).to_f64().to_bits(), wanted.to_bits(), "{picos}");
    };
    let unit = 1_000_000_000_000;
    check(0, 0.0);
    check(1, 1e-12);
    check(-100_000_000_000, -0.1);
    check(300_000_000_000, 0.3);
    check(unit * 1_000_000_007, 1_000_000_007.0);
    // From 2^53 picos on.
    check(9_007_199_254_740_993, 9_007.199_254_740_993);
    check(-12_345_678_901_234_567_890, -12_345_678.901_234_567_89);
    check(123_456_789_012_345_678_900_000_000_000, 123_456_789_012_345_678.9);
    // 2^53 + 1 lies half way and goes to the even neighbour, unless there is anything more.
    let half = 9_007_199_254_740_993 * unit;
    check(half, 9_007_199_254_740_992.0);
    check(half + 1, 9_007_199_254_740_994.0);
    check(half - 1, 9_007_199_254_740_992.0);
    check(half + 2 * unit, 9_007_199_254_740_996.0);
    check(half + 2 * unit - 1, 9_007_199_254_740_994.0);
    check(i128::MIN, -170_141_183_460_469_231_731_687_303.715_884_105_728);
}

#[test]
fn exactness_survives_what_it_should_and_nothing_else() {
    let series = [
        counter(
            &[("__name__", "a_total"), ("t", "x")],
            vec![(TIME_MS, 9_007_199_254_740_993_000_000_000_001)],
        ),
        counter(&[("__name__", "a_total"), ("t", "y")], vec![(TIME_MS, 1)]),
    ];
    let big = 9_007_199_254_740_993_000_000_000_001;
    is_exactly(one("sum(increase(a_total[1h]))", &series), big + 1);
    is_exactly(
        one("increase(a_total{t=\"x\"}[1h]) - ignoring(t) increase(a_total{t=\"y\"}[1h])", &series),
        big - 1,
    );
    is_exactly(one("-max(increase(a_total[1h]))", &series), -big);
    is_exactly(one("count(increase(a_total[1h]))", &series), 2_000_000_000_000);
    is_exactly(one("sum(a_total)", &series), big + 1);
    is_exactly(one("increase(a_total{t=\"x\"}[1h]) > 5", &series), big);
    for query in
        ["sum(increase(a_total[1h])) * 1", "avg(increase(a_total[1h]))", "rate(a_total{t=\"x\"}[1h])"]
    {
        assert!(matches!(one(query, &series), Some(Number::Float(_))), "{query}");
    }
}

/// The same query in Prometheus 3 gives `[]`: where one side is empty nothing is matched, so nothing can be matched twice.
#[test]
fn an_empty_side_matches_nothing_and_is_no_error() {
    let of = |name: &'static str, team: &'static str, model: &'static str, time_ms| {
        counter(&[("__name__", name), ("team", team), ("model", model)], vec![(time_ms, 1_000_000_000_000)])
    };
    let series = [
        of("calls_total", "a", "x", TIME_MS + 60_000),
        of("errors_total", "a", "x", TIME_MS),
        of("errors_total", "a", "y", TIME_MS),
    ];
    assert_eq!(one("(calls_total > 1e12) * on(team) group_left errors_total", &series), None);
    assert_eq!(one("errors_total * on(team) group_right() (calls_total > 1e12)", &series), None);
    assert_eq!(one("calls_total * on(team) group_left errors_total", &series), None, "not there yet");
    let after = QueryParams::Range { start_ms: TIME_MS, end_ms: TIME_MS + 60_000, step_ms: 60_000 };
    let error = run("calls_total * on(team) group_left errors_total", after, &series).unwrap_err();
    assert!(matches!(error, QueryError::DuplicateMatch { side: "right", .. }), "{error}");
}

#[test]
fn what_needs_samples_is_refused_of_increments_from_the_text_alone() {
    let check = |query: &str| {
        let plan = plan(query, QueryParams::Instant { time_ms: TIME_MS }).unwrap();
        plan.check_increments(&|request| request.metric() == Some("a_total"))
            .map_err(|error| error.to_string())
    };
    for query in [
        "changes(a_total[1h])",
        "1 + sum(avg_over_time(a_total[1h]))",
        "topk(scalar(resets(a_total[1h])), b)",
        "max_over_time(idelta(a_total[5m])[1h:1m])",
        "timestamp(a_total)",
        "a_total[5m]",
    ] {
        let error = check(query).unwrap_err();
        assert!(error.contains("use increase() or rate()"), "{query}: {error}");
    }
    for query in [
        "rate(a_total[5m])",
        "absent_over_time(a_total[5m])",
        "max_over_time(rate(a_total[5m])[1h:1m])",
        "changes(b[1h])",
        "timestamp(a_total * 1)",
        "sum(a_total)",
    ] {
        assert_eq!(check(query), Ok(()), "{query}");
    }
}

/// A value that is exact stays exact beside a float of the same series.
#[test]
fn a_column_of_both_kinds_keeps_each_value_as_it_is() {
    let big = 9_007_199_254_740_993_000_000_000_001;
    let series = [counter(&[("__name__", "a_total")], vec![(TIME_MS, big)])];
    let params = QueryParams::Range { start_ms: TIME_MS - 60_000, end_ms: TIME_MS, step_ms: 60_000 };
    let result = run("sum(increase(a_total[1m])) or vector(0.5)", params, &series).unwrap();
    let QueryValue::Matrix(rows) = result.value else { panic!("a matrix") };
    let values: Vec<Number> = rows[0].points().map(|point| point.value).collect();
    assert!(matches!(values[..], [Number::Float(0.5), Number::Exact(picos)] if picos == big), "{values:?}");
}

#[test]
fn a_sum_names_what_may_be_added_first() {
    let grouping = |query: &str| {
        let plan = plan(query, QueryParams::Instant { time_ms: TIME_MS }).unwrap();
        plan.requests[0].grouping.clone()
    };
    let by_team = Some(Grouping::By(vec!["team".into()]));
    assert_eq!(grouping("sum by (team) (rate(x_total[5m]))"), by_team);
    assert_eq!(grouping("sum by (team) ((increase((x_total[5m]))))"), by_team);
    assert_eq!(grouping("sum(increase(x_total[5m]))"), Some(Grouping::By(Vec::new())));
    assert_eq!(grouping("sum without (a) (rate(x_total[5m]))"), Some(Grouping::Without(vec!["a".into()])));
    for query in [
        "max by (team) (rate(x_total[5m]))",
        "sum by (team) (rate(x_total[5m]) > 1)",
        "sum by (team) (irate(x_total[5m]))",
        "sum by (team) (-rate(x_total[5m]))",
        "sum by (team) (max(rate(x_total[5m])))",
        "sum by (team) (sum_over_time(rate(x_total[5m])[1h:]))",
        "rate(x_total[5m])",
        // Of the series that are alive, and which those are is not known before the sum.
        "sum by (team) (x_total)",
    ] {
        assert_eq!(grouping(query), None, "{query}");
    }
}

#[test]
fn edges_say_when_a_selector_is_read() {
    let params = QueryParams::Range { start_ms: 7_200_000, end_ms: 10_900_000, step_ms: 1_800_000 };
    let edges = |query: &str| plan(query, params).unwrap().requests[0].edges;
    let check = |query: &str, first_ms, step_ms, count, window_ms, resolution_ms| {
        let edges = edges(query);
        assert_eq!(edges, Edges { first_ms, step_ms, count, window_ms }, "{query}");
        assert_eq!(edges.resolution_ms(), resolution_ms, "{query}");
    };
    check("rate(x[1h])", 7_200_000, 1_800_000, 3, Some(3_600_000), 1_800_000);
    check("rate(x[5m] offset 1m)", 7_140_000, 1_800_000, 3, Some(300_000), 60_000);
    check("rate(x[1h] @ 3600)", 3_600_000, 0, 1, Some(3_600_000), 3_600_000);
    // The end as asked for, as in Prometheus, not the last evaluation.
    check("rate(x[1h] @ end())", 10_900_000, 0, 1, Some(3_600_000), 100_000);
    check("x", 7_200_000, 1_800_000, 3, None, 1_800_000);
    check("sum_over_time(rate(x[1m])[10m:5m])", 6_900_000, 300_000, 14, Some(60_000), 60_000);
}

#[test]
fn regular_expressions_mean_what_they_mean_in_re2() {
    let check = |pattern: &str, text: &str, wanted: bool| {
        assert_eq!(
            Regex::compile(&Budget::default(), pattern).unwrap().is_match(text),
            wanted,
            "{pattern:?} on {text:?}"
        );
    };
    check("a", "a", true);
    check("a", "ba", false);
    check("a|b", "ab", false);
    check("a.c", "a\nc", true);
    check("(?i)ABC", "abc", true);
    check("\\d+", "12", true);
    check("\\d", "\u{0663}", false);
    check("[\\d.]+", "1.2", true);
    check("[^\\w]", "\u{e9}", true);
    check("a{b}", "a{b}", true);
    check("a{2}", "aa", true);
    check("[[:alpha:]]+x", "abx", true);
    check("[a[]+", "[a", true);
    check("[[:alpha:]b:]+x", "a:x", true);
    check("[^[:digit:]]", "[", true);
    check("[&&]", "&", true);
    check("[]a]+", "]a", true);
    check("[^]]", "x", true);
    check("[^^]", "^", false);
    check("[[^]", "^", true);
    check("\\x{41}", "A", true);
    check("\\p{Greek}", "\u{3b1}", true);
    check("", "", true);
    check("", "a", false);
    assert!(Regex::compile(&Budget::default(), &"a".repeat(1025)).is_err());
    assert!(Regex::compile(&Budget::default(), "(").is_err());
}

#[test]
fn text_is_measured_before_it_is_parsed() {
    assert!(crate::syntax::parse("sum by (a) (rate(x{b=~\"(((((((\"}[5m])) > 1 # ((((").is_ok());
    let too_large = |text: &str| {
        matches!(
            plan(text, QueryParams::Instant { time_ms: 0 }),
            Err(QueryError::Parse(ParseError::TooLarge { .. }))
        )
    };
    assert!(too_large(&"(".repeat(65)));
    assert!(too_large(&format!("1{}", " + 1".repeat(501))));
    assert!(too_large(&format!("a{}", " and a".repeat(501))));
    assert!(too_large(&format!("{}1", "-".repeat(501))));
    assert!(too_large(&format!("x{{a=~ \"{}\"}}", "b".repeat(1025))));
    assert!(too_large(&" ".repeat(20_000)));
    // The longest chain and the deepest nest that are allowed do not exhaust a small stack.
    let work = || {
        let nest = format!("{}1{}", "(".repeat(64), ")".repeat(64));
        for query in [format!("1{}", "+1".repeat(500)), format!("{}1", "-".repeat(500)), nest] {
            run(&query, QueryParams::Instant { time_ms: 0 }, &[]).unwrap();
        }
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(work).unwrap().join().unwrap();
}

#[test]
fn an_evaluation_stops_at_its_deadline_and_within_its_memory() {
    let params = QueryParams::Range { start_ms: 0, end_ms: 1_000_000, step_ms: 1000 };
    let plan = plan("sum(vector(1)) + vector(2)", params).unwrap();
    let asked = Cell::new(0);
    let stopped = || {
        asked.set(asked.get() + 1);
        asked.get() > 3
    };
    let pool = MemoryPool::new(1 << 20);
    let budget = Budget::new(pool.share(), &stopped);
    let result = evaluate(&plan, &Fetched::default(), &budget);
    assert_eq!(result.unwrap_err(), QueryError::Deadline);
    let budget = Budget::new(pool.share_of(10_000), &|| false);
    let result = evaluate(&plan, &Fetched::default(), &budget);
    assert_eq!(result.unwrap_err(), MemoryError::Query(10_000).into());
    let _others = pool.share_of(1 << 20).charge((1 << 20) - 10_000).unwrap();
    let budget = Budget::new(pool.share(), &|| false);
    let error = evaluate(&plan, &Fetched::default(), &budget).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert_eq!(pool.used(), (1 << 20) - 10_000, "what failed gives its memory back");
}

#[test]
fn what_makes_the_parser_panic_is_refused() {
    for query in ["a_total[1e999]", "a_total offset 1e999", "rate(a_total[Inf])", "a_total @ 1e999"] {
        let error = plan(query, QueryParams::Instant { time_ms: 0 }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadData, "{query}: {error}");
    }
}

#[test]
fn floats_are_printed_as_prometheus_prints_them() {
    let check = |value: f64, wanted: &str| assert_eq!(format_float(value), wanted);
    check(1.0, "1");
    check(-0.0, "-0");
    check(0.1 + 0.2, "0.30000000000000004");
    check(1e20, "100000000000000000000");
    check(1e21, "1e+21");
    check(1.5e-7, "1.5e-07");
    check(0.000_001, "0.000001");
    check(f64::NAN, "NaN");
    check(f64::INFINITY, "+Inf");
    check(f64::NEG_INFINITY, "-Inf");
    check(f64::MAX, "1.7976931348623157e+308");
}

#[test]
fn an_unsupported_function_is_refused_by_name_before_anything_is_fetched() {
    let error = plan("sort_by_label(x, \"a\")", QueryParams::Instant { time_ms: 0 }).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadData);
    let text = error.to_string();
    assert!(text.contains("\"sort_by_label\"") && text.contains("rate"), "{text}");
    let error = plan("limitk(1, x)", QueryParams::Instant { time_ms: 0 }).unwrap_err();
    assert!(error.to_string().contains("limitk"), "{error}");
}

/// The largest usual panel, 1,000 series at 1,500 steps, fits the budget.
#[test]
fn a_large_panel_is_evaluated() {
    let step_ms = 60_000;
    let series: Vec<Series> = (0..1000)
        .map(|at: i64| {
            let points = (0..1560).map(|step| (TIME_MS + (step - 60) * step_ms, i128::from(at + step)));
            let (team, model) = ((at % 20).to_string(), at.to_string());
            counter(&[("__name__", "a_total"), ("team", &team), ("model", &model)], points.collect())
        })
        .collect();
    let params = QueryParams::Range { start_ms: TIME_MS, end_ms: TIME_MS + 1499 * step_ms, step_ms };
    let plan = plan("sum by (team) (increase(a_total[1h]))", params).unwrap();
    let budget = Budget::default();
    let mut fetched = Fetched::default();
    fetched.insert(budget.memory(), 0, series).unwrap();
    let result = evaluate(&plan, &fetched, &budget).unwrap();
    let QueryValue::Matrix(rows) = result.value else { panic!("a matrix") };
    assert_eq!((rows.len(), rows[0].points().count()), (20, 1500));
}
