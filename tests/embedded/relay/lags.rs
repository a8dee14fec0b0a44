//! Readers that are too far behind become failed readers, for which the log keeps no rows.

use super::harness::{Node, RECORDING_LAG, RecordingReader, TestGroup, cursor, list_parked, write};
use crate::harness::{TestApp, on_each_database};
use crate::support::{Random, eventually};
use greenroom::domain::limits;
use greenroom::domain::time::Timestamp;
use greenroom::relay;
use greenroom::relay::lag::LagWatch;
use greenroom::relay::reader::{Begin, PageLimit, Reader, RoundResult};
use greenroom::relay::statistics::Statistics;
use std::sync::Arc;
use std::time::Duration;

const HOUR: Duration = Duration::from_hours(1);

/// Returns the number of rows in the log.
async fn count_rows(test: &TestApp) -> usize {
    test.rows("SELECT id FROM outbox").await.len()
}

async fn remove_old_rows(test: &TestApp) -> u64 {
    super::harness::remove_old_rows(test, Timestamp::now().plus(HOUR)).await
}

fn watch(reader: &Arc<RecordingReader>) -> LagWatch {
    let readers: [Arc<dyn Reader>; 2] = [reader.clone(), Arc::new(Statistics)];
    LagWatch::new(&readers)
}

/// Restarts a failed reader, as the operator does.
async fn restart(test: &TestApp) {
    write(test, "UPDATE readers SET failed_at = NULL WHERE name = 'recording'").await;
}

#[test]
fn a_reader_that_does_not_run_is_failed_after_its_maximum_lag_and_keeps_no_rows_until_its_restart() {
    on_each_database(&async |test: &TestApp| {
        let mut random = Random::new(1);
        let reader = RecordingReader::new(test).await;
        let (quick, stopped) = (Node::new(test, "node"), Node::with(test, "node", reader.clone()));
        let mut group = TestGroup::new(test).await;
        quick.read().await;
        stopped.read().await;
        remove_old_rows(test).await;
        group.send(test, &mut random).await;
        group.send(test, &mut random).await;
        quick.read().await;

        let (mut watch, now) = (watch(&reader), Timestamp::now());
        for _ in 0..3 {
            assert_eq!(
                watch.check(&test.app, now.plus(RECORDING_LAG.saturating_sub(HOUR))).await.unwrap(),
                [""; 0],
                "the lag is below the maximum"
            );
        }
        let late = now.plus(RECORDING_LAG + HOUR);
        assert_eq!(watch.check(&test.app, late).await.unwrap(), [""; 0], "the reader gets time to catch up");
        assert_eq!((remove_old_rows(test).await, count_rows(test).await), (0, 2));
        assert_eq!(watch.check(&test.app, late.plus(HOUR)).await.unwrap(), ["recording"]);
        assert_eq!(watch.check(&test.app, late.plus(HOUR)).await.unwrap(), [""; 0]);

        assert_eq!(stopped.runner.run_round().await.unwrap(), RoundResult::Failed);
        assert_eq!((remove_old_rows(test).await, count_rows(test).await), (2, 0));
        group.send(test, &mut random).await;
        stopped.raise_floor().await;
        let last = RecordingReader::revs(test, group.stream()).await.len() as i64;
        assert_eq!(
            stopped.runner.run_round().await.unwrap(),
            RoundResult::Failed,
            "a failed reader does not continue by itself"
        );

        restart(test).await;
        stopped.read().await;
        let revs: Vec<i64> = (1..=last).chain([last + 3]).collect();
        assert_eq!(
            RecordingReader::revs(test, group.stream()).await,
            revs,
            "the reader misses only the rows that were removed"
        );
        assert_eq!(
            (remove_old_rows(test).await, count_rows(test).await),
            (0, 1),
            "retention waits for the reader again"
        );
    });
}

#[test]
fn the_parked_streams_of_a_failed_reader_keep_no_rows() {
    on_each_database(&async |test: &TestApp| {
        let mut random = Random::new(1);
        let reader = RecordingReader::new(test).await;
        let (quick, node) = (Node::new(test, "node"), Node::with(test, "node", reader.clone()));
        let mut group = TestGroup::new(test).await;
        quick.read().await;
        node.read().await;
        let last = RecordingReader::revs(test, group.stream()).await.len() as i64;
        reader.fail(group.stream(), last + 1, super::harness::Failure::Row);
        group.send(test, &mut random).await;
        quick.read().await;
        node.read().await;
        assert_eq!(list_parked(test).await.len(), 1);
        remove_old_rows(test).await;
        assert_eq!(count_rows(test).await, 1);
        write(test, "UPDATE readers SET failed_at = 1 WHERE name = 'recording'").await;
        assert_eq!((remove_old_rows(test).await, count_rows(test).await), (1, 0));
        reader.stop_failing();
        restart(test).await;
        super::harness::end_pauses(test).await;
        node.read().await;
        assert_eq!(list_parked(test).await, [], "the reader no longer waits for a parked row that was removed");
    });
}

#[test]
fn a_reader_that_catches_up_is_not_failed_however_far_behind_it_is() {
    on_each_database(&async |test: &TestApp| {
        let mut random = Random::new(1);
        let reader = RecordingReader::with(test, Begin::Start, PageLimit { rows: 1, bytes: 1 }).await;
        let node = Node::with(test, "node", reader.clone());
        let mut group = TestGroup::new(test).await;
        for _ in 0..5 {
            group.send(test, &mut random).await;
        }
        Node::new(test, "node").read().await;
        // The log gets one row an hour.
        write(test, &format!("UPDATE outbox SET created_at = id * {}", HOUR.as_millis())).await;
        let (mut watch, mut now) = (watch(&reader), Timestamp(0).plus(RECORDING_LAG * 2));
        node.raise_floor().await;
        while matches!(node.runner.run_round().await.unwrap(), RoundResult::Worked { .. }) {
            assert_eq!(watch.check(&test.app, now).await.unwrap(), [""; 0]);
            now = now.plus(HOUR / 2);
        }
        group.send(test, &mut random).await;
        Node::new(test, "node").read().await;
        write(test, "UPDATE outbox SET created_at = 0").await;
        assert_eq!(watch.check(&test.app, now).await.unwrap(), [""; 0]);
        assert_eq!(watch.check(&test.app, now.plus(HOUR / 2)).await.unwrap(), ["recording"]);
    });
}

#[test]
fn a_reader_with_many_rows_of_the_same_time_catches_up() {
    on_each_database(&async |test: &TestApp| {
        let mut random = Random::new(1);
        let reader = RecordingReader::with(test, Begin::Start, PageLimit { rows: 1, bytes: 1 }).await;
        let node = Node::with(test, "node", reader.clone());
        let mut group = TestGroup::new(test).await;
        for _ in 0..5 {
            group.send(test, &mut random).await;
        }
        Node::new(test, "node").read().await;
        write(test, "UPDATE outbox SET created_at = 0").await;
        let (mut watch, mut now) = (watch(&reader), Timestamp(0).plus(RECORDING_LAG * 2));
        node.raise_floor().await;
        while matches!(node.runner.run_round().await.unwrap(), RoundResult::Worked { .. }) {
            assert_eq!(watch.check(&test.app, now).await.unwrap(), [""; 0]);
            now = now.plus(HOUR);
        }
    });
}

#[test]
fn an_unknown_reader_does_not_keep_log_rows_for_ever() {
    on_each_database(&async |test: &TestApp| {
        let (node, group) = (Node::new(test, "node"), TestGroup::new(test).await);
        node.read().await;
        write(test, "INSERT INTO readers (name, cursor, updated_at) VALUES ('gone', 0, 0)").await;
        assert_eq!(remove_old_rows(test).await, 0, "a node of another version may run it");
        let reader = RecordingReader::new(test).await;
        let (mut watch, late) = (watch(&reader), Timestamp::now().plus(limits::UNKNOWN_READER_LAG + HOUR));
        assert_eq!(watch.check(&test.app, late).await.unwrap(), [""; 0]);
        assert_eq!(watch.check(&test.app, late.plus(HOUR)).await.unwrap(), ["gone"]);
        assert!(remove_old_rows(test).await > 0);
        assert_eq!(count_rows(test).await, 0, "{:?}", group.stream());
        assert!(cursor(test, "statistics").await > 0);
    });
}

#[test]
fn a_failed_reader_is_named_until_the_operator_restarts_it() {
    on_each_database(&async |test: &TestApp| {
        let reader = RecordingReader::new(test).await;
        let relay = relay::start_with(&test.app, vec![reader.clone()], Vec::new());
        let group = TestGroup::new(test).await;
        let read = async || RecordingReader::revs(test, group.stream()).await.len();
        eventually("the reader reads", async || read().await > 0).await;
        let failing = || test.app.supervision().failing().contains(&"reader recording".to_owned());
        assert!(!failing());
        write(test, "UPDATE readers SET failed_at = 1 WHERE name = 'recording'").await;
        let before = read().await;
        test.send(crate::harness::TestSend::new(group.id, &group.users[0], "hello")).await.unwrap();
        eventually("the failed reader is named", async || failing()).await;
        assert_eq!(read().await, before);
        restart(test).await;
        eventually("the reader reads again", async || read().await == before + 1 && !failing()).await;
        relay.stop().await;
    });
}
