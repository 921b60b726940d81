//! Makes the record of a call from what was seen of it. Pure.
//!
//! The one place that decides how a call ended and which counts it is recorded with, for all dialects. The rules
//! behind it: the provider's counts before ours, an estimate before nothing where the text is known, and nothing before
//! a guess. Missing is never zero.

use ledgerline_proto::{Call, EndOfStream, Operation, TokenClass, TokenCounts, Usage, UsageSource};

use super::dialect::{Answer, Progress, RequestFacts};
use super::estimate;
use crate::observation::CallStart;

/// What is known of a call.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its beginning.
    pub start: CallStart,
    /// What was asked.
    pub operation: Operation,
    /// The HTTP status of the answer, once there is one.
    pub status: Option<u16>,
    /// Whether the answer is a stream; as asked for, until the answer says so itself.
    pub streamed: bool,
    /// The request, as far as it was read.
    pub request: RequestFacts,
    /// The answer, as far as it was read.
    pub answer: Answer,
    /// When the first token came.
    pub first_token_unix_ns: Option<u64>,
    /// No part of the answer was lost on us.
    pub answer_is_whole: bool,
}

impl Seen {
    /// A call that has just begun.
    #[must_use]
    pub fn new(start: CallStart, operation: Operation) -> Self {
        Self {
            start,
            operation,
            status: None,
            streamed: false,
            request: RequestFacts::default(),
            answer: Answer::default(),
            first_token_unix_ns: None,
            answer_is_whole: true,
        }
    }

    fn has_error_status(&self) -> bool {
        self.status.is_some_and(|status| !(200..300).contains(&status))
    }
}

/// The relay's view of the end.
#[derive(Clone, Copy, Debug)]
pub struct RelayEnd {
    /// How the bytes ended.
    pub end: EndOfStream,
    /// When, nanoseconds since the Unix epoch.
    pub at_unix_ns: u64,
    /// Our class of error where there was no answer.
    pub class: Option<&'static str>,
}

/// The record of a call that has ended.
#[must_use]
pub fn assemble(seen: Seen, relay: RelayEnd) -> Call {
    let end = end_of_stream(&seen, relay.end);
    let error_type = error_type(&seen, end, relay.class);
    let usage = usage(&seen, end);
    let start_unix_ns = seen.start.at_unix_ns;
    let time_to_first_token_ns =
        seen.first_token_unix_ns.filter(|_| seen.streamed).map(|at| at.saturating_sub(start_unix_ns));
    Call {
        trace_id: seen.start.trace_id,
        span_id: seen.start.span_id,
        parent_span_id: seen.start.parent_span_id,
        start_unix_ns,
        end_unix_ns: relay.at_unix_ns.max(start_unix_ns),
        time_to_first_token_ns,
        operation: seen.operation,
        provider: seen.start.provider.as_ref().to_owned(),
        request_model: seen.request.model,
        response_model: seen.answer.model,
        response_id: seen.answer.response_id,
        stream: seen.streamed,
        finish_reasons: seen.answer.finish_reasons,
        end,
        error_type,
        http_status: seen.status,
        usage,
        billing: seen.answer.billing,
        identity: seen.start.identity,
    }
}

/// How the call ended: what the relay saw of the bytes, corrected by what the dialect read in them.
fn end_of_stream(seen: &Seen, relay: EndOfStream) -> EndOfStream {
    let progress = seen.answer.progress;
    if seen.has_error_status() || seen.answer.error.is_some() {
        return EndOfStream::ProviderError;
    }
    match relay {
        // The connection ended in good order, but the answer in it did not.
        EndOfStream::Complete if seen.streamed && seen.answer_is_whole && progress == Progress::Open => {
            EndOfStream::ProviderError
        }
        // Clients hang up on the last event they care for.
        EndOfStream::ClientGone if progress >= Progress::Finished => EndOfStream::Complete,
        // Whatever broke after the last word broke nothing of the answer.
        EndOfStream::ProviderError | EndOfStream::RelayKilled if progress == Progress::Terminated => {
            EndOfStream::Complete
        }
        as_relayed => as_relayed,
    }
}

/// The class of the error. A client that went away is none: that is what `end_of_stream` says.
fn error_type(seen: &Seen, end: EndOfStream, class: Option<&'static str>) -> Option<String> {
    let own = match end {
        EndOfStream::Complete | EndOfStream::ClientGone => return None,
        EndOfStream::RelayKilled => "relay_killed",
        EndOfStream::ProviderError if seen.answer.error.is_some() => "provider_error",
        EndOfStream::ProviderError => "stream_cut",
    };
    let named = seen.answer.error.clone().flatten();
    let status = || seen.status.filter(|_| seen.has_error_status()).map(|status| status.to_string());
    named.or_else(status).or_else(|| Some(class.unwrap_or(own).to_owned()))
}

fn usage(seen: &Seen, end: EndOfStream) -> Option<Usage> {
    let Answer { input, output, usage_is_final, .. } = &seen.answer;
    if seen.has_error_status() {
        return None;
    }
    if let (true, Some(input), Some(output)) = (usage_is_final, input, output) {
        // A run of another model is billed but not in the counts of this one: they must not pass for exact.
        let is_exact = seen.answer.foreign_runs == 0;
        let source = if is_exact { UsageSource::Provider } else { UsageSource::Estimated };
        return Some(Usage { tokens: merge(input, output), source });
    }
    let was_answered = seen.answer.has_token || input.is_some() || output.is_some();
    let was_refused = seen.answer.error.is_some() && !was_answered;
    // Without an answer, only a call that somebody gave up on may have been worked on.
    let was_given_up = matches!(end, EndOfStream::ClientGone | EndOfStream::RelayKilled);
    if !seen.answer_is_whole || was_refused || (seen.status.is_none() && !was_given_up) {
        return None;
    }
    let input = (*input).or_else(|| estimated_input(&seen.request))?;
    let output = at_least(*output, estimated_output(&seen.answer));
    Some(Usage { tokens: merge(&input, &output), source: UsageSource::Estimated })
}

fn estimated_input(request: &RequestFacts) -> Option<TokenCounts> {
    let is_known = request.whole && request.text_bytes > 0;
    is_known.then(|| {
        TokenCounts::from_pairs(&[(TokenClass::InputUncached, estimate::tokens(request.text_bytes))])
    })
}

fn estimated_output(answer: &Answer) -> TokenCounts {
    TokenCounts::from_pairs(&[
        (TokenClass::OutputText, estimate::tokens(answer.text_bytes)),
        (TokenClass::OutputReasoning, estimate::tokens(answer.reasoning_bytes)),
    ])
}

/// The provider's running total, unless more than that was delivered by our estimate.
fn at_least(stated: Option<TokenCounts>, estimated: TokenCounts) -> TokenCounts {
    use ledgerline_proto::usage::Direction::Output;
    stated.filter(|stated| stated.total(Output) >= estimated.total(Output)).unwrap_or(estimated)
}

fn merge(input: &TokenCounts, output: &TokenCounts) -> TokenCounts {
    let mut tokens = *input;
    for (class, count) in output.nonzero() {
        tokens.set(class, count);
    }
    tokens
}

#[cfg(test)]
mod tests;
