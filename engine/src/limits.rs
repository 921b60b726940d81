//! Every bound of the engine's HTTP side, in one place, so that "what happens under load" is one page to read.
//!
//! ClickHouse bounds its own work (memory per query, threads, rows); these bound what sits in front of it. None of them may
//! be reached silently: each overflow is a refusal with a text that says which bound it was.

use std::time::Duration;

/// Statements that run at once, unless `--max-connections` says otherwise. Each runs on its own thread and connection.
pub const CONNECTIONS: usize = 8;

/// The most `--max-connections` may ask for.
pub const CONNECTIONS_MAX: usize = 256;

/// Requests that may wait for a free connection. The next one is refused at once with 503.
pub const WAITING_REQUESTS_MAX: usize = 256;

/// How long a request waits for a free connection before 503.
pub const ADMISSION_WAIT: Duration = Duration::from_secs(30);

/// TCP connections accepted at once. Above it `accept` waits and the kernel's backlog holds the rest.
pub const SOCKETS_MAX: usize = 1024;

/// A client has this long to send its next request head. Also the idle time of a kept connection, so longer than the pools of
/// clients keep one (hyper's 90 s): a POST on a connection that closes under it fails.
pub const HEADER_READ_WAIT: Duration = Duration::from_secs(300);

/// A request body may pause this long between two pieces.
pub const BODY_STALL_WAIT: Duration = Duration::from_secs(60);

/// A client that stops reading its response for this long loses it, and its query is cancelled.
pub const RESPONSE_STALL_WAIT: Duration = Duration::from_secs(60);

/// After an error in the middle of a response: time for the last bytes to leave before the connection is cut.
pub const ABORT_FLUSH_WAIT: Duration = Duration::from_millis(100);

/// Pieces of a response between the engine's thread and the socket.
pub const RESPONSE_PIECES_MAX: usize = 4;

/// Request bytes read and thrown away after an early error, so that the client gets to read the answer.
pub const DRAIN_BYTES_MAX: usize = 16 << 20;

/// The text of one statement, without the data of an INSERT. ClickHouse's own `max_query_size` (256 KiB) applies below it.
pub const STATEMENT_BYTES_MAX: usize = 16 << 20;

/// How much of a body is searched for the place where an INSERT's text ends and its data begins.
pub const INSERT_HEAD_BYTES_MAX: usize = 1 << 20;

/// Response bytes buffered before the head is sent. A result that fits has an exact summary, a length and a true status.
pub const RESPONSE_BUFFER_BYTES: u64 = 1 << 20;

/// The most a response may buffer with `wait_end_of_query=1` or `buffer_size`, in memory and file together.
pub const RESPONSE_SPILL_BYTES_MAX: u64 = 16 << 30;

/// The part of a buffered response that may be in memory.
pub const RESPONSE_MEMORY_BYTES_MAX: usize = 16 << 20;

/// One block of ClickHouse's compressed framing, compressed or decompressed, that we accept.
pub const COMPRESSED_BLOCK_BYTES_MAX: usize = 128 << 20;

/// One block of ClickHouse's compressed framing that we write (its `max_compress_block_size`).
pub const COMPRESSED_BLOCK_BYTES: usize = 1 << 20;

/// Buffer behind a body decoder, and the largest piece handed to the insert at once.
pub const DECODE_BUFFER_BYTES: usize = 256 << 10;

/// Named sessions (`session_id`) kept at once.
pub const SESSIONS_MAX: usize = 256;

/// A session lives this long after its last request unless `session_timeout` says otherwise.
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(60);

/// The longest `session_timeout` (ClickHouse's `max_session_timeout`).
pub const SESSION_TIMEOUT_MAX: Duration = Duration::from_secs(3600);

/// A query that must die is killed again this often until it is gone.
pub const CANCEL_RETRY: Duration = Duration::from_millis(50);

/// Running statements get this long at shutdown before they are cancelled.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// Cancelled statements get this long to end before the process gives up on a clean close.
pub const SHUTDOWN_CANCEL_WAIT: Duration = Duration::from_secs(20);
