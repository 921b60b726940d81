//! What the agent reads of JSON that strangers wrote, beside fields: texts, whatever their shape, errors, objects word for word. Pure.
//!
//! What is read field by field is in [`ledgerline_proto::json::lenient`], with its rule: a field of the wrong type is absent, never an
//! error. A document that names a field of ours twice, or holds half a surrogate pair, is made readable first.

use std::borrow::Cow;
use std::fmt;

use ledgerline_proto::json::lenient::{FromValue, Object, Text, bounded, lenient};
use ledgerline_proto::json::mend_surrogates;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::text::{Kind, TextSink};

/// Nesting that is followed while looking for text; what lies deeper is skipped.
pub const DEPTH_MAX: usize = 64;

/// A longer document with a repeated field is not read: the second pass builds it in memory.
pub const REPEATED_BYTES_MAX: usize = 256 << 10;

/// A document that is refused here and that the providers' own client libraries read, as they read it: of a repeated field the
/// last, and what [`mend_surrogates`] mends.
pub fn as_clients_read(document: &[u8]) -> Option<Vec<u8>> {
    let mut mended = document.to_vec();
    let is_mended = mend_surrogates(&mut mended);
    if document.len() > REPEATED_BYTES_MAX {
        return is_mended.then_some(mended);
    }
    let value: serde_json::Value = serde_json::from_slice(&mended).ok()?;
    value.is_object().then(|| value.to_string().into_bytes())
}

/// The methods of a visitor that need nothing but the value.
macro_rules! visit {
    ($($method:ident($value:pat, $kind:ty) = $result:expr;)*) => {$(
        fn $method<E: Error>(self, $value: $kind) -> Result<Self::Value, E> {
            Ok($result)
        }
    )*};
}

macro_rules! lenient {
    ($($type:ty;)*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                lenient(deserializer)
            }
        }
    )*};
}

lenient! { Code; Flag; ErrorField; }

/// An error code: a text, or an integer in its digits.
#[derive(Clone, Default)]
pub struct Code(pub Option<String>);

impl FromValue<'_> for Code {
    fn from_integer(number: u64) -> Self {
        Self(Some(number.to_string()))
    }

    fn from_text(text: Cow<'_, str>) -> Self {
        Self(Some(bounded(&text)).filter(|code| !code.is_empty()))
    }
}

/// `true`; anything else is `false`.
#[derive(Default)]
pub struct Flag(pub bool);

impl FromValue<'_> for Flag {
    fn from_bool(value: bool) -> Self {
        Self(value)
    }
}

/// A nested object, and its text as it was sent.
#[derive(Default)]
pub struct Verbatim<'a, T> {
    pub object: Option<T>,
    /// Empty when absent.
    pub text: &'a str,
}

impl<'de: 'a, 'a, T: Deserialize<'de> + Default> Deserialize<'de> for Verbatim<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&'de RawValue>::deserialize(deserializer)?.get();
        let Object(object) = serde_json::from_str(text).map_err(D::Error::custom)?;
        Ok(Self { text: if object.is_some() { text } else { "" }, object })
    }
}

/// An `error` field. Providers put an object, a text or `null` there; compatible servers also `false`.
#[derive(Default)]
pub struct ErrorField(pub Option<ErrorBody>);

impl<'de> FromValue<'de> for ErrorField {
    fn from_bool(is_error: bool) -> Self {
        Self(is_error.then(ErrorBody::default))
    }

    fn from_text(_: Cow<'de, str>) -> Self {
        Self(Some(ErrorBody::default()))
    }

    fn from_map<A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        ErrorBody::deserialize(MapAccessDeserializer::new(map)).map(|body| Self(Some(body)))
    }
}

/// What an error object says about its class. The message is not read: it can quote the prompt.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct ErrorBody {
    /// The finer name: `rate_limit_exceeded`.
    pub code: Code,
    /// The broader name: `invalid_request_error`.
    #[serde(rename = "type")]
    pub kind: Code,
}

impl ErrorBody {
    /// The code, else the type, if it can serve as a class: few short words of a fixed set, not a sentence.
    pub fn class(self) -> Option<String> {
        let is_class = |text: &String| {
            text.len() <= 64
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        };
        self.code.0.filter(is_class).or(self.kind.0.filter(is_class))
    }
}

/// What the model wrote in one field, whatever its shape: a text, a list of parts, a tool call.
#[derive(Default)]
pub struct Content<'a> {
    /// It holds something, perhaps without text: not `""`, `[]`, `{}` or `null`.
    pub is_present: bool,
    /// Apart, because there is seldom a second.
    first: Option<Cow<'a, str>>,
    more: Vec<Cow<'a, str>>,
}

impl Content<'_> {
    fn texts(&self) -> impl Iterator<Item = &str> {
        self.first.iter().chain(&self.more).map(|text| &**text)
    }

    pub fn bytes(&self) -> usize {
        self.texts().map(str::len).sum()
    }

    /// Hands the model's texts on; an empty one where there is something without text.
    pub fn hand_to(&self, kind: Kind, sink: &mut dyn TextSink) {
        if self.is_present && self.first.is_none() {
            sink.take(kind, "");
        }
        self.texts().for_each(|text| sink.take(kind, text));
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut content = Self::default();
        content.is_present = Walk::within(Kind::Text, &mut content).deserialize(deserializer)?;
        Ok(content)
    }
}

impl<'de: 'a, 'a> OnText<'de> for Content<'a> {
    fn text(&mut self, _: Kind, text: Cow<'de, str>) {
        match self.first {
            None => self.first = Some(text),
            Some(_) => self.more.push(text),
        }
    }
}

pub trait OnText<'de> {
    fn text(&mut self, kind: Kind, text: Cow<'de, str>);

    /// A text that had to be freed of escapes and is gone afterwards.
    fn passing_text(&mut self, kind: Kind, text: &str) {
        self.text(kind, Cow::Owned(text.to_owned()));
    }
}

/// Finds every text in a value, keys and the fields of [`is_text`] aside; yields whether the value holds anything.
pub struct Walk<'s, S: ?Sized> {
    on_text: &'s mut S,
    kind: Kind,
    /// Levels above this value.
    depth: usize,
}

impl<'s, S: ?Sized> Walk<'s, S> {
    /// Over a value whose texts are of this kind unless it says otherwise.
    pub fn within(kind: Kind, on_text: &'s mut S) -> Self {
        Self { on_text, kind, depth: 0 }
    }

    fn below(&mut self, kind: Kind) -> Walk<'_, S> {
        Walk { on_text: self.on_text, kind, depth: self.depth + 1 }
    }
}

/// Whether the field holds text a model reads or writes: an image in base64 would look like a million tokens.
fn is_text(field: &str) -> bool {
    let is_label = matches!(field, "type" | "index" | "role" | "status" | "media_type" | "cache_control");
    let is_id = matches!(field, "id" | "call_id" | "file_id" | "tool_call_id" | "tool_use_id");
    let is_link_or_data = matches!(field, "url" | "image_url" | "data" | "file_data" | "b64_json");
    let is_sealed = matches!(field, "signature" | "encrypted_content");
    !(is_label || is_id || is_link_or_data || is_sealed)
}

impl<'de, S: OnText<'de> + ?Sized> DeserializeSeed<'de> for Walk<'_, S> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        if self.depth >= DEPTH_MAX {
            return IgnoredAny::deserialize(deserializer).map(|_| true);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: OnText<'de> + ?Sized> Visitor<'de> for Walk<'_, S> {
    type Value = bool;

    visit! {
        visit_bool(_, bool) = true;
        visit_u64(_, u64) = true;
        visit_i64(_, i64) = true;
        visit_f64(_, f64) = true;
    }

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<bool, E> {
        if !text.is_empty() {
            self.on_text.passing_text(self.kind, text);
        }
        Ok(!text.is_empty())
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<bool, E> {
        if !text.is_empty() {
            self.on_text.text(self.kind, Cow::Borrowed(text));
        }
        Ok(!text.is_empty())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<bool, A::Error> {
        let mut is_present = false;
        while list.next_element_seed(self.below(self.kind))?.is_some() {
            is_present = true;
        }
        Ok(is_present)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<bool, A::Error> {
        let mut is_present = false;
        while let Some(field) = map.next_key::<Text<'de>>()? {
            is_present = true;
            let name = field.get().unwrap_or_default();
            if is_text(name) {
                map.next_value_seed(self.below(kind(name, self.kind)))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(is_present)
    }
}

fn kind(field: &str, otherwise: Kind) -> Kind {
    match field {
        "tool_calls" | "function_call" | "tool_use" | "tool_result" | "arguments" => Kind::Tool,
        "thinking" | "reasoning" | "reasoning_content" => Kind::Reasoning,
        _ => otherwise,
    }
}
