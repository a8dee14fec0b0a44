//! The pings of a socket: when the server sends one, and which bytes a pong of the client acknowledges.
//!
//! Each ping carries the number of bytes that were written before it. The pong of the client repeats the number and so
//! acknowledges these bytes. This is a pure type without clock or connection.

use crate::domain::limits;
use std::time::{Duration, Instant};

/// How often the owner of [`Pings`] must ask whether a ping is due.
pub const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// The payload of a ping: a number of bytes in network byte order.
pub type PingPayload = [u8; 8];

/// The pings of one connection.
#[derive(Debug)]
pub struct Pings {
    written_bytes: u64,
    acknowledged_bytes: u64,
    /// The number in the newest ping.
    pinged_bytes: u64,
    pinged_at: Instant,
    /// The number of pings without a pong.
    unanswered: u64,
}

impl Pings {
    /// Returns the state of a connection that was opened at `now`.
    pub fn new(now: Instant) -> Self {
        Self { written_bytes: 0, acknowledged_bytes: 0, pinged_bytes: 0, pinged_at: now, unanswered: 0 }
    }

    /// Notes that `bytes` were written. Returns the ping that the caller must send now, if
    /// [`limits::PING_EVERY_BYTES`] were written after the newest one.
    pub fn note_written(&mut self, bytes: usize, now: Instant) -> Option<PingPayload> {
        self.written_bytes += bytes as u64;
        (self.written_bytes - self.pinged_bytes >= limits::PING_EVERY_BYTES as u64).then(|| self.begin_ping(now))
    }

    /// Returns the ping that the caller must send now, if bytes were written after the newest ping, or if that ping is
    /// [`limits::HEARTBEAT_INTERVAL`] old. Call it every [`CHECK_INTERVAL`].
    pub fn begin_ping_if_due(&mut self, now: Instant) -> Option<PingPayload> {
        // The check nearest to the end of the interval counts, because timers are not exact: a check that is a
        // millisecond early must not delay the heartbeat until the next one.
        let needs_heartbeat = now.duration_since(self.pinged_at) + CHECK_INTERVAL / 2 >= limits::HEARTBEAT_INTERVAL;
        (needs_heartbeat || self.pinged_bytes < self.written_bytes).then(|| self.begin_ping(now))
    }

    fn begin_ping(&mut self, now: Instant) -> PingPayload {
        self.pinged_bytes = self.written_bytes;
        self.pinged_at = now;
        self.unanswered += 1;
        self.written_bytes.to_be_bytes()
    }

    /// Takes the payload of a pong. Returns how many bytes the client has acknowledged since the connection was opened;
    /// a pong with a wrong number does not change it. Returns `None` if the pong answers no ping.
    pub fn note_pong(&mut self, payload: &[u8]) -> Option<u64> {
        let count = u64::from_be_bytes(PingPayload::try_from(payload).ok()?);
        self.unanswered = self.unanswered.checked_sub(1)?;
        if count <= self.written_bytes {
            self.acknowledged_bytes = self.acknowledged_bytes.max(count);
        }
        Some(self.acknowledged_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn payload(count: u64) -> PingPayload {
        count.to_be_bytes()
    }

    #[test]
    fn a_ping_follows_every_16_kib_and_its_pong_acknowledges_the_bytes_before_it() {
        let now = Instant::now();
        let mut pings = Pings::new(now);
        assert_eq!(pings.note_written(limits::PING_EVERY_BYTES - 1, now), None);
        let ping = pings.note_written(1, now).unwrap();
        assert_eq!(pings.note_written(10, now), None);
        assert_eq!(pings.note_pong(&ping), Some(limits::PING_EVERY_BYTES as u64));
    }

    #[test]
    fn few_bytes_wait_for_the_next_check_and_an_idle_connection_gets_a_heartbeat() {
        let now = Instant::now();
        let mut pings = Pings::new(now);
        assert_eq!(pings.begin_ping_if_due(now), None);
        pings.note_written(1, now);
        assert_eq!(pings.begin_ping_if_due(now), Some(payload(1)));
        assert_eq!(pings.begin_ping_if_due(now), None);
        let checks = (1..=12).map(|number| (CHECK_INTERVAL * number).saturating_sub(Duration::from_millis(1)));
        let heartbeats = checks.filter(|passed| pings.begin_ping_if_due(now + *passed).is_some()).count();
        assert_eq!(heartbeats, 2, "in a minute, although timers are not exact");
    }

    #[test]
    fn a_forged_pong_acknowledges_nothing() {
        let now = Instant::now();
        let mut pings = Pings::new(now);
        pings.note_written(10, now);
        assert_eq!(pings.note_pong(&payload(10)), None, "no ping waits for an answer");
        pings.begin_ping_if_due(now);
        assert_eq!(pings.note_pong(b"hello"), None, "the server sends no such ping");
        assert_eq!(pings.note_pong(&payload(1_000)), Some(0), "so many bytes were not written");
        assert_eq!(pings.note_pong(&payload(10)), None, "each ping has one answer");
    }

    #[test]
    fn a_late_pong_takes_no_acknowledgement_back() {
        let now = Instant::now();
        let mut pings = Pings::new(now);
        let first = pings.note_written(limits::PING_EVERY_BYTES, now).unwrap();
        let second = pings.note_written(limits::PING_EVERY_BYTES, now).unwrap();
        let all = pings.note_pong(&second);
        assert_eq!(all, Some(2 * limits::PING_EVERY_BYTES as u64));
        assert_eq!(pings.note_pong(&first), all);
    }
}
