//! Every mutation, one by one, over REST and over WebSocket: what each device showed before and the events make what
//! REST shows after, live and by `sync`. The list is a story in which each command finds what it needs; the route table
//! and the protocol's own commands say whether one is missing.

use super::case::World;
use super::commands::{Command, Mute, ReadTo, Role, Text, USERS, What};
use super::compare;
use super::replay;
use super::users::{Device, Person, Rest};
use crate::support::TestServer;
use greenroom::http::routes::ROUTES;
use greenroom::protocol::client;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Routes that change something which no conversation shows.
const EXCEPTIONS: [(&str, &str, &str); 8] = [
    ("POST", "/auth/register", "makes an account, which is in no conversation yet"),
    ("POST", "/auth/login", "makes a login"),
    ("POST", "/auth/refresh", "renews a login"),
    ("POST", "/auth/logout", "ends a login; what its sessions are told is tested with logins"),
    ("DELETE", "/auth/sessions/{id}", "ends a login; what its sessions are told is tested with logins"),
    ("PUT", "/users/me/password", "changes how one signs in"),
    ("POST", "/ws/ticket", "makes a ticket for one handshake"),
    ("POST", "/users/presence", "asks a question"),
];

/// Every event that a mutation of a conversation can make.
const EVENTS: [&str; 14] = [
    "conversation.created",
    "conversation.removed",
    "conversation.settings",
    "conversation.updated",
    "message.deleted",
    "message.edited",
    "message.hidden",
    "message.new",
    "message.pinned",
    "message.unpinned",
    "participant.joined",
    "participant.left",
    "participant.updated",
    "reaction.updated",
];

/// How a command is given: over REST, over REST in the other of two ways (PUT for PATCH, a name for an id), by a frame.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Way {
    Rest,
    Other,
    Socket,
}

use Way::{Other, Rest as Plain, Socket};

/// Whether a command of the protocol changes what somebody is shown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Frame {
    Changes(&'static str),
    Nothing,
}

/// The frames that change something. The match has no wildcard: a new command of the protocol has to be put in its
/// place.
const FRAMES: [&str; 7] = ["delete", "delivered", "edit", "react", "read", "send", "unreact"];

fn frame(command: &client::Command) -> Frame {
    use client::Command;
    match command {
        Command::Send(_) => Frame::Changes("send"),
        Command::Edit(_) => Frame::Changes("edit"),
        Command::Delete(_) => Frame::Changes("delete"),
        Command::React(_) => Frame::Changes("react"),
        Command::Unreact(_) => Frame::Changes("unreact"),
        Command::Read(_) => Frame::Changes("read"),
        Command::Delivered(_) => Frame::Changes("delivered"),
        // what a session follows, and what is over when the session is
        Command::Auth(_)
        | Command::Subscribe(_)
        | Command::Unsubscribe(_)
        | Command::Sync(_)
        | Command::TypingStart(_)
        | Command::TypingStop(_)
        | Command::SetPresence(_)
        | Command::WatchPresence(_)
        | Command::UnwatchPresence(_)
        | Command::Ping => Frame::Nothing,
    }
}

/// Who does what, in which way. 0 is a group's owner, 1 and 2 its members, 3 comes later; 1 is also whom 0 talks to
/// alone.
fn story() -> Vec<(usize, Way, Command)> {
    let (group, direct) = (0, 1);
    let say = |text| What::Text(text);
    let send = |place, what, reply, temp| Command::Send { place, what, reply, temp };
    let edit = |which, text| Command::Edit { place: 0, which, text };
    let react = |which, emoji| Command::React { place: 0, which, emoji };
    let set_role = |whom, role| Command::SetRole { place: 0, whom, role };
    let mute = |how| Command::Mute { place: 1, how };
    vec![
        (0, Plain, Command::CreateGroup { with: vec![1, 2], name: 0, temp: Some(0) }),
        (0, Other, Command::CreateGroup { with: vec![1, 2], name: 0, temp: Some(0) }),
        (0, Plain, Command::CreateDirect { with: 1 }),
        (2, Other, Command::CreateDirect { with: 0 }),
        (0, Plain, send(group, say(Text::Plain(1)), None, None)),
        (1, Socket, send(group, say(Text::Mention(0)), Some(2), Some(1))),
        (1, Plain, send(group, say(Text::Mention(0)), Some(2), Some(1))),
        (2, Plain, send(group, What::Location(Some(Text::Plain(4))), Some(3), None)),
        (0, Plain, edit(2, Text::Mention(2))),
        (0, Other, edit(2, Text::Long(1))),
        (1, Socket, edit(3, Text::Shout(2))),
        (2, Plain, react(2, 0)),
        (1, Socket, react(2, 0)),
        (1, Socket, react(2, 2)),
        (2, Plain, Command::Unreact { place: group, which: 2, emoji: 0 }),
        (1, Socket, Command::Unreact { place: group, which: 2, emoji: 0 }),
        (0, Plain, Command::PinMessage { place: group, which: 2 }),
        (0, Plain, Command::UnpinMessage { place: group, which: 2 }),
        (0, Plain, Command::PinMessage { place: group, which: 2 }),
        (1, Socket, Command::Delivered { place: group, which: 4 }),
        (1, Plain, Command::Read { place: group, to: ReadTo::Seq(4) }),
        (0, Socket, Command::Read { place: group, to: ReadTo::All }),
        (1, Plain, Command::Hide { place: group, which: 4 }),
        (0, Socket, Command::Hide { place: group, which: 4 }),
        (0, Plain, Command::Delete { place: group, which: 2 }),
        (1, Other, Command::Delete { place: group, which: 3 }),
        (2, Socket, Command::Delete { place: group, which: 4 }),
        (0, Plain, Command::Rename { place: group, name: 1 }),
        (0, Other, Command::Rename { place: group, name: 2 }),
        (0, Plain, Command::Describe { place: group, text: 1 }),
        (0, Plain, set_role(1, Role::Admin)),
        (1, Plain, Command::Add { place: group, whom: vec![3], role: Some(Role::Observer) }),
        (0, Other, set_role(3, Role::Member)),
        (1, Plain, Command::Remove { place: group, whom: 3 }),
        (0, Other, Command::Add { place: group, whom: vec![3, 1], role: None }),
        (3, Plain, send(group, say(Text::Plain(5)), None, None)),
        (0, Plain, set_role(2, Role::Owner)),
        (3, Other, Command::Remove { place: group, whom: 3 }),
        (2, Plain, Command::Leave { place: group }),
        (0, Plain, send(direct, What::Sticker(1), None, None)),
        (1, Plain, Command::Archive { place: direct, on: true }),
        (0, Socket, send(direct, What::Contact, None, None)),
        (1, Plain, Command::Archive { place: direct, on: true }),
        (1, Plain, Command::Archive { place: direct, on: false }),
        (1, Plain, Command::Archive { place: direct, on: true }),
        (1, Plain, mute(Mute::ForGood)),
        // now it stays archived whatever comes
        (0, Plain, send(direct, say(Text::Plain(6)), None, None)),
        (1, Plain, mute(Mute::Until(1))),
        (1, Plain, mute(Mute::For(2))),
        (1, Plain, mute(Mute::Off)),
        (1, Plain, Command::PinConversation { place: direct, on: true }),
        (1, Plain, Command::PinConversation { place: direct, on: false }),
        (1, Plain, Command::Notify { place: direct, level: 1 }),
        (0, Plain, Command::Block { whom: 1 }),
        (0, Plain, Command::Unblock { whom: 1 }),
        (1, Plain, Command::ShareReceipts { on: false }),
        (1, Plain, Command::ShareReceipts { on: true }),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_showed_and_the_events_make_what_it_is_shown() {
    let server = TestServer::start().await;
    let mut world = World::new(&server, 0).await;
    let mut covered = Covered::default();
    let mut before_by_temp_id = Vec::new();
    for (by, way, command) in story() {
        covered.note(&world, by, way, &command);
        let before = world.all_rest().await;
        let views: Vec<_> = world.people.iter().map(|person| person.devices[0].view.clone()).collect();
        let (device, socket) = (usize::from(way == Other), way == Socket);
        let told = |error: String| format!("{by} {way:?} {command:?}: {error}");
        world.command(by, device, socket, &command).await.map_err(told).unwrap();
        world.look().await.map_err(told).unwrap();
        let after = world.all_rest().await;
        for (index, view) in views.into_iter().enumerate() {
            let (view, socket) = replay::sync(&world, index, view).await.map_err(told).unwrap();
            let revs = world.people[index].revs().await;
            let mut device = Device { view, socket: Some(socket) };
            device.settle(&revs).await.map_err(told).unwrap();
            world.people[index].fill(&mut device.view).await;
            compare::view(&device.view, &after[index]).map_err(told).unwrap();
        }
        let named = matches!(command, Command::Send { temp: Some(_), .. } | Command::CreateGroup { temp: Some(_), .. });
        let repeats = named && before_by_temp_id.contains(&command);
        before_by_temp_id.extend(named.then(|| command.clone()));
        let same = before.iter().zip(&after).all(|(before, after)| before.everything() == after.everything());
        assert_eq!(same, repeats, "{by} {way:?} {command:?}: is it seen?");
    }
    covered.check(&world);
}

/// What the story went through.
#[derive(Default)]
struct Covered {
    routes: BTreeSet<(String, &'static str)>,
    frames: BTreeSet<&'static str>,
}

impl Covered {
    fn note(&mut self, world: &World, by: usize, way: Way, command: &Command) {
        if way == Socket {
            let (kind, payload) = world.frame(by, 0, command);
            let text = json!({ "type": kind, "id": 1, "payload": payload }).to_string();
            match frame(&client::read(&text).command.unwrap()) {
                Frame::Changes(name) => self.frames.insert(name),
                Frame::Nothing => panic!("{kind} is said to change nothing"),
            };
        } else {
            let (method, path, _) = world.call(by, usize::from(way == Other), command);
            let path = path.split('?').next().unwrap_or_default();
            let route = ROUTES.iter().find(|route| route.method.as_str() == method.as_str() && is(&route.path, path));
            let route = route.unwrap_or_else(|| panic!("there is no {method} {path}"));
            self.routes.insert((method.to_string(), route.path.as_str()));
        }
    }

    fn check(&self, world: &World) {
        for route in ROUTES.iter().filter(|route| route.method.as_str() != Method::GET.as_str()) {
            let (method, path) = (route.method.as_str(), route.path.as_str());
            let excepted = EXCEPTIONS.iter().any(|(other, of, _)| (*other, *of) == (method, path));
            let covered = self.routes.contains(&(method.to_owned(), path));
            assert!(covered != excepted, "{method} {path}: performed {covered}, excepted {excepted}");
        }
        for (method, path, _) in EXCEPTIONS {
            let exists = ROUTES.iter().any(|route| route.method.as_str() == method && route.path == path);
            assert!(exists, "{method} {path} is excepted and does not exist");
        }
        assert_eq!(self.frames.iter().copied().collect::<Vec<_>>(), FRAMES);
        let seen: BTreeSet<&str> = (0..USERS)
            .flat_map(|index| &world.people[index].devices)
            .flat_map(|device| &device.view.types)
            .map(String::as_str)
            .collect();
        let missing: Vec<&&str> = EVENTS.iter().filter(|event| !seen.contains(**event)).collect();
        assert!(missing.is_empty(), "nobody was told {missing:?}");
    }
}

impl World {
    async fn all_rest(&self) -> Vec<Rest> {
        futures_util::future::join_all(self.people.iter().map(Person::rest)).await
    }
}

impl Rest {
    /// All of it, without presence, which comes and goes.
    fn everything(&self) -> Value {
        let text = json!([self.lists, self.within, self.unread, self.blocks]).to_string();
        let mut all: Value = serde_json::from_str(&text).unwrap();
        forget(&mut all);
        all
    }
}

fn forget(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|field, _| field != "presence" && field != "last_seen_at");
            fields.values_mut().for_each(forget);
        }
        Value::Array(items) => items.iter_mut().for_each(forget),
        _ => (),
    }
}

/// Whether a path is one of a pattern's.
fn is(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
    pattern.len() == path.len() && pattern.iter().zip(path).all(|(one, other)| one.starts_with('{') || *one == other)
}
