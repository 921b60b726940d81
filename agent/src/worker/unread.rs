//! What the worker could not read, by upstream and path: warned of once, counted always.

use std::collections::BTreeSet;
use std::sync::Arc;

use ledgerline_proto::Unread;

use super::assemble::CallFacts;
use crate::dialect::unread::{model_in_path, template};

/// Distinct paths that are told apart.
const PATHS_MAX: usize = 256;

/// Stands for the paths beyond.
const OTHER: &str = "other";

#[derive(Debug, Default)]
pub struct UnreadPaths(BTreeSet<(Arc<str>, String)>);

impl UnreadPaths {
    /// Completes the facts of a call that no dialect reads; `None` when it carries no model and is none.
    pub fn complete(&mut self, mut facts: CallFacts) -> Option<CallFacts> {
        if facts.request.model.is_empty() {
            facts.request.model = model_in_path(&facts.start.path)?.to_owned();
        }
        let upstream = &facts.start.upstream;
        let place = (upstream.clone(), template(&facts.start.path));
        let path = if self.0.contains(&place) {
            place.1
        } else if self.0.len() < PATHS_MAX {
            tracing::warn!(
                upstream = %place.0,
                path = place.1,
                "requests to this path carry a model and no dialect reads them: they are recorded as unread, without \
                 usage or cost; give their client an upstream whose dialect is that of its API"
            );
            self.0.insert(place.clone());
            place.1
        } else {
            OTHER.to_owned()
        };
        facts.unread = Some(Unread { upstream: upstream.to_string(), path });
        Some(facts)
    }
}
