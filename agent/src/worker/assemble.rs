//! Makes the record of a call from what was seen of it. Pure.
//!
//! The rules, for all dialects: the provider's counts before ours, an estimate before nothing where the text is known, and
//! nothing before a guess. Missing is never zero.

use ledgerline_proto::usage_object::reread;
use ledgerline_proto::{
    Billing, Call, Condition, Conditions, EndOfStream, Quantities, Side, Unit, Unread, Usage, UsageSource,
};

use crate::dialect::{Progress, RequestFacts, Response, TextCounts, deployment};
use crate::observation::CallStart;

#[derive(Clone)]
pub struct CallFacts {
    pub start: CallStart,
    pub status: Option<u16>,
    /// Whether the response is a stream; as asked for, until the response says so itself.
    pub streamed: bool,
    pub request: RequestFacts,
    pub request_texts: TextCounts,
    pub response: Response,
    pub response_texts: TextCounts,
    pub first_token_unix_ns: Option<u64>,
    /// No part of the response was lost on us.
    pub response_is_whole: bool,
    pub unread: Option<Unread>,
    /// The client went away, and the agent read on.
    pub client_left: Option<ClientLeft>,
}

#[derive(Clone, Copy, Debug)]
pub struct ClientLeft {
    pub at_unix_ns: u64,
    /// The provider had stated its usage by then.
    pub had_usage: bool,
}

impl CallFacts {
    pub fn new(start: CallStart) -> Self {
        Self {
            start,
            status: None,
            streamed: false,
            request: RequestFacts::default(),
            request_texts: TextCounts::default(),
            response: Response::default(),
            response_texts: TextCounts::default(),
            first_token_unix_ns: None,
            response_is_whole: true,
            unread: None,
            client_left: None,
        }
    }

    pub fn has_error_status(&self) -> bool {
        self.status.is_some_and(|status| !(200..300).contains(&status))
    }
}

#[derive(Clone, Copy, Debug)]
pub struct RelayEnd {
    pub end: EndOfStream,
    pub at_unix_ns: u64,
    /// Our class of error where there was no response.
    pub class: Option<&'static str>,
}

pub fn assemble(facts: CallFacts, relay: RelayEnd) -> Call {
    let end = end_of_stream(&facts, relay.end);
    let error_type = error_type(&facts, end, relay.class);
    let usage = usage(&facts, end);
    let billing = Billing { conditions: conditions(&facts), ..facts.response.billing };
    let start_unix_ns = facts.start.at_unix_ns;
    let time_to_first_token_ns =
        facts.first_token_unix_ns.filter(|_| facts.streamed).map(|at| at.saturating_sub(start_unix_ns));
    let call = Call {
        trace_id: facts.start.trace_id,
        span_id: facts.start.span_id,
        parent_span_id: facts.start.parent_span_id,
        start_unix_ns,
        // What was read behind the client's back took none of its time.
        end_unix_ns: facts.client_left.map_or(relay.at_unix_ns, |left| left.at_unix_ns).max(start_unix_ns),
        time_to_first_token_ns,
        operation: facts.start.endpoint.operation.clone(),
        provider: facts.start.provider.as_ref().to_owned(),
        request_model: facts.request.model,
        response_model: facts.response.model,
        response_id: facts.response.response_id,
        stream: facts.streamed,
        finish_reasons: facts.response.finish_reasons,
        end,
        error_type,
        http_status: facts.status,
        usage,
        usage_object: facts.response.usage_objects.json(),
        billing,
        identity: facts.start.identity,
        unread: facts.unread,
    };
    kept_if_whole(call)
}

/// A stream may state its usage in so many parts that what is kept of them does not say what all of them did. Whoever reads it later
/// could not tell, so it is not kept then.
fn kept_if_whole(mut call: Call) -> Call {
    let is_the_word = call.usage.as_ref().is_some_and(|usage| {
        !matches!(usage.source, UsageSource::Provider | UsageSource::Drained)
            || reread(&call).is_some_and(|(again, _)| again == *usage)
    });
    if call.usage.is_some() && !is_the_word {
        call.usage_object.clear();
    }
    call
}

/// What the configuration says, then the path, then, which counts, the response.
fn conditions(facts: &CallFacts) -> Conditions {
    let configured = facts.start.conditions.iter();
    let deployment = deployment(&facts.start.path).map(|name| (Condition::Deployment, name));
    Conditions::from_pairs(configured.chain(deployment).chain(facts.response.billing.conditions.iter()))
}

/// How the call ended: what the relay saw of the bytes, corrected by what the dialect read in them.
fn end_of_stream(facts: &CallFacts, relay: EndOfStream) -> EndOfStream {
    let progress = facts.response.progress;
    if facts.has_error_status() || facts.response.error.is_some() {
        return EndOfStream::ProviderError;
    }
    match relay {
        // The connection ended in good order, but the response in it did not.
        EndOfStream::Complete if facts.streamed && facts.response_is_whole && progress == Progress::Open => {
            EndOfStream::ProviderError
        }
        // Clients hang up on the last event they care for.
        EndOfStream::ClientGone if progress >= Progress::Finished => EndOfStream::Complete,
        // Whatever broke after the last word broke nothing of the response.
        EndOfStream::ProviderError | EndOfStream::RelayKilled if progress == Progress::Terminated => {
            EndOfStream::Complete
        }
        as_relayed => as_relayed,
    }
}

/// The class of the error. A client that went away is none: that is what `end_of_stream` says.
fn error_type(facts: &CallFacts, end: EndOfStream, class: Option<&'static str>) -> Option<String> {
    let own = match end {
        EndOfStream::Complete | EndOfStream::ClientGone => return None,
        EndOfStream::RelayKilled => "relay_killed",
        EndOfStream::ProviderError if facts.response.error.is_some() => "provider_error",
        EndOfStream::ProviderError => "stream_cut",
    };
    let named = facts.response.error.clone().flatten();
    let status = || facts.status.filter(|_| facts.has_error_status()).map(|status| status.to_string());
    named.or_else(status).or_else(|| Some(class.unwrap_or(own).to_owned()))
}

fn usage(facts: &CallFacts, end: EndOfStream) -> Option<Usage> {
    let Response { input, output, usage_is_final, .. } = &facts.response;
    if facts.has_error_status() {
        return None;
    }
    if let (true, Some(input), Some(output)) = (usage_is_final, input, output) {
        let is_drained = facts.client_left.is_some_and(|left| !left.had_usage);
        let source = if is_drained { UsageSource::Drained } else { UsageSource::Provider };
        return Some(used(&facts.response, input, output, source));
    }
    let has_begun = facts.response_texts.has_part || input.is_some() || output.is_some();
    let was_refused = facts.response.error.is_some() && !has_begun;
    // Without a response, only a call that somebody gave up on may have been worked on.
    let was_given_up = matches!(end, EndOfStream::ClientGone | EndOfStream::RelayKilled);
    if !facts.response_is_whole || was_refused || (facts.status.is_none() && !was_given_up) {
        return None;
    }
    let input = input.clone().or_else(|| estimated_input(facts))?;
    let output = at_least(output.clone(), estimated_output(&facts.response_texts));
    Some(used(&facts.response, &input, &output, UsageSource::Estimated))
}

fn estimated_input(facts: &CallFacts) -> Option<Quantities> {
    let text_bytes = facts.request_texts.text_bytes + facts.request_texts.reasoning_bytes;
    let is_known = facts.request.whole && text_bytes > 0;
    is_known.then(|| Quantities::from_pairs(&[(Unit::InputUncached, estimated_tokens(text_bytes))]))
}

fn estimated_output(texts: &TextCounts) -> Quantities {
    Quantities::from_pairs(&[
        (Unit::OutputText, estimated_tokens(texts.text_bytes)),
        (Unit::OutputReasoning, estimated_tokens(texts.reasoning_bytes)),
    ])
}

/// Tokens of so many bytes of text, for calls whose provider stated none: one per four bytes of UTF-8, rounded up. Never
/// replaces a provider's count.
///
/// Why no tokenizer: each vendor has its own, some are secret, the tables are megabytes and the work is milliseconds on the
/// CPU that relays, all for calls that are few and flagged `estimated`. The error: for English prose and code within about
/// 20 %; for scripts of three-byte characters, digits and base64 up to 2 times too low. Images, audio, hidden reasoning and
/// framing are left out.
const fn estimated_tokens(text_bytes: u64) -> u64 {
    text_bytes.div_ceil(4)
}

/// The provider's running total, unless more than that was delivered by our estimate.
fn at_least(stated: Option<Quantities>, estimated: Quantities) -> Quantities {
    stated.filter(|stated| stated.total(Side::Output) >= estimated.total(Side::Output)).unwrap_or(estimated)
}

fn used(response: &Response, input: &Quantities, output: &Quantities, source: UsageSource) -> Usage {
    let mut own = input.clone();
    own.extend(output.nonzero().chain(response.fees.nonzero()));
    Usage { own, runs: response.runs.clone(), source }
}

#[cfg(test)]
mod tests;
