//! Where a process listens, written into a file for whoever started it: with port 0 the system chooses the port, and
//! nobody has to search a log for it. It must never be there in part: a reader sees all lines or none.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

/// Writes one line `name=address` for each listener, in place of what the file held.
pub fn write(path: &Path, addresses: &[(&str, SocketAddr)]) -> io::Result<()> {
    let text: String = addresses.iter().map(|(name, address)| format!("{name}={address}\n")).collect();
    let part = path.with_added_extension("part");
    std::fs::write(&part, text)?;
    std::fs::rename(&part, path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what broke where it broke")]
mod tests {
    use super::*;

    #[test]
    fn the_file_holds_a_line_for_each_listener_and_nothing_stays_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("addresses.txt");
        std::fs::write(&path, "of the last run").unwrap();
        let addresses = [("relay", "127.0.0.1:4100"), ("admin", "[::1]:4101")];
        write(&path, &addresses.map(|(name, address)| (name, address.parse().unwrap()))).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "relay=127.0.0.1:4100\nadmin=[::1]:4101\n");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
