//! Pure: the data a query is evaluated over, as a source hands it in.

use std::collections::HashMap;
use std::sync::Arc;

use super::labels::Labels;
use super::number::Number;
use super::pool::{Charge, MemoryError, QueryMemory};

/// The bit pattern of the float that marks a series as gone, as in Prometheus.
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// One sample of a stored series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Milliseconds since 1970.
    pub time_ms: i64,
    /// The value; the marker [`STALE_NAN_BITS`] means that the series ended here.
    pub value: Number,
}

impl Point {
    /// Whether this is the staleness marker.
    pub fn is_stale(&self) -> bool {
        matches!(self.value, Number::Float(value) if value.to_bits() == STALE_NAN_BITS)
    }
}

/// What a series' samples mean, and the samples, ascending in time with no time twice.
#[derive(Debug, Clone)]
pub enum Samples {
    /// `increase` over a window is the exact sum of increments; an instant value is the sum of everything up to then.
    Delta(Increments),
    /// What Prometheus stores: a gauge's values, or a counter's totals, which fall only on a restart.
    Points(Vec<Point>),
}

/// Increments: for each the time at which the interval it covers ends. Two vectors, because a pair would take 32 bytes, not 24.
#[derive(Debug, Clone, Default)]
pub struct Increments {
    /// Milliseconds since 1970, ascending.
    pub times_ms: Vec<i64>,
    /// Pico units.
    pub picos: Vec<i128>,
}

impl FromIterator<(i64, i128)> for Increments {
    fn from_iter<I: IntoIterator<Item = (i64, i128)>>(points: I) -> Self {
        let (times_ms, picos) = points.into_iter().unzip();
        Self { times_ms, picos }
    }
}

impl Samples {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Delta(increments) => increments.times_ms.len(),
            Self::Points(points) => points.len(),
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Delta(Increments { times_ms, picos }) => {
                size_of_val(times_ms.as_slice()) + size_of_val(picos.as_slice())
            }
            Self::Points(points) => size_of_val(points.as_slice()),
        }
    }
}

/// One series and its samples.
#[derive(Debug, Clone)]
pub struct Series {
    /// The labels, `__name__` among them.
    pub labels: Labels,
    /// The samples.
    pub samples: Samples,
}

/// What the source returned for each selector of a plan, by selector number. Charged for until it is dropped.
#[derive(Debug, Default)]
pub struct Fetched {
    by_selector: HashMap<usize, (Vec<Series>, Charge)>,
    pub(crate) infos: Vec<String>,
}

impl Fetched {
    /// Files the answer to one request.
    pub fn insert(
        &mut self,
        memory: &Arc<QueryMemory>,
        selector: usize,
        series: Vec<Series>,
    ) -> Result<(), MemoryError> {
        let bytes = series.iter().map(|one| size_of::<Series>() + one.labels.bytes() + one.samples.bytes());
        let charge = memory.charge(bytes.sum())?;
        self.by_selector.insert(selector, (series, charge));
        Ok(())
    }

    /// Adds what the source has to say of its answer.
    pub fn inform(&mut self, info: String) {
        self.infos.push(info);
    }

    /// The answer to one request.
    pub fn get(&self, selector: usize) -> Option<&[Series]> {
        self.by_selector.get(&selector).map(|(series, _)| series.as_slice())
    }
}
