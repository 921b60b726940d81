//! The bounds of what all processes share: sockets, TLS, retries of accept. What differs by process is in its own `limits.rs`.

use std::time::Duration;

/// The kernel's queue of connections not yet accepted: it carries the moments when a port is at its limit.
pub const LISTEN_BACKLOG: i32 = 1_024;

/// Pause after the operating system refuses to accept (no file descriptors), which passes when connections end.
pub const ACCEPT_RETRY: Duration = Duration::from_millis(20);

/// At most one warning per this time about connections that cannot be accepted; the counter has all of them.
pub const ACCEPT_WARNING_EVERY: Duration = Duration::from_secs(60);

/// TCP keep-alive on both sides: finds peers that vanished without a word.
pub const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// What a peer's kernel does not acknowledge this long is lost, and so is the connection: our kernel's own patience is 15
/// minutes. It also bounds how long a peer may refuse to read on, which a loaded server does for seconds.
pub const TCP_UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(120);

/// TLS handshake of a client: two round trips and a signature.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Certificate files are looked at for changes at most this often, when a client connects.
pub const CERTIFICATE_CHECK_EVERY: Duration = Duration::from_secs(10);

/// When a port is told to stop, connections get this long to be accepted and to speak before idle ones are closed.
pub const SETTLE_BEFORE_DRAIN: Duration = Duration::from_millis(100);

/// For a request head to a port for programs and people; the first one from accept, the TLS handshake included.
pub const HEADER_READ_WAIT: Duration = Duration::from_secs(10);

/// HTTP/2 streams on one connection of such a port.
pub const STREAMS_MAX: u32 = 100;

/// Header bytes of one HTTP/2 request to such a port.
pub const HEADER_BYTES_MAX: u32 = 64 << 10;

/// A silent HTTP/2 connection is asked whether it is alive this often, and closed when it does not answer for as long.
pub const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// A connection without a request is not closed for others before it had this long: a client that has just connected sends
/// within a round trip. It is also what a client waits for a place on a port that strangers have filled.
pub const EVICTION_IDLE_MIN: Duration = Duration::from_millis(500);

/// How long a connection that makes room, or at a port's end has not sent a whole request head, may take to end in order.
pub const EVICTION_GRACE: Duration = Duration::from_secs(1);

/// Connections to the admin port of a process that has no other: people, a prober and two Prometheus servers.
pub const ADMIN_CONNECTIONS_MAX: usize = 64;

/// How long requests to an admin port may take to finish when the process ends: each is answered from memory.
pub const ADMIN_DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Deadline of one batch of our own spans, its connection included, and of the last one when a process ends.
pub const TELEMETRY_WAIT: Duration = Duration::from_secs(5);

/// Bytes of an answer to our own spans that are read; it says little more than that they came.
pub const TELEMETRY_RESPONSE_BYTES_MAX: usize = 64 << 10;

/// At most one warning per this time that our own spans cannot be sent: a batch is tried every few seconds.
pub const TELEMETRY_WARNING_EVERY: Duration = Duration::from_secs(300);
