//! The table `sealed`: inserts of corrections that are kept before they are sent.
//!
//! An insert reaches a table and its views one after the other. One that was cut off in between is completed by a repeat of the same
//! bytes under the same token: each of the tables drops what it has. Of a request the sender has the bytes; of a command's corrections
//! they stand here, because what they were made of (prices, bookings) may have changed when the command runs again.

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use serde::Deserialize;
use xxhash_rust::xxh3::xxh3_128;

use crate::Store;
use crate::client::{StoreError, at_most};
use crate::corrections::{self, CorrectionRow};
use crate::limits;
use crate::native::{self, Cells, Column};
use crate::rows::{Select, select};

/// The name of the table.
pub const TABLE: &str = "sealed";

/// A finished insert into `corrections`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Names it.
    pub token: String,
    /// Rows in it.
    pub rows: usize,
    /// What is sent.
    pub block: Bytes,
}

impl Sealed {
    /// Corrections for the reason that `batch` names. Named after both, so that what else the reason brings is another insert.
    pub fn of(batch: u128, rows: &[CorrectionRow]) -> Self {
        let content = xxh3_128(&native::block(corrections::named_by(), rows));
        Self {
            token: format!("{batch:032x}-corrections-{content:032x}"),
            rows: rows.len(),
            block: Bytes::from(native::block(corrections::COLUMNS, rows)),
        }
    }
}

/// A sealed insert before or after it was stored.
#[derive(Clone, Debug)]
pub struct SealedRow {
    /// The insert.
    pub sealed: Sealed,
    /// It has been stored.
    pub is_booked: bool,
    /// Milliseconds since the epoch.
    pub at_ms: i64,
}

/// The columns of `sealed`, in the table's order.
pub const COLUMNS: &[Column<SealedRow>] = &[
    column("token", Cells::String(|row| &row.sealed.token)),
    column("is_booked", Cells::U8(|row| row.is_booked)),
    column("row_count", Cells::U64(|row| row.sealed.rows as u64)),
    column("block", Cells::Bytes(|row| if row.is_booked { &[] } else { &row.sealed.block })),
    column("at", Cells::DateTime64Millis(|row| row.at_ms)),
];

const fn column(name: &'static str, cells: Cells<SealedRow>) -> Column<SealedRow> {
    Column { name, cells }
}

/// An insert that was sealed and not finished.
#[derive(Clone, Debug)]
pub struct Unfinished {
    /// To be sent again.
    pub sealed: Sealed,
    /// When it was sealed, milliseconds since the epoch.
    pub at_ms: i64,
}

/// Whether an insert was stored cannot be told any more by sending it again: the tables may have forgotten its name.
#[derive(Debug, thiserror::Error)]
#[error(
    "the corrections {token} were cut off {} hours ago, and whether all of them are booked cannot be told any more by sending them again. \
     Compare spend_minute with spend_record over the time of that run, and then mark them: \
     INSERT INTO sealed (token, is_booked, at) VALUES ('{token}', 1, now64(3))",
    age.as_secs() / 3_600
)]
pub struct TooOld {
    /// Names the insert.
    token: String,
    age: Duration,
}

impl Unfinished {
    /// Whether it may be sent again, at this time in milliseconds since the epoch.
    pub fn may_be_sent(&self, now_ms: i64) -> Result<(), TooOld> {
        let age = Duration::from_millis(u64::try_from(now_ms - self.at_ms).unwrap_or(0));
        if age > limits::SEALED_AGE_MAX {
            return Err(TooOld { token: self.sealed.token.clone(), age });
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct UnfinishedCells {
    token: String,
    rows: usize,
    block: String,
    at_ms: i64,
}

impl Store {
    /// The inserts that were cut off, or are under way, the oldest first.
    pub async fn unfinished(&self) -> Result<Vec<Unfinished>, StoreError> {
        let statement = Select {
            text: "SELECT token, row_count, base64Encode(block), toUnixTimestamp64Milli(at) FROM sealed WHERE is_booked = 0 \
                   AND token NOT IN (SELECT token FROM sealed WHERE is_booked = 1) ORDER BY at, token"
                .to_owned(),
            parameters: Vec::new(),
            settings: vec![("max_memory_usage", limits::READ_MEMORY_BYTES_MAX)],
            timeout: limits::CALLS_WAIT,
        };
        let rows: Vec<UnfinishedCells> =
            select(self.client(), &statement, at_most(limits::CALLS_BYTES_MAX)).await?;
        let unfinished = |UnfinishedCells { token, rows, block, at_ms }: UnfinishedCells| {
            let block =
                BASE64_STANDARD.decode(&block).map_err(|error| StoreError::Response(error.to_string()))?;
            Ok(Unfinished { sealed: Sealed { token, rows, block: block.into() }, at_ms })
        };
        rows.into_iter().map(unfinished).collect()
    }
}
