//! Pure: from a selector's request to the text of a statement.
//!
//! Edges are the times at which windows begin and end. A row of a tier whose interval has no edge inside is used whole; of
//! intervals that have one, the next finer tier supplies the parts. So one statement reads the coarsest data that is still exact,
//! whatever the edges are: a 30-day window that ends now is days, then quarters, then minutes, then the record of two minutes. Which
//! tiers there are depends on how long ago it is (`tiers.rs`). Where every interval has one edge inside at the same place, as the days of
//! another time zone have, it is used whole all the same, and what counts at the other edge is moved there ([`Cut`]).

use std::fmt::Write as _;

use ledgerline_promql::limits::SERIES_MAX;
use ledgerline_promql::source::Scope;
use ledgerline_promql::{ALIVE_ROUNDING_MS, Edges, MatchKind, Matcher};
use ledgerline_proto::Unit;

use super::points::{Fields, last_point};
use super::tiers::{Cut, Stretch, Tier, stretches, tiers, up};
use crate::catalog::{Ledger, Measure, Rows};
use crate::limits::{READ_MEMORY_BYTES_MAX, ROWS_MAX};
use crate::rows::Select;

/// The last second a DateTime can hold.
const DATE_TIME_MAX_S: i64 = u32::MAX as i64;
const ALIVE_ROUNDING_US: i64 = ALIVE_ROUNDING_MS * 1000;

pub(super) struct Selection<'a> {
    pub scope: &'a Scope,
    pub edges: Edges,
    /// As in the request.
    pub alive_from_ms: Option<i64>,
    /// The present, by which rows have expired.
    pub now_ms: i64,
    /// Columns to group by, in order.
    pub columns: &'a [&'static str],
    /// Matchers on columns.
    pub matchers: &'a [(&'static str, &'a Matcher)],
    /// Where all measures are.
    pub ledger: Ledger,
    /// Of which rows.
    pub rows: Rows,
    /// One value each in every point.
    pub measures: &'a [Measure],
}

/// A statement with what its points say.
pub(super) struct Statement {
    pub select: Select,
    /// How to read its points.
    pub fields: Fields,
}

/// Each row is one label set: the columns, then all its points in one text (`points.rs`). `None` when all edges have moved to one time.
pub(super) fn statement(selection: &Selection<'_>) -> Option<Statement> {
    let Selection { edges, alive_from_ms, .. } = *selection;
    let now_us = selection.now_ms.saturating_mul(1000);
    let tables = tiers(selection.ledger);
    let with_cut = |stretch: Stretch| (stretch.cut(edges), stretch);
    let of_sums: Vec<(Option<Cut>, Stretch)> =
        stretches(edges, now_us, tables, i64::MAX).into_iter().map(with_cut).collect();
    let has_counts = of_sums.iter().any(|(cut, _)| cut.is_some());
    let mut builder = Builder::new(selection, has_counts);
    let mut texts = Vec::new();
    for (cut, stretch) in &of_sums {
        match cut {
            Some(cut) => texts.extend(builder.sums_of_cut(stretch, cut)),
            None => texts.extend((0..stretch.tiers.len()).map(|at| builder.sums(stretch, at))),
        }
    }
    if let Some(from_ms) = alive_from_ms {
        let first_ms = edges.first_ms - edges.window_ms.unwrap_or(0);
        let until_ms = up(first_ms, whole_ms(tables, edges.window_ms.unwrap_or(0)));
        let before = Edges { first_ms: until_ms, step_ms: 0, count: 1, window_ms: Some(until_ms - from_ms) };
        builder.bind("before", &(first_ms * 1000));
        for stretch in stretches(before, now_us, tables, ALIVE_ROUNDING_US) {
            texts.extend((0..stretch.tiers.len()).map(|at| builder.last(&stretch, at)));
        }
    }
    if texts.is_empty() {
        return None;
    }
    let list = list(selection.columns);
    let mut rest =
        list.strip_suffix(", ").map_or_else(String::new, |columns| format!("\nGROUP BY {columns}"));
    if edges.window_ms.is_none() {
        // Of all series that ever were, those that are alive at some time.
        rest.push_str("\nHAVING max(edge) > {history:Int64}");
    }
    let text = format!(
        "SELECT {list}arrayStringConcat(groupArray(point), ' ') AS points\nFROM (\n{}\n){rest}\nLIMIT {}",
        texts.join("\nUNION ALL\n"),
        SERIES_MAX + 1
    );
    let select = Select {
        text,
        parameters: builder.parameters,
        settings: vec![
            ("max_execution_time", selection.scope.timeout.as_secs().max(1)),
            ("max_memory_usage", READ_MEMORY_BYTES_MAX),
            // Two decimals of the widest kind must still add up exactly or fail.
            ("decimal_check_overflow", 1),
        ],
        timeout: selection.scope.timeout,
    };
    Some(Statement { select, fields: builder.fields })
}

/// Of how many milliseconds the intervals may be that are read whole to know what is alive when the first window begins. What such an
/// interval holds of that window makes its series just as alive at the window's end, if it ends before that.
fn whole_ms(tables: &[Tier], window_ms: i64) -> i64 {
    let lengths = tables.iter().map(|tier| tier.bucket_us / 1000);
    lengths.filter(|ms| *ms <= window_ms.min(ALIVE_ROUNDING_MS)).max().unwrap_or(0).max(1)
}

/// The columns, each with a comma behind it.
fn list(columns: &[&str]) -> String {
    columns.iter().map(|column| format!("{column}, ")).collect()
}

struct Builder<'a> {
    selection: &'a Selection<'a>,
    fields: Fields,
    parameters: Vec<(String, String)>,
    /// So that each part has parameters of its own.
    parts: usize,
}

impl<'a> Builder<'a> {
    fn new(selection: &'a Selection<'a>, has_counts: bool) -> Self {
        let fields = Fields::new(selection.measures, selection.ledger, has_counts);
        let mut builder = Self { selection, fields, parameters: Vec::new(), parts: 0 };
        builder.bind("tenant", &selection.scope.tenant.0);
        builder.bind_edges();
        for (at, (_, matcher)) in selection.matchers.iter().enumerate() {
            builder.bind(&format!("m{at}"), &matcher_value(matcher));
        }
        builder
    }

    fn bind(&mut self, name: &str, value: &dyn ToString) {
        self.parameters.push((name.to_owned(), value.to_string()));
    }

    fn bind_edges(&mut self) {
        let Edges { first_ms, step_ms, count, window_ms } = self.selection.edges;
        if window_ms.is_none() {
            // What is added up of before the first time counts long before it, so that it makes nothing alive.
            self.bind("history", &self.selection.alive_from_ms.unwrap_or(0));
        }
        if count == 1 {
            if window_ms.is_some() {
                self.bind("first", &first_ms);
            }
            return;
        }
        let step_us = step_ms * 1000;
        self.bind("step", &step_us);
        self.bind("ends", &(first_ms * 1000).rem_euclid(step_us));
        match window_ms {
            None => self.bind("first", &first_ms),
            Some(window) if window % step_ms == 0 => {}
            Some(window) => {
                let begins = ((first_ms - window) * 1000).rem_euclid(step_us);
                self.bind("begins", &begins);
            }
        }
    }

    fn table(&self, tier: Tier) -> String {
        match self.selection.ledger {
            Ledger::Calls => format!("calls_{}", tier.name),
            Ledger::Spend => format!("spend_{}", tier.name),
            Ledger::Corrections => "corrections".to_owned(),
        }
    }

    /// The smallest edge at or after a time in microseconds, when there are several.
    fn next_edge(&self, time: &str) -> String {
        let next = |phase: &str| {
            let phase = format!("{{{phase}:Int64}}");
            format!(
                "{phase} + intDiv({time} - {phase} + {{step:Int64}} - 1, {{step:Int64}}) * {{step:Int64}}"
            )
        };
        match self.selection.edges.window_ms {
            None => next("ends"),
            Some(window) if window % self.selection.edges.step_ms == 0 => next("ends"),
            Some(_) => format!("least({}, {})", next("ends"), next("begins")),
        }
    }

    /// The edge at which a row counts whose interval begins there and has none inside: in milliseconds.
    fn edge(&self, start: &str) -> String {
        match (self.selection.edges.count, self.selection.edges.window_ms) {
            (1, None) => "{history:Int64}".to_owned(),
            (1, Some(_)) => "{first:Int64}".to_owned(),
            (_, None) => {
                let next = format!("intDiv({}, 1000)", self.next_edge(&format!("{start} + 1")));
                format!("if({next} <= {{first:Int64}}, {{history:Int64}}, {next})")
            }
            (_, Some(_)) => format!("intDiv({}, 1000)", self.next_edge(&format!("{start} + 1"))),
        }
    }

    /// The sums of the rows of a tier that it supplies in a stretch.
    fn sums(&mut self, stretch: &Stretch, at: usize) -> String {
        let tier = stretch.tiers[at];
        let mut conditions = String::new();
        self.conditions(stretch, at, self.selection.edges.count == 1, &mut conditions);
        self.sums_at(tier, &self.edge(&interval(tier).0), None, &conditions)
    }

    /// The sums of the rows of a tier by the edge at which they count, and the other way round at the edge from which they are moved.
    fn sums_at(&self, tier: Tier, edge: &str, moved_from: Option<&str>, conditions: &str) -> String {
        let list = list(self.selection.columns);
        let point = self.fields.point("edge", moved_from);
        // Without labels the edge alone may be a constant, and nothing is not one row of it.
        format!(
            "SELECT {list}{edge} AS edge, {point} AS point\nFROM {}{conditions}\nGROUP BY {list}edge\n\
             HAVING count() > 0\nLIMIT {}",
            self.table(tier),
            ROWS_MAX + 1
        )
    }

    /// The same of a stretch whose coarser intervals are cut: whole intervals; what is moved from one edge to the other; and the
    /// parts of the intervals that the ends of the stretch cut.
    fn sums_of_cut(&mut self, stretch: &Stretch, cut: &Cut) -> Vec<String> {
        let (parent, part) = (stretch.tiers[0], stretch.tiers[1]);
        let (start, end) = interval(parent);
        let edge_after = |builder: &Self, time: &str| {
            format!("intDiv({}, 1000)", builder.next_edge(&format!("{time} + 1")))
        };
        let mut conditions = "\nWHERE tenant = {tenant:String}".to_owned();
        self.bounds(stretch, parent, None, &mut conditions);
        self.row_conditions(&mut conditions);
        let whole = edge_after(self, if cut.is_head { &end } else { &start });
        let mut texts = vec![self.sums_at(parent, &whole, None, &conditions)];

        let edge = edge_after(self, &interval(part).0);
        let moved_from = if cut.is_head {
            "edge + intDiv({step:Int64}, 1000)"
        } else {
            "edge - intDiv({step:Int64}, 1000)"
        };
        let mut conditions = "\nWHERE tenant = {tenant:String}".to_owned();
        self.parts_of_cut(cut, parent, part, &mut conditions);
        self.row_conditions(&mut conditions);
        texts.push(self.sums_at(part, &edge, Some(moved_from), &conditions));

        let is_cut = |end: i64| end % parent.bucket_us != 0;
        if is_cut(stretch.high_us) || stretch.low_us.is_some_and(is_cut) {
            let mut conditions = "\nWHERE tenant = {tenant:String}".to_owned();
            self.bounds(stretch, part, Some(parent), &mut conditions);
            self.row_conditions(&mut conditions);
            texts.push(self.sums_at(part, &edge, None, &conditions));
        }
        texts
    }

    /// The rows of the parts that are moved. The primary key skips no others for the sake of a remainder; but of a day it skips the
    /// hours that have nothing of the part (ClickHouse: `toHour` is monotonic within a day, and known to be).
    fn parts_of_cut(&mut self, cut: &Cut, parent: Tier, tier: Tier, text: &mut String) {
        const HOUR_US: i64 = 3_600_000_000;
        let Cut { whole: (low_us, high_us), step_us, part: (begin, end), .. } = *cut;
        let whole = Stretch { low_us: Some(low_us), high_us, tiers: Vec::new(), grain_us: tier.bucket_us };
        let part = self.parts;
        self.bounds(&whole, tier, None, text);
        let start = low_us.rem_euclid(step_us);
        for (name, time_us) in [("apart", step_us), ("begin", start + begin), ("end", start + end)] {
            self.bind(&format!("{name}_{part}"), &(time_us / 1_000_000));
        }
        let at = format!("toUnixTimestamp(bucket) % {{apart_{part}:Int64}}");
        let _ = write!(text, "\n  AND {at} >= {{begin_{part}:Int64}} AND {at} < {{end_{part}:Int64}}");
        if parent == Tier::DAY {
            let (first, last) = (begin / HOUR_US, (end - 1) / HOUR_US);
            let _ = write!(text, "\n  AND toHour(bucket) BETWEEN {first} AND {last}");
        }
    }

    /// When there was a row last.
    fn last(&mut self, stretch: &Stretch, at: usize) -> String {
        let tier = stretch.tiers[at];
        let list = list(self.selection.columns);
        let quarter = ALIVE_ROUNDING_US;
        let mut text = format!(
            "SELECT {list}intDiv(least(intDiv(max({}) + {quarter} - 1, {quarter}) * {quarter}, {{before:Int64}}), 1000) AS edge, \
             {} AS point\nFROM {}",
            interval(tier).1,
            last_point("edge"),
            self.table(tier)
        );
        self.conditions(stretch, at, true, &mut text);
        if let Some(columns) = list.strip_suffix(", ") {
            let _ = write!(text, "\nGROUP BY {columns}");
        }
        let _ = write!(text, "\nHAVING count() > 0\nLIMIT {}", ROWS_MAX + 1);
        text
    }

    /// Which rows of a tier: those of the tenant and the matchers, in the stretch, that have no edge inside and of which the next
    /// coarser row has one. With a `single` window that is said in terms of the key.
    fn conditions(&mut self, stretch: &Stretch, at: usize, single: bool, text: &mut String) {
        let Stretch { grain_us, ref tiers, .. } = *stretch;
        let (tier, coarser) = (tiers[at], at.checked_sub(1).map(|before| tiers[before]));
        text.push_str("\nWHERE tenant = {tenant:String}");
        self.bounds(stretch, tier, coarser.filter(|_| single), text);
        let (start, end) = interval(tier);
        if !single && at + 1 < tiers.len() {
            let _ = write!(text, "\n  AND {} > {end} - {grain_us}", self.next_edge(&format!("{start} + 1")));
        }
        if let Some(coarser) = coarser.filter(|_| !single) {
            // The start of the coarser interval that holds this row; it must have an edge inside, or its own row is read.
            let parent = coarser.bucket_us;
            let parent_start = format!("intDiv({start}, {parent}) * {parent}");
            let next = self.next_edge(&format!("{parent_start} + 1"));
            let _ = write!(text, "\n  AND {next} <= {parent_start} + {}", parent - grain_us);
        }
        self.row_conditions(text);
    }

    /// What must hold of rows, whatever their time.
    fn row_conditions(&self, text: &mut String) {
        text.extend(condition_of(self.selection.rows).map(|condition| format!("\n  AND {condition}")));
        for (at, (column, matcher)) in self.selection.matchers.iter().enumerate() {
            let _ = write!(text, "\n  AND {}", matcher_condition(column, matcher.kind, at));
        }
    }

    /// Conditions on the stored time alone, so that the primary key can skip. Under a `coarser` tier only the two of its intervals are
    /// read that the stretch cuts.
    fn bounds(&mut self, stretch: &Stretch, tier: Tier, coarser: Option<Tier>, text: &mut String) {
        let Stretch { low_us, high_us, .. } = *stretch;
        // The record is by its end; a bucket by its start, which belongs to the tail, as its end does to the head.
        let (length_us, before, after) = match tier.is_record() {
            true => (0, "<=", ">"),
            false => (tier.bucket_us, "<", ">="),
        };
        let mut conditions: Vec<_> =
            low_us.map(|low| self.condition(tier, after, "from", low)).into_iter().collect();
        conditions.push(self.condition(tier, "<=", "to", high_us - length_us));
        if let Some(parent) = coarser.map(|tier| tier.bucket_us) {
            let tail = self.condition(tier, after, "tail", high_us.div_euclid(parent) * parent);
            conditions.push(match low_us {
                Some(low) => {
                    let head = self.condition(tier, before, "head", up(low, parent));
                    format!("({head} OR {tail})")
                }
                None => tail,
            });
        }
        self.parts += 1;
        text.extend(conditions.iter().map(|condition| format!("\n  AND {condition}")));
    }

    /// Compares the stored time with a time that is bound under that name: microseconds for the record, seconds for buckets.
    fn condition(&mut self, tier: Tier, operator: &str, name: &str, time_us: i64) -> String {
        let name = format!("{name}_{}", self.parts);
        if tier.is_record() {
            self.bind(&name, &time_us);
            return format!("end_time {operator} fromUnixTimestamp64Micro({{{name}:Int64}})");
        }
        // The whole second before "to", after "from".
        let time =
            if operator == "<=" { time_us.div_euclid(1_000_000) } else { up(time_us, 1_000_000) / 1_000_000 };
        self.bind(&name, &time.clamp(0, DATE_TIME_MAX_S));
        format!("bucket {operator} toDateTime({{{name}:Int64}}, 'UTC')")
    }
}

/// What is bound as `m` and its place for [`matcher_condition`].
pub(crate) fn matcher_value(matcher: &Matcher) -> String {
    match matcher.kind {
        MatchKind::Equal | MatchKind::NotEqual => matcher.value.clone(),
        // The store searches; PromQL's expressions are anchored and their dot matches a newline.
        MatchKind::Regex | MatchKind::NotRegex => format!("^(?s:{})$", matcher.value),
    }
}

/// That a column is as a matcher says.
pub(crate) fn matcher_condition(column: &str, kind: MatchKind, place: usize) -> String {
    let value = format!("{{m{place}:String}}");
    match kind {
        MatchKind::Equal => format!("{column} = {value}"),
        MatchKind::NotEqual => format!("{column} != {value}"),
        MatchKind::Regex => format!("match({column}, {value})"),
        MatchKind::NotRegex => format!("NOT match({column}, {value})"),
    }
}

/// Start and end of a row's interval, in microseconds; the start is outside, the end inside.
fn interval(tier: Tier) -> (String, String) {
    if tier.is_record() {
        let end = "toInt64(toUnixTimestamp64Micro(end_time))".to_owned();
        return (format!("{end} - 1"), end);
    }
    let start = "toInt64(toUnixTimestamp(bucket)) * 1000000".to_owned();
    (start.clone(), format!("{start} + {}", tier.bucket_us))
}

/// What else must hold of the rows.
fn condition_of(rows: Rows) -> Option<String> {
    match rows {
        Rows::All => None,
        Rows::Priced => Some("unpriced_reason = ''".to_owned()),
        Rows::Unpriced => Some("unpriced_reason != ''".to_owned()),
        Rows::Tokens => Some(format!("unit IN ({})", tokens())),
        Rows::OtherUnits => Some(format!("unit NOT IN ({})", tokens())),
    }
}

/// The units that are tokens, as a list of texts.
fn tokens() -> String {
    let tokens = Unit::ALL.into_iter().filter(|unit| unit.is_token());
    tokens.map(|unit| format!("'{}'", unit.name())).collect::<Vec<_>>().join(", ")
}
