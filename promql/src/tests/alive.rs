//! When a series of increments is alive, against a count over all pairs of increment and time; and that a source which returns
//! sums over intervals is answered like one which returns every increment.

use proptest::prelude::*;

use super::{counter, run};
use crate::*;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// 1970-01-11, so that all of history is after 1970.
const BASE_MS: i64 = 10 * DAY;

/// The edges of one selector: its window, 0 for an instant selector, and the times at which it is read.
#[derive(Debug, Clone)]
struct Reading {
    window_ms: i64,
    times: Vec<i64>,
}

impl Reading {
    fn begin_ms(&self) -> i64 {
        self.times[0] - self.window_ms
    }

    /// When an increment counts for being alive, word for word as `alive.rs` promises.
    fn counted_at(&self, time: i64) -> i64 {
        if time <= self.begin_ms() {
            let quarter = (0..).map(|at| at * 15 * MINUTE).find(|quarter| *quarter >= time).unwrap();
            return quarter.min(self.begin_ms());
        }
        self.times.iter().copied().find(|step| *step >= time).unwrap_or(i64::MAX)
    }

    /// The value at a time: of the window, or of all history.
    fn value(&self, increments: &[(i64, i128)], at: i64) -> Option<i128> {
        let after = |time: i64| self.window_ms == 0 || time > at - self.window_ms;
        let inside: Vec<i128> = increments
            .iter()
            .filter(|(time, _)| *time <= at && after(*time))
            .map(|(_, picos)| *picos)
            .collect();
        let alive = if self.window_ms >= DAY {
            !inside.is_empty()
        } else {
            let counted = increments.iter().map(|(time, _)| self.counted_at(*time));
            counted.into_iter().any(|time| time <= at && time > at - DAY)
        };
        alive.then(|| inside.iter().sum())
    }

    /// What a store of intervals returns: sums at edges, and what `alive_from_ms` asks for.
    fn coarse(&self, increments: &[(i64, i128)], alive_from_ms: Option<i64>) -> Vec<(i64, i128)> {
        let mut out = std::collections::BTreeMap::new();
        let edges: Vec<i64> = self.times.iter().flat_map(|time| [*time, *time - self.window_ms]).collect();
        for (time, picos) in increments {
            let edge = edges.iter().copied().filter(|edge| *edge >= *time).min();
            match edge {
                Some(edge) if *time > self.begin_ms() => *out.entry(edge).or_insert(0) += picos,
                Some(_) if self.window_ms == 0 => *out.entry(alive_from_ms.unwrap()).or_insert(0) += picos,
                _ => {}
            }
        }
        let before = increments.iter().map(|(time, _)| *time).filter(|time| *time <= self.begin_ms());
        if let Some(last) = before.max().filter(|last| alive_from_ms.is_some_and(|from| *last > from)) {
            out.entry(self.counted_at(last)).or_insert(0);
        }
        out.into_iter().collect()
    }
}

/// The values by time of the one series that there is.
fn values(query: &str, params: QueryParams, increments: Vec<(i64, i128)>) -> Vec<(i64, i128)> {
    let result = run(query, params, &[counter(&[("__name__", "a_total")], increments)]).unwrap();
    let QueryValue::Matrix(rows) = result.value else { panic!("{result:?}") };
    let points = rows.iter().flat_map(RangeSeries::points);
    let exact = points.map(|point| match point.value {
        Number::Exact(picos) => (point.time_ms, picos),
        Number::Float(_) => panic!("{query} is not exact"),
    });
    exact.collect()
}

proptest! {
    /// Signed increments, rare and often on the edges of quarters, windows and days.
    #[test]
    fn a_series_is_alive_as_long_as_it_should(
        raw in prop::collection::btree_map((-5 * DAY..2 * DAY, prop::sample::select(vec![1_i64, MINUTE, 15 * MINUTE, DAY])), -3..4_i128, 0..6),
        start in (-DAY..DAY, prop::sample::select(vec![1_i64, MINUTE, 15 * MINUTE, HOUR])),
        step_ms in prop::sample::select(vec![MINUTE, 7 * MINUTE, 15 * MINUTE, HOUR, 5 * HOUR, DAY, DAY + 1]),
        count in 1..12_i64,
        window_ms in prop::sample::select(vec![0_i64, 1, 5 * MINUTE, HOUR, 7 * HOUR, DAY - 1, DAY, DAY + 1, 3 * DAY]),
        offset_ms in prop::sample::select(vec![0_i64, 1, 7 * MINUTE, DAY]),
        at in prop::option::weighted(0.2, -DAY..DAY),
    ) {
        let increments: std::collections::BTreeMap<i64, i128> =
            raw.into_iter().map(|((time, round), picos)| (BASE_MS + time.div_euclid(round) * round, picos)).collect();
        let increments: Vec<(i64, i128)> = increments.into_iter().collect();
        let start_ms = BASE_MS + start.0.div_euclid(start.1) * start.1;
        let params = QueryParams::Range { start_ms, end_ms: start_ms + (count - 1) * step_ms, step_ms };
        let steps: Vec<i64> = (0..count).map(|step| start_ms + step * step_ms).collect();
        let times = match at {
            Some(at) => vec![BASE_MS + at - offset_ms],
            None => steps.iter().map(|step| step - offset_ms).collect(),
        };
        #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
        let at = at.map_or_else(String::new, |at| format!(" @ {}", (BASE_MS + at) as f64 / 1000.0));
        let query = match window_ms {
            0 => format!("a_total offset {offset_ms}ms{at}"),
            _ => format!("increase(a_total[{window_ms}ms] offset {offset_ms}ms{at})"),
        };
        let reading = Reading { window_ms, times };
        let wanted: Vec<(i64, i128)> = (steps.iter().enumerate())
            .filter_map(|(step, time)| {
                let read = *reading.times.get(step).unwrap_or(&reading.times[0]);
                Some((*time, reading.value(&increments, read)?))
            })
            .collect();
        prop_assert_eq!(&values(&query, params, increments.clone()), &wanted, "{}", query);
        let request = plan(&query, params).unwrap().requests.remove(0);
        prop_assert_eq!(request.alive_from_ms.is_some(), window_ms < DAY);
        let coarse = reading.coarse(&increments, request.alive_from_ms);
        prop_assert_eq!(values(&query, params, coarse.clone()), wanted, "{} of {:?}", query, coarse);
    }
}
