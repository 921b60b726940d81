//! A connection made ready for one request: its database and settings are set, and nothing of it outlives the request.
//!
//! Opening a connection costs 75 us here, about a tenth of the cheapest query, and its session dies with it. So every request
//! gets its own: pooled ones would need to know every way a statement can change a session (SET, USE, temporary tables).
//! Named sessions are kept, by definition; there the request's own settings are put back afterwards.

use std::ffi::CString;

use crate::errors::{Kind, QueryError};
use crate::ffi::{Connection, Library};
use crate::http::request::Request;

/// Reads and settings only; ClickHouse lets no later SET or SETTINGS weaken it.
pub const READ_ONLY: (&str, &str) = ("readonly", "2");

/// Opens connections, all with the same arguments.
#[derive(Clone)]
pub struct Connector {
    library: &'static Library,
    arguments: std::sync::Arc<[CString]>,
}

impl Connector {
    /// `arguments` as for `chdb_connect`, program name first.
    pub fn new(library: &'static Library, arguments: Vec<CString>) -> Self {
        Self { library, arguments: arguments.into() }
    }

    /// A fresh connection with settings of our own, which spares a SET. Not for settings of the client: a bad value would be
    /// refused without a reason, and a bad name ignored.
    pub fn connect(&self, settings: &[(&str, &str)]) -> Result<Connection, QueryError> {
        let mut arguments = self.arguments.to_vec();
        for (name, value) in settings {
            let argument = CString::new(format!("--{name}={value}"))
                .map_err(|_| QueryError::new(Kind::BAD_ARGUMENTS, "query_id holds a zero byte"))?;
            arguments.push(argument);
        }
        self.library.connect(&arguments).ok_or_else(|| {
            QueryError::new(Kind::UNKNOWN_EXCEPTION, "libchdb refused a connection and gave no reason")
        })
    }

    /// A connection for one request; it dies with the request.
    pub fn connect_for(&self, request: &Request, tag: &str) -> Result<Connection, QueryError> {
        let given = |name: &str| request.settings.iter().any(|(setting, _)| setting == name);
        let comment = (!given("log_comment")).then_some(("log_comment", tag));
        // As in ClickHouse: a GET may change settings, not data. Nothing takes it off again.
        let read_only = request.reader || (request.read_only && !given("readonly"));
        let ours: Vec<_> = comment.into_iter().chain(read_only.then_some(READ_ONLY)).collect();
        self.connect(&ours)
    }
}

/// Runs a statement that matters only for its effect.
pub fn run(connection: &mut Connection, sql: &str) -> Result<(), QueryError> {
    connection.query(sql.as_bytes(), "TabSeparated", &[])?;
    Ok(())
}

/// Runs a statement and returns its one TabSeparated answer as text.
pub fn ask(connection: &mut Connection, sql: &str) -> Result<String, QueryError> {
    let result = connection.query(sql.as_bytes(), "TabSeparatedRaw", &[])?;
    Ok(String::from_utf8_lossy(&result.bytes).trim_end_matches('\n').to_owned())
}

/// Applies a request's database and settings to its connection.
pub fn prepare(connection: &mut Connection, request: &Request, tag: &str) -> Result<(), QueryError> {
    if let Some(database) = &request.database {
        run(connection, &format!("USE {}", identifier(database)))?;
    }
    if request.settings.is_empty() && request.session.is_none() {
        return Ok(());
    }
    let mut settings = tagged(&request.settings, tag);
    // ClickHouse ends the right to set with `readonly`, so it goes last wherever the client put it.
    settings.sort_by_key(|(name, _)| name == "readonly");
    run(connection, &set_statement(&settings)?)
}

/// The statements that undo what a request in a session is about to change. Changes nothing.
pub fn snapshot(
    connection: &mut Connection,
    request: &Request,
    tag: &str,
) -> Result<Vec<String>, QueryError> {
    let mut before = Vec::new();
    for (name, _) in tagged(&request.settings, tag) {
        let value = ask(connection, &format!("SELECT toString(getSetting({}))", literal(&name)))?;
        before.push((name, value));
    }
    let mut statements = vec![set_statement(&before)?];
    if request.database.is_some() {
        let current = ask(connection, "SELECT currentDatabase()")?;
        statements.push(format!("USE {}", identifier(&current)));
    }
    Ok(statements)
}

/// The request's settings with its tag in `log_comment`, by which a running statement is found and killed.
fn tagged(settings: &[(String, String)], tag: &str) -> Vec<(String, String)> {
    let (comments, mut tagged): (Vec<_>, Vec<_>) =
        settings.iter().cloned().partition(|(name, _)| name == "log_comment");
    let comment = comments.last().map_or("", |(_, value)| value);
    tagged.push(("log_comment".to_owned(), format!("{comment}{tag}")));
    tagged
}

fn set_statement(settings: &[(String, String)]) -> Result<String, QueryError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.".contains(&byte);
    if let Some((name, _)) = settings.iter().find(|(name, _)| name.is_empty() || !name.bytes().all(is_plain))
    {
        return Err(QueryError::new(Kind::UNKNOWN_SETTING, format!("Unknown setting '{name}'")));
    }
    let assignments = settings.iter().map(|(name, value)| format!("{name} = {}", literal(value)));
    Ok(format!("SET {}", assignments.collect::<Vec<_>>().join(", ")))
}

/// A string literal.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}

/// A quoted identifier.
pub fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('\\', r"\\").replace('`', r"\`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn values_are_literals_and_names_are_checked() {
        let sql = set_statement(&pairs(&[("max_threads", "2"), ("log_comment", "a'b\\c")])).unwrap();
        assert_eq!(sql, r"SET max_threads = '2', log_comment = 'a\'b\\c'");
        for name in ["", "a b", "a=1, b", "x'"] {
            assert_eq!(set_statement(&pairs(&[(name, "1")])).unwrap_err().code, 115, "{name}");
        }
    }

    #[test]
    fn the_tag_keeps_the_clients_comment() {
        let settings = tagged(&pairs(&[("log_comment", "mine "), ("a", "1")]), "tag");
        assert_eq!(settings, pairs(&[("a", "1"), ("log_comment", "mine tag")]));
    }
}
