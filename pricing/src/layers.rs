//! From layers of price files to what a call is looked up in, for everyone and for each tenant. Pure.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use ledgerline_proto::Unit;

use crate::exact::Exact;
use crate::lookup::{Origin, ProviderBook, Providers, Shelf};
use crate::model::{Discount, Layer, Provider, Scope, Settings};
use crate::resolve::Frame;
use crate::table::Compiled;
use crate::words::Words;

/// Puts layers together.
pub(crate) struct Builder<'a> {
    pub(crate) overrides: &'a [Arc<Layer>],
    pub(crate) published: &'a [Arc<Layer>],
    /// What is worked out already, to be shared where providers inherit.
    shared: RefCell<HashMap<String, Arc<Compiled>>>,
    /// What could not be worked out.
    problems: RefCell<Vec<String>>,
}

/// One file of a provider, and what stands in front of its rules.
struct Source<'a> {
    provider: &'a Provider,
    prefix: String,
    is_override: bool,
    /// Its place among all files, for sharing.
    place: usize,
}

/// The frame of a file's models before discounts.
pub(crate) fn frame(head: String, provider: &Provider, settings: &Settings) -> Frame {
    let mut billed_as = settings.billed_as.clone();
    // Hidden reasoning is output wherever nobody says otherwise: all providers bill it so.
    billed_as.entry(Unit::OutputReasoning).or_insert((Unit::OutputText, Exact::ONE));
    Frame {
        head,
        currency: provider.currency.clone(),
        billed_as,
        clauses: provider.clauses.clone(),
        discounts: Vec::new(),
        words: Words::new(settings),
    }
}

impl<'a> Builder<'a> {
    pub(crate) fn new(overrides: &'a [Arc<Layer>], published: &'a [Arc<Layer>]) -> Self {
        Self { overrides, published, shared: RefCell::default(), problems: RefCell::default() }
    }

    /// What could not be worked out, in words; such a model has no price.
    pub(crate) fn problems(self) -> Vec<String> {
        let mut problems = self.problems.into_inner();
        problems.sort_unstable();
        problems.dedup();
        problems
    }

    pub(crate) fn everyone(&self) -> Providers {
        let names = self.names(None);
        names.into_iter().map(|name| (name.to_owned(), Arc::new(self.provider(name, None)))).collect()
    }

    /// As everyone's, but for the providers that the tenant has own prices or discounts of.
    pub(crate) fn tenant(&self, tenant: &str, everyone: &Providers) -> Providers {
        let mut providers = everyone.clone();
        for name in self.names(Some(tenant)) {
            let mut scopes = self.scopes(tenant);
            let touches = scopes.any(|scope| {
                let discounts = scope.discounts.iter();
                scope.providers.contains_key(name)
                    || discounts.into_iter().any(|discount| discount.provider.matches(name))
            });
            if touches {
                providers.insert(name.to_owned(), Arc::new(self.provider(name, Some(tenant))));
            }
        }
        providers
    }

    fn scopes(&self, tenant: &str) -> impl Iterator<Item = &'a Scope> {
        let tenant = Some(tenant.to_owned());
        self.overrides.iter().filter_map(move |layer| layer.get(&tenant))
    }

    fn names(&self, tenant: Option<&str>) -> BTreeSet<&'a str> {
        let own = tenant.into_iter().flat_map(|tenant| self.scopes(tenant));
        let all = self.overrides.iter().chain(self.published).filter_map(|layer| layer.get(&None));
        own.chain(all).flat_map(|scope| scope.providers.keys()).map(String::as_str).collect()
    }

    /// The files of a provider in the order they are asked.
    fn sources(&self, name: &str, tenant: Option<&str>) -> Vec<Source<'a>> {
        let mut sources = Vec::new();
        let layers = self.overrides.iter().map(|layer| (true, layer));
        let layers: Vec<_> =
            layers.chain(self.published.iter().map(|layer| (false, layer))).enumerate().collect();
        let mut add = |owner: Option<&str>| {
            for &(place, (is_override, layer)) in &layers {
                let scope = layer.get(&owner.map(str::to_owned));
                let Some(provider) = scope.and_then(|scope| scope.providers.get(name)) else { continue };
                let prefix = match (owner, is_override) {
                    (Some(owner), _) => format!("override({owner}):"),
                    (None, true) => "override:".to_owned(),
                    (None, false) => String::new(),
                };
                let place = place * 2 + usize::from(owner.is_some());
                sources.push(Source { provider, prefix, is_override, place });
            }
        };
        if tenant.is_some() {
            add(tenant);
        }
        add(None);
        sources
    }

    /// The providers whose models this one sells, the nearest first.
    fn parents(&self, name: &str, own: &[Source<'a>]) -> Vec<&'a str> {
        let inherits = |sources: &[Source<'a>]| {
            let first =
                sources.iter().map(|source| &source.provider.inherits).find(|names| !names.is_empty());
            first.into_iter().flatten().map(String::as_str).collect::<Vec<&'a str>>()
        };
        let mut found: Vec<&str> = Vec::new();
        let mut next = inherits(own);
        while let Some(parent) = (!next.is_empty()).then(|| next.remove(0)) {
            if parent != name && !found.contains(&parent) {
                found.push(parent);
                next.extend(inherits(&self.sources(parent, None)));
            }
        }
        found
    }

    fn provider(&self, name: &str, tenant: Option<&str>) -> ProviderBook {
        let own = self.sources(name, tenant);
        // A contract with the parent is no contract with the heir: only what the parent publishes is inherited.
        let published = |parent: &&'a str| {
            self.sources(parent, None).into_iter().filter(|source| !source.is_override).collect::<Vec<_>>()
        };
        let inherited: Vec<_> = self.parents(name, &own).iter().flat_map(published).collect();
        let mut settings = Settings::default();
        for source in own.iter().chain(&inherited) {
            settings.complete_from(&source.provider.settings);
        }
        let for_all = own.iter().find(|source| !source.is_override && !source.provider.clauses.is_empty());
        let mut shelves = Vec::new();
        for source in own.iter().chain(&inherited) {
            let mut frame =
                frame(format!("{}{}", source.prefix, source.provider.name), source.provider, &settings);
            let mine = for_all.filter(|mine| !source.is_override && mine.place != source.place);
            if let Some(mine) = mine {
                // A file for the same provider below the first one states the same rules at most.
                if source.provider.name == name {
                    frame.clauses.clear();
                }
                frame.clauses.extend(mine.provider.clauses.iter().cloned());
            }
            let discounts = if source.is_override { Vec::new() } else { self.discounts(name, tenant) };
            let models = self.compile(source, name, frame, &discounts);
            shelves.push(Shelf::new(source.is_override, self.origin(source), models));
        }
        let words = Words::new(&settings);
        let overrides = own.iter().filter(|source| source.is_override).count();
        ProviderBook { settings, words, shelves, overrides }
    }

    fn origin(&self, source: &Source<'_>) -> Origin {
        let published = (source.place / 2).checked_sub(self.overrides.len());
        let layer = match (source.is_override, published) {
            (true, _) => source.prefix.trim_end_matches(':'),
            (false, Some(0)) => "hand",
            (false, _) => "generated",
        };
        let Provider { name, file, read, .. } = source.provider;
        Origin { layer: layer.to_owned(), provider: name.clone(), file: file.clone(), read: read.clone() }
    }

    fn discounts(&self, provider: &str, tenant: Option<&str>) -> Vec<&'a Discount> {
        let own = tenant.into_iter().flat_map(|tenant| self.scopes(tenant));
        let all = own.chain(self.overrides.iter().filter_map(|layer| layer.get(&None)));
        let all = all.flat_map(|scope| &scope.discounts);
        let mut discounts: Vec<_> = all.filter(|discount| discount.provider.matches(provider)).collect();
        discounts.sort_by_key(|discount| (!discount.tenant, std::cmp::Reverse(discount.text.len())));
        discounts
    }

    fn compile(
        &self,
        source: &Source<'a>,
        asking: &str,
        frame: Frame,
        discounts: &[&Discount],
    ) -> Vec<Arc<Compiled>> {
        let plain = Arc::new(frame);
        let models = source.provider.models.values();
        let compile = |model: &Arc<crate::model::Model>| {
            let matching: Vec<Discount> = discounts
                .iter()
                .filter(|one| one.is_for(asking, &model.name))
                .map(|one| (*one).clone())
                .collect();
            let frame = if matching.is_empty() {
                Arc::clone(&plain)
            } else {
                Arc::new(Frame { discounts: matching, ..(*plain).clone() })
            };
            let key = format!("{} {} {}", source.place, source.provider.name, model.name);
            let shared = self.shared.borrow().get(&key).filter(|shared| shared.frame == frame).cloned();
            shared.unwrap_or_else(|| {
                let compiled = Compiled::new(model, &frame).unwrap_or_else(|problem| {
                    self.problems.borrow_mut().push(format!("{asking}/{}: {problem}", model.name));
                    Compiled::without_price(model, &frame)
                });
                let compiled = Arc::new(compiled);
                self.shared.borrow_mut().insert(key, Arc::clone(&compiled));
                compiled
            })
        };
        models.map(compile).collect()
    }
}
