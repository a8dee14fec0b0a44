//! The long run: its users and attackers, its duration, and the checks at its end.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{attackers, faults, membership};
use crate::abuse::bulk_users::insert_users;
use crate::support::clients::{self, Run};
use crate::support::database::runs_on_postgres;
use crate::support::disk::LIMITED;
use crate::support::follower::Follower;
use crate::support::history::check;
use crate::support::{Random, TestServer, TestUser, eventually_within};

const USERS: usize = 6;
const GROUPS: usize = 5;
/// The memory that a server may use at the end of the run beyond the memory after its start.
const GROWTH_BYTES: u64 = 64 * 1024 * 1024;
/// The time within which the allocator must return memory.
const MEMORY_DEADLINE: Duration = Duration::from_mins(3);
/// An error that membership changes cause: a message may reach the server after its author was removed.
const EXPECTED_ERRORS: &[&str] = &["not_a_participant"];

/// Runs all clients, attackers and faults on `nodes` servers that share a database.
pub async fn run(nodes: usize) {
    let mut random = Random::from_environment();
    let mut servers = start(nodes).await;
    insert_users(&mut servers[0], attackers::PUPILS).await;
    let users = register(&servers).await;
    let conversations = clients::create_conversations(&users, GROUPS).await;
    let before = clients::get_last_numbers(&users, &conversations).await;
    let memory_at_start: Vec<u64> = servers.iter().map(|server| server.process().resident_bytes()).collect();

    let run = Run { expected_errors: EXPECTED_ERRORS, pause: Duration::from_millis(20), ..Run::default() };
    let (mut writers, mut readers) = (Vec::new(), Vec::new());
    for user in &users {
        let mine: Vec<String> = conversations
            .iter()
            .filter(|(_, participants)| participants.contains(&user.id))
            .map(|(id, _)| id.clone())
            .collect();
        let writer = Follower::new(user, &format!("{}'s writer", user.username), &run.recorder).await;
        let reader = Follower::new(user, &format!("{}'s reader", user.username), &run.recorder).await;
        writers.push(tokio::spawn(clients::write(writer, mine, run.clone(), random.fork())));
        readers.push(tokio::spawn(clients::read(reader, run.clone(), random.fork())));
    }
    let groups: Vec<String> = conversations.iter().rev().take(GROUPS).map(|(id, _)| id.clone()).collect();
    let membership_changes = tokio::spawn(membership::run(users.clone(), groups, run.closing.clone(), random.fork()));
    let mut attacks = Vec::new();
    for (number, server) in servers.iter().enumerate() {
        let attacker = server.user(&format!("attacker-{number}")).await;
        attacks.push(tokio::spawn(attackers::run(attacker, run.closing.clone(), random.fork())));
    }

    let end = Instant::now() + duration();
    while Instant::now() < end {
        assert!(!writers.iter().any(tokio::task::JoinHandle::is_finished), "a writer ended early");
        assert!(!readers.iter().any(tokio::task::JoinHandle::is_finished), "a reader ended early");
        let acknowledged = run.acknowledged.load(Ordering::Relaxed);
        faults::cause_one(&mut servers, &mut random).await;
        eventually_within(Duration::from_mins(2), "messages are acknowledged after the fault", async || {
            run.acknowledged.load(Ordering::Relaxed) > acknowledged + 20
        })
        .await;
    }

    run.closing.store(true, Ordering::Relaxed);
    membership_changes.await.expect("the membership changes do not panic");
    for attack in attacks {
        attack.await.expect("the attacks do not panic");
    }
    let mut clients = Vec::new();
    for writer in writers {
        clients.push(writer.await.expect("the writer does not panic"));
    }
    let users = sign_in_again(&users).await;
    let after = clients::get_last_numbers(&users, &conversations).await;
    for reader in readers {
        clients.push(reader.await.expect("the reader does not panic"));
    }
    let last: BTreeMap<String, i64> = after.iter().map(|(id, (_, rev))| (id.clone(), *rev)).collect();
    for (client, socket) in clients {
        drop(client.finish(socket, &last, &mut random).await);
    }
    clients::record_conversations(&run, &users, &conversations, &before, &after).await;
    let history = run.recorder.history();
    eprintln!("{} messages, {} sessions", history.sends.len(), history.sessions.len());
    let unanswered = history.sends.iter().filter(|send| send.outcomes.is_empty()).count();
    assert_eq!(unanswered, 0, "each message has an answer at the end");
    let violations = check(&history);
    if !violations.is_empty() {
        let file = std::env::temp_dir().join("greenroom-long-history.txt");
        std::fs::write(&file, format!("{violations:#?}\n{history:#?}")).expect("the history is written to a file");
        eprintln!("the history is in {}", file.display());
    }
    assert_eq!(violations, []);

    for (server, at_start) in servers.iter().zip(memory_at_start) {
        let now = || server.process().resident_bytes();
        eprintln!("memory: {} KiB at the start, {} KiB at the end", at_start / 1024, now() / 1024);
        eventually_within(MEMORY_DEADLINE, "the memory is returned", async || now() <= at_start + GROWTH_BYTES).await;
    }
    for server in servers {
        server.stop().await;
    }
}

fn duration() -> Duration {
    let minutes = std::env::var("GREENROOM_LONG_MINUTES").ok().and_then(|text| text.parse().ok()).unwrap_or(30);
    Duration::from_mins(minutes)
}

/// Starts servers with the default limits, except for sign-ins: all users sign in from one address, many times.
async fn start(nodes: usize) -> Vec<TestServer> {
    let mut servers: Vec<TestServer> = Vec::new();
    for _ in 0..nodes {
        let mut builder = TestServer::builder()
            .set("GREENROOM_JWT_SECRET", "one secret for all nodes, long enough")
            .set("GREENROOM_LIMIT_SENDS_PER_SECOND", "20")
            .set("GREENROOM_LIMIT_API_PER_SECOND", "100");
        if !runs_on_postgres() {
            builder = builder.with_launcher(LIMITED);
        }
        if let Some(first) = servers.first() {
            builder = builder.on(first.database());
        }
        servers.push(builder.start().await);
    }
    servers
}

/// Registers the users, spread over the servers.
async fn register(servers: &[TestServer]) -> Vec<TestUser> {
    let mut users = Vec::new();
    for number in 0..USERS {
        users.push(servers[number % servers.len()].user(&format!("user-{number}")).await);
    }
    users
}

/// Signs in again, because the access tokens may have expired during the run.
async fn sign_in_again(users: &[TestUser]) -> Vec<TestUser> {
    let mut signed_in = Vec::new();
    for user in users {
        signed_in.push(user.login().await);
    }
    signed_in
}
