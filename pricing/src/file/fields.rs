//! Walking through YAML with a place, and noting problems. Pure. It must never stop at the first problem.

use std::cell::RefCell;

use yaml_serde::Value;

use crate::model::PriceBookProblem;

/// The field of a problem that is about the whole file, or the whole model.
pub(super) const WHOLE: &str = "file";

/// One file, and what is wrong in it.
pub(super) struct File<'a> {
    pub(super) name: &'a str,
    pub(super) problems: RefCell<Vec<PriceBookProblem>>,
}

/// A value and where it stands.
#[derive(Clone)]
pub(super) struct Node<'a> {
    pub(super) file: &'a File<'a>,
    /// `None` outside the list of models.
    pub(super) model: Option<String>,
    /// From the file, or from the model.
    pub(super) path: String,
    pub(super) value: &'a Value,
}

impl<'a> Node<'a> {
    /// The same value as that of a model, where paths start anew.
    pub(super) fn of_model(&self, name: &str) -> Self {
        Self { model: Some(name.to_owned()), path: String::new(), ..self.clone() }
    }

    /// The place of a field, for a problem of it.
    pub(super) fn at(&self, key: &str) -> Self {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Self { path, ..self.clone() }
    }

    pub(super) fn note(&self, message: impl Into<String>) {
        self.file.problems.borrow_mut().push(PriceBookProblem {
            file: self.file.name.to_owned(),
            line: None,
            model: self.model.clone(),
            field: if self.path.is_empty() { WHOLE.to_owned() } else { self.path.clone() },
            message: message.into(),
        });
    }

    /// Notes a problem in place of what should have been read.
    pub(super) fn refuse<T>(&self, message: impl Into<String>) -> Option<T> {
        self.note(message);
        None
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        self.refuse(match self.value {
            Value::String(text) => return Some(text),
            Value::Number(number) => {
                format!("`{number}` has no quotes; write \"{number}\", so that it is read digit by digit")
            }
            Value::Bool(word) => format!("`{word}` has no quotes; write \"{word}\""),
            Value::Null => "is empty".to_owned(),
            _ => "must be a text".to_owned(),
        })
    }

    /// A whole number without quotes, or in them.
    pub(super) fn whole(&self) -> Option<u64> {
        let quoted = || self.value.as_str().and_then(|text| text.parse().ok());
        let number = self.value.as_u64().or_else(quoted);
        number.or_else(|| self.refuse("must be a whole number, for instance 200000"))
    }

    /// One text, or a list of them.
    pub(super) fn texts(&self) -> Vec<&'a str> {
        let Some(items) = self.value.as_sequence() else { return self.text().into_iter().collect() };
        if items.is_empty() {
            self.note("must be a list with at least one item");
        }
        self.items().iter().filter_map(Node::text).collect()
    }

    /// The items, if it is a list.
    pub(super) fn items(&self) -> Vec<Self> {
        let node = |(place, value)| Self { path: format!("{}[{place}]", self.path), value, ..self.clone() };
        self.value.as_sequence().into_iter().flatten().enumerate().map(node).collect()
    }

    /// A mapping with no other keys than these, between blanks.
    pub(super) fn fields(&self, keys: &str) -> Option<Fields<'a>> {
        let fields = self.entries()?;
        for (_, field) in fields.iter().filter(|(key, _)| !keys.split(' ').any(|known| known == *key)) {
            field.note(format!("is not known here; known are {}", keys.replace(' ', ", ")));
        }
        Some(Fields { of: self.clone(), fields })
    }

    /// A mapping with any keys.
    pub(super) fn entries(&self) -> Option<Vec<(&'a str, Self)>> {
        let Some(mapping) = self.value.as_mapping() else {
            return self.refuse("must be a mapping of `key: value` lines");
        };
        let entry = |(key, value): (&'a Value, &'a Value)| match key.as_str() {
            Some(key) => Some((key, Self { value, ..self.at(key) })),
            None => self.refuse("has a key that is not a word; put it in quotes"),
        };
        Some(mapping.iter().filter_map(entry).collect())
    }
}

/// The fields of one mapping.
pub(super) struct Fields<'a> {
    pub(super) of: Node<'a>,
    fields: Vec<(&'a str, Node<'a>)>,
}

impl<'a> Fields<'a> {
    pub(super) fn get(&self, key: &str) -> Option<&Node<'a>> {
        self.fields.iter().find(|(name, _)| *name == key).map(|(_, field)| field)
    }

    pub(super) fn required(&self, key: &str) -> Option<&Node<'a>> {
        self.get(key).or_else(|| self.of.at(key).refuse("is missing"))
    }

    /// The items of a list; nothing when the field is absent.
    pub(super) fn list(&self, key: &str) -> Vec<Node<'a>> {
        let Some(field) = self.get(key) else { return Vec::new() };
        let items = field.items();
        if items.is_empty() {
            field.note("must be a list with at least one item");
        }
        items
    }

    /// The entries of a mapping whose keys are free; nothing when the field is absent.
    pub(super) fn entries(&self, key: &str) -> Vec<(&'a str, Node<'a>)> {
        self.get(key).and_then(Node::entries).unwrap_or_default()
    }
}
