//! One stream that a session follows.

use crate::domain::ids::Rev;

/// A stream that a session follows, its room, and how far its events were sent.
pub(super) struct FollowedStream<R> {
    pub room: R,
    /// The head of the stream when the right to follow it was last checked.
    pub checked: Rev,
    /// The number of the newest subscription.
    pub number: u64,
    /// The first subscription whose events are sent. What an earlier one still brings will come again.
    pub first: u64,
    /// The newest revision that was sent. While a replay runs, earlier ones may still come.
    pub sent: Rev,
    /// Events up to here are not sent: they belong to an earlier subscription, from before the user left and came back.
    pub after: Rev,
    /// Whether a sync asked for it by name. Then it begins where the client said, which may be before the user was
    /// added again.
    pub synced: bool,
    /// Whether the event with which the user left was sent. The room will say so too.
    pub ended: bool,
}

impl<R> FollowedStream<R> {
    /// Whether a sync asked for it after the user was added at `rev`.
    pub fn covers(&self, rev: Rev) -> bool {
        self.synced && self.checked >= rev
    }
}
