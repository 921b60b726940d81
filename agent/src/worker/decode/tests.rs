//! Any cut of an encoded body decodes to the same bytes; bombs and lies are bounded.

use std::io::Read;

use proptest::prelude::*;

use super::*;

const ENCODINGS: [&str; 5] = ["gzip", "deflate", "raw-deflate", "br", "zstd"];

fn encode(encoding: &str, plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let level = flate2::Compression::default();
    match encoding {
        "gzip" => flate2::read::GzEncoder::new(plain, level).read_to_end(&mut out).unwrap(),
        "deflate" => flate2::read::ZlibEncoder::new(plain, level).read_to_end(&mut out).unwrap(),
        "raw-deflate" => flate2::read::DeflateEncoder::new(plain, level).read_to_end(&mut out).unwrap(),
        "br" => brotli::CompressorReader::new(plain, 4_096, 5, 22).read_to_end(&mut out).unwrap(),
        "zstd" => zstd::stream::read::Encoder::new(plain, 3).unwrap().read_to_end(&mut out).unwrap(),
        other => panic!("{other}"),
    };
    out
}

fn header(encoding: &str) -> &str {
    encoding.strip_prefix("raw-").unwrap_or(encoding)
}

fn decode(header: Option<&str>, encoded: &[u8], chunk: usize) -> (Vec<u8>, Result<(), Failure>) {
    let mut decoder = match Decoder::new(header, DecodeLimits::default()) {
        Ok(decoder) => decoder,
        Err(error) => return (Vec::new(), Err(error)),
    };
    let mut plain = Vec::new();
    let mut pieces = encoded.chunks(chunk.max(1));
    let result = pieces.try_for_each(|piece| decoder.decode(piece, |bytes| plain.extend_from_slice(bytes)));
    (plain, result)
}

fn sample() -> Vec<u8> {
    events(400)
}

fn events(count: u64) -> Vec<u8> {
    (0..count).fold(Vec::new(), |mut text, n| {
        write!(text, "data: {{\"n\":{n},\"text\":\"word {}\"}}\n\n", n * 7919 % 1000).unwrap();
        text
    })
}

#[test]
fn every_encoding_is_undone_whatever_the_chunks() {
    let plain = sample();
    for encoding in ENCODINGS {
        let encoded = encode(encoding, &plain);
        for chunk in [1, 13, 4_096, usize::MAX] {
            let (decoded, result) = decode(Some(header(encoding)), &encoded, chunk);
            assert_eq!(result, Ok(()), "{encoding} by {chunk}");
            assert!(decoded == plain, "{encoding} by {chunk}: {} bytes", decoded.len());
        }
    }
    for header in [None, Some(""), Some("identity"), Some(" Identity , ")] {
        assert_eq!(decode(header, &plain, 7), (plain.clone(), Ok(())));
    }
}

#[test]
fn stacked_encodings_are_undone_last_first() {
    let plain = sample();
    let encoded = encode("br", &encode("gzip", &plain));
    assert_eq!(decode(Some("gzip, br"), &encoded, 100), (plain.clone(), Ok(())));
    let thrice = encode("zstd", &encode("br", &encode("deflate", &plain)));
    assert_eq!(decode(Some("Deflate,BR,zstd"), &thrice, 100), (plain.clone(), Ok(())));
    assert_eq!(decode(Some("gzip,gzip,gzip,gzip"), &plain, 100).1, Err(Failure::unknown_encoding));
}

#[test]
fn gzip_members_one_after_the_other_are_one_answer() {
    let encoded = [encode("gzip", b"one "), encode("gzip", b"two")].concat();
    assert_eq!(decode(Some("gzip"), &encoded, 3), (b"one two".to_vec(), Ok(())));
}

#[test]
fn each_flushed_piece_comes_out_at_once() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let mut decoder = Decoder::new(Some("gzip"), DecodeLimits::default()).unwrap();
    for piece in [b"data: 1\n\n", b"data: 2\n\n", b"data: 3\n\n"] {
        encoder.write_all(piece).unwrap();
        encoder.flush().unwrap();
        let mut seen = Vec::new();
        decoder.decode(&std::mem::take(encoder.get_mut()), |bytes| seen.extend_from_slice(bytes)).unwrap();
        assert_eq!(seen, piece);
    }
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    let mut decoder = Decoder::new(Some("zstd"), DecodeLimits::default()).unwrap();
    for piece in [b"data: 1\n\n", b"data: 2\n\n"] {
        encoder.write_all(piece).unwrap();
        encoder.flush().unwrap();
        let mut seen = Vec::new();
        decoder.decode(&std::mem::take(encoder.get_mut()), |bytes| seen.extend_from_slice(bytes)).unwrap();
        assert_eq!(seen, piece);
    }
    let mut decoder = Decoder::new(Some("br"), DecodeLimits::default()).unwrap();
    let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4_096, 5, 22);
    for piece in [b"data: 1\n\n", b"data: 2\n\n"] {
        encoder.write_all(piece).unwrap();
        encoder.flush().unwrap();
        let mut seen = Vec::new();
        decoder.decode(&std::mem::take(encoder.get_mut()), |bytes| seen.extend_from_slice(bytes)).unwrap();
        assert_eq!(seen, piece);
    }
}

#[test]
fn a_truncated_answer_gives_what_was_decoded() {
    // Several blocks of zstd, whose decoder gives out a block at a time.
    let plain = events(20_000);
    for encoding in ENCODINGS {
        let encoded = encode(encoding, &plain);
        let (decoded, result) = decode(Some(header(encoding)), &encoded[..encoded.len() - 20], 64);
        assert_eq!(result, Ok(()), "{encoding}");
        assert!(
            plain.starts_with(&decoded) && decoded.len() > plain.len() / 4,
            "{encoding}: {}",
            decoded.len()
        );
    }
}

#[test]
fn a_wrong_or_unknown_encoding_is_a_failure() {
    let plain = sample();
    for header in ["gzip", "br", "zstd"] {
        let mut decoder = Decoder::new(Some(header), DecodeLimits::default()).unwrap();
        let result = decoder.decode(&plain, |_| panic!("no output"));
        assert_eq!(result, Err(Failure::corrupt_encoding), "{header}");
    }
    for header in ["compress", "aes128gcm", "gzip, dcb", "gzip;q=1"] {
        assert_eq!(decode(Some(header), &plain, 100).1, Err(Failure::unknown_encoding), "{header}");
    }
}

#[test]
fn a_bomb_is_stopped_while_it_is_small() {
    let bomb = vec![b'a'; 64 << 20];
    let free = DecodeLimits::default().expansion_free_bytes as usize;
    for encoding in ENCODINGS {
        let encoded = encode(encoding, &bomb);
        let (decoded, result) = decode(Some(header(encoding)), &encoded, usize::MAX);
        assert!(
            matches!(result, Err(Failure::expansion | Failure::response_too_large)),
            "{encoding}: {result:?}"
        );
        assert!(decoded.len() <= free.max(encoded.len() * 200), "{encoding}: {}", decoded.len());
    }
    let nested = encode("gzip", &encode("gzip", &bomb));
    let (decoded, result) = decode(Some("gzip, gzip"), &nested, usize::MAX);
    assert_eq!(result, Err(Failure::expansion));
    assert!(decoded.len() <= 16 << 20, "{}", decoded.len());
}

#[test]
fn output_ends_at_the_limit() {
    let limits = DecodeLimits { output_bytes_max: 1_000, ..DecodeLimits::default() };
    let mut decoder = Decoder::new(None, limits).unwrap();
    let mut seen = 0;
    assert_eq!(decoder.decode(&[b'x'; 999], |bytes| seen += bytes.len()), Ok(()));
    assert_eq!(decoder.decode(&[b'x'; 9], |bytes| seen += bytes.len()), Err(Failure::response_too_large));
    assert_eq!(seen, 1_000);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        flip in any::<prop::sample::Index>(),
        which in 0..ENCODINGS.len(),
        chunk in 1_usize..700,
    ) {
        let encoding = ENCODINGS[which];
        decode(Some(header(encoding)), &bytes, chunk).1.ok();
        let mut encoded = encode(encoding, &bytes);
        let at = flip.index(encoded.len());
        encoded[at] ^= 0x55;
        decode(Some(header(encoding)), &encoded, chunk).1.ok();
    }
}

#[test]
fn names_of_no_encoding_pass_bytes_on() {
    for header in ["identity", "none", "None", "", " ", "none, identity"] {
        assert_eq!(decode(Some(header), b"data: a", 3), (b"data: a".to_vec(), Ok(())), "{header:?}");
        assert!(Decoder::new(Some(header), DecodeLimits::default()).unwrap().is_identity(), "{header:?}");
    }
}
