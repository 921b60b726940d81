//! Errors: code, status, text, and that a client notices one after the answer has begun.

use std::io::{Read, Write};

use super::harness::Engine;

#[tokio::test]
async fn errors_have_clickhouses_code_status_and_text() {
    let engine = Engine::start().await;
    let cases: &[(&str, &str, u16, &str)] = &[
        ("SELECT * FROM nope", "60", 404, "(UNKNOWN_TABLE)"),
        ("SELECT * FROM no.nope", "81", 404, "(UNKNOWN_DATABASE)"),
        ("SELECT nope", "47", 404, "(UNKNOWN_IDENTIFIER)"),
        ("SELECT nope(1)", "46", 404, "(UNKNOWN_FUNCTION)"),
        ("SELECT 1 FORMAT Nope", "73", 404, "(UNKNOWN_FORMAT)"),
        ("SELECT 1 SETTINGS nope = 1", "115", 404, "(UNKNOWN_SETTING)"),
        ("SELEC 1", "62", 400, "failed at position 1 (SELEC)"),
        ("SELECT (1", "62", 400, "failed at position 8 ("),
        ("SELECT 1; SELECT 2", "62", 400, "Multi-statements are not allowed"),
        ("", "62", 400, "Empty query"),
        ("-- nothing", "62", 400, "Empty query"),
        ("SELECT toUInt8('x')", "6", 400, "(CANNOT_PARSE_TEXT)"),
        ("SELECT 1 + 'a'", "43", 500, "(ILLEGAL_TYPE_OF_ARGUMENT)"),
        ("SELECT throwIf(1)", "395", 500, "(FUNCTION_THROW_IF_VALUE_IS_NON_ZERO)"),
        ("SELECT 1 INTO OUTFILE '/tmp/x'", "358", 500, "INTO OUTFILE is not allowed"),
        ("INSERT INTO t FROM INFILE '/tmp/x' FORMAT CSV", "78", 404, "infile"),
        ("INSERT INTO nope VALUES (1)", "60", 404, "(UNKNOWN_TABLE)"),
        ("SELECT sleep(3) SETTINGS max_execution_time = 0.1", "159", 408, "(TIMEOUT_EXCEEDED)"),
        ("SELECT {x:UInt8}", "456", 500, "(UNKNOWN_QUERY_PARAMETER)"),
    ];
    for (sql, code, status, part) in cases {
        let reply = engine.query(sql).await;
        let text = reply.text();
        assert_eq!(
            (reply.header("x-clickhouse-exception-code"), reply.status),
            (*code, *status),
            "{sql}: {text}"
        );
        assert!(
            text.starts_with(&format!("Code: {code}. DB::Exception: ")) && text.contains(part),
            "{sql}: {text}"
        );
        assert!(text.ends_with(")\n") && text.contains(" (version "), "{sql}: {text}");
        assert!(!text.contains("OUTFILE '/dev/fd"), "our own clause shows: {text}");
    }
    assert_eq!(engine.run("SELECT 1").await, "1\n");
}

#[tokio::test]
async fn parameters_that_make_no_sense_are_refused() {
    let engine = Engine::start().await;
    for (name, value, code, status) in [
        ("nope", "1", "115", 404),
        ("max_threads", "many", "27", 400),
        ("database", "nope", "81", 404),
        ("param_x", "many", "457", 500),
        ("compress", "x", "36", 400),
        ("a b", "1", "115", 404),
    ] {
        let reply = engine.post(&[(name, value)], &[], "SELECT {x:UInt8}").await;
        assert_eq!(
            (reply.header("x-clickhouse-exception-code"), reply.status),
            (code, status),
            "{name}: {}",
            reply.text()
        );
    }
}

#[tokio::test]
async fn get_reads_only() {
    let engine = Engine::start().await;
    engine.run("CREATE TABLE t (a UInt8) ENGINE = Memory").await;
    for sql in [
        "DROP TABLE t",
        "INSERT INTO t VALUES (1)",
        "INSERT INTO t SELECT 1",
        "CREATE TABLE u (a UInt8) ENGINE = Memory",
    ] {
        for session in ["", "s"] {
            let reply = engine.get(&[("query", sql), ("session_id", session)]).await;
            assert_eq!(reply.header("x-clickhouse-exception-code"), "164", "{sql}: {}", reply.text());
        }
    }
    assert_eq!(engine.get(&[("query", "SELECT count() FROM t")]).await.good(), "0\n");
    assert_eq!(
        engine.get(&[("query", "SELECT 1"), ("max_threads", "1"), ("session_id", "s")]).await.good(),
        "1\n"
    );
}

/// Scenario: a query fails after 9 million rows have been sent under a 200.
/// Guarantees: the tagged exception ends the body, and the chunked encoding is broken off, with and without compression.
#[tokio::test]
async fn an_error_in_a_stream_is_in_the_body_and_breaks_it() {
    let engine = Engine::start().await;
    let sql = "SELECT number, throwIf(number = 9000000) FROM numbers(10000000)";
    let raw = raw_answer(
        engine.address(),
        &format!(
            "POST /?password=password&max_threads=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{sql}",
            sql.len()
        ),
    );
    let head_end = raw.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&raw[..head_end]).into_owned();
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("transfer-encoding: chunked"), "{head}");
    let tag = head.lines().find_map(|line| line.strip_prefix("x-clickhouse-exception-tag: ")).unwrap();
    let tail = String::from_utf8_lossy(&raw[raw.len() - 600..]).into_owned();
    assert!(tail.contains(&format!("\r\n__exception__\r\n{tag}\r\nCode: 395. DB::Exception: ")), "{tail}");
    assert!(tail.trim_end().ends_with(&format!(" {tag}\r\n__exception__")), "{tail}");
    assert!(!raw.ends_with(b"0\r\n\r\n"), "the chunked body was ended properly");
}

/// Scenario: the same, held back with `wait_end_of_query`.
/// Guarantees: a proper status and nothing of the result.
#[tokio::test]
async fn wait_end_of_query_turns_a_late_error_into_a_status() {
    let engine = Engine::start().await;
    let sql = "SELECT number, throwIf(number = 900000) FROM numbers(1000000)";
    let reply = engine.post(&[("wait_end_of_query", "1")], &[], sql).await;
    assert_eq!((reply.status, reply.header("x-clickhouse-exception-code")), (500, "395"));
    assert!(reply.text().starts_with("Code: 395."));
}

#[tokio::test]
async fn bad_http_is_answered_and_the_engine_lives() {
    let engine = Engine::start().await;
    let answer = |request: &str| String::from_utf8_lossy(&raw_answer(engine.address(), request)).into_owned();
    assert!(
        answer("POST /?password=password HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .starts_with("HTTP/1.1 411")
    );
    assert!(answer("NONSENSE\r\n\r\n").starts_with("HTTP/1.1 400"));
    assert!(
        answer("GET /?query=%zz HTTP/1.1\r\nHost: localhost\r\nX-ClickHouse-Key: password\r\nConnection: close\r\n\r\n")
            .starts_with("HTTP/1.1 400")
    );
    assert!(
        answer("DELETE /?password=password HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .starts_with("HTTP/1.1 404")
    );
    let huge = engine.query(&format!("SELECT '{}'", "x".repeat(17 << 20))).await;
    assert_eq!((huge.status, huge.header("x-clickhouse-exception-code")), (413, "229"), "{}", huge.text());
    assert_eq!(engine.run("SELECT 1").await, "1\n");
}

/// Everything the server sends until it closes.
fn raw_answer(address: &str, request: &str) -> Vec<u8> {
    let mut socket = std::net::TcpStream::connect(address).unwrap();
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A reset after the last bytes is an end too.
    let _ = socket.read_to_end(&mut answer);
    answer
}
