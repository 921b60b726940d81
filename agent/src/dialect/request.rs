//! What is read from a request body: facts and texts, in one pass, nothing kept. Pure.
//!
//! A body that was cut at the limit, or is not JSON to its end, still yields the facts before that point.

use std::borrow::Cow;

use ledgerline_proto::json::lenient::Text;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::json::{Flag, OnText, Walk};
use super::text::{Kind, TextSink};

/// Facts about a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestFacts {
    /// The model asked for; empty when not named.
    pub model: String,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// The body was read to its end.
    pub whole: bool,
}

/// Reads the request body of any dialect whose fields have the names that most agree on. Images, audio and files are no texts.
pub fn read(body: &[u8], texts: &mut dyn TextSink) -> RequestFacts {
    let mut facts = RequestFacts::default();
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let body = Body { facts: &mut facts, texts };
    let read = body.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    facts.whole = read.is_ok();
    facts
}

struct Body<'s, 't> {
    facts: &'s mut RequestFacts,
    texts: &'s mut (dyn TextSink + 't),
}

impl<'de> OnText<'de> for dyn TextSink + '_ {
    fn text(&mut self, kind: Kind, text: Cow<'de, str>) {
        self.take(kind, &text);
    }

    fn passing_text(&mut self, kind: Kind, text: &str) {
        self.take(kind, text);
    }
}

impl<'de> DeserializeSeed<'de> for Body<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Body<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a request object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(field) = map.next_key::<Text<'de>>()? {
            let kind = match field.get().unwrap_or_default() {
                "model" => {
                    map.next_value::<Text<'de>>()?.store(&mut self.facts.model);
                    continue;
                }
                "stream" => {
                    self.facts.stream = map.next_value::<Flag>()?.0;
                    continue;
                }
                "messages" | "prompt" | "input" | "system" | "instructions" => Kind::Text,
                "tools" | "functions" => Kind::Tool,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            map.next_value_seed(Walk::within(kind, self.texts))?;
        }
        Ok(())
    }
}
