//! Bodies that are not finished, of people who have shown no token.

use super::attacks::{Length, Stop, bodies};
use super::world::World;

/// Connections at a time.
const CONNECTIONS: usize = 800;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_without_a_token_cost_the_others_nothing() {
    let world = World::new().await;
    for (path, length, status) in [
        ("/auth/login", Length::Announced, "413"),
        ("/auth/refresh", Length::Chunked, "413"),
        ("/conversations", Length::Announced, "401"),
        ("/conversations", Length::Chunked, "401"),
    ] {
        let name = format!("800 bodies to {path}");
        let stop = Stop::default();
        let attack = bodies(world.server.target().clone(), CONNECTIONS, path, length, stop.clone());
        let answers = world.under(&name, attack, &stop).await;
        eprintln!("{name}: {answers:?}");
        assert!(answers.contains_key(status), "{name}: {answers:?}");
        assert!(answers.keys().all(|answer| [status, "none"].contains(&answer.as_str())), "{name}: {answers:?}");
    }
}
