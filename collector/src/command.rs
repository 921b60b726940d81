//! What the binary does beside running: commands that look into the store, or book into it, and end.

pub mod reprice;
pub mod store;
