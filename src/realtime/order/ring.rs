//! The recent events of one stream, for subscribers that are a little behind. Bounded in number, in bytes, in bytes of all
//! rings of the node together, and in age; it may have holes, and never answers across one.

use crate::domain::ids::{MessageId, Rev};
use crate::domain::limits;
use crate::mailboxes::Batch;
use crate::protocol::events::Frame;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Events kept.
const FRAMES: usize = 256;
/// Bytes of them.
const BYTES: usize = 256 * 1024;

/// The bytes of all rings that share it, cheap to clone.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Total>);

#[derive(Debug)]
struct Total {
    used: AtomicUsize,
    most: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self::of(limits::RINGS_BYTES)
    }
}

impl Budget {
    /// Of at most so many bytes.
    pub fn of(most: usize) -> Self {
        Self(Arc::new(Total { used: AtomicUsize::new(0), most }))
    }

    /// Bytes in use.
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) {
        self.0.used.fetch_add(bytes, Ordering::Relaxed);
    }

    fn give_back(&self, bytes: usize) {
        self.0.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn is_exceeded(&self) -> bool {
        self.used() > self.0.most
    }
}

/// The newest events, the oldest first.
pub(super) struct Ring {
    frames: VecDeque<Frame>,
    bytes: usize,
    budget: Budget,
    /// The newest event at the last round of ageing.
    aged: Option<Rev>,
}

impl Ring {
    /// One of those that share `budget`.
    pub fn new(budget: Budget) -> Self {
        Self { frames: VecDeque::new(), bytes: 0, budget, aged: None }
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Keeps an event that has just gone out. Where all rings together are too large, this one gives way: the others age.
    pub fn push(&mut self, frame: &Frame) {
        self.bytes += size(frame);
        self.budget.take(size(frame));
        self.frames.push_back(frame.clone());
        while self.frames.len() > FRAMES || self.bytes > BYTES || self.budget.is_exceeded() {
            let Some(oldest) = self.frames.pop_front() else { break };
            self.bytes -= size(&oldest);
            self.budget.give_back(size(&oldest));
        }
    }

    /// Forgets whatever shows a message, itself or quoted: its text is no longer what the log says.
    pub fn forget(&mut self, message: MessageId) {
        let gone = Some(message);
        self.retain(|kept| kept.message_id != gone && kept.quoted_id != gone);
    }

    /// Forgets what was here in the last round already. What is kept has therefore seen one round at most.
    pub fn age(&mut self) {
        let newest = self.frames.back().map(|frame| frame.rev);
        let aged = self.aged.take();
        self.retain(|kept| aged.is_none_or(|aged| kept.rev > aged));
        self.aged = newest;
        if self.frames.is_empty() {
            self.frames = VecDeque::new();
        }
    }

    /// The events after `after` up to `head`, the newest that went out, if there are any and all of them are still here.
    pub fn between(&self, after: Rev, head: Rev) -> Option<Arc<Batch>> {
        let frames: Vec<Frame> = self.frames.iter().filter(|frame| frame.rev > after).cloned().collect();
        let whole = frames.len() as i64 == head.0 - after.0;
        (whole && !frames.is_empty()).then(|| Batch::new(frames))
    }

    fn retain(&mut self, keeps: impl FnMut(&Frame) -> bool) {
        self.frames.retain(keeps);
        let bytes = self.frames.iter().map(size).sum();
        self.budget.give_back(self.bytes - bytes);
        self.bytes = bytes;
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

/// What an event costs here.
fn size(frame: &Frame) -> usize {
    frame.text.len() + size_of::<Frame>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::events::Effect;

    fn frame(rev: i64) -> Frame {
        let text = "x".repeat(1000).into();
        Frame { rev: Rev(rev), text, effect: Effect::None, message_id: Some(MessageId::new()), quoted_id: None }
    }

    fn fill(ring: &mut Ring, revs: std::ops::RangeInclusive<i64>) {
        for rev in revs {
            ring.push(&frame(rev));
        }
    }

    #[test]
    fn rings_share_one_budget_and_the_one_that_grows_gives_way() {
        let budget = Budget::of(30_000);
        let (mut quiet, mut busy) = (Ring::new(budget.clone()), Ring::new(budget.clone()));
        fill(&mut quiet, 1..=10);
        for rev in 1..=1000 {
            busy.push(&frame(rev));
            assert!(budget.used() <= 30_000);
        }
        assert!(quiet.between(Rev(0), Rev(10)).is_some());
        assert!(busy.between(Rev(990), Rev(1000)).is_some() && busy.between(Rev(900), Rev(1000)).is_none());
        let own = quiet.bytes;
        drop(busy);
        assert_eq!(budget.used(), own);
        let message = quiet.frames[3].message_id.unwrap();
        quiet.forget(message);
        assert_eq!((budget.used(), quiet.frames.len()), (quiet.bytes, 9));
    }

    #[test]
    fn what_has_seen_two_rounds_is_gone_and_its_memory_is_back() {
        let budget = Budget::default();
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
        assert_eq!((budget.used(), ring.frames.capacity()), (0, 0));
    }
}
