//! Turns at something of which there are few: a queue that is fair by user and charged by cost.
//!
//! Each user's work is laid out on one line of virtual time, one piece after the other, each as long as it costs; a piece
//! of whoever has nothing there begins now. Whose piece ends first is served first. So whoever asks for much goes behind
//! everybody who asks for little, also where many ask for much, and whoever waits alone waits for nobody. Virtual time passes by the cost of what is
//! served, divided by the users who share in it, so that nobody is overtaken for ever.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Units of virtual time in one of cost, so that a share of a small cost is more than nothing.
const UNIT: u64 = 1 << 10;

/// The queue, cheap to clone. `K` names a user.
pub struct Turns<K: Eq + Hash + Copy>(Arc<Mutex<State<K>>>);

struct State<K: Eq + Hash + Copy> {
    free: usize,
    /// Virtual time.
    now: u64,
    arrivals: u64,
    /// Where the next piece of a user begins, where that is later than now.
    laid_out: HashMap<K, u64>,
    /// Who waits, by where their piece ends, then by arrival.
    waiting: BTreeMap<Place, Waiter<K>>,
    /// How many pieces of each user wait or are being served.
    share: HashMap<K, usize>,
}

type Place = (u64, u64);

struct Waiter<K: Eq + Hash + Copy> {
    key: K,
    begins: u64,
    cost: u64,
    call: oneshot::Sender<Turn<K>>,
}

/// Too many pieces of one user are waiting already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

/// A turn, given back when dropped.
pub struct Turn<K: Eq + Hash + Copy> {
    turns: Turns<K>,
    key: K,
    cost: u64,
}

impl<K: Eq + Hash + Copy> Clone for Turns<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Eq + Hash + Copy> Turns<K> {
    /// So many at a time; at least one.
    pub fn new(at_once: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            free: at_once.max(1),
            now: 0,
            arrivals: 0,
            laid_out: HashMap::new(),
            waiting: BTreeMap::new(),
            share: HashMap::new(),
        })))
    }

    /// Waits for a turn of `key` for something that costs `cost`; refused at once where `most` pieces of `key` wait or are
    /// being served already. Whoever stops waiting gives up the place.
    #[allow(clippy::missing_panics_doc, reason = "whoever waits is called, or has stopped waiting")]
    pub async fn take(&self, key: K, cost: u64, most: usize) -> Result<Turn<K>, Full> {
        let (place, called) = {
            let mut state = self.state();
            let share = state.share.entry(key).or_default();
            if *share >= most {
                return Err(Full);
            }
            *share += 1;
            let cost = cost.max(1).saturating_mul(UNIT);
            let begins = state.laid_out.get(&key).copied().unwrap_or_default().max(state.now);
            let ends = begins.saturating_add(cost);
            state.laid_out.insert(key, ends);
            if state.free > 0 {
                state.free -= 1;
                return Ok(Turn { turns: self.clone(), key, cost });
            }
            state.arrivals += 1;
            let place = (ends, state.arrivals);
            let (call, called) = oneshot::channel();
            state.waiting.insert(place, Waiter { key, begins, cost, call });
            (place, called)
        };
        let waiting = Waiting { turns: self, place };
        let turn = called.await.expect("a waiter is called before it is forgotten");
        drop(waiting);
        Ok(turn)
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    fn state(&self) -> MutexGuard<'_, State<K>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes on what a turn has given back.
    fn pass_on(&self, key: K, cost: u64) {
        let (call, turn) = {
            let mut state = self.state();
            let sharing = state.share.len().max(1) as u64;
            state.now = state.now.saturating_add(cost / sharing);
            state.leave(key);
            let Some((_, waiter)) = state.waiting.pop_first() else {
                state.free += 1;
                if state.share.is_empty() {
                    // nobody is there who could be held up: what was laid out is forgotten
                    state.now = 0;
                    state.laid_out.clear();
                }
                return;
            };
            // what is served begins now
            state.now = state.now.max(waiter.begins);
            let now = state.now;
            if state.laid_out.len() > 2 * state.share.len() + 64 {
                state.laid_out.retain(|_, until| *until > now);
            }
            (waiter.call, Turn { turns: self.clone(), key: waiter.key, cost: waiter.cost })
        };
        // whoever has gone meanwhile gives it back by dropping it
        let _ = call.send(turn);
    }
}

impl<K: Eq + Hash + Copy> State<K> {
    fn leave(&mut self, key: K) {
        if let Some(share) = self.share.get_mut(&key) {
            *share -= 1;
            if *share == 0 {
                self.share.remove(&key);
            }
        }
    }
}

impl<K: Eq + Hash + Copy> Drop for Turn<K> {
    fn drop(&mut self) {
        self.turns.pass_on(self.key, self.cost);
    }
}

impl<K: Eq + Hash + Copy> fmt::Debug for Turn<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Turn")
    }
}

/// A place in the queue, given up when dropped; once the turn has come there is nothing left to give up.
struct Waiting<'t, K: Eq + Hash + Copy> {
    turns: &'t Turns<K>,
    place: Place,
}

impl<K: Eq + Hash + Copy> Drop for Waiting<'_, K> {
    fn drop(&mut self) {
        let mut state = self.turns.state();
        if let Some(waiter) = state.waiting.remove(&self.place) {
            state.leave(waiter.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::pin::Pin;
    use std::task::Poll;

    type Taking<'t> = Pin<Box<dyn Future<Output = Result<Turn<char>, Full>> + 't>>;

    /// Has `key` wait for a turn.
    async fn queue(turns: &Turns<char>, key: char, cost: u64) -> Taking<'_> {
        let mut taking: Taking = Box::pin(turns.take(key, cost, 1000));
        assert!(matches!(futures_util::poll!(&mut taking), Poll::Pending), "{key} has to wait");
        taking
    }

    /// In which order those who wait are served, from the moment on at which `first` is given back.
    fn served(first: Turn<char>, mut waiting: Vec<(char, Taking<'_>)>) -> String {
        let mut order = String::new();
        let mut held = Some(first);
        while !waiting.is_empty() {
            held.take();
            let at = waiting.iter_mut().position(|(key, taking)| match taking.as_mut().now_or_never() {
                Some(turn) => {
                    order.push(*key);
                    held = Some(turn.unwrap());
                    true
                }
                None => false,
            });
            drop(waiting.remove(at.expect("somebody is called")));
        }
        order
    }

    #[tokio::test]
    async fn who_asks_for_little_goes_before_the_backlog_of_who_asks_for_much() {
        let turns = Turns::new(1);
        let first = turns.take('f', 2000, 1000).await.unwrap();
        let mut waiting = Vec::new();
        for _ in 0..5 {
            waiting.push(('f', queue(&turns, 'f', 2000).await));
        }
        for key in ['a', 'b'] {
            for _ in 0..3 {
                waiting.push((key, queue(&turns, key, 3).await));
            }
        }
        assert_eq!(served(first, waiting), "abababfffff");
    }

    #[tokio::test]
    async fn who_asks_for_little_goes_before_many_who_ask_for_much() {
        let turns = Turns::new(1);
        let first = turns.take('x', 1, 1000).await.unwrap();
        let mut waiting = Vec::new();
        for key in ['f', 'g', 'h'] {
            waiting.push((key, queue(&turns, key, 2000).await));
        }
        for key in ['a', 'b', 'a'] {
            waiting.push((key, queue(&turns, key, 3).await));
        }
        assert_eq!(served(first, waiting), "abafgh");
    }

    #[tokio::test]
    async fn equal_work_takes_turns_whoever_came_first() {
        let turns = Turns::new(1);
        let first = turns.take('x', 1, 1000).await.unwrap();
        let mut waiting = Vec::new();
        for key in ['a', 'a', 'a', 'b', 'b'] {
            waiting.push((key, queue(&turns, key, 10).await));
        }
        assert_eq!(served(first, waiting), "ababa");
    }

    #[tokio::test]
    async fn nobody_is_overtaken_for_ever() {
        let turns = Turns::new(1);
        let mut held = turns.take('f', 100, 1000).await.unwrap();
        let mut flood = queue(&turns, 'f', 100).await;
        // ever new users with small work; each is there before the one before it has ended
        for (number, key) in ('A'..='Z').cycle().take(2000).enumerate() {
            // or the runtime would make the receivers wait
            tokio::task::yield_now().await;
            let mut next = queue(&turns, key, 1).await;
            drop(held);
            if let Some(turn) = flood.as_mut().now_or_never() {
                assert!(number > 50, "after {number}");
                turn.unwrap();
                return;
            }
            held = next.as_mut().now_or_never().expect("it is next").unwrap();
        }
        panic!("it was overtaken two thousand times");
    }

    #[tokio::test]
    async fn a_user_may_wait_with_so_much_and_no_more() {
        let turns = Turns::new(2);
        let held = [turns.take('a', 1, 3).await.unwrap(), turns.take('a', 1, 3).await.unwrap()];
        let waiting = queue(&turns, 'a', 1).await;
        assert_eq!(turns.take('a', 1, 3).now_or_never().unwrap().unwrap_err(), Full);
        drop(waiting);
        assert_eq!(turns.waiting(), 0);
        drop(held);
        turns.take('a', 1, 1).now_or_never().expect("both places are free").unwrap();
    }

    #[tokio::test]
    async fn a_turn_for_one_who_has_gone_is_passed_on() {
        let turns = Turns::new(1);
        let held = turns.take('a', 1, 9).await.unwrap();
        let gone = queue(&turns, 'b', 1).await;
        let mut there = queue(&turns, 'c', 1).await;
        drop(held);
        drop(gone);
        there.as_mut().now_or_never().expect("it is passed on").unwrap();
    }
}
