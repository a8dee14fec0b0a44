//! Flow control: how many bytes a session has sent to its socket that the client has not acknowledged.
//!
//! Each ping carries the count of bytes sent before it. The pong of the client repeats the count, and so acknowledges
//! them.

use crate::domain::limits;
use std::time::Instant;

/// The counts of one connection.
#[derive(Debug, Default)]
pub struct FlowControl {
    sent_bytes: u64,
    acknowledged_bytes: u64,
    /// The count that the newest ping carried.
    pinged_bytes: u64,
    unanswered_pings: u64,
    /// Since when sent bytes wait for an acknowledgement without progress.
    waiting_since: Option<Instant>,
}

impl FlowControl {
    /// Notes that `bytes` were sent. Returns the count for a ping if it is time for one.
    pub fn note_sent(&mut self, bytes: usize, now: Instant) -> Option<u64> {
        self.sent_bytes += bytes as u64;
        self.waiting_since.get_or_insert(now);
        (self.sent_bytes - self.pinged_bytes >= limits::PING_EVERY_BYTES as u64).then(|| self.begin_ping())
    }

    /// Notes a pong with the count that it carries. Returns false if no ping waits for an answer.
    pub fn note_pong(&mut self, count: u64, now: Instant) -> bool {
        if self.unanswered_pings == 0 {
            return false;
        }
        self.unanswered_pings -= 1;
        if count > self.acknowledged_bytes && count <= self.sent_bytes {
            self.acknowledged_bytes = count;
            self.waiting_since = (self.acknowledged_bytes < self.sent_bytes).then_some(now);
        }
        true
    }

    /// Returns how many sent bytes the client has not acknowledged.
    pub fn unread_bytes(&self) -> u64 {
        self.sent_bytes - self.acknowledged_bytes
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

    /// Returns the count for a ping if bytes were sent after the newest ping.
    pub fn begin_ping_if_needed(&mut self) -> Option<u64> {
        (self.pinged_bytes < self.sent_bytes).then(|| self.begin_ping())
    }

    /// Returns the count for a ping, which the caller must send.
    pub fn begin_ping(&mut self) -> u64 {
        self.pinged_bytes = self.sent_bytes;
        self.unanswered_pings += 1;
        self.sent_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_client_that_reads_is_never_too_slow() {
        let (mut flow, now) = (FlowControl::default(), Instant::now());
        for _ in 0..1000 {
            if let Some(count) = flow.note_sent(40_000, now) {
                flow.note_pong(count, now);
            }
            assert!(!flow.is_full() && !flow.is_stalled(now));
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
        flow.note_sent(1, now);
        assert_eq!(flow.begin_ping_if_needed(), Some(1));
        assert_eq!(flow.begin_ping_if_needed(), None);
        assert!(!flow.is_stalled(now + limits::STALL_TIMEOUT.saturating_sub(Duration::from_millis(1))));
        assert!(flow.is_stalled(now + limits::STALL_TIMEOUT));
        flow.note_pong(1, now);
        assert!(!flow.is_stalled(now + limits::STALL_TIMEOUT));
    }

    #[test]
    fn a_forged_pong_acknowledges_nothing() {
        let (mut flow, now) = (FlowControl::default(), Instant::now());
        flow.note_sent(10, now);
        assert!(!flow.note_pong(10, now), "no ping waits for an answer");
        flow.begin_ping();
        assert!(flow.note_pong(1_000, now) && !flow.note_pong(10, now), "each ping has one answer");
        assert_eq!(flow.unread_bytes(), 10);
    }
}
