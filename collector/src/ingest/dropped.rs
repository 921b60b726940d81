//! Counts dropped attributes by name, as a metric whose labels are bounded whatever senders call theirs.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use ledgerline_proto::otlp::DroppedNames;

use crate::limits;
use crate::metrics::Labelled;

/// The label of names that have none of their own.
const OTHER: &str = "other";

/// The counter, and its labels but [`OTHER`]: names of attributes, numbers in them as `*`.
#[derive(Debug)]
pub struct DroppedAttributes {
    counter: Labelled,
    labels: Mutex<HashSet<String>>,
}

impl DroppedAttributes {
    pub fn new(counter: Labelled) -> Self {
        Self { counter, labels: Mutex::default() }
    }

    pub fn add(&self, dropped: &DroppedNames) {
        let mut labels = self.labels.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, count) in dropped.names() {
            let name = label(name).filter(|label| {
                labels.contains(label)
                    || labels.len() < limits::DROPPED_NAME_LABELS_MAX && labels.insert(label.clone())
            });
            self.counter.of([name.map_or(OTHER.into(), Cow::from)]).inc_by(count);
        }
        if dropped.more() > 0 {
            self.counter.of([OTHER]).inc_by(dropped.more());
        }
    }
}

/// A name as a label: a flattened list is one name, and what is deeper than people name things is cut.
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
    use crate::metrics::Metrics;

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
        let counter = DroppedAttributes::new(Metrics::default().attributes_dropped);
        let more = 20;
        for round in 1..=3 {
            let mut dropped = DroppedNames::default();
            (0..limits::DROPPED_NAME_LABELS_MAX + more).for_each(|number| {
                dropped.count(&format!("name{number}"));
            });
            counter.add(&dropped);
            let labels = counter.labels.lock().unwrap().clone();
            assert_eq!(labels.len(), limits::DROPPED_NAME_LABELS_MAX);
            let of = |name: String| counter.counter.of([name]).get();
            assert_eq!(labels.into_iter().map(of).collect::<HashSet<_>>(), HashSet::from([round]));
            assert_eq!(of(OTHER.to_owned()), more as u64 * round);
        }
    }
}
