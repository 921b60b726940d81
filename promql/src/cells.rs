//! Pure: one value per time of evaluation, some of them missing. Values of one kind lie side by side: 16 bytes an exact one, 8 a float,
//! and one bit says which are there. Memory is charged before it is allocated.

use super::budget::Budget;
use super::error::Result;
use super::number::Number;
use super::pool::Charge;

/// The values of a column. A native histogram would be one more kind here.
#[derive(Debug)]
enum Kind {
    Empty,
    Exact(Vec<i128>),
    Float(Vec<f64>),
    /// Both, as `sum(increase(cost[1h])) or vector(0)` yields: an exact value must not become a float because its neighbour is one.
    Mixed(Vec<Number>),
}

/// A set of steps, one bit each.
#[derive(Debug)]
pub(crate) struct Steps {
    words: Vec<u64>,
    _charge: Charge,
}

impl Steps {
    pub fn none(budget: &Budget<'_>, len: usize) -> Result<Self> {
        let words = len.div_ceil(64);
        Ok(Self { _charge: budget.charge(words * size_of::<u64>())?, words: vec![0; words] })
    }

    pub fn contains(&self, step: usize) -> bool {
        self.words.get(step / 64).is_some_and(|word| word >> (step % 64) & 1 == 1)
    }

    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    pub fn insert(&mut self, step: usize) {
        self.words[step / 64] |= 1 << (step % 64);
    }

    pub fn insert_all(&mut self, cells: &Cells) {
        self.words.iter_mut().zip(&cells.present.words).for_each(|(word, other)| *word |= other);
    }
}

/// One value or none for each time of evaluation.
#[derive(Debug)]
pub(crate) struct Cells {
    kind: Kind,
    present: Steps,
    len: usize,
    charge: Charge,
}

impl Cells {
    pub fn blank(budget: &Budget<'_>, len: usize) -> Result<Self> {
        Ok(Self { kind: Kind::Empty, present: Steps::none(budget, len)?, len, charge: budget.charge(0)? })
    }

    /// Cells with these values; missing ones where the iterator ends early.
    pub fn build(
        budget: &Budget<'_>,
        len: usize,
        values: impl IntoIterator<Item = Option<Number>>,
    ) -> Result<Self> {
        let mut cells = Self::blank(budget, len)?;
        for (step, value) in values.into_iter().take(len).enumerate() {
            if step.is_multiple_of(CHUNK) {
                budget.work(CHUNK.min(len - step))?;
            }
            if let Some(value) = value {
                cells.set(step, value)?;
            }
        }
        Ok(cells)
    }

    pub fn constant(budget: &Budget<'_>, len: usize, value: f64) -> Result<Self> {
        Self::build(budget, len, std::iter::repeat_n(Some(Number::Float(value)), len))
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_present(&self, step: usize) -> bool {
        self.present.contains(step)
    }

    pub fn is_blank(&self) -> bool {
        self.present.is_empty()
    }

    pub fn get(&self, step: usize) -> Option<Number> {
        if !self.is_present(step) {
            return None;
        }
        match &self.kind {
            Kind::Empty => None,
            Kind::Exact(values) => values.get(step).copied().map(Number::Exact),
            Kind::Float(values) => values.get(step).copied().map(Number::Float),
            Kind::Mixed(values) => values.get(step).copied(),
        }
    }

    pub fn float(&self, step: usize) -> Option<f64> {
        self.get(step).map(Number::to_f64)
    }

    pub fn iter(&self) -> impl Iterator<Item = Option<Number>> + '_ {
        (0..self.len).map(|step| self.get(step))
    }

    /// The cells that have a value, with their places.
    pub fn values(&self) -> impl Iterator<Item = (usize, Number)> + '_ {
        self.iter().enumerate().filter_map(|(step, value)| Some((step, value?)))
    }

    pub fn set(&mut self, step: usize, value: Number) -> Result<()> {
        loop {
            match (&mut self.kind, value) {
                (Kind::Exact(values), Number::Exact(picos)) => values[step] = picos,
                (Kind::Float(values), Number::Float(float)) => values[step] = float,
                (Kind::Mixed(values), value) => values[step] = value,
                _ => {
                    self.make_room_for(value)?;
                    continue;
                }
            }
            self.present.insert(step);
            return Ok(());
        }
    }

    pub fn clear(&mut self, step: usize) {
        self.present.words[step / 64] &= !(1 << (step % 64));
    }

    /// Adds the values of `other`; false if both have one in the same cell.
    pub fn absorb(&mut self, other: &Self) -> Result<bool> {
        for (step, value) in other.values() {
            if self.is_present(step) {
                return Ok(false);
            }
            self.set(step, value)?;
        }
        Ok(true)
    }

    /// Changes the kind so that a value of this one can be stored: the first decides, a second kind makes the column mixed.
    fn make_room_for(&mut self, value: Number) -> Result<()> {
        let charge = |bytes: usize| self.len.saturating_mul(bytes);
        if matches!(self.kind, Kind::Empty) {
            let exact = matches!(value, Number::Exact(_));
            let total = charge(if exact { size_of::<i128>() } else { size_of::<f64>() });
            self.charge.resize(total)?;
            self.kind = if exact { Kind::Exact(vec![0; self.len]) } else { Kind::Float(vec![0.0; self.len]) };
            return Ok(());
        }
        // Both are alive while one is copied into the other.
        let copying = charge(size_of::<Number>() + size_of::<i128>());
        let total = charge(size_of::<Number>());
        self.charge.resize(copying)?;
        self.kind = Kind::Mixed(self.iter().map(|cell| cell.unwrap_or(Number::Float(0.0))).collect());
        Ok(self.charge.resize(total)?)
    }
}

/// Cells built between two looks at the budget.
const CHUNK: usize = 4096;
