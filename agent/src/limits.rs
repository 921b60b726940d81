//! Every bound of the agent, with its arithmetic.
//!
//! The sidecar shares a pod with somebody's service, so its memory is a promise: below 40 MiB at 200 calls per second
//! with 100 open streams and no collector. Roughly: 8 MiB program and TLS roots, 100 connections on each side at
//! about 20 KiB, [`RelayLimits::observed_bytes_max`] in the worst case, and the spool.

use std::time::Duration;

/// Connections of clients at one time, where the file descriptors allow it. Each costs two of them and about 40 KiB while a call runs; more wait
/// in the kernel's backlog.
pub const CONNECTIONS_MAX: usize = 8_192;

/// File descriptors that are not for connections of clients and their upstreams: listeners, standard streams, the
/// runtimes, the collector, the admin port (64 connections), name lookups, and idle upstream connections.
pub const DESCRIPTORS_RESERVED: u64 = 96;

/// Size of a request head, and HTTP/1 read buffer: 256 KiB. No provider's edge takes more than half of it (Cloudflare
/// 128 KB, AWS 64 KB, nginx 32 KB), and a call must not be refused here that the provider would have answered.
pub const HEAD_BYTES_MAX: usize = 256 << 10;

/// Size of the head of an upstream's response: twice a request's, because the response may have been billed already.
pub const RESPONSE_HEAD_BYTES_MAX: usize = 2 * HEAD_BYTES_MAX;

/// Headers of one message, either way: the most that a common server takes by default (Node.js).
pub const HEADERS_MAX: usize = 2_000;

/// [`HEAD_BYTES_MAX`] as HTTP/2 counts it: 32 bytes more for each header (RFC 9113 section 6.5.2).
pub const HTTP2_HEADER_LIST_BYTES_MAX: u32 = (RESPONSE_HEAD_BYTES_MAX + 32 * HEADERS_MAX) as u32;

/// Concurrent streams of one HTTP/2 client connection, which may carry all calls of a service.
pub const HTTP2_STREAMS_MAX: u32 = 4_096;

/// HTTP/2 window of one stream: at 100 ms round trip 2.5 MB/s, hundreds of times the rate of tokens.
pub const HTTP2_STREAM_WINDOW_BYTES: u32 = 256 << 10;

/// HTTP/2 window of one connection, 256 stream windows: one slow reader must not stall its neighbours. Memory is only
/// what slow readers leave unread.
pub const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 64 << 20;

/// Longest wait for a request head, in HTTP/1 the idle time between two calls too. Longer than any client keeps an idle
/// connection (Go 90 s, `OkHttp` 300 s), so that no request meets our close on its way.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(600);

/// How often a client that has closed its sending side is asked, in 25 bytes, whether it still listens.
pub const HALF_CLOSED_ASK_EVERY: Duration = Duration::from_secs(2);

/// Idle upstream connections kept for reuse, per connection group.
pub const UPSTREAM_IDLE_MAX: usize = 128;

/// How long an idle upstream connection is kept: shorter than providers' edges do (60 s and more).
pub const UPSTREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(55);

/// Calls on one HTTP/2 connection to an upstream before another one is opened. Servers commonly allow 100 streams;
/// the 101st would wait for another call to end, which a direct client with HTTP/1.1 would never do.
pub const UPSTREAM_STREAMS_PER_LANE: usize = 90;

/// HTTP/2 connections to one upstream: 32 lanes x 90 streams are 2,880 calls before any of them shares beyond that.
pub const UPSTREAM_LANES: usize = 32;

/// Longest `connect_timeout_ms`: a client that waits longer for a connection has no use for it.
pub const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(60);

/// Longest drain and flush that can be configured, a day: far above any call, far below what a clock can add.
pub const STOP_TIMEOUT_MAX: Duration = Duration::from_secs(86_400);

/// Longest event that waits for its end in a stream from which usage is stripped; longer ones pass as they are.
pub const STRIP_HELD_BYTES_MAX: usize = 64 << 10;

/// Larger requests are not collected to ask for usage; their streams may be accounted without the provider's.
pub const INJECT_BODY_BYTES_MAX: u64 = 4 << 20;

/// How often a collected body may be in memory at once: in its frames, joined, and with the field spliced in.
pub const INJECT_COPIES: u64 = 3;

/// Memory for the requests collected at one time, 16 MiB: one of the largest (3 x 4 MiB), or 500 of 10 KiB. Beyond it
/// requests pass untouched instead of waiting.
pub const INJECT_BYTES_IN_FLIGHT_MAX: usize = 16 << 20;

/// Larger requests are read on a thread that does not forward: at about 1 GB/s this much takes 0.3 ms, the largest 4 ms.
pub const INJECT_INLINE_BYTES_MAX: usize = 256 << 10;

/// Models of one upstream of which it is remembered what became of our request for usage. Of more nothing is.
pub const INJECTION_MODELS_MAX: usize = 256;

/// Bytes of a model's name there; longer ones share one memory.
pub const INJECTION_MODEL_BYTES_MAX: usize = 256;

/// Refusals in a row, each taken back with success, after which a model is left alone although none said why.
pub const UNCLEAR_REFUSALS: u32 = 3;

/// After its client has gone, the rest of a finished stream is read for so long, because its usage comes last.
pub const DRAIN_WAIT: Duration = Duration::from_secs(2);

/// And so many bytes of it.
pub const DRAIN_BYTES_MAX: usize = 64 << 10;

/// Bytes read of a refusal, to see whether it names our field.
pub const REFUSAL_BYTES_MAX: usize = 64 << 10;

/// And for how long.
pub const REFUSAL_WAIT: Duration = Duration::from_secs(2);

/// How long a model that refused our request for usage is left alone and its streams are estimated.
pub const INJECTION_PAUSE: Duration = Duration::from_secs(300);

/// Chunks up to this size are copied for the worker, larger ones shared. A shared chunk pins the read buffer it is a slice
/// of (8 KiB and more): for 200 bytes 40 times what is counted, and a new buffer for the next read.
pub const OBSERVED_COPY_BYTES_MAX: usize = 2 << 10;

/// Unknown names below our reserved header prefix that are named in the log, each once; the counter has all of them.
pub const UNKNOWN_HEADERS_NAMED_MAX: usize = 16;

/// Longest part of such a name in the log.
pub const UNKNOWN_HEADER_BYTES_MAX: usize = 64;

/// Longest value of an identity header; more is cut at a character boundary.
pub const IDENTITY_VALUE_BYTES_MAX: usize = 256;

/// Calls in one export request: about 512 x 1 KiB, far below the 4 MiB a gRPC server takes by default.
pub const EXPORT_CALLS_MAX: usize = 512;

/// A request is sealed when its calls reach about this size, whatever their number.
pub const EXPORT_REQUEST_BYTES: usize = 1 << 20;

/// Compression of requests that wait: Zstandard's fastest regular level, 2 ms for a full request, once.
pub const SPOOL_COMPRESSION_LEVEL: i32 = 1;

/// A call waits at most this long for others to share its request: a fifteenth of the promised 3 s to be queryable.
pub const EXPORT_LINGER: Duration = Duration::from_millis(200);

/// Export requests on the way at one time: enough to fill a round trip of 100 ms, little enough to hold in memory.
pub const EXPORT_IN_FLIGHT_MAX: usize = 4;

/// Longest wait for the collector's response, which comes after its insert.
pub const EXPORT_TIMEOUT: Duration = Duration::from_secs(30);

/// First pause before a request is sent again; it doubles up to [`EXPORT_BACKOFF_MAX`], with jitter.
pub const EXPORT_BACKOFF_MIN: Duration = Duration::from_millis(100);

/// Longest pause before a request is sent again: the collector is found within 5 s of its return.
pub const EXPORT_BACKOFF_MAX: Duration = Duration::from_secs(5);

/// Largest response accepted from the collector. The real one has a few bytes; an exporter must not be fed to death.
pub const EXPORT_RESPONSE_BYTES_MAX: usize = 64 << 10;

/// At most one warning of a kind per this time; the counters have all of them.
pub const WARNING_EVERY: Duration = Duration::from_secs(60);

/// How long the observer rests when it has read everything that waits; its queue has room for 8 million events a second.
pub const OBSERVER_PAUSE: Duration = Duration::from_millis(2);

/// Events that the observer reads in a row before the export, which shares its thread, gets a turn.
pub const OBSERVER_BATCH_MAX: usize = 1_024;

/// How long the observer may take after the last call ended to read what is queued, before the export is flushed.
pub const OBSERVER_STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Bounds of the relay that a test may want others of.
#[derive(Clone, Copy, Debug)]
pub struct RelayLimits {
    /// Events between relay and worker. Two slots of every running call are reserved for its end and for a gap, so half
    /// of this is also the number of calls observed at once. An event is below 100 bytes: 1.6 MiB when full.
    pub observations_max: usize,
    /// Bytes of bodies between relay and worker, 8 MiB: 100 streams at 10 KiB/s fill it in 8 s of a stopped worker.
    pub observed_bytes_max: usize,
    /// An HTTP/2 connection to an upstream that was silent this long is pinged, also while no call runs on it: all calls may
    /// share one, so its silent death fails all of them until it is found.
    pub ping_interval: Duration,
    /// A connection that does not answer a ping this long is dead. Servers answer whatever the model does.
    pub ping_timeout: Duration,
}

impl RelayLimits {
    /// The product's.
    pub const PRODUCT: Self = Self {
        observations_max: 16_384,
        observed_bytes_max: 8 << 20,
        ping_interval: Duration::from_secs(15),
        ping_timeout: Duration::from_secs(10),
    };
}

/// Calls under way at once in the worker; the relay reserves two places in its queue for each that it observes. Below
/// 1 KiB each without what `held_bytes_max` bounds: 8 MiB.
const OPEN_CALLS_MAX: usize = 8_192;

/// Bounds of the worker. A call that needs more is still recorded, with less detail.
#[derive(Clone, Copy, Debug)]
pub struct WorkerLimits {
    /// Calls under way at once; beyond it the oldest is recorded before its end, and counted.
    pub open_calls_max: usize,
    /// Memory of bodies of all calls under way: of requests until the response begins, of documents until they end, of
    /// streams one event. Beyond it the call that asks for more loses its details.
    pub held_bytes_max: usize,
    pub request_bytes_max: usize,
    /// Bytes of one event of a stream. The last event of a response repeats all of it.
    pub event_bytes_max: usize,
    /// Calls whose providers work on in the background, at most 1 KiB each; beyond it the oldest goes without usage.
    pub background_calls_max: usize,
    /// How long such a call is waited for: the longest research takes an hour, and its result is fetched soon after.
    pub background_age_ns_max: u64,
    pub decode: DecodeLimits,
}

/// Bounds of decoding one response.
#[derive(Clone, Copy, Debug)]
pub struct DecodeLimits {
    pub output_bytes_max: u64,
    /// Decoded bytes per encoded byte; counts from `expansion_free_bytes` on.
    pub expansion_max: u64,
    /// Decoded bytes that are allowed whatever their proportion: small responses full of repetition are normal.
    pub expansion_free_bytes: u64,
}

impl Default for WorkerLimits {
    fn default() -> Self {
        Self {
            open_calls_max: OPEN_CALLS_MAX,
            held_bytes_max: 12 << 20,
            request_bytes_max: 4 << 20,
            event_bytes_max: 4 << 20,
            background_calls_max: 4_096,
            background_age_ns_max: 6 * 3_600 * 1_000_000_000,
            decode: DecodeLimits::default(),
        }
    }
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self { output_bytes_max: 32 << 20, expansion_max: 200, expansion_free_bytes: 1 << 20 }
    }
}

// Bounds that depend on each other agree, or nothing compiles.
const _: () = {
    assert!(INJECT_BODY_BYTES_MAX * INJECT_COPIES <= INJECT_BYTES_IN_FLIGHT_MAX as u64);
    assert!(HTTP2_CONNECTION_WINDOW_BYTES >= 100 * HTTP2_STREAM_WINDOW_BYTES);
    assert!(RelayLimits::PRODUCT.ping_interval.as_secs() < UPSTREAM_IDLE_TIMEOUT.as_secs());
    assert!(EXPORT_BACKOFF_MIN.as_millis() < EXPORT_BACKOFF_MAX.as_millis());
    assert!(OBSERVED_COPY_BYTES_MAX < RelayLimits::PRODUCT.observed_bytes_max);
    assert!(2 * OPEN_CALLS_MAX >= RelayLimits::PRODUCT.observations_max);
};
