//! Each command as a call over REST and, if there is one, as a frame over WebSocket.

use super::case::Case;
use super::commands::{Command, Draft, EMOJI, LEVELS, Mute, ReadTo};
use super::effects::{description, group_name};
use super::expected_views::{YEAR, mute_end_in};
use super::users::CaseUser;
use crate::support::rest::Body;
use reqwest::Method;
use serde_json::{Value, json};

/// The answer to a command.
#[derive(Debug)]
pub struct Outcome {
    /// `None` over the socket, where an answer has no status.
    pub status: Option<u16>,
    pub code: Option<String>,
    pub body: Value,
}

impl Case {
    fn usernames(&self) -> Vec<String> {
        self.users.iter().map(|user| user.account.username.clone()).collect()
    }

    pub fn message_id(&self, conversation: usize, seq: usize) -> &str {
        &self.message_ids[&(self.conversation_ids[conversation].clone(), seq as i64)]
    }

    /// Sends a command: with `socket` as a frame if there is one, otherwise as a call.
    pub async fn send_command(&mut self, caller: usize, device: usize, socket: bool, command: &Command) -> Outcome {
        let has_only_frame = matches!(command, Command::Delivered { .. });
        if (socket && command.has_frame()) || has_only_frame {
            let (kind, payload) = self.frame(caller, device, command);
            let user = &mut self.users[caller];
            let device = if user.devices[device].socket.is_some() { device } else { 1 - device };
            let CaseUser { devices, probe, .. } = user;
            let socket = devices[device].socket.as_mut().unwrap_or(probe);
            let frame = socket.command(kind, payload).await;
            let code =
                (frame["type"] == "error").then(|| frame["payload"]["code"].as_str().expect("a code").to_owned());
            return Outcome { status: None, code, body: frame["payload"].clone() };
        }
        let (method, path, body) = self.call(caller, device, command);
        let body = body.map_or(Body::None, Body::Json);
        let answer = self.users[caller].account.call(method, &path, body).await;
        let code = (answer.status >= 400).then(|| answer.body["code"].as_str().unwrap_or("none").to_owned());
        Outcome { status: Some(answer.status), code, body: answer.body }
    }

    /// Returns the command as a frame.
    pub fn frame(&self, caller: usize, device: usize, command: &Command) -> (&'static str, Value) {
        match command {
            Command::Send { conversation, draft, reply, temp_number } => {
                let mut payload = self.send_body(caller, *conversation, draft, *reply, *temp_number);
                payload["conversation_id"] = json!(self.conversation_ids[*conversation]);
                ("message.send", payload)
            }
            Command::Edit { conversation, seq, text } => {
                let mut payload = self.message_reference(*conversation, *seq);
                payload["content"] = json!(text.render(&self.usernames()));
                ("message.edit", payload)
            }
            Command::Delete { conversation, seq } => {
                let mut payload = self.message_reference(*conversation, *seq);
                if device == 0 {
                    payload["for"] = json!("everyone");
                }
                ("message.delete", payload)
            }
            Command::Hide { conversation, seq } => {
                let mut payload = self.message_reference(*conversation, *seq);
                payload["for"] = json!("me");
                ("message.delete", payload)
            }
            Command::React { conversation, seq, emoji } | Command::Unreact { conversation, seq, emoji } => {
                let mut payload = self.message_reference(*conversation, *seq);
                payload["emoji"] = json!(EMOJI[*emoji]);
                let adds = matches!(command, Command::React { .. });
                (if adds { "reaction.add" } else { "reaction.remove" }, payload)
            }
            Command::Read { conversation, to } => {
                let mut payload = self.read_body(*conversation, *to);
                payload["conversation_id"] = json!(self.conversation_ids[*conversation]);
                ("message.read", payload)
            }
            Command::Delivered { conversation, seq } => {
                ("message.delivered", json!({ "conversation_id": self.conversation_ids[*conversation], "seq": seq }))
            }
            _ => unreachable!("there is no frame for {command:?}"),
        }
    }

    fn message_reference(&self, conversation: usize, seq: usize) -> Value {
        let message_id = self.message_id(conversation, seq);
        json!({ "conversation_id": self.conversation_ids[conversation], "message_id": message_id })
    }

    fn send_body(
        &self,
        caller: usize,
        conversation: usize,
        draft: &Draft,
        reply: Option<usize>,
        temp_number: Option<u8>,
    ) -> Value {
        let mut body = draft.body(&self.usernames());
        if let Some(seq) = reply {
            body["reply_to_id"] = json!(self.message_id(conversation, seq));
        }
        if let Some(number) = temp_number {
            body["temp_id"] = json!(self.model.temp_id(caller, number));
        }
        body
    }

    fn read_body(&self, conversation: usize, to: ReadTo) -> Value {
        match to {
            ReadTo::Seq(seq) => json!({ "seq": seq }),
            ReadTo::Message(seq) => json!({ "message_id": self.message_id(conversation, seq) }),
            ReadTo::BeyondEnd => json!({ "seq": self.model.conversations[conversation].last_seq() + 50 }),
            ReadTo::All => json!({}),
        }
    }

    /// Returns the command as a call. If a call has two forms, each device uses one of them.
    pub fn call(&self, caller: usize, device: usize, command: &Command) -> (Method, String, Option<Value>) {
        let reference = |user: &usize| {
            let user = &self.users[*user].account;
            if device == 0 { user.id.clone() } else { user.username.clone() }
        };
        let references = |users: &[usize]| users.iter().map(reference).collect::<Vec<_>>();
        let conversation_path =
            |conversation: &usize, rest: &str| format!("/conversations/{}{rest}", self.conversation_ids[*conversation]);
        let message_path = |conversation: &usize, seq: &usize, rest: &str| {
            conversation_path(conversation, &format!("/messages/{}{rest}", self.message_id(*conversation, *seq)))
        };
        let update = if device == 0 { Method::PATCH } else { Method::PUT };
        let (post, put, delete) = (Method::POST, Method::PUT, Method::DELETE);
        let post_or_delete = |on: &bool| if *on { Method::POST } else { Method::DELETE };
        match command {
            Command::Send { conversation, draft, reply, temp_number } => (
                post,
                conversation_path(conversation, "/messages"),
                Some(self.send_body(caller, *conversation, draft, *reply, *temp_number)),
            ),
            Command::Edit { conversation, seq, text } => (
                update,
                message_path(conversation, seq, ""),
                Some(json!({ "content": text.render(&self.usernames()) })),
            ),
            Command::Delete { conversation, seq } => {
                (delete, message_path(conversation, seq, if device == 0 { "" } else { "?for=everyone" }), None)
            }
            Command::Hide { conversation, seq } => (delete, message_path(conversation, seq, "?for=me"), None),
            Command::React { conversation, seq, emoji } | Command::Unreact { conversation, seq, emoji } => {
                let emoji: String = url::form_urlencoded::byte_serialize(EMOJI[*emoji].as_bytes()).collect();
                let path = message_path(conversation, seq, &format!("/reactions/{emoji}"));
                (if matches!(command, Command::React { .. }) { put } else { delete }, path, None)
            }
            Command::PinMessage { conversation, seq } => (put, message_path(conversation, seq, "/pin"), None),
            Command::UnpinMessage { conversation, seq } => (delete, message_path(conversation, seq, "/pin"), None),
            Command::Read { conversation, to } => {
                (post, conversation_path(conversation, "/read"), Some(self.read_body(*conversation, *to)))
            }
            Command::CreateDirect { peer } if device == 0 => {
                let body = json!({ "type": "direct", "participant_ids": [reference(peer)] });
                (post, "/conversations".to_owned(), Some(body))
            }
            Command::CreateDirect { peer } => (post, format!("/conversations/with/{}", reference(peer)), None),
            Command::CreateGroup { others, name, temp_number: None } => {
                let body = json!({ "type": "group", "name": group_name(*name), "participant_ids": references(others) });
                (post, "/conversations".to_owned(), Some(body))
            }
            Command::CreateGroup { others, name, temp_number: Some(temp_number) } => {
                // Both devices send the same body, because a repeated `temp_id` with another body is refused.
                let ids: Vec<_> = others.iter().map(|user| &self.users[*user].account.id).collect();
                let mut body = json!({ "type": "group", "name": group_name(*name), "participant_ids": ids });
                body["temp_id"] = json!(self.model.temp_id(caller, *temp_number));
                (post, "/conversations".to_owned(), Some(body))
            }
            Command::Rename { conversation, name } => {
                (update, conversation_path(conversation, ""), Some(json!({ "name": group_name(*name) })))
            }
            Command::Describe { conversation, text } => {
                (update, conversation_path(conversation, ""), Some(json!({ "description": description(*text) })))
            }
            Command::Add { conversation, users, role } => {
                let mut body = json!({ "user_ids": references(users) });
                if let Some(role) = role {
                    body["role"] = json!(role.name());
                }
                (post, conversation_path(conversation, "/members"), Some(body))
            }
            Command::Remove { conversation, user } => {
                (delete, conversation_path(conversation, &format!("/members/{}", reference(user))), None)
            }
            Command::Leave { conversation } => (delete, conversation_path(conversation, ""), None),
            Command::SetRole { conversation, user, role } => {
                let path = conversation_path(conversation, &format!("/members/{}/role", reference(user)));
                (put, path, Some(json!({ "role": role.name() })))
            }
            Command::Archive { conversation, on } => {
                (post_or_delete(on), conversation_path(conversation, "/archive"), None)
            }
            Command::PinConversation { conversation, on } => {
                (post_or_delete(on), conversation_path(conversation, "/pin"), None)
            }
            Command::Mute { conversation, mute } => {
                let body = match mute {
                    Mute::Off => None,
                    Mute::Forever => Some(json!({})),
                    Mute::UntilYear(year) => Some(json!({ "until": mute_end_in(*year) })),
                    Mute::ForYears(years) => Some(json!({ "seconds": u64::from(*years) * YEAR.as_secs() })),
                };
                (post_or_delete(&(*mute != Mute::Off)), conversation_path(conversation, "/mute"), body)
            }
            Command::Notify { conversation, level } => {
                (put, conversation_path(conversation, "/notify"), Some(json!({ "level": LEVELS[*level] })))
            }
            Command::Block { user } => (post, "/blocks".to_owned(), Some(json!({ "user": reference(user) }))),
            Command::Unblock { user } => (delete, format!("/blocks/{}", reference(user)), None),
            Command::ShareReceipts { on } => {
                (Method::PATCH, "/users/me".to_owned(), Some(json!({ "share_read_receipts": on })))
            }
            Command::Repeat { .. } | Command::RepeatGroup { .. } | Command::Delivered { .. } => {
                unreachable!("there is no call for {command:?}")
            }
        }
    }
}
