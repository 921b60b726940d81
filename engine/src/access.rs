//! What a statement may reach: the store, and nothing else of the machine.
//!
//! The engine has no password: whoever can open a connection on loopback is in, and that includes every web page in a browser on this
//! machine. libchdb's own default user may read and write any file (`file()`), any address (`url()`, `remote()`) and start programs.
//! So the user gets a list of what a store is used for, without the sources, and requests that come from a browser are refused.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use http::{HeaderMap, header};

use crate::errors::{Kind, QueryError};

/// The one user. No FILE, URL, REMOTE, S3 or any other source; no users, roles, dictionaries (their sources are files) or backups.
const USERS: &str = "<clickhouse>
    <profiles><default/></profiles>
    <quotas><default/></quotas>
    <users>
        <default>
            <password/>
            <networks><ip>::/0</ip></networks>
            <profile>default</profile>
            <quota>default</quota>
            <grants>
                <query>GRANT SELECT, INSERT, ALTER, CREATE DATABASE, CREATE TABLE, CREATE VIEW, CREATE TEMPORARY TABLE,
                    CREATE FUNCTION, DROP, UNDROP TABLE, TRUNCATE, OPTIMIZE, KILL QUERY, SHOW, CHECK, SYSTEM, dictGet
                    ON *.*</query>
            </grants>
        </default>
    </users>
</clickhouse>
";

/// Writes the user's definition into the data directory and returns its path, for `--users_config`.
pub fn write_users(data_dir: &Path) -> io::Result<PathBuf> {
    let path = data_dir.join("engine-users.xml");
    let unfinished = data_dir.join("engine-users.xml.tmp");
    std::fs::write(&unfinished, USERS)?;
    std::fs::rename(&unfinished, &path)?;
    Ok(path)
}

/// Refuses what a browser sends for a page: anything with an `Origin`, and a `Host` that is not this machine (a name that was made to
/// point here).
pub fn check_origin(headers: &HeaderMap) -> Result<(), QueryError> {
    let refuse =
        |what: &str| Err(QueryError::new(Kind::AccessDenied, format_args!("Requests {what} are not served")));
    if headers.contains_key(header::ORIGIN) {
        return refuse("from web pages (with an Origin header)");
    }
    let Some(host) = headers.get(header::HOST) else { return Ok(()) };
    match host.to_str() {
        Ok(host) if is_loopback(host) => Ok(()),
        _ => refuse("for a Host other than localhost or a loopback address"),
    }
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_a_host() {
        for host in ["localhost:8123", "127.0.0.1:8123", "127.0.0.1", "[::1]:8123", "LOCALHOST"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "example.com",
            "127.0.0.1.example.com:8123",
            "192.0.2.1",
            "[2001:db8::1]:80",
            "localhost.evil",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn pages_are_refused() {
        let headers = |name: &'static str, value: &'static str| {
            HeaderMap::from_iter([(
                header::HeaderName::from_static(name),
                header::HeaderValue::from_static(value),
            )])
        };
        assert!(check_origin(&headers("host", "localhost")).is_ok());
        for (name, value) in [("origin", "http://localhost"), ("origin", "null"), ("host", "rebound.example")]
        {
            assert_eq!(
                check_origin(&headers(name, value)).unwrap_err().status().as_u16(),
                403,
                "{name}: {value}"
            );
        }
    }
}
