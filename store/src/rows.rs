//! Rows of a read-only statement: what [`crate::sql`] turns into series has each column as text.

use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::client::{Client, StoreError};

/// One SELECT and its bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Select {
    /// The text, without a FORMAT.
    pub text: String,
    /// Values by name, as text; the statement says of which type they are.
    pub parameters: Vec<(String, String)>,
    /// ClickHouse's settings that bound it.
    pub settings: Vec<(&'static str, u64)>,
    /// The reader gives up after this long.
    pub timeout: Duration,
}

/// Each column as text.
pub type Row = Vec<String>;

/// What a bound does when it is reached. A server's profile may say `break`, which would make a part look like the whole.
const OVERFLOW_MODES: [&str; 4] =
    ["timeout_overflow_mode", "read_overflow_mode", "result_overflow_mode", "group_by_overflow_mode"];

/// How values are written that could be written in two ways.
const FORMATS: [(&str, &str); 2] =
    [("output_format_json_quote_64bit_integers", "0"), ("output_format_json_named_tuples_as_objects", "0")];

/// All rows of a statement, each a list of its columns; `take` is asked for the bytes of the response before they are held. Dropping
/// the future closes the connection, on which ClickHouse cancels the statement.
pub async fn select<R: DeserializeOwned>(
    client: &Client,
    select: &Select,
    take: impl FnMut(usize) -> Result<(), StoreError>,
) -> Result<Vec<R>, StoreError> {
    let mut query = client
        .query(&select.text)
        // 2 and not 1: the settings beside it must still be accepted.
        .with_setting("readonly", "2")
        .with_setting("cancel_http_readonly_queries_on_client_close", "1");
    for mode in OVERFLOW_MODES {
        query = query.with_setting(mode, "throw");
    }
    for (name, value) in FORMATS {
        query = query.with_setting(name, value);
    }
    for (name, value) in &select.settings {
        query = query.with_setting(*name, value.to_string());
    }
    for (name, value) in &select.parameters {
        query = query.param(name, value);
    }
    parse(&client.fetch(query, "JSONCompactEachRow", select.timeout, take).await?)
}

fn parse<R: DeserializeOwned>(response: &[u8]) -> Result<Vec<R>, StoreError> {
    serde_json::Deserializer::from_slice(response)
        .into_iter()
        .collect::<Result<_, _>>()
        .map_err(|error| StoreError::Response(format!("not the rows that were asked for: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_whatever_is_in_them() {
        let rows: Vec<Row> = parse(b"[\"a\",\"x\\ny\"]\n[\"\",\"\\u00e9\"]\n").unwrap();
        assert_eq!(rows, [["a", "x\ny"], ["", "\u{e9}"]]);
        assert!(parse::<Row>(b"").unwrap().is_empty());
        assert!(parse::<Row>(b"[1]\n").unwrap_err().to_string().contains("not the rows"));
    }
}
