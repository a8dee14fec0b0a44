//! The sends that wait for the writer, in the order of each conversation. It is a pure type: [`super::writer`] drives
//! it.
//!
//! A conversation is in at most one batch at a time, and its sends leave in the order in which they came. So several
//! batches may commit at the same time, in any order, and each conversation keeps its order. The number of batches at a
//! time may change at any moment.

use crate::domain::ids::ConversationId;
use std::collections::{HashMap, VecDeque};

/// A send of the queue.
pub trait QueuedSend {
    /// Returns the conversation into which it is sent.
    fn conversation_id(&self) -> ConversationId;
}

/// Waiting sends. Conversations take turns, and each turn takes all sends of the conversation that fit into the batch.
pub struct SendQueue<S> {
    conversations: HashMap<ConversationId, ConversationSends<S>>,
    /// The conversations that have sends and are in no batch, in the order of their turns.
    turns: VecDeque<ConversationId>,
    /// The number of sends of these conversations.
    ready: usize,
}

struct ConversationSends<S> {
    sends: VecDeque<S>,
    is_in_batch: bool,
}

impl<S> Default for SendQueue<S> {
    fn default() -> Self {
        Self { conversations: HashMap::new(), turns: VecDeque::new(), ready: 0 }
    }
}

impl<S: QueuedSend> SendQueue<S> {
    /// Adds a send behind the others of its conversation.
    pub fn push(&mut self, send: S) {
        let id = send.conversation_id();
        let conversation = self
            .conversations
            .entry(id)
            .or_insert_with(|| ConversationSends { sends: VecDeque::with_capacity(1), is_in_batch: false });
        if !conversation.is_in_batch {
            if conversation.sends.is_empty() {
                self.turns.push_back(id);
            }
            self.ready += 1;
        }
        conversation.sends.push_back(send);
    }

    /// Returns true if no send waits.
    pub fn is_empty(&self) -> bool {
        self.conversations.values().all(|conversation| conversation.sends.is_empty())
    }

    /// Returns the number of sends that [`Self::take_batch`] can return now.
    pub fn ready(&self) -> usize {
        self.ready
    }

    /// Returns the number of sends that wait for the batch of their conversation to end.
    pub fn waiting_behind(&self, id: ConversationId) -> usize {
        self.conversations.get(&id).map_or(0, |conversation| conversation.sends.len())
    }

    /// Takes a batch of at most `max` sends. Each of their conversations stays in the batch until
    /// [`Self::end_batch`].
    pub fn take_batch(&mut self, max: usize) -> Vec<S> {
        let mut batch = Vec::with_capacity(self.ready.min(max));
        while batch.len() < max
            && let Some(id) = self.turns.pop_front()
        {
            let conversation = self.conversations.get_mut(&id).expect("a conversation with a turn has sends");
            let taken = conversation.sends.len().min(max - batch.len());
            self.ready -= conversation.sends.len();
            conversation.is_in_batch = true;
            batch.extend(conversation.sends.drain(..taken));
        }
        batch
    }

    /// Ends the batch of a conversation. `postponed` are the sends of the batch that were not committed; they come
    /// before all others of the conversation.
    pub fn end_batch(&mut self, id: ConversationId, postponed: impl DoubleEndedIterator<Item = S>) {
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        conversation.is_in_batch = false;
        for send in postponed.rev() {
            conversation.sends.push_front(send);
        }
        if conversation.sends.is_empty() {
            self.conversations.remove(&id);
        } else {
            self.ready += conversation.sends.len();
            self.turns.push_back(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use uuid::Uuid;

    /// The conversation and the number of a send.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    struct TestSend(u8, u32);

    impl QueuedSend for TestSend {
        fn conversation_id(&self) -> ConversationId {
            ConversationId(Uuid::from_u128(u128::from(self.0)))
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push(u8),
        Take(usize),
        /// The n-th running batch ends. Of each of its conversations the given number of sends is postponed.
        End(usize, usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..5_u8).prop_map(Step::Push),
            2 => (1..6_usize).prop_map(Step::Take),
            2 => (0..4_usize, 0..3_usize).prop_map(|(batch, postponed)| Step::End(batch, postponed)),
        ];
        vec(step, 1..200)
    }

    proptest! {
        #[test]
        fn each_conversation_is_in_one_batch_and_keeps_its_order(steps in steps()) {
            let (mut queue, mut next) = (SendQueue::default(), 0);
            let mut batches: Vec<Vec<TestSend>> = Vec::new();
            let (mut pushed, mut committed): (Vec<TestSend>, Vec<TestSend>) = Default::default();
            for step in steps {
                match step {
                    Step::Push(conversation) => {
                        next += 1;
                        pushed.push(TestSend(conversation, next));
                        queue.push(TestSend(conversation, next));
                    }
                    Step::Take(max) => {
                        let ready = queue.ready();
                        let batch = queue.take_batch(max);
                        prop_assert_eq!(batch.len(), ready.min(max));
                        for running in &batches {
                            prop_assert!(!batch.iter().any(|send| running.iter().any(|other| other.0 == send.0)));
                        }
                        batches.push(batch);
                    }
                    Step::End(..) if batches.is_empty() => {}
                    Step::End(nth, postponed) => {
                        let batch = batches.swap_remove(nth % batches.len());
                        end(&mut queue, &batch, postponed, &mut committed);
                    }
                }
            }
            for batch in batches.drain(..) {
                end(&mut queue, &batch, 1, &mut committed);
            }
            while !queue.is_empty() {
                let batch = queue.take_batch(3);
                prop_assert!(!batch.is_empty(), "sends wait, and none is ready");
                end(&mut queue, &batch, 0, &mut committed);
            }
            prop_assert_eq!(queue.ready(), 0);
            prop_assert!(queue.conversations.is_empty() && queue.turns.is_empty());
            for conversation in 0..5 {
                let of = |sends: &[TestSend]| sends.iter().filter(|s| s.0 == conversation).copied().collect::<Vec<_>>();
                prop_assert_eq!(of(&committed), of(&pushed));
            }
        }
    }

    /// Commits all sends of a batch but the last `postponed` ones of each conversation, which go back into the queue.
    fn end(queue: &mut SendQueue<TestSend>, batch: &[TestSend], postponed: usize, committed: &mut Vec<TestSend>) {
        let mut conversations: Vec<u8> = batch.iter().map(|send| send.0).collect();
        conversations.sort_unstable();
        conversations.dedup();
        for conversation in conversations {
            let sends: Vec<TestSend> = batch.iter().filter(|send| send.0 == conversation).copied().collect();
            let kept = sends.len() - postponed.min(sends.len());
            committed.extend(&sends[..kept]);
            queue.end_batch(sends[0].conversation_id(), sends[kept..].iter().copied());
        }
    }

    #[test]
    fn a_conversation_with_many_sends_does_not_hold_up_the_others() {
        let mut queue = SendQueue::default();
        for number in 0..10 {
            queue.push(TestSend(1, number));
        }
        queue.push(TestSend(2, 10));
        let first = queue.take_batch(4);
        assert_eq!(first, [0, 1, 2, 3].map(|number| TestSend(1, number)));
        assert_eq!(queue.ready(), 1, "the rest of the first conversation waits for its batch");
        assert_eq!(queue.take_batch(4), [TestSend(2, 10)]);
        assert_eq!(queue.waiting_behind(first[0].conversation_id()), 6);
    }
}
