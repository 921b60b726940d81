//! Pure: from a selector's request to the text of a statement.
//!
//! Edges are the times at which windows begin and end. A row of a tier whose interval has no edge inside is used whole; of
//! intervals that have one, the next finer tier supplies the parts. So one statement reads the coarsest data that is still exact,
//! whatever the edges are: a 30-day window that ends now is days, then hours, then minutes, then the spans of two minutes.

use std::fmt::Write as _;

use ledgerline_promql::limits::SERIES_MAX;
use ledgerline_promql::source::{Scope, SourceError};
use ledgerline_promql::{Edges, MatchKind, Matcher};
use ledgerline_proto::dimension::Dimension;

use super::Tier;
use crate::catalog::Measure;
use crate::limits::{READ_MEMORY_BYTES_MAX, ROWS_MAX};
use crate::rows::Select;

/// The last second a DateTime can hold.
const DATE_TIME_MAX_S: i64 = u32::MAX as i64;

pub(super) struct Selection<'a> {
    pub scope: &'a Scope,
    pub edges: Edges,
    /// The present, by which rows have expired.
    pub now_ms: i64,
    /// Labels to group by, in order.
    pub dimensions: &'a [Dimension],
    /// Matchers on dimensions.
    pub matchers: &'a [(Dimension, &'a Matcher)],
    /// One column each, after the dimensions and the edge.
    pub measures: &'a [Measure],
}

/// Each row is one label set: the dimensions, then all its points in one text, `edge:value:...` with a comma between points. The
/// edge is the time in milliseconds at which the values count; there is one value per measure, empty where there is none.
pub(super) fn statement(selection: &Selection<'_>) -> Result<Select, SourceError> {
    let mut builder = Builder::new(selection);
    let parts = tiers(selection.edges, selection.now_ms)?;
    let texts: Vec<String> = parts
        .iter()
        .enumerate()
        .map(|(at, tier)| {
            let coarser = at.checked_sub(1).map(|before| parts[before]);
            builder.part(*tier, coarser, at + 1 == parts.len())
        })
        .collect();
    let list = list(selection.dimensions);
    let group = list.strip_suffix(", ").map_or_else(String::new, |columns| format!("\nGROUP BY {columns}"));
    let text = format!(
        "SELECT {list}arrayStringConcat(groupArray(point), ',') AS points\nFROM (\n{}\n){group}\nLIMIT {}",
        texts.join("\nUNION ALL\n"),
        SERIES_MAX + 1
    );
    Ok(Select {
        text,
        parameters: builder.parameters,
        settings: vec![
            ("max_execution_time", selection.scope.timeout.as_secs().max(1)),
            ("max_memory_usage", READ_MEMORY_BYTES_MAX),
            // Two decimals of the widest kind must still add up exactly or fail.
            ("decimal_check_overflow", 1),
        ],
        timeout: selection.scope.timeout,
    })
}

/// Refuses what [`SqlSource`](super::SqlSource) could not read at `now_ms`, whatever is stored.
pub fn check_kept(edges: Edges, now_ms: i64) -> Result<(), SourceError> {
    tiers(edges, now_ms).map(drop)
}

/// The columns of the dimensions, each with a comma behind it.
fn list(dimensions: &[Dimension]) -> String {
    dimensions.iter().map(|dimension| format!("{}, ", dimension.name())).collect()
}

/// The tiers that can contribute, from the coarsest to the first that divides every edge. A tier whose rows have expired at the
/// oldest edge is passed over; if the finest left still does not divide the edges, there is no exact answer.
fn tiers(edges: Edges, now_ms: i64) -> Result<Vec<Tier>, SourceError> {
    let oldest_ms = edges.first_ms - edges.window_ms.unwrap_or(0);
    let age_ms = now_ms.saturating_sub(oldest_ms);
    let resolution_us = edges.resolution_ms().saturating_mul(1000);
    let mut tiers = Vec::new();
    for tier in Tier::ALL {
        let bucket = tier.bucket_us;
        // A whole bucket must fit between two edges. An instant selector also reads all history before its first edge.
        let span_ms = match edges.window_ms {
            None => i64::MAX,
            Some(window) if edges.count == 1 => window,
            Some(window) => edges.step_ms.min(window).max(1),
        };
        if tier.kept_days.is_some_and(|days| age_ms > days * 86_400_000)
            || (tier != Tier::SPANS && bucket > span_ms.saturating_mul(1000))
        {
            continue;
        }
        tiers.push(tier);
        if resolution_us % bucket == 0 {
            return Ok(tiers);
        }
    }
    Err(SourceError::NotKept { days: age_ms / 86_400_000, kept: kept() })
}

/// What each tier asks of the edges and how long it answers, for the person whose query is refused.
fn kept() -> String {
    let rows = |tier: Tier| match tier.kept_days {
        Some(days) => format!("{days} days"),
        None => "without end".to_owned(),
    };
    format!(
        "put start, step, range and offset on whole hours (kept {}) or whole days in UTC (kept {}), or start within the last {}",
        rows(Tier::HOUR),
        rows(Tier::DAY),
        rows(Tier::SPANS)
    )
}

struct Builder<'a> {
    selection: &'a Selection<'a>,
    parameters: Vec<(String, String)>,
    /// The first microsecond after `low` and up to `high` is read; `None` reads from the beginning.
    low_us: Option<i64>,
    high_us: i64,
}

impl<'a> Builder<'a> {
    fn new(selection: &'a Selection<'a>) -> Self {
        let edges = selection.edges;
        let high_us = edges.until_ms() * 1000;
        let low_us = edges.window_ms.map(|window| (edges.first_ms - window) * 1000);
        let mut builder = Self { selection, parameters: Vec::new(), low_us, high_us };
        builder.bind("tenant", &selection.scope.tenant.0);
        builder.bind_edges();
        for (at, (_, matcher)) in selection.matchers.iter().enumerate() {
            let value = match matcher.kind {
                MatchKind::Equal | MatchKind::NotEqual => matcher.value.clone(),
                // The store searches; PromQL's expressions are anchored and their dot matches a newline.
                MatchKind::Regex | MatchKind::NotRegex => format!("^(?s:{})$", matcher.value),
            };
            builder.bind(&format!("m{at}"), &value);
        }
        builder
    }

    fn bind(&mut self, name: &str, value: &dyn ToString) {
        self.parameters.push((name.to_owned(), value.to_string()));
    }

    fn bind_edges(&mut self) {
        let Edges { first_ms, window_ms, .. } = self.selection.edges;
        let step_us = self.step_ms() * 1000;
        self.bind("step", &step_us);
        self.bind("ends", &(first_ms * 1000).rem_euclid(step_us));
        match window_ms {
            None => self.bind("first", &(first_ms * 1000)),
            Some(window) if window % self.step_ms() == 0 => {}
            Some(window) => {
                let begins = ((first_ms - window) * 1000).rem_euclid(step_us);
                self.bind("begins", &begins);
            }
        }
    }

    /// The distance between edges. The two of a single window lie its length apart; nothing is read beyond a single end, so any will do.
    fn step_ms(&self) -> i64 {
        let Edges { count, step_ms, window_ms, .. } = self.selection.edges;
        if count == 1 { window_ms.unwrap_or(1) } else { step_ms }
    }

    /// The smallest edge at or after a time in microseconds.
    fn next_edge(&self, time: &str) -> String {
        let next = |phase: &str| {
            let phase = format!("{{{phase}:Int64}}");
            format!(
                "{phase} + intDiv({time} - {phase} + {{step:Int64}} - 1, {{step:Int64}}) * {{step:Int64}}"
            )
        };
        match self.selection.edges.window_ms {
            None => format!("greatest({}, {{first:Int64}})", next("ends")),
            Some(window) if window % self.step_ms() == 0 => next("ends"),
            Some(_) => format!("least({}, {})", next("ends"), next("begins")),
        }
    }

    fn part(&mut self, tier: Tier, coarser: Option<Tier>, finest: bool) -> String {
        let bucket = tier.bucket_us;
        // Start and end of the row's interval, in microseconds; the start is outside, the end inside.
        let (start, end) = if tier == Tier::SPANS {
            let end = "toInt64(toUnixTimestamp64Micro(end_time))".to_owned();
            (format!("{end} - 1"), end)
        } else {
            let start = "toInt64(toUnixTimestamp(bucket)) * 1000000".to_owned();
            (start.clone(), format!("{start} + {bucket}"))
        };
        let list = list(self.selection.dimensions);
        let measures =
            self.selection.measures.iter().map(|measure| format!(", ':', {}", expression(*measure, tier)));
        let mut text = format!(
            "SELECT {list}intDiv({}, 1000) AS edge, concat(toString(edge){}) AS point\n\
             FROM {}\nWHERE tenant = {{tenant:String}}",
            self.next_edge(&end),
            measures.collect::<String>(),
            tier.table
        );
        if tier == Tier::SPANS {
            text.push_str(" AND is_call = 1");
        }
        self.bounds(tier, coarser, &mut text);
        if !finest {
            let next = self.next_edge(&format!("{start} + 1"));
            let _ = write!(text, "\n  AND {next} >= {end}");
        }
        if let Some(coarser) = coarser {
            // The start of the coarser interval that holds this row; it must have an edge inside, or its own row is read.
            let parent = coarser.bucket_us;
            let parent_start = format!("intDiv({start}, {parent}) * {parent}");
            let next = self.next_edge(&format!("{parent_start} + 1"));
            let _ = write!(text, "\n  AND {next} < {parent_start} + {parent}");
        }
        for (at, (dimension, matcher)) in self.selection.matchers.iter().enumerate() {
            let (column, value) = (dimension.name(), format!("{{m{at}:String}}"));
            text.push_str(&match matcher.kind {
                MatchKind::Equal => format!("\n  AND {column} = {value}"),
                MatchKind::NotEqual => format!("\n  AND {column} != {value}"),
                MatchKind::Regex => format!("\n  AND match({column}, {value})"),
                MatchKind::NotRegex => format!("\n  AND NOT match({column}, {value})"),
            });
        }
        let _ = write!(text, "\nGROUP BY {list}edge\nLIMIT {}", ROWS_MAX + 1);
        text
    }

    /// Conditions on the stored time alone, so that the primary key can skip.
    fn bounds(&mut self, tier: Tier, coarser: Option<Tier>, text: &mut String) {
        // A span is stored by its end; a bucket by its start, which belongs to the tail, as its end does to the head.
        let (unit, length_us, before, after) = match tier {
            Tier::SPANS => (1, 0, "<=", ">"),
            _ => (1_000_000, tier.bucket_us, "<", ">="),
        };
        // The first whole second is not before the low end.
        let from = self.low_us.map(|low| -(-low).div_euclid(unit));
        let mut conditions: Vec<_> =
            from.map(|from| self.condition(tier, after, "from", from)).into_iter().collect();
        conditions.push(self.condition(tier, "<=", "to", (self.high_us - length_us).div_euclid(unit)));
        // With one window, the finer tiers fill the two intervals its ends cut; say so in terms of the key.
        if let Some(parent) = coarser.map(|tier| tier.bucket_us).filter(|_| self.selection.edges.count == 1) {
            let begins = (self.high_us - 1).div_euclid(parent) * parent;
            let tail = self.condition(tier, after, "tail", begins.div_euclid(unit));
            let ends = self.low_us.map(|low| (low.div_euclid(parent) + 1) * parent);
            conditions.push(match ends {
                Some(ends) => {
                    let head = self.condition(tier, before, "head", ends.div_euclid(unit));
                    format!("({head} OR {tail})")
                }
                None => tail,
            });
        }
        text.extend(conditions.iter().map(|condition| format!("\n  AND {condition}")));
    }

    /// Compares the stored time with a time that is bound under that name: microseconds for spans, seconds for buckets.
    fn condition(&mut self, tier: Tier, operator: &str, name: &str, time: i64) -> String {
        let name = format!("{name}_{}", tier.table);
        if tier == Tier::SPANS {
            self.bind(&name, &time);
            return format!("end_time {operator} fromUnixTimestamp64Micro({{{name}:Int64}})");
        }
        self.bind(&name, &time.clamp(0, DATE_TIME_MAX_S));
        format!("bucket {operator} toDateTime({{{name}:Int64}}, 'UTC')")
    }
}

/// A measure over the rows of a tier, as text; empty when no row has it.
fn expression(measure: Measure, tier: Tier) -> String {
    let (spans, rollup) = match measure {
        Measure::Calls => ("toString(count())", "toString(sum(calls))"),
        Measure::Errors => ("toString(countIf(status = 'error'))", "toString(sum(errors))"),
        Measure::Cost => (
            "ifNull(toString(sum(cost)), '')",
            "if(sum(calls) - sum(unpriced_calls) = 0, '', toString(sum(cost)))",
        ),
        Measure::UnpricedCalls => ("toString(countIf(cost IS NULL))", "toString(sum(unpriced_calls))"),
        Measure::Tokens(class) => {
            let sum = format!("sum(tokens_{})", class.name());
            return format!("if({sum} = 0, '', toString({sum}))");
        }
        Measure::DurationSum => ("toString(sum(ifNull(duration_us, 0)))", "toString(sum(duration_us_sum))"),
        Measure::DurationCount => ("toString(count(duration_us))", "toString(sum(duration_count))"),
        Measure::FirstTokenSum => {
            ("ifNull(toString(sum(ttft_us)), '')", "if(sum(ttft_count) = 0, '', toString(sum(ttft_us_sum)))")
        }
        Measure::FirstTokenCount => (
            "if(count(ttft_us) = 0, '', toString(count(ttft_us)))",
            "if(sum(ttft_count) = 0, '', toString(sum(ttft_count)))",
        ),
    };
    if tier == Tier::SPANS { spans.to_owned() } else { rollup.to_owned() }
}
