//! Every bound of the store in one place, with what happens when it is reached.

use std::time::Duration;

/// A refused span's payload in the quarantine; a longer one is cut.
pub const QUARANTINE_PAYLOAD_BYTES_MAX: usize = 64 << 10;

/// A provider's usage object as it is stored; a longer one is cut, and is no JSON any more.
pub const USAGE_TEXT_BYTES_MAX: usize = 8 << 10;

/// What is left of it without its numbers; a longer one is stored with them. Of all shapes seen the longest has 700 bytes.
pub const USAGE_TEMPLATE_BYTES_MAX: usize = 2 << 10;

/// Inserts at once; more wait within their senders' deadlines. More at once would not be faster on the engine's threads and
/// would make more parts at once.
pub const INSERTS_MAX: usize = 4;

/// One insert's answer. It outlives the request's deadline on purpose: an insert that was sent is finished.
pub const INSERT_WAIT: Duration = Duration::from_secs(60);

/// First wait between two attempts of an insert; doubled up to [`RETRY_WAIT_MAX`].
pub const RETRY_WAIT: Duration = Duration::from_millis(50);

/// Longest wait between two attempts of an insert.
pub const RETRY_WAIT_MAX: Duration = Duration::from_secs(2);

/// Stored spans of which one statement changes what is booked: about 100 bytes of it each, of the 256 KiB that ClickHouse reads.
pub const CHANGES_PER_STATEMENT_MAX: usize = 1_000;

/// Before the latest correction: those of this time are made again at a start, because the store may have been killed within them. An
/// insert takes a second at most where the store is not overloaded.
pub const COMPLETION_WINDOW: Duration = Duration::from_secs(10);

/// Spans that one read of the last hours may return.
pub const SIGHTS_PER_READ_MAX: u64 = 400_000;

/// Bytes of its response.
pub const SIGHTS_BYTES_MAX: usize = 128 << 20;

/// Bytes of the response of one read of stored calls.
pub const CALLS_BYTES_MAX: usize = 256 << 20;

/// One read of stored calls, or of sealed inserts.
pub const CALLS_WAIT: Duration = Duration::from_secs(300);

/// A sealed insert that was cut off is sent again within this time: the store must still know its parts by their token, and on a
/// cluster it remembers 10,000 inserts.
pub const SEALED_AGE_MAX: Duration = Duration::from_secs(2 * 3_600);

/// Spans of one trace that are shown; the first of them.
pub const SPANS_OF_TRACE_MAX: usize = 1_000;

/// A person waits so long for a page of calls; a filter that lets few of many through may take longer, and is told so.
pub const PAGE_WAIT: Duration = Duration::from_secs(20);

/// A connection to the store.
pub const CONNECT_WAIT: Duration = Duration::from_secs(5);

/// A statement of migrations and of start-up.
pub const STATEMENT_WAIT: Duration = Duration::from_secs(60);

/// Bytes of the response to anything but a read of series.
pub const STATEMENT_BYTES_MAX: usize = 16 << 20;

/// How long start-up waits for the store to answer at all.
pub const STORE_START_WAIT: Duration = Duration::from_secs(60);

/// Rows one read may return. The bytes of its response are the query's memory, charged as they come.
pub const ROWS_MAX: usize = 2_000_000;

/// Bytes one read may use in the store.
pub const READ_MEMORY_BYTES_MAX: u64 = 2 << 30;

/// The engine must answer `/ping` within this time of its start; recovery of a large store is most of it.
pub const ENGINE_START_WAIT: Duration = Duration::from_secs(60);

/// The engine has this long to close its store before it is killed.
pub const ENGINE_STOP_WAIT: Duration = Duration::from_secs(30);

/// The engine of a collector that was killed closes its store by itself; until then the data directory is its. A little
/// longer than it gives its statements to end.
pub const ENGINE_PREDECESSOR_WAIT: Duration = Duration::from_secs(40);

/// Between two looks whether it has.
pub const ENGINE_PREDECESSOR_LOOK: Duration = Duration::from_millis(200);

/// For the last lines of an engine that ended.
pub const ENGINE_LOG_WAIT: Duration = Duration::from_secs(2);

/// The pause before the first restart.
pub const ENGINE_PAUSE_FIRST: Duration = Duration::from_millis(100);

/// The longest pause before a restart.
pub const ENGINE_PAUSE_MAX: Duration = Duration::from_secs(30);

/// An engine that ran this long is healthy again: the next pause is the first one.
pub const ENGINE_HEALTHY_AFTER: Duration = Duration::from_secs(60);

/// Bytes of the dimensions' values that start-up reads: over a million of them. With more the caps count from zero, which is logged.
pub const DIMENSION_VALUES_BYTES_MAX: usize = 64 << 20;
