//! Every bound of the collector in one place, with what happens when it is reached: of ingest, of queries and of alerting. Those
//! of the language are in `ledgerline_promql::limits`, those of the store in `ledgerline_store::limits`.
//!
//! No bound is reached silently: each one answers the sender, counts, or both.

use std::ops::RangeInclusive;
use std::time::Duration;

/// A request body as it arrives. Above: 413 or INVALID_ARGUMENT, which no client repeats (some repeat RESOURCE_EXHAUSTED).
pub const REQUEST_BYTES_MAX: usize = 16 << 20;

/// A request body decompressed. OTLP recommends 4 MiB; spans with long attributes need more. Above: 413 or INVALID_ARGUMENT.
pub const DECODED_BYTES_MAX: usize = 64 << 20;

/// Memory that requests may hold at once. Above: 503 or UNAVAILABLE, and the client repeats.
pub const IN_FLIGHT_BYTES_MAX: usize = 256 << 20;

/// How often a decompressed byte is counted against [`IN_FLIGHT_BYTES_MAX`]: the byte, the span made of it, the block.
pub const MEMORY_PER_DECODED_BYTE: usize = 3;

/// Spans in one request. Above: 413 or INVALID_ARGUMENT. A span is two bytes at least and a thousand times that in memory.
pub const SPANS_MAX: usize = 65_536;

/// The largest window a zstd frame may ask for, 8 MiB: what RFC 8878 asks receivers to support, and no more.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// A body larger than this is decompressed and decoded on a thread of its own, so that it does not stall its neighbours.
pub const INLINE_DECODE_BYTES_MAX: usize = 64 << 10;

/// Attributes kept of one span. What is not kept, for this or for its name, is counted in the attribute
/// [`DROPPED_ATTRIBUTES`] and by name in a metric.
pub const ATTRIBUTES_MAX: usize = 256;

/// Bytes of an attribute's name. A longer one is dropped and counted.
pub const ATTRIBUTE_NAME_BYTES_MAX: usize = 256;

/// Bytes of an attribute's value as text. A longer text is cut; a list or map whose JSON is longer is dropped and counted.
pub const ATTRIBUTE_VALUE_BYTES_MAX: usize = 64 << 10;

/// Bytes of a text that is a dimension, a model's or a span's name: they become dictionaries and labels.
pub const NAME_BYTES_MAX: usize = 256;

/// Lists and maps within each other in an attribute's value; what is deeper is dropped and counted.
pub const ATTRIBUTE_DEPTH_MAX: usize = 16;

/// Names that the metric of dropped attributes tells apart; the rest is `other`.
pub const DROPPED_NAME_LABELS_MAX: usize = 100;

/// Bytes of a dropped attribute's name that becomes a label; a longer one is `other`.
pub const DROPPED_NAME_BYTES_MAX: usize = 64;

/// Parts of a dropped attribute's name that its label shows.
pub const DROPPED_NAME_PARTS_MAX: usize = 4;

/// Values of one dimension of one tenant, unless the configuration says otherwise. What comes beyond is `other`.
pub const DIMENSION_VALUES: usize = 10_000;

/// The most that the configuration may allow: 7 dimensions of 16 bytes a value are 112 MB for a tenant.
pub const DIMENSION_VALUES_MAX: usize = 1_000_000;

/// The attribute that says how many were dropped.
pub const DROPPED_ATTRIBUTES: &str = "ledgerline.dropped_attributes";

/// A span may have ended this long ago. Older ones are quarantined: one insert must not touch hundreds of partitions, and
/// the minutes they belong to are past their time-out.
pub const SPAN_AGE_MAX: Duration = Duration::from_secs(31 * 24 * 3600);

/// A span may end this far in the future: clocks differ. What ends later counts at its receipt.
pub const SPAN_LEAD_MAX: Duration = Duration::from_secs(10);

/// The attribute that says by how much the clock of a span's sender differs, where it counts at its receipt for that.
pub const CLOCK_SKEW: &str = "ledgerline.clock_skew_ms";

/// 2024-01-01: a clock that shows less was never set. What ends before counts at its receipt.
pub const CLOCK_SET_SINCE_UNIX_NS: u64 = 1_704_067_200_000_000_000;

/// The longest call. A longer one has no known duration: one such span would spoil the sums of its day.
pub const CALL_DURATION_MAX: Duration = Duration::from_secs(24 * 3600);

/// The time to the first token may exceed the duration by so much: senders take the two from different clocks.
pub const FIRST_TOKEN_SLACK: Duration = Duration::from_secs(1);

/// Tokens of one class in one call. More is a defect of the sender that would spoil every sum: quarantined.
pub const TOKENS_MAX: u64 = 1_000_000_000_000;

/// What is remembered of spans so that a call is billed once. The oldest are forgotten beyond it, and counted: each may be
/// billed twice if it is seen again. For an hour this holds 510 plain spans a second, or 165 calls.
pub const SIGHTINGS_BYTES_MAX: usize = 64 << 20;

/// How long a span is remembered after it came: an hour for those that come late, and one for what they wait for.
pub const SIGHTINGS_WINDOW: Duration = Duration::from_secs(2 * 3600);

/// Calls are repriced so long after they came: until then ingest may book them otherwise, and some of that may be under way.
pub const REPRICE_AFTER: Duration = Duration::from_secs(2 * 3600 + 600);

/// Calls that are repriced at once, and booked by one insert: about 150 MiB of memory.
pub const REPRICE_CALLS: u64 = 10_000;

/// From the first to the last of them: an insert may not touch more than 100 days.
pub const REPRICE_SPAN: Duration = Duration::from_secs(31 * 24 * 3600);

/// An insert of corrections is repeated for this long; the engine may have to start again meanwhile.
pub const REPRICE_INSERT_WAIT: Duration = Duration::from_secs(600);

/// A request without a deadline of its own is answered within this time.
pub const REQUEST_WAIT: Duration = Duration::from_secs(30);

/// The longest deadline a client may ask for.
pub const REQUEST_WAIT_MAX: Duration = Duration::from_secs(120);

/// What a client is told to wait after a transient refusal.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A client has this long to send a request body.
pub const BODY_READ_WAIT: Duration = Duration::from_secs(30);

/// How long a browser may remember that a page of some origin may send.
pub const PREFLIGHT_AGE_MAX: Duration = Duration::from_secs(3600);

/// Bytes of a refused body that are read and thrown away, so that its sender reads the refusal.
pub const DISCARD_BYTES_MAX: usize = 64 << 20;

/// Connections on one port, where the file descriptors allow it. Above it the longest one that has not sent a request is
/// closed; where all have, the kernel's backlog holds the rest.
pub const CONNECTIONS_MAX: usize = 1024;

/// File descriptors that are not for connections of clients: listeners, standard streams, the engine, connections to the
/// store and to receivers, files.
pub const DESCRIPTORS_RESERVED: u64 = 128;

/// Ports that share the descriptors.
pub const PORTS: u64 = 3;

/// The first pause before the spans of the last hours are read again, after a start at which they could not be.
pub const RECOVERY_PAUSE_MIN: Duration = Duration::from_millis(200);

/// The longest. There is no end to it: a call that is billed twice cannot be told from one that is billed right.
pub const RECOVERY_PAUSE_MAX: Duration = Duration::from_secs(10);

/// A request that comes before they are read waits for so long; then its sender is told to repeat it.
pub const RECOVERY_WAIT: Duration = Duration::from_secs(10);

/// A request that holds what another one needs is looked at again this often, beside being waited for.
pub const CONFLICT_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// So long after a request's end it is not known whether it was stored, the store is asked. Longer than a sender pauses before it
/// repeats, and than an insert takes.
pub const DOUBT_WAIT: Duration = Duration::from_secs(120);

/// Requests under way may finish for this long after a signal to stop.
pub const SHUTDOWN_WAIT: Duration = Duration::from_secs(20);

/// How often the store is asked whether it is there.
pub const STORE_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The time a query may take when the client names none, and the most it may name.
pub const TIMEOUT_MS_DEFAULT: u64 = 30_000;

/// Queries evaluated at once; more wait within their own deadline.
pub const CONCURRENT_QUERIES_MAX: usize = 16;

/// Hours, days, weeks or months that one report of spend is cut into: three years of days.
pub const PERIODS_MAX: usize = 1_100;

/// Days or hours that such a report is read by: thirty years of days.
pub const DAYS_MAX: usize = 11_000;

/// Tables that one report of spend is made of.
pub const TABLES_MAX: usize = 8;

/// Calls of a page, unless the request says otherwise.
pub const CALLS_OF_PAGE: usize = 50;

/// The most it may ask for.
pub const CALLS_OF_PAGE_MAX: usize = 500;

/// Rules of one name of which is said what they have seen.
pub const SEEN_RULES_MAX: usize = 8;

/// Series of each of them.
pub const SEEN_SERIES_MAX: usize = 12;

/// Budgets of all documents. Each is evaluated for each of its thresholds.
pub const BUDGETS_MAX: usize = 1_000;

/// Moments at which a query reads one budget.
pub const BUDGET_POINTS_MAX: usize = 50_000;

/// Days that a forecast learns from: 26 weeks.
pub const FORECAST_DAYS_MAX: usize = 182;

/// How long a rolling window of a budget may be, milliseconds: from a minute to 400 days.
pub const ROLLING_MS: RangeInclusive<i64> = 60_000..=400 * 86_400_000;

/// Selectors in one query; each is a statement.
pub const SELECTORS_MAX: usize = 64;

/// Bytes of one rule file. Prometheus' largest public rule packs are about 300 KiB.
pub const RULE_FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Series one rule may return. At about 1 KiB per alert this keeps one rule below 10 MiB.
pub const SERIES_PER_RULE_MAX: usize = 10_000;

/// Queries that the texts of one rule's alerts may ask at one evaluation: a rule with more alerts than that needs no text of its own for
/// each.
pub const TEMPLATE_QUERIES_MAX: usize = 100;

/// Queries of all groups together that run at once. Every group with one interval wakes on the same grid point,
/// so this keeps a rule pack from taking the store away from the people who watch dashboards.
pub const RULE_QUERIES_MAX: usize = 4;

/// Notifications waiting for one receiver. As in Prometheus; about 20 MiB at 2 KiB each.
pub const OUTBOX_NOTIFICATIONS_MAX: usize = 10_000;

/// Alerts in one request to an Alertmanager, as in Prometheus.
pub const ALERTS_PER_REQUEST_MAX: usize = 64;

/// Bytes read of a receiver's answer; the rest is not read and the connection is dropped.
pub const RESPONSE_BYTES_MAX: usize = 64 * 1024;

/// A notification that could not be delivered for this long is dropped and counted.
pub const NOTIFICATION_AGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// A connection to a receiver, name lookup and TLS included. A receiver's `timeout_ms` covers it too.
pub const CONNECT_WAIT: Duration = Duration::from_secs(10);

/// First wait after a failed delivery; doubles up to [`BACKOFF_MAX`].
pub const BACKOFF_MIN: Duration = Duration::from_secs(1);

/// Longest wait between two attempts of one receiver.
pub const BACKOFF_MAX: Duration = Duration::from_secs(300);

/// How long shutdown waits for one last delivery to each receiver.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(5);

/// How long a resolved alert is kept and sent again, so that an Alertmanager that was away hears of it. As in Prometheus.
pub const RESOLVED_RETENTION: Duration = Duration::from_secs(15 * 60);
