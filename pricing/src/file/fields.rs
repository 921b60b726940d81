//! Walking through YAML with a path and a list of problems. Pure. It must never stop at the first problem.

use yaml_serde::Value;

use crate::model::PriceBookProblem;

/// The fields of one mapping, and the path to it.
pub(super) struct Fields<'value> {
    path: String,
    fields: Vec<(&'value str, &'value Value)>,
}

impl<'value> Fields<'value> {
    /// The field, where it is present.
    pub(super) fn get(&self, key: &str) -> Option<&'value Value> {
        self.fields.iter().find(|&&(name, _)| name == key).map(|&(_, value)| value)
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

/// Reads one file.
pub(super) struct Reader<'problems> {
    file: String,
    model: Option<String>,
    problems: &'problems mut Vec<PriceBookProblem>,
}

impl<'problems> Reader<'problems> {
    pub(super) fn new(file: &str, problems: &'problems mut Vec<PriceBookProblem>) -> Self {
        Self { file: file.to_owned(), model: None, problems }
    }

    /// Problems from here on are in this model, and paths start at it.
    pub(super) fn enter_model(&mut self, name: &str) {
        self.model = Some(name.to_owned());
    }

    pub(super) fn leave_model(&mut self) {
        self.model = None;
    }

    pub(super) fn problem(&mut self, field: &str, message: impl Into<String>) {
        let field = if field.is_empty() { "file" } else { field };
        self.problems.push(PriceBookProblem {
            file: self.file.clone(),
            model: self.model.clone(),
            field: field.to_owned(),
            message: message.into(),
        });
    }

    /// A mapping with no other keys than these.
    pub(super) fn mapping<'value>(
        &mut self,
        value: &'value Value,
        path: &str,
        keys: &[&str],
    ) -> Option<Fields<'value>> {
        let fields = self.any_mapping(value, path)?;
        for &(key, _) in &fields.fields {
            if !keys.contains(&key) {
                self.problem(
                    &fields.path_of(key),
                    format!("is not known here; known are {}", keys.join(", ")),
                );
            }
        }
        Some(fields)
    }

    fn any_mapping<'value>(&mut self, value: &'value Value, path: &str) -> Option<Fields<'value>> {
        let Some(mapping) = value.as_mapping() else {
            self.problem(path, "must be a mapping of `key: value` lines");
            return None;
        };
        let mut fields = Vec::new();
        for (key, value) in mapping {
            match key.as_str() {
                Some(key) => fields.push((key, value)),
                None => self.problem(path, "has a key that is not a word; put it in quotes"),
            }
        }
        Some(Fields { path: path.to_owned(), fields })
    }

    pub(super) fn required<'value>(&mut self, fields: &Fields<'value>, key: &str) -> Option<&'value Value> {
        let value = fields.get(key);
        if value.is_none() {
            self.problem(&fields.path_of(key), "is missing");
        }
        value
    }

    pub(super) fn text<'value>(&mut self, value: &'value Value, path: &str) -> Option<&'value str> {
        let found = match value {
            Value::String(text) => return Some(text),
            Value::Number(number) => {
                format!("`{number}` has no quotes; write \"{number}\", so that it is read digit by digit")
            }
            Value::Bool(word) => format!("`{word}` has no quotes; write \"{word}\""),
            Value::Null => "is empty".to_owned(),
            _ => "must be a text".to_owned(),
        };
        self.problem(path, found);
        None
    }

    /// The items of a list with their paths; nothing when the field is absent.
    pub(super) fn list<'value>(
        &mut self,
        fields: &Fields<'value>,
        key: &str,
    ) -> Vec<(String, &'value Value)> {
        let path = fields.path_of(key);
        match fields.get(key) {
            None => Vec::new(),
            Some(Value::Sequence(items)) if !items.is_empty() => {
                items.iter().enumerate().map(|(place, item)| (format!("{path}[{place}]"), item)).collect()
            }
            Some(_) => {
                self.problem(&path, "must be a list with at least one item");
                Vec::new()
            }
        }
    }

    /// The entries of a mapping whose keys are free, with their paths; nothing when the field is absent.
    pub(super) fn entries<'value>(
        &mut self,
        fields: &Fields<'value>,
        key: &str,
    ) -> Vec<(String, &'value str, &'value Value)> {
        let path = fields.path_of(key);
        let Some(value) = fields.get(key) else { return Vec::new() };
        let entries = self.any_mapping(value, &path);
        let entries = entries.into_iter().flat_map(|entries| entries.fields);
        entries.map(|(name, value)| (format!("{path}.{name}"), name, value)).collect()
    }
}
