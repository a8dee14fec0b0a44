//! One stream that a session follows.

use crate::domain::ids::Rev;

/// A stream that a session follows, its room, and how far its events were sent.
pub(super) struct FollowedStream<R> {
    pub room: R,
    /// The head of the stream when the right to follow it was last checked.
    pub checked_rev: Rev,
    /// The number of the newest subscription.
    pub subscription_number: u64,
    /// The first subscription whose events are sent. The room sends the events of an earlier one again.
    pub first_number: u64,
    /// The newest revision that was sent. While a replay runs, lower revisions may still be sent.
    pub sent_to: Rev,
    /// Events up to this revision are not sent: they belong to an earlier subscription, from before the user left and
    /// was added again.
    pub not_sent_up_to: Rev,
    /// Whether a sync named the stream. Then it begins after the revision of the client, which may be from before the
    /// user was added again.
    pub is_requested: bool,
    /// Whether the event with which the user left was sent. The message of the room that ends the subscription follows.
    pub leave_sent: bool,
}

impl<R> FollowedStream<R> {
    /// Returns true if the addition of the user at `rev` needs no new subscription, because a sync named the stream and
    /// its right was checked after that addition.
    pub fn covers_addition(&self, rev: Rev) -> bool {
        self.is_requested && self.checked_rev >= rev
    }
}
