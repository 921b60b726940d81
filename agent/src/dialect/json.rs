//! Reading JSON that strangers wrote. Pure.
//!
//! A field of the wrong type is absent, never an error: one provider's oddity must not cost us the fields beside it, and a
//! count written as a text, a fraction or a negative number must not become a count. [`Lenient`] takes any value, and each
//! type says what it makes of it. What is not needed is skipped without recursion and without copies. What stays an error is
//! a document that is not JSON; one that names a field of ours twice, or holds half a surrogate pair, is made readable first.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use ledgerline_proto::json::mend_surrogates;
use ledgerline_proto::{Condition, Conditions};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::text::{Kind, TextSink};

/// The largest count that is believed: no model takes four billion tokens, and it would end in somebody's bill.
pub const COUNT_MAX: u32 = u32::MAX;

/// Nesting that is followed while looking for text; what lies deeper is skipped.
pub const DEPTH_MAX: usize = 64;

/// Elements of a list that are kept; OpenAI allows 128 choices.
pub const LIST_MAX: usize = 128;

/// Bytes of an identifier or name that are kept.
pub const NAME_BYTES_MAX: usize = 256;

/// A longer document with a repeated field is not read: the second pass builds it in memory.
pub const REPEATED_BYTES_MAX: usize = 256 << 10;

/// The object that `bytes` hold; `None` when they hold anything else.
pub fn object<'a, T: Deserialize<'a> + Default>(bytes: &'a [u8]) -> Option<T> {
    serde_json::from_slice::<Object<T>>(bytes).ok().and_then(|object| object.0)
}

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

/// What a type makes of a JSON value. Of a kind of value that it does not name it makes its default, which is absence.
pub trait FromValue<'de>: Default {
    fn from_bool(_: bool) -> Self {
        Self::default()
    }

    /// Of an integer from 0 on.
    fn from_integer(_: u64) -> Self {
        Self::default()
    }

    /// Of a number with a fraction or an exponent.
    fn from_float(_: f64) -> Self {
        Self::default()
    }

    /// Borrowed where it has no escapes.
    fn from_text(_: Cow<'de, str>) -> Self {
        Self::default()
    }

    fn from_list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }

    fn from_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }
}

/// The methods of a visitor that need nothing but the value.
macro_rules! visit {
    ($($method:ident($value:pat, $kind:ty) = $result:expr;)*) => {$(
        fn $method<E: Error>(self, $value: $kind) -> Result<Self::Value, E> {
            Ok($result)
        }
    )*};
}

struct Lenient<T>(PhantomData<T>);

impl<'de, T: FromValue<'de>> Visitor<'de> for Lenient<T> {
    type Value = T;

    visit! {
        visit_bool(value, bool) = T::from_bool(value);
        visit_u64(number, u64) = T::from_integer(number);
        visit_i64(_, i64) = T::default();
        visit_f64(number, f64) = T::from_float(number);
        visit_str(text, &str) = T::from_text(Cow::Owned(text.to_owned()));
        visit_borrowed_str(text, &'de str) = T::from_text(Cow::Borrowed(text));
    }

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<T, A::Error> {
        T::from_list(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::from_map(map)
    }
}

pub fn lenient<'de, T: FromValue<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(Lenient(PhantomData))
}

macro_rules! lenient {
    ($([$($generics:tt)*] $type:ty;)*) => {$(
        impl<$($generics)*> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                lenient(deserializer)
            }
        }
    )*};
}

lenient! {
    ['de: 'a, 'a] Text<'a>;
    ['de] Code;
    ['de] Flag;
    ['de] Count;
    ['de, T: Deserialize<'de> + Default] Object<T>;
    ['de, T: Deserialize<'de> + Default] List<T>;
    ['de] ErrorField;
}

/// A text, borrowed where it has no escapes.
#[derive(Default)]
pub struct Text<'a>(pub Option<Cow<'a, str>>);

impl<'de: 'a, 'a> FromValue<'de> for Text<'a> {
    fn from_text(text: Cow<'de, str>) -> Self {
        Self(Some(text))
    }
}

impl Text<'_> {
    /// The text, unless absent or empty.
    pub fn get(&self) -> Option<&str> {
        self.0.as_deref().filter(|text| !text.is_empty())
    }

    /// Replaces `slot` by the text, if there is one; see [`bounded`].
    pub fn store(&self, slot: &mut String) {
        if let Some(text) = self.get().filter(|text| text != slot) {
            *slot = bounded(text);
        }
    }

    pub fn store_condition(&self, condition: Condition, conditions: &mut Conditions) {
        if let Some(text) = self.get() {
            conditions.set(condition, &text[..text.floor_char_boundary(NAME_BYTES_MAX)]);
        }
    }
}

/// The text, cut at [`NAME_BYTES_MAX`].
pub fn bounded(text: &str) -> String {
    text[..text.floor_char_boundary(NAME_BYTES_MAX)].to_owned()
}

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

/// A count of tokens: a whole number from 0 to [`COUNT_MAX`], also one that is written `10.0`, as some programs do.
#[derive(Clone, Copy, Default)]
pub struct Count(pub Option<u64>);

impl FromValue<'_> for Count {
    fn from_integer(number: u64) -> Self {
        Self(Some(number).filter(|number| *number <= COUNT_MAX.into()))
    }

    fn from_float(number: f64) -> Self {
        let is_whole = number.fract() == 0.0 && (0.0..=f64::from(COUNT_MAX)).contains(&number);
        // Whole and in range, so the conversion is exact.
        Self(is_whole.then_some(number as u64))
    }
}

impl Count {
    /// The count; 0 when absent. Only for a part of a whole that is present: there, a part not named is none.
    pub fn or_zero(self) -> u64 {
        self.0.unwrap_or(0)
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

/// A nested object; anything else is absent. Without it, serde would also read a list as a struct, field by field.
#[derive(Clone, Copy, Default)]
pub struct Object<T>(pub Option<T>);

impl<'de, T: Deserialize<'de> + Default> FromValue<'de> for Object<T> {
    fn from_map<A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|object| Self(Some(object)))
    }
}

/// The objects of a list, at most [`LIST_MAX`] of them; other elements are left out, and anything else is empty.
#[derive(Default)]
pub struct List<T>(pub Vec<T>);

impl<'de, T: Deserialize<'de> + Default> FromValue<'de> for List<T> {
    fn from_list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut kept = Vec::new();
        while kept.len() < LIST_MAX {
            match list.next_element::<Object<T>>()? {
                Some(element) => kept.extend(element.0),
                None => return Ok(Self(kept)),
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self(kept))
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
