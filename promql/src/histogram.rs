//! Pure: quantiles and fractions of classic histograms (series with an upper bound in the label `le`).

use super::aggregate::warn_quantile;
use super::budget::Budget;
use super::cells::Cells;
use super::error::Result;
use super::labels::METRIC_NAME;
use super::notices::Notices;
use super::number::Number;
use super::value::{Groups, Vector};

/// Counts that differ by less than this share are equal: they come from float arithmetic on equal counts.
const SMALL_DELTA: f64 = 1e-12;

/// Everything observed at or below a bound.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    bound: f64,
    count: f64,
}

pub(super) fn of_quantile(
    budget: &Budget<'_>,
    notices: &Notices,
    quantiles: &Cells,
    buckets: &Vector,
) -> Result<Vector> {
    if !buckets.columns.is_empty() {
        warn_quantile(notices, quantiles);
    }
    per_histogram(budget, notices, buckets, |step, name, buckets| {
        let (value, fix) = bucket_quantile(quantiles.float(step).unwrap_or(f64::NAN), buckets);
        if fix {
            notices.inform(&format!(
                "input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile) for metric name \"{name}\""
            ));
        }
        value
    })
}

pub(super) fn of_fraction(
    budget: &Budget<'_>,
    notices: &Notices,
    lower: &Cells,
    upper: &Cells,
    buckets: &Vector,
) -> Result<Vector> {
    let at = |bound: &Cells, step| bound.float(step).unwrap_or(f64::NAN);
    per_histogram(budget, notices, buckets, |step, _, buckets| {
        bucket_fraction(at(lower, step), at(upper, step), buckets)
    })
}

/// Groups series that differ only in `le` and computes one value per group and step.
fn per_histogram(
    budget: &Budget<'_>,
    notices: &Notices,
    input: &Vector,
    compute: impl Fn(usize, &str, &mut Vec<Bucket>) -> f64,
) -> Result<Vector> {
    let steps = input.columns.first().map_or(0, |column| column.cells.len());
    // The places of each histogram's buckets in the input, with their bounds.
    let histograms = Groups::of(
        budget,
        input.columns.iter().enumerate().filter_map(|(at, column)| {
            let (le, name) = (column.labels.get("le"), column.labels.get(METRIC_NAME));
            let Some(bound) = parse_bound(le) else {
                notices.warn(&format!(
                    "bucket label \"le\" is missing or has a malformed value of {le:?} for metric name \"{name}\""
                ));
                return None;
            };
            let mut labels = column.labels.clone();
            labels.set("le", "");
            Some((labels, (bound, at)))
        }),
    )?;
    let mut out = Vector::default();
    let mut buckets = Vec::new();
    for (labels, members) in &histograms.list {
        let name = labels.get(METRIC_NAME);
        budget.work(members.len().saturating_mul(steps))?;
        let values = (0..steps).map(|step| {
            buckets.clear();
            buckets.extend(members.iter().filter_map(|(bound, at)| {
                let count = input.columns[*at].cells.float(step)?;
                Some(Bucket { bound: *bound, count })
            }));
            (!buckets.is_empty()).then(|| Number::Float(compute(step, name, &mut buckets)))
        });
        let cells = Cells::build(budget, steps, values)?;
        out.push(budget, labels.without_name(), cells)?;
    }
    out.merged(budget)
}

fn parse_bound(text: &str) -> Option<f64> {
    text.parse().ok().filter(|bound: &f64| !bound.is_nan())
}

/// Sorts by bound and adds up buckets with equal bounds; false if the last is not `+Inf`, without which nothing can be said.
fn prepare(buckets: &mut Vec<Bucket>) -> bool {
    buckets.sort_by(|a, b| a.bound.total_cmp(&b.bound));
    buckets.dedup_by(|next, kept| {
        let same = next.bound.total_cmp(&kept.bound).is_eq();
        if same {
            kept.count += next.count;
        }
        same
    });
    buckets.last().is_some_and(|last| last.bound == f64::INFINITY)
}

/// Lifts counts that fall with rising bounds, and says whether there were any.
fn make_monotonic(buckets: &mut [Bucket]) -> bool {
    let mut fix = false;
    let mut highest = buckets.first().map_or(0.0, |bucket| bucket.count);
    for bucket in buckets.iter_mut().skip(1) {
        let scale = highest.abs() + bucket.count.abs();
        if bucket.count.to_bits() == highest.to_bits() {
            continue;
        }
        if (bucket.count - highest).abs() / scale.min(f64::MAX) < SMALL_DELTA {
            bucket.count = highest;
        } else if bucket.count < highest {
            bucket.count = highest;
            fix = true;
        } else {
            highest = bucket.count;
        }
    }
    fix
}

/// The quantile by linear interpolation within the bucket that holds it, and whether counts had to be lifted.
fn bucket_quantile(q: f64, buckets: &mut Vec<Bucket>) -> (f64, bool) {
    if q.is_nan() {
        return (f64::NAN, false);
    }
    if !(0.0..=1.0).contains(&q) {
        return (if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY }, false);
    }
    if !prepare(buckets) {
        return (f64::NAN, false);
    }
    let fix = make_monotonic(buckets);
    let Some(last) = buckets.len().checked_sub(1).filter(|last| *last > 0) else { return (f64::NAN, fix) };
    let observations = buckets[last].count;
    if observations == 0.0 || observations.is_nan() {
        return (f64::NAN, fix);
    }
    let rank = q * observations;
    let at = buckets[..last].partition_point(|bucket| bucket.count < rank);
    if at == last {
        return (buckets[last - 1].bound, fix);
    }
    let end = buckets[at].bound;
    if at == 0 && end <= 0.0 {
        return (end, fix);
    }
    let (start, below) = if at == 0 { (0.0, 0.0) } else { (buckets[at - 1].bound, buckets[at - 1].count) };
    (start + (end - start) * ((rank - below) / (buckets[at].count - below)), fix)
}

/// The share of observations between two values, by linear interpolation within buckets.
fn bucket_fraction(lower: f64, upper: f64, buckets: &mut Vec<Bucket>) -> f64 {
    if !prepare(buckets) || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    make_monotonic(buckets);
    let count = buckets.last().map_or(0.0, |bucket| bucket.count);
    if count == 0.0 || count.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    (rank_of(upper, buckets) - rank_of(lower, buckets)) / count
}

fn rank_of(value: f64, buckets: &[Bucket]) -> f64 {
    let mut below = 0.0;
    let mut start = match buckets.first() {
        Some(first) if first.bound > 0.0 => 0.0,
        _ => f64::NEG_INFINITY,
    };
    for bucket in buckets {
        if value <= start {
            return below;
        }
        if value < bucket.bound {
            let width = bucket.bound - start;
            // Nothing can be interpolated in a bucket without a finite width: what it holds counts on its infinite side.
            let share = match (start.is_finite(), bucket.bound.is_finite()) {
                (true, true) => (value - start) / width,
                (false, _) => 1.0,
                (true, false) => 0.0,
            };
            return below + (bucket.count - below) * share;
        }
        below = bucket.count;
        start = bucket.bound;
    }
    below
}
