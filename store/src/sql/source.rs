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
use super::tiers::moved;
use crate::catalog::{Ledger, METRICS, Measure, Metric, STATUSES, TOKEN_CLASS, metric};
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

impl<R: SqlRunner> SqlSource<R> {
    /// A source over a store. The clock tells which rows have expired.
    pub fn new(runner: R, clock: Arc<dyn Clock>) -> Self {
        Self { runner, clock }
    }

    fn now_ms(&self) -> i64 {
        i64::try_from(self.clock.now_unix_ns() / 1_000_000).unwrap_or(i64::MAX)
    }

    async fn fetch(&self, scope: &Scope, request: &SelectorRequest) -> Result<Vec<Series>, SourceError> {
        let wanted = wanted(&request.matchers);
        let Some(matchers) = column_matchers(&request.matchers) else { return Ok(Vec::new()) };
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let keeps = |dimension: &Dimension| {
            request.grouping.as_ref().is_none_or(|grouping| grouping.counts(dimension.name()))
        };
        let dimensions: Vec<_> = Dimension::ALL.into_iter().filter(keeps).collect();
        let mut found = Vec::new();
        for ledger in [Ledger::Calls, Ledger::Spend] {
            let of_ledger = |wanted: &&Wanted| wanted.measure.ledger() == ledger;
            let wanted: Vec<Wanted> = wanted.iter().filter(of_ledger).cloned().collect();
            let measures: Vec<Measure> = wanted.iter().map(|wanted| wanted.measure).collect();
            let selection = Selection {
                scope,
                edges: request.edges,
                alive_from_ms: request.alive_from_ms,
                now_ms: self.now_ms(),
                dimensions: &dimensions,
                matchers: &matchers,
                ledger,
                measures: &measures,
            };
            let Some(statement) = statement(&selection).filter(|_| !wanted.is_empty()) else { continue };
            // Held until the rows have become series, for which the query is charged next.
            let mut held = scope.memory.charge(0)?;
            let rows = self.runner.rows(&statement, &mut held).await?;
            found.extend(series(rows, &dimensions, &wanted)?);
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

/// The measures whose name and token class the matchers accept.
fn wanted(matchers: &[Matcher]) -> Vec<Wanted> {
    let accepts = |label: &str, value: &str| {
        matchers.iter().filter(|matcher| matcher.name == label).all(|matcher| matcher.matches(value))
    };
    let mut wanted = Vec::new();
    for Metric { name, measures, .. } in METRICS.iter().filter(|metric| accepts(METRIC_NAME, metric.name)) {
        for measure in *measures {
            let class = if let Measure::Tokens(class) = measure { class.name() } else { "" };
            if accepts(TOKEN_CLASS, class) {
                let labels = Labels::from_pairs([(METRIC_NAME, *name), (TOKEN_CLASS, class)]);
                wanted.push(Wanted { measure: *measure, labels });
            }
        }
    }
    wanted
}

/// The names that metrics have, with data or without: which there are is known without reading.
fn names(filter: &SeriesFilter) -> BTreeSet<&'static str> {
    let readable = sets(filter).iter().filter(|matchers| column_matchers(matchers).is_some());
    let metrics = readable
        .flat_map(|matchers| wanted(matchers))
        .filter_map(|wanted| metric(wanted.labels.get(METRIC_NAME)));
    metrics.flat_map(|metric| metric.labels().chain([METRIC_NAME])).collect()
}

/// The values of a label of which all are known, if the filter asks for nothing that has to be read.
fn closed_values(label: &str, filter: &SeriesFilter) -> Option<BTreeSet<String>> {
    let status = Dimension::Status.name();
    let is_closed = |name: &str| name == METRIC_NAME || name == TOKEN_CLASS || name == status;
    let mut matched = sets(filter).iter().flatten().map(|matcher| matcher.name.as_str());
    if !is_closed(label) || !matched.all(is_closed) {
        return None;
    }
    let mut values = BTreeSet::new();
    for matchers in sets(filter) {
        let accepted = |value: &&str| {
            matchers.iter().filter(|matcher| matcher.name == status).all(|matcher| matcher.matches(value))
        };
        let statuses: Vec<&str> = STATUSES.into_iter().filter(accepted).collect();
        for wanted in wanted(matchers).iter().filter(|_| !statuses.is_empty()) {
            let of_metric = [wanted.labels.get(label)];
            let known = if label == status { &statuses[..] } else { &of_metric };
            values.extend(known.iter().filter(|value| !value.is_empty()).map(|value| (*value).to_owned()));
        }
    }
    Some(values)
}

/// The sets of matchers of which any may accept: one that accepts everything if there are none.
fn sets(filter: &SeriesFilter) -> &[Vec<Matcher>] {
    const EVERYTHING: &[Vec<Matcher>] = &[Vec::new()];
    if filter.any_of.is_empty() { EVERYTHING } else { &filter.any_of }
}

/// The matchers on columns; `None` when a label that does not exist is required to have a value.
fn column_matchers(matchers: &[Matcher]) -> Option<Vec<(Dimension, &Matcher)>> {
    let mut columns = Vec::new();
    for matcher in matchers {
        match Dimension::from_name(&matcher.name) {
            Some(dimension) => columns.push((dimension, matcher)),
            None if matcher.name == METRIC_NAME || matcher.name == TOKEN_CLASS => {}
            None if matcher.matches("") => {}
            None => return None,
        }
    }
    Some(columns)
}

/// Rows to series, in no order. Two points of one series at one edge come from two tiers and are added.
fn series(rows: Vec<Row>, dimensions: &[Dimension], wanted: &[Wanted]) -> Result<Vec<Series>, SourceError> {
    let malformed = SourceError::Malformed;
    if rows.len() > SERIES_MAX {
        return Err(SourceError::TooManySeries(SERIES_MAX));
    }
    let mut out = Vec::new();
    let mut read = 0;
    for row in rows {
        let Some((points, values)) = row.split_last().filter(|(_, values)| values.len() == dimensions.len())
        else {
            let expected = dimensions.len() + 1;
            return Err(malformed(format!("{} columns where {expected} were asked for", row.len())));
        };
        let mut increments: Vec<BTreeMap<i64, i128>> = vec![BTreeMap::new(); wanted.len()];
        for point in points.split(',').filter(|point| !point.is_empty()) {
            read += 1;
            add_point(point, wanted, &mut increments)?;
        }
        if read > ROWS_MAX {
            return Err(SourceError::TooManyRows(ROWS_MAX));
        }
        let names = dimensions.iter().map(|dimension| dimension.name());
        let shared = Labels::from_pairs(names.zip(values.iter().map(String::as_str)));
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

/// Adds `edge:value:...` to the increments of each measure, or of each the time in `last:time:...`.
fn add_point(
    point: &str,
    wanted: &[Wanted],
    increments: &mut [BTreeMap<i64, i128>],
) -> Result<(), SourceError> {
    let malformed = |what: &str| SourceError::Malformed(format!("{what} in the point {point:?}"));
    let mut fields = point.split(':').peekable();
    if fields.next_if_eq(&LAST).is_some() {
        let times: Option<Vec<i64>> = fields.map(|time| time.parse().ok()).collect();
        let times = times.filter(|times| times.len() == wanted.len()).ok_or_else(|| malformed("no times"))?;
        for (time, increments) in times.into_iter().zip(increments).filter(|(time, _)| *time != 0) {
            increments.entry(time).or_insert(0);
        }
        return Ok(());
    }
    let edge: i64 = fields.next().and_then(|edge| edge.parse().ok()).ok_or_else(|| malformed("no time"))?;
    for (wanted, increments) in wanted.iter().zip(increments) {
        let value = fields.next().ok_or_else(|| malformed("too few values"))?;
        if value.is_empty() {
            continue;
        }
        let picos = picos(value, scale(wanted.measure)).ok_or_else(|| malformed("no decimal"))?;
        let sum = increments.entry(edge).or_insert(0);
        *sum = sum.checked_add(picos).ok_or_else(|| malformed("a sum beyond 128 bits"))?;
    }
    if fields.next().is_some() { Err(malformed("too many values")) } else { Ok(()) }
}

/// Pico units in one stored unit.
fn scale(measure: Measure) -> i128 {
    match measure {
        // Microseconds stored, seconds shown.
        Measure::DurationSum | Measure::FirstTokenSum => 1_000_000,
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
        moved(request.edges, self.now_ms().saturating_mul(1000))
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
            for matchers in sets(filter) {
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
