//! The price book: published prices, with a company's own prices on top. Pure.
//!
//! A book is a stack of layers, the most specific first. Nothing here invents a price: a book that failed to parse is
//! empty, and an empty book prices nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use crate::file;
use crate::model::{Layer, PriceBookProblem, Settings};
use crate::version::PriceVersion;

/// The price files that this build carries: all of `prices/`, see `build.rs`.
pub(crate) const EMBEDDED_FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/price_files.rs"));

static EMBEDDED: LazyLock<PriceBook> = LazyLock::new(|| {
    // A test holds that these files parse. Were one broken all the same, nothing is priced: visible, and never wrong.
    PriceBook::parse(EMBEDDED_FILES).unwrap_or_else(|_| PriceBook::from_layers(Vec::new()))
});

/// Prices by provider, model and time. Cheap to clone; never changes.
#[derive(Clone)]
pub struct PriceBook(Arc<Contents>);

struct Contents {
    layers: Vec<Layer>,
    settings: BTreeMap<String, Settings>,
    version: PriceVersion,
}

impl PriceBook {
    /// The published prices that this build carries: OpenAI and Anthropic.
    pub fn embedded() -> Self {
        EMBEDDED.clone()
    }

    /// A book from files, each a name and its text; the name is only used in problems, of which all are told at once.
    pub fn parse(files: &[(&str, &str)]) -> Result<Self, Vec<PriceBookProblem>> {
        let mut layer = file::parse(files)?;
        for provider in layer.values_mut() {
            provider.name_rules("");
        }
        Ok(Self::from_layers(vec![layer]))
    }

    /// This book below `overrides`: for a model that both know, the overrides count while they are valid.
    ///
    /// An override is a whole price: a class or a tier it does not name is unpriced, and not taken from here, where it
    /// would mix a contract with a list price. What holds for the provider as such (prefixes, class defaults, ...) is.
    pub fn with_overrides(&self, overrides: &Self) -> Self {
        let mut layers = overrides.0.layers.clone();
        for provider in layers.iter_mut().flat_map(BTreeMap::values_mut) {
            provider.name_rules("override:");
        }
        layers.extend(self.0.layers.iter().cloned());
        Self::from_layers(layers)
    }

    fn from_layers(layers: Vec<Layer>) -> Self {
        let mut settings: BTreeMap<String, Settings> = BTreeMap::new();
        for (name, provider) in layers.iter().flatten() {
            settings.entry(name.clone()).or_default().complete_from(&provider.settings);
        }
        let version = PriceVersion::of(&layers);
        Self(Arc::new(Contents { layers, settings, version }))
    }

    /// Which prices these are; stored beside every cost, so that it can be computed again.
    pub fn version(&self) -> PriceVersion {
        self.0.version
    }

    pub(crate) fn layers(&self) -> &[Layer] {
        &self.0.layers
    }

    pub(crate) fn settings(&self, provider: &str) -> Option<&Settings> {
        self.0.settings.get(provider)
    }
}

impl fmt::Debug for PriceBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PriceBook").field(&self.version()).finish()
    }
}
