//! Pure: a source that holds its series in memory: for tests of everything above the store. One tenant sees only its own series.

use std::collections::BTreeSet;
use std::future::ready;

use super::labels::Labels;
use super::matcher::Matcher;
use super::plan::SelectorRequest;
use super::series::{Samples, Series};
use super::source::{BoxFuture, Scope, SeriesFilter, SeriesSource, SourceError, Tenant};

/// Series in memory.
#[derive(Debug, Default)]
pub struct MemorySource {
    series: Vec<(Tenant, Series)>,
}

impl MemorySource {
    /// Adds a series of a tenant.
    pub fn push(&mut self, tenant: Tenant, series: Series) {
        self.series.push((tenant, series));
    }

    fn of<'a>(&'a self, tenant: &'a Tenant) -> impl Iterator<Item = &'a Series> {
        self.series.iter().filter(move |(owner, _)| owner == tenant).map(|(_, series)| series)
    }

    fn matching<'a>(
        &'a self,
        scope: &'a Scope,
        filter: &'a SeriesFilter,
    ) -> impl Iterator<Item = &'a Labels> {
        let alive = |samples: &Samples| {
            let inside = |time: i64| {
                filter.start_ms.is_none_or(|start| time > start)
                    && filter.end_ms.is_none_or(|end| time <= end)
            };
            match samples {
                Samples::Delta(increments) => increments.times_ms.iter().copied().any(inside),
                Samples::Cumulative(points) | Samples::Gauge(points) => {
                    points.iter().any(|point| inside(point.time_ms))
                }
            }
        };
        self.of(&scope.tenant)
            .filter(move |series| filter.accepts(&series.labels) && alive(&series.samples))
            .map(|series| &series.labels)
    }
}

impl SeriesSource for MemorySource {
    fn select<'a>(
        &'a self,
        scope: &'a Scope,
        request: &'a SelectorRequest,
    ) -> BoxFuture<'a, Result<Vec<Series>, SourceError>> {
        let all = self.of(&scope.tenant);
        let found =
            all.filter(|series| Matcher::all_match(&request.matchers, &series.labels)).cloned().collect();
        Box::pin(ready(Ok(found)))
    }

    fn label_names<'a>(
        &'a self,
        scope: &'a Scope,
        filter: &'a SeriesFilter,
    ) -> BoxFuture<'a, Result<Vec<String>, SourceError>> {
        let names: BTreeSet<&str> =
            self.matching(scope, filter).flat_map(|labels| labels.iter().map(|(name, _)| name)).collect();
        Box::pin(ready(Ok(names.into_iter().map(str::to_owned).collect())))
    }

    fn label_values<'a>(
        &'a self,
        scope: &'a Scope,
        label: &'a str,
        filter: &'a SeriesFilter,
    ) -> BoxFuture<'a, Result<Vec<String>, SourceError>> {
        let values: BTreeSet<&str> = self
            .matching(scope, filter)
            .map(|labels| labels.get(label))
            .filter(|value| !value.is_empty())
            .collect();
        Box::pin(ready(Ok(values.into_iter().map(str::to_owned).collect())))
    }

    fn series<'a>(
        &'a self,
        scope: &'a Scope,
        filter: &'a SeriesFilter,
    ) -> BoxFuture<'a, Result<Vec<Labels>, SourceError>> {
        let series: BTreeSet<&Labels> = self.matching(scope, filter).collect();
        Box::pin(ready(Ok(series.into_iter().cloned().collect())))
    }
}
