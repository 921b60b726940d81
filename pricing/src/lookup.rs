//! From a provider, a model name and a time to the price that holds. Pure.
//!
//! The model that answered decides, because it is the one on the bill. The name asked for only stands in for an answer
//! that named nothing, or that named a dated snapshot of the very model asked for. It never stands in for another
//! model: a fallback to a dearer model priced as the one requested is among the bugs that made this file.

use ledgerline_proto::{Call, UnpricedReason};

use crate::book::PriceBook;
use crate::model::{Layer, Model, Period, Provider, Settings};
use crate::names::{fine_tuned_key, without_date};

impl PriceBook {
    /// The prices of the call's model at the time of its request, from the first layer that has one.
    pub(crate) fn period(&self, settings: &Settings, call: &Call) -> Result<&Period, UnpricedReason> {
        let Call { response_model, request_model, .. } = call;
        if call.model().is_empty() {
            return Err(UnpricedReason::ModelMissing);
        }
        match self.find(settings, call, call.model()) {
            Err(UnpricedReason::UnknownModel) if is_snapshot_of(settings, response_model, request_model) => {
                self.find(settings, call, request_model)
            }
            found => found,
        }
    }

    pub(crate) fn find(
        &self,
        settings: &Settings,
        call: &Call,
        name: &str,
    ) -> Result<&Period, UnpricedReason> {
        let mut reason = UnpricedReason::UnknownModel;
        for candidate in candidates(settings, name) {
            for model in self.layers().iter().filter_map(|layer| model_in(layer, &call.provider, candidate)) {
                let holds = |period: &&Period| {
                    (period.from_unix_ns..period.until_unix_ns).contains(&call.start_unix_ns)
                };
                if let Some(period) = model.periods.iter().find(holds) {
                    return Ok(period);
                }
                reason = UnpricedReason::NoPriceAtThatTime;
            }
        }
        Err(reason)
    }
}

fn model_in<'book>(layer: &'book Layer, provider: &str, name: &str) -> Option<&'book Model> {
    let provider: &Provider = layer.get(provider)?;
    let index = if let Some(fine_tuned) = fine_tuned_key(name) {
        provider.by_exact_name.get(fine_tuned.as_str())
    } else {
        let dated = || without_date(name).and_then(|base| provider.by_dated_name.get(base));
        provider.by_exact_name.get(name).or_else(dated)
    };
    provider.models.get(*index?)
}

/// The name, then the name with each prefix taken off that routers and clients put in front.
fn candidates<'name>(settings: &'name Settings, name: &'name str) -> impl Iterator<Item = &'name str> {
    std::iter::successors(Some(name), |&name| {
        settings.strip_prefixes.iter().find_map(|prefix| name.strip_prefix(prefix.as_str()))
    })
}

fn is_snapshot_of(settings: &Settings, response_model: &str, request_model: &str) -> bool {
    let bare = |name| candidates(settings, name).last().unwrap_or_default();
    !request_model.is_empty() && without_date(bare(response_model)) == Some(bare(request_model))
}
