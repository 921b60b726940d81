//! Bytes as an OTLP request. Pure.

pub(super) mod json;

use ledgerline_proto::otlp::ExportTraceServiceRequest;
use prost::Message;

use super::refusal::Refusal;

/// How an OTLP request is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Protocol buffers.
    Protobuf,
    /// OTLP's JSON.
    Json,
}

impl Format {
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }

    /// Parameters such as a charset are ignored.
    pub(crate) fn from_content_type(text: &str) -> Result<Self, Refusal> {
        let kind = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            "application/x-protobuf" | "application/protobuf" => Ok(Self::Protobuf),
            "application/json" => Ok(Self::Json),
            _ => Err(Refusal::Unsupported(format!(
                "content type `{}` is neither application/x-protobuf nor application/json",
                kind.escape_debug()
            ))),
        }
    }
}

/// Reads a request, or refuses it with the reader's reason.
pub fn decode(format: Format, body: &[u8]) -> Result<ExportTraceServiceRequest, Refusal> {
    match format {
        Format::Protobuf => ExportTraceServiceRequest::decode(body)
            .map_err(|error| Refusal::Malformed(format!("not an OTLP trace request: {error}"))),
        Format::Json => {
            json::decode(body).map_err(|error| Refusal::Malformed(format!("not OTLP JSON: {error}")))
        }
    }
}

#[cfg(test)]
mod tests;
