//! Queries that are short and want the machine: each ends in an error of the user's, and its memory stays within its bound. The
//! bounds are of bytes and cells, never of time: what stops them must not depend on how fast the machine is.

use super::{TIME_MS, counter};
use crate::*;

const MIB: usize = 1 << 20;

/// A query, what it is evaluated over, and how it must end.
struct Bomb {
    name: &'static str,
    query: String,
    /// Series of one increment each.
    series: usize,
    /// Steps of a range query of one second each; one is an instant query.
    steps: i64,
    kind: ErrorKind,
    /// The most it may hold at once.
    bytes_max: usize,
}

fn bomb(name: &'static str, query: String, kind: ErrorKind, bytes_max: usize) -> Bomb {
    Bomb { name, query, series: 0, steps: 1, kind, bytes_max }
}

/// `inner`, wrapped `times` times.
fn nested(times: usize, inner: &str, wrap: impl Fn(&str) -> String) -> String {
    (0..times).fold(inner.to_owned(), |query, _| wrap(&query))
}

fn texts() -> Vec<Bomb> {
    let start = format!("label_replace(vector(1),\"a\",\"{}\",\"\",\"\")", "x".repeat(200));
    let doubled = |query: &str| format!("label_replace({query},\"a\",\"$1$1\",\"a\",\"(.*)\")");
    let joined = |query: &str| format!("label_join({query},\"a\",\"\",\"a\",\"a\",\"a\",\"a\")");
    let many = format!("label_replace({start},\"a\",\"{}\",\"a\",\"(.*)\")", "$1".repeat(4000));
    let wide =
        "label_replace(label_replace(a_total,\"a\",\"x{}\",\"\",\"\"),\"a\",\"REPEAT\",\"a\",\"(.*)\")";
    let wide = wide.replace("{}", &"x".repeat(400)).replace("REPEAT", &"$1".repeat(40));
    let pattern = "label_replace(vector(1),\"a\",\"$1\",\"b\",\"((?:[^a]{100}){90})\")".to_owned();
    // A few hundred kB each: no one is too large, all of them are.
    let patterns = nested(60, "vector(1)", |query| {
        format!("label_replace({query},\"a\",\"$1\",\"b\",\"(?:[a-z\\u00e9]{{40}}){{40}}\")")
    });
    vec![
        bomb("label_replace doubles", nested(30, &start, doubled), ErrorKind::Execution, 3 * MIB),
        bomb("label_join quadruples", nested(20, &start, joined), ErrorKind::Execution, 3 * MIB),
        bomb("a template of 4,000 groups", many, ErrorKind::Execution, 3 * MIB),
        Bomb {
            series: 20_000,
            ..bomb("16 kB a series", wide, ErrorKind::Execution, limits::QUERY_MEMORY_BYTES_MAX)
        },
        bomb("a pattern of 9,000 classes", pattern, ErrorKind::BadData, 4 * MIB),
        bomb("patterns that are too large together", patterns, ErrorKind::BadData, 16 * MIB),
    ]
}

fn steps() -> Vec<Bomb> {
    let bad = ErrorKind::Execution;
    let times = nested(60, "time()", |query| format!("time()+({query})"));
    let chain = format!("max_over_time(vector(1{})[10d:1s])", "+1".repeat(400));
    let ranged =
        |name, query: &str, bytes_max| Bomb { steps: 11_000, ..bomb(name, query.to_owned(), bad, bytes_max) };
    let over = |name, query: &str| Bomb {
        series: 5000,
        steps: 11_000,
        ..bomb(name, query.to_owned(), bad, limits::QUERY_MEMORY_BYTES_MAX)
    };
    vec![
        bomb(
            "a subquery of 86 thousand million steps",
            "sum_over_time(vector(1)[1000d:1ms])".to_owned(),
            ErrorKind::BadData,
            0,
        ),
        bomb(
            "subqueries of subqueries",
            nested(3, "vector(1)", |query| format!("max_over_time({query}[1d:1s])")),
            bad,
            0,
        ),
        ranged("long windows at short steps", "avg_over_time(vector(1)[10d:1s])", 0),
        ranged("sorted windows", "quantile_over_time(0.5,vector(time())[10d:1s])", 0),
        ranged("holt and regression", "predict_linear(vector(time())[1d:1s],3600)", 0),
        bomb("400 sums of a million steps", chain, bad, 0),
        bomb(
            "60 operands of 345,600 steps at once",
            format!("max_over_time(vector({times})[4d:1s])"),
            bad,
            0,
        ),
        ranged(
            "a series for each step",
            "count_values(\"v\",vector(time()))",
            limits::QUERY_MEMORY_BYTES_MAX,
        ),
        ranged(
            "a series for each step, counted again",
            "count_values(\"w\",count_values(\"v\",vector(time())))",
            limits::QUERY_MEMORY_BYTES_MAX,
        ),
        over("group_left over everything", "a_total * on() group_left vector(1)"),
        over("topk of everything", "topk(1e9,a_total)"),
        over("everything or everything", "a_total or label_replace(a_total,\"x\",\"y\",\"\",\"\")"),
        bomb("topk of more than there are numbers", "topk(1e19,vector(1))".to_owned(), bad, MIB),
    ]
}

#[test]
fn bombs_end_in_an_error_within_their_memory() {
    for bomb in texts().into_iter().chain(steps()) {
        let Bomb { name, query, series, steps, kind, bytes_max } = bomb;
        let all: Vec<Series> = (0..series)
            .map(|at| counter(&[("__name__", "a_total"), ("team", &at.to_string())], vec![(TIME_MS, 1)]))
            .collect();
        let params = match steps {
            1 => QueryParams::Instant { time_ms: TIME_MS },
            _ => {
                QueryParams::Range { start_ms: TIME_MS, end_ms: TIME_MS + (steps - 1) * 1000, step_ms: 1000 }
            }
        };
        // One that holds more than this gets the process's error, which is of another kind.
        let pool = MemoryPool::new(bytes_max);
        let budget = Budget::new(pool.share_of(limits::QUERY_MEMORY_BYTES_MAX), &|| false);
        let answer = plan_within(&budget, &query, params).and_then(|plan| {
            let mut fetched = Fetched::default();
            for request in &plan.requests {
                fetched.insert(budget.memory(), request.selector, all.clone())?;
            }
            evaluate(&plan, &fetched, &budget)
        });
        let error = answer.err().unwrap_or_else(|| panic!("{name}: was answered"));
        assert_eq!(error.kind(), kind, "{name}: {error}");
        drop(budget);
        assert_eq!(pool.used(), 0, "{name}: gives everything back");
    }
}
