//! On which line of a file a field stands. Pure; asked only for what is wrong, so it may read the file again.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The line, from 1, of the field with that path: `models.gpt-4o.prices[1].from`. Of a field that is not there, that of what should
/// hold it; `None` where that is the whole file.
pub(super) fn of(text: &str, path: &str) -> Option<usize> {
    let mut path = path;
    while !path.is_empty() {
        // YAML says where it is only in an error, so the walk ends with one where it arrives.
        let found = Seek(path).deserialize(yaml_serde::Deserializer::from_str(text)).err();
        if let Some(location) = found.and_then(|error| error.location()) {
            return Some(location.line());
        }
        path = &path[..path.rfind(['.', '[']).unwrap_or(0)];
    }
    None
}

/// Fails at the value with this path, which is empty for the value itself.
#[derive(Clone, Copy)]
struct Seek<'a>(&'a str);

const ARRIVED: &str = "arrived";

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Seek<'_> {
    fn scalar<E: Error>(self) -> Result<(), E> {
        if self.0.is_empty() { Err(E::custom(ARRIVED)) } else { Ok(()) }
    }
}

/// A number with a fraction is not visited: it is an error by itself, at the place that was looked for.
impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.scalar()
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.scalar()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.scalar()
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.scalar()?;
        while let Some(rest) = map.next_key_seed(Key(self.0))? {
            match rest {
                Some(rest) => map.next_value_seed(Seek(rest))?,
                None => map.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.scalar()?;
        let place = self.0.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let (wanted, rest) = place.map_or((None, ""), |(place, rest)| (place.parse::<usize>().ok(), rest));
        let mut place = 0_usize;
        loop {
            let more = if wanted == Some(place) {
                list.next_element_seed(Seek(rest.strip_prefix('.').unwrap_or(rest)))?.is_some()
            } else {
                list.next_element::<IgnoredAny>()?.is_some()
            };
            if !more {
                return Ok(());
            }
            place = place.saturating_add(1);
        }
    }
}

/// What is left of the path behind a key; `None` for another key. Fails at the key that is the whole of it, which stands on the line
/// that a person looks for, where its value may begin on the next.
struct Key<'a>(&'a str);

impl<'de, 'a> DeserializeSeed<'de> for Key<'a> {
    type Value = Option<&'a str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'_> for Key<'a> {
    type Value = Option<&'a str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        match self.0.strip_prefix(key) {
            Some("") => Err(E::custom(ARRIVED)),
            Some(rest) => Ok(rest.strip_prefix('.').or_else(|| rest.starts_with('[').then_some(rest))),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn a_field_stands_on_its_line() {
        let text = "provider: acme # one\n\nmodels:\n  gpt-4:\n    names: [a]\n  gpt-4.1:\n    prices:\n      - from: \"x\"\n        \
                    each: { request: 1 }\n      - { from: \"y\",\n          until: \"z\" }\n  \"q\": {}\nstandard:\n  ? service_tier\n  : any\n";
        for (path, line) in [
            ("provider", Some(1)),
            ("models", Some(3)),
            ("models.gpt-4", Some(4)),
            ("models.gpt-4.names[0]", Some(5)),
            ("models.gpt-4.1", Some(6)),
            ("models.gpt-4.1.prices", Some(7)),
            ("models.gpt-4.1.prices[0].from", Some(8)),
            ("models.gpt-4.1.prices[0].each.request", Some(9)),
            ("models.gpt-4.1.prices[1]", Some(10)),
            ("models.gpt-4.1.prices[1].until", Some(11)),
            ("models.q", Some(12)),
            ("standard.service_tier", Some(14)),
            // What is not there is missing in what should hold it.
            ("models.gpt-4.1.prices[1].each.request", Some(10)),
            ("models.gpt-4.retires", Some(4)),
            ("source", None),
            ("", None),
        ] {
            assert_eq!(of(text, path), line, "{path}");
        }
    }
}
