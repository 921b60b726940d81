//! What the router makes of texts that ClickHouse accepts, and of texts cut anywhere.

use super::*;

fn head(text: &str) -> InsertHead {
    insert_head(text.as_bytes(), true)
}

#[test]
fn insert_data_begins_where_clickhouse_says() {
    let check = |text: &str, sql: &str, format: &str, data: &str| {
        let InsertHead::Data { sql_end, format: found, data_at } = head(text) else {
            panic!("{text}: {:?}", head(text))
        };
        assert_eq!((&text[..sql_end], found.as_str(), &text[data_at..]), (sql, format, data), "{text}");
    };
    check("INSERT INTO t VALUES (1), (2)", "INSERT INTO t ", "Values", " (1), (2)");
    check("insert into t values\n(1)", "insert into t ", "Values", "\n(1)");
    check("INSERT INTO t FORMAT CSV\n1,2\n", "INSERT INTO t ", "CSV", "1,2\n");
    check("INSERT INTO t FORMAT CSV \t\r\n\n1", "INSERT INTO t ", "CSV", "\n1");
    check("INSERT INTO t FORMAT JSONEachRow {\"a\":1}", "INSERT INTO t ", "JSONEachRow", "{\"a\":1}");
    check("INSERT INTO t FORMAT Native", "INSERT INTO t ", "Native", "");
    check("INSERT INTO format FORMAT TSV\nx", "INSERT INTO format ", "TSV", "x");
    check(
        "INSERT INTO values.format (format, `values`) VALUES (1)",
        "INSERT INTO values.format (format, `values`) ",
        "Values",
        " (1)",
    );
    check(
        "INSERT INTO t SETTINGS a = 'FORMAT', b=1 FORMAT TSV\n",
        "INSERT INTO t SETTINGS a = 'FORMAT', b=1 ",
        "TSV",
        "",
    );
    check(
        "/* VALUES */ INSERT -- FORMAT x\n INTO TABLE FUNCTION file('a', 'CSV') FORMAT TSV\n1",
        "/* VALUES */ INSERT -- FORMAT x\n INTO TABLE FUNCTION file('a', 'CSV') ",
        "TSV",
        "1",
    );
    check(
        "INSERT INTO \"a\"\"b\" (* EXCEPT(c)) FORMAT TSV\n",
        "INSERT INTO \"a\"\"b\" (* EXCEPT(c)) ",
        "TSV",
        "",
    );
}

#[test]
fn statements_without_data_are_left_whole() {
    for text in [
        "SELECT 1 FORMAT CSV",
        "INSERT INTO t SELECT 1 FORMAT CSV",
        "INSERT INTO t (a) WITH x AS (SELECT 1) SELECT * FROM x",
        "INSERT INTO t (SELECT 1)",
        "INSERT INTO t FROM INFILE 'x' FORMAT CSV",
        "CREATE TABLE t (a Int8) ENGINE = Memory",
        "",
        "INSERT INTO t 'unclosed",
    ] {
        assert_eq!(head(text), InsertHead::NoData, "{text}");
    }
}

#[test]
fn a_text_cut_anywhere_asks_for_more_or_agrees_with_the_whole() {
    let text = b"/* c */ INSERT INTO d.t (a, `b)`) SETTINGS x = '(\\'' FORMAT TSV\n1\t2\n";
    let whole = insert_head(text, true);
    for cut in 0..text.len() {
        let part = insert_head(&text[..cut], false);
        assert!(
            part == InsertHead::NeedMore || part == whole,
            "{:?} {part:?}",
            String::from_utf8_lossy(&text[..cut])
        );
    }
}

#[test]
fn outfile_goes_before_the_format_clause() {
    let check = |text: &str, before: &str, after: &str, format: Option<&str>| {
        let Statement::Select { outfile_at, end, format: found } = classify(text.as_bytes()) else {
            panic!("{text}")
        };
        assert_eq!(
            (&text[..outfile_at], &text[outfile_at..end], found.as_deref()),
            (before, after, format),
            "{text}"
        );
    };
    check("SELECT 1", "SELECT 1", "", None);
    check("SELECT 1; ", "SELECT 1", "", None);
    check("SELECT 1 -- end", "SELECT 1", "", None);
    check("SELECT 1 FORMAT JSON", "SELECT 1 ", "FORMAT JSON", Some("JSON"));
    check("(SELECT 1) FORMAT CSV SETTINGS a=1;", "(SELECT 1) ", "FORMAT CSV SETTINGS a=1", Some("CSV"));
    check("SELECT 1 SETTINGS a=1 format TSV", "SELECT 1 SETTINGS a=1 ", "format TSV", Some("TSV"));
    check("SELECT format FROM t", "SELECT format FROM t", "", None);
    check("SELECT format('{}', 1), 'FORMAT CSV'", "SELECT format('{}', 1), 'FORMAT CSV'", "", None);
    check("WITH 1 AS x SELECT x", "WITH 1 AS x SELECT x", "", None);
    check("SELECT $a$ FORMAT CSV $a$", "SELECT $a$ FORMAT CSV $a$", "", None);
}

#[test]
fn other_statements_go_to_the_engine_as_they_came() {
    for text in
        ["SHOW TABLES", "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", "ALTER TABLE t DELETE WHERE 1"]
    {
        assert_eq!(classify(text.as_bytes()), Statement::Other { format: None }, "{text}");
    }
    assert_eq!(classify(b"SHOW TABLES FORMAT JSON"), Statement::Other { format: Some("JSON".to_owned()) });
    assert_eq!(classify(b" -- nothing\n;"), Statement::Empty);
    assert_eq!(classify(b"SELECT 1 INTO OUTFILE 'x'"), Statement::IntoOutfile);
    assert_eq!(classify(b"INSERT INTO t FROM INFILE 'x' FORMAT CSV"), Statement::FromInfile);
}
