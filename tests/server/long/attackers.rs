//! Attacks on the server, one after another. The seed chooses their kinds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use crate::abuse::attacks::{
    Length, Stop, create_groups, flood, open_connections, repeat_call, send_unfinished_bodies, send_unfinished_heads,
};
use crate::support::rest::Body;
use crate::support::socket::Auth;
use crate::support::{Random, TestUser};

/// The number of users whom the attackers add to groups. None of them is signed in.
pub const PUPILS: usize = 999;
/// The number of connections with an unfinished head or body.
const UNFINISHED: usize = 200;
/// The number of kinds of attacks.
const KINDS: u64 = 19;

/// Attacks the server of `attacker` until the run closes.
pub async fn run(mut attacker: TestUser, closing: Arc<AtomicBool>, mut random: Random) {
    while !closing.load(Ordering::Relaxed) {
        if let Some(signed_in) = attacker.try_login().await {
            attacker = signed_in;
        }
        let stop = Stop::default();
        let attack = tokio::spawn(attack(attacker.clone(), random.between(0, KINDS), stop.clone()));
        tokio::time::sleep(Duration::from_millis(random.between(1_000, 8_000))).await;
        stop.set();
        attack.await.expect("the attack does not panic");
    }
}

async fn attack(user: TestUser, kind: u64, stop: Stop) {
    let unknown_conversation = |kind: &'static str| {
        move |_| json!({ "type": kind, "payload": { "conversation_id": Uuid::now_v7(), "seq": 1 } }).to_string()
    };
    let unknown_message = |kind: &'static str| {
        move |_| {
            let mut payload = json!({ "conversation_id": Uuid::now_v7(), "message_id": Uuid::now_v7() });
            match kind {
                "message.edit" => payload["content"] = json!("another"),
                "reaction.add" => payload["emoji"] = json!("👍"),
                _ => {}
            }
            json!({ "type": kind, "payload": payload }).to_string()
        }
    };
    match kind {
        0 => drop(flood(user, unknown_conversation("typing.stop"), stop).await),
        1 => drop(flood(user, unknown_conversation("message.read"), stop).await),
        2 => drop(flood(user, unknown_conversation("message.delivered"), stop).await),
        3 => {
            let frame = |number: u64| {
                let status = if number.is_multiple_of(2) { "away" } else { "online" };
                json!({ "type": "presence.set", "payload": { "status": status } }).to_string()
            };
            drop(flood(user, frame, stop).await);
        }
        4 => {
            let frame = |_| {
                let heads: serde_json::Map<_, _> = (0..100).map(|_| (Uuid::now_v7().to_string(), json!(1))).collect();
                json!({ "type": "sync", "payload": { "conversations": heads } }).to_string()
            };
            drop(flood(user, frame, stop).await);
        }
        5 => drop(repeat_call(user, "/users/search?q=user&limit=100", stop).await),
        6 => drop(repeat_call(user, "/conversations?limit=100", stop).await),
        7 => drop(open_connections(user, Auth::Subprotocol, stop).await),
        8 => drop(open_connections(user, Auth::Ticket("A".repeat(86)), stop).await),
        9 => drop(send_unfinished_bodies(user.target, UNFINISHED, "/auth/login", None, Length::Chunked, stop).await),
        10 => {
            drop(send_unfinished_bodies(user.target, UNFINISHED, "/auth/refresh", None, Length::Announced, stop).await);
        }
        11 => drop(
            send_unfinished_bodies(user.target, UNFINISHED, "/conversations", Some("made-up"), Length::Chunked, stop)
                .await,
        ),
        12 => drop(send_unfinished_heads(user.target, UNFINISHED, 100 * 1024, stop).await),
        13 => drop(flood(user, unknown_conversation("typing"), stop).await),
        14 => drop(flood(user, unknown_message("message.edit"), stop).await),
        15 => drop(flood(user, unknown_message("reaction.add"), stop).await),
        16 => drop(flood(user, |_| Message::Ping("a payload".into()), stop).await),
        17 => {
            let token = Some(user.access_token.as_str());
            let answer = user.target.try_call(Method::POST, "/ws/ticket", token, Body::None).await;
            let ticket = answer.ok().and_then(|answer| Some(answer.body["ticket"].as_str()?.to_owned()));
            if let Some(ticket) = ticket {
                // The ticket is valid for the first handshake only.
                drop(open_connections(user, Auth::Ticket(ticket), stop).await);
            }
        }
        _ => {
            let pupils: Vec<String> = (1..=PUPILS).map(|number| format!("pupil{number}")).collect();
            let group = json!({ "type": "group", "name": "all pupils", "participant_ids": pupils });
            drop(create_groups(user, group, stop).await);
        }
    }
}
