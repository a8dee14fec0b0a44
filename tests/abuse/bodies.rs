//! Bodies that are not finished, of people who have shown no token.

use super::attacks::{Length, Stop, bodies};
use super::support::eventually;
use super::world::{GROWTH_BYTES, World};

/// Connections at a time.
const CONNECTIONS: usize = 800;

/// What the HTTP library may read ahead of a connection before anybody sees the request: its buffer doubles while less than
/// 128 KiB are in it. Where all come at once, all are read before the first is answered, and nothing of ours comes before
/// that; so a burst may cost this for a moment. A body that was kept would cost its own length beside it.
const READ_AHEAD: u64 = 256 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_without_a_token_cost_the_others_nothing() {
    let world = World::new().await;
    let before = world.server.process().resident_bytes();
    for (path, length, status) in [
        ("/auth/login", Length::Announced, "413"),
        ("/auth/refresh", Length::Chunked, "413"),
        ("/conversations", Length::Announced, "401"),
        ("/conversations", Length::Chunked, "401"),
    ] {
        let name = format!("800 bodies to {path}");
        let stop = Stop::default();
        let attack = bodies(world.server.target().clone(), CONNECTIONS, path, length, stop.clone());
        let answers = world.under_at_most(&name, attack, &stop, CONNECTIONS as u64 * READ_AHEAD).await;
        eprintln!("{name}: {answers:?}");
        assert!(answers.contains_key(status), "{name}: {answers:?}");
        assert!(answers.keys().all(|answer| [status, "none"].contains(&answer.as_str())), "{name}: {answers:?}");
    }
    let now = || world.server.process().resident_bytes();
    eventually("the memory has come back", async || now() <= before + GROWTH_BYTES).await;
}
