//! Counts dropped attributes by name, as a metric whose labels are bounded whatever senders call theirs.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use ledgerline_proto::otlp::DroppedNames;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::limits;

/// The label of names that have none of their own.
const OTHER: &str = "other";

/// The label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AttributeName {
    /// The attribute's name, numbers in it as `*`; `other` for all beyond the bound and for what reads like no name.
    pub name: String,
}

/// The counter. Cheap to clone: all clones count together.
#[derive(Clone, Debug, Default)]
pub struct DroppedAttributes {
    /// What is registered.
    pub family: Family<AttributeName, Counter>,
    labels: Arc<Mutex<HashSet<String>>>,
}

impl DroppedAttributes {
    /// Counts what was dropped of one request.
    pub fn add(&self, dropped: &DroppedNames) {
        let mut labels = self.labels.lock().unwrap_or_else(PoisonError::into_inner);
        let add = |name: String, count| self.family.get_or_create(&AttributeName { name }).inc_by(count);
        for (name, count) in dropped.names() {
            let name = label(name).filter(|label| {
                labels.contains(label)
                    || labels.len() < limits::DROPPED_NAME_LABELS_MAX && labels.insert(label.clone())
            });
            add(name.unwrap_or_else(|| OTHER.to_owned()), count);
        }
        if dropped.more() > 0 {
            add(OTHER.to_owned(), dropped.more());
        }
    }
}

/// A name as a label: a flattened list is one name, and what is deeper than people name things is cut. `None` for what is no
/// name.
fn label(name: &str) -> Option<String> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:/".contains(&byte);
    if name.is_empty() || name.len() > limits::DROPPED_NAME_BYTES_MAX || !name.bytes().all(is_part) {
        return None;
    }
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts: Vec<&str> = name.split('.').map(|part| if number(part) { "*" } else { part }).collect();
    if parts.len() > limits::DROPPED_NAME_PARTS_MAX {
        parts.truncate(limits::DROPPED_NAME_PARTS_MAX);
        parts.push("*");
    }
    Some(parts.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_label_without_numbers_and_depth() {
        for (name, expected) in [
            ("input.value", Some("input.value")),
            ("http.request.header.authorization", Some("http.request.header.authorization")),
            ("llm.input_messages.12.message.content", Some("llm.input_messages.*.message.*")),
            ("gen_ai.prompt.0.content", Some("gen_ai.prompt.*.content")),
            ("what the user said", None),
            ("", None),
        ] {
            assert_eq!(label(name).as_deref(), expected, "{name}");
        }
        assert_eq!(label(&"n".repeat(limits::DROPPED_NAME_BYTES_MAX + 1)), None);
    }

    #[test]
    fn labels_are_bounded_and_nothing_goes_uncounted() {
        let counter = DroppedAttributes::default();
        let more = 20;
        for round in 1..=3 {
            let mut dropped = DroppedNames::default();
            (0..limits::DROPPED_NAME_LABELS_MAX + more).for_each(|number| {
                dropped.count(&format!("name{number}"));
            });
            counter.add(&dropped);
            let labels = counter.labels.lock().unwrap().clone();
            assert_eq!(labels.len(), limits::DROPPED_NAME_LABELS_MAX);
            let of =
                |name: &str| counter.family.get_or_create(&AttributeName { name: name.to_owned() }).get();
            assert_eq!(labels.iter().map(|label| of(label)).collect::<HashSet<_>>(), HashSet::from([round]));
            assert_eq!(of(OTHER), more as u64 * round);
        }
    }
}
