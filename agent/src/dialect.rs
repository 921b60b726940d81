//! The providers' wire formats: one table, a file for each. Pure.
//!
//! A [`Spec`] is all that the agent knows of a provider's API; configuration, relay and worker ask it. A [`Reader`] reads one
//! call and resolves, once and for all, how its provider names ends and reports errors, and hands its usage object to
//! [`ledgerline_proto::usage_object`], which knows how it nests counts; behind it there is only
//! [`Response`]. A reader must never fail a call: what it cannot read is absent, which is not zero, and it says so.
//!
//! To add a provider: a file in `dialect/` with its `SPEC`, its row in the table below, its prices in `pricing/prices/`.

mod json;
mod request;
mod text;
pub(crate) mod unread;

use http::Method;
use ledgerline_proto::usage_object::UsageObjects;
use ledgerline_proto::{Billing, Operation, Quantities, Run};

pub use request::RequestFacts;
pub use text::{Kind, TextCounts, TextSink};

pub(crate) use json::as_clients_read;

use crate::wire::sse::Event;

macro_rules! dialects {
    ($($name:ident)*) => {
        $(mod $name;)*

        /// Every wire format that can be read.
        pub static ALL: &[&Spec] = &[$(&$name::SPEC),*];
    };
}

dialects! {
    openai
    anthropic
}

/// One provider's API, which others may speak too.
#[derive(Debug)]
pub struct Spec {
    /// Its name in the configuration.
    pub name: &'static str,
    /// Who is paid where the configuration names nobody else, as OpenTelemetry names providers.
    pub provider: &'static str,
    /// Hosts of its own that bill by where they are, and what the price book calls the place.
    pub regions: &'static [(&'static str, &'static str)],
    /// What can be called. The first endpoint that a request fits counts.
    pub endpoints: &'static [Endpoint],
    /// Ends of paths of requests that name a model and cost nothing: counting tokens, moderation.
    pub free: &'static [&'static str],
    /// An error response in the shape that its client libraries report well, from our class of error and a text.
    pub error_body: fn(class: &str, message: &str) -> serde_json::Value,
    /// How the names of its own request headers begin. Such headers decide what the upstream understands.
    pub header_prefixes: &'static [&'static str],
}

/// Requests that are calls to a model. The relay decides, because it puts our span into the caller's trace, and hands the
/// endpoint over to the worker, which records that span.
#[derive(Debug)]
pub struct Endpoint {
    /// The method.
    pub method: Method,
    /// The end of the path, because upstreams differ in what precedes it (`/v1`, `/openai/deployments/<name>`).
    pub path: &'static str,
    /// Whether it begins a call.
    pub purpose: Purpose,
    /// What is asked of the model.
    pub operation: Operation,
    /// Its streams carry usage only when asked by `stream_options.include_usage`, so the relay asks.
    pub injects_usage: bool,
    /// The field of its streams by which the model says that it has finished, where the usage comes behind that.
    pub finish_field: Option<&'static str>,
    /// Makes the reader of one call.
    pub reader: fn() -> Box<dyn Reader>,
}

/// What a request does to the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It is a call, and is recorded.
    Call,
    /// It carries a model and no dialect reads it; see [`unread`].
    Unread,
    /// It asks after a call that goes on in the background. The call is recorded, once, when a poll shows its end.
    Poll,
}

/// How far the provider has come with its response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// Something is still to come.
    #[default]
    Open,
    /// The model has stopped and said why; only formalities are to come (a usage count, an end mark).
    Finished,
    /// The provider's last word was seen.
    Terminated,
}

/// What a reader has found in the response so far; its texts went to a [`TextSink`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response {
    /// The provider's id of the response; empty when not stated.
    pub response_id: String,
    /// The model that responded; empty when not stated.
    pub model: String,
    /// The provider's counts of the input side, in disjoint units; `None`: not stated.
    pub input: Option<Quantities>,
    /// The same of the output side.
    pub output: Option<Quantities>,
    /// The counts are the provider's last word. Until then the output may be a running total.
    pub usage_is_final: bool,
    /// What is billed and not counted in tokens: searches, containers.
    pub fees: Quantities,
    /// What other models used within this call.
    pub runs: Vec<Run>,
    /// The provider's usage as it was sent.
    pub usage_objects: UsageObjects,
    /// Tier, speed, place, what is not in the counts: as served, not as asked for.
    pub billing: Billing,
    /// One per choice.
    pub finish_reasons: Vec<String>,
    /// The provider reported an error, and its class where it named one.
    pub error: Option<Option<String>>,
    /// How far the response has come.
    pub progress: Progress,
    /// The provider goes on in the background, and its last word comes with a later request.
    pub is_running: bool,
}

impl Response {
    fn has_counts(&self) -> bool {
        self.input.is_some() || self.output.is_some()
    }
}

/// The bytes were not what the dialect expects; everything read before stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the JSON this dialect expects")]
pub struct Unreadable;

/// Nothing was read from what is [`Unreadable`].
pub type Read = Result<(), Unreadable>;

/// Reads one call.
pub trait Reader: Send {
    /// Reads the request's body; it may be cut short.
    fn read_request(&mut self, body: &[u8], texts: &mut dyn TextSink) -> RequestFacts {
        request::read(body, texts)
    }

    /// Reads an event of a streamed response, which goes on behind one that is unreadable.
    fn read_event(&mut self, event: Event<'_>, response: &mut Response, texts: &mut dyn TextSink) -> Read;

    /// Reads a response that is not streamed, an error included.
    fn read_body(&mut self, body: &[u8], response: &mut Response, texts: &mut dyn TextSink) -> Read;
}

/// The wire format of that name.
pub fn find(name: &str) -> Option<&'static Spec> {
    ALL.iter().copied().find(|spec| spec.name == name)
}

/// The names that [`find`] knows.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|spec| spec.name)
}

/// The deployment that a path names, which decides the model where one was sold under a name of the customer's (Azure):
/// `/openai/deployments/NAME/chat/completions`.
pub(crate) fn deployment(path: &str) -> Option<&str> {
    path.split_once("/deployments/")?.1.split('/').next().filter(|name| !name.is_empty())
}

impl Spec {
    /// Where a host of that name is, if that decides the price.
    pub(crate) fn region_of(&self, host: &str) -> Option<&'static str> {
        let of_host = |(name, _): &&(&str, &str)| name.eq_ignore_ascii_case(host);
        self.regions.iter().find(of_host).map(|(_, region)| *region)
    }

    /// The call behind a request; `None` for all that is no call: listing models, counting tokens, files.
    pub fn endpoint(&'static self, method: &Method, path: &str) -> Option<&'static Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.method == *method && ends_with(path, endpoint.path))
    }
}

/// Whether a path ends with these segments. `*` in them is any one segment, or the beginning of one.
fn ends_with(path: &str, segments: &str) -> bool {
    let mut path = path.trim_end_matches('/').rsplit('/');
    segments.rsplit('/').take_while(|expected| !expected.is_empty()).all(|expected| {
        path.next().is_some_and(|segment| match expected.strip_prefix('*') {
            Some(end) => segment.len() > end.len() && segment.ends_with(end),
            None => segment == expected,
        })
    })
}

#[cfg(test)]
mod tests;
