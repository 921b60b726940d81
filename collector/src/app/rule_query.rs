//! Lets rules ask what dashboards ask: the same evaluator, the same bounds, the same numbers.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use ledgerline_promql::source::Tenant;
use ledgerline_promql::{QueryParams, QueryValue};

use crate::alerting::{InstantQuery, Labels, Sample, UnixMs};
use crate::query::querier::Querier;

/// Evaluates the rules of one tenant.
pub(super) struct RuleQuery {
    pub(super) querier: Arc<Querier>,
    pub(super) tenant: Tenant,
    /// The longest time of one query.
    pub(super) timeout: Duration,
}

impl InstantQuery for RuleQuery {
    fn query<'a>(&'a self, expr: &'a str, at: UnixMs) -> BoxFuture<'a, Result<Vec<Sample>, String>> {
        async move {
            let params = QueryParams::Instant { time_ms: at.0 };
            let scope = self.querier.scope(self.tenant.clone(), self.timeout);
            let answer = self.querier.run(&scope, expr, params).await;
            samples(answer.map_err(|error| error.to_string())?.value)
        }
        .boxed()
    }
}

fn samples(value: QueryValue) -> Result<Vec<Sample>, String> {
    let labels = |labels: &ledgerline_promql::Labels| {
        labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    match value {
        QueryValue::Scalar(point) => Ok(vec![Sample { labels: Labels::new(), value: point.value.to_f64() }]),
        QueryValue::Vector(vector) => Ok(vector
            .iter()
            .map(|one| Sample { labels: labels(&one.labels), value: one.point.value.to_f64() })
            .collect()),
        QueryValue::Text { .. } | QueryValue::Matrix(_) => {
            Err("the expression yields neither a number nor an instant vector".to_owned())
        }
    }
}
