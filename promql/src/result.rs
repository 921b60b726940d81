//! Pure: the answer to a query.

use super::cells::Cells;
use super::labels::Labels;
use super::plan::Grid;
use super::pool::{Charge, MemoryError};
use super::series::Point;

/// An answer with the notices that go with it. It holds its memory until it is dropped.
#[derive(Debug)]
pub struct QueryResult {
    /// What the expression evaluates to, in the type that it has.
    pub value: QueryValue,
    /// Things that are probably wrong with the query or the data; Grafana shows them on the panel.
    pub warnings: Vec<String>,
    /// Things that may be wrong.
    pub infos: Vec<String>,
    pub(crate) charge: Charge,
}

impl QueryResult {
    /// Charges the query for `bytes` more while the answer is alive: for the text made of it.
    pub fn charge(&mut self, bytes: usize) -> Result<(), MemoryError> {
        self.charge.grow(bytes)
    }
}

/// The four result types of the Prometheus API.
#[derive(Debug)]
pub enum QueryValue {
    /// One number.
    Scalar(Point),
    /// One text.
    Text {
        /// Time of evaluation.
        time_ms: i64,
        /// The string literal, unquoted.
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
#[derive(Debug)]
pub struct RangeSeries {
    /// The labels.
    pub labels: Labels,
    pub(crate) values: Values,
}

/// The values of a series: those computed stay in the cells they were computed in.
#[derive(Debug)]
pub(crate) enum Values {
    Computed(Cells, Grid),
    Stored(Vec<Point>),
}

impl RangeSeries {
    /// Times and values, ascending in time.
    pub fn points(&self) -> impl Iterator<Item = Point> + '_ {
        let len = match &self.values {
            Values::Computed(cells, _) => cells.len(),
            Values::Stored(points) => points.len(),
        };
        (0..len).filter_map(|at| match &self.values {
            Values::Computed(cells, grid) => Some(Point { time_ms: grid.time(at), value: cells.get(at)? }),
            Values::Stored(points) => points.get(at).copied(),
        })
    }
}
