//! The order of the permits, and the cost that each user pays.

use super::*;
use futures_util::FutureExt;
use std::pin::Pin;
use std::task::Poll;

type Acquisition<'q> = Pin<Box<dyn Future<Output = Result<FairPermit<char>, QueueFull>> + 'q>>;

/// Begins to wait for a permit for user `key`.
async fn wait(queue: &FairQueue<char>, key: char, cost: u64) -> Acquisition<'_> {
    let mut acquisition: Acquisition = Box::pin(queue.acquire(key, cost, 1000));
    assert!(matches!(futures_util::poll!(&mut acquisition), Poll::Pending), "{key} has to wait");
    acquisition
}

/// Drops `first`, then every permit that follows from it, and returns the users in the order of their permits.
fn permit_order(first: FairPermit<char>, mut waiting: Vec<(char, Acquisition<'_>)>) -> String {
    let mut order = String::new();
    let mut held = Some(first);
    while !waiting.is_empty() {
        held.take();
        let at = waiting.iter_mut().position(|(key, acquisition)| match acquisition.as_mut().now_or_never() {
            Some(permit) => {
                order.push(*key);
                held = Some(permit.expect("a permit"));
                true
            }
            None => false,
        });
        drop(waiting.remove(at.expect("one of the requests has a permit")));
    }
    order
}

#[tokio::test]
async fn small_requests_go_before_the_backlog_of_one_user() {
    let queue = FairQueue::new(1);
    let first = queue.acquire('f', 2000, 1000).await.expect("a permit");
    let mut waiting = Vec::new();
    for _ in 0..5 {
        waiting.push(('f', wait(&queue, 'f', 2000).await));
    }
    for key in ['a', 'b'] {
        for _ in 0..3 {
            waiting.push((key, wait(&queue, key, 3).await));
        }
    }
    assert_eq!(permit_order(first, waiting), "abababfffff");
}

#[tokio::test]
async fn small_requests_go_before_large_requests_of_many_users() {
    let queue = FairQueue::new(1);
    let first = queue.acquire('x', 1, 1000).await.expect("a permit");
    let mut waiting = Vec::new();
    for key in ['f', 'g', 'h'] {
        waiting.push((key, wait(&queue, key, 2000).await));
    }
    for key in ['a', 'b', 'a'] {
        waiting.push((key, wait(&queue, key, 3).await));
    }
    assert_eq!(permit_order(first, waiting), "abafgh");
}

#[tokio::test]
async fn users_with_equal_requests_get_permits_alternately() {
    let queue = FairQueue::new(1);
    let first = queue.acquire('x', 1, 1000).await.expect("a permit");
    let mut waiting = Vec::new();
    for key in ['a', 'a', 'a', 'b', 'b'] {
        waiting.push((key, wait(&queue, key, 10).await));
    }
    assert_eq!(permit_order(first, waiting), "ababa");
}

#[tokio::test]
async fn no_request_is_overtaken_for_ever() {
    let queue = FairQueue::new(1);
    let mut held = queue.acquire('f', 100, 1000).await.expect("a permit");
    let mut flood = wait(&queue, 'f', 100).await;
    // New users with small requests never end; each one waits before the previous permit is dropped.
    for (number, key) in ('A'..='Z').cycle().take(2000).enumerate() {
        // Without this, the runtime's own budget would make the receivers wait.
        tokio::task::yield_now().await;
        let mut next = wait(&queue, key, 1).await;
        drop(held);
        if let Some(permit) = flood.as_mut().now_or_never() {
            assert!(number > 50, "after {number}");
            permit.expect("a permit");
            return;
        }
        held = next.as_mut().now_or_never().expect("the permit").expect("a permit");
    }
    panic!("the request was overtaken two thousand times");
}

#[tokio::test]
async fn a_user_has_a_limited_number_of_requests() {
    let queue = FairQueue::new(2);
    let held = [queue.acquire('a', 1, 3).await.expect("a permit"), queue.acquire('a', 1, 3).await.expect("a permit")];
    let waiting = wait(&queue, 'a', 1).await;
    assert_eq!(queue.acquire('a', 1, 3).now_or_never().expect("an answer").unwrap_err(), QueueFull);
    drop(waiting);
    assert_eq!(queue.waiting(), 0);
    drop(held);
    queue.acquire('a', 1, 1).now_or_never().expect("both permits are free").expect("a permit");
}

#[tokio::test]
async fn a_permit_for_a_caller_that_stopped_waiting_is_passed_on() {
    let queue = FairQueue::new(1);
    let held = queue.acquire('a', 1, 9).await.expect("a permit");
    let cancelled = wait(&queue, 'b', 1).await;
    let mut next = wait(&queue, 'c', 1).await;
    drop(held);
    drop(cancelled);
    next.as_mut().now_or_never().expect("the permit is passed on").expect("a permit");
}

#[tokio::test]
async fn a_caller_that_stopped_waiting_pays_nothing() {
    let queue = FairQueue::new(1);
    let held = queue.acquire('x', 1, 9).await.expect("a permit");
    for _ in 0..50 {
        drop(wait(&queue, 'a', 100).await);
    }
    let waiting = vec![('a', wait(&queue, 'a', 1).await), ('b', wait(&queue, 'b', 1).await)];
    assert_eq!(permit_order(held, waiting), "ab");
}

#[tokio::test]
async fn later_requests_of_a_user_move_up_after_a_cancelled_one() {
    let queue = FairQueue::new(1);
    let held = queue.acquire('x', 1, 9).await.expect("a permit");
    let cancelled = wait(&queue, 'a', 100).await;
    let mut waiting = vec![('a', wait(&queue, 'a', 2).await), ('a', wait(&queue, 'a', 2).await)];
    waiting.push(('b', wait(&queue, 'b', 3).await));
    waiting.push(('b', wait(&queue, 'b', 3).await));
    drop(cancelled);
    assert_eq!(queue.waiting(), 4);
    assert_eq!(permit_order(held, waiting), "abab");
}

#[tokio::test]
async fn a_permit_that_was_never_received_costs_nothing() {
    let queue = FairQueue::new(1);
    let held = queue.acquire('x', 1, 9).await.expect("a permit");
    let cancelled = wait(&queue, 'a', 100).await;
    drop(held);
    // The permit was sent, and the waiting task has not received it.
    drop(cancelled);
    let held = queue.acquire('x', 1, 9).await.expect("a permit");
    let waiting = vec![('a', wait(&queue, 'a', 1).await), ('b', wait(&queue, 'b', 1).await)];
    assert_eq!(permit_order(held, waiting), "ab");
}

#[tokio::test]
async fn a_raised_cost_is_paid_for() {
    let queue = FairQueue::new(1);
    let mut held = queue.acquire('a', 1, 9).await.expect("a permit");
    let mut waiting = vec![('a', wait(&queue, 'a', 1).await), ('a', wait(&queue, 'a', 1).await)];
    waiting.push(('b', wait(&queue, 'b', 1).await));
    waiting.push(('b', wait(&queue, 'b', 1).await));
    held.raise_cost(1000);
    assert_eq!(permit_order(held, waiting), "bbaa");
}

#[tokio::test]
async fn past_finish_times_are_removed_while_a_user_holds_a_permit() {
    let queue = FairQueue::new(2);
    let _held = queue.acquire(0, 1, 9).await.expect("a permit");
    for key in 1..10_000 {
        queue.acquire(key, 1, 9).await.expect("a permit");
    }
    assert!(
        queue.state().last_finish_times.len() < 4 * SPARE_FINISH_TIMES,
        "{}",
        queue.state().last_finish_times.len()
    );
}
