//! OpenAI's API, which many servers speak: chat and text completions, responses, embeddings. Pure.

mod chat;
mod responses;

use http::Method;
use ledgerline_proto::Operation;
use serde_json::{Value, json};

use self::chat::ChatReader;
use self::responses::ResponsesReader;
use super::{Endpoint, Purpose, Reader, Spec};

/// What the agent knows of it.
pub static SPEC: Spec = Spec {
    name: "openai",
    provider: "openai",
    // Data residency: https://developers.openai.com/api/docs/guides/your-data
    regions: &[
        ("eu.api.openai.com", "eu"),
        ("us.api.openai.com", "us"),
        ("au.api.openai.com", "au"),
        ("in.api.openai.com", "in"),
        ("jp.api.openai.com", "jp"),
    ],
    endpoints: &[
        Endpoint {
            method: Method::POST,
            path: "/chat/completions",
            purpose: Purpose::Call,
            operation: Operation::Chat,
            injects_usage: true,
            finish_field: Some("finish_reason"),
            reader: chat,
        },
        call("/completions", Operation::TextCompletion, chat),
        call("/responses", Operation::Chat, responses),
        call("/responses/compact", Operation::Chat, responses),
        poll(Method::GET, "/responses/*"),
        poll(Method::POST, "/responses/*/cancel"),
        call("/embeddings", Operation::Embeddings, || Box::new(ChatReader::embeddings())),
    ],
    free: &[
        "/moderations",
        "/responses/input_tokens",
        "/chat/completions/*",
        "/assistants",
        "/assistants/*",
        // Of vLLM and Ollama.
        "/tokenize",
        "/detokenize",
        "/api/show",
        "/api/pull",
        "/api/create",
    ],
    error_body,
    header_prefixes: &["openai-"],
};

const fn call(path: &'static str, operation: Operation, reader: fn() -> Box<dyn Reader>) -> Endpoint {
    Endpoint {
        method: Method::POST,
        path,
        purpose: Purpose::Call,
        operation,
        injects_usage: false,
        finish_field: None,
        reader,
    }
}

const fn poll(method: Method, path: &'static str) -> Endpoint {
    let operation = Operation::Chat;
    Endpoint {
        method,
        path,
        purpose: Purpose::Poll,
        operation,
        injects_usage: false,
        finish_field: None,
        reader: responses,
    }
}

fn responses() -> Box<dyn Reader> {
    Box::new(ResponsesReader)
}

fn chat() -> Box<dyn Reader> {
    Box::new(ChatReader::default())
}

fn error_body(class: &str, message: &str) -> Value {
    json!({"error": {"message": message, "type": "ledgerline_agent_error", "param": null, "code": class}})
}

#[cfg(test)]
mod tests;
