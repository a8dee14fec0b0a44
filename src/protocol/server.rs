//! The frames that the server sends in addition to durable events: answers, errors and ephemeral frames.

use super::client::FrameId;
use super::events::ReactionAction;
use super::resources::{Message, PresenceStatus, ReadMark, UnreadCount};
use crate::domain::ids::{ConversationId, Rev, Seq, SessionId, UserId};
use crate::domain::time::Timestamp;
use crate::error::Error;
use bytestring::ByteString;
use serde::Serialize;
use std::collections::BTreeMap;

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
    AckReaction { action: ReactionOutcome },
    /// The server refused a command, or a frame that it could not read.
    #[serde(rename = "error")]
    Error(ErrorPayload),
    /// The answer to `subscribe`. Some conversations may be subscribed and others denied.
    #[serde(rename = "subscribed")]
    Subscribed {
        conversation_ids: Vec<ConversationId>,
        /// The revision of each conversation. Events after it follow.
        revs: BTreeMap<ConversationId, Rev>,
        denied: Vec<DeniedConversation>,
    },
    #[serde(rename = "unsubscribed")]
    Unsubscribed { conversation_ids: Vec<ConversationId> },
    /// The replay of a `sync` is over. Live events follow.
    #[serde(rename = "sync.done")]
    SyncDone(Box<SyncDone>),
    /// The log does not reach back to the revision of the client, so the client must read the conversation anew.
    #[serde(rename = "sync.reset")]
    SyncReset {
        /// Null means that the client must read everything anew.
        conversation_id: Option<ConversationId>,
        /// Events after this revision follow. It is null if the conversation is null.
        last_rev: Option<Rev>,
    },
    /// The answer to `message.send`: the message is committed.
    #[serde(rename = "message.sent")]
    MessageSent {
        temp_id: Option<String>,
        /// The revision of the event `message.new`.
        rev: Rev,
        /// The message as it is now.
        message: Box<Message>,
    },
    /// The answer to `presence.subscribe`, without users whose presence the caller may not see.
    #[serde(rename = "presence.state")]
    PresenceState { users: BTreeMap<UserId, PresenceStatus> },
    /// The answer to `ping`.
    #[serde(rename = "pong")]
    Pong {},
    #[serde(rename = "typing.start")]
    TypingStart(Typing),
    #[serde(rename = "typing.stop")]
    TypingStop(Typing),
    /// The presence of a watched user changed.
    #[serde(rename = "presence.update")]
    PresenceUpdate {
        user_id: UserId,
        status: PresenceStatus,
        /// The time when the user was last online. Null if the user never was.
        last_seen_at: Option<Timestamp>,
    },
    /// The status of the receiver's own messages changed.
    #[serde(rename = "message.status")]
    MessageStatus {
        conversation_id: ConversationId,
        /// The user who received or read the messages.
        user_id: UserId,
        status: super::resources::MessageStatus,
        /// All messages up to this `seq` have the status.
        seq: Seq,
    },
    /// The receiver's own read mark moved, on this device or on another one.
    #[serde(rename = "conversation.read")]
    ConversationRead { conversation_id: ConversationId, last_read_seq: Seq, unread_count: i64 },
    /// The receiver's unread totals over all conversations.
    #[serde(rename = "unread")]
    Unread(UnreadCount),
    /// The access token of the session expires soon.
    #[serde(rename = "auth.expiring")]
    AuthExpiring {
        /// The time until the token expires, in seconds.
        seconds: i64,
    },
    /// The server stops. The client reconnects after the given time.
    #[serde(rename = "server.draining")]
    ServerDraining { reconnect_after_ms: u64 },
}

/// The effect of a command on a reaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReactionOutcome {
    Added,
    Removed,
    Unchanged,
}

impl From<Option<ReactionAction>> for ReactionOutcome {
    fn from(action: Option<ReactionAction>) -> Self {
        match action {
            Some(ReactionAction::Added) => Self::Added,
            Some(ReactionAction::Removed) => Self::Removed,
            None => Self::Unchanged,
        }
    }
}

/// The payload of `auth.success`, which a client gets when its session is authenticated.
#[derive(Clone, Debug, Serialize)]
pub struct AuthSuccess {
    pub user_id: UserId,
    pub session_id: SessionId,
    /// The time between two pings of the server, in seconds.
    pub heartbeat_seconds: u64,
    /// The epoch that all revisions belong to.
    pub epoch: String,
    /// The token for `/files/…?t=`.
    pub file_token: String,
    /// The user's conversations and their revisions, at most 1,000.
    pub conversations: BTreeMap<ConversationId, Rev>,
    /// True if the user has more conversations than this frame names.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// The user's read marks in these conversations.
    pub reads: BTreeMap<ConversationId, Seq>,
    /// The revision of the user stream.
    pub user_rev: Rev,
}

/// The payload of `sync.done`, the end of a `sync`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SyncDone {
    /// The revision of each conversation up to which events were sent.
    pub conversations: BTreeMap<ConversationId, Rev>,
    /// The user's read marks in these conversations.
    pub reads: BTreeMap<ConversationId, Seq>,
    /// The revision of the user stream.
    pub user_rev: Rev,
    pub denied: Vec<DeniedConversation>,
}

/// A conversation that the user may not read.
#[derive(Clone, Debug, Serialize)]
pub struct DeniedConversation {
    pub id: ConversationId,
    /// The stable code of the error.
    pub code: &'static str,
}

/// The payload of `typing.start` and `typing.stop`: a user and the conversation in which the user types.
#[derive(Clone, Debug, Serialize)]
pub struct Typing {
    pub conversation_id: ConversationId,
    pub user_id: UserId,
    pub username: String,
    pub display_name: String,
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
