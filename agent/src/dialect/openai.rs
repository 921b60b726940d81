//! OpenAI's API, which many servers speak: chat and text completions, embeddings. Pure.

mod chat;
mod embeddings;

use http::Method;
use ledgerline_proto::Operation;
use serde_json::{Value, json};

use self::chat::ChatReader;
use self::embeddings::EmbeddingsReader;
use super::{Endpoint, Reader, Spec, UsageInjection};

/// What the agent knows of it.
pub static SPEC: Spec = Spec {
    name: "openai",
    provider: "openai",
    endpoints: &[
        Endpoint {
            method: Method::POST,
            path: "/chat/completions",
            operation: Operation::Chat,
            usage_injection: UsageInjection::StreamOptions,
            reader: chat,
        },
        Endpoint {
            method: Method::POST,
            path: "/completions",
            operation: Operation::TextCompletion,
            usage_injection: UsageInjection::Unneeded,
            reader: chat,
        },
        Endpoint {
            method: Method::POST,
            path: "/embeddings",
            operation: Operation::Embeddings,
            usage_injection: UsageInjection::Unneeded,
            reader: || Box::new(EmbeddingsReader),
        },
    ],
    error_body,
    header_prefixes: &["openai-"],
};

fn chat() -> Box<dyn Reader> {
    Box::new(ChatReader::default())
}

fn error_body(class: &str, message: &str) -> Value {
    json!({"error": {"message": message, "type": "ledgerline_agent_error", "param": null, "code": class}})
}

#[cfg(test)]
mod tests;
