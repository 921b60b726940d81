//! What every Ledgerline process is made of: a clock, a configuration file, logs, an admin port, an orderly end.
//!
//! Both binaries and the engine share this, so that they behave alike where a person meets them: the same words for
//! the same mistake, the same paths for health and metrics. It knows nothing about calls or money.

pub mod admin;
pub mod clock;
pub mod config;
pub mod lock;
pub mod logging;
pub mod shutdown;

pub use clock::{Clock, SystemClock};
