//! Attackers, one kind after another, chosen by the seed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::attacks::{Length, Stop, bodies, calls, flood, handshakes};
use super::support::socket::Auth;
use super::support::{Random, TestUser};

/// Connections with a body that is not finished.
const BODIES: usize = 200;

/// Attacks the server of `attacker` until the run closes.
pub async fn run(mut attacker: TestUser, closing: Arc<AtomicBool>, mut random: Random) {
    while !closing.load(Ordering::Relaxed) {
        if let Some(again) = attacker.try_login().await {
            attacker = again;
        }
        let stop = Stop::default();
        let attack = tokio::spawn(attack(attacker.clone(), random.between(0, 11), stop.clone()));
        tokio::time::sleep(Duration::from_millis(random.between(1_000, 8_000))).await;
        stop.set();
        attack.await.expect("the attack ends well");
    }
}

async fn attack(user: TestUser, kind: u64, stop: Stop) {
    let made_up = |kind: &'static str| {
        move |_| json!({ "type": kind, "payload": { "conversation_id": Uuid::now_v7(), "seq": 1 } }).to_string()
    };
    match kind {
        0 => drop(flood(user, made_up("typing.stop"), stop).await),
        1 => drop(flood(user, made_up("message.read"), stop).await),
        2 => drop(flood(user, made_up("message.delivered"), stop).await),
        3 => {
            let frame = |number: u64| {
                let status = if number.is_multiple_of(2) { "away" } else { "online" };
                json!({ "type": "presence.set", "payload": { "status": status } }).to_string()
            };
            drop(flood(user, frame, stop).await);
        }
        4 => {
            let frame = |_| {
                let named: serde_json::Map<_, _> = (0..100).map(|_| (Uuid::now_v7().to_string(), json!(1))).collect();
                json!({ "type": "sync", "payload": { "conversations": named } }).to_string()
            };
            drop(flood(user, frame, stop).await);
        }
        5 => drop(calls(user, "/users/search?q=user&limit=100", stop).await),
        6 => drop(calls(user, "/conversations?limit=100", stop).await),
        7 => drop(handshakes(user, Auth::Subprotocol, stop).await),
        8 => drop(handshakes(user, Auth::Ticket("A".repeat(86)), stop).await),
        9 => drop(bodies(user.target, BODIES, "/auth/login", None, Length::Chunked, stop).await),
        _ => drop(bodies(user.target, BODIES, "/auth/refresh", None, Length::Announced, stop).await),
    }
}
