//! Floods of connections by one user.

use super::attacks::{AttackResult, Stop, open_connections};
use super::harness::AttackTest;
use crate::support::TestUser;
use crate::support::socket::Auth;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_as_fast_as_they_are_answered_cost_the_others_nothing() {
    let test = AttackTest::new().await;
    let attacker = test.server.user("attacker").await;
    let result = flood_with_handshakes(&test, "handshakes", &attacker, Auth::Subprotocol).await;
    assert!(result.closes.contains_key(&4429), "{result:?}");
    assert_eq!(result.count("rate_limited"), result.closes[&4429], "each client gets the reason: {result:?}");
    assert!(result.count("auth.success") >= 50, "a burst is accepted: {result:?}");
}

/// The server knows the login of a spent ticket for as long as the ticket would have been valid.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_with_a_ticket_that_was_spent_cost_the_others_nothing() {
    let test = AttackTest::new().await;
    let attacker = test.server.user("attacker").await;
    let ticket = attacker.ticket().await;
    let result = flood_with_handshakes(&test, "a spent ticket", &attacker, Auth::Ticket(ticket)).await;
    assert!(result.closes.contains_key(&4429) && result.closes.contains_key(&4401), "{result:?}");
    assert_eq!(result.count("auth.success"), 1, "it opens one socket: {result:?}");
}

/// An invented token or ticket causes no query of the database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_with_a_made_up_ticket_cost_the_others_nothing() {
    let test = AttackTest::new().await;
    let attacker = test.server.user("attacker").await;
    let result = flood_with_handshakes(&test, "a made-up ticket", &attacker, Auth::Ticket("A".repeat(86))).await;
    assert_eq!(result.closes.keys().copied().collect::<Vec<_>>(), [4401], "{result:?}");
}

/// Opens connections of this attacker as fast as the server answers.
async fn flood_with_handshakes(test: &AttackTest, name: &str, attacker: &TestUser, auth: Auth) -> AttackResult {
    let stop = Stop::default();
    let attack = open_connections(attacker.clone(), auth, stop.clone());
    let result = test.run_attack(name, attack, &stop).await;
    eprintln!("{name}: {result:?}");
    result
}
