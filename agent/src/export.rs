//! Brings finished calls to the collector, each exactly once in its books.
//!
//! [`spool`] keeps what is not acknowledged and seals calls into requests; [`sender`] sends each, the same bytes under the
//! same identity, until the collector has stored it. What can be lost is bounded, counted and named by reason.

mod codec;
pub(crate) mod credential;
mod fault;
mod sender;
mod spool;

pub use sender::Sender;
pub use spool::Spool;
