//! Pure. The shape of a rule file before any meaning: every scalar as the text that was written (`severity: 1.0` stays
//! `1.0`, as in Prometheus), unknown and repeated keys kept for the report instead of ending the read.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

/// A mapping of text to text in file order; repeated names are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pairs(pub(super) Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;
        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping of names to texts")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    let text = map.next_value::<Option<String>>()?;
                    pairs.push((name, text.unwrap_or_default()));
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(PairsVisitor)
    }
}

/// Declares a mapping with known keys. Values are optional; `null` is absence.
macro_rules! mapping {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($field:ident: $type:ty = $key:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(super) struct $name {
            $(pub(super) $field: Option<$type>,)+
            pub(super) unknown: Vec<String>,
            pub(super) repeated: Vec<String>,
        }

        impl $name {
            pub(super) const KEYS: &[&str] = &[$($key),+];
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct MappingVisitor;
                impl<'de> Visitor<'de> for MappingVisitor {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($what)
                    }
                    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<$name, A::Error> {
                        let mut out = $name::default();
                        let mut seen = std::collections::BTreeSet::new();
                        while let Some(key) = map.next_key::<String>()? {
                            if !seen.insert(key.clone()) {
                                out.repeated.push(key.clone());
                            }
                            match key.as_str() {
                                $($key => out.$field = map.next_value()?,)+
                                _ => {
                                    map.next_value::<IgnoredAny>()?;
                                    out.unknown.push(key);
                                }
                            }
                        }
                        Ok(out)
                    }
                }
                deserializer.deserialize_map(MappingVisitor)
            }
        }
    };
}

mapping! {
    /// The whole file.
    RawFile, "a mapping with the key groups" { groups: Vec<RawGroup> = "groups" }
}

mapping! {
    /// One entry of `groups`.
    RawGroup, "a group: a mapping with name and rules" {
        name: String = "name",
        interval: String = "interval",
        query_offset: String = "query_offset",
        limit: String = "limit",
        labels: Pairs = "labels",
        rules: Vec<RawRule> = "rules",
    }
}

mapping! {
    /// One entry of `rules`.
    RawRule, "a rule: a mapping with alert and expr" {
        record: String = "record",
        alert: String = "alert",
        expr: String = "expr",
        hold: String = "for",
        keep_firing_for: String = "keep_firing_for",
        labels: Pairs = "labels",
        annotations: Pairs = "annotations",
    }
}

/// An empty file is a file without groups, as in Prometheus.
pub(super) fn read(text: &str) -> Result<RawFile, yaml_serde::Error> {
    Ok(yaml_serde::from_str::<Option<RawFile>>(text)?.unwrap_or_default())
}
