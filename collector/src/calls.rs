//! Stored calls as people read them: a page of them, or one with its bill, its arithmetic, its corrections and its trace.
//!
//! `account` is what is booked of a call and what today's book makes of it, which `prices explain` prints too; `verdict` compares
//! the two, which `reprice` books.

pub(crate) mod account;
pub(crate) mod bill;
mod body;
pub mod http;
pub(crate) mod verdict;

pub(crate) use body::time;
