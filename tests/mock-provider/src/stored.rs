//! What the Responses API keeps between requests: responses, those that work in the background among them, and
//! conversations. A background response moves on by one state each time it is asked for, so that a test sees each state
//! without a clock. It holds no more than the newest responses and conversations.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::{Method, StatusCode, Uri};

use crate::answer::{Answer, EPOCH_UNIX_S};
use crate::failure;
use crate::json::{indent, quote};
use crate::request::Inbound;
use crate::responses::{self, Status};
use crate::text::{BASE62, Chance, HEX, seed_of};
use crate::wire::Event;

/// Responses and conversations that are kept; older ones are forgotten.
const KEPT_MAX: usize = 1_000;

/// A response that can be asked for again.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The request it answers.
    pub inbound: Inbound,
    /// What it says.
    pub answer: Answer,
    /// The state it is in now.
    pub status: Status,
}

/// What is kept.
#[derive(Debug, Default)]
pub struct Store(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    responses: BTreeMap<u64, Kept>,
    by_id: HashMap<String, u64>,
    conversations: BTreeMap<String, Conversation>,
    next: u64,
}

#[derive(Debug)]
struct Conversation {
    created_unix_s: u64,
    metadata: String,
    items: Vec<String>,
}

/// The answer to a request about something that is kept.
pub enum Reply {
    /// A JSON document that no model stands behind.
    Aside(StatusCode, String),
    /// A response in the state it is in now.
    Response(Box<Kept>),
    /// The events of a response from behind the one with this number.
    Resumed(Box<Kept>, Vec<Event>),
}

impl Store {
    fn state(&self) -> MutexGuard<'_, State> {
        // As in the ledger: a panic elsewhere must not hide anything.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a response, and adds it to its conversation.
    pub fn keep(&self, inbound: &Inbound, answer: &Answer) {
        if !inbound.responses.store {
            return;
        }
        let status = if inbound.responses.background {
            Status::Queued
        } else {
            responses::final_status(inbound, answer)
        };
        let mut state = self.state();
        if let Some(conversation) =
            inbound.responses.conversation.as_ref().and_then(|id| state.conversations.get_mut(id))
        {
            conversation.items.push(input_item(&inbound.responses.input));
            conversation.items.extend(responses::output(inbound, answer));
        }
        let number = state.next;
        state.next += 1;
        state.by_id.insert(answer.id.clone(), number);
        state.responses.insert(number, Kept { inbound: inbound.clone(), answer: answer.clone(), status });
        if state.responses.len() > KEPT_MAX
            && let Some((_, oldest)) = state.responses.pop_first()
        {
            state.by_id.remove(&oldest.answer.id);
        }
    }

    /// Answers a request below `/v1/responses/` or `/v1/conversations`.
    pub fn reply(&self, method: &Method, uri: &Uri, body: &[u8]) -> Reply {
        let path: Vec<&str> = uri.path().split('/').skip(2).collect();
        let mut state = self.state();
        match (method.as_str(), path.as_slice()) {
            ("GET", ["responses", id]) => state.retrieve(id, uri.query().unwrap_or_default()),
            ("POST", ["responses", id, "cancel"]) => state.cancel(id),
            ("DELETE", ["responses", id]) => state.delete(id),
            ("GET", ["responses", id, "input_items"]) => state.input_items(id),
            (method, ["conversations", rest @ ..]) => state.conversation(method, rest, body),
            _ => missing(&format!("Invalid URL ({method} {})", uri.path())),
        }
    }
}

impl State {
    fn kept(&mut self, id: &str) -> Option<&mut Kept> {
        let number = self.by_id.get(id)?;
        self.responses.get_mut(number)
    }

    fn retrieve(&mut self, id: &str, query: &str) -> Reply {
        let Some(kept) = self.kept(id) else { return no_response(id) };
        let parameter =
            |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        if parameter("stream") == Some("true") {
            let after: Option<usize> = parameter("starting_after").and_then(|number| number.parse().ok());
            let events = responses::stream(&kept.inbound, &kept.answer);
            kept.status = responses::final_status(&kept.inbound, &kept.answer);
            let events = events.into_iter().skip(after.map_or(0, |after| after + 1)).collect();
            return Reply::Resumed(Box::new(kept.clone()), events);
        }
        let now = kept.clone();
        kept.status = match kept.status {
            Status::Queued => Status::InProgress,
            Status::InProgress => responses::final_status(&kept.inbound, &kept.answer),
            settled => settled,
        };
        Reply::Response(Box::new(now))
    }

    fn cancel(&mut self, id: &str) -> Reply {
        let Some(kept) = self.kept(id) else { return no_response(id) };
        if !kept.inbound.responses.background {
            let message = "Cannot cancel a synchronous response.";
            let body = failure::openai_body("invalid_request_error", None, None, message, 2);
            return Reply::Aside(StatusCode::BAD_REQUEST, body);
        }
        // Of one that is done there is nothing to cancel: it is returned as it is.
        if matches!(kept.status, Status::Queued | Status::InProgress) {
            kept.status = Status::Cancelled;
        }
        Reply::Response(Box::new(kept.clone()))
    }

    fn delete(&mut self, id: &str) -> Reply {
        let Some(number) = self.by_id.remove(id) else { return no_response(id) };
        self.responses.remove(&number);
        document(&format!(r#"{{"id":"{id}","object":"response","deleted":true}}"#))
    }

    fn input_items(&mut self, id: &str) -> Reply {
        match self.kept(id) {
            Some(kept) => list(&[input_item(&kept.inbound.responses.input)]),
            None => no_response(id),
        }
    }

    fn conversation(&mut self, method: &str, path: &[&str], body: &[u8]) -> Reply {
        let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let metadata = body.get("metadata").map_or_else(|| "{}".to_owned(), ToString::to_string);
        let sent = || body["items"].as_array().map_or(&[] as &[_], Vec::as_slice).iter();
        let sent: Vec<String> = sent().map(|item| message(&item["role"], &item["content"])).collect();
        if let ("POST", []) = (method, path) {
            self.next += 1;
            let mut chance = Chance::new(seed_of(&[b"conversation", &self.next.to_le_bytes()]));
            let id = format!("conv_{}", chance.letters(HEX, 48));
            let created_unix_s = EPOCH_UNIX_S + self.next;
            let conversation = Conversation { created_unix_s, metadata, items: sent };
            let reply = document(&conversation.json(&id));
            self.conversations.insert(id, conversation);
            if self.conversations.len() > KEPT_MAX {
                self.conversations.pop_first();
            }
            return reply;
        }
        let id = path.first().copied().unwrap_or_default();
        let Some(conversation) = self.conversations.get_mut(id) else {
            return missing(&format!("Conversation with id '{id}' not found."));
        };
        match (method, &path[1..]) {
            ("GET", []) => document(&conversation.json(id)),
            ("POST", []) => {
                conversation.metadata = metadata;
                document(&conversation.json(id))
            }
            ("DELETE", []) => {
                self.conversations.remove(id);
                document(&format!(r#"{{"id":"{id}","object":"conversation.deleted","deleted":true}}"#))
            }
            ("POST", ["items"]) => {
                conversation.items.extend(sent.iter().cloned());
                list(&sent)
            }
            ("GET", ["items"]) => list(&conversation.items),
            _ => missing(&format!("Invalid URL ({method} /v1/conversations/{id}/..)")),
        }
    }
}

impl Conversation {
    fn json(&self, id: &str) -> String {
        format!(
            r#"{{"id":"{id}","object":"conversation","created_at":{},"metadata":{}}}"#,
            self.created_unix_s, self.metadata
        )
    }
}

/// An item as the API lists it. What was sent as a list of items becomes one message that holds them as text.
fn input_item(input: &str) -> String {
    let content = serde_json::from_str(input).unwrap_or_default();
    message(&serde_json::Value::Null, &content)
}

fn message(role: &serde_json::Value, content: &serde_json::Value) -> String {
    let text = content.as_str().map_or_else(|| content.to_string(), str::to_owned);
    let id = Chance::new(seed_of(&[b"item", text.as_bytes()])).letters(BASE62, 24);
    format!(
        r#"{{"id":"msg_{id}","type":"message","status":"completed","content":[{{"type":"input_text","text":{}}}],"role":"{}"}}"#,
        quote(&text),
        role.as_str().unwrap_or("user")
    )
}

fn list(items: &[String]) -> Reply {
    let ids: Vec<&str> = items.iter().filter_map(|item| item.split('"').nth(3)).collect();
    let edge = |id: Option<&&str>| id.map_or_else(|| "null".to_owned(), |id| quote(id));
    document(&format!(
        r#"{{"object":"list","data":[{}],"first_id":{},"has_more":false,"last_id":{}}}"#,
        items.join(","),
        edge(ids.first()),
        edge(ids.last())
    ))
}

fn document(compact: &str) -> Reply {
    Reply::Aside(StatusCode::OK, format!("{}\n", indent(compact, 2)))
}

fn no_response(id: &str) -> Reply {
    missing(&format!("Response with id '{id}' not found."))
}

fn missing(message: &str) -> Reply {
    let body = failure::openai_body("invalid_request_error", None, None, message, 2);
    Reply::Aside(StatusCode::NOT_FOUND, body)
}
