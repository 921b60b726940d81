//! Which requests are calls to a model. Pure.
//!
//! Relay and worker must agree on it: the relay puts our span into the caller's trace, the worker records that span. A
//! request that only one of them took for a call would leave a trace with a hole. Paths are compared by their end:
//! upstreams differ in what precedes it (`/v1`, `/openai/deployments/<name>`).

use crate::config::Dialect;

/// What a path of `OpenAI`'s API calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenAiCall {
    /// `/chat/completions`.
    Chat,
    /// The older `/completions`.
    TextCompletion,
    /// `/embeddings`.
    Embeddings,
}

/// The call behind a path of `OpenAI`'s API; `None` for all that is no call: files, models, moderations.
#[must_use]
pub fn openai(path: &str) -> Option<OpenAiCall> {
    let path = path.trim_end_matches('/');
    if path.ends_with("/chat/completions") {
        Some(OpenAiCall::Chat)
    } else if path.ends_with("/completions") {
        Some(OpenAiCall::TextCompletion)
    } else if path.ends_with("/embeddings") {
        Some(OpenAiCall::Embeddings)
    } else {
        None
    }
}

/// Whether a path of Anthropic's API is a call: `/messages`, but not what is below it (batches, `count_tokens`).
#[must_use]
pub fn anthropic(path: &str) -> bool {
    path.trim_end_matches('/').ends_with("/messages")
}

/// Whether a POST to this path of an upstream is a call.
#[must_use]
pub fn is_call(dialect: Dialect, path: &str) -> bool {
    match dialect {
        Dialect::Openai => openai(path).is_some(),
        Dialect::Anthropic => anthropic(path),
        Dialect::None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_by_the_end_of_their_path() {
        let check = |dialect, path, expected| assert_eq!(is_call(dialect, path), expected, "{path}");
        for path in [
            "/v1/chat/completions",
            "/openai/deployments/gpt/chat/completions/",
            "/completions",
            "/v1/embeddings",
        ] {
            check(Dialect::Openai, path, true);
            check(Dialect::Anthropic, path, false);
            check(Dialect::None, path, false);
        }
        for path in ["/", "/v1/models", "/v1/chat/completions/id", "/v1/moderations", "/v1/messages"] {
            check(Dialect::Openai, path, false);
        }
        check(Dialect::Anthropic, "/v1/messages", true);
        check(Dialect::Anthropic, "/v1/messages/count_tokens", false);
        check(Dialect::None, "/v1/messages", false);
    }
}
