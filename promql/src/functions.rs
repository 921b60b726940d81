//! Pure: the names of the functions. A function is supported if and only if it stands here; how each is computed is `eval/table.rs`.

macro_rules! functions {
    ($($id:ident = $name:literal,)*) => {
        /// A function of the language.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs, reason = "each variant is the function of that name")]
        pub enum FunctionId {
            $($id,)*
        }

        impl FunctionId {
            /// Every function, in order of name.
            pub const ALL: &[Self] = &[$(Self::$id,)*];

            /// The name in a query.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$id => $name,)*
                }
            }
        }
    };
}

functions! {
    Abs = "abs",
    Absent = "absent",
    AbsentOverTime = "absent_over_time",
    Acos = "acos",
    Acosh = "acosh",
    Asin = "asin",
    Asinh = "asinh",
    Atan = "atan",
    Atanh = "atanh",
    AvgOverTime = "avg_over_time",
    Ceil = "ceil",
    Changes = "changes",
    Clamp = "clamp",
    ClampMax = "clamp_max",
    ClampMin = "clamp_min",
    Cos = "cos",
    Cosh = "cosh",
    CountOverTime = "count_over_time",
    DayOfMonth = "day_of_month",
    DayOfWeek = "day_of_week",
    DayOfYear = "day_of_year",
    DaysInMonth = "days_in_month",
    Deg = "deg",
    Delta = "delta",
    Deriv = "deriv",
    Exp = "exp",
    FirstOverTime = "first_over_time",
    Floor = "floor",
    HistogramFraction = "histogram_fraction",
    HistogramQuantile = "histogram_quantile",
    Hour = "hour",
    Idelta = "idelta",
    Increase = "increase",
    Irate = "irate",
    LabelJoin = "label_join",
    LabelReplace = "label_replace",
    LastOverTime = "last_over_time",
    Ln = "ln",
    Log10 = "log10",
    Log2 = "log2",
    MadOverTime = "mad_over_time",
    MaxOverTime = "max_over_time",
    MinOverTime = "min_over_time",
    Minute = "minute",
    Month = "month",
    Pi = "pi",
    PredictLinear = "predict_linear",
    PresentOverTime = "present_over_time",
    QuantileOverTime = "quantile_over_time",
    Rad = "rad",
    Rate = "rate",
    Resets = "resets",
    Round = "round",
    Scalar = "scalar",
    Sgn = "sgn",
    Sin = "sin",
    Sinh = "sinh",
    Sort = "sort",
    SortDesc = "sort_desc",
    Sqrt = "sqrt",
    StddevOverTime = "stddev_over_time",
    StdvarOverTime = "stdvar_over_time",
    SumOverTime = "sum_over_time",
    Tan = "tan",
    Tanh = "tanh",
    Time = "time",
    Timestamp = "timestamp",
    TsOfFirstOverTime = "ts_of_first_over_time",
    TsOfLastOverTime = "ts_of_last_over_time",
    TsOfMaxOverTime = "ts_of_max_over_time",
    TsOfMinOverTime = "ts_of_min_over_time",
    Vector = "vector",
    Year = "year",
}

impl FunctionId {
    /// The function of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|function| function.name() == name)
    }
}

/// The names of all supported functions.
pub fn supported_functions() -> Vec<&'static str> {
    FunctionId::ALL.iter().map(|function| function.name()).collect()
}
