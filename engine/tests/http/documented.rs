//! ClickHouse's documentation of its HTTP interface, command by command, with curl.
//!
//! Each case is what a reader would type into a shell, with `$URL` for the server, and the exact output. Query ids, times and the version
//! are the only things replaced.

use std::process::Command;

use super::harness::Engine;

#[track_caller]
fn shell(engine: &Engine, command: &str) -> String {
    let output = Command::new("bash").arg("-c").arg(command).env("URL", engine.url()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// What a reader types, and what the server prints. In order: later lines build on earlier ones.
const COMMANDS: &[(&str, &str)] = &[
    ("curl -s $URL", "Ok.\n"),
    ("curl -s $URL/ping", "Ok.\n"),
    ("curl -s $URL/replicas_status", "Ok.\n"),
    ("curl -s -I $URL/ping | head -1", "HTTP/1.1 200 OK\r\n"),
    ("curl -s \"$URL/?query=SELECT%201\"", "1\n"),
    ("wget --auth-no-challenge -nv -O- \"$URL/?query=SELECT 1\" 2>/dev/null", "1\n"),
    ("echo 'SELECT 1' | curl -s $URL/ --data-binary @-", "1\n"),
    ("echo 'SELECT 1' | curl -s \"$URL/?query=\" --data-binary @-", "1\n"),
    ("echo '1' | curl -s \"$URL/?query=SELECT\" --data-binary @-", "1\n"),
    (
        "printf '1\n2\n' | curl -s -F 'ids=@-;filename=x' -F 'query=SELECT sum(id) FROM ids' \"$URL/?ids_structure=id%20UInt8\"",
        "3
",
    ),
    (
        "curl -s -g -F 'query=SELECT {a:UInt8} + 1' -F param_a=41 $URL",
        "42
",
    ),
    ("echo 'SELECT 1 FORMAT JSONEachRow' | curl -s $URL/ --data-binary @-", "{\"1\":1}\n"),
    ("curl -s \"$URL/?default_format=JSONCompactEachRow\" -d 'SELECT 1, 2'", "[1, 2]\n"),
    ("curl -s -H 'X-ClickHouse-Format: CSVWithNames' $URL/ -d 'SELECT 1 AS a'", "\"a\"\n1\n"),
    ("echo 'CREATE TABLE t (a UInt8) ENGINE = Memory' | curl -s $URL/ --data-binary @-", ""),
    ("echo 'INSERT INTO t VALUES (1),(2),(3)' | curl -s $URL/ --data-binary @-", ""),
    ("echo '(4),(5),(6)' | curl -s \"$URL/?query=INSERT%20INTO%20t%20VALUES\" --data-binary @-", ""),
    ("echo '(7),(8),(9)' | curl -s \"$URL/?query=INSERT%20INTO%20t%20FORMAT%20Values\" --data-binary @-", ""),
    (
        "printf '10\\n11\\n12\\n' | curl -s \"$URL/?query=INSERT%20INTO%20t%20FORMAT%20TabSeparated\" --data-binary @-",
        "",
    ),
    (
        "curl -s \"$URL/?query=SELECT%20a%20FROM%20t%20ORDER%20BY%20a\" | tr '\\n' ' '",
        "1 2 3 4 5 6 7 8 9 10 11 12 ",
    ),
    ("curl -s \"$URL/?query=DROP%20TABLE%20t\" -o /dev/null -w '%{http_code}'", "500"),
    ("echo 'DROP TABLE t' | curl -s $URL/ --data-binary @-", ""),
    (
        "echo 'SELECT number FROM numbers LIMIT 3' | curl -s \"$URL/?database=system\" --data-binary @-",
        "0\n1\n2\n",
    ),
    (
        "echo 'SELECT number FROM system.numbers LIMIT 3' | curl -s -u default:password $URL/ -d @-",
        "0\n1\n2\n",
    ),
    ("echo 'SELECT 7' | curl -s \"$URL/?user=default&password=password\" -d @-", "7\n"),
    (
        "echo 'SELECT 7' | curl -s -H 'X-ClickHouse-User: default' -H 'X-ClickHouse-Key: password' $URL/ -d @-",
        "7\n",
    ),
    (
        "curl -s -g \"$URL/?param_id=2&param_phrase=test\" -d 'SELECT {id:UInt8} AS id, {phrase:String} AS p FORMAT TSV'",
        "2\ttest\n",
    ),
    (
        "curl -s \"$URL/?param_arg1=abc%5C%09123\" -d \"SELECT splitByChar('\\t', {arg1:String})\"",
        "['abc','123']\n",
    ),
    ("curl -s -g \"$URL/?param_table=one\" -d 'SELECT * FROM system.{table:Identifier}'", "0\n"),
    (
        "curl -s \"$URL/?max_result_bytes=4000000&buffer_size=3000000&wait_end_of_query=1\" -d 'SELECT max(number) FROM numbers(10)'",
        "9\n",
    ),
    ("curl -s \"$URL/?enable_http_compression=1\" -H 'Accept-Encoding: gzip' -d 'SELECT 1' | gzip -d", "1\n"),
    ("echo 'SELECT 1' | gzip -c | curl -s --data-binary @- -H 'Content-Encoding: gzip' $URL/", "1\n"),
    (
        "curl -s \"$URL/?query_id=my-id\" -d 'SELECT 1' -o /dev/null -D - | grep -i query-id",
        "x-clickhouse-query-id: my-id\r\n",
    ),
    ("curl -s $URL/nothing -o /dev/null -w '%{http_code}'", "404"),
];

#[tokio::test]
async fn the_documented_commands_print_what_the_documentation_prints() {
    let engine = Engine::start().await;
    for (command, expected) in COMMANDS {
        assert_eq!(shell(&engine, command), *expected, "{command}");
    }
}

#[tokio::test]
async fn answers_carry_clickhouses_headers() {
    let engine = Engine::start().await;
    let reply = engine
        .post(&[("query_id", "q1"), ("default_format", "JSON")], &[], "SELECT number FROM numbers(3)")
        .await;
    assert_eq!(reply.header("content-type"), "application/json; charset=UTF-8");
    assert_eq!(reply.header("x-clickhouse-format"), "JSON");
    assert_eq!(reply.header("x-clickhouse-query-id"), "q1");
    assert!(!reply.header("x-clickhouse-timezone").is_empty());
    assert!(!reply.header("x-clickhouse-server-display-name").is_empty());
    assert_eq!((reply.summary("read_rows"), reply.summary("result_rows")), (3, 3));
    assert!(reply.summary("elapsed_ns") > 0);
    for (format, content_type) in [
        ("TabSeparated", "text/tab-separated-values; charset=UTF-8"),
        ("CSV", "text/csv; charset=UTF-8; header=absent"),
        ("Native", "application/octet-stream"),
        ("XML", "application/xml; charset=UTF-8"),
    ] {
        let reply = engine.query(&format!("SELECT 1 FORMAT {format}")).await;
        assert_eq!(
            (reply.header("content-type"), reply.header("x-clickhouse-format")),
            (content_type, format)
        );
    }
}

#[tokio::test]
async fn only_loopback_is_served() {
    let directory = tempfile::tempdir().unwrap();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let output = Command::new(super::harness::BINARY)
            .args(["--listen", address, "--passwords"])
            .arg(super::harness::passwords(directory.path()))
            .arg("--data-dir")
            .arg(directory.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("is not a loopback address"), "{address}: {said}");
    }
}
