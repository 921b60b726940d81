//! Where `ledgerline-engine` is found.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::EngineError;

/// The binary that [`super::Engine::start`] runs: the configured one, else the one beside our own, else the first in PATH.
pub fn find_binary(configured: Option<&Path>) -> Result<PathBuf, EngineError> {
    binary(configured, std::env::current_exe().ok().as_deref(), std::env::var_os("PATH").as_deref())
}

fn binary(
    configured: Option<&Path>,
    own: Option<&Path>,
    path: Option<&OsStr>,
) -> Result<PathBuf, EngineError> {
    if let Some(path) = configured.map(Path::to_owned) {
        return if path.is_file() { Ok(path) } else { Err(EngineError::NoBinary(path)) };
    }
    let name = format!("ledgerline-engine{}", std::env::consts::EXE_SUFFIX);
    let beside = own.and_then(Path::parent).map(|directory| directory.join(&name));
    if let Some(beside) = beside.filter(|beside| beside.is_file()) {
        return Ok(beside);
    }
    // An empty or relative entry means the working directory, from which nothing is started by name.
    let folders = path.into_iter().flat_map(std::env::split_paths).filter(|folder| folder.is_absolute());
    let found = folders.map(|folder| folder.join(&name)).find(|file| is_program(file));
    found.ok_or(EngineError::NotFound(name))
}

/// As a shell sees it: a file that somebody may execute.
fn is_program(file: &Path) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_is_the_configured_one_or_the_one_beside_us_or_in_path() {
        let temporary = tempfile::tempdir().unwrap();
        let directory = temporary.path();
        let engine = directory.join("ledgerline-engine");
        let own = directory.join("ledgerline-collector");
        let missing = binary(None, Some(&own), None).unwrap_err();
        assert!(missing.to_string().contains("cargo build -p ledgerline-engine"), "{missing}");
        std::fs::write(&engine, "").unwrap();
        assert_eq!(binary(None, Some(&own), None).unwrap(), engine);
        assert_eq!(binary(Some(&engine), None, None).unwrap(), engine);
        // Elsewhere, PATH is searched: programs only, absolute folders only, and never instead of a configured path.
        let empty = directory.join("empty");
        std::fs::create_dir_all(&empty).unwrap();
        let path = std::env::join_paths([empty.as_path(), Path::new(""), directory]).unwrap();
        let elsewhere = empty.join("ledgerline-collector");
        let search = |configured| binary(configured, Some(&elsewhere), Some(&path));
        assert!(matches!(search(None), Err(EngineError::NotFound(_))), "a file that is no program");
        std::fs::set_permissions(&engine, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(search(None).unwrap(), engine);
        let wrong = empty.join("ledgerline-engine");
        assert!(matches!(search(Some(&wrong)), Err(EngineError::NoBinary(path)) if path == wrong));
    }
}
