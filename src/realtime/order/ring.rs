//! The ring: the recent events of one stream, for subscribers that are a little behind. It is bounded in number, in
//! bytes, in the bytes of all rings of the node together, and in age. Events may be missing from it; it never returns a
//! range that is not complete.

use crate::domain::ids::{MessageId, Rev};
use crate::domain::limits;
use crate::mailboxes::Batch;
use crate::protocol::envelope::Envelope;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the bytes of all rings that share it. A clone counts in the same sum.
#[derive(Clone, Debug)]
pub struct RingBudget(Arc<RingUsage>);

#[derive(Debug)]
struct RingUsage {
    used_bytes: AtomicUsize,
    max_bytes: usize,
}

impl Default for RingBudget {
    fn default() -> Self {
        Self::with_limit(limits::RINGS_BYTES)
    }
}

impl RingBudget {
    /// Returns a budget for at most `max_bytes` in all rings together.
    pub fn with_limit(max_bytes: usize) -> Self {
        Self(Arc::new(RingUsage { used_bytes: AtomicUsize::new(0), max_bytes }))
    }

    /// Returns how many bytes the rings use.
    pub fn used_bytes(&self) -> usize {
        self.0.used_bytes.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: usize) {
        self.0.used_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn subtract(&self, bytes: usize) {
        self.0.used_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn is_exceeded(&self) -> bool {
        self.used_bytes() > self.0.max_bytes
    }
}

/// The newest events of a stream, the oldest first.
pub(super) struct Ring {
    envelopes: VecDeque<Envelope>,
    bytes: usize,
    budget: RingBudget,
    /// The newest revision in the ring at the last round of ageing.
    newest_at_round: Option<Rev>,
}

impl Ring {
    /// Returns an empty ring whose bytes count in `budget`.
    pub fn new(budget: RingBudget) -> Self {
        Self { envelopes: VecDeque::new(), bytes: 0, budget, newest_at_round: None }
    }

    /// Returns whether the ring has no events.
    pub fn is_empty(&self) -> bool {
        self.envelopes.is_empty()
    }

    /// Adds an event that was broadcast, and removes the oldest ones above the limits. If all rings together are too
    /// large, only this ring removes events; the others become smaller by ageing.
    pub fn push(&mut self, envelope: &Envelope) {
        self.bytes += size_bytes(envelope);
        self.budget.add(size_bytes(envelope));
        self.envelopes.push_back(envelope.clone());
        while self.envelopes.len() > limits::RING_EVENTS || self.bytes > limits::RING_BYTES || self.budget.is_exceeded()
        {
            let Some(oldest) = self.envelopes.pop_front() else { break };
            self.bytes -= size_bytes(&oldest);
            self.budget.subtract(size_bytes(&oldest));
        }
    }

    /// Removes the events that show or quote a deleted message, because the log no longer has its text.
    pub fn remove_message(&mut self, message: MessageId) {
        let deleted = Some(message);
        self.retain(|envelope| envelope.message_id != deleted && envelope.quoted_id != deleted);
    }

    /// Removes the events that were in the ring at the last round already, so that each event survives one round at
    /// most.
    pub fn age(&mut self) {
        let newest = self.envelopes.back().map(|envelope| envelope.rev);
        let old = self.newest_at_round.take();
        self.retain(|envelope| old.is_none_or(|old| envelope.rev > old));
        self.newest_at_round = newest;
        if self.envelopes.is_empty() {
            self.envelopes = VecDeque::new();
        }
    }

    /// Returns the events after `after` up to `last`, the newest that was broadcast. `None` if there are none, or if
    /// one of them is not in the ring.
    pub fn between(&self, after: Rev, last: Rev) -> Option<Arc<Batch>> {
        let envelopes: Vec<Envelope> = self.envelopes.iter().filter(|envelope| envelope.rev > after).cloned().collect();
        let is_complete = envelopes.len() as i64 == last.0 - after.0;
        (is_complete && !envelopes.is_empty()).then(|| Batch::new(envelopes))
    }

    fn retain(&mut self, keeps: impl FnMut(&Envelope) -> bool) {
        self.envelopes.retain(keeps);
        let bytes = self.envelopes.iter().map(size_bytes).sum();
        self.budget.subtract(self.bytes - bytes);
        self.bytes = bytes;
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.budget.subtract(self.bytes);
    }
}

/// Returns the memory that an event uses in a ring.
fn size_bytes(envelope: &Envelope) -> usize {
    envelope.text.len() + size_of::<Envelope>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::ConversationId;
    use crate::domain::stream::Stream;
    use crate::protocol::event_type::{EventType, StoredEventType};
    use crate::protocol::events::EventEffect;

    fn envelope(rev: i64) -> Envelope {
        Envelope {
            stream: Stream::Conversation(ConversationId::new()),
            rev: Rev(rev),
            event_type: StoredEventType::Known(EventType::MessageNew),
            message_id: Some(MessageId::new()),
            quoted_id: None,
            text: "x".repeat(1000).into(),
            effect: EventEffect::None,
        }
    }

    fn fill(ring: &mut Ring, revs: std::ops::RangeInclusive<i64>) {
        for rev in revs {
            ring.push(&envelope(rev));
        }
    }

    #[test]
    fn rings_share_one_budget_and_the_one_that_grows_removes_events() {
        let budget = RingBudget::with_limit(30_000);
        let (mut quiet, mut busy) = (Ring::new(budget.clone()), Ring::new(budget.clone()));
        fill(&mut quiet, 1..=10);
        for rev in 1..=1000 {
            busy.push(&envelope(rev));
            assert!(budget.used_bytes() <= 30_000);
        }
        assert!(quiet.between(Rev(0), Rev(10)).is_some());
        assert!(busy.between(Rev(990), Rev(1000)).is_some() && busy.between(Rev(900), Rev(1000)).is_none());
        let own = quiet.bytes;
        drop(busy);
        assert_eq!(budget.used_bytes(), own);
        let message = quiet.envelopes[3].message_id.unwrap();
        quiet.remove_message(message);
        assert_eq!((budget.used_bytes(), quiet.envelopes.len()), (quiet.bytes, 9));
    }

    #[test]
    fn an_event_is_removed_in_its_second_round_and_its_memory_is_freed() {
        let budget = RingBudget::default();
        let mut ring = Ring::new(budget.clone());
        fill(&mut ring, 1..=5);
        ring.age();
        fill(&mut ring, 6..=8);
        assert!(ring.between(Rev(0), Rev(8)).is_some());
        ring.age();
        assert!(ring.between(Rev(4), Rev(8)).is_none());
        assert!(ring.between(Rev(5), Rev(8)).is_some());
        ring.age();
        assert!(ring.is_empty());
        assert_eq!((budget.used_bytes(), ring.envelopes.capacity()), (0, 0));
    }
}
