//! Responses in OTLP's words. No I/O.
//!
//! Source: opentelemetry-proto docs/specification.md, "Partial Success", "Failures", "JSON Protobuf Encoding".

use std::fmt::Write as _;

use ledgerline_proto::otlp::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use prost::Message;
use serde_json::json;

use super::decode::Format;
use super::normalise::Normalised;
use super::refusal::Refusal;
use ledgerline_store::quarantine::Reason;

/// What became of the spans of a request that was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    pub stored: usize,
    /// Spans in the quarantine: reason, how many, and the first one's detail.
    pub rejected: Vec<(Reason, usize, String)>,
}

impl Receipt {
    /// The receipt for these, should the store take all of them.
    pub fn of(normalised: &Normalised) -> Self {
        let mut receipt = Self { stored: normalised.accepted.len(), rejected: Vec::new() };
        for rejected in &normalised.rejected {
            receipt.reject(rejected.reason, 1, &rejected.detail);
        }
        receipt
    }

    /// Corrects it by what the store did.
    pub fn settle(&mut self, stored: usize, poisoned: usize) {
        self.stored = stored;
        if poisoned > 0 {
            self.reject(Reason::Poison, poisoned, "the store refused the row itself");
        }
    }

    fn reject(&mut self, reason: Reason, spans: usize, detail: &str) {
        match self.rejected.iter_mut().find(|(known, ..)| *known == reason) {
            Some((_, count, _)) => *count += spans,
            None => self.rejected.push((reason, spans, detail.to_owned())),
        }
    }

    fn partial_success(&self) -> Option<ExportTracePartialSuccess> {
        let rejected: usize = self.rejected.iter().map(|(_, spans, _)| spans).sum();
        if rejected == 0 {
            return None;
        }
        let mut error_message =
            format!("{rejected} of {} spans went to the quarantine:", rejected + self.stored);
        for (reason, spans, detail) in &self.rejected {
            // Writing into a String cannot fail.
            let _ = write!(error_message, " {spans} {} ({detail});", reason.name());
        }
        let rejected_spans = i64::try_from(rejected).unwrap_or(i64::MAX);
        Some(ExportTracePartialSuccess { rejected_spans, error_message })
    }
}

/// The body of a success, partial or whole.
pub fn success(format: Format, receipt: &Receipt) -> Vec<u8> {
    let partial_success = receipt.partial_success();
    match format {
        Format::Protobuf => ExportTraceServiceResponse { partial_success }.encode_to_vec(),
        Format::Json => match partial_success {
            None => b"{}".to_vec(),
            Some(partial) => json!({ "partialSuccess": {
                "rejectedSpans": partial.rejected_spans.to_string(),
                "errorMessage": partial.error_message,
            }})
            .to_string()
            .into_bytes(),
        },
    }
}

/// The body of a failure: a `google.rpc.Status`.
pub fn failure(format: Format, refusal: &Refusal) -> Vec<u8> {
    let (code, message) = (refusal.code() as i32, refusal.to_string());
    match format {
        Format::Protobuf => tonic_types::Status { code, message, details: Vec::new() }.encode_to_vec(),
        Format::Json => json!({ "code": code, "message": message }).to_string().into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_success_is_empty_and_a_partial_one_counts_and_explains() {
        assert_eq!(success(Format::Protobuf, &Receipt::default()), b"");
        assert_eq!(success(Format::Json, &Receipt::default()), b"{}");
        let mut receipt = Receipt { stored: 9, rejected: vec![] };
        receipt.reject(Reason::TooOld, 1, "span ended long ago");
        receipt.reject(Reason::TooOld, 1, "span ended longer ago");
        receipt.settle(8, 1);
        let json: serde_json::Value = serde_json::from_slice(&success(Format::Json, &receipt)).unwrap();
        assert_eq!(json["partialSuccess"]["rejectedSpans"], "3");
        assert_eq!(
            json["partialSuccess"]["errorMessage"],
            "3 of 11 spans went to the quarantine: 2 too_old (span ended long ago); 1 poison (the store refused the row itself);"
        );
        let decoded = ExportTraceServiceResponse::decode(&*success(Format::Protobuf, &receipt)).unwrap();
        assert_eq!(decoded.partial_success.unwrap().rejected_spans, 3);
    }

    #[test]
    fn a_failure_is_a_google_rpc_status_in_both_formats() {
        let json = failure(Format::Json, &Refusal::Method);
        assert_eq!(String::from_utf8(json).unwrap(), r#"{"code":12,"message":"this path takes POST only"}"#);
        // Field 1 varint 12, field 2 the bytes of the message.
        assert_eq!(failure(Format::Protobuf, &Refusal::Method), b"\x08\x0c\x12\x19this path takes POST only");
    }
}
