//! Pure: the functions that Prometheus 3 knows and what they take: the one list of functions in this crate. Which of them can be
//! computed here is the evaluator's business.

use super::ast::ValueType;
use ValueType::{Matrix, Scalar, String, Vector};

/// A function's name and types.
#[derive(Debug, PartialEq, Eq)]
pub struct Signature {
    /// As written.
    pub name: &'static str,
    /// The types of its arguments; those beyond the last are of the last type.
    pub arguments: &'static [ValueType],
    /// How many arguments it takes at least.
    pub least: usize,
    /// How many at most; `None` for any number.
    pub most: Option<usize>,
    /// What it returns.
    pub returns: ValueType,
    /// Whether Prometheus has it behind a feature flag.
    pub experimental: bool,
}

/// The function of this name.
pub fn signature(name: &str) -> Option<&'static Signature> {
    TABLE.binary_search_by(|known| known.name.cmp(name)).ok().map(|at| &TABLE[at])
}

/// All functions, by name.
pub fn signatures() -> &'static [Signature] {
    &TABLE
}

const fn fixed(name: &'static str, arguments: &'static [ValueType], returns: ValueType) -> Signature {
    let count = arguments.len();
    Signature { name, arguments, least: count, most: Some(count), returns, experimental: false }
}

/// Of an instant vector, giving one.
const fn vector(name: &'static str) -> Signature {
    fixed(name, &[Vector], Vector)
}

/// Of a range vector, giving an instant vector.
const fn window(name: &'static str) -> Signature {
    fixed(name, &[Matrix], Vector)
}

impl Signature {
    /// The last `count` arguments may be left out.
    const fn optional(self, count: usize) -> Self {
        Self { least: self.least - count, ..self }
    }

    /// The last argument may be left out or repeated, up to this many arguments in all.
    const fn repeated(self, most: Option<usize>) -> Self {
        Self { least: self.least - 1, most, ..self }
    }

    const fn experimental(self) -> Self {
        Self { experimental: true, ..self }
    }
}

static TABLE: [Signature; 90] = [
    vector("abs"),
    vector("absent"),
    window("absent_over_time"),
    vector("acos"),
    vector("acosh"),
    vector("asin"),
    vector("asinh"),
    vector("atan"),
    vector("atanh"),
    window("avg_over_time"),
    vector("ceil"),
    window("changes"),
    fixed("clamp", &[Vector, Scalar, Scalar], Vector),
    fixed("clamp_max", &[Vector, Scalar], Vector),
    fixed("clamp_min", &[Vector, Scalar], Vector),
    vector("cos"),
    vector("cosh"),
    window("count_over_time"),
    vector("day_of_month").optional(1),
    vector("day_of_week").optional(1),
    vector("day_of_year").optional(1),
    vector("days_in_month").optional(1),
    vector("deg"),
    window("delta"),
    window("deriv"),
    fixed("double_exponential_smoothing", &[Matrix, Scalar, Scalar], Vector).experimental(),
    fixed("end", &[], Scalar).experimental(),
    vector("exp"),
    window("first_over_time").experimental(),
    vector("floor"),
    vector("histogram_avg"),
    vector("histogram_count"),
    fixed("histogram_fraction", &[Scalar, Scalar, Vector], Vector),
    fixed("histogram_quantile", &[Scalar, Vector], Vector),
    fixed("histogram_quantiles", &[Vector, String, Scalar, Scalar], Vector).repeated(Some(12)).experimental(),
    vector("histogram_stddev"),
    vector("histogram_stdvar"),
    vector("histogram_sum"),
    vector("hour").optional(1),
    window("idelta"),
    window("increase"),
    fixed("info", &[Vector, Vector], Vector).optional(1).experimental(),
    fixed("integral", &[Matrix, Scalar], Vector).optional(1).experimental(),
    window("irate"),
    fixed("label_join", &[Vector, String, String, String], Vector).repeated(None),
    fixed("label_replace", &[Vector, String, String, String, String], Vector),
    window("last_over_time"),
    vector("ln"),
    vector("log10"),
    vector("log2"),
    window("mad_over_time").experimental(),
    fixed("max_of", &[Scalar, Scalar], Scalar).experimental(),
    window("max_over_time"),
    fixed("min_of", &[Scalar, Scalar], Scalar).experimental(),
    window("min_over_time"),
    vector("minute").optional(1),
    vector("month").optional(1),
    fixed("pi", &[], Scalar),
    fixed("predict_linear", &[Matrix, Scalar], Vector),
    window("present_over_time"),
    fixed("quantile_over_time", &[Scalar, Matrix], Vector),
    vector("rad"),
    fixed("range", &[], Scalar).experimental(),
    window("rate"),
    window("resets"),
    fixed("round", &[Vector, Scalar], Vector).optional(1),
    fixed("scalar", &[Vector], Scalar),
    vector("sgn"),
    vector("sin"),
    vector("sinh"),
    vector("sort"),
    fixed("sort_by_label", &[Vector, String], Vector).repeated(None).experimental(),
    fixed("sort_by_label_desc", &[Vector, String], Vector).repeated(None).experimental(),
    vector("sort_desc"),
    vector("sqrt"),
    fixed("start", &[], Scalar).experimental(),
    window("stddev_over_time"),
    window("stdvar_over_time"),
    fixed("step", &[], Scalar).experimental(),
    window("sum_over_time"),
    vector("tan"),
    vector("tanh"),
    fixed("time", &[], Scalar),
    vector("timestamp"),
    window("ts_of_first_over_time").experimental(),
    window("ts_of_last_over_time").experimental(),
    window("ts_of_max_over_time").experimental(),
    window("ts_of_min_over_time").experimental(),
    fixed("vector", &[Scalar], Vector),
    vector("year").optional(1),
];
