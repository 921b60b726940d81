//! Bodies in and out of compression: HTTP content encodings, and ClickHouse's own framing (`blocks`).
//!
//! Everything streams with bounded memory. Readers pull from the socket's pieces on the engine's thread, writers append to a
//! buffer that the response takes away; no task of the runtime ever compresses.

pub mod blocks;

use std::io::{self, BufRead, BufReader, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::limits;

/// An HTTP content encoding that both directions support.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentEncoding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950 (zlib), as ClickHouse and browsers mean it.
    Deflate,
    /// RFC 8878.
    Zstd,
    /// The LZ4 frame format.
    Lz4,
}

impl ContentEncoding {
    /// Each with its HTTP name, in ClickHouse's order of preference.
    const ALL: [(Self, &'static str); 4] =
        [(Self::Lz4, "lz4"), (Self::Zstd, "zstd"), (Self::Gzip, "gzip"), (Self::Deflate, "deflate")];

    /// By its HTTP name, or the old one of gzip.
    pub fn named(name: &str) -> Option<Self> {
        let name = if name.eq_ignore_ascii_case("x-gzip") { "gzip" } else { name };
        Self::ALL
            .into_iter()
            .find(|(_, known)| name.eq_ignore_ascii_case(known))
            .map(|(encoding, _)| encoding)
    }

    /// As headers have it.
    pub fn name(self) -> &'static str {
        Self::ALL
            .into_iter()
            .find_map(|(encoding, name)| (encoding == self).then_some(name))
            .unwrap_or_default()
    }

    /// The first of `Accept-Encoding` that we serve; a quality of 0 excludes.
    pub fn negotiate(accept: &str) -> Option<Self> {
        let accepted = |item: &str| {
            let (name, quality) = item.split_once(';').unwrap_or((item, ""));
            let refused = quality.trim().trim_start_matches("q=").parse() == Ok(0.0_f32);
            if refused { None } else { Self::named(name.trim()) }
        };
        let accepts = |encoding| accept.split(',').any(|item| accepted(item) == Some(encoding));
        Self::ALL.into_iter().map(|(encoding, _)| encoding).find(|encoding| accepts(*encoding))
    }

    /// Decompresses a body.
    pub fn reader(self, body: Box<dyn BufRead + Send>) -> io::Result<Box<dyn BufRead + Send>> {
        fn buffered(reader: impl io::Read + Send + 'static) -> Box<dyn BufRead + Send> {
            Box::new(BufReader::with_capacity(limits::DECODE_BUFFER_BYTES, reader))
        }
        Ok(match self {
            Self::Gzip => buffered(flate2::bufread::MultiGzDecoder::new(body)),
            Self::Deflate => buffered(flate2::bufread::ZlibDecoder::new(body)),
            Self::Zstd => buffered(zstd::stream::read::Decoder::with_buffer(body)?),
            Self::Lz4 => buffered(lz4_flex::frame::FrameDecoder::new(body)),
        })
    }
}

/// Compresses an answer piece by piece: ClickHouse's framing first, then the content encoding.
pub struct Encoder {
    blocks: bool,
    outer: Box<dyn Write + Send>,
    compressed: Buffer,
}

/// What an encoding writes into and [`Encoder::take`] takes from.
#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Encoder {
    /// `blocks`: ClickHouse's framing (`compress=1`).
    pub fn new(blocks: bool, encoding: Option<ContentEncoding>) -> io::Result<Self> {
        let compressed = Buffer::default();
        let out = compressed.clone();
        // As `http_zlib_compression_level` is in ClickHouse, unless it is set.
        let level = flate2::Compression::new(3);
        // Each ends its encoding when it is dropped.
        let outer: Box<dyn Write + Send> = match encoding {
            None => Box::new(out),
            Some(ContentEncoding::Gzip) => Box::new(flate2::write::GzEncoder::new(out, level)),
            Some(ContentEncoding::Deflate) => Box::new(flate2::write::ZlibEncoder::new(out, level)),
            Some(ContentEncoding::Zstd) => Box::new(zstd::stream::write::Encoder::new(out, 1)?.auto_finish()),
            Some(ContentEncoding::Lz4) => Box::new(lz4_flex::frame::FrameEncoder::new(out).auto_finish()),
        };
        Ok(Self { blocks, outer, compressed })
    }

    /// Adds plain bytes.
    pub fn write(&mut self, plain: &[u8]) -> io::Result<()> {
        if !self.blocks {
            return self.outer.write_all(plain);
        }
        let mut pieces = plain.chunks(limits::COMPRESSED_BLOCK_BYTES);
        pieces.try_for_each(|piece| self.outer.write_all(&blocks::compress(piece)))
    }

    /// Takes what is compressed so far.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.compressed.lock())
    }

    /// Ends the encoding and takes the rest. Writing into memory, it cannot fail.
    pub fn finish(self) -> Vec<u8> {
        drop(self.outer);
        std::mem::take(&mut self.compressed.lock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negotiation_prefers_what_clickhouse_prefers() {
        let check = |accept, expected| assert_eq!(ContentEncoding::negotiate(accept), expected, "{accept}");
        check("gzip, deflate, br, zstd", Some(ContentEncoding::Zstd));
        check("lz4;q=0, GZIP", Some(ContentEncoding::Gzip));
        check("br, identity", None);
        check("", None);
    }
}
