//! The store behind [`SeriesSource`]: which metrics and labels a request means, and how rows become series.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use ledgerline_process::clock::Clock;
use ledgerline_promql::limits::SERIES_MAX;
use ledgerline_promql::source::{Scope, SeriesFilter, SeriesSource, SourceError};
use ledgerline_promql::{Edges, Grouping, Labels, METRIC_NAME, Matcher, Samples, SelectorRequest, Series};
use ledgerline_proto::dimension::Dimension;

use super::SqlRunner;
use super::statement::{LAST, Selection, statement};
use super::tiers::{moved, tiers};
use crate::catalog::{BOUNDS, Label, METRICS, Measure, Metric, STATUSES};
use crate::limits::ROWS_MAX;
use crate::rows::Row;

/// The end of time for a metadata request that names none: 2100-01-01, a whole day.
const METADATA_END_MS: i64 = 4_102_444_800_000;

/// Series of increments derived from stored spans.
pub struct SqlSource<R> {
    runner: R,
    clock: Arc<dyn Clock>,
}

/// A metric's measure that the matchers accept, and the labels that are not columns.
#[derive(Debug, Clone)]
struct Wanted {
    measure: Measure,
    labels: Labels,
}

/// What one statement reads: measures over the same rows of the same tables.
struct Group<'a> {
    /// One of its metrics.
    metric: &'static Metric,
    /// The columns that are labels, each with its label.
    columns: Vec<(&'static str, &'static str)>,
    matchers: Vec<(&'static str, &'a Matcher)>,
    wanted: Vec<Wanted>,
}

impl<R: SqlRunner> SqlSource<R> {
    /// A source over a store. The clock tells which rows have expired.
    pub fn new(runner: R, clock: Arc<dyn Clock>) -> Self {
        Self { runner, clock }
    }

    fn now_ms(&self) -> i64 {
        i64::try_from(self.clock.now_unix_ns() / 1_000_000).unwrap_or(i64::MAX)
    }

    async fn fetch(&self, scope: &Scope, request: &SelectorRequest) -> Result<Vec<Series>, SourceError> {
        let mut found = Vec::new();
        for group in groups(&request.matchers) {
            let keeps = |label: &str| request.grouping.as_ref().is_none_or(|grouping| grouping.counts(label));
            let kept = group.columns.iter().filter(|(_, label)| keeps(label));
            let (columns, labels): (Vec<&str>, Vec<&str>) = kept.copied().unzip();
            let measures: Vec<Measure> = group.wanted.iter().map(|wanted| wanted.measure).collect();
            let selection = Selection {
                scope,
                edges: request.edges,
                alive_from_ms: request.alive_from_ms,
                now_ms: self.now_ms(),
                columns: &columns,
                matchers: &group.matchers,
                ledger: group.metric.ledger,
                rows: group.metric.rows,
                measures: &measures,
            };
            let Some(statement) = statement(&selection) else { continue };
            // Held until the rows have become series, for which the query is charged next.
            let mut held = scope.memory.charge(0)?;
            let rows = self.runner.rows(&statement.select, &mut held).await?;
            found.extend(series(rows, &labels, &group.wanted, statement.has_counts)?);
            if found.len() > SERIES_MAX {
                return Err(SourceError::TooManySeries(SERIES_MAX));
            }
        }
        found.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(found)
    }
}

/// One window over the whole range of a metadata request, widened to buckets so that the spans need not be read.
fn metadata_edges(start_ms: Option<i64>, end_ms: Option<i64>) -> Edges {
    const QUARTER: i64 = 900_000;
    const DAY: i64 = 86_400_000;
    let end = end_ms.unwrap_or(METADATA_END_MS).clamp(0, METADATA_END_MS);
    let start = start_ms.unwrap_or(0).clamp(0, end);
    let unit = match end - start {
        range if range >= 2 * DAY => DAY,
        range if range >= 2 * QUARTER => QUARTER,
        _ => 60_000,
    };
    let first_ms = (end.div_euclid(unit) + 1) * unit;
    let window_ms = first_ms - start.div_euclid(unit) * unit;
    Edges { first_ms, step_ms: 0, count: 1, window_ms: Some(window_ms) }
}

/// Whether all matchers on a label accept a value.
fn accept(matchers: &[Matcher], label: &str, value: &str) -> bool {
    matchers.iter().filter(|matcher| matcher.name == label).all(|matcher| matcher.matches(value))
}

/// What is read for these matchers: nothing of a metric that lacks a label which must have a value.
fn groups(matchers: &[Matcher]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for metric in METRICS.iter().filter(|metric| accept(matchers, METRIC_NAME, metric.name)) {
        let wanted = wanted(metric, matchers);
        let columns = columns(metric);
        let Some(on_columns) = column_matchers(metric, &columns, matchers).filter(|_| !wanted.is_empty())
        else {
            continue;
        };
        let same = |group: &&mut Group<'_>| {
            (group.metric.ledger, group.metric.rows) == (metric.ledger, metric.rows)
                && group.columns == columns
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.wanted.extend(wanted),
            None => groups.push(Group { metric, columns, matchers: on_columns, wanted }),
        }
    }
    groups
}

/// The columns that hold labels of a metric, with the labels.
fn columns(metric: &Metric) -> Vec<(&'static str, &'static str)> {
    let dimensions = Dimension::ALL.into_iter().map(|dimension| (dimension.name(), dimension.name()));
    let more = metric.more_labels.iter().filter_map(|label| Some((label.column()?, label.name())));
    dimensions.chain(more).collect()
}

/// The measures of a metric whose bound the matchers accept.
fn wanted(metric: &Metric, matchers: &[Matcher]) -> Vec<Wanted> {
    let measures = metric.measures.iter().filter_map(|measure| {
        let bound = if let Measure::Bucket(_, at) = measure { BOUNDS[*at] } else { "" };
        let labels = Labels::from_pairs([(METRIC_NAME, metric.name), (Label::Bound.name(), bound)]);
        accept(matchers, Label::Bound.name(), bound).then_some(Wanted { measure: *measure, labels })
    });
    measures.collect()
}

/// The names that metrics have, with data or without: which there are is known without reading.
fn names(filter: &SeriesFilter) -> BTreeSet<&'static str> {
    let metrics =
        filter.sets().iter().flat_map(|matchers| METRICS.iter().filter(|metric| has(metric, matchers)));
    metrics.flat_map(|metric| metric.labels().chain([METRIC_NAME])).collect()
}

/// Whether series of a metric can match.
fn has(metric: &Metric, matchers: &[Matcher]) -> bool {
    accept(matchers, METRIC_NAME, metric.name)
        && !wanted(metric, matchers).is_empty()
        && column_matchers(metric, &columns(metric), matchers).is_some()
}

/// All values that a label of a metric can have, where that is a short list.
fn known_values(metric: &Metric, label: &str) -> Option<Vec<&'static str>> {
    if label == METRIC_NAME {
        return Some(vec![metric.name]);
    }
    if label == Dimension::Status.name() {
        return Some(STATUSES.to_vec());
    }
    match metric.more_labels.iter().find(|more| more.name() == label) {
        Some(more) => more.values(),
        None if Dimension::from_name(label).is_some() => None,
        None => Some(vec![""]),
    }
}

/// The values of a label of which all are known, if the filter asks for nothing that has to be read.
fn closed_values(label: &str, filter: &SeriesFilter) -> Option<BTreeSet<String>> {
    let mut values = BTreeSet::new();
    for matchers in filter.sets() {
        for metric in METRICS.iter().filter(|metric| has(metric, matchers)) {
            let accepted = |name: &str| {
                let known = known_values(metric, name)?.into_iter();
                Some(known.filter(|value| accept(matchers, name, value)).collect::<Vec<_>>())
            };
            let found = accepted(label)?;
            let mut matched = matchers.iter().map(|matcher| accepted(&matcher.name));
            let can_match = matched.try_fold(true, |all, values| Some(all && !values?.is_empty()))?;
            values
                .extend(found.into_iter().filter(|value| can_match && !value.is_empty()).map(str::to_owned));
        }
    }
    Some(values)
}

/// The matchers on columns; `None` when a label that the metric does not have is required to have a value.
fn column_matchers<'a>(
    metric: &Metric,
    columns: &[(&'static str, &str)],
    matchers: &'a [Matcher],
) -> Option<Vec<(&'static str, &'a Matcher)>> {
    let mut found = Vec::new();
    for matcher in matchers.iter().filter(|matcher| !matcher.accepts_all()) {
        match columns.iter().find(|(_, label)| *label == matcher.name) {
            Some((column, _)) => found.push((*column, matcher)),
            None if metric.labels().chain([METRIC_NAME]).any(|label| label == matcher.name) => {}
            None if matcher.matches("") => {}
            None => return None,
        }
    }
    Some(found)
}

/// Rows to series, in no order. Two points of one series at one edge come from two tiers and are added.
fn series(
    rows: Vec<Row>,
    names: &[&str],
    wanted: &[Wanted],
    has_counts: bool,
) -> Result<Vec<Series>, SourceError> {
    let malformed = SourceError::Malformed;
    if rows.len() > SERIES_MAX {
        return Err(SourceError::TooManySeries(SERIES_MAX));
    }
    let mut out = Vec::new();
    let mut read = 0;
    for row in rows {
        let Some((points, values)) = row.split_last().filter(|(_, values)| values.len() == names.len())
        else {
            let expected = names.len() + 1;
            return Err(malformed(format!("{} columns where {expected} were asked for", row.len())));
        };
        let scales = wanted.iter().map(|wanted| scale(wanted.measure));
        let scales: Vec<i128> = scales.chain(has_counts.then_some(1)).collect();
        let mut increments: Vec<BTreeMap<i64, i128>> = vec![BTreeMap::new(); scales.len()];
        let mut moved_from = BTreeSet::new();
        for point in points.split(',').filter(|point| !point.is_empty()) {
            let (edge, count) = add_point(point, &scales, &mut increments)?;
            // Nothing is booked less than never; so much was moved away.
            if has_counts && count < 0 {
                moved_from.insert(edge);
            }
        }
        read += increments.first().map_or(0, BTreeMap::len);
        if let Some(counts) = increments.pop_if(|_| has_counts) {
            let holds = |edge: &i64| !moved_from.contains(edge) || counts.get(edge) != Some(&0);
            increments.iter_mut().for_each(|points| points.retain(|edge, _| holds(edge)));
        }
        if read > ROWS_MAX {
            return Err(SourceError::TooManyRows(ROWS_MAX));
        }
        let values = values.iter().map(String::as_str);
        let shared = Labels::from_pairs(names.iter().copied().zip(values));
        for (points, wanted) in increments.into_iter().zip(wanted).filter(|(points, _)| !points.is_empty()) {
            let mut labels = shared.clone();
            wanted.labels.iter().for_each(|(name, value)| labels.set(name, value));
            out.push(Series { labels, samples: Samples::Delta(points.into_iter().collect()) });
        }
        if out.len() > SERIES_MAX {
            return Err(SourceError::TooManySeries(SERIES_MAX));
        }
    }
    Ok(out)
}

/// Adds `edge:value:...` to the increments of each measure, or to all of them 0 at the time in `last:time`. The time and the last value.
fn add_point(
    point: &str,
    scales: &[i128],
    increments: &mut [BTreeMap<i64, i128>],
) -> Result<(i64, i128), SourceError> {
    let malformed = |what: &str| SourceError::Malformed(format!("{what} in the point {point:?}"));
    let mut fields = point.split(':').peekable();
    let is_last = fields.next_if_eq(&LAST).is_some();
    let edge: i64 = fields.next().and_then(|edge| edge.parse().ok()).ok_or_else(|| malformed("no time"))?;
    let mut last = 0;
    for (scale, increments) in scales.iter().zip(increments) {
        let value = if is_last { "0" } else { fields.next().ok_or_else(|| malformed("too few values"))? };
        last = picos(value, *scale).ok_or_else(|| malformed("no decimal"))?;
        let sum = increments.entry(edge).or_insert(0);
        *sum = sum.checked_add(last).ok_or_else(|| malformed("a sum beyond 128 bits"))?;
    }
    if fields.next().is_some() { Err(malformed("too many values")) } else { Ok((edge, last)) }
}

/// Pico units in one stored unit.
fn scale(measure: Measure) -> i128 {
    match measure {
        // Microseconds stored, seconds shown.
        Measure::TimeSum(_) => 1_000_000,
        _ => 1_000_000_000_000,
    }
}

/// A decimal text times a scale, exactly; `None` if it is no decimal or has digits below the scale.
pub(super) fn picos(text: &str, scale: i128) -> Option<i128> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let parts = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    if scale % parts != 0 {
        return None;
    }
    let fraction = if fraction.is_empty() { 0 } else { fraction.parse::<i128>().ok()? * (scale / parts) };
    whole.parse::<i128>().ok()?.checked_mul(scale)?.checked_add(fraction)?.checked_mul(sign)
}

impl<R: SqlRunner> SeriesSource for SqlSource<R> {
    fn are_increments(&self, _: &SelectorRequest) -> bool {
        true
    }

    fn info(&self, request: &SelectorRequest) -> Option<String> {
        let now_us = self.now_ms().saturating_mul(1000);
        let groups = groups(&request.matchers);
        groups.iter().find_map(|group| moved(request.edges, now_us, tiers(group.metric.ledger)))
    }

    fn select<'a>(
        &'a self,
        scope: &'a Scope,
        request: &'a SelectorRequest,
    ) -> BoxFuture<'a, Result<Vec<Series>, SourceError>> {
        self.fetch(scope, request).boxed()
    }

    fn labels<'a>(
        &'a self,
        scope: &'a Scope,
        filter: &'a SeriesFilter,
        grouping: Option<Grouping>,
    ) -> BoxFuture<'a, Result<BTreeSet<Labels>, SourceError>> {
        async move {
            let mut found = BTreeSet::new();
            for matchers in filter.sets() {
                let request = SelectorRequest {
                    selector: 0,
                    matchers: matchers.clone(),
                    edges: metadata_edges(filter.start_ms, filter.end_ms),
                    alive_from_ms: None,
                    grouping: grouping.clone(),
                    samples_for: None,
                };
                found.extend(self.fetch(scope, &request).await?.into_iter().map(|series| series.labels));
            }
            Ok(found)
        }
        .boxed()
    }

    fn label_names<'a>(
        &'a self,
        _: &'a Scope,
        filter: &'a SeriesFilter,
    ) -> BoxFuture<'a, Result<Vec<String>, SourceError>> {
        std::future::ready(Ok(names(filter).into_iter().map(str::to_owned).collect())).boxed()
    }

    fn label_values<'a>(
        &'a self,
        scope: &'a Scope,
        label: &'a str,
        filter: &'a SeriesFilter,
    ) -> BoxFuture<'a, Result<Vec<String>, SourceError>> {
        async move {
            if let Some(values) = closed_values(label, filter) {
                return Ok(values.into_iter().collect());
            }
            let found = self.labels(scope, filter, Some(Grouping::By(vec![label.into()]))).await?;
            let values = found.iter().map(|labels| labels.get(label)).filter(|value| !value.is_empty());
            Ok(values.collect::<BTreeSet<_>>().into_iter().map(str::to_owned).collect())
        }
        .boxed()
    }
}
