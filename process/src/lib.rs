//! What every Ledgerline process is made of: clock, configuration file, logs, serving, TLS, retries, an orderly end.
//!
//! Both binaries and the engine share this, so that they behave alike where a person meets them. It knows nothing about
//! calls or money.

pub mod addresses;
pub mod admin;
pub mod backoff;
pub mod clock;
pub mod config;
pub mod connect;
pub mod descriptors;
pub mod error;
pub mod host;
pub mod limits;
pub mod lock;
pub mod logging;
pub mod serve;
pub mod shutdown;
pub mod telemetry;
pub mod throttle;
pub mod tls;

pub use clock::{Clock, SystemClock};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the mutex holds, also after a panic under it: for what no panic leaves in disorder.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
