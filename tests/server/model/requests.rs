//! Each command as a call over REST and, where it exists there, as a frame over WebSocket.

use super::case::World;
use super::commands::{Command, EMOJI, LEVELS, Mute, ReadTo, What};
use super::effects;
use super::expected_views::{YEAR, until};
use super::users::Person;
use crate::support::rest::Body;
use reqwest::Method;
use serde_json::{Value, json};

/// What a command was answered with.
#[derive(Debug)]
pub struct Outcome {
    /// None over the socket, where only refusals differ.
    pub status: Option<u16>,
    pub code: Option<String>,
    pub body: Value,
}

impl World {
    fn names(&self) -> Vec<String> {
        self.people.iter().map(|person| person.user.username.clone()).collect()
    }

    pub fn message_id(&self, place: usize, seq: usize) -> &str {
        &self.messages[&(self.ids[place].clone(), seq as i64)]
    }

    /// Tries it, over the socket where it exists there.
    pub async fn perform(&mut self, by: usize, device: usize, socket: bool, command: &Command) -> Outcome {
        let only_there = matches!(command, Command::Delivered { .. });
        if (socket && command.has_frame()) || only_there {
            let (kind, payload) = self.frame(by, device, command);
            let person = &mut self.people[by];
            let device = if person.devices[device].socket.is_some() { device } else { 1 - device };
            let Person { devices, probe, .. } = person;
            let socket = devices[device].socket.as_mut().unwrap_or(probe);
            let frame = socket.command(kind, payload).await;
            let code =
                (frame["type"] == "error").then(|| frame["payload"]["code"].as_str().expect("a code").to_owned());
            return Outcome { status: None, code, body: frame["payload"].clone() };
        }
        let (method, path, body) = self.call(by, device, command);
        let body = body.map_or(Body::None, Body::Json);
        let answer = self.people[by].user.call(method, &path, body).await;
        let code = (answer.status >= 400).then(|| answer.body["code"].as_str().unwrap_or("none").to_owned());
        Outcome { status: Some(answer.status), code, body: answer.body }
    }

    /// The command as a frame.
    pub fn frame(&self, by: usize, device: usize, command: &Command) -> (&'static str, Value) {
        match command {
            Command::Send { place, what, reply, temp } => {
                let mut payload = self.send_body(by, *place, what, *reply, *temp);
                payload["conversation_id"] = json!(self.ids[*place]);
                ("message.send", payload)
            }
            Command::Edit { place, which, text } => {
                let mut payload = self.about(*place, *which);
                payload["content"] = json!(text.written(&self.names()));
                ("message.edit", payload)
            }
            Command::Delete { place, which } => {
                let mut payload = self.about(*place, *which);
                if device == 0 {
                    payload["for"] = json!("everyone");
                }
                ("message.delete", payload)
            }
            Command::Hide { place, which } => {
                let mut payload = self.about(*place, *which);
                payload["for"] = json!("me");
                ("message.delete", payload)
            }
            Command::React { place, which, emoji } | Command::Unreact { place, which, emoji } => {
                let mut payload = self.about(*place, *which);
                payload["emoji"] = json!(EMOJI[*emoji]);
                let adds = matches!(command, Command::React { .. });
                (if adds { "reaction.add" } else { "reaction.remove" }, payload)
            }
            Command::Read { place, to } => {
                let mut payload = self.read_body(*place, *to);
                payload["conversation_id"] = json!(self.ids[*place]);
                ("message.read", payload)
            }
            Command::Delivered { place, which } => {
                ("message.delivered", json!({ "conversation_id": self.ids[*place], "seq": which }))
            }
            _ => unreachable!("there is no frame for {command:?}"),
        }
    }

    fn about(&self, place: usize, which: usize) -> Value {
        json!({ "conversation_id": self.ids[place], "message_id": self.message_id(place, which) })
    }

    fn send_body(&self, by: usize, place: usize, what: &What, reply: Option<usize>, temp: Option<u8>) -> Value {
        let mut body = what.body(&self.names());
        if let Some(seq) = reply {
            body["reply_to_id"] = json!(self.message_id(place, seq));
        }
        if let Some(number) = temp {
            body["temp_id"] = json!(self.model.temp_id(by, number));
        }
        body
    }

    fn read_body(&self, place: usize, to: ReadTo) -> Value {
        match to {
            ReadTo::Seq(seq) => json!({ "seq": seq }),
            ReadTo::Message(seq) => json!({ "message_id": self.message_id(place, seq) }),
            ReadTo::Beyond => json!({ "seq": self.model.conversations[place].last_seq() + 50 }),
            ReadTo::All => json!({}),
        }
    }

    /// The command as a call. What may be said in two ways is said in one on each device.
    pub fn call(&self, by: usize, device: usize, command: &Command) -> (Method, String, Option<Value>) {
        let user = |user: &usize| {
            let user = &self.people[*user].user;
            if device == 0 { user.id.clone() } else { user.username.clone() }
        };
        let users = |users: &[usize]| users.iter().map(user).collect::<Vec<_>>();
        let at = |place: &usize, rest: &str| format!("/conversations/{}{rest}", self.ids[*place]);
        let message = |place: &usize, which: &usize, rest: &str| {
            at(place, &format!("/messages/{}{rest}", self.message_id(*place, *which)))
        };
        let change = if device == 0 { Method::PATCH } else { Method::PUT };
        let (post, put, delete) = (Method::POST, Method::PUT, Method::DELETE);
        let switch = |on: &bool| if *on { Method::POST } else { Method::DELETE };
        match command {
            Command::Send { place, what, reply, temp } => {
                (post, at(place, "/messages"), Some(self.send_body(by, *place, what, *reply, *temp)))
            }
            Command::Edit { place, which, text } => {
                (change, message(place, which, ""), Some(json!({ "content": text.written(&self.names()) })))
            }
            Command::Delete { place, which } => {
                (delete, message(place, which, if device == 0 { "" } else { "?for=everyone" }), None)
            }
            Command::Hide { place, which } => (delete, message(place, which, "?for=me"), None),
            Command::React { place, which, emoji } | Command::Unreact { place, which, emoji } => {
                let emoji: String = url::form_urlencoded::byte_serialize(EMOJI[*emoji].as_bytes()).collect();
                let path = message(place, which, &format!("/reactions/{emoji}"));
                (if matches!(command, Command::React { .. }) { put } else { delete }, path, None)
            }
            Command::PinMessage { place, which } => (put, message(place, which, "/pin"), None),
            Command::UnpinMessage { place, which } => (delete, message(place, which, "/pin"), None),
            Command::Read { place, to } => (post, at(place, "/read"), Some(self.read_body(*place, *to))),
            Command::CreateDirect { with } if device == 0 => {
                let body = json!({ "type": "direct", "participant_ids": [user(with)] });
                (post, "/conversations".to_owned(), Some(body))
            }
            Command::CreateDirect { with } => (post, format!("/conversations/with/{}", user(with)), None),
            Command::CreateGroup { with, name, temp: None } => {
                let body = json!({ "type": "group", "name": effects::room(*name), "participant_ids": users(with) });
                (post, "/conversations".to_owned(), Some(body))
            }
            Command::CreateGroup { with, name, temp: Some(temp) } => {
                // in one way on every device: another spelling would be another body
                let ids: Vec<_> = with.iter().map(|user| &self.people[*user].user.id).collect();
                let mut body = json!({ "type": "group", "name": effects::room(*name), "participant_ids": ids });
                body["temp_id"] = json!(self.model.temp_id(by, *temp));
                (post, "/conversations".to_owned(), Some(body))
            }
            Command::Rename { place, name } => (change, at(place, ""), Some(json!({ "name": effects::room(*name) }))),
            Command::Describe { place, text } => {
                (change, at(place, ""), Some(json!({ "description": effects::about(*text) })))
            }
            Command::Add { place, whom, role } => {
                let mut body = json!({ "user_ids": users(whom) });
                if let Some(role) = role {
                    body["role"] = json!(role.name());
                }
                (post, at(place, "/members"), Some(body))
            }
            Command::Remove { place, whom } => (delete, at(place, &format!("/members/{}", user(whom))), None),
            Command::Leave { place } => (delete, at(place, ""), None),
            Command::SetRole { place, whom, role } => {
                let path = at(place, &format!("/members/{}/role", user(whom)));
                (put, path, Some(json!({ "role": role.name() })))
            }
            Command::Archive { place, on } => (switch(on), at(place, "/archive"), None),
            Command::PinConversation { place, on } => (switch(on), at(place, "/pin"), None),
            Command::Mute { place, how } => {
                let body = match how {
                    Mute::Off => None,
                    Mute::ForGood => Some(json!({})),
                    Mute::Until(year) => Some(json!({ "until": until(*year) })),
                    Mute::For(years) => Some(json!({ "seconds": u64::from(*years) * YEAR.as_secs() })),
                };
                (switch(&(*how != Mute::Off)), at(place, "/mute"), body)
            }
            Command::Notify { place, level } => (put, at(place, "/notify"), Some(json!({ "level": LEVELS[*level] }))),
            Command::Block { whom } => (post, "/blocks".to_owned(), Some(json!({ "user": user(whom) }))),
            Command::Unblock { whom } => (delete, format!("/blocks/{}", user(whom)), None),
            Command::ShareReceipts { on } => {
                (Method::PATCH, "/users/me".to_owned(), Some(json!({ "share_read_receipts": on })))
            }
            Command::Repeat { .. } | Command::RepeatGroup { .. } | Command::Delivered { .. } => {
                unreachable!("there is no call for {command:?}")
            }
        }
    }
}
