//! Names a request, so that a repeat of it is one insert. Pure.
//!
//! The name covers who sent it, the agent's own numbering where there is one, and the identity of every span. Numbers alone
//! would do for our agents, but two machines that share a copied producer id would then swallow each other's spans; a
//! hash of the spans cannot. 128 bits: with 64 a collision, which is a loss, would come within 1e8 requests.

use ledgerline_proto::otlp::ExportTraceServiceRequest;
use ledgerline_proto::producer::RequestIdentity;
use xxhash_rust::xxh3::Xxh3;

use super::normalise;

/// The name of this request.
pub fn of(tenant: &str, producer: Option<&RequestIdentity>, request: &ExportTraceServiceRequest) -> u128 {
    let mut hash = Xxh3::new();
    let mut field = |bytes: &[u8]| {
        hash.update(&(bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    field(tenant.as_bytes());
    if let Some(producer) = producer {
        field(producer.producer_id.as_bytes());
        field(&producer.epoch.to_le_bytes());
        field(&producer.sequence.to_le_bytes());
    }
    for span in normalise::spans(request) {
        field(&span.trace_id);
        field(&span.span_id);
        field(&span.start_time_unix_nano.to_le_bytes());
        field(&span.end_time_unix_nano.to_le_bytes());
    }
    hash.digest128()
}

#[cfg(test)]
mod tests {
    use ledgerline_proto::otlp::export_request;

    use super::*;
    use crate::ingest::testing::call;

    #[test]
    fn a_repeat_has_the_same_name_and_nothing_else_has() {
        let mut later = call("a");
        later.end_unix_ns += 1;
        let (one, two) = (export_request(&[call("a")]), export_request(&[later]));
        let producer = |sequence| RequestIdentity { producer_id: "p".into(), epoch: 1, sequence };
        let names = [
            of("t", None, &one),
            of("u", None, &one),
            of("t", None, &two),
            of("t", Some(&producer(1)), &one),
            of("t", Some(&producer(2)), &one),
            // A copied producer id: the same number, other spans.
            of("t", Some(&producer(1)), &two),
        ];
        for (index, name) in names.iter().enumerate() {
            assert!(!names[..index].contains(name), "{index}");
        }
        assert_eq!(of("t", Some(&producer(1)), &export_request(&[call("a")])), names[3]);
    }
}
