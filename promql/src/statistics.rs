//! Pure: folds over values, shared by aggregations over series and functions over time.

use std::cmp::Ordering;

use super::number::{Number, Sum};

/// A mean that survives sums beyond the range of a float, as Prometheus's does.
#[derive(Debug, Default, Clone, Copy)]
pub struct Mean {
    sum: Sum,
    incremental: f64,
    count: usize,
}

impl Mean {
    pub fn add(&mut self, value: Number) {
        self.sum.add(value);
        self.count += 1;
        let n = count_f64(self.count);
        let value = value.to_f64();
        // Dividing first keeps the difference of two huge values in range.
        if value.is_finite() && self.incremental.is_finite() {
            self.incremental += value / n - self.incremental / n;
        } else {
            self.incremental += value;
        }
    }

    /// The mean of what was added; NaN for nothing.
    pub fn value(self) -> Number {
        let sum = self.sum.total().to_f64();
        let usable = if sum.is_infinite() && self.incremental.is_finite() {
            self.incremental
        } else {
            sum / count_f64(self.count)
        };
        Number::Float(usable)
    }
}

/// Population variance by Welford's method.
#[derive(Debug, Default, Clone, Copy)]
pub struct Variance {
    count: usize,
    mean: f64,
    squares: f64,
}

impl Variance {
    pub fn add(&mut self, value: Number) {
        self.count += 1;
        let value = value.to_f64();
        let delta = value - self.mean;
        self.mean += delta / count_f64(self.count);
        self.squares += delta * (value - self.mean);
    }

    /// The variance of what was added; NaN for nothing.
    pub fn value(self) -> f64 {
        self.squares / count_f64(self.count)
    }
}

/// The smaller of two; a number beats NaN.
pub fn minimum(current: Number, value: Number) -> Number {
    extreme(current, value, Ordering::Less)
}

/// The larger of two; a number beats NaN.
pub fn maximum(current: Number, value: Number) -> Number {
    extreme(current, value, Ordering::Greater)
}

fn extreme(current: Number, value: Number, wanted: Ordering) -> Number {
    if current.is_nan() || value.compare(current) == Some(wanted) { value } else { current }
}

/// The order of two values; NaN comes last.
pub fn in_order(order: fn(Number, Number) -> Option<Ordering>, a: Number, b: Number) -> Ordering {
    order(a, b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// The quantile of some values by linear interpolation; NaN sorts below every number.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank is the place of a value")]
pub fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if !(0.0..=1.0).contains(&q) {
        return f64::INFINITY.copysign(q);
    }
    values.sort_by(|a, b| b.is_nan().cmp(&a.is_nan()).then(a.total_cmp(b)));
    let rank = q * count_f64(values.len() - 1);
    let weight = rank - rank.floor();
    let lower = rank.floor() as usize;
    let upper = (lower + 1).min(values.len() - 1);
    values[lower] * (1.0 - weight) + values[upper] * weight
}

#[allow(clippy::cast_precision_loss, reason = "counts of samples are far below 2^53")]
pub fn count_f64(count: usize) -> f64 {
    count as f64
}
