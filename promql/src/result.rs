//! Pure: the answer to a query.

use super::labels::Labels;
use super::series::Point;

/// An answer with the notices that go with it.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryResult {
    /// The value.
    pub value: QueryValue,
    /// Things that are probably wrong with the query or the data; Grafana shows them on the panel.
    pub warnings: Vec<String>,
    /// Things that may be wrong.
    pub infos: Vec<String>,
}

/// The four result types of the Prometheus API.
#[derive(Debug, Clone, PartialEq)]
pub enum QueryValue {
    /// One number.
    Scalar(Point),
    /// One text.
    Text {
        /// Time of evaluation.
        time_ms: i64,
        /// The text.
        text: String,
    },
    /// One value per series.
    Vector(Vec<VectorSample>),
    /// Many values per series.
    Matrix(Vec<RangeSeries>),
}

/// One element of a vector.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorSample {
    /// The labels.
    pub labels: Labels,
    /// Time and value.
    pub point: Point,
}

/// One series of a matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct RangeSeries {
    /// The labels.
    pub labels: Labels,
    /// Times and values, ascending.
    pub points: Vec<Point>,
}
