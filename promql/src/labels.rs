//! Pure: a series' labels, sorted by name. A label with an empty value does not exist, as in Prometheus, so none is ever stored.

use std::fmt;
use std::sync::Arc;

/// The label that carries the metric's name.
pub const METRIC_NAME: &str = "__name__";

/// A sorted set of label names and values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels(Vec<(Arc<str>, Arc<str>)>);

impl Labels {
    /// Collects pairs in any order; a pair with an empty value is dropped, the last of two equal names wins.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (impl Into<Arc<str>>, impl Into<Arc<str>>)>) -> Self {
        let mut labels = Self::default();
        pairs.into_iter().for_each(|(name, value)| labels.set(name, value));
        labels
    }

    /// The value of a label, empty when there is none.
    pub fn get(&self, name: &str) -> &str {
        self.position(name).map_or("", |at| &self.0[at].1)
    }

    /// Sets a label; an empty value removes it.
    pub fn set(&mut self, name: impl Into<Arc<str>>, value: impl Into<Arc<str>>) {
        let (name, value) = (name.into(), value.into());
        match (self.position(&name), value.is_empty()) {
            (Ok(at), true) => {
                self.0.remove(at);
            }
            (Ok(at), false) => self.0[at].1 = value,
            (Err(_), true) => {}
            (Err(at), false) => self.0.insert(at, (name, value)),
        }
    }

    /// These labels without the metric's name.
    pub fn without_name(&self) -> Self {
        self.without(&[])
    }

    /// These labels without the given ones and without the metric's name.
    pub fn without(&self, names: &[Arc<str>]) -> Self {
        self.filtered(|name| name != METRIC_NAME && !names.iter().any(|other| &**other == name))
    }

    /// Only the given labels.
    pub fn only(&self, names: &[Arc<str>]) -> Self {
        self.filtered(|name| names.iter().any(|other| &**other == name))
    }

    /// Names and values in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The bytes these labels keep alive, texts that are shared with other labels included.
    pub fn bytes(&self) -> usize {
        let texts: usize = self.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.own_bytes() + texts
    }

    /// The bytes a copy of these labels takes; the texts are shared.
    pub fn own_bytes(&self) -> usize {
        self.0.len() * size_of::<(Arc<str>, Arc<str>)>()
    }

    fn filtered(&self, keep: impl Fn(&str) -> bool) -> Self {
        Self(self.0.iter().filter(|(name, _)| keep(name)).cloned().collect())
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(other, _)| (**other).cmp(name))
    }
}

/// `{a="x", b="y"}`, the form Prometheus uses in messages.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (at, (name, value)) in self.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{name}={value:?}")?;
        }
        f.write_str("}")
    }
}
