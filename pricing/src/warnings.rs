//! What is legal in override files and probably not meant. Pure.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::book::PriceBook;
use crate::lookup::Shelf;
use crate::model::{Model, Provider};

impl PriceBook {
    /// What a person should look at, in words: overrides that match nothing or that a more exact entry hides, providers that no
    /// published file names, discounts that lower nothing, and prices that contradict each other once the layers are together.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.problems().to_vec();
        for (tenant, scope) in self.overrides().iter().flat_map(|layer| layer.iter()) {
            let owner = tenant.as_ref().map_or_else(String::new, |tenant| format!(" (tenant {tenant})"));
            let book = tenant.as_ref().map_or_else(|| self.clone(), |tenant| self.for_tenant(tenant));
            for provider in scope.providers.values() {
                book.provider_warnings(provider, &owner, &mut warnings);
            }
            for discount in &scope.discounts {
                let lowers = |(provider, shelf): (&str, &Shelf)| {
                    shelf.models.iter().any(|model| discount.is_for(provider, &model.name))
                };
                if !book.shelves(false).any(lowers) {
                    let text = &discount.text;
                    warnings.push(format!(
                        "discount {text}{owner}: matches no model of the published price files"
                    ));
                }
            }
        }
        warnings
    }

    /// Whether any price file names the provider: calls of another one are all unpriced.
    pub fn knows_provider(&self, name: &str) -> bool {
        self.provider(name).is_some()
    }

    fn shelves(&self, is_override: bool) -> impl Iterator<Item = (&str, &Shelf)> {
        let all =
            self.providers().flat_map(|(name, book)| book.shelves.iter().map(move |shelf| (name, shelf)));
        all.filter(move |(_, shelf)| shelf.is_override == is_override)
    }

    fn provider_warnings(&self, provider: &Provider, owner: &str, warnings: &mut Vec<String>) {
        let name = provider.name.as_str();
        if !self.shelves(false).any(|(known, _)| known == name) {
            let known: BTreeSet<&str> = self.shelves(false).map(|(known, _)| known).collect();
            let known = known.into_iter().collect::<Vec<_>>().join(", ");
            warnings
                .push(format!("provider {name}{owner}: no published price file names it; known are {known}"));
            return;
        }
        for model in provider.models.values() {
            let mut clauses = model.periods.iter().flat_map(|period| &period.clauses);
            if clauses.any(|clause| clause.month.is_some()) {
                warnings.push(format!(
                    "{name}/{}{owner}: has prices by the month's volume, and every call is priced like the first of its month",
                    model.name
                ));
            }
            if let Some(wrong) = self.is_never_used(name, model) {
                warnings.push(format!("{name}/{}{owner}: {wrong}", model.name));
            }
        }
        for (alias, target) in provider.settings.aliases.iter().chain(&provider.settings.deployments) {
            let located = self.provider(name).map(|book| book.locate(target, u64::MAX));
            if located.is_none_or(|located| located.canonical.is_none()) {
                warnings.push(format!(
                    "{name}{owner}: `{alias}` stands for `{target}`, which no price file names"
                ));
            }
        }
    }

    /// Asks of every published name which entry of the override's file answers.
    fn is_never_used(&self, provider: &str, model: &Arc<Model>) -> Option<String> {
        let of_provider = |is_override| {
            self.shelves(is_override).filter(move |(known, _)| *known == provider).map(|(_, shelf)| shelf)
        };
        let own = |shelf: &&Shelf| shelf.models.iter().any(|one| Arc::ptr_eq(&one.model, model));
        let shelf = of_provider(true).find(own)?;
        let mut hiding = None;
        for published in of_provider(false).flat_map(|shelf| &shelf.models) {
            for name in published.model.exact_names.iter().chain(&published.model.dated_names) {
                let answers = [name, &published.model.name].map(|name| shelf.find(name));
                let found = answers.into_iter().flatten().next();
                if found.is_some_and(|found| Arc::ptr_eq(&found.model, model)) {
                    return None;
                }
                if model.answers_to(name) {
                    hiding = hiding.or(found.map(|found| found.name.as_ref()));
                }
            }
        }
        Some(hiding.map_or_else(
            || "matches no model of the published price files; right only for a model of your own".to_owned(),
            |other| {
                format!("is never used, because the more exact entry `{other}` answers for all its names")
            },
        ))
    }
}
