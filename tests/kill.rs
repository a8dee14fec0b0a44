//! The kill test: clients write to and read twenty conversations while the server is killed repeatedly. Every
//! acknowledged message is stored once and in order, and every client gets all events.

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use support::clients::{self, Run};
use support::follower::Follower;
use support::history::check;
use support::{DEADLINE, Random, TestServer, TestUser, eventually_within};

const KILLS: u64 = 20;
const USERS: usize = 6;

#[tokio::test]
async fn no_message_is_lost_doubled_or_reordered_when_the_server_is_killed() {
    let mut random = Random::from_environment();
    let mut server = TestServer::start().await;
    let users = register(&server).await;
    let conversations = clients::create_conversations(&users, 5).await;
    assert_eq!(conversations.len(), 20);
    let before = clients::get_last_numbers(&users, &conversations).await;

    let run = Run::default();
    let mut writers = Vec::new();
    let mut readers = Vec::new();
    for user in &users {
        let own: Vec<String> = conversations
            .iter()
            .filter(|(_, participants)| participants.contains(&user.id))
            .map(|(id, _)| id.clone())
            .collect();
        let name = |kind: &str| format!("{}'s {kind}", user.username);
        let writer = Follower::new(user, &name("writer"), &run.recorder).await;
        let reader = Follower::new(user, &name("reader"), &run.recorder).await;
        writers.push(tokio::spawn(clients::write(writer, own, run.clone(), random.fork())));
        readers.push(tokio::spawn(clients::read(reader, run.clone(), random.fork())));
    }

    for kill in 1..=KILLS {
        let target = run.acknowledged.load(Ordering::Relaxed) + random.between(10, 120);
        let what = format!("{target} acknowledgements before kill {kill}");
        eventually_within(DEADLINE * 3, &what, async || {
            assert!(!writers.iter().any(tokio::task::JoinHandle::is_finished), "a writer has stopped");
            run.acknowledged.load(Ordering::Relaxed) >= target
        })
        .await;
        tokio::time::sleep(Duration::from_micros(random.between(0, 5_000))).await;
        server.kill();
        server.restart().await;
    }

    run.closing.store(true, Ordering::Relaxed);
    let mut clients = Vec::new();
    for writer in writers {
        clients.push(writer.await.expect("the writer does not panic"));
    }
    let after = clients::get_last_numbers(&users, &conversations).await;
    for reader in readers {
        clients.push(reader.await.expect("the reader does not panic"));
    }
    let last: BTreeMap<String, i64> = after.iter().map(|(id, (_, rev))| (id.clone(), *rev)).collect();
    for (client, socket) in clients {
        let client = client.finish(socket, &last, &mut random).await;
        assert_eq!(client.resets, 0, "the log has all events, so no stream is reset");
    }
    clients::record_conversations(&run, &users, &conversations, &before, &after).await;

    let history = run.recorder.history();
    eprintln!("{} messages, {} sessions, {KILLS} kills", history.sends.len(), history.sessions.len());
    let unanswered = history.sends.iter().filter(|send| send.outcomes.is_empty()).count();
    assert_eq!(unanswered, 0, "every message is acknowledged");
    assert_eq!(check(&history), []);
    assert_eq!(server.count_wrong_member_counts().await, 0);
    assert_eq!(server.broken_rules().await, [""; 0]);
    server.stop().await;
}

async fn register(server: &TestServer) -> Vec<TestUser> {
    let mut users = Vec::new();
    for number in 0..USERS {
        users.push(server.user(&format!("user-{number}")).await);
    }
    users
}
