//! The store behind [`SeriesSource`]: which metrics and labels a request means, and how rows become series.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use ledgerline_process::clock::Clock;
use ledgerline_promql::limits::SERIES_MAX;
use ledgerline_promql::source::{Scope, SeriesFilter, SeriesSource, SourceError};
use ledgerline_promql::{Edges, Grouping, Labels, METRIC_NAME, Matcher, Samples, SelectorRequest, Series};
use ledgerline_proto::dimension::Dimension;

use super::SqlRunner;
use super::points::{Fields, Increments};
use super::statement::{Selection, statement};
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
            found.extend(series(rows, &labels, &group.wanted, &statement.fields)?);
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
    fields: &Fields,
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
        let measures = wanted.len() + usize::from(fields.has_counts);
        let mut increments = vec![Increments::new(); measures];
        let mut moved_from = BTreeSet::new();
        for point in points.split(' ').filter(|point| !point.is_empty()) {
            let (edge, count) = fields.add(point, &mut increments)?;
            // Nothing is booked less than never; so much was moved away.
            if fields.has_counts && count < 0 {
                moved_from.insert(edge);
            }
        }
        read += increments.first().map_or(0, Increments::len);
        if let Some(counts) = increments.pop_if(|_| fields.has_counts) {
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
