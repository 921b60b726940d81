//! What bytes on the wire are made of, for whoever looks into them: events, JSON, and which of the two. Pure.

pub mod framing;
pub mod json;
pub mod sse;

pub use framing::Framing;
