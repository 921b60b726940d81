//! Pure: the one table of functions. A function is supported if and only if it stands here.

use super::error::QueryError;
use super::eval::{Evaluator, Value};
use super::plan::{Call, Grid};
use super::window::Compute;
use super::{dates, histogram, range, special};

/// Whether a result keeps the metric's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NameRule {
    Drop,
    Keep,
}

/// A function and how it is computed.
#[derive(Debug)]
pub(super) struct Function {
    pub name: &'static str,
    pub implementation: Implementation,
}

/// The ways to compute a function.
#[derive(Debug, Clone, Copy)]
pub(super) enum Implementation {
    /// `increase`: the one function, with `rate`, that understands increments.
    Increase,
    Rate,
    /// Of each window alone.
    Window {
        compute: Compute,
        name: NameRule,
    },
    /// Of each value alone; `None` leaves the series out.
    Math(fn(f64, &[f64]) -> Option<f64>),
    /// Of the whole argument.
    Special(fn(&Evaluator<'_>, &Call, Grid) -> Result<Value, QueryError>),
}

impl Function {
    pub fn find(name: &str) -> Option<&'static Self> {
        TABLE.iter().find(|function| function.name == name)
    }
}

/// The names of all supported functions.
pub fn supported_functions() -> Vec<&'static str> {
    TABLE.iter().map(|function| function.name).collect()
}

const fn window(name: &'static str, compute: Compute) -> Function {
    Function { name, implementation: Implementation::Window { compute, name: NameRule::Drop } }
}

const fn named(name: &'static str, compute: Compute) -> Function {
    Function { name, implementation: Implementation::Window { compute, name: NameRule::Keep } }
}

const fn math(name: &'static str, compute: fn(f64, &[f64]) -> Option<f64>) -> Function {
    Function { name, implementation: Implementation::Math(compute) }
}

const fn special(
    name: &'static str,
    compute: fn(&Evaluator<'_>, &Call, Grid) -> Result<Value, QueryError>,
) -> Function {
    Function { name, implementation: Implementation::Special(compute) }
}

static TABLE: [Function; 73] = [
    math("abs", |v, _| Some(v.abs())),
    special("absent", special::absent),
    special("absent_over_time", special::absent_over_time),
    math("acos", |v, _| Some(v.acos())),
    math("acosh", |v, _| Some(v.acosh())),
    math("asin", |v, _| Some(v.asin())),
    math("asinh", |v, _| Some(v.asinh())),
    math("atan", |v, _| Some(v.atan())),
    math("atanh", |v, _| Some(v.atanh())),
    window("avg_over_time", range::average),
    math("ceil", |v, _| Some(v.ceil())),
    window("changes", range::changes),
    math("clamp", |v, a| clamp(v, *a.first()?, *a.get(1)?)),
    math("clamp_max", |v, a| clamp(v, f64::NEG_INFINITY, *a.first()?)),
    math("clamp_min", |v, a| clamp(v, *a.first()?, f64::INFINITY)),
    math("cos", |v, _| Some(v.cos())),
    math("cosh", |v, _| Some(v.cosh())),
    window("count_over_time", range::count),
    math("day_of_month", dates::day_of_month),
    math("day_of_week", dates::day_of_week),
    math("day_of_year", dates::day_of_year),
    math("days_in_month", dates::days_in_month),
    math("deg", |v, _| Some(v * 180.0 / std::f64::consts::PI)),
    window("delta", range::delta),
    window("deriv", range::slope),
    math("exp", |v, _| Some(v.exp())),
    named("first_over_time", range::first),
    math("floor", |v, _| Some(v.floor())),
    special("histogram_fraction", histogram::fraction),
    special("histogram_quantile", histogram::quantile),
    math("hour", dates::hour),
    window("idelta", range::last_delta),
    Function { name: "increase", implementation: Implementation::Increase },
    window("irate", range::last_rate),
    special("label_join", special::label_join),
    special("label_replace", special::label_replace),
    named("last_over_time", range::last),
    math("ln", |v, _| Some(v.ln())),
    math("log10", |v, _| Some(v.log10())),
    math("log2", |v, _| Some(v.log2())),
    window("mad_over_time", range::median_deviation),
    window("max_over_time", range::greatest),
    window("min_over_time", range::least),
    math("minute", dates::minute),
    math("month", dates::month),
    special("pi", special::pi),
    window("predict_linear", range::predict),
    window("present_over_time", range::present),
    special("quantile_over_time", special::quantile_over_time),
    math("rad", |v, _| Some(v * std::f64::consts::PI / 180.0)),
    Function { name: "rate", implementation: Implementation::Rate },
    window("resets", range::resets),
    math("round", |v, a| Some(round(v, a.first().copied().unwrap_or(1.0)))),
    special("scalar", special::scalar),
    math("sgn", |v, _| {
        Some(if v < 0.0 {
            -1.0
        } else if v > 0.0 {
            1.0
        } else {
            v
        })
    }),
    math("sin", |v, _| Some(v.sin())),
    math("sinh", |v, _| Some(v.sinh())),
    special("sort", special::sort),
    special("sort_desc", special::sort_desc),
    math("sqrt", |v, _| Some(v.sqrt())),
    window("stddev_over_time", range::deviation),
    window("stdvar_over_time", range::variance),
    window("sum_over_time", range::sum),
    math("tan", |v, _| Some(v.tan())),
    math("tanh", |v, _| Some(v.tanh())),
    special("time", special::time),
    special("timestamp", special::timestamp),
    window("ts_of_first_over_time", range::time_of_first),
    window("ts_of_last_over_time", range::time_of_last),
    window("ts_of_max_over_time", range::time_of_greatest),
    window("ts_of_min_over_time", range::time_of_least),
    special("vector", special::vector),
    math("year", dates::year),
];

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
