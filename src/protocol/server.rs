//! The frames that the server sends in addition to durable events: answers, errors and ephemeral frames.

use super::client::FrameId;
use super::conversations::UnreadCount;
use super::marks::{ConversationRead, ReadMark};
use super::messages::{MessageSent, StatusUpdate};
use super::presence::{PresenceUpdate, WatchedPresence};
use super::reactions::ReactionAck;
use super::sessions::{AuthExpiring, AuthSuccess};
use super::subscriptions::{Subscribed, SyncDone, SyncReset, Unsubscribed};
use super::typing::Typing;
use crate::error::Error;
use bytestring::ByteString;
use serde::Serialize;

/// A frame that is not a durable event, and so has no revision.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", content = "payload")]
pub enum ServerFrame {
    #[serde(rename = "auth.success")]
    AuthSuccess(Box<AuthSuccess>),
    /// The command is done.
    #[serde(rename = "ack")]
    Ack {},
    /// The answer to `message.read`: the read mark after the command.
    #[serde(rename = "ack")]
    AckRead(ReadMark),
    /// The answer to `reaction.add` and `reaction.remove`.
    #[serde(rename = "ack")]
    AckReaction(ReactionAck),
    /// The server refused a command, or a frame that it could not read.
    #[serde(rename = "error")]
    Error(ErrorPayload),
    /// The answer to `subscribe`. Some conversations may be subscribed and others denied.
    #[serde(rename = "subscribed")]
    Subscribed(Subscribed),
    #[serde(rename = "unsubscribed")]
    Unsubscribed(Unsubscribed),
    /// The replay of a `sync` is over. Live events follow.
    #[serde(rename = "sync.done")]
    SyncDone(Box<SyncDone>),
    /// The log does not reach back to the revision of the client, so the client must read the conversation anew.
    #[serde(rename = "sync.reset")]
    SyncReset(SyncReset),
    /// The answer to `message.send`: the message is committed.
    #[serde(rename = "message.sent")]
    MessageSent(MessageSent),
    /// The answer to `presence.subscribe`, without users whose presence the caller may not see.
    #[serde(rename = "presence.state")]
    PresenceState(WatchedPresence),
    /// The answer to `ping`.
    #[serde(rename = "pong")]
    Pong {},
    #[serde(rename = "typing.start")]
    TypingStart(Typing),
    #[serde(rename = "typing.stop")]
    TypingStop(Typing),
    /// The presence of a watched user changed.
    #[serde(rename = "presence.update")]
    PresenceUpdate(PresenceUpdate),
    /// The status of the receiver's own messages changed.
    #[serde(rename = "message.status")]
    MessageStatus(StatusUpdate),
    /// The receiver's own read mark moved, on this device or on another one.
    #[serde(rename = "conversation.read")]
    ConversationRead(ConversationRead),
    /// The receiver's unread totals over all conversations.
    #[serde(rename = "unread")]
    Unread(UnreadCount),
    /// The access token of the session expires soon.
    #[serde(rename = "auth.expiring")]
    AuthExpiring(AuthExpiring),
    /// The server stops. The client reconnects after the given time.
    #[serde(rename = "server.draining")]
    ServerDraining { reconnect_after_ms: u64 },
}

/// The payload of `error`.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorPayload {
    /// The stable code.
    pub code: &'static str,
    /// A text for people.
    pub detail: String,
    /// The fields that are not valid. Empty for other codes than `validation_failed`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<crate::error::FieldError>,
    /// The `temp_id` of the send that was refused. `None` for other commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temp_id: Option<String>,
    /// The time to wait before the next attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl ServerFrame {
    /// Returns the frame for `error`. `temp_id` is that of the send that was refused.
    pub fn error(error: &Error, temp_id: Option<String>) -> Self {
        Self::Error(ErrorPayload {
            code: error.code().as_str(),
            detail: error.detail().to_owned(),
            errors: error.fields().to_vec(),
            temp_id,
            retry_after_ms: error.retry_after_ms(),
        })
    }

    /// Returns the text of the frame. `id` is the client's id of the command that the frame answers.
    ///
    /// # Panics
    ///
    /// Never: a frame has string keys and no value that JSON lacks.
    pub fn text(&self, id: Option<&FrameId>) -> ByteString {
        #[derive(Serialize)]
        struct ServerEnvelope<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            id: Option<&'a FrameId>,
            #[serde(flatten)]
            frame: &'a ServerFrame,
        }
        serde_json::to_string(&ServerEnvelope { id, frame: self })
            .expect("a frame has string keys and no value that JSON lacks")
            .into()
    }
}
