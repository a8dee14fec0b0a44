//! Turns at something of which there are few: a queue that is fair by user and charged by cost.
//!
//! Each user's work is laid out on one line of virtual time, one piece after the other, each as long as it costs; a piece
//! of whoever has nothing there begins now. Whose piece ends first is served first. So whoever asks for much goes behind
//! everybody who asks for little, also where many ask for much, and whoever waits alone waits for nobody. Virtual time
//! passes by the cost of what is served, divided by the users who share in it, so that nobody is overtaken for ever.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Units of virtual time in one of cost, so that a share of a small cost is more than nothing.
const UNIT: u64 = 1 << 10;
/// Users whose line may be remembered although its end has passed, beside as many as there were the last time.
const KEPT: usize = 64;

/// The queue, cheap to clone. `K` names a user.
pub struct Turns<K: Eq + Hash + Copy>(Arc<Mutex<State<K>>>);

struct State<K: Eq + Hash + Copy> {
    free: usize,
    /// Virtual time.
    now: u64,
    arrivals: u64,
    /// Where the next piece of a user begins, where that is later than now.
    laid_out: HashMap<K, u64>,
    /// How many of those there may be before the ones that have passed are forgotten.
    kept: usize,
    /// Who waits, by where their piece ends, then by arrival.
    waiting: BTreeMap<Place, Waiter<K>>,
    /// The users of whom something waits or is being served.
    shares: HashMap<K, Share>,
}

type Place = (u64, u64);

/// What a user has in the queue.
#[derive(Default)]
struct Share {
    /// How many pieces wait or are being served.
    pieces: usize,
    /// Where those that wait end, by arrival.
    waiting: BTreeMap<u64, u64>,
}

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
    /// Where it began in its user's line.
    begins: u64,
    /// Whether whoever waited was still there when it came.
    used: bool,
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
            kept: KEPT,
            waiting: BTreeMap::new(),
            shares: HashMap::new(),
        })))
    }

    /// Waits for a turn of `key` for something that costs `cost`; refused at once where `most` pieces of `key` wait or are
    /// being served already. Whoever stops waiting gives up the place and pays nothing.
    #[allow(clippy::missing_panics_doc, reason = "whoever waits is called, or has stopped waiting")]
    pub async fn take(&self, key: K, cost: u64, most: usize) -> Result<Turn<K>, Full> {
        let (arrival, called) = {
            let mut state = self.state();
            let share = state.shares.entry(key).or_default();
            if share.pieces >= most {
                return Err(Full);
            }
            share.pieces += 1;
            let cost = cost.max(1).saturating_mul(UNIT);
            let begins = state.laid_out.get(&key).copied().unwrap_or_default().max(state.now);
            let ends = begins.saturating_add(cost);
            state.laid_out.insert(key, ends);
            if state.free > 0 {
                state.free -= 1;
                return Ok(Turn { turns: self.clone(), key, cost, begins, used: true });
            }
            state.arrivals += 1;
            let arrival = state.arrivals;
            let (call, called) = oneshot::channel();
            state.enter(arrival, Waiter { key, begins, cost, call });
            (arrival, called)
        };
        let waiting = Waiting { turns: self, key, arrival };
        let mut turn = called.await.expect("a waiter is called before it is forgotten");
        turn.used = true;
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

    /// Passes on what a turn has given back; `cost` is what was done in it.
    fn pass_on(&self, key: K, cost: u64) {
        let (call, turn) = {
            let mut state = self.state();
            let sharing = state.shares.len().max(1) as u64;
            state.now = state.now.saturating_add(cost / sharing);
            state.leave(key);
            let Some(waiter) = state.next() else {
                state.free += 1;
                if state.shares.is_empty() {
                    // nobody is there who could be held up: what was laid out is forgotten
                    state.now = 0;
                    state.laid_out.clear();
                }
                state.forget();
                return;
            };
            // what is served begins now
            state.now = state.now.max(waiter.begins);
            state.forget();
            let Waiter { key, begins, cost, call } = waiter;
            (call, Turn { turns: self.clone(), key, cost, begins, used: false })
        };
        // whoever has gone meanwhile gives it back by dropping it
        let _ = call.send(turn);
    }
}

impl<K: Eq + Hash + Copy> State<K> {
    fn enter(&mut self, arrival: u64, waiter: Waiter<K>) {
        let ends = waiter.begins.saturating_add(waiter.cost);
        self.shares.entry(waiter.key).or_default().waiting.insert(arrival, ends);
        self.waiting.insert((ends, arrival), waiter);
    }

    fn next(&mut self) -> Option<Waiter<K>> {
        let ((_, arrival), waiter) = self.waiting.pop_first()?;
        if let Some(share) = self.shares.get_mut(&waiter.key) {
            share.waiting.remove(&arrival);
        }
        Some(waiter)
    }

    fn leave(&mut self, key: K) {
        if let Some(share) = self.shares.get_mut(&key) {
            share.pieces -= 1;
            if share.pieces == 0 {
                self.shares.remove(&key);
            }
        }
    }

    /// A piece of a user that waited will not be done: what the user laid out behind it moves up.
    fn give_up(&mut self, key: K, arrival: u64) {
        let ends = self.shares.get_mut(&key).and_then(|share| share.waiting.remove(&arrival));
        let Some(waiter) = ends.and_then(|ends| self.waiting.remove(&(ends, arrival))) else { return };
        self.take_back(key, arrival, waiter.begins, waiter.cost);
        self.leave(key);
    }

    /// Takes `cost` out of a user's line where the piece that came at `arrival` began, up to the first gap after it: what
    /// came later than that began when it came.
    fn take_back(&mut self, key: K, arrival: u64, begins: u64, cost: u64) {
        let mut end = begins.saturating_add(cost);
        for (later, ends) in self.waiting_of(key, arrival) {
            let Some(mut waiter) = self.waiting.remove(&(ends, later)) else { return };
            let follows = waiter.begins == end;
            if follows {
                waiter.begins = waiter.begins.saturating_sub(cost);
            }
            self.enter(later, waiter);
            if !follows {
                return;
            }
            end = ends;
        }
        if let Some(laid_out) = self.laid_out.get_mut(&key)
            && *laid_out == end
        {
            *laid_out -= cost;
        }
    }

    /// Has a user's line, as far as it is not being served yet, begin later by `cost`.
    fn put_back(&mut self, key: K, cost: u64) {
        for (arrival, ends) in self.waiting_of(key, 0) {
            if let Some(mut waiter) = self.waiting.remove(&(ends, arrival)) {
                waiter.begins = waiter.begins.saturating_add(cost);
                self.enter(arrival, waiter);
            }
        }
        let laid_out = self.laid_out.entry(key).or_insert(self.now);
        *laid_out = laid_out.saturating_add(cost);
    }

    /// What waits of a user and came after `arrival`, with where it ends.
    fn waiting_of(&self, key: K, arrival: u64) -> Vec<(u64, u64)> {
        let share = self.shares.get(&key);
        share
            .map(|share| share.waiting.range(arrival + 1..).map(|(at, ends)| (*at, *ends)).collect())
            .unwrap_or_default()
    }

    /// Forgets the lines whose end has passed, when there are twice as many as there were after the last time.
    fn forget(&mut self) {
        if self.laid_out.len() > self.kept {
            let now = self.now;
            self.laid_out.retain(|_, until| *until > now);
            self.kept = 2 * self.laid_out.len() + KEPT;
        }
    }
}

impl<K: Eq + Hash + Copy> Turn<K> {
    /// Says what it has cost, once that is known: where it is more than was said, its user goes so much further back.
    pub fn has_cost(&mut self, cost: u64) {
        let more = cost.saturating_mul(UNIT).saturating_sub(self.cost);
        if more > 0 {
            self.cost += more;
            self.turns.state().put_back(self.key, more);
        }
    }
}

impl<K: Eq + Hash + Copy> Drop for Turn<K> {
    fn drop(&mut self) {
        if !self.used {
            // nobody waited for it any more
            self.turns.state().take_back(self.key, 0, self.begins, self.cost);
            self.cost = 0;
        }
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
    key: K,
    arrival: u64,
}

impl<K: Eq + Hash + Copy> Drop for Waiting<'_, K> {
    fn drop(&mut self) {
        self.turns.state().give_up(self.key, self.arrival);
    }
}

#[cfg(test)]
mod tests;
