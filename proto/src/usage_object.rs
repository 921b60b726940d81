//! The provider's usage as it was sent, kept beside what we made of it, and its one reading. Pure.
//!
//! The agent reads a usage object here when the call is made; whoever prices a stored call anew reads the kept one here again. So a
//! reading that turns out to be wrong, or a count that nobody knew of when the call was made, is corrected from what was kept.

pub mod anthropic;
pub mod openai;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess};

use crate::call::{BillGap, Call, Operation};
use crate::json::lenient::{FromValue, List, Object, lenient};
use crate::unit::{Quantities, Side};
use crate::usage::{Run, Usage, UsageSource};

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

/// What the usage objects of a call say.
#[derive(Debug, Default, PartialEq)]
pub struct Reading {
    /// The input side in disjoint units; `None`: not stated.
    pub input: Option<Quantities>,
    /// The same of the output side.
    pub output: Option<Quantities>,
    /// What is billed and not counted in tokens; `None`: this provider states it elsewhere in its answer.
    pub fees: Option<Quantities>,
    /// What other models used within the call.
    pub runs: Vec<Run>,
    /// What was billed and could not be read.
    pub gap: Option<BillGap>,
}

/// Under the name of the dialect that reads it, what [`UsageObjects::json`] has written.
#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Envelope<'a> {
    openai: Object<openai::UsageBody>,
    anthropic: Objects<anthropic::UsageBody<'a>>,
}

/// One object, or a list of some.
#[derive(Default)]
struct Objects<T>(Vec<T>);

impl<'de, T: Deserialize<'de> + Default> FromValue<'de> for Objects<T> {
    fn from_map<A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        Ok(Self(Object::from_map(map)?.0.into_iter().collect()))
    }

    fn from_list<A: SeqAccess<'de>>(list: A) -> Result<Self, A::Error> {
        Ok(Self(List::from_list(list)?.0))
    }
}

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Objects<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        lenient(deserializer)
    }
}

/// Usage and gap of a call as its kept usage object says them today. `None` where the object is not the word on it: nobody kept one, a
/// sender of telemetry wrote it, or the counts are not the provider's.
pub fn reread(call: &Call) -> Option<(Usage, Option<BillGap>)> {
    let stated = call.usage.as_ref()?;
    if !matches!(stated.source, UsageSource::Provider | UsageSource::Drained) {
        return None;
    }
    let Reading { input, output, fees, runs, gap } = read(call)?;
    let mut own = input?;
    own.extend(output?.nonzero());
    let of_the_answer = || stated.own.nonzero().filter(|(unit, _)| unit.side() == Side::Fee);
    match fees {
        Some(fees) => own.extend(fees.nonzero()),
        None => own.extend(of_the_answer()),
    }
    // What a tool did is in the answer, and in no usage object.
    let gap = gap.or(call.billing.gap.filter(|gap| *gap == BillGap::Tool));
    Some((Usage { own, runs, source: stated.source }, gap))
}

fn read(call: &Call) -> Option<Reading> {
    let Envelope { openai, anthropic } = serde_json::from_str(&call.usage_object).ok()?;
    if let Some(usage) = openai.0 {
        return Some(match call.operation {
            Operation::Embeddings => usage.of_embeddings(),
            _ => usage.of_either(),
        });
    }
    let mut merged = anthropic::Merged::default();
    anthropic.0.iter().for_each(|usage| merged.add(usage, &call.response_model));
    (!anthropic.0.is_empty()).then(|| merged.reading())
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
