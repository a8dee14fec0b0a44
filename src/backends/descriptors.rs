//! The number of files and connections that this process may have open.

use crate::domain::limits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of descriptors to the hard limit, and returns the number of connections that fit. A connection
/// that waits for a call uses two descriptors, and [`limits::RESERVED_DESCRIPTORS`] are left to other uses. Logs a
/// warning if the limit is too low for a server.
pub fn max_connections() -> usize {
    let before = getrlimit(Resource::Nofile);
    if before.current != before.maximum {
        // The system can refuse this if there is no hard limit but the system has a maximum. Then the soft limit stays.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: before.maximum, maximum: before.maximum });
    }
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let connections = connections_for(descriptors);
    if descriptors < limits::RECOMMENDED_DESCRIPTORS {
        tracing::warn!(
            descriptors,
            connections,
            "few descriptors: further connections wait until others end; raise the limit (LimitNOFILE= in a \
             systemd unit, or ulimit -n)"
        );
    }
    connections
}

fn connections_for(descriptors: u64) -> usize {
    let connections = descriptors.saturating_sub(limits::RESERVED_DESCRIPTORS) / 2;
    usize::try_from(connections).unwrap_or(limits::CONNECTIONS).clamp(1, limits::CONNECTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_other_uses() {
        assert_eq!(connections_for(0), 1);
        assert_eq!(connections_for(256), 64);
        assert_eq!(connections_for(524_288), limits::CONNECTIONS);
        assert_eq!(connections_for(u64::MAX), limits::CONNECTIONS);
    }
}
