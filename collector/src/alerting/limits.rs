//! The bounds of alerting: how much a broken rule, a flood of series or a dead receiver may take from the collector.
//! Each bound has a counter or a clear error where it is hit; none is silent.

use std::time::Duration;

/// Bytes of one rule file. Prometheus' largest public rule packs are about 300 KiB.
pub const RULE_FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Series one rule may return. At about 1 KiB per alert this keeps one rule below 10 MiB.
pub const SERIES_PER_RULE_MAX: usize = 10_000;

/// Queries of all groups together that run at once. Every group with one interval wakes on the same grid point,
/// so this keeps a rule pack from taking the store away from the people who watch dashboards.
pub const CONCURRENT_QUERIES_MAX: usize = 4;

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
