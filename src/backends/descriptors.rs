//! How many files and connections this process may have open: as many as the system lets it.

use crate::domain::limits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to the hard one, and returns how many connections fit: a connection that waits for a call takes two
/// descriptors, and some are left to everything else. A limit that is too low for a server is said in the log.
pub fn connections() -> usize {
    let before = getrlimit(Resource::Nofile);
    if before.current != before.maximum {
        // refused where the hard limit is none and the system has one of its own; then the soft one stays
        let _ = setrlimit(Resource::Nofile, Rlimit { current: before.maximum, maximum: before.maximum });
    }
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let connections = fitting(descriptors);
    if descriptors < limits::DESCRIPTORS_WANTED {
        tracing::warn!(
            descriptors,
            connections,
            "few descriptors: more connections than this wait until others end; raise the limit (LimitNOFILE= in a \
             systemd unit, or ulimit -n)"
        );
    }
    connections
}

fn fitting(descriptors: u64) -> usize {
    let fitting = descriptors.saturating_sub(limits::DESCRIPTORS_KEPT) / 2;
    usize::try_from(fitting).unwrap_or(limits::CONNECTIONS).clamp(1, limits::CONNECTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_to_the_rest() {
        assert_eq!(fitting(0), 1);
        assert_eq!(fitting(256), 64);
        assert_eq!(fitting(524_288), limits::CONNECTIONS);
        assert_eq!(fitting(u64::MAX), limits::CONNECTIONS);
    }
}
