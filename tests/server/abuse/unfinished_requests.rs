//! Heads and bodies that never end, of clients without a valid token.

use super::attacks::{Length, Stop, send_unfinished_bodies, send_unfinished_heads};
use super::harness::{AttackTest, GROWTH_BYTES};
use crate::support::eventually;

/// Connections that are open at the same time.
const CONNECTIONS: usize = 800;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_without_a_token_cost_the_others_nothing() {
    let test = AttackTest::new().await;
    let before = test.server.process().resident_bytes();
    for (path, token, length, status) in [
        ("/auth/login", None, Length::Announced, "413"),
        ("/auth/refresh", None, Length::Chunked, "413"),
        ("/conversations", None, Length::Announced, "401"),
        ("/conversations", None, Length::Chunked, "401"),
        ("/conversations", Some("made-up"), Length::Chunked, "401"),
        ("/nowhere", None, Length::Chunked, "404"),
    ] {
        let name = format!("800 bodies to {path}");
        let stop = Stop::default();
        let attack =
            send_unfinished_bodies(test.server.target().clone(), CONNECTIONS, path, token, length, stop.clone());
        let answers = test.run_attack(&name, attack, &stop).await;
        eprintln!("{name}: {answers:?}");
        assert!(answers.contains_key(status), "{name}: {answers:?}");
        assert!(answers.keys().all(|answer| [status, "none"].contains(&answer.as_str())), "{name}: {answers:?}");
    }
    let now = || test.server.process().resident_bytes();
    eventually("the memory is returned", async || now() <= before + GROWTH_BYTES).await;
}

/// The framework would keep 128 KiB of each head while it waits for the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_that_do_not_end_cost_the_others_nothing() {
    let test = AttackTest::new().await;
    let stop = Stop::default();
    let attack = send_unfinished_heads(test.server.target().clone(), CONNECTIONS, 120 * 1024, stop.clone());
    let answers = test.run_attack("800 heads", attack, &stop).await;
    eprintln!("800 heads: {answers:?}");
    assert!(answers.contains_key("431"), "{answers:?}");
    assert!(answers.keys().all(|answer| ["431", "none"].contains(&answer.as_str())), "{answers:?}");
}
