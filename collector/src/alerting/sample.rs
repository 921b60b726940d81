//! Pure. Labels and samples: what a query hands to a rule.

use std::collections::BTreeMap;

/// The label that carries a metric's name; never part of an alert's identity.
pub use ledgerline_promql::METRIC_NAME;

/// A label set in name order. The order makes it a key, and makes everything printed from it stable.
pub type Labels = BTreeMap<String, String>;

/// The label that carries an alert's name.
pub const ALERT_NAME: &str = "alertname";

/// One series of an instant vector at the time that was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// May contain [`METRIC_NAME`]. A scalar result is one sample without labels.
    pub labels: Labels,
    /// Any float, NaN and infinities included.
    pub value: f64,
}

/// Whether a text may name a label: `[a-zA-Z_][a-zA-Z0-9_]*`. Prometheus 3 also allows any UTF-8; Alertmanager before
/// 0.27 refuses that, and an alert nobody can receive is worse than a rule refused at load.
pub fn is_label_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The fingerprint Alertmanager gives a label set: 64-bit FNV-1a over names and values, each followed by 0xff.
/// (Source: prometheus/common, model/signature.go.)
pub fn fingerprint(labels: &Labels) -> u64 {
    const OFFSET: u64 = 14_695_981_039_346_656_037;
    const PRIME: u64 = 1_099_511_628_211;
    let texts = labels.iter().flat_map(|(name, value)| [name, value]);
    let bytes = texts.flat_map(|text| text.bytes().chain([0xff]));
    bytes.fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}
