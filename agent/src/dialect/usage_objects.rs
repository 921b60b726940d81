//! The provider's usage as it was sent, kept beside what we made of it. Pure.
//!
//! A reading that turns out to be wrong, or a count that nobody knew of when the call was made, is corrected from here.

/// Bytes that are kept of one call's usage. A longer one is left out: half an object says nothing.
const BYTES_MAX: usize = 8 << 10;

/// One usage object, or of a stream that states parts in several the first and the newest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageObjects {
    /// Who reads them.
    dialect: &'static str,
    first: String,
    newest: String,
}

impl UsageObjects {
    /// The provider repeats it whole: the newest counts.
    pub fn replace(&mut self, dialect: &'static str, object: &str) {
        self.dialect = dialect;
        object.clone_into(&mut self.newest);
    }

    /// The provider states parts: the first counts beside the newest.
    pub fn add(&mut self, dialect: &'static str, object: &str) {
        self.dialect = dialect;
        if self.newest.is_empty() || !self.first.is_empty() {
            object.clone_into(&mut self.newest);
        } else {
            self.first = std::mem::replace(&mut self.newest, object.to_owned());
        }
    }

    /// As JSON under the name of the dialect that reads it: `{"openai":{...}}`, `{"anthropic":[{...},{...}]}`; empty when there
    /// is none.
    pub fn json(&self) -> String {
        let Self { dialect, first, newest } = self;
        match (first.len() + newest.len(), first.is_empty()) {
            (0, _) => String::new(),
            (bytes, _) if bytes > BYTES_MAX => String::new(),
            (_, true) => format!(r#"{{"{dialect}":{newest}}}"#),
            (_, false) => format!(r#"{{"{dialect}":[{first},{newest}]}}"#),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_newest_are_kept_or_the_newest_alone() {
        let mut objects = UsageObjects::default();
        assert_eq!(objects.json(), "");
        for object in [r#"{"input_tokens":1}"#, r#"{"output_tokens":2}"#, r#"{"output_tokens":3}"#] {
            objects.add("anthropic", object);
        }
        assert_eq!(objects.json(), r#"{"anthropic":[{"input_tokens":1},{"output_tokens":3}]}"#);
        let mut objects = UsageObjects::default();
        objects.replace("openai", r#"{"prompt_tokens":1}"#);
        objects.replace("openai", r#"{"prompt_tokens":2}"#);
        assert_eq!(objects.json(), r#"{"openai":{"prompt_tokens":2}}"#);
        objects.replace("openai", &format!(r#"{{"x":"{}"}}"#, "y".repeat(BYTES_MAX)));
        assert_eq!(objects.json(), "");
    }
}
