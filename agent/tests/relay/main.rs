//! The relay from outside: what a client and an upstream see, and what the collector gets.

mod bytes;
mod failures;
mod headers;
mod observation;
mod process;
mod protocols;
mod support;
mod usage;
