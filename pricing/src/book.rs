//! The price book: published prices, with a company's own prices on top. Pure.
//!
//! A book is a stack of layers, the most specific first. Nothing here invents a price: a book that failed to parse is
//! empty, and an empty book prices nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, LazyLock};

use crate::layers::{self, Builder};
use crate::lookup::{ProviderBook, Providers};
use crate::model::{Layer, Model, PriceBookProblem};
use crate::table::Compiled;
use crate::version::PriceVersion;

/// Names of files and their texts.
type Files = &'static [(&'static str, &'static str)];

/// The price files that this build carries: kept by hand, and generated. See `build.rs`.
pub(crate) const EMBEDDED_FILES: [Files; 2] = include!(concat!(env!("OUT_DIR"), "/price_files.rs"));

static EMBEDDED: LazyLock<PriceBook> = LazyLock::new(|| {
    // A test holds that these files parse. Were one broken all the same, nothing is priced: visible, and never wrong.
    let published = EMBEDDED_FILES.into_iter().filter_map(|files| parse(files).ok());
    PriceBook::new(Vec::new(), published.map(Arc::new).collect())
});

/// Prices by provider, model and time. Cheap to clone; never changes.
#[derive(Clone)]
pub struct PriceBook {
    contents: Arc<Contents>,
    providers: Arc<Providers>,
}

struct Contents {
    /// Your own, the highest first.
    overrides: Vec<Arc<Layer>>,
    published: Vec<Arc<Layer>>,
    tenants: BTreeMap<String, Arc<Providers>>,
    /// What could not be worked out once the layers were together.
    problems: Vec<String>,
    version: PriceVersion,
}

impl PriceBook {
    /// The published prices that this build carries.
    pub fn embedded() -> Self {
        EMBEDDED.clone()
    }

    /// A book from files, each a name and its text; the name is only used in problems, of which all are told at once.
    pub fn parse(files: &[(&str, &str)]) -> Result<Self, Vec<PriceBookProblem>> {
        Ok(Self::new(Vec::new(), vec![Arc::new(parse(files)?)]))
    }

    /// This book below `overrides`: for a model that both know, the overrides count while they are valid.
    ///
    /// An override is a whole price: a unit or a tier it does not name is unpriced, and not taken from here, where it
    /// would mix a contract with a list price. What holds for the provider as such (names, standard words, ...) is.
    #[must_use]
    pub fn with_overrides(&self, overrides: &Self) -> Self {
        let own = overrides.contents.overrides.iter().chain(&overrides.contents.published);
        let own = own.chain(&self.contents.overrides).cloned();
        Self::new(own.collect(), self.contents.published.clone())
    }

    /// The book for the calls of one tenant; this book where it has no prices of its own.
    #[must_use]
    pub fn for_tenant(&self, tenant: &str) -> Self {
        let own = self.contents.tenants.get(tenant);
        Self { providers: Arc::clone(own.unwrap_or(&self.providers)), ..self.clone() }
    }

    /// Which prices these are; stored beside every cost, so that it can be computed again.
    pub fn version(&self) -> PriceVersion {
        self.contents.version
    }

    /// The provider that a host name belongs to.
    pub fn provider_of_host(&self, host: &str) -> Option<&str> {
        let layers = self.contents.overrides.iter().chain(&self.contents.published);
        let mut providers =
            layers.flat_map(|layer| layer.values()).flat_map(|scope| scope.providers.values());
        let host = host.to_ascii_lowercase();
        let is_its = |pattern: &String| match pattern.split_once('*') {
            Some((start, end)) => {
                let labels = host.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
                labels.is_some_and(|labels| !labels.is_empty())
            }
            None => *pattern == host,
        };
        providers.find(|provider| provider.settings.hosts.iter().any(is_its)).map(|found| found.name.as_str())
    }

    pub(crate) fn provider(&self, name: &str) -> Option<&ProviderBook> {
        self.providers.get(name).map(Arc::as_ref)
    }

    pub(crate) fn providers(&self) -> impl Iterator<Item = (&str, &ProviderBook)> {
        self.providers.iter().map(|(name, provider)| (name.as_str(), provider.as_ref()))
    }

    pub(crate) fn problems(&self) -> &[String] {
        &self.contents.problems
    }

    pub(crate) fn overrides(&self) -> &[Arc<Layer>] {
        &self.contents.overrides
    }

    fn new(overrides: Vec<Arc<Layer>>, published: Vec<Arc<Layer>>) -> Self {
        let version = PriceVersion::of(&overrides, &published);
        let builder = Builder::new(&overrides, &published);
        let everyone = builder.everyone();
        let owners: BTreeSet<&String> = overrides.iter().flat_map(|layer| layer.keys()).flatten().collect();
        let of = |tenant: &String| (tenant.clone(), Arc::new(builder.tenant(tenant, &everyone)));
        let tenants = owners.into_iter().map(of).collect();
        let problems = builder.problems();
        let contents = Contents { version, tenants, problems, published, overrides };
        Self { contents: Arc::new(contents), providers: Arc::new(everyone) }
    }
}

impl fmt::Debug for PriceBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PriceBook").field(&self.version()).finish()
    }
}

/// Reads files of one standing, and holds that what they say can be worked out.
fn parse(files: &[(&str, &str)]) -> Result<Layer, Vec<PriceBookProblem>> {
    crate::file::parse(files, |provider| {
        let frame = Arc::new(layers::frame(provider.name.clone(), provider, &provider.settings));
        let problem = |model: &Arc<Model>| Some((model.name.clone(), Compiled::new(model, &frame).err()?));
        provider.models.values().filter_map(problem).collect()
    })
}
