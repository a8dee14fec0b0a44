//! A row that a reader cannot process parks its stream for this reader, and nothing else.

use super::harness::{Diary, Failing, Node, Talk, check_order, cursor, due, parked, write};
use crate::harness::{TestApp, on_each_database};
use crate::support::Random;
use greenroom::relay::failures::MAX_ATTEMPTS;
use std::sync::Arc;

/// Returns two groups of which the recording reader has read everything, and the last revision of the first group.
async fn begin(test: &TestApp, diary: &Arc<Diary>) -> (Node, Talk, Talk, i64) {
    let node = Node::with(test, "node", diary.clone());
    let (stuck, other) = (Talk::new(test).await, Talk::new(test).await);
    node.read().await;
    let last = *Diary::revs(test, stuck.stream()).await.last().unwrap();
    (node, stuck, other, last)
}

#[test]
fn a_row_that_fails_parks_its_stream_and_is_followed_by_the_rest_once_it_heals() {
    on_each_database(&async |test: &TestApp| {
        let mut random = Random::new(1);
        let diary = Diary::new(test).await;
        let (node, mut stuck, mut other, mut last) = begin(test, &diary).await;
        for how in [Failing::Row, Failing::Data] {
            let other_last = Diary::revs(test, other.stream()).await.len() as i64;
            diary.fail(stuck.stream(), last + 2, how);
            for _ in 0..4 {
                stuck.say(test, &mut random).await;
                other.say(test, &mut random).await;
            }
            node.read().await;
            let upto = |last: i64| (1..=last).collect::<Vec<_>>();
            assert_eq!(Diary::revs(test, other.stream()).await, upto(other_last + 4), "others go on");
            assert_eq!(Diary::revs(test, stuck.stream()).await, upto(last + 1), "this one waits");
            assert_eq!(parked(test).await, [(stuck.group.0, last + 2, 1, "parked".to_owned())]);
            // The stream waits for the end of its pause, also with rows that come later.
            stuck.say(test, &mut random).await;
            node.read().await;
            assert_eq!(Diary::revs(test, stuck.stream()).await, upto(last + 1));

            due(test).await;
            node.read().await;
            assert_eq!(parked(test).await, [(stuck.group.0, last + 2, 2, "parked".to_owned())], "in vain");
            // A later row of the stream fails too.
            diary.heal();
            diary.fail(stuck.stream(), last + 4, how);
            due(test).await;
            node.read().await;
            assert_eq!(Diary::revs(test, stuck.stream()).await, upto(last + 3));
            assert_eq!(parked(test).await, [(stuck.group.0, last + 4, 2, "parked".to_owned())]);
            diary.heal();
            due(test).await;
            node.read().await;
            assert_eq!(Diary::revs(test, stuck.stream()).await, upto(last + 5));
            assert_eq!(parked(test).await, []);
            last += 5;
            stuck.say(test, &mut random).await;
            node.read().await;
            last += 1;
            assert_eq!(Diary::revs(test, stuck.stream()).await, upto(last), "and on it goes");
        }
        check_order(test).await;
    });
}

#[test]
fn a_row_that_never_succeeds_is_given_up_and_can_be_tried_again() {
    on_each_database(&async |test: &TestApp| {
        let mut random = Random::new(1);
        let diary = Diary::new(test).await;
        let (node, mut stuck, mut other, last) = begin(test, &diary).await;
        diary.fail(stuck.stream(), last + 1, Failing::Row);
        stuck.say(test, &mut random).await;
        stuck.say(test, &mut random).await;
        for attempt in 1..=MAX_ATTEMPTS + 3 {
            due(test).await;
            node.read().await;
            let status = if attempt < MAX_ATTEMPTS { "parked" } else { "failed" };
            assert_eq!(parked(test).await, [(stuck.group.0, last + 1, attempt.min(MAX_ATTEMPTS), status.to_owned())]);
        }
        other.say(test, &mut random).await;
        stuck.say(test, &mut random).await;
        diary.heal();
        due(test).await;
        node.read().await;
        assert_eq!(Diary::revs(test, stuck.stream()).await.len() as i64, last, "no reader tries it again");
        write(test, "UPDATE reader_failures SET status = 'parked', attempts = 1").await;
        node.read().await;
        assert_eq!(Diary::revs(test, stuck.stream()).await, (1..=last + 3).collect::<Vec<_>>());
        assert_eq!(parked(test).await, []);
    });
}

#[test]
fn a_database_that_is_away_is_no_failing_row() {
    on_each_database(&async |test: &TestApp| {
        let mut random = Random::new(1);
        let diary = Diary::new(test).await;
        let (node, mut stuck, _, last) = begin(test, &diary).await;
        let stood = cursor(test, "diary").await;
        diary.fail(stuck.stream(), last + 2, Failing::Away);
        for _ in 0..3 {
            stuck.say(test, &mut random).await;
        }
        node.stamp().await;
        for _ in 0..3 {
            assert!(node.runner.run_round().await.is_err());
            assert_eq!((cursor(test, "diary").await, parked(test).await), (stood, vec![]));
        }
        diary.heal();
        node.read().await;
        assert_eq!(Diary::revs(test, stuck.stream()).await, (1..=last + 3).collect::<Vec<_>>());
    });
}
