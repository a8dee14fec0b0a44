//! A row that cannot be handled parks its stream for its reader, and nothing else.

use super::harness::{Diary, Failing, Node, Talk, check_order, cursor, due, parked, write};
use crate::harness::{Inside, on_each_database};
use crate::support::Random;
use greenroom::relay::failures::MAX_ATTEMPTS;
use std::sync::Arc;

/// Two groups in which the diary has read everything so far, and the last revision of the first.
async fn begin(inside: &Inside, diary: &Arc<Diary>) -> (Node, Talk, Talk, i64) {
    let node = Node::with(inside, "node", diary.clone());
    let (stuck, other) = (Talk::new(inside).await, Talk::new(inside).await);
    node.read().await;
    let last = *Diary::revs(inside, stuck.stream()).await.last().unwrap();
    (node, stuck, other, last)
}

#[test]
fn a_row_that_fails_parks_its_stream_and_is_followed_by_the_rest_once_it_heals() {
    on_each_database(&async |inside: &Inside| {
        let mut random = Random::new(1);
        let diary = Diary::new(inside).await;
        let (node, mut stuck, mut other, mut last) = begin(inside, &diary).await;
        for how in [Failing::Row, Failing::Data] {
            let other_last = Diary::revs(inside, other.stream()).await.len() as i64;
            diary.fail(stuck.stream(), last + 2, how);
            for _ in 0..4 {
                stuck.say(inside, &mut random).await;
                other.say(inside, &mut random).await;
            }
            node.read().await;
            let upto = |last: i64| (1..=last).collect::<Vec<_>>();
            assert_eq!(Diary::revs(inside, other.stream()).await, upto(other_last + 4), "others go on");
            assert_eq!(Diary::revs(inside, stuck.stream()).await, upto(last + 1), "this one waits");
            assert_eq!(parked(inside).await, [(stuck.group.0, last + 2, 1, "parked".to_owned())]);
            // it waits while its pause lasts, also for rows that come later
            stuck.say(inside, &mut random).await;
            node.read().await;
            assert_eq!(Diary::revs(inside, stuck.stream()).await, upto(last + 1));

            due(inside).await;
            node.read().await;
            assert_eq!(parked(inside).await, [(stuck.group.0, last + 2, 2, "parked".to_owned())], "in vain");
            // another one behind it fails when its turn comes
            diary.heal();
            diary.fail(stuck.stream(), last + 4, how);
            due(inside).await;
            node.read().await;
            assert_eq!(Diary::revs(inside, stuck.stream()).await, upto(last + 3));
            assert_eq!(parked(inside).await, [(stuck.group.0, last + 4, 2, "parked".to_owned())]);
            diary.heal();
            due(inside).await;
            node.read().await;
            assert_eq!(Diary::revs(inside, stuck.stream()).await, upto(last + 5));
            assert_eq!(parked(inside).await, []);
            last += 5;
            stuck.say(inside, &mut random).await;
            node.read().await;
            last += 1;
            assert_eq!(Diary::revs(inside, stuck.stream()).await, upto(last), "and on it goes");
        }
        check_order(inside).await;
    });
}

#[test]
fn a_row_that_never_succeeds_is_given_up_and_can_be_tried_again() {
    on_each_database(&async |inside: &Inside| {
        let mut random = Random::new(1);
        let diary = Diary::new(inside).await;
        let (node, mut stuck, mut other, last) = begin(inside, &diary).await;
        diary.fail(stuck.stream(), last + 1, Failing::Row);
        stuck.say(inside, &mut random).await;
        stuck.say(inside, &mut random).await;
        for attempt in 1..=MAX_ATTEMPTS + 3 {
            due(inside).await;
            node.read().await;
            let status = if attempt < MAX_ATTEMPTS { "parked" } else { "failed" };
            assert_eq!(parked(inside).await, [(stuck.group.0, last + 1, attempt.min(MAX_ATTEMPTS), status.to_owned())]);
        }
        other.say(inside, &mut random).await;
        stuck.say(inside, &mut random).await;
        diary.heal();
        due(inside).await;
        node.read().await;
        assert_eq!(Diary::revs(inside, stuck.stream()).await.len() as i64, last, "nobody tries it by itself any more");
        write(inside, "UPDATE reader_failures SET status = 'parked', attempts = 1").await;
        node.read().await;
        assert_eq!(Diary::revs(inside, stuck.stream()).await, (1..=last + 3).collect::<Vec<_>>());
        assert_eq!(parked(inside).await, []);
    });
}

#[test]
fn a_database_that_is_away_is_no_failing_row() {
    on_each_database(&async |inside: &Inside| {
        let mut random = Random::new(1);
        let diary = Diary::new(inside).await;
        let (node, mut stuck, _, last) = begin(inside, &diary).await;
        let stood = cursor(inside, "diary").await;
        diary.fail(stuck.stream(), last + 2, Failing::Away);
        for _ in 0..3 {
            stuck.say(inside, &mut random).await;
        }
        node.stamp().await;
        for _ in 0..3 {
            assert!(node.runner.run_round().await.is_err());
            assert_eq!((cursor(inside, "diary").await, parked(inside).await), (stood, vec![]));
        }
        diary.heal();
        node.read().await;
        assert_eq!(Diary::revs(inside, stuck.stream()).await, (1..=last + 3).collect::<Vec<_>>());
    });
}
