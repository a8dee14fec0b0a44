//! The frames that a client sends over the WebSocket.
//!
//! Each text frame is one JSON object: `{"type", "id"?, "payload"}`. An unknown type and an unknown field are different
//! errors, and each error names what is unknown.

use super::json::from_json;
use super::marks::{DeliveredMessage, ReadMessage};
use super::messages::{DeleteMessage, EditMessage, SendMessage};
use super::presence::{PresenceUsers, SetPresence};
use super::reactions::ReactMessage;
use super::sessions::Authenticate;
use super::subscriptions::{ConversationIds, SyncConversations};
use super::typing::TypingConversation;
use crate::domain::limits;
use crate::error::{Error, Result};
use serde::Deserialize;
use serde_json::value::RawValue;

/// A frame from a client after parsing.
#[derive(Debug)]
pub struct ClientFrame {
    /// The id that the answer repeats, as the client wrote it.
    pub id: Option<FrameId>,
    /// The command, or the error with which the frame is refused.
    pub command: Result<Command>,
    /// The `temp_id` of a send. It is known also for a send that is refused, so that the error can name it.
    pub temp_id: Option<String>,
}

/// The client's own id of a command: a number, or a text of at most 64 characters.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, serde::Serialize)]
#[serde(untagged)]
pub enum FrameId {
    Number(i64),
    Text(String),
}

/// A command of a client.
#[derive(Debug)]
pub enum Command {
    /// Authenticates the session, or replaces its token by a newer one of the same user.
    Auth(Authenticate),
    /// Subscribes to the events of conversations from now on.
    Subscribe(ConversationIds),
    Unsubscribe(ConversationIds),
    /// Subscribes to the events of conversations after the given revisions.
    Sync(SyncConversations),
    Send(SendMessage),
    Edit(EditMessage),
    Delete(DeleteMessage),
    React(ReactMessage),
    Unreact(ReactMessage),
    /// Moves the read mark.
    Read(ReadMessage),
    /// Moves the delivered mark.
    Delivered(DeliveredMessage),
    /// Begins to type, or types on.
    TypingStart(TypingConversation),
    TypingStop(TypingConversation),
    SetPresence(SetPresence),
    WatchPresence(PresenceUsers),
    UnwatchPresence(PresenceUsers),
    /// Asks for a `pong`.
    Ping,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EmptyPayload {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientEnvelope<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    id: Option<FrameId>,
    #[serde(default, borrow)]
    payload: Option<&'a RawValue>,
}

/// Parses one text frame. The answer to a frame that is malformed has an `id` only if one can be found in the frame.
pub fn read(text: &str) -> ClientFrame {
    let envelope: ClientEnvelope<'_> = match from_json(text) {
        Ok(envelope) => envelope,
        Err(error) => return ClientFrame { id: find_id(text), command: Err(error), temp_id: None },
    };
    let payload = envelope.payload.map_or("{}", RawValue::get);
    let id = envelope.id;
    if let Some(FrameId::Text(text)) = &id
        && text.chars().count() > limits::FRAME_ID_CHARS
    {
        let error = Error::invalid("id", limits::at_most(limits::FRAME_ID_CHARS, "characters"));
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
            from_json::<EmptyPayload>(payload)?;
            Command::Ping
        }
        other => return Err(Error::unknown_type(other)),
    })
}

fn find_id(text: &str) -> Option<FrameId> {
    #[derive(Deserialize)]
    struct FrameWithId {
        #[serde(default)]
        id: Option<FrameId>,
    }
    serde_json::from_str::<FrameWithId>(text).ok().and_then(|frame| frame.id)
}

fn find_temp_id(payload: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct PayloadWithTempId {
        #[serde(default)]
        temp_id: Option<String>,
    }
    serde_json::from_str::<PayloadWithTempId>(payload).ok().and_then(|payload| payload.temp_id)
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
        assert_eq!(frame.id, Some(FrameId::Text("a".into())));
        assert_eq!(frame.command.expect_err("unknown").code(), Code::UnknownType);
    }

    #[test]
    fn a_send_that_cannot_be_read_still_names_its_temp_id() {
        let frame = read(r#"{"type":"message.send","payload":{"temp_id":"t1","content":5}}"#);
        assert_eq!(frame.temp_id.as_deref(), Some("t1"));
        assert!(frame.command.is_err());
    }
}
