//! Pure: the functions over one window that are more than a line in `functions.rs`. Definitions are those of the PromQL documentation.

use std::cmp::Ordering;

use super::number::{Number, Sum};
use super::series::Point;
use super::statistics::{count_f64, quantile};
use super::window::{Window, seconds};

fn floats<'a>(window: &'a Window<'_>) -> impl Iterator<Item = f64> + 'a {
    window.values().map(Number::to_f64)
}

pub fn quantile_of(window: &Window<'_>, arguments: &[f64]) -> Option<Number> {
    let mut values: Vec<f64> = floats(window).collect();
    Some(Number::Float(quantile(*arguments.first()?, &mut values)))
}

pub fn median_deviation(window: &Window<'_>, _: &[f64]) -> Option<Number> {
    let mut values: Vec<f64> = floats(window).collect();
    if values.iter().any(|value| value.is_nan()) {
        return Some(Number::Float(f64::NAN));
    }
    let median = quantile(0.5, &mut values);
    values.iter_mut().for_each(|value| *value = (*value - median).abs());
    Some(Number::Float(quantile(0.5, &mut values)))
}

pub fn changes(window: &Window<'_>, _: &[f64]) -> Option<Number> {
    let differ = |pair: &&[Point]| {
        let (a, b) = (pair[0].value, pair[1].value);
        a.compare(b) != Some(Ordering::Equal) && !(a.is_nan() && b.is_nan())
    };
    Some(Number::Float(count_f64(window.points.windows(2).filter(differ).count())))
}

pub fn resets(window: &Window<'_>, _: &[f64]) -> Option<Number> {
    let fell = |pair: &&[Point]| pair[1].value.compare(pair[0].value) == Some(Ordering::Less);
    Some(Number::Float(count_f64(window.points.windows(2).filter(fell).count())))
}

pub fn last_delta(window: &Window<'_>, _: &[f64]) -> Option<Number> {
    let (before, after, _) = last_two(window)?;
    Some(Number::Float(after - before))
}

/// Per-second increase between the last two samples of a counter.
pub fn last_rate(window: &Window<'_>, _: &[f64]) -> Option<Number> {
    let (before, after, elapsed) = last_two(window)?;
    let increase = if after < before { after } else { after - before };
    Some(Number::Float(increase / elapsed))
}

fn last_two(window: &Window<'_>) -> Option<(f64, f64, f64)> {
    let [.., before, after] = window.points else { return None };
    let elapsed = seconds(after.time_ms - before.time_ms);
    (elapsed > 0.0).then(|| (before.value.to_f64(), after.value.to_f64(), elapsed))
}

/// Slope per second by least squares.
pub fn slope(window: &Window<'_>, _: &[f64]) -> Option<Number> {
    let origin_ms = window.points.first()?.time_ms;
    regression(window.points, origin_ms).map(|line| Number::Float(line.0))
}

/// The least-squares line's value some seconds after the time of evaluation.
pub fn predict(window: &Window<'_>, arguments: &[f64]) -> Option<Number> {
    let (slope, intercept) = regression(window.points, window.evaluated_ms)?;
    Some(Number::Float(slope * *arguments.first()? + intercept))
}

/// Slope and value at `origin_ms`; two samples at least.
fn regression(points: &[Point], origin_ms: i64) -> Option<(f64, f64)> {
    if points.len() < 2 {
        return None;
    }
    let first = points[0].value.to_f64();
    if points.iter().all(|point| point.value.to_f64().to_bits() == first.to_bits()) {
        return Some(if first.is_finite() { (0.0, first) } else { (f64::NAN, f64::NAN) });
    }
    let mut sums = [Sum::default(); 4];
    for point in points {
        let x = seconds(point.time_ms - origin_ms);
        let y = point.value.to_f64();
        for (sum, value) in sums.iter_mut().zip([x, y, x * y, x * x]) {
            sum.add(Number::Float(value));
        }
    }
    let n = count_f64(points.len());
    let [sum_x, sum_y, sum_xy, sum_xx] = sums.map(|sum| sum.total().to_f64());
    let slope = (sum_xy - sum_x * sum_y / n) / (sum_xx - sum_x * sum_x / n);
    Some((slope, sum_y / n - slope * sum_x / n))
}

/// The time of the latest of the samples with the extreme value.
pub fn time_of_extreme(window: &Window<'_>, wanted: Ordering) -> Option<Number> {
    let mut best = window.points.first()?;
    for point in window.points {
        let order = point.value.compare(best.value);
        if best.value.is_nan() || order == Some(wanted) || order == Some(Ordering::Equal) {
            best = point;
        }
    }
    Some(time_of(best))
}

pub fn time_of(point: &Point) -> Number {
    Number::Float(seconds(point.time_ms))
}
