//! From a provider and a call's names to the model whose price holds. Pure.
//!
//! The model that answered decides, because it is the one on the bill. The name asked for only stands in for an answer
//! that named nothing, or that named a dated snapshot of the very model asked for. It never stands in for another
//! model: a fallback to a dearer model priced as the one requested is among the bugs that made this file.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;
use ledgerline_proto::UnpricedReason;

use crate::model::{ReadAt, Settings};
use crate::names::{Pattern, fine_tuned_key, without_date};
use crate::table::{Compiled, Segment};
use crate::words::Words;

/// Where the models of a shelf come from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    /// `override`, `override(acme)`, or of the published files which: `hand`, `generated`.
    pub(crate) layer: String,
    /// Whose file it is; the asking provider's, or one that it inherits from.
    pub(crate) provider: String,
    pub(crate) file: String,
    pub(crate) read: ReadAt,
}

/// The models of one file, by the names they answer to.
#[derive(Debug)]
pub(crate) struct Shelf {
    /// Your own prices, which also count for another name of the same published model.
    pub(crate) is_override: bool,
    pub(crate) origin: Origin,
    pub(crate) models: Vec<Arc<Compiled>>,
    exact: HashMap<String, usize, FixedState>,
    dated: HashMap<String, usize, FixedState>,
    /// The longest first.
    patterns: Vec<(Pattern, usize)>,
}

impl Shelf {
    pub(crate) fn new(is_override: bool, origin: Origin, models: Vec<Arc<Compiled>>) -> Self {
        let (mut exact, mut dated, mut patterns) = (HashMap::default(), HashMap::default(), Vec::new());
        for (place, compiled) in models.iter().enumerate() {
            let model = &compiled.model;
            exact.extend(model.exact_names.iter().map(|name| (name.clone(), place)));
            dated.extend(model.dated_names.iter().map(|name| (name.clone(), place)));
            patterns.extend(model.patterns.iter().map(|pattern| (pattern.clone(), place)));
        }
        patterns.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.letters()));
        Self { is_override, origin, models, exact, dated, patterns }
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Arc<Compiled>> {
        let place = if let Some(fine_tuned) = fine_tuned_key(name) {
            self.exact.get(fine_tuned.as_str())
        } else {
            let dated = || without_date(name).and_then(|base| self.dated.get(base));
            let pattern = || {
                let found = self.patterns.iter().find(|(pattern, _)| pattern.matches(name));
                found.map(|(_, place)| place)
            };
            self.exact.get(name).or_else(dated).or_else(pattern)
        };
        self.models.get(*place?)
    }
}

/// What a call is looked up in, by provider.
pub(crate) type Providers = HashMap<String, Arc<ProviderBook>, FixedState>;

/// All that a provider's calls are priced with.
#[derive(Debug)]
pub(crate) struct ProviderBook {
    pub(crate) settings: Settings,
    pub(crate) words: Words,
    /// In the order they are asked.
    pub(crate) shelves: Vec<Shelf>,
    /// How many of them, the first, are overrides.
    pub(crate) overrides: usize,
}

/// The model of a name, else of the name it has in another file.
fn find_either<'a>(shelf: &'a Shelf, name: &str, known: Option<&Arc<str>>) -> Option<&'a Arc<Compiled>> {
    shelf.find(name).or_else(|| shelf.find(known?))
}

/// What the book knows of a name.
#[derive(Debug)]
pub(crate) struct Located<'a> {
    /// The name its calls are shown under.
    pub(crate) canonical: Option<&'a Arc<str>>,
    pub(crate) price: Result<(&'a Compiled, &'a Segment), UnpricedReason>,
}

impl ProviderBook {
    /// The price of a call's own model at that time.
    pub(crate) fn locate_call(
        &self,
        served: &str,
        requested: &str,
        deployment: Option<&str>,
        at_ns: u64,
    ) -> Located<'_> {
        let named = if served.is_empty() { requested } else { served };
        let deployments = &self.settings.deployments;
        let mapped = self.settings.aliases.get(named);
        let mapped = mapped.or_else(|| deployments.get(deployment?)).or_else(|| deployments.get(requested));
        let name = mapped.map_or(named, String::as_str);
        if name.is_empty() {
            return Located { canonical: None, price: Err(UnpricedReason::ModelMissing) };
        }
        let found = self.locate(name, at_ns);
        if matches!(found.price, Err(UnpricedReason::UnknownModel)) && self.is_snapshot_of(name, requested) {
            return self.locate(requested, at_ns);
        }
        found
    }

    /// The price of a model by one of its names.
    pub(crate) fn locate(&self, name: &str, at_ns: u64) -> Located<'_> {
        let mut missed = Located { canonical: None, price: Err(UnpricedReason::UnknownModel) };
        let mut next = Some(name);
        while let Some(candidate) = next {
            let (overrides, published) = self.shelves.split_at(self.overrides);
            // What a published file calls the model is its name for the files above it too.
            let known = published.iter().find_map(|shelf| shelf.find(candidate)).map(|model| &model.name);
            let find = |shelf| find_either(shelf, candidate, known);
            // Of the published files one counts: a time for which that has no price is none to guess another file's for.
            let published = published.iter().find_map(find);
            for model in overrides.iter().filter_map(find).chain(published) {
                let canonical = published.map(|model| &model.name).or(Some(&model.name));
                if let Some(segment) = model.segment(at_ns) {
                    return Located { canonical, price: Ok((model, segment)) };
                }
                missed = Located { canonical, price: Err(UnpricedReason::NoPriceAtThatTime) };
            }
            next = self.inner(candidate);
        }
        missed
    }

    /// The name without one thing that routers and clouds put around it.
    fn inner<'name>(&self, name: &'name str) -> Option<&'name str> {
        self.settings.names_within.iter().find_map(|within| within.name(name))
    }

    fn is_snapshot_of(&self, served: &str, requested: &str) -> bool {
        !requested.is_empty() && without_date(self.bare(served)) == Some(self.bare(requested))
    }

    fn bare<'name>(&self, name: &'name str) -> &'name str {
        self.inner(name).map_or(name, |inner| self.bare(inner))
    }
}
