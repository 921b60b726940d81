//! What spend, latency and errors are grouped by.
//!
//! One table for all uses: a dimension is a column of `spans` and of every rollup, a label of every metric, and
//! therefore usable in every rule. User and session are not dimensions: they are personal, have no bound on their
//! number, and stay on the span.

/// One grouping dimension; its [`name`](Dimension::name) is the column and the label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dimension {
    /// The calling service.
    Service,
    /// Its deployment environment.
    Environment,
    /// The team that pays.
    Team,
    /// The product feature.
    Feature,
    /// The provider.
    Provider,
    /// The model that is billed.
    Model,
    /// The GenAI operation.
    Operation,
    /// `ok` or `error`.
    Status,
    /// The class of error, empty for a call that succeeded.
    ErrorType,
}

impl Dimension {
    /// Every dimension, in the order of the columns.
    pub const ALL: [Self; 9] = [
        Self::Service,
        Self::Environment,
        Self::Team,
        Self::Feature,
        Self::Provider,
        Self::Model,
        Self::Operation,
        Self::Status,
        Self::ErrorType,
    ];

    /// The name of the column and of the label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Environment => "environment",
            Self::Team => "team",
            Self::Feature => "feature",
            Self::Provider => "provider",
            Self::Model => "model",
            Self::Operation => "operation",
            Self::Status => "status",
            Self::ErrorType => "error_type",
        }
    }

    /// The dimension of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dimension| dimension.name() == name)
    }
}
