//! Pure: the metrics of budgets, beside those of `ledgerline_store::catalog`. They are gauges, computed at the time that is asked for.

/// One metric of budgets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gauge {
    /// `__name__`.
    pub(crate) name: &'static str,
    /// What it is of.
    pub(crate) value: Value,
    /// One sentence for people.
    pub(crate) help: &'static str,
}

/// What a metric says of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// What may be spent.
    Amount,
    /// What was, while one of its thresholds has been reached.
    Crossed,
    /// What will be at the end.
    Forecast,
    /// What was.
    Spent,
}

impl Value {
    /// The labels beside those of every budget.
    pub(crate) const fn labels(self) -> &'static [&'static str] {
        match self {
            Self::Crossed => &["threshold", "severity"],
            Self::Forecast => &["band"],
            Self::Amount | Self::Spent => &[],
        }
    }
}

/// The labels of every series; `zone` is empty of a rolling window.
pub(crate) const LABELS: [&str; 4] = ["budget", "owner", "period", "zone"];

/// The values of `band`.
pub(crate) const BANDS: [&str; 3] = ["low", "expected", "high"];

/// In order of name.
pub(crate) const GAUGES: [Gauge; 4] = [
    Gauge {
        name: "llm_budget_crossed_usd",
        value: Value::Crossed,
        help: "What was spent of a budget in its period, while a threshold has been reached: once it was, to the end of the period.",
    },
    Gauge {
        name: "llm_budget_forecast_usd",
        value: Value::Forecast,
        help: "What will be spent of a budget at the end of its period: an estimate; between low and high in four of five periods. Absent \
               where it is not known.",
    },
    Gauge {
        name: "llm_budget_spent_usd",
        value: Value::Spent,
        help: "What was spent of a budget in its period, exactly, corrections included. It can fall.",
    },
    Gauge {
        name: "llm_budget_usd",
        value: Value::Amount,
        help: "What may be spent of a budget in its period.",
    },
];

/// The metric of that name.
pub(crate) fn gauge(name: &str) -> Option<&'static Gauge> {
    GAUGES.iter().find(|gauge| gauge.name == name)
}

impl Gauge {
    /// The names of its labels, without its own.
    pub(crate) fn labels(&self) -> impl Iterator<Item = &'static str> {
        LABELS.into_iter().chain(self.value.labels().iter().copied())
    }
}
