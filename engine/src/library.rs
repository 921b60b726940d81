//! Where libchdb is: the command line, the environment, or the cache that `engine/fetch.sh` fills.
//!
//! The paths here and in `fetch.sh` must agree; `tests/http/fetch.rs` holds them together.

use std::path::{Path, PathBuf};

/// The pinned version of the npm packages. `fetch.sh` has the digests.
pub const VERSION: &str = "26.7.3-stable.1";

/// No library: the text tells what to do.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the texts say it")]
pub enum LocateError {
    #[error(
        "there is no libchdb at {path} ({origin}); run engine/fetch.sh, which fetches it once and prints its path"
    )]
    NotThere { path: PathBuf, origin: &'static str },
    #[error(
        "libchdb is not configured and HOME is not set: give --library or LEDGERLINE_LIBCHDB; engine/fetch.sh fetches it"
    )]
    NoCache,
}

/// Finds the library. `environment` looks a variable up.
pub fn locate(
    given: Option<&Path>,
    environment: impl Fn(&str) -> Option<std::ffi::OsString>,
) -> Result<PathBuf, LocateError> {
    let (path, origin) = given
        .map(|path| (path.to_owned(), "--library"))
        .or_else(|| Some((environment("LEDGERLINE_LIBCHDB")?.into(), "LEDGERLINE_LIBCHDB")))
        .or_else(|| Some((cache(&environment)?, "the cache")))
        .ok_or(LocateError::NoCache)?;
    if path.is_file() { Ok(path) } else { Err(LocateError::NotThere { path, origin }) }
}

fn cache(environment: impl Fn(&str) -> Option<std::ffi::OsString>) -> Option<PathBuf> {
    let directory = |name: &str| environment(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let root = directory("LEDGERLINE_CACHE")
        .or_else(|| directory("XDG_CACHE_HOME").map(|cache| cache.join("ledgerline")))
        .or_else(|| directory("HOME").map(|home| home.join(".cache/ledgerline")))?;
    Some(root.join("chdb").join(VERSION).join(platform()).join("libchdb.so"))
}

/// The part of the npm package's name that depends on the machine.
pub fn platform() -> &'static str {
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("macos", "aarch64") => "darwin-arm64",
        ("macos", _) => "darwin-x64",
        (_, "aarch64") => "linux-arm64-gnu",
        _ => "linux-x64-gnu",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_then_environment_then_cache() {
        let directory = tempfile::tempdir().unwrap();
        let cached = directory.path().join("chdb").join(VERSION).join(platform()).join("libchdb.so");
        std::fs::create_dir_all(cached.parent().unwrap()).unwrap();
        let other = directory.path().join("other.so");
        for path in [&cached, &other] {
            std::fs::write(path, "").unwrap();
        }
        let cache = |name: &str| (name == "LEDGERLINE_CACHE").then(|| directory.path().into());
        let both =
            |name: &str| if name == "LEDGERLINE_LIBCHDB" { Some(other.clone().into()) } else { cache(name) };
        assert_eq!(locate(Some(&cached), both).unwrap(), cached);
        assert_eq!(locate(None, both).unwrap(), other);
        assert_eq!(locate(None, cache).unwrap(), cached);
        let error = locate(None, |_| None).unwrap_err();
        assert!(error.to_string().contains("engine/fetch.sh"), "{error}");
    }
}
