//! Decompresses a request body, within a size and the memory granted. No I/O.
//!
//! The bound is bytes and not a ratio: 300 spans that share one long prompt are honest and shrink 239 times.

use std::io::{self, Read};

use bytes::Bytes;
use flate2::read::{MultiGzDecoder, ZlibDecoder};

use super::admission::Grant;
use super::refusal::Refusal;
use crate::limits;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 1950, which HTTP calls deflate.
    Deflate,
    /// RFC 8878.
    Zstd,
}

impl Encoding {
    /// What we accept, for headers that say so.
    pub const ACCEPTED: &'static str = "identity,gzip,deflate,zstd";

    /// The encoding of that name; empty means identity. Several at once are not supported.
    pub fn from_name(name: &str) -> Result<Self, Refusal> {
        match name.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Self::Identity),
            "gzip" => Ok(Self::Gzip),
            "deflate" => Ok(Self::Deflate),
            "zstd" => Ok(Self::Zstd),
            _ => Err(Refusal::Unsupported(format!(
                "content encoding `{}` is not one of {}",
                name.escape_debug(),
                Self::ACCEPTED
            ))),
        }
    }
}

/// The body as it was before it was compressed.
pub fn decompress(encoding: Encoding, compressed: Bytes, grant: &mut Grant) -> Result<Bytes, Refusal> {
    let broken = |error: io::Error| broken(encoding, &error);
    let length = compressed.len();
    match encoding {
        Encoding::Identity => {
            check(length)?;
            grant.grow(length.saturating_mul(limits::MEMORY_PER_DECODED_BYTE - 1))?;
            Ok(compressed)
        }
        Encoding::Gzip => read(MultiGzDecoder::new(&*compressed), encoding, length, grant),
        Encoding::Deflate => read(ZlibDecoder::new(&*compressed), encoding, length, grant),
        Encoding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(&*compressed).map_err(broken)?;
            decoder.window_log_max(limits::ZSTD_WINDOW_LOG_MAX).map_err(broken)?;
            read(decoder, encoding, length, grant)
        }
    }
}

fn broken(encoding: Encoding, error: &io::Error) -> Refusal {
    Refusal::Malformed(format!("the body is not {encoding:?}: {error}"))
}

fn read(
    mut decoder: impl Read,
    encoding: Encoding,
    compressed: usize,
    grant: &mut Grant,
) -> Result<Bytes, Refusal> {
    let mut body = Vec::with_capacity(compressed.saturating_mul(4).min(FIRST_CAPACITY_MAX));
    let mut piece = vec![0; 64 << 10];
    loop {
        let length = match decoder.read(&mut piece) {
            Ok(0) => return Ok(body.into()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(broken(encoding, &error)),
        };
        check(body.len() + length)?;
        grant.grow(length.saturating_mul(limits::MEMORY_PER_DECODED_BYTE))?;
        body.extend_from_slice(&piece[..length]);
    }
}

/// The room made before the first byte is read. More is granted piece by piece.
const FIRST_CAPACITY_MAX: usize = 1 << 20;

fn check(decompressed: usize) -> Result<(), Refusal> {
    if decompressed > limits::DECODED_BYTES_MAX {
        return Err(Refusal::TooLarge { what: "decompressed", limit: limits::DECODED_BYTES_MAX });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::read::{GzEncoder, ZlibEncoder};

    use super::*;
    use crate::ingest::admission::Admission;

    fn compress(encoding: Encoding, body: &[u8]) -> Bytes {
        match encoding {
            Encoding::Identity => Bytes::copy_from_slice(body),
            Encoding::Gzip => read_all(GzEncoder::new(body, Compression::default())),
            Encoding::Deflate => read_all(ZlibEncoder::new(body, Compression::default())),
            Encoding::Zstd => zstd::encode_all(body, 3).unwrap().into(),
        }
    }

    fn read_all(mut encoder: impl Read) -> Bytes {
        let mut compressed = Vec::new();
        encoder.read_to_end(&mut compressed).unwrap();
        compressed.into()
    }

    fn decompressed(encoding: Encoding, compressed: Bytes) -> Result<Bytes, Refusal> {
        decompress(encoding, compressed, &mut Admission::of_bytes(limits::IN_FLIGHT_BYTES_MAX).enter())
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_whole_in_memory() {
        let body = vec![0_u8; limits::DECODED_BYTES_MAX + 1];
        for encoding in [Encoding::Gzip, Encoding::Deflate, Encoding::Zstd] {
            let refused = decompressed(encoding, compress(encoding, &body)).unwrap_err();
            assert!(matches!(refused, Refusal::TooLarge { .. }), "{encoding:?}: {refused}");
        }
    }

    #[test]
    fn damage_and_other_encodings_are_refused() {
        for encoding in [Encoding::Gzip, Encoding::Deflate, Encoding::Zstd] {
            for compressed in [
                &b"not compressed at all"[..],
                &compress(encoding, &b"0123456789abcdefghijklmnop".repeat(3))[..16],
            ] {
                let refused = decompressed(encoding, Bytes::copy_from_slice(compressed)).unwrap_err();
                assert!(matches!(refused, Refusal::Malformed(_)), "{encoding:?}: {refused}");
            }
        }
        assert!(matches!(Encoding::from_name("br"), Err(Refusal::Unsupported(_))));
        assert!(matches!(Encoding::from_name("gzip, gzip"), Err(Refusal::Unsupported(_))));
        assert_eq!(Encoding::from_name(" GZIP ").unwrap(), Encoding::Gzip);
    }

    #[test]
    fn memory_that_is_not_there_is_busy_and_not_an_error_of_the_sender() {
        let body = compress(Encoding::Gzip, &b"0123456789abcdef".repeat(8_000));
        let admission = Admission::of_bytes(400 << 10);
        let mut other = admission.enter();
        other.grow(100 << 10).unwrap();
        let refused = decompress(Encoding::Gzip, body.clone(), &mut admission.enter()).unwrap_err();
        assert!(refused.is_transient(), "{refused}");
        drop(other);
        decompress(Encoding::Gzip, body, &mut admission.enter()).unwrap();
    }
}
