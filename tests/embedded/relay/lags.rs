//! Readers that are too far behind: they are failed, and the log keeps no rows for them.

use super::harness::{DIARY_LAG, Diary, Node, Talk, cursor, parked, write};
use crate::harness::{TestApp, on_each_database};
use crate::support::{Random, eventually};
use greenroom::domain::limits;
use greenroom::domain::time::Timestamp;
use greenroom::relay;
use greenroom::relay::lag::LagWatch;
use greenroom::relay::reader::{Begin, PageLimit, Reader, RoundResult};
use greenroom::relay::retention;
use greenroom::relay::statistics::Statistics;
use std::sync::Arc;
use std::time::Duration;

const HOUR: Duration = Duration::from_hours(1);

/// The number of rows that the log has.
async fn rows(test: &TestApp) -> usize {
    test.rows("SELECT id FROM outbox").await.len()
}

async fn remove_old(test: &TestApp) -> u64 {
    retention::remove_old_rows(&test.app, Timestamp::now().plus(HOUR)).await.unwrap()
}

fn watch(diary: &Arc<Diary>) -> LagWatch {
    let readers: [Arc<dyn Reader>; 2] = [diary.clone(), Arc::new(Statistics)];
    LagWatch::new(&readers)
}

/// Restarts a failed reader, as the operator does.
async fn restart(test: &TestApp) {
    write(test, "UPDATE readers SET failed_at = NULL WHERE name = 'diary'").await;
}

#[test]
fn a_dead_reader_is_failed_after_its_lag_and_holds_no_rows_until_it_is_restarted() {
    on_each_database(&async |test: &TestApp| {
        let mut random = Random::new(1);
        let diary = Diary::new(test).await;
        let (quick, dead) = (Node::new(test, "node"), Node::with(test, "node", diary.clone()));
        let mut talk = Talk::new(test).await;
        quick.read().await;
        dead.read().await;
        remove_old(test).await;
        talk.say(test, &mut random).await;
        talk.say(test, &mut random).await;
        quick.read().await;

        let (mut watch, now) = (watch(&diary), Timestamp::now());
        for _ in 0..3 {
            assert_eq!(watch.check(&test.app, now.plus(DIARY_LAG - HOUR)).await.unwrap(), [""; 0], "it has its lag");
        }
        let late = now.plus(DIARY_LAG + HOUR);
        assert_eq!(watch.check(&test.app, late).await.unwrap(), [""; 0], "it gets time to catch up");
        assert_eq!((remove_old(test).await, rows(test).await), (0, 2));
        assert_eq!(watch.check(&test.app, late.plus(HOUR)).await.unwrap(), ["diary"]);
        assert_eq!(watch.check(&test.app, late.plus(HOUR)).await.unwrap(), [""; 0]);

        assert_eq!(dead.runner.run_round().await.unwrap(), RoundResult::Failed);
        assert_eq!((remove_old(test).await, rows(test).await), (2, 0));
        talk.say(test, &mut random).await;
        dead.stamp().await;
        let last = Diary::revs(test, talk.stream()).await.len() as i64;
        assert_eq!(dead.runner.run_round().await.unwrap(), RoundResult::Failed, "it does not skip rows by itself");

        restart(test).await;
        dead.read().await;
        let revs: Vec<i64> = (1..=last).chain([last + 3]).collect();
        assert_eq!(Diary::revs(test, talk.stream()).await, revs, "what was removed meanwhile is missing");
        assert_eq!((remove_old(test).await, rows(test).await), (0, 1), "and it counts again");
    });
}

#[test]
fn the_parked_streams_of_a_failed_reader_hold_no_rows() {
    on_each_database(&async |test: &TestApp| {
        let mut random = Random::new(1);
        let diary = Diary::new(test).await;
        let (quick, node) = (Node::new(test, "node"), Node::with(test, "node", diary.clone()));
        let mut talk = Talk::new(test).await;
        quick.read().await;
        node.read().await;
        let last = Diary::revs(test, talk.stream()).await.len() as i64;
        diary.fail(talk.stream(), last + 1, super::harness::Failing::Row);
        talk.say(test, &mut random).await;
        quick.read().await;
        node.read().await;
        assert_eq!(parked(test).await.len(), 1);
        remove_old(test).await;
        assert_eq!(rows(test).await, 1);
        write(test, "UPDATE readers SET failed_at = 1 WHERE name = 'diary'").await;
        assert_eq!((remove_old(test).await, rows(test).await), (1, 0));
        diary.heal();
        restart(test).await;
        super::harness::due(test).await;
        node.read().await;
        assert_eq!(parked(test).await, [], "a parked row that is gone is waited for no longer");
    });
}

#[test]
fn a_reader_that_comes_nearer_is_not_failed_however_far_behind_it_is() {
    on_each_database(&async |test: &TestApp| {
        let mut random = Random::new(1);
        let diary = Diary::with(test, Begin::Start, PageLimit { rows: 1, bytes: 1 }).await;
        let node = Node::with(test, "node", diary.clone());
        let mut talk = Talk::new(test).await;
        for _ in 0..5 {
            talk.say(test, &mut random).await;
        }
        Node::new(test, "node").read().await;
        // One row an hour.
        write(test, &format!("UPDATE outbox SET created_at = id * {}", HOUR.as_millis())).await;
        let (mut watch, mut now) = (watch(&diary), Timestamp(0).plus(DIARY_LAG * 2));
        while matches!(node.runner.run_round().await.unwrap(), RoundResult::Worked { .. }) {
            assert_eq!(watch.check(&test.app, now).await.unwrap(), [""; 0]);
            now = now.plus(HOUR / 2);
        }
        talk.say(test, &mut random).await;
        Node::new(test, "node").read().await;
        write(test, "UPDATE outbox SET created_at = 0").await;
        assert_eq!(watch.check(&test.app, now).await.unwrap(), [""; 0]);
        assert_eq!(watch.check(&test.app, now.plus(HOUR / 2)).await.unwrap(), ["diary"]);
    });
}

#[test]
fn a_row_of_a_reader_that_no_program_knows_does_not_hold_the_log_for_ever() {
    on_each_database(&async |test: &TestApp| {
        let (node, talk) = (Node::new(test, "node"), Talk::new(test).await);
        node.read().await;
        write(test, "INSERT INTO readers (name, cursor, updated_at) VALUES ('gone', 0, 0)").await;
        assert_eq!(remove_old(test).await, 0, "a node of another version may run it");
        let diary = Diary::new(test).await;
        let (mut watch, late) = (watch(&diary), Timestamp::now().plus(limits::UNKNOWN_READER_LAG + HOUR));
        assert_eq!(watch.check(&test.app, late).await.unwrap(), [""; 0]);
        assert_eq!(watch.check(&test.app, late.plus(HOUR)).await.unwrap(), ["gone"]);
        assert!(remove_old(test).await > 0);
        assert_eq!(rows(test).await, 0, "{:?}", talk.stream());
        assert!(cursor(test, "statistics").await > 0);
    });
}

#[test]
fn a_failed_reader_is_named_until_the_operator_restarts_it() {
    on_each_database(&async |test: &TestApp| {
        let diary = Diary::new(test).await;
        let relay = relay::start_with(&test.app, vec![diary.clone()], Vec::new());
        let talk = Talk::new(test).await;
        let read = async || Diary::revs(test, talk.stream()).await.len();
        eventually("it reads", async || read().await > 0).await;
        let failing = || test.app.supervision().failing().contains(&"reader diary".to_owned());
        assert!(!failing());
        write(test, "UPDATE readers SET failed_at = 1 WHERE name = 'diary'").await;
        let before = read().await;
        test.send(crate::harness::TestSend::new(talk.group, &talk.users[0], "hello")).await.unwrap();
        eventually("it is named", async || failing()).await;
        assert_eq!(read().await, before);
        restart(test).await;
        eventually("it reads again", async || read().await == before + 1 && !failing()).await;
        relay.stop().await;
    });
}
