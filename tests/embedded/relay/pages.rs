//! The pages of a reader: where the first page begins, how large pages are, and what a page that takes too long causes.

use super::harness::{Node, RecordingReader, TestGroup, check_order, cursor, list_parked};
use crate::harness::{TestApp, TestSend, on_each_database};
use crate::support::Random;
use greenroom::relay::reader::{Begin, PageLimit};

/// A limit in bytes that no test reaches.
const MANY_BYTES: u64 = 1 << 30;

#[test]
fn a_reader_begins_at_the_start_or_after_the_rows_that_exist() {
    on_each_database(&async |test: &TestApp| {
        let mut random = Random::new(1);
        let limit = PageLimit { rows: 1000, bytes: MANY_BYTES };
        let reader = RecordingReader::with(test, Begin::Now, limit).await;
        let node = Node::with(test, "node", reader);
        let (mut group, statistics) = (TestGroup::new(test).await, Node::new(test, "node"));
        group.send(test, &mut random).await;
        statistics.read().await;
        let position_before = cursor(test, "statistics").await;
        assert!(position_before > 0, "the statistics begin at the start");
        node.read().await;
        assert_eq!(cursor(test, "recording").await, position_before);
        assert_eq!(
            RecordingReader::revs(test, group.stream()).await,
            Vec::<i64>::new(),
            "the reader got rows from before its start"
        );
        group.send(test, &mut random).await;
        group.send(test, &mut random).await;
        node.read().await;
        let revs = RecordingReader::revs(test, group.stream()).await;
        assert_eq!(revs.len(), 2);
        // A reader that has a cursor continues there, and `Begin::Now` does not apply again.
        let node = Node::with(test, "other", RecordingReader::reopen(Begin::Now, limit));
        super::harness::expire_leases(test).await;
        group.send(test, &mut random).await;
        node.read().await;
        assert_eq!(RecordingReader::revs(test, group.stream()).await.len(), 3);
    });
}

#[test]
fn a_page_is_bounded_in_bytes() {
    on_each_database(&async |test: &TestApp| {
        let reader = RecordingReader::with(test, Begin::Start, PageLimit { rows: 1000, bytes: 20_000 }).await;
        let node = Node::with(test, "node", reader.clone());
        let group = TestGroup::new(test).await;
        node.read().await;
        reader.take_pages();
        for _ in 0..10 {
            test.send(TestSend::new(group.id, &group.users[0], "x".repeat(9_000))).await.unwrap();
        }
        node.read().await;
        let pages: Vec<usize> = reader.take_pages().iter().map(Vec::len).collect();
        assert_eq!(pages, [3, 3, 3, 1], "a page ends with the row that reaches the limit");
        check_order(test).await;
    });
}

#[test]
fn a_page_that_takes_too_long_is_halved_and_later_pages_grow_again() {
    on_each_database(&async |test: &TestApp| {
        let mut random = Random::new(1);
        let reader = RecordingReader::with(test, Begin::Start, PageLimit { rows: 16, bytes: MANY_BYTES }).await;
        let node = Node::with(test, "node", reader.clone());
        let mut group = TestGroup::new(test).await;
        node.read().await;
        let last = RecordingReader::revs(test, group.stream()).await.len() as i64;
        for _ in 0..60 {
            group.send(test, &mut random).await;
        }
        reader.take_pages();
        reader.slow_down(8);
        node.raise_floor().await;
        assert!(node.runner.run_round().await.is_err(), "the first page took too long");
        node.read().await;
        let pages: Vec<usize> = reader.take_pages().iter().map(Vec::len).collect();
        assert_eq!(pages, [16, 8, 9, 10, 11, 12, 10]);
        assert_eq!(
            RecordingReader::revs(test, group.stream()).await,
            (1..=last + 60).collect::<Vec<_>>(),
            "each row is processed once"
        );
        assert_eq!(list_parked(test).await, [], "a stream was parked");
    });
}
