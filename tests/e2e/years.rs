//! Whether two years of money stay the same money when the spans and the minutes of it are gone. `make years` asks the same of a store of
//! full size.

use ledgerline_bench::years::store::{Opened, make};
use ledgerline_bench::years::world::{DAY_US, World};
use ledgerline_bench::years::{ledger, now_us};

/// Scenario: two years of calls and corrections of 480 label sets and two tenants are inserted, and what is older than the tables keep it is
/// dropped; then windows of 12 time zones: their days, weeks and months, the days on which their clocks change, and times on no boundary.
/// Guarantees: for calls, unpriced calls, tokens, cost and corrections, the record, each rollup and PromQL over HTTP say what plain
/// arithmetic says, to the pico-dollar; where times were moved, the answer says so.
#[tokio::test]
async fn two_years_add_up_in_every_time_zone() {
    let directory = tempfile::Builder::new().prefix("ledgerline-years-").tempdir().unwrap();
    let data = directory.path().join("data");
    let world = World::until(now_us() / DAY_US, 40, 3, 100);
    make(&data, &world, |_| {}).await.unwrap();
    let store = Opened::at(&data).await.unwrap();
    let report = ledger::check(&store, &world, 120, 1).await.unwrap();
    store.close().await.unwrap();
    assert!(report.moved > 5 && report.windows == 120, "{report:?}");
    assert!(["minute", "record", "PromQL"].iter().all(|who| report.sums[who] > 20), "{report:?}");
}
