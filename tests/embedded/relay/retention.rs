//! Retention: which rows stay in the log, and which rows are removed.

use super::harness::{
    Counts, Failure, Node, RECORDING_LAG, RecordingReader, TestGroup, end_pauses, list_parked, remove_old_rows, write,
};
use crate::harness::{TestApp, on_each_database};
use crate::support::Random;
use crate::support::{TestServer, eventually};
use greenroom::domain::time::Timestamp;
use serde_json::json;
use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracing::subscriber::DefaultGuard;

/// Returns the revisions of a group that are in the log.
async fn logged_revs(test: &TestApp, group: &TestGroup) -> Vec<i64> {
    let id = test.id_literal(group.id);
    let rows = test.rows(&format!("SELECT rev FROM outbox WHERE stream_id = {id} ORDER BY rev")).await;
    rows.iter().map(|row| row.try_get("", "rev").unwrap()).collect()
}

/// Returns the id of the log row of an event of a group.
async fn row_id(test: &TestApp, group: &TestGroup, rev: i64) -> i64 {
    let stream = test.id_literal(group.id);
    let query = format!("SELECT id FROM outbox WHERE stream_id = {stream} AND rev = {rev}");
    test.rows(&query).await[0].try_get("", "id").unwrap()
}

/// The lines that are logged on one thread.
#[derive(Clone, Default)]
struct LogText(Arc<Mutex<Vec<u8>>>);

impl LogText {
    /// Collects the lines until the result is dropped.
    fn collect(&self) -> DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || log.clone()).finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for LogText {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Returns a time after all commits of the test.
fn future() -> Timestamp {
    Timestamp::now().plus(Duration::from_hours(1))
}

#[test]
fn old_rows_are_removed_up_to_the_position_of_the_slowest_reader() {
    on_each_database(&async |test: &TestApp| {
        let mut random = Random::new(1);
        let reader = RecordingReader::new(test).await;
        let (quick, slow) = (Node::new(test, "node"), Node::with(test, "node", reader.clone()));
        let mut group = TestGroup::new(test).await;
        quick.read().await;
        slow.read().await;
        let last = *logged_revs(test, &group).await.last().unwrap();
        for _ in 0..3 {
            group.send(test, &mut random).await;
        }
        quick.read().await;
        assert_eq!(remove_old_rows(test, Timestamp(0)).await, 0, "no row is as old as that");
        assert!(remove_old_rows(test, future()).await > 0);
        assert_eq!(
            logged_revs(test, &group).await,
            [last + 1, last + 2, last + 3],
            "one reader has not read these rows"
        );
        slow.read().await;
        assert_eq!(RecordingReader::revs(test, group.stream()).await, (1..=last + 3).collect::<Vec<_>>());
        group.send(test, &mut random).await;
        assert_eq!(remove_old_rows(test, future()).await, 3, "rows that no reader has read stay");
        assert_eq!(logged_revs(test, &group).await, [last + 4]);
        quick.read().await;
        slow.read().await;
        Counts::check(test).await;
        assert_eq!(RecordingReader::revs(test, group.stream()).await, (1..=last + 4).collect::<Vec<_>>());
    });
}

#[test]
fn the_rows_that_a_parked_stream_waits_for_are_kept_at_first() {
    on_each_database(&async |test: &TestApp| {
        let mut random = Random::new(1);
        let reader = RecordingReader::new(test).await;
        let (quick, node) = (Node::new(test, "node"), Node::with(test, "node", reader.clone()));
        let (mut stuck, mut other) = (TestGroup::new(test).await, TestGroup::new(test).await);
        let last = *logged_revs(test, &stuck).await.last().unwrap();
        reader.fail(stuck.stream(), last + 2, Failure::Row);
        for _ in 0..3 {
            stuck.send(test, &mut random).await;
            other.send(test, &mut random).await;
        }
        for status in ["parked", "failed"] {
            quick.read().await;
            node.read().await;
            write(test, &format!("UPDATE reader_failures SET status = '{status}'")).await;
            remove_old_rows(test, future()).await;
            assert_eq!(logged_revs(test, &stuck).await, [last + 2, last + 3], "{status}");
            assert_eq!(logged_revs(test, &other).await, Vec::<i64>::new());
        }
        write(test, "UPDATE reader_failures SET status = 'parked'").await;
        reader.stop_failing();
        end_pauses(test).await;
        node.read().await;
        assert_eq!(RecordingReader::revs(test, stuck.stream()).await, (1..=last + 3).collect::<Vec<_>>());
        remove_old_rows(test, future()).await;
        assert_eq!(logged_revs(test, &stuck).await, Vec::<i64>::new());
    });
}

#[test]
fn a_parked_stream_keeps_its_rows_no_longer_than_the_lag_of_its_reader() {
    for status in ["parked", "failed"] {
        on_each_database(&async |test: &TestApp| {
            let mut random = Random::new(1);
            let reader = RecordingReader::new(test).await;
            let (quick, node) = (Node::new(test, "node"), Node::with(test, "node", reader.clone()));
            let mut stuck = TestGroup::new(test).await;
            let last = *logged_revs(test, &stuck).await.last().unwrap();
            reader.fail(stuck.stream(), last + 1, Failure::Row);
            stuck.send(test, &mut random).await;
            stuck.send(test, &mut random).await;
            quick.read().await;
            node.read().await;
            write(test, &format!("UPDATE reader_failures SET status = '{status}'")).await;
            let set_age = async |age: Duration| {
                let at = Timestamp::now().minus(age).0;
                write(test, &format!("UPDATE outbox SET created_at = {at} WHERE rev = {}", last + 1)).await;
            };
            let hour = Duration::from_hours(1);
            set_age(RECORDING_LAG.saturating_sub(hour)).await;
            remove_old_rows(test, future()).await;
            assert_eq!(logged_revs(test, &stuck).await, [last + 1, last + 2], "{status}: the reader has time");
            set_age(RECORDING_LAG + hour).await;
            let position = row_id(test, &stuck, last + 1).await;
            let log = LogText::default();
            let logging = log.collect();
            remove_old_rows(test, future()).await;
            drop(logging);
            let log = log.text();
            for part in ["WARN", "reader=\"recording\"", &stuck.id.to_string(), &format!("position={position}")] {
                assert!(log.contains(part), "{part:?} is not in {log:?}");
            }
            assert_eq!(logged_revs(test, &stuck).await, Vec::<i64>::new(), "{status}");

            // The stream continues with the rows that the log still has.
            stuck.send(test, &mut random).await;
            write(test, "UPDATE reader_failures SET status = 'parked'").await;
            reader.stop_failing();
            end_pauses(test).await;
            node.read().await;
            let revs: Vec<i64> = (1..=last).chain([last + 3]).collect();
            assert_eq!(RecordingReader::revs(test, stuck.stream()).await, revs);
            assert_eq!(list_parked(test).await, []);
        });
    }
}

#[test]
fn the_newest_seen_row_stays_known_after_its_removal() {
    on_each_database(&async |test: &TestApp| {
        let reads = Arc::new(AtomicU32::new(0));
        let count = reads.clone();
        test.app.db().observe(move |statement, _| {
            count.fetch_add(u32::from(statement.sql.contains("AS epoch")), Ordering::Relaxed);
        });
        let node = Node::new(test, "node");
        let group = TestGroup::new(test).await;
        node.read().await;
        let newest = async || test.rows("SELECT max(id) AS id FROM outbox").await[0].try_get("", "id").unwrap();
        let (known, last) = (|| test.app.db().history().newest_row(), newest().await);
        eventually("the newest row is seen", async || Some(known().id) == last).await;
        let seen = known();
        remove_old_rows(test, future()).await;
        assert_eq!((newest().await, logged_revs(test, &group).await), (None, Vec::new()));
        let before = reads.load(Ordering::Relaxed);
        eventually("the empty log is read", async || reads.load(Ordering::Relaxed) > before + 1).await;
        assert_eq!(known(), seen, "the newest row distinguishes this history from an older one");
    });
}

#[test]
fn many_rows_are_removed_in_small_steps() {
    on_each_database(&async |test: &TestApp| {
        let node = Node::new(test, "node");
        let group = TestGroup::new(test).await;
        let (id, from) = (test.id_literal(group.id), logged_revs(test, &group).await.len());
        let numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1700)";
        let rows = format!(
            "{numbers} INSERT INTO outbox (stream_kind, stream_id, rev, event_type, payload, created_at)
             SELECT 0, {id}, {from} + i, 'test', '{{}}', CASE WHEN i <= 1300 THEN 1 ELSE 3 END FROM n"
        );
        test.run(&rows).await;
        test.run("UPDATE outbox SET created_at = 0 WHERE created_at > 3").await;
        node.read().await;
        remove_old_rows(test, Timestamp(2)).await;
        assert_eq!(logged_revs(test, &group).await.len(), 400, "the younger rows stay");
    });
}

#[tokio::test]
async fn a_client_whose_revision_is_older_than_the_log_is_reset() {
    let mut server = TestServer::builder().set("GREENROOM_LOG_RETENTION_DAYS", "1").start().await;
    let (anne, beno) = (server.user("anne").await, server.user("beno").await);
    let group = anne.group("group", &[&beno]).await;
    let from = anne.conversation(&group).await["last_rev"].as_i64().unwrap();
    anne.send(&group, "one").await;
    anne.send(&group, "two").await;
    let stats = format!("/conversations/{group}/stats");
    eventually("the messages are counted", async || anne.get(&stats).await.expect(200)["messages"] == 2).await;
    server.kill();
    server.sql("UPDATE outbox SET created_at = 1").await;
    server.restart().await;
    anne.send(&group, "three").await;
    let last = anne.conversation(&group).await["last_rev"].as_i64().unwrap();
    eventually("the old rows are removed, and clients that lack them are reset", async || {
        let mut socket = beno.connect_unsubscribed().await;
        let id = socket.start("sync", json!({ "conversations": { &group: from } }));
        let frames = socket.frames_until("sync.done", |frame| frame["id"] == id.as_str()).await;
        let reset = frames.iter().find(|frame| frame["type"] == "sync.reset");
        reset.is_some_and(|frame| frame["payload"] == json!({ "conversation_id": group, "last_rev": last }))
    })
    .await;
    let mut socket = beno.connect_unsubscribed().await;
    let id = socket.start("sync", json!({ "conversations": { &group: last - 1 } }));
    let frames = socket.frames_until("sync.done", |frame| frame["id"] == id.as_str()).await;
    assert!(
        frames.iter().any(|frame| frame["type"] == "message.new"),
        "the young rows are still in the log: {frames:?}"
    );
    assert!(!frames.iter().any(|frame| frame["type"] == "sync.reset"));
    eventually("each message is counted once", async || anne.get(&stats).await.expect(200)["messages"] == 3).await;
    server.stop().await;
}
