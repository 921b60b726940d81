//! Every bound of the store in one place, with what happens when it is reached.

use std::time::Duration;

/// A refused span's payload in the quarantine; a longer one is cut.
pub const QUARANTINE_PAYLOAD_BYTES_MAX: usize = 64 << 10;

/// Inserts at once; more wait within their senders' deadlines. More at once would not be faster on the engine's threads and
/// would make more parts at once.
pub const INSERTS_MAX: usize = 4;

/// One insert's answer. It outlives the request's deadline on purpose: an insert that was sent is finished.
pub const INSERT_WAIT: Duration = Duration::from_secs(60);

/// First wait between two attempts of an insert; doubled up to [`RETRY_WAIT_MAX`].
pub const RETRY_WAIT: Duration = Duration::from_millis(50);

/// Longest wait between two attempts of an insert.
pub const RETRY_WAIT_MAX: Duration = Duration::from_secs(2);

/// A connection to the store.
pub const CONNECT_WAIT: Duration = Duration::from_secs(5);

/// A statement of migrations and of start-up.
pub const STATEMENT_WAIT: Duration = Duration::from_secs(60);

/// Bytes of an answer to anything but a read of the query layer.
pub const ANSWER_BYTES_MAX: usize = 16 << 20;

/// How long start-up waits for the store to answer at all.
pub const STORE_START_WAIT: Duration = Duration::from_secs(60);
