//! Pure: how each function is computed. A function is supported if and only if it stands here; one that is computed from more than a
//! single value or window is in `eval/call.rs`.

use super::dates::{self, DAY};
use super::number::{Number, Sum};
use super::range;
use super::statistics::{Mean, Variance, maximum, minimum};
use super::window::{Compute, Counter, Per, extrapolated};

#[derive(Clone, Copy)]
pub(crate) enum Implementation {
    /// `increase` and `rate`, which understand increments.
    Increase(Per),
    Window(Compute),
    /// Of each value alone; `None` leaves the series out.
    Math(fn(f64, &[f64]) -> Option<f64>),
    /// Of the whole argument, or of none.
    Special,
}

/// The names of all supported functions.
pub fn supported_functions() -> Vec<&'static str> {
    let names = super::syntax::signatures().map(|signature| signature.name);
    names.filter(|name| implementation(name).is_some()).collect()
}

/// How a function is computed; `None` for one that we do not have.
#[allow(clippy::too_many_lines, reason = "a table")]
pub(crate) fn implementation(function: &str) -> Option<Implementation> {
    use Implementation::{Increase, Math, Special, Window};
    Some(match function {
        "abs" => Math(|v, _| Some(v.abs())),
        "acos" => Math(|v, _| Some(v.acos())),
        "acosh" => Math(|v, _| Some(v.acosh())),
        "asin" => Math(|v, _| Some(v.asin())),
        "asinh" => Math(|v, _| Some(v.asinh())),
        "atan" => Math(|v, _| Some(v.atan())),
        "atanh" => Math(|v, _| Some(v.atanh())),
        "avg_over_time" => Window(|w, _| Some(w.fold(Mean::add).value())),
        "ceil" => Math(|v, _| Some(v.ceil())),
        "changes" => Window(range::changes),
        "clamp" => Math(|v, a| clamp(v, *a.first()?, *a.get(1)?)),
        "clamp_max" => Math(|v, a| clamp(v, f64::NEG_INFINITY, *a.first()?)),
        "clamp_min" => Math(|v, a| clamp(v, *a.first()?, f64::INFINITY)),
        "cos" => Math(|v, _| Some(v.cos())),
        "cosh" => Math(|v, _| Some(v.cosh())),
        "count_over_time" => {
            Window(|w, _| Some(Number::whole(w.points.len().try_into().unwrap_or(u64::MAX))))
        }
        "day_of_month" => Math(|v, _| dates::field(v, |t| dates::civil(t).2)),
        // 0 is Sunday; 1970 began on a Thursday.
        "day_of_week" => Math(|v, _| dates::field(v, |t| (t.div_euclid(DAY) + 4).rem_euclid(7))),
        "day_of_year" => Math(|v, _| dates::field(v, dates::day_of_year)),
        "days_in_month" => Math(|v, _| dates::field(v, dates::days_in_month)),
        "deg" => Math(|v, _| Some(v * 180.0 / std::f64::consts::PI)),
        "delta" => Window(|w, _| extrapolated(w, Counter::Gauge, Per::Window)),
        "deriv" => Window(range::slope),
        "exp" => Math(|v, _| Some(v.exp())),
        "first_over_time" => Window(|w, _| w.values().next()),
        "floor" => Math(|v, _| Some(v.floor())),
        "hour" => Math(|v, _| dates::field(v, |t| t.rem_euclid(DAY) / 3600)),
        "idelta" => Window(range::last_delta),
        "increase" => Increase(Per::Window),
        "irate" => Window(range::last_rate),
        "last_over_time" => Window(|w, _| w.points.last().map(|point| point.value)),
        "ln" => Math(|v, _| Some(v.ln())),
        "log10" => Math(|v, _| Some(v.log10())),
        "log2" => Math(|v, _| Some(v.log2())),
        "mad_over_time" => Window(range::median_deviation),
        "max_over_time" => Window(|w, _| w.values().reduce(maximum)),
        "min_over_time" => Window(|w, _| w.values().reduce(minimum)),
        "minute" => Math(|v, _| dates::field(v, |t| t.rem_euclid(3600) / 60)),
        "month" => Math(|v, _| dates::field(v, |t| dates::civil(t).1)),
        "predict_linear" => Window(range::predict),
        "present_over_time" => Window(|_, _| Some(Number::whole(1))),
        "quantile_over_time" => Window(range::quantile_of),
        "rad" => Math(|v, _| Some(v * std::f64::consts::PI / 180.0)),
        "rate" => Increase(Per::Second),
        "resets" => Window(range::resets),
        "round" => Math(|v, a| Some(round(v, a.first().copied().unwrap_or(1.0)))),
        // Zero and NaN stay what they are.
        "sgn" => Math(|v, _| Some(if v == 0.0 || v.is_nan() { v } else { v.signum() })),
        "sin" => Math(|v, _| Some(v.sin())),
        "sinh" => Math(|v, _| Some(v.sinh())),
        "sqrt" => Math(|v, _| Some(v.sqrt())),
        "stddev_over_time" => Window(|w, _| Some(Number::Float(w.fold(Variance::add).value().sqrt()))),
        "stdvar_over_time" => Window(|w, _| Some(Number::Float(w.fold(Variance::add).value()))),
        "sum_over_time" => Window(|w, _| Some(w.fold(Sum::add).total())),
        "tan" => Math(|v, _| Some(v.tan())),
        "tanh" => Math(|v, _| Some(v.tanh())),
        "ts_of_first_over_time" => Window(|w, _| w.points.first().map(range::time_of)),
        "ts_of_last_over_time" => Window(|w, _| w.points.last().map(range::time_of)),
        "ts_of_max_over_time" => Window(|w, _| range::time_of_extreme(w, std::cmp::Ordering::Greater)),
        "ts_of_min_over_time" => Window(|w, _| range::time_of_extreme(w, std::cmp::Ordering::Less)),
        "year" => Math(|v, _| dates::field(v, |t| dates::civil(t).0)),
        "absent" | "absent_over_time" | "end" | "histogram_fraction" | "histogram_quantile"
        | "label_join" | "label_replace" | "pi" | "range" | "scalar" | "sort" | "sort_desc" | "start"
        | "step" | "time" | "timestamp" | "vector" => Special,
        _ => return None,
    })
}

/// Values outside the bounds become the bound; bounds in the wrong order leave nothing.
fn clamp(value: f64, low: f64, high: f64) -> Option<f64> {
    if low > high {
        return None;
    }
    if low.is_nan() || high.is_nan() || value.is_nan() {
        return Some(f64::NAN);
    }
    Some(value.clamp(low, high))
}

/// Rounds half up to the nearest multiple.
fn round(value: f64, nearest: f64) -> f64 {
    // Multiplying by the inverse avoids a representation error for multiples such as 0.1.
    let inverse = 1.0 / nearest;
    (value * inverse + 0.5).floor() / inverse
}
