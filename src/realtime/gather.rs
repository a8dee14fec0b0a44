//! The events that a large room gathers while it is busy. A pure type without clock or actor.
//!
//! Each broadcast costs every session of the room a message and a write to its connection, however many events it
//! contains. So a room with many sessions that has just broadcast waits a moment, and broadcasts all events of this
//! time together. The first event after a pause never waits.

use crate::domain::limits;
use crate::mailboxes::Batch;
use crate::protocol::envelope::Envelope;
use crate::protocol::events::EventEffect;
use std::sync::Arc;
use std::time::Instant;

/// The gathered events of one room.
#[derive(Default)]
pub struct Gather {
    /// In the order in which they came.
    batches: Vec<Arc<Batch>>,
    bytes: usize,
    /// When the last broadcast of events ended.
    broadcast_at: Option<Instant>,
}

/// What a room does with the gathered events.
#[derive(Debug, PartialEq, Eq)]
pub enum GatherDecision {
    Broadcast,
    /// Broadcast at this time. The room gets this answer once for each time.
    WaitUntil(Instant),
    /// They wait for the time of an earlier answer.
    Waiting,
}

impl Gather {
    /// Adds events that came at `now` to a room with this number of sessions.
    pub fn add(&mut self, batch: Arc<Batch>, sessions: usize, now: Instant) -> GatherDecision {
        let may_wait = sessions >= limits::GATHER_SESSIONS && batch.envelopes.iter().all(has_no_effect);
        self.bytes += batch.bytes;
        self.batches.push(batch);
        let end = self.broadcast_at.map(|at| at + limits::GATHER_TIME).filter(|end| now < *end);
        match end {
            Some(end) if may_wait && self.bytes < limits::PING_EVERY_BYTES => {
                if self.batches.len() == 1 {
                    GatherDecision::WaitUntil(end)
                } else {
                    GatherDecision::Waiting
                }
            }
            _ => GatherDecision::Broadcast,
        }
    }

    /// Returns whether events wait.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Takes all events. Batches that follow one another without a gap are one batch then.
    pub fn take(&mut self) -> Vec<Arc<Batch>> {
        self.bytes = 0;
        let mut joined: Vec<Arc<Batch>> = Vec::new();
        let mut run: Vec<Arc<Batch>> = Vec::new();
        for batch in self.batches.drain(..) {
            let follows = match (run.last(), batch.envelopes.first()) {
                (Some(last), Some(first)) => last.last_rev().next() == first.rev,
                _ => run.is_empty(),
            };
            if !follows {
                joined.push(join(&mut run));
            }
            run.push(batch);
        }
        if !run.is_empty() {
            joined.push(join(&mut run));
        }
        joined
    }

    /// Notes that a broadcast has ended.
    pub fn note_broadcast(&mut self, now: Instant) {
        self.broadcast_at = Some(now);
    }
}

/// Returns whether the event changes nothing but what clients show. The others end subscriptions, rights or the
/// visibility of texts, so they do not wait.
fn has_no_effect(envelope: &Envelope) -> bool {
    matches!(envelope.effect, EventEffect::None)
}

fn join(run: &mut Vec<Arc<Batch>>) -> Arc<Batch> {
    match run.len() {
        1 => run.remove(0),
        _ => Batch::new(run.drain(..).flat_map(|batch| batch.envelopes.clone()).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{ConversationId, MessageId, Rev};
    use crate::domain::stream::Stream;
    use crate::protocol::event_type::{EventType, StoredEventType};
    use std::time::Duration;

    const MANY: usize = limits::GATHER_SESSIONS;

    fn batch_with(revs: std::ops::RangeInclusive<i64>, length: usize, effect: &EventEffect) -> Arc<Batch> {
        let envelope = |rev| Envelope {
            stream: Stream::Conversation(ConversationId(uuid::Uuid::nil())),
            rev: Rev(rev),
            event_type: StoredEventType::Known(EventType::MessageNew),
            message_id: None,
            quoted_id: None,
            text: "x".repeat(length).into(),
            effect: effect.clone(),
        };
        Batch::new(revs.map(envelope).collect())
    }

    fn batch(revs: std::ops::RangeInclusive<i64>) -> Arc<Batch> {
        batch_with(revs, 1, &EventEffect::None)
    }

    /// Takes the gathered events and returns the revisions of each batch.
    fn take(gather: &mut Gather) -> Vec<Vec<i64>> {
        let revs = |batch: &Arc<Batch>| batch.envelopes.iter().map(|envelope| envelope.rev.0).collect();
        gather.take().iter().map(revs).collect()
    }

    /// Returns a gather whose last broadcast ended at the returned time.
    fn busy() -> (Gather, Instant) {
        let (mut gather, now) = (Gather::default(), Instant::now());
        gather.note_broadcast(now);
        (gather, now)
    }

    #[test]
    fn events_that_follow_a_broadcast_are_broadcast_together() {
        let (mut gather, now) = (Gather::default(), Instant::now());
        assert_eq!(gather.add(batch(1..=1), MANY, now), GatherDecision::Broadcast, "nothing was broadcast before");
        assert_eq!(take(&mut gather), [[1]]);
        gather.note_broadcast(now);
        let end = now + limits::GATHER_TIME;
        let soon = now + Duration::from_millis(1);
        assert_eq!(gather.add(batch(2..=3), MANY, soon), GatherDecision::WaitUntil(end));
        assert_eq!(gather.add(batch(4..=4), MANY, soon), GatherDecision::Waiting);
        assert_eq!(take(&mut gather), [[2, 3, 4]]);
        assert!(gather.is_empty());
        assert_eq!(
            gather.add(batch(5..=5), MANY, soon),
            GatherDecision::WaitUntil(end),
            "each wait has its own answer"
        );
    }

    #[test]
    fn the_first_event_after_a_pause_does_not_wait() {
        let (mut gather, now) = busy();
        assert_eq!(gather.add(batch(1..=1), MANY, now + limits::GATHER_TIME), GatherDecision::Broadcast);
    }

    #[test]
    fn a_small_room_does_not_wait() {
        let (mut gather, now) = busy();
        assert_eq!(gather.add(batch(1..=1), MANY - 1, now), GatherDecision::Broadcast);
    }

    #[test]
    fn an_event_with_an_effect_ends_the_wait() {
        let (mut gather, now) = busy();
        let deleted = EventEffect::Deleted(MessageId(uuid::Uuid::nil()));
        gather.add(batch(1..=1), MANY, now);
        assert_eq!(gather.add(batch_with(2..=2, 1, &deleted), MANY, now), GatherDecision::Broadcast);
        assert_eq!(take(&mut gather), [[1, 2]]);
    }

    #[test]
    fn many_bytes_end_the_wait() {
        let (mut gather, now) = busy();
        let large = batch_with(2..=2, limits::PING_EVERY_BYTES, &EventEffect::None);
        gather.add(batch(1..=1), MANY, now);
        assert_eq!(gather.add(large, MANY, now), GatherDecision::Broadcast);
        assert_eq!(take(&mut gather), [[1, 2]]);
        assert_eq!(gather.add(batch(3..=3), MANY, now), GatherDecision::WaitUntil(now + limits::GATHER_TIME));
    }

    #[test]
    fn batches_that_do_not_follow_one_another_stay_apart_and_in_order() {
        let (mut gather, now) = busy();
        for revs in [4..=5, 1..=2, 3..=3, 3..=3] {
            gather.add(batch(revs), MANY, now);
        }
        assert_eq!(take(&mut gather), [vec![4, 5], vec![1, 2, 3], vec![3]]);
    }
}
