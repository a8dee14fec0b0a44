//! In which order turns come, and who pays for what.

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
                held = Some(turn.expect("a turn"));
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
    let first = turns.take('f', 2000, 1000).await.expect("a turn");
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
    let first = turns.take('x', 1, 1000).await.expect("a turn");
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
    let first = turns.take('x', 1, 1000).await.expect("a turn");
    let mut waiting = Vec::new();
    for key in ['a', 'a', 'a', 'b', 'b'] {
        waiting.push((key, queue(&turns, key, 10).await));
    }
    assert_eq!(served(first, waiting), "ababa");
}

#[tokio::test]
async fn nobody_is_overtaken_for_ever() {
    let turns = Turns::new(1);
    let mut held = turns.take('f', 100, 1000).await.expect("a turn");
    let mut flood = queue(&turns, 'f', 100).await;
    // ever new users with small work; each is there before the one before it has ended
    for (number, key) in ('A'..='Z').cycle().take(2000).enumerate() {
        // or the runtime would make the receivers wait
        tokio::task::yield_now().await;
        let mut next = queue(&turns, key, 1).await;
        drop(held);
        if let Some(turn) = flood.as_mut().now_or_never() {
            assert!(number > 50, "after {number}");
            turn.expect("a turn");
            return;
        }
        held = next.as_mut().now_or_never().expect("it is next").expect("a turn");
    }
    panic!("it was overtaken two thousand times");
}

#[tokio::test]
async fn a_user_may_wait_with_so_much_and_no_more() {
    let turns = Turns::new(2);
    let held = [turns.take('a', 1, 3).await.expect("a turn"), turns.take('a', 1, 3).await.expect("a turn")];
    let waiting = queue(&turns, 'a', 1).await;
    assert_eq!(turns.take('a', 1, 3).now_or_never().expect("a turn").unwrap_err(), Full);
    drop(waiting);
    assert_eq!(turns.waiting(), 0);
    drop(held);
    turns.take('a', 1, 1).now_or_never().expect("both places are free").expect("a turn");
}

#[tokio::test]
async fn a_turn_for_one_who_has_gone_is_passed_on() {
    let turns = Turns::new(1);
    let held = turns.take('a', 1, 9).await.expect("a turn");
    let gone = queue(&turns, 'b', 1).await;
    let mut there = queue(&turns, 'c', 1).await;
    drop(held);
    drop(gone);
    there.as_mut().now_or_never().expect("it is passed on").expect("a turn");
}

#[tokio::test]
async fn who_gave_up_waiting_has_paid_nothing() {
    let turns = Turns::new(1);
    let held = turns.take('x', 1, 9).await.expect("a turn");
    for _ in 0..50 {
        drop(queue(&turns, 'a', 100).await);
    }
    let waiting = vec![('a', queue(&turns, 'a', 1).await), ('b', queue(&turns, 'b', 1).await)];
    assert_eq!(served(held, waiting), "ab");
}

#[tokio::test]
async fn what_a_user_has_behind_what_was_given_up_moves_up() {
    let turns = Turns::new(1);
    let held = turns.take('x', 1, 9).await.expect("a turn");
    let given_up = queue(&turns, 'a', 100).await;
    let mut waiting = vec![('a', queue(&turns, 'a', 2).await), ('a', queue(&turns, 'a', 2).await)];
    waiting.push(('b', queue(&turns, 'b', 3).await));
    waiting.push(('b', queue(&turns, 'b', 3).await));
    drop(given_up);
    assert_eq!(turns.waiting(), 4);
    assert_eq!(served(held, waiting), "abab");
}

#[tokio::test]
async fn a_turn_that_came_too_late_costs_nothing() {
    let turns = Turns::new(1);
    let held = turns.take('x', 1, 9).await.expect("a turn");
    let gone = queue(&turns, 'a', 100).await;
    drop(held);
    // its turn has come, and it does not look any more
    drop(gone);
    let held = turns.take('x', 1, 9).await.expect("a turn");
    let waiting = vec![('a', queue(&turns, 'a', 1).await), ('b', queue(&turns, 'b', 1).await)];
    assert_eq!(served(held, waiting), "ab");
}

#[tokio::test]
async fn what_cost_more_than_was_said_is_paid_for() {
    let turns = Turns::new(1);
    let mut held = turns.take('a', 1, 9).await.expect("a turn");
    let mut waiting = vec![('a', queue(&turns, 'a', 1).await), ('a', queue(&turns, 'a', 1).await)];
    waiting.push(('b', queue(&turns, 'b', 1).await));
    waiting.push(('b', queue(&turns, 'b', 1).await));
    held.has_cost(1000);
    assert_eq!(served(held, waiting), "bbaa");
}

#[tokio::test]
async fn lines_that_have_passed_are_forgotten_while_somebody_is_there() {
    let turns = Turns::new(2);
    let _there = turns.take(0, 1, 9).await.expect("a turn");
    for key in 1..10_000 {
        turns.take(key, 1, 9).await.expect("a turn");
    }
    assert!(turns.state().laid_out.len() < 4 * KEPT, "{}", turns.state().laid_out.len());
}
