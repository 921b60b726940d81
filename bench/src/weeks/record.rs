//! From expected to made calls, and from calls to the series that the record of them has.

use ledgerline_promql::{Increments, Labels, METRIC_NAME, Samples, Series};
use ledgerline_store::catalog::BOUNDS;

use super::chance::Chance;
use super::team::{BEGIN_S, Minute, Service, Team};

/// Pico-units of one.
const PICOS: i128 = 1_000_000_000_000;
/// Seconds of a usual call, and of its first token; half of the calls take longer.
const DURATION_S: f64 = 2.0;
const FIRST_TOKEN_S: f64 = 0.4;
/// What half of the calls cost at least.
const COST_USD: f64 = 0.01;

/// A metric's series of one set of labels.
#[derive(Default)]
struct Counter(Increments);

impl Counter {
    fn add(&mut self, time_ms: i64, picos: i128) {
        if picos != 0 {
            self.0.times_ms.push(time_ms);
            self.0.picos.push(picos);
        }
    }
}

#[derive(Default)]
struct Histogram {
    bounds: [Counter; BOUNDS.len()],
    counts: [i128; BOUNDS.len()],
}

impl Histogram {
    fn observe(&mut self, seconds: f64) {
        let edges = BOUNDS.iter().map(|bound| bound.parse().unwrap_or(f64::INFINITY));
        let below = edges.take_while(|edge: &f64| *edge < seconds).count();
        self.counts[below.min(BOUNDS.len() - 1)..].iter_mut().for_each(|count| *count += 1);
    }

    fn close(&mut self, time_ms: i64) {
        for (counter, count) in self.bounds.iter_mut().zip(&mut self.counts) {
            counter.add(time_ms, std::mem::take(count) * PICOS);
        }
    }
}

#[derive(Default)]
struct Book {
    ok: Counter,
    failed: Counter,
    errors: Counter,
    cost: Counter,
    duration: Histogram,
    first_token: Histogram,
}

impl Book {
    fn add(&mut self, minute: &Minute, time_ms: i64, chance: &mut Chance) {
        let (mut ok, mut failed, mut cost) = (0, 0, 0.0);
        for _ in 0..chance.poisson(minute.rate) {
            if chance.unit() < minute.errors {
                failed += 1;
                continue;
            }
            ok += 1;
            cost += chance.around(COST_USD * minute.cost, 1.0);
            self.duration.observe(chance.around(DURATION_S * minute.slow, 0.6));
            self.first_token.observe(chance.around(FIRST_TOKEN_S * minute.first, 0.5));
        }
        self.ok.add(time_ms, ok * PICOS);
        self.failed.add(time_ms, failed * PICOS);
        self.errors.add(time_ms, failed * PICOS);
        self.cost.add(time_ms, (cost * 1e12) as i128);
        self.duration.close(time_ms);
        self.first_token.close(time_ms);
    }

    fn series(self, team: &'static str, service: &Service) -> Vec<Series> {
        let face = [("service", service.name), ("provider", service.provider), ("model", service.model)];
        let named = |name: &'static str, label: (&'static str, &'static str), counter: Counter| {
            let own = [(METRIC_NAME, name), ("team", team), label];
            let labels = Labels::from_pairs(own.into_iter().chain(face));
            Series { labels, samples: Samples::Delta(counter.0) }
        };
        let mut all = vec![
            named("llm_calls_total", ("status", "ok"), self.ok),
            named("llm_calls_total", ("status", "error"), self.failed),
            named("llm_errors_total", ("error_type", "500"), self.errors),
            named("llm_cost_usd_total", ("currency", ""), self.cost),
        ];
        let times = [
            ("llm_call_duration_seconds_bucket", "llm_call_duration_seconds_count", self.duration),
            (
                "llm_time_to_first_token_seconds_bucket",
                "llm_time_to_first_token_seconds_count",
                self.first_token,
            ),
        ];
        for (bucket, count, histogram) in times {
            for (bound, counter) in BOUNDS.into_iter().zip(histogram.bounds) {
                if bound == "+Inf" {
                    let all_calls = Counter(counter.0.clone());
                    all.push(named(count, ("le", ""), all_calls));
                }
                all.push(named(bucket, ("le", bound), counter));
            }
        }
        all
    }
}

/// The record of a team: each minute's calls are recorded at its end.
#[must_use]
pub fn of(mut team: Team) -> Vec<Series> {
    let name = team.kind.name();
    let mut all = Vec::new();
    for service in &team.services {
        let mut book = Book::default();
        let mut time_ms = BEGIN_S * 1000;
        for minute in &service.minutes {
            time_ms += 60_000;
            book.add(minute, time_ms, &mut team.chance);
        }
        all.extend(book.series(name, service));
    }
    all
}
