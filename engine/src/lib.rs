//! `ledgerline-engine`: ClickHouse inside one process, behind ClickHouse's own HTTP interface.
//!
//! libchdb is ClickHouse as a library. This crate puts the interface of ClickHouse's server in front of it, so that the collector, the
//! official clients and Grafana's plugin have one way to talk to a store, embedded or not. It is a process of its own: a crash of the
//! database must not take the collector with it, and 566 MB of library must not be loaded by those who run a real server.
//!
//! The path of a request: `http` -> `pool` (a place) -> `execute` (find the statement) -> `connection` (fresh, with its settings) ->
//! `ffi` (libchdb) -> `http::response`.
//!
//! Where it differs from ClickHouse's server, because libchdb does: `written_rows` in the summary counts the rows of materialised
//! views too (as ClickHouse does) and a deduplicated retry reports the rows it sent, not 0; `system.processes.query_id` is
//! libchdb's own, the client's id is in `Settings['log_comment']`; `query_log` and its like, roles and quotas do not exist, and users
//! are two; `client_protocol_version` and `http_zlib_compression_level` have no effect.
//!
//! Every request but `/ping` brings a password, and a statement reaches the store and nothing else of the machine (`access`):
//! `file()`, `url()`, `remote()` and the like are denied, and so is `SYSTEM SHUTDOWN`.
//!
//! Must never: listen beyond loopback, answer a query without a password, serve a web page, lose a byte of a body, or answer 200
//! to a statement that failed.

mod access;
mod app;
mod cancel;
pub mod compression;
mod connection;
mod errors;
mod execute;
mod ffi;
mod http;
pub mod library;
pub mod limits;
mod pieces;
mod pool;
mod sessions;
mod statement;
mod tokens;

pub use access::Passwords;
pub use app::{Config, Engine, inherited_listener, listen};
