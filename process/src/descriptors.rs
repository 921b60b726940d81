//! File descriptors: how many this process may open, and how many connections that carries. The rest waits in the
//! kernel's queue.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors this process may open; the soft limit.
pub fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Raises the soft limit to the hard one, which needs no privilege. Shells and init systems set the soft one to 1,024
/// for the sake of programs that use `select`.
pub fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::warn!(%error, "cannot raise the limit of file descriptors; fewer connections are accepted");
    }
}

/// Connections that `limit` descriptors carry when each needs `each` of them and `reserved` are for other uses: at
/// least one, at most `max`.
pub fn connections_max(limit: u64, reserved: u64, each: u64, max: usize) -> usize {
    let connections = limit.saturating_sub(reserved) / each.max(1);
    usize::try_from(connections).unwrap_or(usize::MAX).clamp(1, max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_everything_else() {
        for (limit, expected) in
            [(0, 1), (64, 1), (100, 18), (1_024, 480), (1 << 20, 8_192), (u64::MAX, 8_192)]
        {
            assert_eq!(connections_max(limit, 64, 2, 8_192), expected, "{limit}");
        }
    }
}
