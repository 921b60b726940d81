//! The collector against programs that nobody here wrote. One binary, so that the crate links once; a module for each
//! program. A program that is missing fails its tests with the way to install it: a skipped test proves nothing.

#[path = "integration/engine.rs"]
mod engine;
#[path = "integration/ingest.rs"]
mod ingest;
#[path = "integration/spans.rs"]
mod spans;
#[path = "integration/storage.rs"]
mod storage;
