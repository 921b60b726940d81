//! Pure: the answer to a query.

use super::cells::Cells;
use super::labels::Labels;
use super::number::Number;
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
    charge: Charge,
}

impl QueryResult {
    pub(crate) fn new(value: QueryValue, warnings: Vec<String>, infos: Vec<String>, charge: Charge) -> Self {
        Self { value, warnings, infos, charge }
    }

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
    values: Values,
}

/// The values of a series: those computed stay in the cells they were computed in.
#[derive(Debug)]
enum Values {
    Computed(Cells, Grid),
    Stored(Vec<Point>),
}

impl RangeSeries {
    pub(crate) fn on_grid(labels: Labels, cells: Cells, grid: Grid) -> Self {
        Self { labels, values: Values::Computed(cells, grid) }
    }

    pub(crate) fn of_points(labels: Labels, points: Vec<Point>) -> Self {
        Self { labels, values: Values::Stored(points) }
    }

    /// Times and values, ascending in time.
    pub fn points(&self) -> impl Iterator<Item = Point> + '_ {
        let (cells, stored) = match &self.values {
            Values::Computed(cells, grid) => (Some((cells, grid)), &[][..]),
            Values::Stored(points) => (None, points.as_slice()),
        };
        let time =
            |grid: &Grid, step: usize| grid.start_ms + grid.step_ms * i64::try_from(step).unwrap_or(i64::MAX);
        let computed = cells.into_iter().flat_map(move |(cells, grid)| {
            cells
                .values()
                .map(move |(step, value): (usize, Number)| Point { time_ms: time(grid, step), value })
        });
        computed.chain(stored.iter().copied())
    }
}
