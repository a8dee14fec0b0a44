//! A panic in any part of the server is counted and reported in `/health`, and the part restarts. Sessions must
//! reconnect if the part lost state that they rely on. The tests cause panics in ways that no client can: a text whose
//! memory panics when it is freed, an observer of statements that panics, and a subscriber that panics when it is
//! notified.

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

/// The time after which a test stops waiting for a condition.
const DEADLINE: Duration = Duration::from_secs(30);

/// Returns a text whose memory panics when it is freed.
fn panicking_text() -> ByteString {
    struct PanicOnDrop;
    impl AsRef<[u8]> for PanicOnDrop {
        fn as_ref(&self) -> &[u8] {
            b"panics"
        }
    }
    impl Drop for PanicOnDrop {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }
    ByteString::try_from(Bytes::from_owner(PanicOnDrop)).unwrap()
}

/// Returns the HTTP status, the status word and the failing parts of `/health`.
async fn health_of(app: &App) -> (u16, String, Vec<String>) {
    let answer = health::health(web::Data::new(app.clone())).await;
    let status = answer.status().as_u16();
    let Ok(body) = to_bytes(answer.into_body()).await else { panic!("a body") };
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let failing = body["failing"].as_array().unwrap().iter().map(|part| part.as_str().unwrap().to_owned()).collect();
    (status, body["status"].as_str().unwrap().to_owned(), failing)
}

/// Waits until the named part has panicked, and checks that `/health` reports it.
async fn expect_failing(app: &App, part: &str) {
    eventually(part, || app.supervision().panic_count(part) > 0).await;
    let (status, word, failing) = health_of(app).await;
    assert_eq!((status, word.as_str()), (200, "degraded"));
    assert!(failing.contains(&part.to_owned()), "{failing:?}");
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let outcome = timeout(DEADLINE, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(outcome.await.is_ok(), "this never holds: {what}");
}

/// An actor instead of a session or a socket, which records the messages that it gets.
struct Listener(mpsc::UnboundedSender<Received>);

/// A message that a listener got.
#[derive(Debug)]
enum Received {
    Room(RoomEvent),
    Close(Close),
    Socket(ToTransport),
}

impl Actor for Listener {
    type Context = Context<Self>;
}

impl Handler<FromRoom> for Listener {
    type Result = ();

    fn handle(&mut self, message: FromRoom, _: &mut Self::Context) {
        let _ = self.0.send(Received::Room(message.event));
    }
}

impl Handler<CloseSession> for Listener {
    type Result = ();

    fn handle(&mut self, CloseSession(reason): CloseSession, _: &mut Self::Context) {
        let _ = self.0.send(Received::Close(reason));
    }
}

impl Handler<ToTransport> for Listener {
    type Result = ();

    fn handle(&mut self, message: ToTransport, _: &mut Self::Context) {
        let _ = self.0.send(Received::Socket(message));
    }
}

/// A session as rooms and the presence actor see it, with the messages that it got.
struct TestSession {
    user: UserId,
    addr: Addr<Listener>,
    received: mpsc::UnboundedReceiver<Received>,
}

impl TestSession {
    fn new() -> Self {
        let (sender, received) = mpsc::unbounded_channel();
        Self { user: UserId::new(), addr: Listener(sender).start(), received }
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

    async fn next(&mut self) -> Received {
        timeout(DEADLINE, self.received.recv()).await.expect("a message").expect("the listener runs")
    }
}
