//! ClickHouse's compressed framing: what `compress=1` and `decompress=1` mean, and what its native protocol uses.
//!
//! A stream of blocks, each: 16 bytes CityHash128 (version 1.0.2, the old one) of the rest, then one byte method, two
//! little-endian u32 (compressed size with this 9-byte header, decompressed size), then the compressed bytes. The framing says its sizes before
//! it is checked, so both are bounded before anything is allocated.

use std::io::{self, BufRead, Read};

use crate::limits;

const CHECKSUM_BYTES: usize = 16;
const HEADER_BYTES: usize = 9;
const METHOD_NONE: u8 = 0x02;
const METHOD_LZ4: u8 = 0x82;
const METHOD_ZSTD: u8 = 0x90;

/// Why a block is refused. Travels inside an `io::Error`.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    /// The bytes are not those that were sent.
    #[error("Checksum doesn't match: corrupted data")]
    Checksum,
    /// Sizes or method make no sense.
    #[error("Cannot decompress a block: {0}")]
    Malformed(&'static str),
}

impl From<BlockError> for io::Error {
    fn from(error: BlockError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

fn checksum(bytes: &[u8]) -> u128 {
    // ClickHouse stores the high half first.
    cityhash_rs::cityhash_102_128(bytes).rotate_right(64)
}

/// Appends one LZ4 block. `plain` is at most `COMPRESSED_BLOCK_BYTES`.
pub fn compress(plain: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    let most = lz4_flex::block::get_maximum_output_size(plain.len());
    out.resize(start + CHECKSUM_BYTES + HEADER_BYTES + most, 0);
    let body = start + CHECKSUM_BYTES + HEADER_BYTES;
    // The buffer has the size that the library asks for, so packing cannot fail; an empty block would show in the checksum.
    let compressed = lz4_flex::block::compress_into(plain, &mut out[body..]).unwrap_or(0);
    out.truncate(body + compressed);
    let header = start + CHECKSUM_BYTES;
    out[header] = METHOD_LZ4;
    out[header + 1..header + 5].copy_from_slice(&size(compressed + HEADER_BYTES));
    out[header + 5..body].copy_from_slice(&size(plain.len()));
    let sum = checksum(&out[header..]).to_le_bytes();
    out[start..header].copy_from_slice(&sum);
}

fn size(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes()
}

/// Decompresses a stream of blocks.
pub struct Decompressor<R> {
    source: R,
    compressed: Vec<u8>,
    plain: Vec<u8>,
    position: usize,
}

impl<R: BufRead> Decompressor<R> {
    /// Reads blocks from `source` until it ends.
    pub fn new(source: R) -> Self {
        Self { source, compressed: Vec::new(), plain: Vec::new(), position: 0 }
    }

    fn next_block(&mut self) -> io::Result<()> {
        self.position = 0;
        self.plain.clear();
        if self.source.fill_buf()?.is_empty() {
            return Ok(());
        }
        let mut head = [0; CHECKSUM_BYTES + HEADER_BYTES];
        self.source.read_exact(&mut head)?;
        let (sum, header) = head.split_at(CHECKSUM_BYTES);
        let read_size = |at: usize| {
            let bytes = [header[at], header[at + 1], header[at + 2], header[at + 3]];
            usize::try_from(u32::from_le_bytes(bytes)).unwrap_or(usize::MAX)
        };
        let (compressed_size, plain_size) = (read_size(1), read_size(5));
        let bounds = HEADER_BYTES..=limits::COMPRESSED_BLOCK_BYTES_MAX;
        if !bounds.contains(&compressed_size) || plain_size > limits::COMPRESSED_BLOCK_BYTES_MAX {
            return Err(BlockError::Malformed("too large block").into());
        }
        self.compressed.clear();
        self.compressed.extend_from_slice(header);
        let rest = u64::try_from(compressed_size - HEADER_BYTES).unwrap_or(u64::MAX);
        let read = self.source.by_ref().take(rest).read_to_end(&mut self.compressed)?;
        if read != compressed_size - HEADER_BYTES {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if checksum(&self.compressed).to_le_bytes() != *sum {
            return Err(BlockError::Checksum.into());
        }
        self.decompress(plain_size)
    }

    fn decompress(&mut self, plain_size: usize) -> io::Result<()> {
        let method = self.compressed[0];
        let body = &self.compressed[HEADER_BYTES..];
        self.plain.resize(plain_size, 0);
        let decompressed = match method {
            METHOD_NONE => {
                self.plain.clear();
                self.plain.extend_from_slice(body);
                body.len()
            }
            METHOD_LZ4 => lz4_flex::block::decompress_into(body, &mut self.plain)
                .map_err(|_| BlockError::Malformed("bad LZ4 data"))?,
            METHOD_ZSTD => zstd::bulk::decompress_to_buffer(body, &mut self.plain[..])
                .map_err(|_| BlockError::Malformed("bad ZSTD data"))?,
            _ => return Err(BlockError::Malformed("unknown method").into()),
        };
        if decompressed != plain_size {
            return Err(BlockError::Malformed("the size is not the announced one").into());
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Decompressor<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let length = available.len().min(out.len());
        out[..length].copy_from_slice(&available[..length]);
        self.consume(length);
        Ok(length)
    }
}

impl<R: BufRead> BufRead for Decompressor<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        // A block may hold nothing; only the end of the source ends the stream.
        while self.position == self.plain.len() {
            self.next_block()?;
            if self.plain.is_empty() && self.source.fill_buf()?.is_empty() {
                break;
            }
        }
        Ok(&self.plain[self.position..])
    }

    fn consume(&mut self, amount: usize) {
        self.position += amount;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decompress(compressed: &[u8]) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        Decompressor::new(compressed).read_to_end(&mut plain).map(|_| plain)
    }

    /// A column file that ClickHouse wrote: `hello clickhouse` under the LZ4 codec.
    const FROM_CLICKHOUSE: [u8; 43] = [
        159, 105, 161, 66, 67, 185, 174, 50, 232, 46, 114, 238, 65, 52, 75, 14, 130, 27, 0, 0, 0, 16, 0, 0,
        0, 240, 1, 104, 101, 108, 108, 111, 32, 99, 108, 105, 99, 107, 104, 111, 117, 115, 101,
    ];

    #[test]
    fn packs_the_bytes_that_clickhouse_packs() {
        let mut compressed = Vec::new();
        compress(b"hello clickhouse", &mut compressed);
        assert_eq!(compressed, FROM_CLICKHOUSE);
        assert_eq!(decompress(&FROM_CLICKHOUSE).unwrap(), b"hello clickhouse");
    }

    #[test]
    fn a_changed_bit_is_a_checksum_error() {
        for bit in [16 * 8, 42 * 8, 3] {
            let mut compressed = FROM_CLICKHOUSE;
            compressed[bit / 8] ^= 1 << (bit % 8);
            let error = decompress(&compressed).unwrap_err();
            assert!(matches!(error.get_ref().unwrap().downcast_ref(), Some(BlockError::Checksum)), "{error}");
        }
    }

    #[test]
    fn a_cut_stream_and_a_huge_size_are_errors() {
        assert_eq!(decompress(&FROM_CLICKHOUSE[..20]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(decompress(&FROM_CLICKHOUSE[..42]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let mut huge = FROM_CLICKHOUSE;
        huge[17..21].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(decompress(&huge).unwrap_err().to_string().contains("too large"));
    }

    #[test]
    fn blocks_follow_each_other() {
        let mut compressed = Vec::new();
        compress(b"", &mut compressed);
        compress(&[b'a'; 100_000], &mut compressed);
        compress(b"b", &mut compressed);
        let plain = decompress(&compressed).unwrap();
        assert_eq!((plain.len(), plain.last()), (100_001, Some(&b'b')));
    }
}
