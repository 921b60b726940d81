//! Prices of a model, worked out at load for every setting that can matter, so that a call is a look-up. Pure.
//!
//! The settings of a period are the product of its axes: the words a clause names, the thresholds, the edges of the day. Each has
//! its rule and its rates in pico-dollars; settings with equal rates share them.

use std::collections::HashSet;
use std::sync::Arc;

use ledgerline_proto::{Condition, Unit, UnpricedReason};

use crate::clause::{Clause, MINUTES_OF_A_DAY, STANDARD, Setting, Threshold};
use crate::exact::Exact;
use crate::model::{Model, Period};
use crate::price::Part;
use crate::resolve::{Failure, Frame, Plan, Resolved, Steps};

/// Settings of one period at most. The largest in use today has 96.
const CELLS_MAX: usize = 20_000;

/// A model whose prices are worked out.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) model: Arc<Model>,
    pub(crate) name: Arc<str>,
    pub(crate) frame: Arc<Frame>,
    /// In the order of time.
    pub(crate) segments: Vec<Segment>,
}

/// A stretch of time in which nothing changes.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) from_ns: u64,
    pub(crate) until_ns: u64,
    /// The place of the period in the model.
    period: usize,
    pub(crate) axes: Vec<Axis>,
    cells: Vec<Result<Cell, UnpricedReason>>,
}

/// One thing that decides which cell a call is in.
#[derive(Debug)]
pub(crate) enum Axis {
    /// The cell of a word is its place plus one; 0 is a standard word.
    Words(Condition, Vec<String>),
    /// The cell is how many of these are reached.
    Prompt(Vec<u64>),
    Month(Vec<u64>),
    /// The minutes at which something changes, the first 0.
    Minutes(Vec<u16>),
    Weekday,
}

impl Axis {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Words(_, words) => words.len().saturating_add(1),
            Self::Prompt(firsts) | Self::Month(firsts) => firsts.len().saturating_add(1),
            Self::Minutes(starts) => starts.len(),
            Self::Weekday => 7,
        }
    }
}

/// What holds in one setting.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) rule: Arc<str>,
    pub(crate) rates: Arc<Rates>,
}

/// The rates of one setting, in the order of units.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Rates(Vec<(Unit, Rate)>);

/// What one of a unit costs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Rate {
    /// Pico-dollars for one of it, where it has one price.
    pub(crate) flat: Exact,
    /// Else by marginal part.
    pub(crate) parts: Box<[Part]>,
    pub(crate) minimum: u64,
    pub(crate) rounded_up_to: u64,
}

impl Rate {
    /// The quantity on the bill: what was used, but for a minimum and whole steps.
    pub(crate) fn billed(&self, quantity: u64) -> Option<u64> {
        let least = quantity.max(if quantity == 0 { 0 } else { self.minimum });
        if self.rounded_up_to <= 1 { Some(least) } else { least.checked_next_multiple_of(self.rounded_up_to) }
    }
}

impl Rates {
    fn new(period: &Period, resolved: &Resolved) -> Option<Self> {
        let rate = |(unit, steps): &(Unit, Steps)| {
            let parts = steps.rates()?;
            let rate = Rate {
                flat: parts.first()?.price,
                parts: if parts.len() > 1 { parts.into() } else { Box::default() },
                minimum: period.minimum.get(unit).copied().unwrap_or(0),
                rounded_up_to: period.rounded_up_to.get(unit).copied().unwrap_or(1),
            };
            Some((*unit, rate))
        };
        let mut rates: Vec<_> = resolved.units.iter().map(rate).collect::<Option<_>>()?;
        rates.sort_unstable_by_key(|(unit, _)| *unit);
        Some(Self(rates))
    }

    pub(crate) fn get(&self, unit: Unit) -> Option<&Rate> {
        let place = self.0.binary_search_by_key(&unit, |(unit, _)| *unit).ok()?;
        self.0.get(place).map(|(_, rate)| rate)
    }
}

impl Compiled {
    /// The error says which clauses contradict each other.
    pub(crate) fn new(model: &Arc<Model>, frame: &Arc<Frame>) -> Result<Self, String> {
        let mut segments = Vec::new();
        for (place, period) in model.periods.iter().enumerate() {
            for edges in edges(period, frame).windows(2) {
                let &[from_ns, until_ns] = edges else { continue };
                let plan = Plan { frame, model: &model.name, period, at_ns: from_ns };
                if plan.rate().is_some() {
                    segments.push(Segment::new(plan, place, until_ns)?);
                }
            }
        }
        Ok(Self {
            model: Arc::clone(model),
            name: model.name.as_str().into(),
            frame: Arc::clone(frame),
            segments,
        })
    }

    /// A model that the book knows and whose prices contradict each other.
    pub(crate) fn without_price(model: &Arc<Model>, frame: &Arc<Frame>) -> Self {
        let name = model.name.as_str().into();
        Self { model: Arc::clone(model), name, frame: Arc::clone(frame), segments: Vec::new() }
    }

    pub(crate) fn segment(&self, unix_ns: u64) -> Option<&Segment> {
        let next = self.segments.partition_point(|segment| segment.from_ns <= unix_ns);
        self.segments.get(next.checked_sub(1)?).filter(|segment| unix_ns < segment.until_ns)
    }

    /// The plan that made a segment, for an explanation.
    pub(crate) fn plan(&self, segment: &Segment) -> Option<Plan<'_>> {
        let period = self.model.periods.get(segment.period)?;
        Some(Plan { frame: &self.frame, model: &self.name, period, at_ns: segment.from_ns })
    }
}

/// The moments of a period at which a clause, a discount or a rate begins or ends, the period's own included.
fn edges(period: &Period, frame: &Frame) -> Vec<u64> {
    let (from, until) = (period.valid.start_ns(), period.valid.end_ns());
    let clauses = period.clauses.iter().chain(&frame.clauses);
    let clauses = clauses.chain(frame.discounts.iter().map(|discount| &discount.clause));
    let mut edges: Vec<u64> =
        clauses.flat_map(|clause| [clause.valid.start_ns(), clause.valid.end_ns()]).collect();
    edges.extend(
        frame.currency.iter().flat_map(|currency| currency.rates.iter().map(|(from, _)| from.unix_ns)),
    );
    edges.retain(|&edge| from < edge && edge < until);
    edges.extend([from, until]);
    edges.sort_unstable();
    edges.dedup();
    edges
}

impl Segment {
    fn new(plan: Plan<'_>, period: usize, until_ns: u64) -> Result<Self, String> {
        let axes = axes(plan);
        let count = axes.iter().try_fold(1_usize, |all, axis| all.checked_mul(axis.len()));
        let count = count.filter(|&count| count <= CELLS_MAX).ok_or_else(|| {
            format!(
                "the conditions have more than {CELLS_MAX} combinations; split the model or its conditions"
            )
        })?;
        let mut shared: HashSet<Arc<Rates>> = HashSet::new();
        let mut cells = Vec::with_capacity(count);
        for number in 0..count {
            cells.push(match plan.resolve(&setting(&axes, number)) {
                Ok(resolved) => {
                    let rates = Rates::new(plan.period, &resolved);
                    let rates = rates.ok_or("a price is too long to be multiplied exactly")?;
                    let rates = shared.get(&rates).map(Arc::clone).unwrap_or_else(|| Arc::new(rates));
                    shared.insert(Arc::clone(&rates));
                    Ok(Cell { rule: resolved.rule.into(), rates })
                }
                Err(Failure::Unpriced(reason)) => Err(reason),
                Err(Failure::Ambiguous(message)) => return Err(message),
            });
        }
        Ok(Self { from_ns: plan.at_ns, until_ns, period, axes, cells })
    }

    pub(crate) fn cell(&self, number: usize) -> Result<&Cell, UnpricedReason> {
        self.cells.get(number).ok_or(UnpricedReason::Overflow)?.as_ref().map_err(|reason| *reason)
    }

    /// The setting of a cell.
    pub(crate) fn setting(&self, number: usize) -> Setting<'_> {
        setting(&self.axes, number)
    }
}

fn axes(plan: Plan<'_>) -> Vec<Axis> {
    let clauses: Vec<&Clause> =
        plan.clauses().chain(plan.discounts().map(|discount| &discount.clause)).collect();
    let mut axes = Vec::new();
    for condition in Condition::ALL {
        let mut words: Vec<String> = Vec::new();
        for word in clauses.iter().filter_map(|clause| clause.words.get(&condition)).flatten() {
            if word != STANDARD && !words.contains(word) {
                words.push(word.clone());
            }
        }
        if !words.is_empty() {
            axes.push(Axis::Words(condition, words));
        }
    }
    let firsts = |of: fn(&Clause) -> &Option<Threshold>| {
        let mut firsts: Vec<u64> = clauses
            .iter()
            .filter_map(|clause| of(clause).as_ref())
            .map(|threshold| threshold.first)
            .collect();
        firsts.sort_unstable();
        firsts.dedup();
        firsts
    };
    axes.push(Axis::Prompt(firsts(|clause| &clause.prompt)));
    axes.push(Axis::Month(firsts(|clause| &clause.month)));
    let mut minutes: Vec<u16> = clauses
        .iter()
        .filter_map(|clause| clause.window)
        .flat_map(|window| [window.start, window.end])
        .collect();
    minutes.push(0);
    minutes.retain(|&minute| minute < MINUTES_OF_A_DAY);
    minutes.sort_unstable();
    minutes.dedup();
    axes.push(Axis::Minutes(minutes));
    if clauses.iter().any(|clause| clause.weekdays.is_some()) {
        axes.push(Axis::Weekday);
    }
    axes.retain(|axis| axis.len() > 1);
    axes
}

/// The cell of that number: the first axis turns fastest.
fn setting(axes: &[Axis], number: usize) -> Setting<'_> {
    let mut setting = Setting { words: Vec::new(), prompt: 0, month: 0, minute: 0, weekday: 0 };
    let mut rest = number;
    for axis in axes {
        let cell = rest % axis.len();
        rest /= axis.len();
        let reached =
            |firsts: &[u64]| cell.checked_sub(1).and_then(|last| firsts.get(last)).copied().unwrap_or(0);
        match axis {
            Axis::Words(condition, words) => {
                let word = cell.checked_sub(1).and_then(|place| words.get(place));
                setting.words.push((*condition, word.map(String::as_str)));
            }
            Axis::Prompt(firsts) => setting.prompt = reached(firsts),
            Axis::Month(firsts) => setting.month = reached(firsts),
            Axis::Minutes(starts) => setting.minute = starts.get(cell).copied().unwrap_or(0),
            Axis::Weekday => setting.weekday = u8::try_from(cell).unwrap_or(0),
        }
    }
    setting
}
