//! A fair queue for a limited number of permits, ordered by what each user's requests cost.
//!
//! This is fair queueing by virtual finish times, as in Demers, Keshav and Shenker, "Analysis and Simulation of a Fair
//! Queueing Algorithm" (1989). Each request has a *virtual start*: the virtual finish time of the user's previous
//! request, or the virtual time now if that is later. Its *virtual finish time* is its start plus its cost. The waiting
//! request with the smallest virtual finish time gets the next permit. So a user with many or costly requests waits
//! behind every user with few and cheap ones, even if many users have costly requests. A user who is alone in the queue
//! is not delayed by others. Virtual time advances by the cost of each finished request, divided by the number of users
//! in the queue. So no request can be overtaken for ever.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Units of virtual time for a cost of 1. A small cost divided by many users must not become 0.
const UNITS_PER_COST: u64 = 1 << 10;
/// The number of past finish times that may stay in memory, besides as many as there were after the last removal.
const SPARE_FINISH_TIMES: usize = 64;

/// The queue, cheap to clone. `K` identifies a user.
pub struct FairQueue<K: Eq + Hash + Copy>(Arc<Mutex<QueueState<K>>>);

struct QueueState<K: Eq + Hash + Copy> {
    free_permits: usize,
    virtual_now: u64,
    /// The number of requests that had to wait so far.
    arrivals: u64,
    /// The virtual finish time of the last request of each user. A time before `virtual_now` means the same as none.
    last_finish_times: HashMap<K, u64>,
    /// The number of finish times above which those before `virtual_now` are removed.
    max_finish_times: usize,
    /// The waiting requests; the first one gets the next permit.
    waiting: BTreeMap<QueueOrder, WaitingRequest<K>>,
    /// The users with a request that waits or has a permit.
    users: HashMap<K, UserRequests>,
}

/// The order of the waiting requests: by virtual finish time, then by arrival number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct QueueOrder {
    virtual_finish: u64,
    arrival: u64,
}

#[derive(Default)]
struct UserRequests {
    /// The number of requests that wait or have a permit.
    count: usize,
    /// The virtual finish times of the waiting requests, by arrival number.
    waiting_finish_times: BTreeMap<u64, u64>,
}

struct WaitingRequest<K: Eq + Hash + Copy> {
    key: K,
    virtual_start: u64,
    cost: u64,
    sender: oneshot::Sender<FairPermit<K>>,
}

/// The error for a user who has too many requests in the queue already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueueFull;

/// A permit of the queue. Dropping it passes it on to the next request.
pub struct FairPermit<K: Eq + Hash + Copy> {
    queue: FairQueue<K>,
    key: K,
    cost: u64,
    virtual_start: u64,
    /// False as long as the permit is on its way to a waiting task, which may have stopped waiting.
    received: bool,
}

impl<K: Eq + Hash + Copy> Clone for FairQueue<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Eq + Hash + Copy> FairQueue<K> {
    /// Creates a queue with this number of permits, and with one permit if the number is 0.
    pub fn new(permits: usize) -> Self {
        Self(Arc::new(Mutex::new(QueueState {
            free_permits: permits.max(1),
            virtual_now: 0,
            arrivals: 0,
            last_finish_times: HashMap::new(),
            max_finish_times: SPARE_FINISH_TIMES,
            waiting: BTreeMap::new(),
            users: HashMap::new(),
        })))
    }

    /// Waits for a permit for a request of user `key` that costs `cost`. Fails immediately if `max_requests` requests
    /// of this user wait or have a permit already. A task that stops waiting leaves the queue and pays nothing.
    #[allow(clippy::missing_panics_doc, reason = "every waiting task gets a permit unless it stops waiting")]
    pub async fn acquire(&self, key: K, cost: u64, max_requests: usize) -> Result<FairPermit<K>, QueueFull> {
        let (arrival, receiver) = {
            let mut state = self.state();
            let requests = state.users.entry(key).or_default();
            if requests.count >= max_requests {
                return Err(QueueFull);
            }
            requests.count += 1;
            let cost = cost.max(1).saturating_mul(UNITS_PER_COST);
            let virtual_start = state.last_finish_times.get(&key).copied().unwrap_or_default().max(state.virtual_now);
            let virtual_finish = virtual_start.saturating_add(cost);
            state.last_finish_times.insert(key, virtual_finish);
            if state.free_permits > 0 {
                state.free_permits -= 1;
                return Ok(FairPermit { queue: self.clone(), key, cost, virtual_start, received: true });
            }
            state.arrivals += 1;
            let arrival = state.arrivals;
            let (sender, receiver) = oneshot::channel();
            state.insert_waiting(arrival, WaitingRequest { key, virtual_start, cost, sender });
            (arrival, receiver)
        };
        let cancel_on_drop = CancelOnDrop { queue: self, key, arrival };
        let mut permit = receiver.await.expect("a waiting request gets a permit before it is removed");
        permit.received = true;
        drop(cancel_on_drop);
        Ok(permit)
    }

    /// Returns the number of waiting requests.
    pub fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    fn state(&self) -> MutexGuard<'_, QueueState<K>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes the permit of a finished request on to the next waiting request. `cost` is the final cost of the finished
    /// one.
    fn release(&self, key: K, cost: u64) {
        let (sender, permit) = {
            let mut state = self.state();
            let users = state.users.len().max(1) as u64;
            state.virtual_now = state.virtual_now.saturating_add(cost / users);
            state.remove_request(key);
            let Some(next) = state.take_next() else {
                state.free_permits += 1;
                if state.users.is_empty() {
                    // The queue is empty, so no earlier cost can delay another user: start again from 0.
                    state.virtual_now = 0;
                    state.last_finish_times.clear();
                }
                state.remove_past_finish_times();
                return;
            };
            // Virtual time is never behind the start of a request that has a permit.
            state.virtual_now = state.virtual_now.max(next.virtual_start);
            state.remove_past_finish_times();
            let WaitingRequest { key, virtual_start, cost, sender } = next;
            (sender, FairPermit { queue: self.clone(), key, cost, virtual_start, received: false })
        };
        // If the task stopped waiting, the permit is dropped here, which passes it on again.
        let _ = sender.send(permit);
    }
}

impl<K: Eq + Hash + Copy> QueueState<K> {
    fn insert_waiting(&mut self, arrival: u64, request: WaitingRequest<K>) {
        let virtual_finish = request.virtual_start.saturating_add(request.cost);
        self.users.entry(request.key).or_default().waiting_finish_times.insert(arrival, virtual_finish);
        self.waiting.insert(QueueOrder { virtual_finish, arrival }, request);
    }

    fn take_next(&mut self) -> Option<WaitingRequest<K>> {
        let (QueueOrder { arrival, .. }, request) = self.waiting.pop_first()?;
        if let Some(requests) = self.users.get_mut(&request.key) {
            requests.waiting_finish_times.remove(&arrival);
        }
        Some(request)
    }

    fn remove_request(&mut self, key: K) {
        if let Some(requests) = self.users.get_mut(&key) {
            requests.count -= 1;
            if requests.count == 0 {
                self.users.remove(&key);
            }
        }
    }

    /// Removes a waiting request whose task stopped waiting. The user's later requests move earlier. Does nothing if
    /// the request does not wait any more.
    fn cancel(&mut self, key: K, arrival: u64) {
        let virtual_finish =
            self.users.get_mut(&key).and_then(|requests| requests.waiting_finish_times.remove(&arrival));
        let Some(request) =
            virtual_finish.and_then(|virtual_finish| self.waiting.remove(&QueueOrder { virtual_finish, arrival }))
        else {
            return;
        };
        self.refund(key, arrival, request.virtual_start, request.cost);
        self.remove_request(key);
    }

    /// Removes the time of a request, which began at `virtual_start`. The requests of its user that follow it without a
    /// gap become earlier by `cost`. A request after a gap began when it arrived, so it does not move. `arrival` is
    /// the number of the request, or 0 if all waiting requests of the user came after it.
    fn refund(&mut self, key: K, arrival: u64, virtual_start: u64, cost: u64) {
        let mut finish = virtual_start.saturating_add(cost);
        for later in self.waiting_after(key, arrival) {
            let Some(mut request) = self.waiting.remove(&later) else { return };
            let follows = request.virtual_start == finish;
            if follows {
                request.virtual_start = request.virtual_start.saturating_sub(cost);
            }
            self.insert_waiting(later.arrival, request);
            if !follows {
                return;
            }
            finish = later.virtual_finish;
        }
        if let Some(last_finish_time) = self.last_finish_times.get_mut(&key)
            && *last_finish_time == finish
        {
            *last_finish_time -= cost;
        }
    }

    /// Moves all waiting requests of a user later by `cost`.
    fn delay(&mut self, key: K, cost: u64) {
        for order in self.waiting_after(key, 0) {
            if let Some(mut request) = self.waiting.remove(&order) {
                request.virtual_start = request.virtual_start.saturating_add(cost);
                self.insert_waiting(order.arrival, request);
            }
        }
        let last_finish_time = self.last_finish_times.entry(key).or_insert(self.virtual_now);
        *last_finish_time = last_finish_time.saturating_add(cost);
    }

    /// Returns the waiting requests of a user that arrived after `arrival`, in the order of their arrival.
    fn waiting_after(&self, key: K, arrival: u64) -> Vec<QueueOrder> {
        let to_order =
            |(arrival, virtual_finish): (&u64, &u64)| QueueOrder { virtual_finish: *virtual_finish, arrival: *arrival };
        let requests = self.users.get(&key);
        requests
            .map(|requests| requests.waiting_finish_times.range(arrival + 1..).map(to_order).collect())
            .unwrap_or_default()
    }

    /// Removes the finish times in the past, once there are about twice as many as after the last removal.
    fn remove_past_finish_times(&mut self) {
        if self.last_finish_times.len() > self.max_finish_times {
            let now = self.virtual_now;
            self.last_finish_times.retain(|_, finish| *finish > now);
            self.max_finish_times = 2 * self.last_finish_times.len() + SPARE_FINISH_TIMES;
        }
    }
}

impl<K: Eq + Hash + Copy> FairPermit<K> {
    /// Raises the cost of the request to `cost`, when the real cost is known. The user's waiting requests move later by
    /// the difference. A lower cost changes nothing.
    pub fn raise_cost(&mut self, cost: u64) {
        let more = cost.saturating_mul(UNITS_PER_COST).saturating_sub(self.cost);
        if more > 0 {
            self.cost += more;
            self.queue.state().delay(self.key, more);
        }
    }
}

impl<K: Eq + Hash + Copy> Drop for FairPermit<K> {
    fn drop(&mut self) {
        if !self.received {
            // The task stopped waiting before the permit arrived, so it pays nothing.
            self.queue.state().refund(self.key, 0, self.virtual_start, self.cost);
            self.cost = 0;
        }
        self.queue.release(self.key, self.cost);
    }
}

impl<K: Eq + Hash + Copy> fmt::Debug for FairPermit<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FairPermit")
    }
}

/// Removes a request from the queue when its task stops waiting. Has no effect once the request has a permit.
struct CancelOnDrop<'q, K: Eq + Hash + Copy> {
    queue: &'q FairQueue<K>,
    key: K,
    arrival: u64,
}

impl<K: Eq + Hash + Copy> Drop for CancelOnDrop<'_, K> {
    fn drop(&mut self) {
        self.queue.state().cancel(self.key, self.arrival);
    }
}

#[cfg(test)]
mod tests;
