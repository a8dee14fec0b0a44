//! What a client sends over WebSocket: one JSON object a text frame, `{"type", "id"?, "payload"}`. Unknown types and
//! unknown fields are told apart and refused by name.

use super::json::from_json;
use crate::domain::content::MessageKind;
use crate::domain::ids::{ConversationId, MessageId, Rev, Seq};
use crate::error::{Error, Result};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// A frame from a client, read but not yet acted on.
#[derive(Debug)]
pub struct ClientFrame {
    /// What the answer carries back; as the client wrote it.
    pub id: Option<FrameId>,
    /// The command, or why it is none.
    pub command: Result<Command>,
    /// The `temp_id` of a send, also of one that cannot be read, so that its error names it.
    pub temp_id: Option<String>,
}

/// A client's own number or word for a command; at most 64 characters.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, serde::Serialize)]
#[serde(untagged)]
pub enum FrameId {
    /// A number.
    Number(i64),
    /// A word.
    Word(String),
}

/// What a client asks for.
#[derive(Debug)]
pub enum Command {
    /// Authenticate, or extend.
    Auth(Auth),
    /// Get a conversation's events from now on.
    Subscribe(Conversations),
    /// Get them no more.
    Unsubscribe(Conversations),
    /// Get what was missed, then events as they come.
    Sync(Sync),
    /// Send a message.
    Send(SendMessage),
    /// Give one's own message another text.
    Edit(EditMessage),
    /// Delete a message, for everyone or for oneself.
    Delete(DeleteMessage),
    /// React to a message.
    React(ReactMessage),
    /// Take a reaction back.
    Unreact(ReactMessage),
    /// Move one's read mark.
    Read(ReadMessage),
    /// Acknowledge what arrived.
    Delivered(DeliveredMessage),
    /// Begin or go on typing.
    TypingStart(InConversation),
    /// Stop typing.
    TypingStop(InConversation),
    /// Say whether one is there.
    SetPresence(SetPresence),
    /// Watch users' presence.
    WatchPresence(Users),
    /// Watch it no more.
    UnwatchPresence(Users),
    /// Say that one lives.
    Ping,
}

/// `auth`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// An access token.
    pub token: String,
    /// `none`: subscribe to nothing but one's own stream.
    #[serde(default)]
    pub subscribe: Option<SubscribeNone>,
}

/// The one value of `subscribe`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubscribeNone {
    /// To nothing.
    None,
}

/// `subscribe`, `unsubscribe`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conversations {
    /// Which.
    pub conversation_ids: Vec<ConversationId>,
}

/// `sync`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sync {
    /// From which revision of which conversation.
    pub conversations: BTreeMap<ConversationId, Rev>,
    /// From which revision of the user's own stream; absent: from now.
    #[serde(default)]
    pub user_rev: Option<Rev>,
    /// The epoch the revisions belong to.
    #[serde(default)]
    pub epoch: Option<String>,
    /// Whether another part follows.
    #[serde(default)]
    pub more: bool,
}

/// `message.send`, and with the conversation taken from the path the body of its REST twin
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendMessage {
    /// Where.
    pub conversation_id: ConversationId,
    /// Text.
    #[serde(default)]
    pub content: Option<String>,
    /// Kind, when it needs `data`.
    #[serde(default, rename = "type")]
    pub kind: Option<MessageKind>,
    /// What the kind needs.
    #[serde(default)]
    pub data: Option<serde_json::Value>,
    /// Uploads to attach.
    #[serde(default)]
    pub attachment_ids: Option<Vec<uuid::Uuid>>,
    /// What it answers.
    #[serde(default)]
    pub reply_to_id: Option<MessageId>,
    /// The client's own id of it.
    #[serde(default)]
    pub temp_id: Option<String>,
}

/// `message.edit`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EditMessage {
    /// Where.
    pub conversation_id: ConversationId,
    /// Which.
    pub message_id: MessageId,
    /// Its new text.
    pub content: String,
}

/// `message.delete`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeleteMessage {
    /// Where.
    pub conversation_id: ConversationId,
    /// Which.
    pub message_id: MessageId,
    /// For whom.
    #[serde(default, rename = "for")]
    pub audience: Audience,
}

/// For whom a message is deleted.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    /// For all who see the conversation; its place stays.
    #[default]
    Everyone,
    /// For the caller alone.
    Me,
}

/// `reaction.add`, `reaction.remove`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReactMessage {
    /// Where.
    pub conversation_id: ConversationId,
    /// To which.
    pub message_id: MessageId,
    /// With what.
    pub emoji: String,
}

/// `message.read`: to a place, to a message, or to the end
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadMessage {
    /// Where.
    pub conversation_id: ConversationId,
    /// Up to this place.
    #[serde(default)]
    pub seq: Option<Seq>,
    /// Up to this message.
    #[serde(default)]
    pub message_id: Option<MessageId>,
}

/// `message.delivered`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliveredMessage {
    /// Where.
    pub conversation_id: ConversationId,
    /// Up to this place.
    pub seq: Seq,
}

/// `typing.start`, `typing.stop`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InConversation {
    /// Where.
    pub conversation_id: ConversationId,
}

/// `presence.set`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetPresence {
    /// There or away.
    pub status: OwnPresence,
}

/// What one may say of oneself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnPresence {
    /// There.
    Online,
    /// Away.
    Away,
}

/// `presence.subscribe`, `presence.unsubscribe`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Users {
    /// Who: ids, usernames or `ext:` references.
    pub user_ids: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    id: Option<FrameId>,
    #[serde(default, borrow)]
    payload: Option<&'a RawValue>,
}

/// Reads one text frame. A frame that is no JSON object, has no `type` or an unknown field has no `id` to answer to
/// either, unless one can be found in it.
pub fn read(text: &str) -> ClientFrame {
    let envelope: Envelope<'_> = match from_json(text) {
        Ok(envelope) => envelope,
        Err(error) => return ClientFrame { id: find_id(text), command: Err(error), temp_id: None },
    };
    let payload = envelope.payload.map_or("{}", RawValue::get);
    let id = envelope.id;
    if let Some(FrameId::Word(word)) = &id
        && word.chars().count() > 64
    {
        let error = Error::invalid("id", "must have at most 64 characters");
        return ClientFrame { id: None, command: Err(error), temp_id: None };
    }
    let temp_id = if envelope.kind == "message.send" { find_temp_id(payload) } else { None };
    ClientFrame { id, command: command(&envelope.kind, payload), temp_id }
}

fn command(kind: &str, payload: &str) -> Result<Command> {
    Ok(match kind {
        "auth" => Command::Auth(from_json(payload)?),
        "subscribe" => Command::Subscribe(from_json(payload)?),
        "unsubscribe" => Command::Unsubscribe(from_json(payload)?),
        "sync" => Command::Sync(from_json(payload)?),
        "message.send" => Command::Send(from_json(payload)?),
        "message.edit" => Command::Edit(from_json(payload)?),
        "message.delete" => Command::Delete(from_json(payload)?),
        "reaction.add" => Command::React(from_json(payload)?),
        "reaction.remove" => Command::Unreact(from_json(payload)?),
        "message.read" => Command::Read(from_json(payload)?),
        "message.delivered" => Command::Delivered(from_json(payload)?),
        "typing" | "typing.start" => Command::TypingStart(from_json(payload)?),
        "typing.stop" => Command::TypingStop(from_json(payload)?),
        "presence.set" => Command::SetPresence(from_json(payload)?),
        "presence.subscribe" => Command::WatchPresence(from_json(payload)?),
        "presence.unsubscribe" => Command::UnwatchPresence(from_json(payload)?),
        "ping" => {
            from_json::<Nothing>(payload)?;
            Command::Ping
        }
        other => return Err(Error::unknown_type(other)),
    })
}

fn find_id(text: &str) -> Option<FrameId> {
    #[derive(Deserialize)]
    struct Loose {
        #[serde(default)]
        id: Option<FrameId>,
    }
    serde_json::from_str::<Loose>(text).ok().and_then(|loose| loose.id)
}

fn find_temp_id(payload: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Loose {
        #[serde(default)]
        temp_id: Option<String>,
    }
    serde_json::from_str::<Loose>(payload).ok().and_then(|loose| loose.temp_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::codes::Code;

    fn refusal(text: &str) -> Error {
        read(text).command.expect_err("a refusal")
    }

    #[test]
    fn malformed_json_is_an_invalid_request() {
        for bad in ["", "{", "null!", "{\"type\":\"ping\"} x", "{\"type\":\"\\ud800\"}"] {
            assert_eq!(refusal(bad).code(), Code::InvalidRequest, "{bad}");
        }
    }

    #[test]
    fn unknown_and_missing_fields_are_named() {
        let unknown = refusal(
            r#"{"type":"typing.stop","id":1,"payload":{"conversation_id":"0192f0c0-0000-7000-8000-000000000000","x":1}}"#,
        );
        assert_eq!((unknown.code(), unknown.fields()[0].field.as_str()), (Code::ValidationFailed, "x"));
        let missing = refusal(r#"{"type":"typing.stop","payload":{}}"#);
        assert_eq!((missing.code(), missing.fields()[0].field.as_str()), (Code::ValidationFailed, "conversation_id"));
        let wrong = refusal(r#"{"type":"sync","payload":{"conversations":{},"user_rev":"x"}}"#);
        assert_eq!((wrong.code(), wrong.fields()[0].field.as_str()), (Code::ValidationFailed, "user_rev"));
    }

    #[test]
    fn an_unknown_type_keeps_its_id() {
        let frame = read(r#"{"type":"message.fly","id":"a"}"#);
        assert_eq!(frame.id, Some(FrameId::Word("a".into())));
        assert_eq!(frame.command.expect_err("unknown").code(), Code::UnknownType);
    }

    #[test]
    fn a_send_that_cannot_be_read_still_names_its_temp_id() {
        let frame = read(r#"{"type":"message.send","payload":{"temp_id":"t1","content":5}}"#);
        assert_eq!(frame.temp_id.as_deref(), Some("t1"));
        assert!(frame.command.is_err());
    }
}
