//! What is remembered beyond the life of the process of alerts that are told once: when they began, and which webhooks heard it. Whoever makes
//! such rules brings the memory; nothing here knows where it is kept.

use futures_util::future::BoxFuture;

use crate::alerting::sample::Labels;
use crate::alerting::time::UnixMs;

/// A memory of the alerts of rules that are told once. An error is a text for the log.
pub trait OnceLog: Send + Sync {
    /// When the alert with these labels began to fire: as it is remembered, or `at`, which is remembered before this returns.
    fn began<'a>(&'a self, labels: &'a Labels, at: UnixMs) -> BoxFuture<'a, Result<UnixMs, String>>;

    /// Whether that receiver has heard that it fires.
    fn is_told(&self, receiver: &str, labels: &Labels) -> bool;

    /// That receiver has heard it.
    fn told<'a>(
        &'a self,
        receiver: &'a str,
        labels: &'a Labels,
        at: UnixMs,
    ) -> BoxFuture<'a, Result<(), String>>;
}

/// Without a memory such alerts are as all others.
pub struct Forgetful;

impl OnceLog for Forgetful {
    fn began<'a>(&'a self, _: &'a Labels, at: UnixMs) -> BoxFuture<'a, Result<UnixMs, String>> {
        Box::pin(std::future::ready(Ok(at)))
    }

    fn is_told(&self, _: &str, _: &Labels) -> bool {
        false
    }

    fn told<'a>(&'a self, _: &'a str, _: &'a Labels, _: UnixMs) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
