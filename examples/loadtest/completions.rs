//! Which messages are complete: acknowledged to their sender, and received by every socket of the other user.

use std::cell::RefCell;
use std::collections::VecDeque;

/// The messages under way of all senders. Each sender numbers its messages from 0.
#[derive(Debug)]
pub struct Completions {
    /// The arrivals that complete a message: its acknowledgement, and one for each socket of the other user.
    arrivals: u32,
    senders: RefCell<Vec<UnderWay>>,
}

/// The messages under way of one sender.
#[derive(Clone, Debug, Default)]
struct UnderWay {
    /// The number of the first message in `missing`.
    first: u64,
    /// The arrivals that each message still misses.
    missing: VecDeque<u32>,
}

impl Completions {
    /// Returns a value without messages, for a number of senders and a number of sockets that each user has.
    pub fn new(sender_count: u32, sockets_of_user: u32) -> Self {
        let senders = RefCell::new(vec![UnderWay::default(); sender_count as usize]);
        Self { arrivals: 1 + sockets_of_user, senders }
    }

    /// Adds the next message of a sender.
    pub fn add_message(&self, sender: u32) {
        self.senders.borrow_mut()[sender as usize].missing.push_back(self.arrivals);
    }

    /// Counts an arrival of a message. Returns true if it was the last one.
    pub fn add_arrival(&self, sender: u32, number: u64) -> bool {
        let mut senders = self.senders.borrow_mut();
        let Some(sender) = senders.get_mut(sender as usize) else { return false };
        let index = number.wrapping_sub(sender.first) as usize;
        // An event that arrives twice may belong to a message that is complete.
        let Some(missing) = sender.missing.get_mut(index).filter(|missing| **missing > 0) else { return false };
        *missing -= 1;
        let is_complete = *missing == 0;
        while sender.missing.front() == Some(&0) {
            sender.missing.pop_front();
            sender.first += 1;
        }
        is_complete
    }
}
