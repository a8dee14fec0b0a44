//! Readers that are dropped at each of their awaits, or killed with the server. Afterwards the statistics equal a
//! recount of the messages.

use super::harness::{
    Counts, Failure, Node, RecordingReader, TestGroup, check_recorded, end_pauses, list_parked, poll_at_most,
};
use crate::harness::{TestApp, on_each_database, on_postgres};
use crate::support::Random;
use crate::support::{DEADLINE, TestServer, TestUser, eventually, eventually_within};
use greenroom::relay;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[test]
fn a_reader_dropped_at_any_await_counts_everything_once() {
    on_each_database(&async |test: &TestApp| {
        let mut random = Random::from_environment();
        let node = Node::new(test, "node");
        let mut group = TestGroup::new(test).await;
        // Two wakes may be merged into one, so one pass over the awaits may miss some of them.
        let (mut polls, mut dropped) = (0, 0);
        while dropped < 60 {
            polls = polls % 12 + 1;
            for _ in 0..3 {
                group.send_or_change(test, &mut random).await;
            }
            node.raise_floor().await;
            let done = poll_at_most(node.runner.run_round(), polls).await;
            // The dropped round must not block the next one.
            node.read().await;
            Counts::check(test).await;
            dropped += usize::from(done.is_none());
        }
    });
}

#[test]
fn a_reader_dropped_at_any_await_while_a_stream_is_parked_loses_nothing_of_it() {
    on_each_database(&async |test: &TestApp| {
        let mut random = Random::from_environment();
        let reader = RecordingReader::new(test).await;
        let node = Node::with(test, "node", reader.clone());
        let mut group = TestGroup::new(test).await;
        node.read().await;
        let mut last = *RecordingReader::revs(test, group.stream()).await.last().unwrap();
        let (mut polls, mut dropped) = (0, 0);
        while dropped < 60 {
            polls = polls % 12 + 1;
            reader.fail(group.stream(), last + 1, Failure::Row);
            for _ in 0..3 {
                group.send(test, &mut random).await;
            }
            last += 3;
            node.raise_floor().await;
            // In three rounds, each dropped at some await, the stream is parked, fails again and succeeds.
            let parks = poll_at_most(node.runner.run_round(), polls).await;
            node.read().await;
            end_pauses(test).await;
            let fails = poll_at_most(node.runner.run_round(), polls).await;
            reader.stop_failing();
            end_pauses(test).await;
            let succeeds = poll_at_most(node.runner.run_round(), polls).await;
            end_pauses(test).await;
            node.read().await;
            assert_eq!(RecordingReader::revs(test, group.stream()).await, (1..=last).collect::<Vec<_>>());
            assert_eq!(list_parked(test).await, []);
            dropped += [parks, fails, succeeds].iter().filter(|round| round.is_none()).count();
        }
    });
}

#[test]
fn a_round_dropped_while_the_floor_rises_loses_no_row() {
    on_postgres(&async |test: &TestApp| {
        let mut random = Random::from_environment();
        let node = Node::with(test, "node", RecordingReader::new(test).await);
        let mut group = TestGroup::new(test).await;
        let (mut polls, mut dropped) = (0, 0);
        while dropped < 40 {
            polls = polls % 8 + 1;
            for _ in 0..3 {
                group.send_or_change(test, &mut random).await;
            }
            let done = poll_at_most(node.floor.advance(), polls).await;
            node.read().await;
            check_recorded(test).await;
            dropped += usize::from(done.is_none());
        }
    });
}

#[test]
fn the_relay_reads_committed_rows_by_itself_and_stops_on_request() {
    on_each_database(&async |test: &TestApp| {
        let mut random = Random::from_environment();
        let mut group = TestGroup::new(test).await;
        for _ in 0..3 {
            let relay = relay::start(&test.app);
            for _ in 0..20 {
                group.send_or_change(test, &mut random).await;
            }
            eventually("the statistics equal the recount", async || {
                Counts::stored(test).await == Counts::recount(test).await
            })
            .await;
            relay.stop().await;
            let leases = "SELECT 1 FROM readers WHERE leased_until > 0";
            assert_eq!(test.rows(leases).await.len(), 0, "the relay returns its leases when it stops");
            // Events that are committed while no relay runs are read by the next one.
            group.send_or_change(test, &mut random).await;
        }
    });
}

/// The number of kills.
const KILLS: u64 = 8;

#[tokio::test]
async fn statistics_equal_the_history_after_the_server_was_killed_repeatedly() {
    let mut random = Random::from_environment();
    let mut server = TestServer::start().await;
    let users = [server.user("anne").await, server.user("beno").await, server.user("cara").await];
    let group = users[0].group("group", &[&users[1], &users[2]]).await;
    let sent = Arc::new(AtomicU64::new(0));
    let writers: Vec<_> =
        users.iter().map(|user| tokio::spawn(write(user.clone(), group.clone(), sent.clone()))).collect();
    for _ in 0..KILLS {
        let target = sent.load(Ordering::Relaxed) + random.between(5, 60);
        eventually_within(DEADLINE * 3, "enough messages before the next kill", async || {
            sent.load(Ordering::Relaxed) >= target
        })
        .await;
        if random.one_in(2) {
            // Kill the server after the messages were counted, instead of after they were sent.
            let stats = format!("/conversations/{group}/stats");
            let counted = async || users[0].get(&stats).await.expect(200)["messages"].as_u64() >= Some(target);
            eventually_within(DEADLINE * 3, "the messages are counted before the next kill", counted).await;
        }
        server.kill();
        server.restart().await;
    }
    for writer in &writers {
        writer.abort();
    }
    for writer in writers {
        let _ = writer.await;
    }
    // The outcome of all earlier sends is decided before this send is committed.
    users[0].send(&group, "last").await;
    eventually("the statistics equal the history", async || {
        let history = users[0].history(&group).await;
        let stats = users[0].get(&format!("/conversations/{group}/stats")).await.expect(200);
        are_equal(&stats, &history)
    })
    .await;
    server.stop().await;
}

async fn write(user: TestUser, group: String, sent: Arc<AtomicU64>) {
    let path = format!("/conversations/{group}/messages");
    for number in 0.. {
        let body = json!({ "content": format!("number {number}, see https://a.example/{number}") });
        let token = Some(user.access_token.as_str());
        let answer = user.target.try_call(reqwest::Method::POST, &path, token, crate::support::rest::Body::Json(body));
        if answer.await.is_ok_and(|answer| answer.status == 201) {
            sent.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn are_equal(stats: &Value, history: &[Value]) -> bool {
    let messages: Vec<&Value> = history.iter().filter(|message| message["type"] != "system").collect();
    let mut by_member: BTreeMap<&str, i64> = BTreeMap::new();
    for message in &messages {
        *by_member.entry(message["sender_id"].as_str().unwrap()).or_default() += 1;
    }
    let counted = stats["messages_by_member"].as_array().unwrap();
    let counted: BTreeMap<&str, i64> =
        counted.iter().map(|one| (one["user_id"].as_str().unwrap(), one["count"].as_i64().unwrap())).collect();
    let links = messages.iter().filter(|message| message["content"].as_str().unwrap().contains("https://")).count();
    stats["messages"] == messages.len()
        && stats["links"] == links
        && stats["members"] == 3
        && stats["first_message_at"] == messages[0]["created_at"]
        && counted == by_member
}
