//! Brings finished calls to the collector, each exactly once in its books.
//!
//! [`spool`] keeps what is not acknowledged and seals calls into requests; [`sender`] sends a sealed request, the same
//! bytes under the same identity, until the collector responds. Acknowledged means stored: the collector acknowledges after
//! its insert. What can be lost is bounded, counted and named by reason.

mod codec;
pub(crate) mod credential;
mod fault;
mod sender;
mod spool;

pub use sender::Sender;
pub use spool::Spool;
