//! Pure: what the nodes of a query yield: series of cells on one grid of times. Label work is done once per series and not once per
//! step.

use std::collections::HashMap;

use super::budget::Budget;
use super::cells::Cells;
use super::error::{QueryError, Result};
use super::labels::Labels;
use super::number::Number;
use super::pool::Charge;

#[derive(Debug)]
pub(crate) struct Column {
    pub labels: Labels,
    pub cells: Cells,
    charge: Charge,
}

impl Column {
    /// A series whose labels are charged for; its cells already are.
    pub fn new(budget: &Budget<'_>, labels: Labels, cells: Cells) -> Result<Self> {
        let charge = budget.charge(size_of::<Self>() + labels.bytes())?;
        Ok(Self { labels, cells, charge })
    }

    pub fn relabel(&mut self, labels: Labels) -> Result<()> {
        self.charge.resize(size_of::<Self>() + labels.bytes())?;
        self.labels = labels;
        Ok(())
    }
}

/// An instant vector at every time of evaluation.
#[derive(Debug, Default)]
pub(crate) struct Vector {
    pub columns: Vec<Column>,
}

impl Vector {
    pub fn unlabelled(budget: &Budget<'_>, cells: Cells) -> Result<Self> {
        Ok(Self { columns: vec![Column::new(budget, Labels::default(), cells)?] })
    }

    /// Adds a series that has a value somewhere.
    pub fn push(&mut self, budget: &Budget<'_>, labels: Labels, cells: Cells) -> Result<()> {
        if cells.is_blank() {
            return Ok(());
        }
        budget.check_series(self.columns.len() + 1)?;
        self.columns.push(Column::new(budget, labels, cells)?);
        Ok(())
    }

    /// Computes every value anew from itself and its step. Series that are left without a value go.
    pub fn map(self, budget: &Budget<'_>, compute: impl Fn(usize, Number) -> Option<Number>) -> Result<Self> {
        let mut columns = self.columns;
        for column in &mut columns {
            let old = &column.cells;
            let values = old.iter().enumerate().map(|(step, cell)| compute(step, cell?));
            column.cells = Cells::build(budget, old.len(), values)?;
        }
        columns.retain(|column| !column.cells.is_blank());
        Ok(Self { columns })
    }

    pub fn drop_names(mut self) -> Result<Self> {
        self.columns.iter_mut().try_for_each(|column| column.relabel(column.labels.without_name()))?;
        Ok(self)
    }

    /// Adds a series, or its values to those of the series with the same labels; false for two values at one time.
    pub fn add(&mut self, budget: &Budget<'_>, sets: &mut LabelSets, column: Column) -> Result<bool> {
        let at = sets.number(&column.labels)?;
        if let Some(first) = self.columns.get_mut(at) {
            budget.work(column.cells.len())?;
            return first.cells.absorb(&column.cells);
        }
        budget.check_series(at + 1)?;
        self.columns.push(column);
        Ok(true)
    }

    /// Makes one series of those with equal labels; two values at one time are an error.
    pub fn merged(self, budget: &Budget<'_>) -> Result<Self> {
        let mut sets = LabelSets::new(budget)?;
        let mut out = Self { columns: Vec::with_capacity(self.columns.len()) };
        for column in self.columns {
            if !out.add(budget, &mut sets, column)? {
                return Err(QueryError::DuplicateLabels);
            }
        }
        Ok(out)
    }
}

/// Different label sets, numbered in the order in which they came.
pub(crate) struct LabelSets {
    numbers: HashMap<Labels, usize>,
    charge: Charge,
}

impl LabelSets {
    pub fn new(budget: &Budget<'_>) -> Result<Self> {
        Ok(Self { numbers: HashMap::new(), charge: budget.charge(0)? })
    }

    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// The number of these labels: the next one if they are new.
    pub fn number(&mut self, labels: &Labels) -> Result<usize> {
        if let Some(number) = self.numbers.get(labels) {
            return Ok(*number);
        }
        self.charge.grow(labels.own_bytes() + size_of::<(Labels, usize)>())?;
        let number = self.numbers.len();
        self.numbers.insert(labels.clone(), number);
        Ok(number)
    }
}

/// Items with equal labels side by side, in the order in which their labels came.
pub(crate) struct Groups<T> {
    pub list: Vec<(Labels, Vec<T>)>,
    _charge: Charge,
}

impl<T> Groups<T> {
    pub fn of(budget: &Budget<'_>, items: impl Iterator<Item = (Labels, T)>) -> Result<Self> {
        let mut charge = budget.charge(items.size_hint().1.unwrap_or(0) * size_of::<T>())?;
        let mut sets = LabelSets::new(budget)?;
        let mut list: Vec<(Labels, Vec<T>)> = Vec::new();
        for (labels, item) in items {
            let number = sets.number(&labels)?;
            if number == list.len() {
                charge.grow(labels.own_bytes() + size_of::<(Labels, Vec<T>)>())?;
                list.push((labels, Vec::new()));
            }
            list[number].1.push(item);
        }
        Ok(Self { list, _charge: charge })
    }
}

#[derive(Debug)]
pub(crate) enum Value {
    /// One value per step; none is missing.
    Scalar(Cells),
    Text(String),
    Vector(Vector),
}
