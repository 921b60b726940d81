//! Pure: what is probably wrong with a query or its data, said beside the answer.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::limits::NOTICES_MAX;

/// Collects the notices of one evaluation, each once and not more than a person would read.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    warnings: RefCell<BTreeSet<String>>,
    infos: RefCell<BTreeSet<String>>,
}

impl Notices {
    pub fn warn(&self, text: &str) {
        insert(&self.warnings, format!("PromQL warning: {text}"));
    }

    pub fn inform(&self, text: &str) {
        insert(&self.infos, format!("PromQL info: {text}"));
    }

    pub fn into_lists(self) -> (Vec<String>, Vec<String>) {
        let list = |notices: RefCell<BTreeSet<String>>| notices.into_inner().into_iter().collect();
        (list(self.warnings), list(self.infos))
    }
}

fn insert(notices: &RefCell<BTreeSet<String>>, text: String) {
    let mut notices = notices.borrow_mut();
    if notices.len() < NOTICES_MAX {
        notices.insert(text);
    }
}
