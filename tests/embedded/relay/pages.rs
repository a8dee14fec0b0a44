//! The pages of a reader: where the first one begins, how large they are, and what happens to one that takes too long.

use super::harness::{Diary, Failing, Node, Talk, check_order, cursor, parked};
use crate::harness::{TestApp, TestSend, on_each_database};
use crate::support::Random;
use greenroom::relay::reader::{Begin, PageLimit, RoundResult};

/// A limit that no test reaches.
const MANY_BYTES: u64 = 1 << 30;

#[test]
fn a_reader_begins_at_the_start_or_after_the_rows_that_exist() {
    on_each_database(&async |test: &TestApp| {
        let mut random = Random::new(1);
        let limit = PageLimit { rows: 1000, bytes: MANY_BYTES };
        let diary = Diary::with(test, Begin::Now, limit).await;
        let node = Node::with(test, "node", diary);
        let (mut talk, statistics) = (Talk::new(test).await, Node::new(test, "node"));
        talk.say(test, &mut random).await;
        statistics.read().await;
        let stood = cursor(test, "statistics").await;
        assert!(stood > 0, "the statistics begin at the start");
        node.read().await;
        assert_eq!(cursor(test, "diary").await, stood);
        assert_eq!(Diary::revs(test, talk.stream()).await, Vec::<i64>::new(), "these rows were there before");
        talk.say(test, &mut random).await;
        talk.say(test, &mut random).await;
        node.read().await;
        let revs = Diary::revs(test, talk.stream()).await;
        assert_eq!(revs.len(), 2);
        // It keeps its cursor, however often it is started.
        let node = Node::with(test, "other", Diary::again(Begin::Now, limit));
        super::harness::expire(test).await;
        talk.say(test, &mut random).await;
        node.read().await;
        assert_eq!(Diary::revs(test, talk.stream()).await.len(), 3);
    });
}

#[test]
fn a_page_is_bounded_in_bytes() {
    on_each_database(&async |test: &TestApp| {
        let diary = Diary::with(test, Begin::Start, PageLimit { rows: 1000, bytes: 20_000 }).await;
        let node = Node::with(test, "node", diary.clone());
        let talk = Talk::new(test).await;
        node.read().await;
        diary.pages();
        for _ in 0..10 {
            test.send(TestSend::new(talk.group, &talk.users[0], "x".repeat(9_000))).await.unwrap();
        }
        node.read().await;
        let pages: Vec<usize> = diary.pages().iter().map(Vec::len).collect();
        assert_eq!(pages, [3, 3, 3, 1], "a page ends with the row that reaches the limit");
        check_order(test).await;
    });
}

#[test]
fn a_page_that_takes_too_long_is_halved_and_later_pages_grow_again() {
    on_each_database(&async |test: &TestApp| {
        let mut random = Random::new(1);
        let diary = Diary::with(test, Begin::Start, PageLimit { rows: 16, bytes: MANY_BYTES }).await;
        let node = Node::with(test, "node", diary.clone());
        let mut talk = Talk::new(test).await;
        node.read().await;
        let last = Diary::revs(test, talk.stream()).await.len() as i64;
        for _ in 0..60 {
            talk.say(test, &mut random).await;
        }
        diary.pages();
        diary.slow_down(8);
        node.read().await;
        let pages: Vec<usize> = diary.pages().iter().map(Vec::len).collect();
        assert_eq!(pages, [16, 8, 9, 10, 11, 12, 10], "the first one took too long");
        assert_eq!(Diary::revs(test, talk.stream()).await, (1..=last + 60).collect::<Vec<_>>(), "each row once");
        assert_eq!(parked(test).await, [], "no row is at fault");
    });
}

#[test]
fn a_row_that_takes_too_long_alone_again_and_again_parks_its_stream() {
    on_each_database(&async |test: &TestApp| {
        let mut random = Random::new(1);
        let diary = Diary::new(test).await;
        let node = Node::with(test, "node", diary.clone());
        let (mut stuck, mut other) = (Talk::new(test).await, Talk::new(test).await);
        node.read().await;
        let last = Diary::revs(test, stuck.stream()).await.len() as i64;
        let other_last = Diary::revs(test, other.stream()).await.len() as i64;
        diary.fail(stuck.stream(), last + 1, Failing::Slow);
        stuck.say(test, &mut random).await;
        other.say(test, &mut random).await;
        node.stamp().await;
        for _ in 0..2 {
            assert!(node.runner.run_round().await.is_err(), "the database may be slow");
            assert_eq!(parked(test).await, []);
        }
        assert!(matches!(node.runner.run_round().await, Ok(RoundResult::Worked { .. })));
        assert_eq!(parked(test).await, [(stuck.group.0, last + 1, 1, "parked".to_owned())]);
        node.read().await;
        assert_eq!(Diary::revs(test, other.stream()).await.len() as i64, other_last + 1, "others go on");
        super::harness::due(test).await;
        node.read().await;
        assert_eq!(parked(test).await, [(stuck.group.0, last + 1, 2, "parked".to_owned())], "it fails again");
        diary.heal();
        super::harness::due(test).await;
        node.read().await;
        assert_eq!(Diary::revs(test, stuck.stream()).await, (1..=last + 1).collect::<Vec<_>>());
        assert_eq!(parked(test).await, []);
    });
}
