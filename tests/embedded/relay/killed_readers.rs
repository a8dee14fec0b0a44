//! Readers that die: dropped at each of their awaits, or killed with the server. Afterwards the statistics equal a
//! recount of the messages.

use super::harness::{Counts, Diary, Failing, Node, Talk, check_order, due, parked, polled};
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
        let mut talk = Talk::new(test).await;
        // One wake may stand for two, so each pass may miss some awaits.
        let (mut polls, mut dropped) = (0, 0);
        while dropped < 60 {
            polls = polls % 12 + 1;
            for _ in 0..3 {
                talk.act(test, &mut random).await;
            }
            node.stamp().await;
            let done = polled(node.runner.run_round(), polls).await;
            // The next round is not blocked.
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
        let diary = Diary::new(test).await;
        let node = Node::with(test, "node", diary.clone());
        let mut talk = Talk::new(test).await;
        node.read().await;
        let mut last = *Diary::revs(test, talk.stream()).await.last().unwrap();
        let (mut polls, mut dropped) = (0, 0);
        while dropped < 60 {
            polls = polls % 12 + 1;
            diary.fail(talk.stream(), last + 1, Failing::Row);
            for _ in 0..3 {
                talk.say(test, &mut random).await;
            }
            last += 3;
            node.stamp().await;
            // The stream is parked, fails again, and succeeds. Each of these rounds is dropped at some await.
            let parks = polled(node.runner.run_round(), polls).await;
            node.read().await;
            due(test).await;
            let fails = polled(node.runner.run_round(), polls).await;
            diary.heal();
            due(test).await;
            let heals = polled(node.runner.run_round(), polls).await;
            due(test).await;
            node.read().await;
            assert_eq!(Diary::revs(test, talk.stream()).await, (1..=last).collect::<Vec<_>>());
            assert_eq!(parked(test).await, []);
            dropped += [parks, fails, heals].iter().filter(|turn| turn.is_none()).count();
        }
    });
}

#[test]
fn a_sequencer_dropped_at_any_await_gives_every_place_once() {
    on_postgres(&async |test: &TestApp| {
        let mut random = Random::from_environment();
        let node = Node::new(test, "node");
        let mut talk = Talk::new(test).await;
        let (mut polls, mut dropped) = (0, 0);
        while dropped < 40 {
            polls = polls % 12 + 1;
            for _ in 0..3 {
                talk.act(test, &mut random).await;
            }
            let done = polled(node.sequencer.as_ref().unwrap().run_round(), polls).await;
            node.read().await;
            check_order(test).await;
            Counts::check(test).await;
            dropped += usize::from(done.is_none());
        }
    });
}

#[test]
fn the_relay_reads_by_itself_what_is_committed_and_stops_when_told() {
    on_each_database(&async |test: &TestApp| {
        let mut random = Random::from_environment();
        let mut talk = Talk::new(test).await;
        for _ in 0..3 {
            let relay = relay::start(&test.app);
            for _ in 0..20 {
                talk.act(test, &mut random).await;
            }
            eventually("the statistics follow", async || Counts::kept(test).await == Counts::recounted(test).await)
                .await;
            relay.stop().await;
            let held = "SELECT 1 FROM readers WHERE leased_until > 0";
            assert_eq!(test.rows(held).await.len(), 0, "the leases are given back");
            // Events that are committed while no relay runs are read by the next one.
            talk.act(test, &mut random).await;
        }
    });
}

/// The number of kills.
const KILLS: u64 = 8;

#[tokio::test]
async fn statistics_equal_the_history_after_a_server_was_killed_again_and_again() {
    let mut random = Random::from_environment();
    let mut server = TestServer::start().await;
    let users = [server.user("anne").await, server.user("beno").await, server.user("cara").await];
    let group = users[0].group("group", &[&users[1], &users[2]]).await;
    let sent = Arc::new(AtomicU64::new(0));
    let writers: Vec<_> =
        users.iter().map(|user| tokio::spawn(write(user.clone(), group.clone(), sent.clone()))).collect();
    for _ in 0..KILLS {
        let target = sent.load(Ordering::Relaxed) + random.between(5, 60);
        eventually_within(DEADLINE * 3, "messages, to kill", async || sent.load(Ordering::Relaxed) >= target).await;
        if random.one_in(2) {
            // Kill the server after the messages were counted, instead of after they were sent.
            let stats = format!("/conversations/{group}/stats");
            let counted = async || users[0].get(&stats).await.expect(200)["messages"].as_u64() >= Some(target);
            eventually_within(DEADLINE * 3, "the count, to kill", counted).await;
        }
        server.kill_nine();
        server.restart().await;
    }
    for writer in &writers {
        writer.abort();
    }
    for writer in writers {
        let _ = writer.await;
    }
    // The sends that were under way are decided before this one.
    users[0].send(&group, "last").await;
    eventually("the statistics agree with the history", async || {
        let history = users[0].history(&group).await;
        let stats = users[0].get(&format!("/conversations/{group}/stats")).await.expect(200);
        agree(&stats, &history)
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

fn agree(stats: &Value, history: &[Value]) -> bool {
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
