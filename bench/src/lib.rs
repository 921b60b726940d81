//! What the demo and the load runs share: reading the record and showing it.
//!
//! These are programs for people: they print, and they stop with a text when something is wrong.
#![allow(clippy::print_stdout, reason = "a demo and a report are there to be read on a terminal")]

pub mod demo;
pub mod reference;
pub mod table;
pub mod terminal;
pub mod weeks;
pub mod years;
