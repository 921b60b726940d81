//! A source that holds its series in memory, for tests of everything above the store. One tenant sees only its own series.

use std::collections::BTreeSet;
use std::future::ready;

use ledgerline_promql::source::{BoxFuture, Scope, SeriesFilter, SeriesSource, SourceError, Tenant};
use ledgerline_promql::{Grouping, Labels, Matcher, Samples, SelectorRequest, Series};

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

    fn of(&self, tenant: &Tenant) -> impl Iterator<Item = &Series> {
        self.series.iter().filter(move |(owner, _)| owner == tenant).map(|(_, series)| series)
    }
}

fn all_match(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|matcher| matcher.matches(labels.get(&matcher.name)))
}

impl SeriesSource for MemorySource {
    fn select<'a>(
        &'a self,
        scope: &'a Scope,
        request: &'a SelectorRequest,
    ) -> BoxFuture<'a, Result<Vec<Series>, SourceError>> {
        let all = self.of(&scope.tenant);
        let found = all.filter(|series| all_match(&request.matchers, &series.labels)).cloned().collect();
        Box::pin(ready(Ok(found)))
    }

    fn labels<'a>(
        &'a self,
        scope: &'a Scope,
        filter: &'a SeriesFilter,
        _: Option<Grouping>,
    ) -> BoxFuture<'a, Result<BTreeSet<Labels>, SourceError>> {
        let inside = |time: i64| {
            filter.start_ms.is_none_or(|start| time > start) && filter.end_ms.is_none_or(|end| time <= end)
        };
        let alive = |samples: &Samples| match samples {
            Samples::Delta(increments) => increments.times_ms.iter().any(|time| inside(*time)),
            Samples::Points(points) => points.iter().any(|point| inside(point.time_ms)),
        };
        let all = self.of(&scope.tenant);
        let accepts = |labels: &Labels| {
            let any = &filter.any_of;
            any.is_empty() || any.iter().any(|matchers| all_match(matchers, labels))
        };
        let found = all.filter(|series| accepts(&series.labels) && alive(&series.samples));
        Box::pin(ready(Ok(found.map(|series| series.labels.clone()).collect())))
    }
}
