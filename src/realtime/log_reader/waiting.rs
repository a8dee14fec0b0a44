//! The reads that wait: replays in turn by user, and repairs until the next query takes them.

use crate::domain::ids::UserId;
use crate::domain::limits;
use crate::domain::stream::Stream;
use std::collections::{HashMap, HashSet, VecDeque};

/// Reads that run one by one. The reads of one user are served in their order.
pub(super) struct WaitingReads<T> {
    /// Reads that serve all subscribers of a room.
    without_user: VecDeque<T>,
    by_user: HashMap<UserId, VecDeque<T>>,
    /// The users with waiting reads, each once, in the order in which they are served.
    next_users: VecDeque<UserId>,
}

impl<T> Default for WaitingReads<T> {
    fn default() -> Self {
        Self { without_user: VecDeque::new(), by_user: HashMap::new(), next_users: VecDeque::new() }
    }
}

impl<T> WaitingReads<T> {
    /// Returns true if neither a user nor a room has a read that waits.
    pub fn is_empty(&self) -> bool {
        self.without_user.is_empty() && self.next_users.is_empty()
    }

    /// Adds a read. If too many reads of its user wait already, it is dropped, so that it fails.
    pub fn push(&mut self, user: Option<UserId>, read: T) {
        let queue = match user {
            None => &mut self.without_user,
            Some(user) => self.by_user.entry(user).or_insert_with(|| {
                self.next_users.push_back(user);
                VecDeque::new()
            }),
        };
        if queue.len() < limits::WAITING_LOG_READS {
            queue.push_back(read);
        }
    }

    /// Removes and returns the next read: one that serves all subscribers of a room, or one of the next user in turn.
    pub fn pop(&mut self) -> Option<T> {
        if let Some(read) = self.without_user.pop_front() {
            return Some(read);
        }
        let user = self.next_users.pop_front()?;
        let queue = self.by_user.get_mut(&user)?;
        let read = queue.pop_front();
        if queue.is_empty() {
            self.by_user.remove(&user);
        } else {
            self.next_users.push_back(user);
        }
        read
    }
}

/// The reads of rooms that are behind, each with the stream of the room, the oldest first.
pub(super) struct WaitingRepairs<T>(VecDeque<(Stream, T)>);

impl<T> Default for WaitingRepairs<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> WaitingRepairs<T> {
    /// Returns true if the next query has no repair to do.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a read. If too many wait already, it is dropped, so that it fails.
    pub fn push(&mut self, stream: Stream, read: T) {
        if self.0.len() < limits::WAITING_LOG_READS {
            self.0.push_back((stream, read));
        }
    }

    /// Removes and returns the oldest reads for one query: at most `max_reads`, and only one of each stream, because an
    /// earlier room of the same stream may have asked too.
    pub fn take(&mut self, max_reads: usize) -> Vec<T> {
        let (mut taken, mut streams) = (Vec::new(), HashSet::new());
        for (stream, read) in std::mem::take(&mut self.0) {
            if taken.len() < max_reads && streams.insert(stream) {
                taken.push(read);
            } else {
                self.0.push_back((stream, read));
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_served_in_turn_and_reads_of_rooms_come_first() {
        let (busy, quiet) = (Some(UserId::new()), Some(UserId::new()));
        let mut waiting = WaitingReads::default();
        for number in 0..=limits::WAITING_LOG_READS {
            waiting.push(busy, number);
        }
        waiting.push(quiet, 1_000_000);
        waiting.push(quiet, 1_000_001);
        waiting.push(None, 2_000_000);
        let read: Vec<_> = std::iter::from_fn(|| waiting.pop()).collect();
        assert_eq!(read[..6], [2_000_000, 0, 1_000_000, 1, 1_000_001, 2]);
        assert_eq!(read.len(), limits::WAITING_LOG_READS + 3, "the read above the limit has failed");
        assert!(waiting.is_empty() && waiting.by_user.is_empty());
        waiting.push(quiet, 7);
        assert_eq!(waiting.pop(), Some(7));
    }

    #[test]
    fn a_query_repairs_the_streams_that_wait_longest_and_each_once() {
        let mut waiting = WaitingRepairs::default();
        let streams: Vec<Stream> = (0..3).map(|_| Stream::User(UserId::new())).collect();
        for (number, stream) in [0, 0, 1, 2, 2].into_iter().enumerate() {
            waiting.push(streams[stream], number);
        }
        assert_eq!(waiting.take(2), [0, 2]);
        assert_eq!(waiting.take(9), [1, 3]);
        assert_eq!(waiting.take(9), [4]);
        assert!(waiting.is_empty());
        for number in 0..=limits::WAITING_LOG_READS {
            waiting.push(Stream::User(UserId::new()), number);
        }
        assert_eq!(waiting.take(usize::MAX).len(), limits::WAITING_LOG_READS);
    }
}
