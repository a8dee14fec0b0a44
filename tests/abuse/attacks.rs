//! Attackers that more than one test needs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::stream::{SplitStream, StreamExt};
use futures_util::{FutureExt, SinkExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::support::socket::{ConnectOptions, connect, upgrade};
use super::support::{Target, TestUser};
use super::world::Stop;

/// Frames that are written before one looks whether the connection still stands.
const BATCH: usize = 64;

/// What an attacker got.
#[derive(Debug, Default)]
pub struct Loot {
    /// Frames written, as far as the connection took them.
    pub sent: u64,
    /// Connections opened.
    pub connections: u64,
    /// Answers by type, errors by code.
    pub answers: BTreeMap<String, u64>,
    /// Closing codes; 0 where none came.
    pub closes: BTreeMap<u16, u64>,
}

impl Loot {
    /// How often an answer of this type, or an error of this code, came.
    pub fn of(&self, answer: &str) -> u64 {
        self.answers.get(answer).copied().unwrap_or(0)
    }

    /// Two attackers' together.
    pub fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.connections += other.connections;
        for (answer, count) in other.answers {
            *self.answers.entry(answer).or_default() += count;
        }
        for (code, count) in other.closes {
            *self.closes.entry(code).or_default() += count;
        }
    }

    fn note(&mut self, text: &str) {
        let frame: Value = serde_json::from_str(text).unwrap_or_default();
        let kind = match frame["payload"]["code"].as_str() {
            Some(code) => code,
            None => frame["type"].as_str().unwrap_or("none"),
        };
        *self.answers.entry(kind.to_owned()).or_default() += 1;
    }
}

/// Floods one socket after another with frames as fast as they are taken, and reads all answers.
pub async fn flood(user: TestUser, frame: impl Fn(u64) -> String + Send + Sync + 'static, stop: Stop) -> Loot {
    let mut loot = Loot::default();
    let written = AtomicU64::new(0);
    while !stop.is_over() {
        let Some(stream) = open(&user.target, &user.access_token).await else { continue };
        loot.connections += 1;
        let (mut outgoing, incoming) = stream.split();
        let writing = async {
            while !stop.is_over() {
                for _ in 0..BATCH {
                    let number = written.fetch_add(1, Ordering::Relaxed);
                    if outgoing.feed(Message::text(frame(number))).await.is_err() {
                        return;
                    }
                }
                if outgoing.flush().await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
            let _ = outgoing.close().await;
        };
        // whichever half ends first: the connection is over when there is nothing more to read
        let reading = read(incoming, u64::MAX, &mut loot);
        tokio::pin!(writing, reading);
        let mut writing = writing.fuse();
        let mut reading = reading.fuse();
        loop {
            tokio::select! {
                () = &mut reading => break,
                () = &mut writing => {}
            }
        }
    }
    loot.sent = written.load(Ordering::Relaxed);
    loot
}

/// Opens a connection that presents `token`; none while the server does not take it.
pub async fn open(target: &Target, token: &str) -> Option<WebSocketStream<TcpStream>> {
    let options = ConnectOptions { subscribe_none: true, ..ConnectOptions::default() };
    upgrade(target, token, options, connect(target).await.ok()?).await.ok()
}

/// Reads so many frames that are no errors, or to the end.
pub async fn read(mut incoming: SplitStream<WebSocketStream<TcpStream>>, mut frames: u64, loot: &mut Loot) {
    while frames > 0 {
        let code = match incoming.next().await {
            Some(Ok(Message::Text(text))) => {
                loot.note(&text);
                frames -= u64::from(!text.contains("\"error\""));
                continue;
            }
            Some(Ok(Message::Close(close))) => close.map_or(0, |close| close.code.into()),
            Some(Ok(_)) => continue,
            Some(Err(_)) | None => 0,
        };
        *loot.closes.entry(code).or_default() += 1;
        return;
    }
}
