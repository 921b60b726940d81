//! Reading JSON that strangers wrote. Pure.
//!
//! A field of the wrong type is absent, never an error: one provider's oddity in a field we read must not cost us the
//! fields beside it, and a count written as a text, a float or a negative number must not become a count. Values that
//! are not needed are skipped without recursion and without copies; texts are measured, not kept. What stays an error
//! is a document that is not JSON, or that names one of our fields twice: then which one counts is anyone's guess.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The largest count that is believed. No model takes four billion tokens; such a number is a fault, and one that
/// would end in somebody's bill.
pub const COUNT_MAX: u64 = u32::MAX as u64;

/// Nesting that is followed while measuring text; what lies deeper is skipped.
pub const DEPTH_MAX: usize = 64;

/// Elements of a list that are kept; OpenAI allows 128 choices.
pub const LIST_MAX: usize = 128;

/// Bytes of an identifier or name that are kept.
pub const NAME_BYTES_MAX: usize = 256;

/// The object that `bytes` hold; `None` when they hold anything else.
pub fn object<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    serde_json::from_slice::<Object<T>>(bytes).ok().and_then(|object| object.0)
}

/// Visitor methods for the types that count as absent.
macro_rules! absent {
    ($absent:expr; $($kind:ident)*) => { $(absent!(@ $kind $absent);)* };
    (@ bool $absent:expr) => { fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> { Ok($absent) } };
    (@ i64 $absent:expr) => { fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> { Ok($absent) } };
    (@ u64 $absent:expr) => { fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> { Ok($absent) } };
    (@ f64 $absent:expr) => { fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> { Ok($absent) } };
    (@ str $absent:expr) => { fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> { Ok($absent) } };
    (@ null $absent:expr) => { fn visit_unit<E: Error>(self) -> Result<Self::Value, E> { Ok($absent) } };
    (@ list $absent:expr) => {
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok($absent)
        }
    };
    (@ map $absent:expr) => {
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok($absent)
        }
    };
    (@ expecting) => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str("any JSON value") }
    };
}
pub(super) use absent;

/// A text, borrowed where it has no escapes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text<'a>(pub Option<Cow<'a, str>>);

impl Text<'_> {
    /// The text, unless absent or empty.
    #[must_use]
    pub fn get(&self) -> Option<&str> {
        self.0.as_deref().filter(|text| !text.is_empty())
    }

    /// Replaces `slot` by the text, if there is one; see [`bounded`].
    pub fn store(&self, slot: &mut String) {
        if let Some(text) = self.get() {
            *slot = bounded(text);
        }
    }

    /// Replaces `slot` by the text, if there is one; see [`bounded`].
    pub fn store_some(&self, slot: &mut Option<String>) {
        if let Some(text) = self.get() {
            *slot = Some(bounded(text));
        }
    }
}

/// The text, cut at [`NAME_BYTES_MAX`].
#[must_use]
pub fn bounded(text: &str) -> String {
    text[..text.floor_char_boundary(NAME_BYTES_MAX)].to_owned()
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            absent!(@ expecting);
            absent!(Text(None); bool i64 u64 f64 null list map);
            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Some(Cow::Owned(text.to_owned()))))
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Some(Cow::Borrowed(text))))
            }
        }
        deserializer.deserialize_any(TextVisitor)
    }
}

/// An error code: a text, or an integer in its digits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Code(pub Option<String>);

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CodeVisitor;
        impl<'de> Visitor<'de> for CodeVisitor {
            type Value = Code;
            absent!(@ expecting);
            absent!(Code(None); bool i64 f64 null list map);
            fn visit_u64<E: Error>(self, number: u64) -> Result<Code, E> {
                Ok(Code(Some(number.to_string())))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Code, E> {
                Ok(Code(Some(bounded(text)).filter(|code| !code.is_empty())))
            }
        }
        deserializer.deserialize_any(CodeVisitor)
    }
}

/// A count of tokens: an integer from 0 to [`COUNT_MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count(pub Option<u64>);

impl Count {
    /// The count; 0 when absent. Only for a part of a whole that is present: there, a part not named is none.
    #[must_use]
    pub fn or_zero(self) -> u64 {
        self.0.unwrap_or(0)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CountVisitor;
        impl<'de> Visitor<'de> for CountVisitor {
            type Value = Count;
            absent!(@ expecting);
            absent!(Count(None); bool i64 f64 str null list map);
            fn visit_u64<E: Error>(self, number: u64) -> Result<Count, E> {
                Ok(Count(Some(number).filter(|number| *number <= COUNT_MAX)))
            }
        }
        deserializer.deserialize_any(CountVisitor)
    }
}

/// A nested object; anything else is absent. Without it, serde would also read a list as a struct, field by field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object<T>(pub Option<T>);

impl<T> Default for Object<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;
            absent!(@ expecting);
            absent!(Object(None); bool i64 u64 f64 str null list);
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(|object| Object(Some(object)))
            }
        }
        deserializer.deserialize_any(ObjectVisitor(PhantomData))
    }
}

/// The objects of a list, at most [`LIST_MAX`] of them; other elements are left out, and anything else is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T>(pub Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
            type Value = List<T>;
            absent!(@ expecting);
            absent!(List(Vec::new()); bool i64 u64 f64 str null map);
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<List<T>, A::Error> {
                let mut kept = Vec::new();
                while kept.len() < LIST_MAX {
                    match list.next_element::<Object<T>>()? {
                        Some(element) => kept.extend(element.0),
                        None => return Ok(List(kept)),
                    }
                }
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(List(kept))
            }
        }
        deserializer.deserialize_any(ListVisitor(PhantomData))
    }
}

/// What the model wrote in one field, whatever its shape: a text, a list of parts, a tool call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Bytes of text in it.
    pub bytes: u64,
    /// Whether there is anything: `""`, `[]`, `{}` and `null` are nothing.
    pub present: bool,
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut bytes = 0;
        let present = Measure { bytes: &mut bytes, depth: 0 }.deserialize(deserializer)?;
        Ok(Self { bytes, present })
    }
}

/// Adds up the bytes of every text in a value, keys and the fields of [`is_text`] aside; yields whether the value
/// holds anything.
pub struct Measure<'s> {
    /// The sum.
    pub bytes: &'s mut u64,
    /// Levels above this value.
    pub depth: usize,
}

/// Whether the field of that name holds text a model reads or writes, rather than a label, a link or encoded binary
/// data. An image in base64 would otherwise look like a million tokens.
fn is_text(field: &str) -> bool {
    !matches!(
        field,
        "type"
            | "id"
            | "index"
            | "role"
            | "url"
            | "data"
            | "image_url"
            | "file_data"
            | "b64_json"
            | "media_type"
            | "signature"
            | "encrypted_content"
            | "tool_call_id"
            | "tool_use_id"
            | "cache_control"
    )
}

impl<'de> DeserializeSeed<'de> for Measure<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        if self.depth >= DEPTH_MAX {
            return IgnoredAny::deserialize(deserializer).map(|_| true);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Measure<'_> {
    type Value = bool;
    absent!(@ expecting);
    absent!(true; bool i64 u64 f64);
    absent!(false; null);

    fn visit_str<E: Error>(self, text: &str) -> Result<bool, E> {
        *self.bytes += text.len() as u64;
        Ok(!text.is_empty())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        let mut present = false;
        while list.next_element_seed(Measure { bytes: self.bytes, depth: self.depth + 1 })?.is_some() {
            present = true;
        }
        Ok(present)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut present = false;
        while let Some(field) = map.next_key::<Text<'de>>()? {
            present = true;
            if is_text(field.get().unwrap_or_default()) {
                map.next_value_seed(Measure { bytes: self.bytes, depth: self.depth + 1 })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(present)
    }
}

/// An `error` field. Providers put an object, a text or `null` there; compatible servers also `false`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorField(pub Option<ErrorBody>);

/// What an error object says about its class. The message is not read: it can quote the prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
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
    #[must_use]
    pub fn class(self) -> Option<String> {
        let is_class = |text: &String| {
            text.len() <= 64
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        };
        self.code.0.filter(is_class).or(self.kind.0.filter(is_class))
    }
}

impl<'de> Deserialize<'de> for ErrorField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ErrorVisitor;
        impl<'de> Visitor<'de> for ErrorVisitor {
            type Value = ErrorField;
            absent!(@ expecting);
            absent!(ErrorField(None); i64 u64 f64 null list);
            fn visit_bool<E: Error>(self, is_error: bool) -> Result<ErrorField, E> {
                Ok(ErrorField(is_error.then(ErrorBody::default)))
            }
            fn visit_str<E: Error>(self, _: &str) -> Result<ErrorField, E> {
                Ok(ErrorField(Some(ErrorBody::default())))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ErrorField, A::Error> {
                ErrorBody::deserialize(MapAccessDeserializer::new(map)).map(|body| ErrorField(Some(body)))
            }
        }
        deserializer.deserialize_any(ErrorVisitor)
    }
}
