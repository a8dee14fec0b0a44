//! A reader whose pages time out parks no stream: it tries the rows again until they succeed, and `/health` names it.

use super::harness::{Counts, Failure, Node, RecordingReader, TestGroup, cursor, end_pauses, is_failing, list_parked};
use crate::harness::{TestApp, on_each_database, on_postgres};
use crate::support::{Random, eventually};
use greenroom::domain::limits;
use greenroom::relay;
use greenroom::relay::failures::MAX_ATTEMPTS;
use greenroom::relay::reader::RoundResult;
use greenroom::store::db::write_queue::ServerWriter;
use sea_orm::{ConnectionTrait, TransactionTrait};
use std::time::Duration;

#[test]
fn a_row_that_takes_too_long_alone_parks_no_stream() {
    on_each_database(&async |test: &TestApp| {
        let mut random = Random::new(1);
        let reader = RecordingReader::new(test).await;
        let node = Node::with(test, "node", reader.clone());
        let (mut slow, mut other) = (TestGroup::new(test).await, TestGroup::new(test).await);
        node.read().await;
        let last = RecordingReader::revs(test, slow.stream()).await.len() as i64;
        let position_before = cursor(test, "recording").await;
        reader.fail(slow.stream(), last + 1, Failure::Slow);
        slow.send(test, &mut random).await;
        other.send(test, &mut random).await;
        node.raise_floor().await;
        for _ in 0..MAX_ATTEMPTS + 3 {
            assert!(node.runner.run_round().await.is_err(), "the database may be slow");
            assert_eq!((cursor(test, "recording").await, list_parked(test).await), (position_before, vec![]));
        }
        reader.stop_failing();
        node.read().await;
        assert_eq!(RecordingReader::revs(test, slow.stream()).await, (1..=last + 1).collect::<Vec<_>>());
    });
}

#[test]
fn a_timeout_is_no_attempt_at_a_parked_row() {
    on_each_database(&async |test: &TestApp| {
        let mut random = Random::new(1);
        let reader = RecordingReader::new(test).await;
        let node = Node::with(test, "node", reader.clone());
        let mut group = TestGroup::new(test).await;
        node.read().await;
        let last = RecordingReader::revs(test, group.stream()).await.len() as i64;
        reader.fail(group.stream(), last + 1, Failure::Row);
        group.send(test, &mut random).await;
        group.send(test, &mut random).await;
        node.read().await;
        reader.fail(group.stream(), last + 1, Failure::Slow);
        for _ in 0..MAX_ATTEMPTS + 3 {
            end_pauses(test).await;
            assert!(node.runner.run_round().await.is_err());
            assert_eq!(list_parked(test).await, [(group.id.0, last + 1, 1, "parked".to_owned())]);
        }
        reader.stop_failing();
        end_pauses(test).await;
        node.read().await;
        assert_eq!(RecordingReader::revs(test, group.stream()).await, (1..=last + 2).collect::<Vec<_>>());
        assert_eq!(list_parked(test).await, []);
    });
}

#[test]
fn a_parked_row_that_takes_too_long_does_not_delay_other_streams() {
    on_each_database(&async |test: &TestApp| {
        let mut random = Random::new(1);
        let reader = RecordingReader::new(test).await;
        let node = Node::with(test, "node", reader.clone());
        let (mut slow, mut other) = (TestGroup::new(test).await, TestGroup::new(test).await);
        node.read().await;
        let last = RecordingReader::revs(test, slow.stream()).await.len() as i64;
        reader.fail(slow.stream(), last + 1, Failure::Row);
        slow.send(test, &mut random).await;
        node.read().await;
        reader.fail(slow.stream(), last + 1, Failure::Slow);
        end_pauses(test).await;
        assert!(node.runner.run_round().await.is_err());
        let before = RecordingReader::revs(test, other.stream()).await.len();
        other.send(test, &mut random).await;
        node.read().await;
        assert!(RecordingReader::revs(test, other.stream()).await.len() > before, "the next rounds read on");
        assert_eq!(list_parked(test).await, [(slow.id.0, last + 1, 1, "parked".to_owned())]);
    });
}

#[test]
fn a_reader_is_named_while_its_pages_time_out() {
    on_each_database(&async |test: &TestApp| {
        let reader = RecordingReader::new(test).await;
        let mut group = TestGroup::new(test).await;
        reader.fail(group.stream(), 1, Failure::Slow);
        let relay = relay::start_with(&test.app, vec![reader.clone()], Vec::new());
        group.send(test, &mut Random::new(1)).await;
        eventually("the reader is named", async || is_failing(test, "reader recording")).await;
        assert_eq!(list_parked(test).await, []);
        reader.stop_failing();
        eventually("the reader reads", async || {
            !is_failing(test, "reader recording") && !RecordingReader::revs(test, group.stream()).await.is_empty()
        })
        .await;
        relay.stop().await;
    });
}

#[test]
fn a_table_that_another_session_locks_parks_no_stream() {
    on_postgres(&async |test: &TestApp| {
        let node = Node::new(test, "node");
        let mut group = TestGroup::new(test).await;
        node.read().await;
        let other = test.connection().await.begin().await.unwrap();
        other.execute_unprepared("LOCK TABLE conversation_statistics").await.unwrap();
        group.send(test, &mut Random::new(1)).await;
        node.raise_floor().await;
        for _ in 0..4 {
            assert!(node.runner.run_round().await.is_err(), "the reader cannot get the lock");
            assert_eq!(list_parked(test).await, []);
        }
        other.rollback().await.unwrap();
        node.read().await;
        Counts::check(test).await;
    });
}

#[test]
fn the_wait_for_the_write_turn_is_no_part_of_the_deadline_of_a_page() {
    on_each_database(&async |test: &TestApp| {
        let node = Node::new(test, "node");
        let mut group = TestGroup::new(test).await;
        node.read().await;
        group.send(test, &mut Random::new(1)).await;
        node.raise_floor().await;
        let turn = test.app.db().take_server_turn(ServerWriter::System).await;
        let (round, ()) = tokio::join!(node.runner.run_round(), async {
            tokio::time::sleep(limits::TRANSACTION_TIMEOUT + Duration::from_secs(1)).await;
            drop(turn);
        });
        assert!(matches!(round, Ok(RoundResult::Worked { .. })), "{round:?}");
        Counts::check(test).await;
    });
}
