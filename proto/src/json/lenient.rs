//! Reading JSON that strangers wrote, field by field. Pure.
//!
//! A field of the wrong type is absent, never an error: one provider's oddity must not cost us the fields beside it, and a
//! count written as a text, a fraction or a negative number must not become a count. [`FromValue`] says what a type makes of any
//! value. What is not needed is skipped without recursion and without copies. What stays an error is a document that is not JSON,
//! or one that names a field of ours twice.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::{Condition, Conditions};

/// The largest count that is believed: no model takes four billion tokens, and it would end in somebody's bill.
pub const COUNT_MAX: u32 = u32::MAX;

/// Elements of a list that are kept; OpenAI allows 128 choices.
pub const LIST_MAX: usize = 128;

/// Bytes of an identifier or name that are kept.
pub const NAME_BYTES_MAX: usize = 256;

/// The object that `bytes` hold; `None` when they hold anything else.
pub fn object<'a, T: Deserialize<'a> + Default>(bytes: &'a [u8]) -> Option<T> {
    serde_json::from_slice::<Object<T>>(bytes).ok().and_then(|object| object.0)
}

/// What a type makes of a JSON value. Of a kind of value that it does not name it makes its default, which is absence.
pub trait FromValue<'de>: Default {
    /// Of `true` and `false`.
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

    /// Of a list.
    fn from_list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }

    /// Of an object.
    fn from_map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }
}

struct Lenient<T>(PhantomData<T>);

impl<'de, T: FromValue<'de>> Visitor<'de> for Lenient<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<T, E> {
        Ok(T::from_bool(value))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        Ok(T::from_integer(number))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        Ok(T::from_float(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        Ok(T::from_text(Cow::Owned(text.to_owned())))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<T, E> {
        Ok(T::from_text(Cow::Borrowed(text)))
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

/// Any value as what the type makes of it: the whole of a type's `Deserialize`.
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
    ['de] Count;
    ['de, T: Deserialize<'de> + Default] Object<T>;
    ['de, T: Deserialize<'de> + Default] List<T>;
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

    /// States a condition by the text, if there is one; cut at [`NAME_BYTES_MAX`].
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
