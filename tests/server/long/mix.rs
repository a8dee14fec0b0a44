//! The mix: who takes part, how long it lasts, and how it is judged.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{attackers, faults, membership};
use crate::abuse::bulk_users::enrol;
use crate::support::crowd::{self, Run};
use crate::support::database::runs_on_postgres;
use crate::support::disk::LIMITED;
use crate::support::follower::Follower;
use crate::support::history::check;
use crate::support::{Random, TestServer, TestUser, eventually_within};

const USERS: usize = 6;
const GROUPS: usize = 5;
/// Growth over the memory that a server has after its start, which may stay when all is over.
const GROWTH_BYTES: u64 = 64 * 1024 * 1024;
/// How long the allocator may take to give memory back.
const PATIENCE: Duration = Duration::from_mins(3);
/// What the churn brings about: a message may reach the server after its author was removed.
const LAWFUL: &[&str] = &["not_a_participant"];

/// Runs the mix on `nodes` servers that share a database.
pub async fn run(nodes: usize) {
    let mut random = Random::from_environment();
    let mut servers = start(nodes).await;
    enrol(&mut servers[0], attackers::PUPILS).await;
    let users = register(&servers).await;
    let conversations = crowd::conversations(&users, GROUPS).await;
    let before = crowd::last_numbers(&users, &conversations).await;
    let base: Vec<u64> = servers.iter().map(|server| server.process().resident_bytes()).collect();

    let run = Run { expected_errors: LAWFUL, pause: Duration::from_millis(20), ..Run::default() };
    let (mut writers, mut readers) = (Vec::new(), Vec::new());
    for user in &users {
        let mine: Vec<String> =
            conversations.iter().filter(|(_, of)| of.contains(&user.id)).map(|(id, _)| id.clone()).collect();
        let writer = Follower::new(user, &format!("{}'s writer", user.username), &run.recorder).await;
        let reader = Follower::new(user, &format!("{}'s reader", user.username), &run.recorder).await;
        writers.push(tokio::spawn(crowd::write(writer, mine, run.clone(), random.fork())));
        readers.push(tokio::spawn(crowd::read(reader, run.clone(), random.fork())));
    }
    let groups: Vec<String> = conversations.iter().rev().take(GROUPS).map(|(id, _)| id.clone()).collect();
    let churning = tokio::spawn(membership::run(users.clone(), groups, run.closing.clone(), random.fork()));
    let mut attacking = Vec::new();
    for (number, server) in servers.iter().enumerate() {
        let attacker = server.user(&format!("attacker-{number}")).await;
        attacking.push(tokio::spawn(attackers::run(attacker, run.closing.clone(), random.fork())));
    }

    let end = Instant::now() + duration();
    while Instant::now() < end {
        assert!(!writers.iter().any(tokio::task::JoinHandle::is_finished), "a writer gave up");
        assert!(!readers.iter().any(tokio::task::JoinHandle::is_finished), "a reader gave up");
        let acknowledged = run.acknowledged.load(Ordering::Relaxed);
        faults::one(&mut servers, &mut random).await;
        eventually_within(Duration::from_mins(2), "messages are acknowledged after the fault", async || {
            run.acknowledged.load(Ordering::Relaxed) > acknowledged + 20
        })
        .await;
    }

    run.closing.store(true, Ordering::Relaxed);
    churning.await.expect("the churn ends well");
    for attacking in attacking {
        attacking.await.expect("the attacks end well");
    }
    let mut clients = Vec::new();
    for writer in writers {
        clients.push(writer.await.expect("the writer ends well"));
    }
    let users = sign_in_again(&users).await;
    let after = crowd::last_numbers(&users, &conversations).await;
    for reader in readers {
        clients.push(reader.await.expect("the reader ends well"));
    }
    let last: BTreeMap<String, i64> = after.iter().map(|(id, (_, rev))| (id.clone(), *rev)).collect();
    for (client, socket) in clients {
        drop(client.finish(socket, &last, &mut random).await);
    }
    crowd::record_conversations(&run, &users, &conversations, &before, &after).await;
    let history = run.recorder.history();
    eprintln!("{} messages, {} sessions", history.sends.len(), history.sessions.len());
    let unanswered = history.sends.iter().filter(|send| send.outcomes.is_empty()).count();
    assert_eq!(unanswered, 0, "every message was answered in the end");
    let violations = check(&history);
    if !violations.is_empty() {
        let file = std::env::temp_dir().join("greenroom-long-history.txt");
        std::fs::write(&file, format!("{violations:#?}\n{history:#?}")).expect("the history is written down");
        eprintln!("the history is in {}", file.display());
    }
    assert_eq!(violations, []);

    for (server, base) in servers.iter().zip(base) {
        let now = || server.process().resident_bytes();
        eprintln!("memory: {} KiB at the start, {} KiB at the end", base / 1024, now() / 1024);
        eventually_within(PATIENCE, "the memory comes back", async || now() <= base + GROWTH_BYTES).await;
    }
    for server in servers {
        server.stop().await;
    }
}

fn duration() -> Duration {
    let minutes = std::env::var("GREENROOM_LONG_MINUTES").ok().and_then(|text| text.parse().ok()).unwrap_or(30);
    Duration::from_mins(minutes)
}

/// Servers with their limits as they are by default, but for sign-ins: all users come from one address, again and
/// again.
async fn start(nodes: usize) -> Vec<TestServer> {
    let mut servers: Vec<TestServer> = Vec::new();
    for _ in 0..nodes {
        let mut builder = TestServer::builder()
            .set("GREENROOM_JWT_SECRET", "one secret for all nodes, long enough")
            .set("GREENROOM_LIMIT_SENDS_PER_SECOND", "20")
            .set("GREENROOM_LIMIT_API_PER_SECOND", "100");
        if !runs_on_postgres() {
            builder = builder.through(LIMITED);
        }
        if let Some(first) = servers.first() {
            builder = builder.on(first.database());
        }
        servers.push(builder.start().await);
    }
    servers
}

/// Users, who are spread over the servers.
async fn register(servers: &[TestServer]) -> Vec<TestUser> {
    let mut users = Vec::new();
    for number in 0..USERS {
        users.push(servers[number % servers.len()].user(&format!("user-{number}")).await);
    }
    users
}

/// The run may have outlived the access tokens.
async fn sign_in_again(users: &[TestUser]) -> Vec<TestUser> {
    let mut again = Vec::new();
    for user in users {
        again.push(user.login().await);
    }
    again
}
