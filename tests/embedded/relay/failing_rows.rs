//! A row that a reader cannot process parks the stream of the row for this reader. Other streams and other readers
//! continue.

use super::harness::{Failure, Node, RecordingReader, TestGroup, check_order, cursor, end_pauses, list_parked, write};
use crate::harness::{TestApp, on_each_database};
use crate::support::Random;
use greenroom::relay::failures::MAX_ATTEMPTS;
use std::sync::Arc;

/// Returns a node, two groups of which the recording reader has read everything, and the last revision of the first
/// one.
async fn start_reading(test: &TestApp, reader: &Arc<RecordingReader>) -> (Node, TestGroup, TestGroup, i64) {
    let node = Node::with(test, "node", reader.clone());
    let (stuck, other) = (TestGroup::new(test).await, TestGroup::new(test).await);
    node.read().await;
    let last = *RecordingReader::revs(test, stuck.stream()).await.last().unwrap();
    (node, stuck, other, last)
}

#[test]
fn a_failing_row_parks_its_stream_until_it_succeeds() {
    on_each_database(&async |test: &TestApp| {
        let mut random = Random::new(1);
        let reader = RecordingReader::new(test).await;
        let (node, mut stuck, mut other, mut last) = start_reading(test, &reader).await;
        for failure in [Failure::Row, Failure::Data] {
            let other_last = RecordingReader::revs(test, other.stream()).await.len() as i64;
            reader.fail(stuck.stream(), last + 2, failure);
            for _ in 0..4 {
                stuck.send(test, &mut random).await;
                other.send(test, &mut random).await;
            }
            node.read().await;
            let up_to = |last: i64| (1..=last).collect::<Vec<_>>();
            assert_eq!(
                RecordingReader::revs(test, other.stream()).await,
                up_to(other_last + 4),
                "the other stream continues"
            );
            assert_eq!(RecordingReader::revs(test, stuck.stream()).await, up_to(last + 1), "the parked stream waits");
            assert_eq!(list_parked(test).await, [(stuck.id.0, last + 2, 1, "parked".to_owned())]);
            // The stream waits for the end of its pause. Later rows of the stream wait with it.
            stuck.send(test, &mut random).await;
            node.read().await;
            assert_eq!(RecordingReader::revs(test, stuck.stream()).await, up_to(last + 1));

            end_pauses(test).await;
            node.read().await;
            assert_eq!(
                list_parked(test).await,
                [(stuck.id.0, last + 2, 2, "parked".to_owned())],
                "the row fails again"
            );
            // A later row of the stream fails too.
            reader.stop_failing();
            reader.fail(stuck.stream(), last + 4, failure);
            end_pauses(test).await;
            node.read().await;
            assert_eq!(RecordingReader::revs(test, stuck.stream()).await, up_to(last + 3));
            assert_eq!(list_parked(test).await, [(stuck.id.0, last + 4, 2, "parked".to_owned())]);
            reader.stop_failing();
            end_pauses(test).await;
            node.read().await;
            assert_eq!(RecordingReader::revs(test, stuck.stream()).await, up_to(last + 5));
            assert_eq!(list_parked(test).await, []);
            last += 5;
            stuck.send(test, &mut random).await;
            node.read().await;
            last += 1;
            assert_eq!(RecordingReader::revs(test, stuck.stream()).await, up_to(last), "the stream continues");
        }
        check_order(test).await;
    });
}

#[test]
fn a_row_that_never_succeeds_is_given_up_and_can_be_tried_again() {
    on_each_database(&async |test: &TestApp| {
        let mut random = Random::new(1);
        let reader = RecordingReader::new(test).await;
        let (node, mut stuck, mut other, last) = start_reading(test, &reader).await;
        reader.fail(stuck.stream(), last + 1, Failure::Row);
        stuck.send(test, &mut random).await;
        stuck.send(test, &mut random).await;
        for attempt in 1..=MAX_ATTEMPTS + 3 {
            end_pauses(test).await;
            node.read().await;
            let status = if attempt < MAX_ATTEMPTS { "parked" } else { "failed" };
            assert_eq!(list_parked(test).await, [(stuck.id.0, last + 1, attempt.min(MAX_ATTEMPTS), status.to_owned())]);
        }
        other.send(test, &mut random).await;
        stuck.send(test, &mut random).await;
        reader.stop_failing();
        end_pauses(test).await;
        node.read().await;
        assert_eq!(
            RecordingReader::revs(test, stuck.stream()).await.len() as i64,
            last,
            "the reader does not try the row again"
        );
        write(test, "UPDATE reader_failures SET status = 'parked', attempts = 1").await;
        node.read().await;
        assert_eq!(RecordingReader::revs(test, stuck.stream()).await, (1..=last + 3).collect::<Vec<_>>());
        assert_eq!(list_parked(test).await, []);
    });
}

#[test]
fn an_unavailable_database_parks_no_stream() {
    on_each_database(&async |test: &TestApp| {
        let mut random = Random::new(1);
        let reader = RecordingReader::new(test).await;
        let (node, mut stuck, _, last) = start_reading(test, &reader).await;
        let position_before = cursor(test, "recording").await;
        reader.fail(stuck.stream(), last + 2, Failure::DatabaseDown);
        for _ in 0..3 {
            stuck.send(test, &mut random).await;
        }
        node.raise_floor().await;
        for _ in 0..3 {
            assert!(node.runner.run_round().await.is_err());
            assert_eq!((cursor(test, "recording").await, list_parked(test).await), (position_before, vec![]));
        }
        reader.stop_failing();
        node.read().await;
        assert_eq!(RecordingReader::revs(test, stuck.stream()).await, (1..=last + 3).collect::<Vec<_>>());
    });
}
