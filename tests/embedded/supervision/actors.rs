//! The hub, a room, the registry of presence, a session. An actor that panics ends alone: its arbiter, and whoever else
//! runs on it, goes on.

use super::{Ear, Heard, expect_failing, poison};
use crate::harness::{Inside, on_sqlite};
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

fn subscribe(room: &Recipient<ToRoom>, stream: Stream, ear: &Ear) {
    let session = ear.handle(ear.user);
    room.do_send(ToRoom::Subscribe(Subscription {
        stream,
        session,
        after: Rev(3),
        checked_rev: Rev(3),
        accepted: false,
    }));
}

/// A stream with a room, and a session that follows it.
async fn followed(hub: &Addr<Hub>) -> (Stream, Recipient<ToRoom>, Ear) {
    let (stream, mut ear) = (Stream::User(UserId::new()), Ear::new());
    let room = open(hub, stream).await;
    subscribe(&room, stream, &ear);
    assert!(matches!(ear.next().await, Heard::Room(RoomEvent::Live(Rev(3)))));
    (stream, room, ear)
}

async fn expect_gone(ear: &mut Ear) {
    let heard = ear.next().await;
    assert!(matches!(heard, Heard::Room(RoomEvent::Gone)), "{heard:?}");
}

#[test]
fn after_a_panic_of_the_hub_all_rooms_end_and_their_sessions_come_back() {
    on_sqlite(&async |inside: &Inside| {
        let (hub, _rooms) = hub(&inside.app);
        let (one, room, mut first) = followed(&hub).await;
        let (_, _, mut second) = followed(&hub).await;
        hub.do_send(Ephemeral { streams: Vec::new(), text: poison(), except: Arc::new([]) });
        expect_gone(&mut first).await;
        expect_gone(&mut second).await;
        expect_failing(&inside.app, "hub").await;
        // who was on the way to a room that ended comes back too
        let mut late = Ear::new();
        subscribe(&room, one, &late);
        expect_gone(&mut late).await;
        followed(&hub).await;
    });
}

#[test]
fn all_rooms_end_when_told_so() {
    on_sqlite(&async |inside: &Inside| {
        let (hub, _rooms) = hub(&inside.app);
        let (_, _, mut ear) = followed(&hub).await;
        hub.do_send(EndRooms);
        expect_gone(&mut ear).await;
        followed(&hub).await;
        assert_eq!(inside.app.supervision().failing(), [""; 0]);
    });
}

#[test]
fn a_room_that_panics_ends_alone_and_another_takes_its_place() {
    on_sqlite(&async |inside: &Inside| {
        let (hub, _rooms) = hub(&inside.app);
        let (stream, room, mut ear) = followed(&hub).await;
        let (_, other, mut beside) = followed(&hub).await;
        // it is for nobody, so the room is the last to hold it
        let nobody = Stream::User(UserId::new());
        room.do_send(ToRoom::Ephemeral(poison(), Arc::new([ear.user])));
        expect_gone(&mut ear).await;
        expect_failing(&inside.app, "rooms").await;
        let mut late = Ear::new();
        subscribe(&room, stream, &late);
        expect_gone(&mut late).await;
        // its neighbour on the same arbiter goes on, and the hub starts another
        let mut newcomer = Ear::new();
        subscribe(&other, nobody, &newcomer);
        assert!(matches!(newcomer.next().await, Heard::Room(RoomEvent::Live(_))));
        assert!(beside.told.try_recv().is_err(), "it was told nothing");
        subscribe(&open(&hub, stream).await, stream, &ear);
        assert!(matches!(ear.next().await, Heard::Room(RoomEvent::Live(_))));
    });
}

#[test]
fn after_a_panic_of_the_registry_all_sessions_come_back() {
    on_sqlite(&async |inside: &Inside| {
        let app = &inside.app;
        let registry = Presence::new(app.clone()).start();
        let mut ear = Ear::new();
        let user = ear.user;
        let opened = |ear: &Ear| ToPresence::Opened(ear.handle(user), ear.addr.clone().recipient());
        registry.send(opened(&ear)).await.unwrap();
        assert_eq!(app.presence().session_count(), 1);
        let (status, watchers) = (PresenceStatus::Online, HashSet::new());
        let told = PresenceAnnounced { user_id: user, status, text: poison(), watchers };
        registry.send(ToPresence::Announced(Ok(vec![told]))).await.unwrap();
        assert!(matches!(ear.next().await, Heard::Close(Close::Restart)));
        assert_eq!(app.presence().session_count(), 0);
        expect_failing(app, "presence").await;
        registry.send(opened(&ear)).await.unwrap();
        assert_eq!(app.presence().session_count(), 1);
    });
}

#[test]
fn a_session_that_panics_closes_its_socket_and_its_client_comes_back() {
    on_sqlite(&async |inside: &Inside| {
        let app = &inside.app;
        let (hub, _rooms) = hub(app);
        let presence = Presence::new(app.clone()).start();
        let around = SessionServices { app: app.clone(), hub: hub.recipient(), presence: presence.recipient() };
        let mut socket = Ear::new();
        let session = Session::new(around, Handshake::default(), socket.addr.clone().recipient()).start();
        session.do_send(FromTransport::Text(poison()));
        loop {
            match socket.next().await {
                Heard::Socket(ToTransport::Close(why)) => break assert_eq!(why, Close::Restart),
                Heard::Socket(_) => {}
                other => panic!("{other:?}"),
            }
        }
        expect_failing(app, "sessions").await;
    });
}
