//! A panic in any part of the server is counted and reported in `/health`, and the part restarts. Sessions must reconnect if
//! the part lost state that they rely on. The tests cause panics in ways that no client can: a text whose memory panics
//! when it is freed, an observer of statements that panics, and a subscriber that panics when it is notified.

mod actors;
mod database_watchers;
mod rest_calls;
mod tasks;

use actix::prelude::*;
use actix_web::body::to_bytes;
use actix_web::web;
use bytes::Bytes;
use bytestring::ByteString;
use greenroom::app::App;
use greenroom::domain::codes::Close;
use greenroom::domain::ids::{SessionId, UserId};
use greenroom::http::health;
use greenroom::mailboxes::{CloseSession, FromRoom, RoomEvent, SessionHandle, ToTransport};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Far above what any single condition needs.
const DEADLINE: Duration = Duration::from_secs(30);

/// A text whose memory panics when it is freed.
fn poison() -> ByteString {
    struct Poison;
    impl AsRef<[u8]> for Poison {
        fn as_ref(&self) -> &[u8] {
            b"poison"
        }
    }
    impl Drop for Poison {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }
    ByteString::try_from(Bytes::from_owner(Poison)).unwrap()
}

/// What `/health` says of the parts.
async fn health_of(app: &App) -> (u16, String, Vec<String>) {
    let answer = health::health(web::Data::new(app.clone())).await;
    let status = answer.status().as_u16();
    let Ok(body) = to_bytes(answer.into_body()).await else { panic!("a body") };
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let failing = body["failing"].as_array().unwrap().iter().map(|part| part.as_str().unwrap().to_owned()).collect();
    (status, body["status"].as_str().unwrap().to_owned(), failing)
}

/// The named part has panicked, and `/health` says so.
async fn expect_failing(app: &App, part: &str) {
    eventually(part, || app.supervision().panic_count(part) > 0).await;
    let (status, word, failing) = health_of(app).await;
    assert_eq!((status, word.as_str()), (200, "degraded"));
    assert!(failing.contains(&part.to_owned()), "{failing:?}");
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let held = timeout(DEADLINE, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(held.await.is_ok(), "{what} never came about");
}

/// Writes down what a session or a socket is told.
struct Listener(mpsc::UnboundedSender<Heard>);

/// What it was told.
#[derive(Debug)]
enum Heard {
    Room(RoomEvent),
    Close(Close),
    Socket(ToTransport),
}

impl Actor for Listener {
    type Context = Context<Self>;
}

impl Handler<FromRoom> for Listener {
    type Result = ();

    fn handle(&mut self, told: FromRoom, _: &mut Self::Context) {
        let _ = self.0.send(Heard::Room(told.event));
    }
}

impl Handler<CloseSession> for Listener {
    type Result = ();

    fn handle(&mut self, CloseSession(why): CloseSession, _: &mut Self::Context) {
        let _ = self.0.send(Heard::Close(why));
    }
}

impl Handler<ToTransport> for Listener {
    type Result = ();

    fn handle(&mut self, told: ToTransport, _: &mut Self::Context) {
        let _ = self.0.send(Heard::Socket(told));
    }
}

/// A session as rooms and the registry see it, and what it is told.
struct Ear {
    user: UserId,
    addr: Addr<Listener>,
    told: mpsc::UnboundedReceiver<Heard>,
}

impl Ear {
    fn new() -> Self {
        let (heard, told) = mpsc::unbounded_channel();
        Self { user: UserId::new(), addr: Listener(heard).start(), told }
    }

    fn handle(&self, user_id: UserId) -> SessionHandle {
        SessionHandle {
            id: SessionId::new(),
            user_id,
            mailbox: self.addr.clone().recipient(),
            subscription_number: 1,
            overrun: std::sync::Arc::default(),
        }
    }

    async fn next(&mut self) -> Heard {
        timeout(DEADLINE, self.told.recv()).await.expect("it is told something").expect("the listener lives")
    }
}
