//! ClickHouse's compressed framing: what `compress=1` and `decompress=1` mean, and what its native protocol uses.
//!
//! A stream of blocks, each: 16 bytes CityHash128 (version 1.0.2, the old one) of the rest, then one byte method, two
//! little-endian u32 (compressed size with this 9-byte header, decompressed size), then the compressed bytes. The framing says its sizes before
//! it is checked, so both are bounded before anything is allocated.

use std::io::{self, BufRead, Read};

use bytes::Bytes;

use crate::limits;
use crate::pieces::Pieces;

const CHECKSUM_BYTES: usize = 16;
const HEADER_BYTES: usize = 9;
const METHOD_NONE: u8 = 0x02;
const METHOD_LZ4: u8 = 0x82;
const METHOD_ZSTD: u8 = 0x90;

/// Why a block is refused. Travels inside an `io::Error`.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each text says what is wrong")]
pub enum BlockError {
    #[error("Checksum doesn't match: corrupted data")]
    Checksum,
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

/// One LZ4 block. `plain` is at most `COMPRESSED_BLOCK_BYTES`.
pub fn compress(plain: &[u8]) -> Vec<u8> {
    let body = lz4_flex::block::compress(plain);
    let size = |bytes| u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes();
    let header = [&[METHOD_LZ4], &size(HEADER_BYTES + body.len())[..], &size(plain.len())].concat();
    let mut block = [&[0; CHECKSUM_BYTES], &header[..], &body].concat();
    let sum = checksum(&block[CHECKSUM_BYTES..]).to_le_bytes();
    block[..CHECKSUM_BYTES].copy_from_slice(&sum);
    block
}

/// Decompresses the blocks of `source` until it ends.
pub fn decompressor(mut source: impl BufRead + Send + 'static) -> Box<dyn BufRead + Send> {
    let mut compressed = Vec::new();
    Box::new(Pieces::new(move || next_block(&mut source, &mut compressed)))
}

/// `compressed` is kept between the blocks, so that it is allocated once.
fn next_block(source: &mut impl BufRead, compressed: &mut Vec<u8>) -> io::Result<Option<Bytes>> {
    if source.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let mut sum = [0; CHECKSUM_BYTES];
    let mut header = [0; HEADER_BYTES];
    source.read_exact(&mut sum)?;
    source.read_exact(&mut header)?;
    let [method, a, b, c, d, e, f, g, h] = header;
    let size = |bytes| usize::try_from(u32::from_le_bytes(bytes)).unwrap_or(usize::MAX);
    let (compressed_size, plain_size) = (size([a, b, c, d]), size([e, f, g, h]));
    let bounds = HEADER_BYTES..=limits::COMPRESSED_BLOCK_BYTES_MAX;
    if !bounds.contains(&compressed_size) || plain_size > limits::COMPRESSED_BLOCK_BYTES_MAX {
        return Err(BlockError::Malformed("too large block").into());
    }
    compressed.clear();
    compressed.extend_from_slice(&header);
    let rest = u64::try_from(compressed_size - HEADER_BYTES).unwrap_or(u64::MAX);
    source.take(rest).read_to_end(compressed)?;
    if compressed.len() != compressed_size {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if checksum(compressed).to_le_bytes() != sum {
        return Err(BlockError::Checksum.into());
    }
    decompress(method, &compressed[HEADER_BYTES..], plain_size).map(Some)
}

fn decompress(method: u8, body: &[u8], plain_size: usize) -> io::Result<Bytes> {
    let malformed = BlockError::Malformed;
    let plain = match method {
        METHOD_NONE => body.to_vec(),
        METHOD_LZ4 => {
            let mut plain = vec![0; plain_size];
            let length = lz4_flex::block::decompress_into(body, &mut plain);
            plain.truncate(length.map_err(|_| malformed("bad LZ4 data"))?);
            plain
        }
        METHOD_ZSTD => zstd::bulk::decompress(body, plain_size).map_err(|_| malformed("bad ZSTD data"))?,
        _ => return Err(malformed("unknown method").into()),
    };
    let is_whole = plain.len() == plain_size;
    if is_whole { Ok(plain.into()) } else { Err(malformed("the size is not the announced one").into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decompress(compressed: &[u8]) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        decompressor(io::Cursor::new(compressed.to_vec())).read_to_end(&mut plain).map(|_| plain)
    }

    /// A column file that ClickHouse wrote: `hello clickhouse` under the LZ4 codec.
    const FROM_CLICKHOUSE: [u8; 43] = [
        159, 105, 161, 66, 67, 185, 174, 50, 232, 46, 114, 238, 65, 52, 75, 14, 130, 27, 0, 0, 0, 16, 0, 0,
        0, 240, 1, 104, 101, 108, 108, 111, 32, 99, 108, 105, 99, 107, 104, 111, 117, 115, 101,
    ];

    #[test]
    fn packs_the_bytes_that_clickhouse_packs() {
        assert_eq!(compress(b"hello clickhouse"), FROM_CLICKHOUSE);
        assert_eq!(decompress(&FROM_CLICKHOUSE).unwrap(), b"hello clickhouse");
    }

    #[test]
    fn a_cut_stream_and_a_huge_size_are_errors() {
        assert_eq!(decompress(&FROM_CLICKHOUSE[..20]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(decompress(&FROM_CLICKHOUSE[..42]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let mut huge = FROM_CLICKHOUSE;
        huge[17..21].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(decompress(&huge).unwrap_err().to_string().contains("too large"));
    }
}
