//! Every command that changes data, over REST and over WebSocket. The view of a device before the command, with the
//! events of the command applied, must be what REST returns after it, both live and by `sync`. In the sequence, each
//! command finds the data that it needs. The route table and the commands of the protocol show whether one is missing.

use super::case::Case;
use super::commands::{Command, Draft, Mute, ReadTo, Role, Text, USERS};
use super::compare;
use super::replay;
use super::users::{CaseUser, Device, RestState};
use crate::support::TestServer;
use greenroom::http::routes::ROUTES;
use greenroom::protocol::client;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Routes that change only what no conversation shows, each with the reason.
const EXCEPTIONS: [(&str, &str, &str); 8] = [
    ("POST", "/auth/register", "creates an account, which is in no conversation yet"),
    ("POST", "/auth/login", "creates a login"),
    ("POST", "/auth/refresh", "refreshes a login"),
    ("POST", "/auth/logout", "revokes a login; the tests of logins cover its sessions"),
    ("DELETE", "/auth/sessions/{id}", "revokes a login; the tests of logins cover its sessions"),
    ("PUT", "/users/me/password", "changes the password"),
    ("POST", "/ws/ticket", "creates a ticket for one handshake"),
    ("POST", "/users/presence", "only reads"),
];

/// All types of durable events about conversations.
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

/// The form of a command: a call, a call in its alternative form (PUT for PATCH, a username for an id), or a frame.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Form {
    Rest,
    Alternative,
    Socket,
}

use Form::{Alternative, Rest as Plain, Socket};

/// Whether a command of the protocol changes what users see.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum FrameEffect {
    Changes(&'static str),
    ChangesNothing,
}

/// The frames that change what users see. The match below has no wildcard, so a new command of the protocol must be
/// added to it.
const FRAMES: [&str; 7] = ["delete", "delivered", "edit", "react", "read", "send", "unreact"];

fn frame_effect(command: &client::Command) -> FrameEffect {
    use client::Command;
    match command {
        Command::Send(_) => FrameEffect::Changes("send"),
        Command::Edit(_) => FrameEffect::Changes("edit"),
        Command::Delete(_) => FrameEffect::Changes("delete"),
        Command::React(_) => FrameEffect::Changes("react"),
        Command::Unreact(_) => FrameEffect::Changes("unreact"),
        Command::Read(_) => FrameEffect::Changes("read"),
        Command::Delivered(_) => FrameEffect::Changes("delivered"),
        // These concern the session itself, or they have no effect after its end.
        Command::Auth(_)
        | Command::Subscribe(_)
        | Command::Unsubscribe(_)
        | Command::Sync(_)
        | Command::TypingStart(_)
        | Command::TypingStop(_)
        | Command::SetPresence(_)
        | Command::WatchPresence(_)
        | Command::UnwatchPresence(_)
        | Command::Ping => FrameEffect::ChangesNothing,
    }
}

/// Returns callers, forms and commands. User 0 is the owner of a group, 1 and 2 are its members, and 3 joins later.
/// Users 0 and 1 also have a direct conversation.
fn command_sequence() -> Vec<(usize, Form, Command)> {
    let (group, direct) = (0, 1);
    let text_draft = |text| Draft::Text(text);
    let send = |conversation, draft, reply, temp_number| Command::Send { conversation, draft, reply, temp_number };
    let edit = |seq, text| Command::Edit { conversation: 0, seq, text };
    let react = |seq, emoji| Command::React { conversation: 0, seq, emoji };
    let set_role = |user, role| Command::SetRole { conversation: 0, user, role };
    let mute = |mute| Command::Mute { conversation: 1, mute };
    vec![
        (0, Plain, Command::CreateGroup { others: vec![1, 2], name: 0, temp_number: Some(0) }),
        (0, Alternative, Command::CreateGroup { others: vec![1, 2], name: 0, temp_number: Some(0) }),
        (0, Plain, Command::CreateDirect { peer: 1 }),
        (2, Alternative, Command::CreateDirect { peer: 0 }),
        (0, Plain, send(group, text_draft(Text::Plain(1)), None, None)),
        (1, Socket, send(group, text_draft(Text::Mention(0)), Some(2), Some(1))),
        (1, Plain, send(group, text_draft(Text::Mention(0)), Some(2), Some(1))),
        (2, Plain, send(group, Draft::Location(Some(Text::Plain(4))), Some(3), None)),
        (0, Plain, edit(2, Text::Mention(2))),
        (0, Alternative, edit(2, Text::Long(1))),
        (1, Socket, edit(3, Text::UppercaseMention(2))),
        (2, Plain, react(2, 0)),
        (1, Socket, react(2, 0)),
        (1, Socket, react(2, 2)),
        (2, Plain, Command::Unreact { conversation: group, seq: 2, emoji: 0 }),
        (1, Socket, Command::Unreact { conversation: group, seq: 2, emoji: 0 }),
        (0, Plain, Command::PinMessage { conversation: group, seq: 2 }),
        (0, Plain, Command::UnpinMessage { conversation: group, seq: 2 }),
        (0, Plain, Command::PinMessage { conversation: group, seq: 2 }),
        (1, Socket, Command::Delivered { conversation: group, seq: 4 }),
        (1, Plain, Command::Read { conversation: group, to: ReadTo::Seq(4) }),
        (0, Socket, Command::Read { conversation: group, to: ReadTo::All }),
        (1, Plain, Command::Hide { conversation: group, seq: 4 }),
        (0, Socket, Command::Hide { conversation: group, seq: 4 }),
        (0, Plain, Command::Delete { conversation: group, seq: 2 }),
        (1, Alternative, Command::Delete { conversation: group, seq: 3 }),
        (2, Socket, Command::Delete { conversation: group, seq: 4 }),
        (0, Plain, Command::Rename { conversation: group, name: 1 }),
        (0, Alternative, Command::Rename { conversation: group, name: 2 }),
        (0, Plain, Command::Describe { conversation: group, text: 1 }),
        (0, Plain, set_role(1, Role::Admin)),
        (1, Plain, Command::Add { conversation: group, users: vec![3], role: Some(Role::Observer) }),
        (0, Alternative, set_role(3, Role::Member)),
        (1, Plain, Command::Remove { conversation: group, user: 3 }),
        (0, Alternative, Command::Add { conversation: group, users: vec![3, 1], role: None }),
        (3, Plain, send(group, text_draft(Text::Plain(5)), None, None)),
        (0, Plain, set_role(2, Role::Owner)),
        (3, Alternative, Command::Remove { conversation: group, user: 3 }),
        (2, Plain, Command::Leave { conversation: group }),
        (0, Plain, send(direct, Draft::Sticker(1), None, None)),
        (1, Plain, Command::Archive { conversation: direct, on: true }),
        (0, Socket, send(direct, Draft::Contact, None, None)),
        (1, Plain, Command::Archive { conversation: direct, on: true }),
        (1, Plain, Command::Archive { conversation: direct, on: false }),
        (1, Plain, Command::Archive { conversation: direct, on: true }),
        (1, Plain, mute(Mute::Forever)),
        // A muted conversation stays archived when a message comes.
        (0, Plain, send(direct, text_draft(Text::Plain(6)), None, None)),
        (1, Plain, mute(Mute::UntilYear(1))),
        (1, Plain, mute(Mute::ForYears(2))),
        (1, Plain, mute(Mute::Off)),
        (1, Plain, Command::PinConversation { conversation: direct, on: true }),
        (1, Plain, Command::PinConversation { conversation: direct, on: false }),
        (1, Plain, Command::Notify { conversation: direct, level: 1 }),
        (0, Plain, Command::Block { user: 1 }),
        (0, Plain, Command::Unblock { user: 1 }),
        (1, Plain, Command::ShareReceipts { on: false }),
        (1, Plain, Command::ShareReceipts { on: true }),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn after_every_command_a_view_with_the_events_applied_equals_the_answers_of_rest() {
    let server = TestServer::start().await;
    let mut case = Case::new(&server, 0).await;
    let mut coverage = Coverage::default();
    let mut earlier_with_temp_id = Vec::new();
    for (caller, form, command) in command_sequence() {
        coverage.record(&case, caller, form, &command);
        let before = case.get_rest_states().await;
        let views: Vec<_> = case.users.iter().map(|user| user.devices[0].view.clone()).collect();
        let (device, socket) = (usize::from(form == Alternative), form == Socket);
        let with_context = |error: String| format!("{caller} {form:?} {command:?}: {error}");
        case.run_command(caller, device, socket, &command).await.map_err(with_context).unwrap();
        case.compare_all().await.map_err(with_context).unwrap();
        let after = case.get_rest_states().await;
        for (index, view) in views.into_iter().enumerate() {
            let (view, socket) = replay::sync(&case, index, view).await.map_err(with_context).unwrap();
            let revs = case.users[index].get_revs().await;
            let mut device = Device { view, socket: Some(socket) };
            device.wait_for_revs(&revs).await.map_err(with_context).unwrap();
            case.users[index].fill_view(&mut device.view).await;
            compare::view(&device.view, &after[index]).map_err(with_context).unwrap();
        }
        let has_temp_id = matches!(
            command,
            Command::Send { temp_number: Some(_), .. } | Command::CreateGroup { temp_number: Some(_), .. }
        );
        let repeats = has_temp_id && earlier_with_temp_id.contains(&command);
        earlier_with_temp_id.extend(has_temp_id.then(|| command.clone()));
        let unchanged = before.iter().zip(&after).all(|(before, after)| before.comparable() == after.comparable());
        assert_eq!(unchanged, repeats, "{caller} {form:?} {command:?}: only a repeated command changes nothing");
    }
    coverage.check(&case);
}

/// The routes and frames of all commands that were run.
#[derive(Default)]
struct Coverage {
    routes: BTreeSet<(String, &'static str)>,
    frames: BTreeSet<&'static str>,
}

impl Coverage {
    fn record(&mut self, case: &Case, caller: usize, form: Form, command: &Command) {
        if form == Socket {
            let (kind, payload) = case.frame(caller, 0, command);
            let text = json!({ "type": kind, "id": 1, "payload": payload }).to_string();
            match frame_effect(&client::read(&text).command.unwrap()) {
                FrameEffect::Changes(name) => self.frames.insert(name),
                FrameEffect::ChangesNothing => panic!("{kind} is listed as a frame that changes nothing"),
            };
        } else {
            let (method, path, _) = case.call(caller, usize::from(form == Alternative), command);
            let path = path.split('?').next().unwrap_or_default();
            let route =
                ROUTES.iter().find(|route| route.method.as_str() == method.as_str() && path_matches(&route.path, path));
            let route = route.unwrap_or_else(|| panic!("there is no {method} {path}"));
            self.routes.insert((method.to_string(), route.path.as_str()));
        }
    }

    fn check(&self, case: &Case) {
        for route in ROUTES.iter().filter(|route| route.method.as_str() != Method::GET.as_str()) {
            let (method, path) = (route.method.as_str(), route.path.as_str());
            let is_excepted = EXCEPTIONS.iter().any(|(method_of, path_of, _)| (*method_of, *path_of) == (method, path));
            let is_covered = self.routes.contains(&(method.to_owned(), path));
            assert!(is_covered != is_excepted, "{method} {path}: covered {is_covered}, excepted {is_excepted}");
        }
        for (method, path, _) in EXCEPTIONS {
            let exists = ROUTES.iter().any(|route| route.method.as_str() == method && route.path == path);
            assert!(exists, "{method} {path} is excepted, but it does not exist");
        }
        assert_eq!(self.frames.iter().copied().collect::<Vec<_>>(), FRAMES);
        let received: BTreeSet<&str> = (0..USERS)
            .flat_map(|index| &case.users[index].devices)
            .flat_map(|device| &device.view.event_types)
            .map(String::as_str)
            .collect();
        let missing: Vec<&&str> = EVENTS.iter().filter(|event| !received.contains(**event)).collect();
        assert!(missing.is_empty(), "no device received {missing:?}");
    }
}

impl Case {
    async fn get_rest_states(&self) -> Vec<RestState> {
        futures_util::future::join_all(self.users.iter().map(CaseUser::get_rest_state)).await
    }
}

impl RestState {
    /// Returns all answers without presence, which can change at any time.
    fn comparable(&self) -> Value {
        let text = json!([self.lists, self.details, self.unread, self.blocks]).to_string();
        let mut all: Value = serde_json::from_str(&text).unwrap();
        remove_presence(&mut all);
        all
    }
}

fn remove_presence(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|field, _| field != "presence" && field != "last_seen_at");
            fields.values_mut().for_each(remove_presence);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_presence),
        _ => (),
    }
}

/// Returns whether a path matches the pattern of a route.
fn path_matches(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
    pattern.len() == path.len() && pattern.iter().zip(path).all(|(one, other)| one.starts_with('{') || *one == other)
}
