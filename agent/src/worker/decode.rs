//! Undoes the content-encoding of a response, piece by piece while it streams. Pure.
//!
//! Only the observer's copy is decoded: a failure costs us the observation, never the call, and what was decoded before
//! stands. Must never let a small input grow without bound: the output is limited in size and in proportion to the input,
//! and the input is fed in slices so that a bomb is noticed while it is small.

use std::io::{self, Write};

use flate2::Decompress;
use flate2::write::{MultiGzDecoder, ZlibDecoder};

use crate::limits::DecodeLimits;
use crate::metrics::Failure;

/// Encodings stacked on one response that are followed.
pub const STAGES_MAX: usize = 3;

/// Encoded bytes given to a decoder at once: small, so that a bomb is noticed after little output.
const SLICE_BYTES: usize = 4 << 10;

/// The largest output buffer that is kept for the next piece.
const SINK_KEPT_BYTES: usize = 8 << 10;

/// zstd's window limit as a power of two: 8 MiB (RFC 9659). The library's own would let a stranger have us take 128 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

pub struct Decoder {
    /// In the order of decoding: the encoding that was applied last comes first.
    stages: Vec<Stage>,
    limits: DecodeLimits,
    /// Decoded bytes of a response without encoding.
    identity_bytes: u64,
}

impl Decoder {
    /// For a `content-encoding` header; none, `identity`, and `none`, which some servers send for it, pass bytes on.
    pub fn new(content_encoding: Option<&str>, limits: DecodeLimits) -> Result<Self, Failure> {
        let mut stages = Vec::new();
        for name in content_encoding.unwrap_or_default().rsplit(',').map(str::trim) {
            if ["", "identity", "none"].iter().any(|plain| name.eq_ignore_ascii_case(plain)) {
                continue;
            }
            if stages.len() == STAGES_MAX {
                return Err(Failure::unknown_encoding);
            }
            stages.push(Stage::new(name, limits)?);
        }
        Ok(Self { stages, limits, identity_bytes: 0 })
    }

    /// Whether bytes pass as they are: then a loss in the middle does not spoil what follows.
    pub fn is_identity(&self) -> bool {
        self.stages.is_empty()
    }

    /// Gives out all that the next bytes complete. Behind a failure nothing more can be decoded; output given out before it
    /// is good.
    pub fn decode(&mut self, input: &[u8], mut output: impl FnMut(&[u8])) -> Result<(), Failure> {
        if self.stages.is_empty() {
            self.identity(input, &mut output)
        } else {
            run_stages(&mut self.stages, input, &mut output)
        }
    }

    fn identity(&mut self, input: &[u8], output: &mut dyn FnMut(&[u8])) -> Result<(), Failure> {
        let left = self.limits.output_bytes_max.saturating_sub(self.identity_bytes);
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        self.identity_bytes += taken as u64;
        if taken > 0 {
            output(&input[..taken]);
        }
        if taken < input.len() { Err(Failure::response_too_large) } else { Ok(()) }
    }
}

fn run_stages(stages: &mut [Stage], input: &[u8], output: &mut dyn FnMut(&[u8])) -> Result<(), Failure> {
    let Some((stage, later)) = stages.split_first_mut() else {
        output(input);
        return Ok(());
    };
    for slice in input.chunks(SLICE_BYTES) {
        let result = stage.feed(slice);
        let mut decoded = std::mem::take(&mut stage.sink().decoded);
        let passed = if decoded.is_empty() { Ok(()) } else { run_stages(later, &decoded, output) };
        if decoded.capacity() <= SINK_KEPT_BYTES {
            decoded.clear();
            stage.sink().decoded = decoded;
        }
        passed.and(result)?;
    }
    Ok(())
}

/// One content-coding. The decoders write into a [`Sink`], which refuses what is too much.
enum Stage {
    Gzip(MultiGzDecoder<Sink>),
    Deflate(ZlibDecoder<Sink>),
    Brotli(Box<brotli::DecompressorWriter<Sink>>),
    Zstd(zstd::stream::write::Decoder<'static, Sink>),
}

/// Room for brotli's output before it goes to the sink.
const BROTLI_BUFFER_BYTES: usize = 4 << 10;

impl Stage {
    fn new(name: &str, limits: DecodeLimits) -> Result<Self, Failure> {
        let sink = Sink { limits, ..Sink::default() };
        match name.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Ok(Self::Gzip(MultiGzDecoder::new(sink))),
            "deflate" => Ok(Self::Deflate(ZlibDecoder::new(sink))),
            "br" => Ok(Self::Brotli(Box::new(brotli::DecompressorWriter::new(sink, BROTLI_BUFFER_BYTES)))),
            "zstd" => {
                let mut decoder = zstd::stream::raw::Decoder::new().map_err(|_| Failure::unknown_encoding)?;
                decoder
                    .set_parameter(zstd::zstd_safe::DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))
                    .map_err(|_| Failure::unknown_encoding)?;
                Ok(Self::Zstd(zstd::stream::write::Decoder::with_decoder(sink, decoder)))
            }
            _ => Err(Failure::unknown_encoding),
        }
    }

    fn sink(&mut self) -> &mut Sink {
        match self {
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Deflate(decoder) => decoder.get_mut(),
            Self::Brotli(decoder) => decoder.get_mut(),
            Self::Zstd(decoder) => decoder.get_mut(),
        }
    }

    fn feed(&mut self, slice: &[u8]) -> Result<(), Failure> {
        let is_first = self.sink().encoded_bytes == 0;
        self.sink().encoded_bytes += slice.len() as u64;
        // `deflate` means zlib (RFC 9110), whose first byte names method 8, but some servers send the raw format.
        if let Self::Deflate(decoder) = self
            && is_first
            && slice[0] & 0x0f != 8
        {
            let sink = std::mem::take(decoder.get_mut());
            *decoder = ZlibDecoder::new_with_decompress(sink, Decompress::new(false));
        }
        let done = match self {
            Self::Gzip(decoder) => write_through(decoder, slice),
            Self::Deflate(decoder) => write_through(decoder, slice),
            Self::Brotli(decoder) => write_through(decoder, slice),
            Self::Zstd(decoder) => write_through(decoder, slice),
        };
        done.map_err(|_| self.sink().refusal.unwrap_or(Failure::corrupt_encoding))
    }
}

/// Writes all of it. A decoder that takes nothing has seen its end; bytes behind that are ignored, as clients do.
fn write_through(decoder: &mut impl Write, mut slice: &[u8]) -> io::Result<()> {
    while !slice.is_empty() {
        match decoder.write(slice) {
            Ok(0) => break,
            Ok(taken) => slice = &slice[taken..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    decoder.flush()
}

/// Where a decoder writes; it refuses what exceeds the limits.
#[derive(Default)]
struct Sink {
    limits: DecodeLimits,
    decoded: Vec<u8>,
    encoded_bytes: u64,
    decoded_bytes: u64,
    refusal: Option<Failure>,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let total = self.decoded_bytes + bytes.len() as u64;
        let proportionate = self
            .encoded_bytes
            .saturating_mul(self.limits.expansion_max)
            .max(self.limits.expansion_free_bytes);
        self.refusal = if total > self.limits.output_bytes_max {
            Some(Failure::response_too_large)
        } else if total > proportionate {
            Some(Failure::expansion)
        } else {
            None
        };
        if self.refusal.is_some() {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        self.decoded_bytes = total;
        self.decoded.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
