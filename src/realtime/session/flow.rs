//! Flow control: how many bytes a session has sent that its client has not acknowledged.
//!
//! Only the transport knows how a client acknowledges bytes. It reports the number to the session.

use crate::domain::limits;
use std::time::Instant;

/// The bytes of one connection.
#[derive(Debug, Default)]
pub struct FlowControl {
    total_sent_bytes: u64,
    total_acknowledged_bytes: u64,
    /// Since when sent bytes wait for an acknowledgement without progress.
    waiting_since: Option<Instant>,
}

impl FlowControl {
    /// Adds bytes that were sent. If none were waiting before, the time for their acknowledgement begins now.
    pub fn note_sent(&mut self, bytes: usize, now: Instant) {
        self.total_sent_bytes += bytes as u64;
        self.waiting_since.get_or_insert(now);
    }

    /// Notes how many bytes the client has acknowledged since the connection was opened. A number that is not greater
    /// than an earlier one changes nothing.
    pub fn note_acknowledged(&mut self, total_bytes: u64, now: Instant) {
        let total_bytes = total_bytes.min(self.total_sent_bytes);
        if total_bytes > self.total_acknowledged_bytes {
            self.total_acknowledged_bytes = total_bytes;
            self.waiting_since = (total_bytes < self.total_sent_bytes).then_some(now);
        }
    }

    fn unread_bytes(&self) -> u64 {
        self.total_sent_bytes - self.total_acknowledged_bytes
    }

    /// Returns whether the client has room for another page of a replay.
    pub fn has_room(&self) -> bool {
        self.unread_bytes() < limits::REPLAY_UNREAD_BYTES as u64
    }

    /// Returns whether so many bytes are unread that nothing more may be sent. A frame counts only after it was sent: a
    /// client that has read everything before a long frame is not closed because of its length.
    pub fn is_full(&self) -> bool {
        self.unread_bytes() > limits::UNACKNOWLEDGED_BYTES as u64
    }

    /// Returns whether the client has acknowledged nothing for too long.
    pub fn is_stalled(&self, now: Instant) -> bool {
        self.waiting_since.is_some_and(|since| now.duration_since(since) >= limits::STALL_TIMEOUT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_client_that_reads_is_never_too_slow() {
        let (mut flow, now) = (FlowControl::default(), Instant::now());
        for round in 1..=1000 {
            flow.note_sent(40_000, now);
            flow.note_acknowledged(round * 40_000, now);
            assert!(flow.has_room() && !flow.is_full() && !flow.is_stalled(now + limits::STALL_TIMEOUT));
        }
    }

    #[test]
    fn a_client_is_too_slow_by_bytes_or_by_time() {
        let (mut flow, now) = (FlowControl::default(), Instant::now());
        flow.note_sent(limits::UNACKNOWLEDGED_BYTES, now);
        assert!(!flow.is_full());
        flow.note_sent(1, now);
        assert!(flow.is_full());

        let mut flow = FlowControl::default();
        flow.note_sent(2, now);
        assert!(!flow.is_stalled(now + limits::STALL_TIMEOUT.saturating_sub(Duration::from_millis(1))));
        assert!(flow.is_stalled(now + limits::STALL_TIMEOUT));
        flow.note_acknowledged(1, now + Duration::from_secs(1));
        assert!(!flow.is_stalled(now + limits::STALL_TIMEOUT), "progress begins the time anew");
        flow.note_acknowledged(1, now + limits::STALL_TIMEOUT);
        assert!(flow.is_stalled(now + limits::STALL_TIMEOUT + Duration::from_secs(1)), "a repetition is no progress");
        flow.note_acknowledged(2, now + limits::STALL_TIMEOUT);
        assert!(!flow.is_stalled(now + limits::STALL_TIMEOUT * 2));
    }

    #[test]
    fn a_client_acknowledges_no_more_than_was_sent() {
        let (mut flow, now) = (FlowControl::default(), Instant::now());
        flow.note_sent(10, now);
        flow.note_acknowledged(1_000, now);
        flow.note_sent(limits::UNACKNOWLEDGED_BYTES + 1, now);
        assert!(flow.is_full());
    }
}
