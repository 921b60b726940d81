//! Pure: how each function is computed. A function of one value or one window is named here; what needs more is in `call.rs`.

use crate::functions::FunctionId as F;
use crate::window::{Compute, NameRule, Per};
use crate::{dates, range};

/// The ways to compute a function.
#[derive(Clone, Copy)]
pub(super) enum Implementation {
    /// `increase` and `rate`, which understand increments.
    Increase(Per),
    /// Of each window alone.
    Window(Compute, NameRule),
    /// Of each value alone; `None` leaves the series out.
    Math(fn(f64, &[f64]) -> Option<f64>),
    /// Of the whole argument.
    Special,
}

/// How a function is computed.
#[allow(clippy::too_many_lines, reason = "a table")]
pub(super) fn implementation(function: F) -> Implementation {
    use Implementation::{Increase, Math, Special, Window};
    match function {
        F::Abs => Math(|v, _| Some(v.abs())),
        F::Acos => Math(|v, _| Some(v.acos())),
        F::Acosh => Math(|v, _| Some(v.acosh())),
        F::Asin => Math(|v, _| Some(v.asin())),
        F::Asinh => Math(|v, _| Some(v.asinh())),
        F::Atan => Math(|v, _| Some(v.atan())),
        F::Atanh => Math(|v, _| Some(v.atanh())),
        F::AvgOverTime => Window(range::average, NameRule::Drop),
        F::Ceil => Math(|v, _| Some(v.ceil())),
        F::Changes => Window(range::changes, NameRule::Drop),
        F::Clamp => Math(|v, a| clamp(v, *a.first()?, *a.get(1)?)),
        F::ClampMax => Math(|v, a| clamp(v, f64::NEG_INFINITY, *a.first()?)),
        F::ClampMin => Math(|v, a| clamp(v, *a.first()?, f64::INFINITY)),
        F::Cos => Math(|v, _| Some(v.cos())),
        F::Cosh => Math(|v, _| Some(v.cosh())),
        F::CountOverTime => Window(range::count, NameRule::Drop),
        F::DayOfMonth => Math(dates::day_of_month),
        F::DayOfWeek => Math(dates::day_of_week),
        F::DayOfYear => Math(dates::day_of_year),
        F::DaysInMonth => Math(dates::days_in_month),
        F::Deg => Math(|v, _| Some(v * 180.0 / std::f64::consts::PI)),
        F::Delta => Window(range::delta, NameRule::Drop),
        F::Deriv => Window(range::slope, NameRule::Drop),
        F::Exp => Math(|v, _| Some(v.exp())),
        F::FirstOverTime => Window(range::first, NameRule::Keep),
        F::Floor => Math(|v, _| Some(v.floor())),
        F::Hour => Math(dates::hour),
        F::Idelta => Window(range::last_delta, NameRule::Drop),
        F::Irate => Window(range::last_rate, NameRule::Drop),
        F::LastOverTime => Window(range::last, NameRule::Keep),
        F::Ln => Math(|v, _| Some(v.ln())),
        F::Log10 => Math(|v, _| Some(v.log10())),
        F::Log2 => Math(|v, _| Some(v.log2())),
        F::MadOverTime => Window(range::median_deviation, NameRule::Drop),
        F::MaxOverTime => Window(range::greatest, NameRule::Drop),
        F::MinOverTime => Window(range::least, NameRule::Drop),
        F::Minute => Math(dates::minute),
        F::Month => Math(dates::month),
        F::PredictLinear => Window(range::predict, NameRule::Drop),
        F::PresentOverTime => Window(range::present, NameRule::Drop),
        F::Rad => Math(|v, _| Some(v * std::f64::consts::PI / 180.0)),
        F::Resets => Window(range::resets, NameRule::Drop),
        F::Round => Math(|v, a| Some(round(v, a.first().copied().unwrap_or(1.0)))),
        F::Sgn => Math(sign),
        F::Sin => Math(|v, _| Some(v.sin())),
        F::Sinh => Math(|v, _| Some(v.sinh())),
        F::Sqrt => Math(|v, _| Some(v.sqrt())),
        F::StddevOverTime => Window(range::deviation, NameRule::Drop),
        F::StdvarOverTime => Window(range::variance, NameRule::Drop),
        F::SumOverTime => Window(range::sum, NameRule::Drop),
        F::Tan => Math(|v, _| Some(v.tan())),
        F::Tanh => Math(|v, _| Some(v.tanh())),
        F::TsOfFirstOverTime => Window(range::time_of_first, NameRule::Drop),
        F::TsOfLastOverTime => Window(range::time_of_last, NameRule::Drop),
        F::TsOfMaxOverTime => Window(range::time_of_greatest, NameRule::Drop),
        F::TsOfMinOverTime => Window(range::time_of_least, NameRule::Drop),
        F::Year => Math(dates::year),
        F::Increase => Increase(Per::Window),
        F::Rate => Increase(Per::Second),
        F::QuantileOverTime => Window(range::quantile_of, NameRule::Drop),
        F::Absent
        | F::AbsentOverTime
        | F::HistogramFraction
        | F::HistogramQuantile
        | F::LabelJoin
        | F::LabelReplace
        | F::Pi
        | F::Scalar
        | F::Sort
        | F::SortDesc
        | F::Time
        | F::Timestamp
        | F::Vector => Special,
    }
}

/// -1, 0 or 1; zero and NaN stay what they are.
fn sign(value: f64, _: &[f64]) -> Option<f64> {
    Some(if value < 0.0 {
        -1.0
    } else if value > 0.0 {
        1.0
    } else {
        value
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
