//! The retention: which rows stay in the log, and which are removed.

use super::harness::{Counts, Diary, Failing, Node, Talk, due, write};
use crate::harness::{TestApp, on_each_database};
use crate::support::Random;
use crate::support::{TestServer, eventually};
use greenroom::domain::time::Timestamp;
use greenroom::relay::retention;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Returns the revisions of a group that are in the log.
async fn logged_revs(test: &TestApp, talk: &Talk) -> Vec<i64> {
    let id = test.id_literal(talk.group);
    let rows = test.rows(&format!("SELECT rev FROM outbox WHERE stream_id = {id} ORDER BY rev")).await;
    rows.iter().map(|row| row.try_get("", "rev").unwrap()).collect()
}

/// Returns a time after all that has happened.
fn future() -> Timestamp {
    Timestamp::now().plus(std::time::Duration::from_hours(1))
}

#[test]
fn what_is_old_goes_as_far_as_the_slowest_reader_has_come() {
    on_each_database(&async |test: &TestApp| {
        let mut random = Random::new(1);
        let diary = Diary::new(test).await;
        let (quick, slow) = (Node::new(test, "node"), Node::with(test, "node", diary.clone()));
        let mut talk = Talk::new(test).await;
        quick.read().await;
        slow.read().await;
        let last = *logged_revs(test, &talk).await.last().unwrap();
        for _ in 0..3 {
            talk.say(test, &mut random).await;
        }
        quick.read().await;
        assert_eq!(retention::remove_old_rows(&test.app, Timestamp(0)).await.unwrap(), 0, "nothing is as old as that");
        assert!(retention::remove_old_rows(&test.app, future()).await.unwrap() > 0);
        assert_eq!(logged_revs(test, &talk).await, [last + 1, last + 2, last + 3], "one reader has not been here");
        slow.read().await;
        assert_eq!(Diary::revs(test, talk.stream()).await, (1..=last + 3).collect::<Vec<_>>());
        talk.say(test, &mut random).await;
        assert_eq!(
            retention::remove_old_rows(&test.app, future()).await.unwrap(),
            3,
            "rows that no reader has read stay"
        );
        assert_eq!(logged_revs(test, &talk).await, [last + 4]);
        quick.read().await;
        slow.read().await;
        Counts::check(test).await;
        assert_eq!(Diary::revs(test, talk.stream()).await, (1..=last + 4).collect::<Vec<_>>());
    });
}

#[test]
fn what_a_parked_stream_waits_for_stays() {
    on_each_database(&async |test: &TestApp| {
        let mut random = Random::new(1);
        let diary = Diary::new(test).await;
        let (quick, node) = (Node::new(test, "node"), Node::with(test, "node", diary.clone()));
        let (mut stuck, mut other) = (Talk::new(test).await, Talk::new(test).await);
        let last = *logged_revs(test, &stuck).await.last().unwrap();
        diary.fail(stuck.stream(), last + 2, Failing::Row);
        for _ in 0..3 {
            stuck.say(test, &mut random).await;
            other.say(test, &mut random).await;
        }
        for status in ["parked", "failed"] {
            quick.read().await;
            node.read().await;
            write(test, &format!("UPDATE reader_failures SET status = '{status}'")).await;
            retention::remove_old_rows(&test.app, future()).await.unwrap();
            assert_eq!(logged_revs(test, &stuck).await, [last + 2, last + 3], "{status}");
            assert_eq!(logged_revs(test, &other).await, Vec::<i64>::new());
        }
        write(test, "UPDATE reader_failures SET status = 'parked'").await;
        diary.heal();
        due(test).await;
        node.read().await;
        assert_eq!(Diary::revs(test, stuck.stream()).await, (1..=last + 3).collect::<Vec<_>>());
        retention::remove_old_rows(&test.app, future()).await.unwrap();
        assert_eq!(logged_revs(test, &stuck).await, Vec::<i64>::new());
    });
}

#[test]
fn the_newest_row_that_was_seen_is_known_after_it_is_gone() {
    on_each_database(&async |test: &TestApp| {
        let looks = Arc::new(AtomicU32::new(0));
        let count = looks.clone();
        test.app.db().observe(move |statement, _| {
            count.fetch_add(u32::from(statement.sql.contains("AS epoch")), Ordering::Relaxed);
        });
        let node = Node::new(test, "node");
        let talk = Talk::new(test).await;
        node.read().await;
        let newest = async || test.rows("SELECT max(id) AS id FROM outbox").await[0].try_get("", "id").unwrap();
        let (known, last) = (|| test.app.db().history().newest_row(), newest().await);
        eventually("the newest row is seen", async || Some(known().id) == last).await;
        let seen = known();
        retention::remove_old_rows(&test.app, future()).await.unwrap();
        assert_eq!((newest().await, logged_revs(test, &talk).await), (None, Vec::new()));
        let before = looks.load(Ordering::Relaxed);
        eventually("the empty log is looked at", async || looks.load(Ordering::Relaxed) > before + 1).await;
        assert_eq!(known(), seen, "it tells this history from an older one");
    });
}

#[test]
fn many_rows_go_in_small_steps() {
    on_each_database(&async |test: &TestApp| {
        let node = Node::new(test, "node");
        let talk = Talk::new(test).await;
        let (id, from) = (test.id_literal(talk.group), logged_revs(test, &talk).await.len());
        let numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1700)";
        let rows = format!(
            "{numbers} INSERT INTO outbox (stream_kind, stream_id, rev, event_type, payload, created_at)
             SELECT 0, {id}, {from} + i, 'test', '{{}}', CASE WHEN i <= 1300 THEN 1 ELSE 3 END FROM n"
        );
        test.run(&rows).await;
        test.run("UPDATE outbox SET created_at = 0 WHERE created_at > 3").await;
        node.read().await;
        retention::remove_old_rows(&test.app, Timestamp(2)).await.unwrap();
        assert_eq!(logged_revs(test, &talk).await.len(), 400, "the younger ones stay");
    });
}

#[tokio::test]
async fn a_client_that_comes_back_from_before_the_log_is_reset() {
    let mut server = TestServer::builder().set("GREENROOM_LOG_RETENTION_DAYS", "1").start().await;
    let (anne, beno) = (server.user("anne").await, server.user("beno").await);
    let group = anne.group("group", &[&beno]).await;
    let from = anne.conversation(&group).await["last_rev"].as_i64().unwrap();
    anne.send(&group, "one").await;
    anne.send(&group, "two").await;
    let stats = format!("/conversations/{group}/stats");
    eventually("it is counted", async || anne.get(&stats).await.expect(200)["messages"] == 2).await;
    server.kill_nine();
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
    assert!(frames.iter().any(|frame| frame["type"] == "message.new"), "what is young is still there: {frames:?}");
    assert!(!frames.iter().any(|frame| frame["type"] == "sync.reset"));
    eventually("nothing is counted twice", async || anne.get(&stats).await.expect(200)["messages"] == 3).await;
    server.stop().await;
}
