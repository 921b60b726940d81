//! Which values the dimensions of a tenant have, for ingest's caps.

use ledgerline_proto::dimension::Dimension;

use crate::Store;
use crate::client::{StoreError, at_most};
use crate::limits;
use crate::rows::{Select, select};

impl Store {
    /// The values of the last 90 days, as their XXH3 (64 bits, no seed): at most so many of each dimension. Read from the days'
    /// rollup, which is the smallest table that has them.
    pub async fn dimension_values(
        &self,
        tenant: &str,
        dimensions: &[Dimension],
        values_max: usize,
    ) -> Result<Vec<(Dimension, u64)>, StoreError> {
        let list = |quote: &str| {
            let names = dimensions.iter().map(|dimension| format!("{quote}{}{quote}", dimension.name()));
            names.collect::<Vec<_>>().join(", ")
        };
        let text = format!(
            "SELECT DISTINCT dimension, toString(xxh3(value)) FROM calls_day \
             ARRAY JOIN [{}] AS dimension, CAST([{}], 'Array(String)') AS value \
             WHERE tenant = {{tenant:String}} AND bucket > now() - INTERVAL 90 DAY AND value != '' \
             LIMIT {values_max} BY dimension",
            list("'"),
            list(""),
        );
        let parameters = vec![("tenant".to_owned(), tenant.to_owned())];
        let statement = Select { text, parameters, settings: Vec::new(), timeout: limits::STATEMENT_WAIT };
        let value = |row: Vec<String>| {
            let [dimension, hash] = row.as_slice() else { return None };
            Some((Dimension::from_name(dimension)?, hash.parse().ok()?))
        };
        let take = at_most(limits::DIMENSION_VALUES_BYTES_MAX);
        Ok(select(self.client(), &statement, take).await?.into_iter().filter_map(value).collect())
    }
}
