//! What is read from a request body: three facts, in one pass, nothing kept. Pure.
//!
//! The pass writes down each fact as it comes by, so that a body that was cut at the limit, or is not JSON to its end,
//! still yields the facts before that point.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::json::{Measure, Text, absent};

/// Facts about a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestFacts {
    /// The model asked for; empty when not named.
    pub model: String,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// Bytes of the text that the model has to read: messages, instructions, tool definitions. Images, audio and
    /// files are not in it.
    pub text_bytes: u64,
    /// The body was read to its end.
    pub whole: bool,
}

/// Reads the request body of any dialect: those we know agree on the names of the fields used here.
#[must_use]
pub fn read(body: &[u8]) -> RequestFacts {
    let mut facts = RequestFacts::default();
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let read = Body(&mut facts).deserialize(&mut deserializer).and_then(|()| deserializer.end());
    facts.whole = read.is_ok();
    facts
}

struct Body<'s>(&'s mut RequestFacts);

impl<'de> DeserializeSeed<'de> for Body<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Body<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a request object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(field) = map.next_key::<Text<'de>>()? {
            match field.get().unwrap_or_default() {
                "model" => map.next_value::<Text<'de>>()?.store(&mut self.0.model),
                "stream" => self.0.stream = map.next_value_seed(Flag)?,
                "messages" | "system" | "tools" | "functions" | "prompt" | "input" | "instructions" => {
                    map.next_value_seed(Measure { bytes: &mut self.0.text_bytes, depth: 0 })?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// `true`; anything else is `false`.
struct Flag;

impl<'de> DeserializeSeed<'de> for Flag {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Flag {
    type Value = bool;
    absent!(@ expecting);
    absent!(false; i64 u64 f64 str null list map);

    fn visit_bool<E: Error>(self, flag: bool) -> Result<bool, E> {
        Ok(flag)
    }
}
