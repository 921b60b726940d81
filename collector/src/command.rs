//! What the binary does beside running: commands that look something up, or book into the store, and end.

pub mod budgets;
pub mod export;
pub mod prices;
pub mod reprice;
pub mod store;
