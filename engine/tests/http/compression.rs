//! Compression in both directions, against bytes from other programs where there are some.

use std::io::{Cursor, Read};

use ledgerline_engine::compression::{ContentEncoding, Encoder, blocks};

use super::harness::Engine;

const ENCODINGS: [ContentEncoding; 4] =
    [ContentEncoding::Gzip, ContentEncoding::Deflate, ContentEncoding::Zstd, ContentEncoding::Lz4];

fn pack(blocks: bool, encoding: Option<ContentEncoding>, plain: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::new(blocks, encoding).unwrap();
    encoder.write(plain).unwrap();
    encoder.finish()
}

#[tokio::test]
async fn bodies_may_be_encoded_framed_or_both() {
    let engine = Engine::start().await;
    engine.run("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a").await;
    let rows: String = (0..100_000).map(|number| format!("{number}\n")).collect();
    let mut expected = 0;
    for encoding in ENCODINGS.map(Some).into_iter().chain([None]) {
        for framed in [false, true] {
            let body = pack(framed, encoding, rows.as_bytes());
            let decompress = if framed { "1" } else { "0" };
            let headers: Vec<_> =
                encoding.iter().map(|encoding| ("content-encoding", encoding.name())).collect();
            let parameters = [("query", "INSERT INTO t FORMAT TSV"), ("decompress", decompress)];
            engine.post(&parameters, &headers, body).await.good();
            expected += 100_000;
            assert_eq!(
                engine.run("SELECT count() FROM t").await.trim(),
                expected.to_string(),
                "{encoding:?} {framed}"
            );
        }
    }
    // The statement itself may be inside.
    let body = pack(false, Some(ContentEncoding::Lz4), b"INSERT INTO t FORMAT TSV\n1\n");
    engine.post(&[], &[("content-encoding", "lz4")], body).await.good();
    assert_eq!(engine.run("SELECT count() FROM t").await.trim(), (expected + 1).to_string());
}

#[tokio::test]
async fn answers_are_encoded_as_the_client_accepts() {
    let engine = Engine::start().await;
    let sql = "SELECT number FROM numbers(1000000)";
    let plain = engine.query(sql).await.body;
    for encoding in ENCODINGS {
        for compress in ["0", "1"] {
            let parameters = [("enable_http_compression", "1"), ("compress", compress)];
            let reply = engine.post(&parameters, &[("accept-encoding", encoding.name())], sql).await;
            assert_eq!((reply.status, reply.header("content-encoding")), (200, encoding.name()));
            let mut reader = encoding.reader(Box::new(Cursor::new(reply.body))).unwrap();
            if compress == "1" {
                reader = blocks::decompressor(reader);
            }
            let mut unpacked = Vec::new();
            reader.read_to_end(&mut unpacked).unwrap();
            assert!(unpacked == plain, "{encoding:?} compress={compress}");
        }
    }
    let reply = engine.post(&[], &[("accept-encoding", "gzip")], sql).await;
    assert_eq!(reply.header("content-encoding"), "", "not enabled, so not encoded");
}

#[tokio::test]
async fn damaged_bodies_are_refused_and_leave_nothing() {
    let engine = Engine::start().await;
    engine.run("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a").await;
    let rows: String = (0..100_000).map(|number| format!("{number}\n")).collect();
    let insert = ("query", "INSERT INTO t FORMAT TSV");
    for encoding in ENCODINGS {
        let mut body = pack(false, Some(encoding), rows.as_bytes());
        body.truncate(body.len() / 2);
        let reply = engine.post(&[insert], &[("content-encoding", encoding.name())], body).await;
        assert_eq!(
            (reply.status, reply.header("x-clickhouse-exception-code")),
            (500, "271"),
            "{encoding:?} {}",
            reply.text()
        );
    }
    let mut body = pack(true, None, rows.as_bytes());
    let middle = body.len() / 2;
    body[middle] ^= 1;
    let reply = engine.post(&[insert, ("decompress", "1")], &[], body).await;
    assert_eq!((reply.status, reply.header("x-clickhouse-exception-code")), (500, "40"), "{}", reply.text());
    let reply =
        engine.post(&[insert, ("decompress", "1")], &[], "plain text, and long enough for a header\n").await;
    assert_eq!(reply.status, 500, "{}", reply.text());
    let reply = engine.post(&[insert], &[("content-encoding", "gzip")], "not gzip").await;
    assert_eq!(reply.header("x-clickhouse-exception-code"), "271", "{}", reply.text());
    assert_eq!(engine.run("SELECT count() FROM t").await, "0\n");
}
