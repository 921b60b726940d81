//! Who may do what: the passwords, and what a statement may reach.
//!
//! Whoever can open a connection on loopback can try, every web page in a browser on this machine included. So every request but
//! `/ping` brings a password, and browsers are refused. Two users: `default`, the collector's, and `reader`, for people, whose
//! connections are read-only whatever a request says. libchdb's own user could read any file and start programs; it gets a list
//! of what a store is used for.

use std::io::{self, BufRead};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use http::{HeaderMap, Uri, header};
use ledgerline_process::host::HostGuard;
use subtle::ConstantTimeEq;

use crate::errors::{Kind, QueryError};
use crate::http::credentials::Credentials;

/// libchdb's user. No FILE, URL, REMOTE, S3 or any other source; no users, roles, dictionaries (their sources are files) or backups;
/// of SYSTEM nothing that stops the process. DROP and TRUNCATE are for repairs, and only `default` gets that far.
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
                    CREATE FUNCTION, DROP, UNDROP TABLE, TRUNCATE, OPTIMIZE, KILL QUERY, SHOW, CHECK, SYSTEM MERGES,
                    SYSTEM TTL MERGES, SYSTEM FLUSH LOGS, dictGet
                    ON *.*</query>
            </grants>
        </default>
    </users>
</clickhouse>
";

/// Writes libchdb's user's definition into the data directory and returns its path, for `--users_config`.
pub fn write_users(data_dir: &Path) -> io::Result<PathBuf> {
    let path = data_dir.join("engine-users.xml");
    std::fs::write(&path, USERS)?;
    Ok(path)
}

/// Whose password a request brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// `default`: everything that libchdb's user may.
    Owner,
    /// `reader`: reads only.
    Reader,
}

/// The passwords of the two users.
pub struct Passwords {
    owner: String,
    reader: Option<String>,
}

impl Passwords {
    /// From two lines: the password of `default`, and that of `reader`, which may be missing and is then never right.
    /// An empty first line is an error.
    pub fn read(from: &mut impl BufRead) -> io::Result<Self> {
        let mut line = || {
            let mut text = String::new();
            from.read_line(&mut text)?;
            Ok::<_, io::Error>(text.trim_end().to_owned())
        };
        let owner = line()?;
        if owner.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the first line is no password"));
        }
        Ok(Self { owner, reader: Some(line()?).filter(|reader| !reader.is_empty()) })
    }

    /// Whose they are. The error does not tell an unknown user from a wrong password.
    pub fn authenticate(&self, given: &Credentials) -> Result<User, QueryError> {
        let (user, password) = match given.user.as_str() {
            "default" => (User::Owner, Some(&self.owner)),
            _ => (User::Reader, self.reader.as_ref().filter(|_| given.user == "reader")),
        };
        // Takes as long for a near miss as for a far one.
        let is_right = |password: &String| password.as_bytes().ct_eq(given.password.as_bytes()).into();
        if password.is_some_and(is_right) {
            return Ok(user);
        }
        Err(QueryError::new(
            Kind::AUTHENTICATION_FAILED,
            format_args!(
                "{}: Authentication failed: password is incorrect, or there is no user with such name. People read as \
                 user reader: the file reader.url beside the data has the address with its password",
                given.user
            ),
        ))
    }
}

/// Refuses what a browser sends for a page: anything with an `Origin`, and a `Host` that is a name (which was made to point here)
/// other than localhost.
pub fn check_origin(uri: &Uri, headers: &HeaderMap) -> Result<(), QueryError> {
    let refuse =
        |what: &str| Err(QueryError::new(Kind::ACCESS_DENIED, format!("Requests {what} are not served")));
    if headers.contains_key(header::ORIGIN) {
        return refuse("from web pages (with an Origin header)");
    }
    static HOSTS: LazyLock<HostGuard> = LazyLock::new(|| HostGuard::new("", &[], &[]));
    HOSTS.check(uri, headers).or_else(|_| refuse("for a Host other than localhost or an address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_has_a_password_and_nobody_else_gets_in() {
        let of = |lines: &str, user: &str, password: &str| {
            let given = Credentials { user: user.to_owned(), password: password.to_owned() };
            Passwords::read(&mut lines.as_bytes()).unwrap().authenticate(&given).map_err(|error| error.code)
        };
        let both = "mine\nyours\n";
        assert_eq!(of(both, "default", "mine"), Ok(User::Owner));
        assert_eq!(of(both, "reader", "yours"), Ok(User::Reader));
        assert_eq!(of("mine", "default", "mine"), Ok(User::Owner));
        for (lines, user, password) in [
            (both, "default", "yours"),
            (both, "reader", "mine"),
            (both, "root", "mine"),
            (both, "default", "min"),
            ("mine", "reader", ""),
            ("mine", "reader", "mine"),
        ] {
            assert_eq!(of(lines, user, password), Err(516), "{user}:{password}");
        }
        assert!(Passwords::read(&mut &b"\nyours\n"[..]).is_err() && Passwords::read(&mut &b""[..]).is_err());
    }
}
