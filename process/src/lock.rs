//! One process of a kind per data directory.
//!
//! The lock is the kernel's (`flock`), so a killed process leaves none behind, and no child inherits it.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A kind of process that is alone in its data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// What people call it.
    name: &'static str,
    /// What they change to give another one another directory.
    setting: &'static str,
}

/// libchdb takes no lock, and two processes on one directory destroy it.
pub const ENGINE: Holder = Holder { name: "engine", setting: "--data-dir" };

/// Two collectors would take each other's engine away.
pub const COLLECTOR: Holder = Holder { name: "collector", setting: "storage.data_dir" };

/// Two would both correct the same booking.
pub const REPRICE: Holder = Holder { name: "reprice", setting: "storage.data_dir" };

/// A locked data directory. The lock ends with the value, or with the process.
#[derive(Debug)]
pub struct DirectoryLock {
    path: PathBuf,
    _file: File,
}

/// Why the directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each text says what is wrong, with which values")]
pub enum LockError {
    #[error("cannot use the data directory {path}")]
    Unusable { path: PathBuf, source: io::Error },
    #[error(
        "the data directory {path} is in use by another {} (process {owner}); stop it, or give another {}",
        holder.name, holder.setting
    )]
    InUse { path: PathBuf, holder: Holder, owner: String },
}

impl DirectoryLock {
    /// Makes the directory if need be, for its owner alone, and locks it.
    pub fn take(path: &Path, holder: Holder) -> Result<Self, LockError> {
        let unusable = |source| LockError::Unusable { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable)?;
        let path = path.canonicalize().map_err(unusable)?;
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path.join(format!("{}.lock", holder.name)))
            .map_err(unusable)?;
        if let Err(error) = file.try_lock() {
            // The owner is for the message only.
            let owner = io::read_to_string(&file).unwrap_or_default().trim().to_owned();
            return Err(match error {
                TryLockError::WouldBlock => LockError::InUse { path, holder, owner },
                TryLockError::Error(source) => unusable(source),
            });
        }
        let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(unusable)?;
        Ok(Self { path, _file: file })
    }

    /// The directory, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
