//! Pure: which tables answer for which stretch of time.
//!
//! The finer a table is the sooner its rows go, so what is read falls into stretches in each of which other tables are left. Where the
//! finest that is left does not reach a time of the query, that time moves to the end of the interval that holds it: the same time for
//! every window that begins or ends there, so that windows side by side still hold each call once.

use ledgerline_promql::Edges;

use crate::catalog::Ledger;

const DAY_US: i64 = 86_400_000_000;

/// Tables that answer together, one of each family. A rollup's `bucket` is the start of an interval open at its start and closed at its end, as a PromQL
/// window is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tier {
    /// The end of their names.
    pub name: &'static str,
    /// The TTL of the tables; `None`: kept without end. A test holds the migrations to it.
    pub kept_days: Option<i64>,
    /// Length of a bucket in microseconds, a divisor of a day; a span is its own.
    pub bucket_us: i64,
}

impl Tier {
    pub const DAY: Self = Self { name: "day", kept_days: None, bucket_us: DAY_US };
    pub const QUARTER: Self = Self { name: "quarter", kept_days: None, bucket_us: 900_000_000 };
    pub const MINUTE: Self = Self { name: "minute", kept_days: Some(35), bucket_us: 60_000_000 };
    /// The record itself, spans and corrections, by `end_time` in microseconds.
    pub const RECORD: Self = Self { name: "record", kept_days: Some(90), bucket_us: 1 };
    /// From the coarsest.
    pub const ALL: [Self; 4] = [Self::DAY, Self::QUARTER, Self::MINUTE, Self::RECORD];
    /// Corrections have no sums over intervals: they are few, and kept without end.
    pub const CORRECTIONS: Self = Self { name: "corrections", kept_days: None, bucket_us: 1 };

    /// Whether rows are single calls, by `end_time` in microseconds.
    pub fn is_record(self) -> bool {
        self.bucket_us == 1
    }

    /// Since when all rows are there, at the start of a day.
    fn begin_us(self, now_us: i64) -> i64 {
        self.kept_days.map_or(i64::MIN, |days| up(now_us - days * DAY_US, DAY_US))
    }
}

/// The tables of a ledger, from the coarsest.
pub(super) fn tiers(ledger: Ledger) -> &'static [Tier] {
    match ledger {
        Ledger::Calls | Ledger::Spend => &Tier::ALL,
        Ledger::Corrections => &[Tier::CORRECTIONS],
    }
}

/// A part of what is read in which the same tables are left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stretch {
    /// What ended after this; `None` reads from the beginning.
    pub low_us: Option<i64>,
    /// What ended up to this.
    pub high_us: i64,
    /// The tables to read, from the coarsest.
    pub tiers: Vec<Tier>,
    /// Times inside it are moved up to a multiple of this.
    pub grain_us: i64,
}

/// Where every interval of a table is cut by one edge at most, always at the same place: the interval counts whole at one of the two edges
/// beside it, and of the shorter part what counts at the other is moved there. So of the finer table a part of each interval is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    /// The first interval that is cut begins here, and the last ends here or before; microseconds, as all of it.
    pub whole: (i64, i64),
    /// An interval in so many is cut.
    pub step_us: i64,
    /// The part of a cut interval that is moved: begin and end, from its start.
    pub part: (i64, i64),
    /// The part lies before the edge, and so the interval counts at the one after it; else at the edge itself.
    pub is_head: bool,
}

impl Stretch {
    /// If it is so here, and the parts are rows of a rollup. Only of windows side by side: others begin at edges of their own.
    pub fn cut(&self, edges: Edges) -> Option<Cut> {
        let [parent, part] = self.tiers.as_slice() else { return None };
        if part.is_record() {
            return None;
        }
        let (length, step_us) = (parent.bucket_us, edges.step_ms * 1000);
        let are_side_by_side = edges.window_ms.is_some_and(|window| window % edges.step_ms.max(1) == 0);
        let at = (edges.first_ms * 1000).rem_euclid(length);
        if edges.count < 2 || !are_side_by_side || step_us % length != 0 || at % part.bucket_us != 0 {
            return None;
        }
        let first = up(self.low_us?, length);
        // Its edge is one of the edges, which lie a multiple of the interval apart.
        let first = first + (edges.first_ms * 1000 - at - first).rem_euclid(step_us);
        let until = self.high_us.div_euclid(length) * length;
        let is_head = at <= length / 2;
        let part = if is_head { (0, at) } else { (at, length) };
        (at != 0 && first < until).then_some(Cut { whole: (first, until), step_us, part, is_head })
    }
}

/// The smallest multiple that is not below.
pub(super) fn up(time: i64, of: i64) -> i64 {
    -(-time).div_euclid(of) * of
}

/// The stretches of time and what is left in them: begin, end, tables from the coarsest.
fn kept(tiers: &[Tier], now_us: i64) -> impl Iterator<Item = (i64, i64, Vec<Tier>)> {
    let mut begins: Vec<i64> = tiers.iter().map(|tier| tier.begin_us(now_us)).collect();
    begins.sort_unstable();
    begins.dedup();
    let ends: Vec<i64> = begins.iter().skip(1).copied().chain([i64::MAX]).collect();
    begins.into_iter().zip(ends).map(move |(begin, end)| {
        let left = tiers.iter().copied().filter(|tier| tier.begin_us(now_us) <= begin);
        (begin, end, left.collect())
    })
}

/// What to read for these edges at `now_us`, from the oldest. Tables with buckets longer than `bucket_us_max` are read only where
/// nothing finer is left.
pub(super) fn stretches(edges: Edges, now_us: i64, tiers: &[Tier], bucket_us_max: i64) -> Vec<Stretch> {
    let low = edges.window_ms.map(|window| (edges.first_ms - window) * 1000);
    let high = edges.until_ms() * 1000;
    let mut out: Vec<Stretch> = Vec::new();
    let (mut left_first, mut left_last) = (Vec::new(), Vec::new());
    for (begin, end, left) in kept(tiers, now_us) {
        let grain_us = left.last().map_or(1, |tier| tier.bucket_us);
        if high <= begin || low.is_some_and(|low| low >= end) {
            continue;
        }
        let inside = |time: i64| if time >= end { end } else { up(time, grain_us) };
        let low_us = match low {
            Some(low) => Some(inside(low.max(begin))),
            None => (begin > i64::MIN).then_some(begin),
        };
        let high_us = inside(high);
        if low_us.is_some_and(|low| low >= high_us) {
            continue;
        }
        let tiers = chosen(edges, (low_us, high_us), &left, bucket_us_max);
        match out.last_mut() {
            // Only edges that nothing moves are read from the same tables on both sides.
            Some(Stretch { tiers: before, high_us: last, .. }) if *before == tiers => *last = high_us,
            _ => out.push(Stretch { low_us, high_us, tiers, grain_us }),
        }
        if left_first.is_empty() {
            left_first.clone_from(&left);
        }
        left_last = left;
    }
    match joined(edges, &out, &left_first, |ends| chosen(edges, ends, &left_last, bucket_us_max)) {
        Some(whole) => vec![whole],
        None => out,
    }
}

/// All of a single window as one stretch, which is fewer reads: only its two ends need anything but the coarsest table, so that nothing else
/// has to be left in between. What is gone at its start must have nothing to supply there.
fn joined(
    edges: Edges,
    stretches: &[Stretch],
    left_first: &[Tier],
    chosen: impl Fn((Option<i64>, i64)) -> Vec<Tier>,
) -> Option<Stretch> {
    let [first, .., last] = stretches else { return None };
    let tiers = chosen((first.low_us, last.high_us));
    let supplies = |at: usize| match (at.checked_sub(1), first.low_us) {
        (Some(coarser), Some(low)) => low % tiers[coarser].bucket_us != 0,
        (Some(_), None) => false,
        (None, _) => true,
    };
    let lacks = (0..tiers.len()).any(|at| !left_first.contains(&tiers[at]) && supplies(at));
    let whole = Stretch { high_us: last.high_us, grain_us: last.grain_us, ..first.clone() };
    (edges.count == 1 && !lacks).then_some(Stretch { tiers, ..whole })
}

/// Of the tables that are left, those that can contribute, down to the first that divides every edge.
fn chosen(
    edges: Edges,
    (low_us, high_us): (Option<i64>, i64),
    left: &[Tier],
    bucket_us_max: i64,
) -> Vec<Tier> {
    let single = edges.count == 1;
    // A whole bucket must fit between two edges. An instant selector also reads all history before its first edge.
    let fits_us = match (low_us, edges.window_ms) {
        (Some(low), _) if single => high_us - low,
        (_, Some(window)) => edges.step_ms.min(window).max(1).saturating_mul(1000),
        _ => i64::MAX,
    };
    let resolution_us = edges.resolution_ms().saturating_mul(1000);
    let divides = |bucket: i64| match single {
        true => low_us.unwrap_or(0) % bucket == 0 && high_us % bucket == 0,
        false => resolution_us % bucket == 0,
    };
    let mut tiers = Vec::new();
    for (at, tier) in left.iter().enumerate() {
        let finest = at + 1 == left.len();
        if !finest && (tier.bucket_us > fits_us || tier.bucket_us > bucket_us_max) {
            continue;
        }
        tiers.push(*tier);
        if divides(tier.bucket_us) {
            break;
        }
    }
    tiers
}

/// What to tell whoever asked when times of the query were moved.
pub(super) fn moved(edges: Edges, now_us: i64, tiers: &[Tier]) -> Option<String> {
    let window_us = edges.window_ms.map(|window| window * 1000);
    let ends = (0..edges.count).map(|at| (edges.first_ms + at * edges.step_ms) * 1000);
    let mut times = ends.flat_map(|end| [Some(end), window_us.map(|window| end - window)]).flatten();
    let kept: Vec<(i64, i64, Vec<Tier>)> = kept(tiers, now_us).collect();
    let (time, grain) = times.find_map(|time| {
        let (_, _, left) = kept.iter().find(|(begin, end, _)| time > *begin && time <= *end)?;
        let grain = left.last()?.bucket_us;
        (time % grain != 0).then_some((time, grain))
    })?;
    let interval = match grain {
        DAY_US => "day".to_owned(),
        other => format!("{} minutes", other / 60_000_000),
    };
    let days = now_us.saturating_sub(time) / DAY_US;
    Some(format!(
        "the query reads {days} days back, where what is kept are sums over each {interval} (UTC): times inside one were moved to its end"
    ))
}
