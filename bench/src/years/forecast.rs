//! Whether a budget's forecast would have held: what the collector says at each midnight of two years that a month will cost, against what it
//! cost. Both come over HTTP, as a dashboard asks.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use ledgerline_testkit::http::percent_encoded;
use serde_json::Value;

use super::store::Opened;
use super::world::{DAY_US, World};

/// Days of a month that are over when it is asked.
pub const AFTER: [usize; 3] = [5, 10, 20];

/// What was forecast of a month, in dollars, after each of [`AFTER`].
#[derive(Debug)]
pub struct Month {
    /// Its key.
    pub period: String,
    /// What it cost.
    pub truth: f64,
    /// Low, expected and high; nothing where it was not known.
    pub bands: [Option<[f64; 3]>; AFTER.len()],
}

impl Month {
    /// Whether a band holds what it cost.
    #[must_use]
    pub fn is_inside(&self, [low, _, high]: [f64; 3]) -> bool {
        (low..=high).contains(&self.truth)
    }
}

/// By period and band, the values at the midnights of the period, its last one among them.
type Series = BTreeMap<(String, String), Vec<(i64, f64)>>;

async fn series(store: &Opened, query: &str, (from_s, to_s): (i64, i64)) -> anyhow::Result<Series> {
    let path = format!("query_range?query={}&start={from_s}&end={to_s}&step=86400", percent_encoded(query));
    let (data, _) = store.ask(&path).await?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut found = Series::new();
    for one in data["result"].as_array().context("no result")? {
        let key = (text(&one["metric"]["period"]), text(&one["metric"]["band"]));
        let points = one["values"].as_array().context("no values")?.iter();
        let point = |point: &Value| Some((point[0].as_i64()?, point[1].as_str()?.parse().ok()?));
        found.insert(key, points.map(point).collect::<Option<_>>().context("no numbers")?);
    }
    Ok(found)
}

/// Asks for each whole month of the store.
///
/// # Errors
/// When the collector refuses a question or answers with something else.
pub async fn replay(store: &Opened, world: &World) -> anyhow::Result<Vec<Month>> {
    let day_s = DAY_US / 1_000_000;
    let range = ((world.first_day + 1) * day_s, (world.first_day + world.days - 2) * day_s);
    let spent = series(store, "llm_budget_spent_usd", range).await?;
    let forecasts = series(store, "llm_budget_forecast_usd", range).await?;
    let mut months = Vec::new();
    for ((period, _), midnights) in spent {
        // The first and the last month are cut; of a whole one the midnight that ends it is the last.
        let (Some((first_s, _)), Some((last_s, truth))) = (midnights.first(), midnights.last()) else {
            continue;
        };
        if midnights.len() < 28 || *last_s == range.1 {
            continue;
        }
        let band = |after: usize| {
            let at_s = first_s + (i64::try_from(after).ok()? - 1) * day_s;
            let of = |band: &str| {
                let points = forecasts.get(&(period.clone(), band.to_owned()))?;
                points.iter().find(|(time_s, _)| *time_s == at_s).map(|(_, usd)| *usd)
            };
            Some([of("low")?, of("expected")?, of("high")?])
        };
        let bands = AFTER.map(band);
        months.push(Month { period, truth: *truth, bands });
    }
    ensure!(months.len() > 12, "only {} whole months", months.len());
    Ok(months)
}
