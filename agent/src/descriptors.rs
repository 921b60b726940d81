//! File descriptors: how many this process may open, and how many connections that carries.
//!
//! Each connection of a client costs two, its own and one to the upstream. Without descriptors the kernel refuses the
//! second one, and a call that was accepted fails; so fewer are accepted, and the rest waits in the backlog.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits::{CONNECTIONS_MAX, DESCRIPTORS_RESERVED};

/// Descriptors this process may open; the soft limit.
#[must_use]
pub fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Raises the soft limit to the hard one, which needs no privilege. Shells and init systems set the soft one to 1,024
/// for the sake of programs that use `select`.
///
/// # Errors
/// When the operating system refuses; the old limit then holds.
pub fn raise_limit() -> std::io::Result<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return Ok(());
    }
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

/// Connections of clients that this many descriptors carry: at least one, at most [`CONNECTIONS_MAX`].
#[must_use]
pub fn connections_max(limit: u64) -> usize {
    let pairs = limit.saturating_sub(DESCRIPTORS_RESERVED) / 2;
    usize::try_from(pairs).unwrap_or(usize::MAX).clamp(1, CONNECTIONS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_their_upstreams() {
        for (limit, expected) in [
            (0, 1),
            (64, 1),
            (100, 18),
            (1_024, 480),
            (1 << 20, CONNECTIONS_MAX),
            (u64::MAX, CONNECTIONS_MAX),
        ] {
            assert_eq!(connections_max(limit), expected, "{limit}");
        }
    }
}
