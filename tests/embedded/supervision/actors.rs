//! Panics of the hub, a room, the presence actor and a session. An actor that panics ends alone: its arbiter and the
//! other actors on it continue.

use super::{Received, TestSession, expect_failing, panicking_text};
use crate::harness::{TestApp, on_sqlite};
use actix::prelude::*;
use greenroom::app::App;
use greenroom::cluster::catch_up::CatchUpSchedule;
use greenroom::domain::codes::Close;
use greenroom::domain::ids::{Rev, UserId};
use greenroom::domain::stream::Stream;
use greenroom::mailboxes::{
    EndRooms, Ephemeral, FromTransport, OpenRooms, PresenceAnnounced, RoomEvent, Subscription, ToPresence, ToRoom,
    ToTransport,
};
use greenroom::protocol::presence::PresenceStatus;
use greenroom::realtime::hub::Hub;
use greenroom::realtime::presence::Presence;
use greenroom::realtime::session::{Handshake, Session, SessionServices};
use std::collections::HashSet;
use std::sync::Arc;
use tokio::sync::mpsc;

/// A hub whose rooms share one arbiter.
fn hub(app: &App) -> (Addr<Hub>, Arbiter) {
    let rooms = Arbiter::new();
    let (log, _) = mpsc::channel(16);
    (Hub::new(vec![rooms.handle()], log, CatchUpSchedule::default(), app.supervision()).start(), rooms)
}

async fn open(hub: &Addr<Hub>, stream: Stream) -> Recipient<ToRoom> {
    hub.send(OpenRooms(vec![stream])).await.unwrap().unwrap().remove(0)
}

fn subscribe(room: &Recipient<ToRoom>, stream: Stream, subscriber: &TestSession) {
    let session = subscriber.handle(subscriber.user);
    room.do_send(ToRoom::Subscribe(Subscription {
        stream,
        session,
        after: Rev(3),
        checked_rev: Rev(3),
        accepted: false,
    }));
}

/// Opens the room of a new stream and subscribes a session to it.
async fn open_and_subscribe(hub: &Addr<Hub>) -> (Stream, Recipient<ToRoom>, TestSession) {
    let (stream, mut subscriber) = (Stream::User(UserId::new()), TestSession::new());
    let room = open(hub, stream).await;
    subscribe(&room, stream, &subscriber);
    assert!(matches!(subscriber.next().await, Received::Room(RoomEvent::Live(Rev(3)))));
    (stream, room, subscriber)
}

async fn expect_gone(subscriber: &mut TestSession) {
    let received = subscriber.next().await;
    assert!(matches!(received, Received::Room(RoomEvent::Gone)), "{received:?}");
}

#[test]
fn after_a_panic_of_the_hub_all_rooms_end_and_their_sessions_reconnect() {
    on_sqlite(&async |test: &TestApp| {
        let (hub, _rooms) = hub(&test.app);
        let (one, room, mut first) = open_and_subscribe(&hub).await;
        let (_, _, mut second) = open_and_subscribe(&hub).await;
        hub.do_send(Ephemeral { streams: Vec::new(), text: panicking_text(), except: Arc::new([]) });
        expect_gone(&mut first).await;
        expect_gone(&mut second).await;
        expect_failing(&test.app, "hub").await;
        // A session whose subscription was on its way to the room must reconnect too.
        let mut late = TestSession::new();
        subscribe(&room, one, &late);
        expect_gone(&mut late).await;
        open_and_subscribe(&hub).await;
    });
}

#[test]
fn all_rooms_end_on_request() {
    on_sqlite(&async |test: &TestApp| {
        let (hub, _rooms) = hub(&test.app);
        let (_, _, mut subscriber) = open_and_subscribe(&hub).await;
        hub.do_send(EndRooms);
        expect_gone(&mut subscriber).await;
        open_and_subscribe(&hub).await;
        assert_eq!(test.app.supervision().failing(), [""; 0]);
    });
}

#[test]
fn a_room_that_panics_ends_alone_and_is_replaced() {
    on_sqlite(&async |test: &TestApp| {
        let (hub, _rooms) = hub(&test.app);
        let (stream, room, mut subscriber) = open_and_subscribe(&hub).await;
        let (_, other, mut other_subscriber) = open_and_subscribe(&hub).await;
        // The frame has no receiver, so the room is the last owner of the text.
        let unused = Stream::User(UserId::new());
        room.do_send(ToRoom::Ephemeral(panicking_text(), Arc::new([subscriber.user])));
        expect_gone(&mut subscriber).await;
        expect_failing(&test.app, "rooms").await;
        let mut late = TestSession::new();
        subscribe(&room, stream, &late);
        expect_gone(&mut late).await;
        // The other room on the same arbiter continues, and the hub starts a new one.
        let mut new_subscriber = TestSession::new();
        subscribe(&other, unused, &new_subscriber);
        assert!(matches!(new_subscriber.next().await, Received::Room(RoomEvent::Live(_))));
        assert!(other_subscriber.received.try_recv().is_err(), "the subscriber of the other room got a message");
        subscribe(&open(&hub, stream).await, stream, &subscriber);
        assert!(matches!(subscriber.next().await, Received::Room(RoomEvent::Live(_))));
    });
}

#[test]
fn after_a_panic_of_the_presence_actor_all_sessions_reconnect() {
    on_sqlite(&async |test: &TestApp| {
        let app = &test.app;
        let presence_actor = Presence::new(app.clone()).start();
        let mut subscriber = TestSession::new();
        let user = subscriber.user;
        let opened =
            |subscriber: &TestSession| ToPresence::Opened(subscriber.handle(user), subscriber.addr.clone().recipient());
        presence_actor.send(opened(&subscriber)).await.unwrap();
        assert_eq!(app.presence().session_count(), 1);
        let (status, watchers) = (PresenceStatus::Online, HashSet::new());
        let announced = PresenceAnnounced { user_id: user, status, text: panicking_text(), watchers };
        presence_actor.send(ToPresence::Announced(Ok(vec![announced]))).await.unwrap();
        assert!(matches!(subscriber.next().await, Received::Close(Close::Restart)));
        assert_eq!(app.presence().session_count(), 0);
        expect_failing(app, "presence").await;
        presence_actor.send(opened(&subscriber)).await.unwrap();
        assert_eq!(app.presence().session_count(), 1);
    });
}

#[test]
fn a_session_that_panics_closes_its_socket_so_that_its_client_reconnects() {
    on_sqlite(&async |test: &TestApp| {
        let app = &test.app;
        let (hub, _rooms) = hub(app);
        let presence = Presence::new(app.clone()).start();
        let services = SessionServices { app: app.clone(), hub: hub.recipient(), presence: presence.recipient() };
        let mut socket = TestSession::new();
        let session = Session::new(services, Handshake::default(), socket.addr.clone().recipient()).start();
        session.do_send(FromTransport::Text(panicking_text()));
        loop {
            match socket.next().await {
                Received::Socket(ToTransport::Close(why)) => break assert_eq!(why, Close::Restart),
                Received::Socket(_) => {}
                other => panic!("{other:?}"),
            }
        }
        expect_failing(app, "sessions").await;
    });
}
