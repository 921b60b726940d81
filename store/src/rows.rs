//! Rows of a read-only statement, each column as text: what the query layer reads.

use std::time::Duration;

use super::client::{Client, Statement, StoreError};

/// A value bound to a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `String`.
    String(String),
    /// `Int64`.
    Int64(i64),
}

/// One SELECT whose columns are all of type String, and its bounds.
#[derive(Clone, Debug)]
pub struct Select<'a> {
    /// The text, without a FORMAT.
    pub text: &'a str,
    /// Values by name.
    pub parameters: &'a [(String, Value)],
    /// ClickHouse's settings that bound it.
    pub settings: &'a [(&'static str, u64)],
    /// The reader gives up after this long.
    pub timeout: Duration,
    /// The answer may be this large.
    pub bytes_max: usize,
}

/// What a bound does when it is reached. A server's profile may say `break`, which would make a part look like the whole.
const OVERFLOW_MODES: [&str; 4] =
    ["timeout_overflow_mode", "read_overflow_mode", "result_overflow_mode", "group_by_overflow_mode"];

/// All rows of a statement. Dropping the future closes the connection, on which ClickHouse cancels the statement.
///
/// # Errors
/// When it fails or exceeds a bound; see [`StoreError`].
pub async fn select(client: &Client, select: &Select<'_>) -> Result<Vec<Vec<String>>, StoreError> {
    let sql = format!("{}\nFORMAT JSONCompactEachRow", select.text);
    let mut statement = Statement::new(&sql)
        // 2 and not 1: the settings beside it must still be accepted.
        .setting("readonly", 2)
        .setting("cancel_http_readonly_queries_on_client_close", 1);
    for mode in OVERFLOW_MODES {
        statement = statement.setting(mode, "throw");
    }
    for (name, value) in select.settings {
        statement = statement.setting(name, value);
    }
    for (name, value) in select.parameters {
        statement = match value {
            Value::String(text) => statement.parameter(name, text),
            Value::Int64(number) => statement.parameter(name, number),
        };
    }
    let answer = client.query(&statement, select.timeout, select.bytes_max).await?;
    parse(&answer)
}

fn parse(answer: &[u8]) -> Result<Vec<Vec<String>>, StoreError> {
    serde_json::Deserializer::from_slice(answer)
        .into_iter()
        .collect::<Result<_, _>>()
        .map_err(|error| StoreError::Answer(format!("not rows of text: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_whatever_is_in_them() {
        let rows = parse(b"[\"a\",\"x\\ny\"]\n[\"\",\"\\u00e9\"]\n").unwrap();
        assert_eq!(rows, [["a", "x\ny"], ["", "\u{e9}"]]);
        assert!(parse(b"").unwrap().is_empty());
        assert!(parse(b"[1]\n").unwrap_err().to_string().contains("not rows of text"));
    }
}
