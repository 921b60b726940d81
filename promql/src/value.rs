//! Pure: what the nodes of a query yield: series of cells on one grid of times. Label work is done once per series and not once per
//! step.

use std::collections::HashMap;

use super::budget::Budget;
use super::cells::Cells;
use super::error::QueryError;
use super::labels::Labels;
use super::number::Number;
use super::pool::Charge;

/// One series of an intermediate result.
#[derive(Debug)]
pub(crate) struct Column {
    pub labels: Labels,
    pub cells: Cells,
    charge: Charge,
}

impl Column {
    /// A series whose labels are charged for; its cells already are.
    pub fn new(budget: &Budget<'_>, labels: Labels, cells: Cells) -> Result<Self, QueryError> {
        let charge = budget.charge(size_of::<Self>() + labels.bytes())?;
        Ok(Self { labels, cells, charge })
    }

    /// Gives the series other labels.
    pub fn relabel(&mut self, labels: Labels) -> Result<(), QueryError> {
        self.charge.resize(size_of::<Self>() + labels.bytes())?;
        self.labels = labels;
        Ok(())
    }

    /// Takes the metric's name away.
    pub fn drop_name(&mut self) -> Result<(), QueryError> {
        self.relabel(self.labels.without_name())
    }
}

/// An instant vector at every time of evaluation.
#[derive(Debug, Default)]
pub(crate) struct Vector {
    pub columns: Vec<Column>,
}

impl Vector {
    /// A vector of one series without labels.
    pub fn unlabelled(budget: &Budget<'_>, cells: Cells) -> Result<Self, QueryError> {
        Ok(Self { columns: vec![Column::new(budget, Labels::default(), cells)?] })
    }

    /// Adds a series that has a value somewhere.
    pub fn push(&mut self, budget: &Budget<'_>, labels: Labels, cells: Cells) -> Result<(), QueryError> {
        if cells.is_blank() {
            return Ok(());
        }
        budget.check_series(self.columns.len() + 1)?;
        self.columns.push(Column::new(budget, labels, cells)?);
        Ok(())
    }

    /// Computes every value anew from itself and its step. Series that are left without a value go.
    pub fn map(
        self,
        budget: &Budget<'_>,
        compute: impl Fn(usize, Number) -> Option<Number>,
    ) -> Result<Self, QueryError> {
        let mut columns = self.columns;
        for column in &mut columns {
            let old = &column.cells;
            let values = old.iter().enumerate().map(|(step, cell)| compute(step, cell?));
            column.cells = Cells::build(budget, old.len(), values)?;
        }
        columns.retain(|column| !column.cells.is_blank());
        Ok(Self { columns })
    }

    /// Takes the metric's name away from every series.
    pub fn drop_names(mut self) -> Result<Self, QueryError> {
        self.columns.iter_mut().try_for_each(Column::drop_name)?;
        Ok(self)
    }

    /// Makes one series of those with equal labels; two values at one time are an error.
    pub fn merged(self, budget: &Budget<'_>) -> Result<Self, QueryError> {
        let key = size_of::<(Labels, usize)>();
        let _keys = budget
            .charge(self.columns.iter().map(|column| key + column.labels.own_bytes()).sum::<usize>())?;
        let mut first: HashMap<Labels, usize> = HashMap::with_capacity(self.columns.len());
        let mut kept: Vec<Column> = Vec::with_capacity(self.columns.len());
        for column in self.columns {
            let Some(&at) = first.get(&column.labels) else {
                first.insert(column.labels.clone(), kept.len());
                kept.push(column);
                continue;
            };
            budget.work(column.cells.len())?;
            if !kept[at].cells.absorb(&column.cells)? {
                return Err(QueryError::DuplicateLabels);
            }
        }
        Ok(Self { columns: kept })
    }
}

/// What a node yields.
#[derive(Debug)]
pub(crate) enum Value {
    /// One value per step; none is missing.
    Scalar(Cells),
    Text(String),
    Vector(Vector),
}
