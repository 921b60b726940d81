//! Brings finished calls to the collector, each exactly once in its books.
//!
//! [`spool`] keeps what is not acknowledged and seals calls into requests; [`sender`] sends a sealed request, the same
//! bytes under the same identity, until the collector answers. An answer means stored: the collector acknowledges after
//! its insert. What can be lost is bounded, counted and named by reason.

mod codec;
mod credential;
mod fault;
pub mod sender;
pub mod spool;

pub use sender::{Sender, SenderError};
pub use spool::Spool;
