//! What spend, latency and errors are grouped by.
//!
//! One table for all uses: a dimension is a column of `spans` and of every rollup, a label of every metric, and
//! therefore usable in every rule. User and session are not dimensions: they are personal, have no bound on their
//! number, and stay on the span.

named! {
    /// One grouping dimension; its [`name`](Dimension::name) is the column and the label.
    pub enum Dimension {
        /// The calling service.
        Service = "service",
        /// Its deployment environment.
        Environment = "environment",
        /// The team that pays.
        Team = "team",
        /// The product feature.
        Feature = "feature",
        /// The provider.
        Provider = "provider",
        /// The model that is billed.
        Model = "model",
        /// The GenAI operation.
        Operation = "operation",
        /// `ok` or `error`.
        Status = "status",
        /// The class of error, empty for a call that succeeded.
        ErrorType = "error_type",
    }
}
