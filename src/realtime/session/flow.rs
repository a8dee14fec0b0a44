//! What a session has handed to its socket and not yet known to be read. The client's pongs tell: each ping carries the
//! count of bytes handed over before it.

use crate::domain::limits;
use std::time::Instant;

/// The account of one connection.
#[derive(Debug, Default)]
pub struct Flow {
    handed: u64,
    read: u64,
    pinged: u64,
    /// Pings that were not answered yet.
    unanswered: u64,
    /// Since when something has been outstanding without progress.
    waiting_since: Option<Instant>,
}

impl Flow {
    /// Notes `bytes` handed over; returns the count to ping with, when it is time for one.
    pub fn handed(&mut self, bytes: usize, now: Instant) -> Option<u64> {
        self.handed += bytes as u64;
        self.waiting_since.get_or_insert(now);
        (self.handed - self.pinged >= limits::PING_EVERY_BYTES as u64).then(|| self.ping())
    }

    /// Notes the answer to a ping; false if none was asked for.
    pub fn pong(&mut self, count: u64, now: Instant) -> bool {
        if self.unanswered == 0 {
            return false;
        }
        self.unanswered -= 1;
        if count > self.read && count <= self.handed {
            self.read = count;
            self.waiting_since = (self.read < self.handed).then_some(now);
        }
        true
    }

    /// Bytes handed over and not known to be read.
    pub fn outstanding(&self) -> u64 {
        self.handed - self.read
    }

    /// Whether there is room for another page of a replay.
    pub fn has_room(&self) -> bool {
        self.outstanding() < limits::REPLAY_BYTES as u64
    }

    /// Whether so much is unread that nothing more is to be handed over. A frame counts only once it has been: whoever read
    /// all that came before is not closed for its length.
    pub fn is_full(&self) -> bool {
        self.outstanding() > limits::UNREAD_BYTES as u64
    }

    /// Whether the client has acknowledged nothing for too long.
    pub fn is_stalled(&self, now: Instant) -> bool {
        self.waiting_since.is_some_and(|since| now.duration_since(since) >= limits::STALLED)
    }

    /// The count to ping with now, when something is outstanding that no ping asks about yet.
    pub fn unasked(&mut self) -> Option<u64> {
        (self.pinged < self.handed).then(|| self.ping())
    }

    /// The count to ping with, whether or not anything is outstanding.
    pub fn ping(&mut self) -> u64 {
        self.pinged = self.handed;
        self.unanswered += 1;
        self.handed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_client_that_reads_is_never_too_slow() {
        let (mut flow, now) = (Flow::default(), Instant::now());
        for _ in 0..1000 {
            if let Some(count) = flow.handed(40_000, now) {
                flow.pong(count, now);
            }
            assert!(!flow.is_full() && !flow.is_stalled(now));
        }
    }

    #[test]
    fn a_client_is_too_slow_by_bytes_or_by_time() {
        let (mut flow, now) = (Flow::default(), Instant::now());
        flow.handed(limits::UNREAD_BYTES, now);
        assert!(!flow.is_full());
        flow.handed(1, now);
        assert!(flow.is_full());

        let mut flow = Flow::default();
        flow.handed(1, now);
        assert_eq!(flow.unasked(), Some(1));
        assert_eq!(flow.unasked(), None);
        assert!(!flow.is_stalled(now + limits::STALLED.saturating_sub(Duration::from_millis(1))));
        assert!(flow.is_stalled(now + limits::STALLED));
        flow.pong(1, now);
        assert!(!flow.is_stalled(now + limits::STALLED));
    }

    #[test]
    fn a_forged_pong_proves_nothing() {
        let (mut flow, now) = (Flow::default(), Instant::now());
        flow.handed(10, now);
        assert!(!flow.pong(10, now), "nobody asked");
        flow.ping();
        assert!(flow.pong(1_000, now) && !flow.pong(10, now), "one answer to each ping");
        assert_eq!(flow.outstanding(), 10);
    }
}
