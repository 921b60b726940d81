//! gRPC messages that are already encoded: the spool holds a request's protobuf bytes, the same at each attempt and smaller
//! than its structs. Only the response is decoded.

use bytes::{BufMut, Bytes};
use ledgerline_proto::otlp::ExportTraceServiceResponse;
use tonic::Status;
use tonic::codec::{Codec, EncodeBuf, Encoder};
use tonic_prost::ProstDecoder;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct EncodedExport;

impl Codec for EncodedExport {
    type Encode = Bytes;
    type Decode = ExportTraceServiceResponse;
    type Encoder = Self;
    type Decoder = ProstDecoder<ExportTraceServiceResponse>;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::default()
    }
}

impl Encoder for EncodedExport {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(item.len());
        buffer.put(item);
        Ok(())
    }
}
