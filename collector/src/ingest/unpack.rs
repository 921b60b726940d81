//! Unpacks a request body, within a size, a ratio and the memory granted. No I/O.

use std::io::{self, Read};

use bytes::Bytes;
use flate2::read::{MultiGzDecoder, ZlibDecoder};

use super::admission::Grant;
use super::refusal::Refusal;
use crate::limits;

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
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

    /// The encoding of that name; absent and empty mean identity.
    ///
    /// # Errors
    /// [`Refusal::Unsupported`] for any other, and for several at once.
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

/// The body as it was before it was packed.
///
/// # Errors
/// When it is damaged, exceeds a bound, or there is no memory for it.
pub fn unpack(encoding: Encoding, packed: Bytes, grant: &mut Grant) -> Result<Bytes, Refusal> {
    let broken = |error: io::Error| Refusal::Garbage(format!("the body is not {encoding:?}: {error}"));
    let length = packed.len();
    match encoding {
        Encoding::Identity => {
            check(length, length)?;
            grant.grow(length.saturating_mul(limits::MEMORY_PER_DECODED_BYTE - 1))?;
            Ok(packed)
        }
        Encoding::Gzip => read(MultiGzDecoder::new(&*packed), encoding, length, grant),
        Encoding::Deflate => read(ZlibDecoder::new(&*packed), encoding, length, grant),
        Encoding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(&*packed).map_err(broken)?;
            decoder.window_log_max(limits::ZSTD_WINDOW_LOG_MAX).map_err(broken)?;
            read(decoder, encoding, length, grant)
        }
    }
}

fn read(
    mut decoder: impl Read,
    encoding: Encoding,
    packed: usize,
    grant: &mut Grant,
) -> Result<Bytes, Refusal> {
    let mut body = Vec::with_capacity(packed.saturating_mul(4).min(limits::RATIO_FREE_BYTES));
    let mut piece = vec![0; 64 << 10];
    loop {
        let length = match decoder.read(&mut piece) {
            Ok(0) => return Ok(body.into()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Refusal::Garbage(format!("the body is not {encoding:?}: {error}"))),
        };
        check(body.len() + length, packed)?;
        grant.grow(length.saturating_mul(limits::MEMORY_PER_DECODED_BYTE))?;
        body.extend_from_slice(&piece[..length]);
    }
}

fn check(unpacked: usize, packed: usize) -> Result<(), Refusal> {
    if unpacked > limits::DECODED_BYTES_MAX {
        return Err(Refusal::TooLarge { what: "unpacked", limit: limits::DECODED_BYTES_MAX });
    }
    if unpacked > limits::RATIO_FREE_BYTES && unpacked > packed.saturating_mul(limits::DECODED_RATIO_MAX) {
        return Err(Refusal::Bomb(limits::DECODED_RATIO_MAX));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};

    use super::*;
    use crate::ingest::admission::Admission;

    fn pack(encoding: Encoding, body: &[u8]) -> Bytes {
        match encoding {
            Encoding::Identity => Bytes::copy_from_slice(body),
            Encoding::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(body).unwrap();
                encoder.finish().unwrap().into()
            }
            Encoding::Deflate => {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(body).unwrap();
                encoder.finish().unwrap().into()
            }
            Encoding::Zstd => zstd::encode_all(body, 3).unwrap().into(),
        }
    }

    fn unpacked(encoding: Encoding, packed: Bytes) -> Result<Bytes, Refusal> {
        unpack(encoding, packed, &mut Admission::of_bytes(limits::IN_FLIGHT_BYTES_MAX).enter())
    }

    const ALL: [Encoding; 4] = [Encoding::Identity, Encoding::Gzip, Encoding::Deflate, Encoding::Zstd];

    #[test]
    fn every_encoding_gives_back_what_was_packed() {
        for encoding in ALL {
            let body = b"spans ".repeat(20_000);
            assert_eq!(unpacked(encoding, pack(encoding, &body)).unwrap(), body, "{encoding:?}");
        }
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_unpacked() {
        let body = vec![0_u8; 8 << 20];
        for encoding in [Encoding::Gzip, Encoding::Deflate, Encoding::Zstd] {
            let refused = unpacked(encoding, pack(encoding, &body)).unwrap_err();
            assert!(matches!(refused, Refusal::Bomb(_)), "{encoding:?}: {refused}");
        }
    }

    #[test]
    fn damage_and_other_encodings_are_garbage() {
        for encoding in [Encoding::Gzip, Encoding::Deflate, Encoding::Zstd] {
            for packed in
                [&b"not packed at all"[..], &pack(encoding, &b"0123456789abcdefghijklmnop".repeat(3))[..16]]
            {
                let refused = unpacked(encoding, Bytes::copy_from_slice(packed)).unwrap_err();
                assert!(matches!(refused, Refusal::Garbage(_)), "{encoding:?}: {refused}");
            }
        }
        assert!(matches!(Encoding::from_name("br"), Err(Refusal::Unsupported(_))));
        assert!(matches!(Encoding::from_name("gzip, gzip"), Err(Refusal::Unsupported(_))));
        assert_eq!(Encoding::from_name(" GZIP ").unwrap(), Encoding::Gzip);
    }

    #[test]
    fn memory_that_is_not_there_is_busy_and_not_an_error_of_the_sender() {
        let body = pack(Encoding::Gzip, &b"0123456789abcdef".repeat(8_000));
        let admission = Admission::of_bytes(400 << 10);
        let mut other = admission.enter();
        other.grow(100 << 10).unwrap();
        let refused = unpack(Encoding::Gzip, body.clone(), &mut admission.enter()).unwrap_err();
        assert!(refused.is_transient(), "{refused}");
        drop(other);
        unpack(Encoding::Gzip, body, &mut admission.enter()).unwrap();
    }
}
