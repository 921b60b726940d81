//! Pure: the functions that Prometheus 3 knows and what they take: the one list of functions in this crate. Which of them can be
//! computed here is the evaluator's business.

named! {
    /// What an expression evaluates to.
    pub enum ValueType {
        /// One number per step.
        Scalar = "scalar",
        /// One number per series and step.
        Vector = "instant vector",
        /// A window of samples per series and step.
        Matrix = "range vector",
        /// A text.
        String = "string",
    }
}
use ValueType::{Matrix, Scalar, String, Vector};

/// A function's name and types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    /// The function as a query spells it.
    pub name: &'static str,
    /// The types of its arguments; those beyond the last are of the last type.
    pub arguments: &'static [ValueType],
    /// How many arguments it takes at least.
    pub least: usize,
    /// How many at most.
    pub most: usize,
    /// What it returns.
    pub returns: ValueType,
}

/// The function of this name.
pub fn signature(name: &str) -> Option<Signature> {
    signatures().find(|known| known.name == name)
}

/// All functions.
pub fn signatures() -> impl Iterator<Item = Signature> {
    TABLE.iter().flat_map(|(names, arguments, (least, most), returns)| {
        let named = |name| Signature { name, arguments, least: *least, most: *most, returns: *returns };
        names.split_ascii_whitespace().map(named)
    })
}

/// No bound but the length of the query.
const ANY: usize = usize::MAX;

type Row = (&'static str, &'static [ValueType], (usize, usize), ValueType);

/// Names of one kind; arguments; how many of them; what is returned.
static TABLE: [Row; 21] = [
    (
        "abs absent acos acosh asin asinh atan atanh ceil cos cosh deg exp floor histogram_avg histogram_count \
         histogram_stddev histogram_stdvar histogram_sum ln log10 log2 rad sgn sin sinh sort sort_desc sqrt tan tanh \
         timestamp",
        &[Vector],
        (1, 1),
        Vector,
    ),
    (
        "absent_over_time avg_over_time changes count_over_time delta deriv first_over_time idelta increase irate \
         last_over_time mad_over_time max_over_time min_over_time present_over_time rate resets stddev_over_time \
         stdvar_over_time sum_over_time ts_of_first_over_time ts_of_last_over_time ts_of_max_over_time \
         ts_of_min_over_time",
        &[Matrix],
        (1, 1),
        Vector,
    ),
    ("day_of_month day_of_week day_of_year days_in_month hour minute month year", &[Vector], (0, 1), Vector),
    ("pi time end range start step", &[], (0, 0), Scalar),
    ("max_of min_of", &[Scalar, Scalar], (2, 2), Scalar),
    ("scalar", &[Vector], (1, 1), Scalar),
    ("vector", &[Scalar], (1, 1), Vector),
    ("clamp", &[Vector, Scalar, Scalar], (3, 3), Vector),
    ("clamp_max clamp_min", &[Vector, Scalar], (2, 2), Vector),
    ("round", &[Vector, Scalar], (1, 2), Vector),
    ("predict_linear", &[Matrix, Scalar], (2, 2), Vector),
    ("double_exponential_smoothing", &[Matrix, Scalar, Scalar], (3, 3), Vector),
    ("integral", &[Matrix, Scalar], (1, 2), Vector),
    ("quantile_over_time", &[Scalar, Matrix], (2, 2), Vector),
    ("histogram_fraction", &[Scalar, Scalar, Vector], (3, 3), Vector),
    ("histogram_quantile", &[Scalar, Vector], (2, 2), Vector),
    ("histogram_quantiles", &[Vector, String, Scalar, Scalar], (3, 12), Vector),
    ("info", &[Vector, Vector], (1, 2), Vector),
    ("label_join", &[Vector, String, String, String], (3, ANY), Vector),
    ("label_replace", &[Vector, String, String, String, String], (5, 5), Vector),
    ("sort_by_label sort_by_label_desc", &[Vector, String], (1, ANY), Vector),
];
