//! Floods of connections by one user.

use super::attacks::{Loot, Stop, handshakes};
use super::harness::World;
use crate::support::TestUser;
use crate::support::socket::Auth;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_as_fast_as_they_are_answered_cost_the_others_nothing() {
    let world = World::new().await;
    let attacker = world.server.user("attacker").await;
    let loot = shaken(&world, "handshakes", &attacker, Auth::Subprotocol).await;
    assert!(loot.closes.contains_key(&4429), "{loot:?}");
    assert_eq!(loot.of("rate_limited"), loot.closes[&4429], "each is told why: {loot:?}");
    assert!(loot.of("auth.success") >= 50, "a burst is let in: {loot:?}");
}

/// A ticket that was spent names its login for as long as it would have been good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_with_a_ticket_that_was_spent_cost_the_others_nothing() {
    let world = World::new().await;
    let attacker = world.server.user("attacker").await;
    let ticket = attacker.ticket().await;
    let loot = shaken(&world, "a spent ticket", &attacker, Auth::Ticket(ticket)).await;
    assert!(loot.closes.contains_key(&4429) && loot.closes.contains_key(&4401), "{loot:?}");
    assert_eq!(loot.of("auth.success"), 1, "it opens one socket: {loot:?}");
}

/// A token or a ticket that was made up asks the database nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_with_a_made_up_ticket_cost_the_others_nothing() {
    let world = World::new().await;
    let attacker = world.server.user("attacker").await;
    let loot = shaken(&world, "a made-up ticket", &attacker, Auth::Ticket("A".repeat(86))).await;
    assert_eq!(loot.closes.keys().copied().collect::<Vec<_>>(), [4401], "{loot:?}");
}

async fn shaken(world: &World, name: &str, attacker: &TestUser, auth: Auth) -> Loot {
    let stop = Stop::default();
    let attack = handshakes(attacker.clone(), auth, stop.clone());
    let loot = world.under(name, attack, &stop).await;
    eprintln!("{name}: {loot:?}");
    loot
}
