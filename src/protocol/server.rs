//! What the server sends beside durable events: answers, errors, and ephemeral frames, which have no revision.

use super::client::FrameId;
use super::events::ReactionAction;
use super::resources::{Message, PresenceStatus, ReadMark, UnreadCount};
use crate::domain::ids::{ConversationId, Rev, Seq, SessionId, UserId};
use crate::domain::time::Timestamp;
use crate::error::Error;
use bytestring::ByteString;
use serde::Serialize;
use std::collections::BTreeMap;

/// A frame that is not a durable event.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", content = "payload")]
pub enum ServerFrame {
    /// The session is authenticated.
    #[serde(rename = "auth.success")]
    AuthSuccess(Box<AuthSuccess>),
    /// The command was done.
    #[serde(rename = "ack")]
    Ack {},
    /// The read mark stands there.
    #[serde(rename = "ack")]
    AckRead(ReadMark),
    /// What became of the reaction.
    #[serde(rename = "ack")]
    AckReaction {
        /// What changed.
        action: ReactionOutcome,
    },
    /// The command, or what was no command, was refused.
    #[serde(rename = "error")]
    Error(ErrorPayload),
    /// Subscribed, or refused, one by one.
    #[serde(rename = "subscribed")]
    Subscribed {
        /// Those subscribed.
        conversation_ids: Vec<ConversationId>,
        /// From which revision.
        revs: BTreeMap<ConversationId, Rev>,
        /// Those refused.
        denied: Vec<Denied>,
    },
    /// Unsubscribed.
    #[serde(rename = "unsubscribed")]
    Unsubscribed {
        /// Which.
        conversation_ids: Vec<ConversationId>,
    },
    /// What was missed has been sent; live events follow.
    #[serde(rename = "sync.done")]
    SyncDone(Box<SyncDone>),
    /// The log cannot bridge the gap: read this conversation (null: everything) anew.
    #[serde(rename = "sync.reset")]
    SyncReset {
        /// Which; null: all.
        conversation_id: Option<ConversationId>,
        /// Events follow from there; null with a null conversation.
        last_rev: Option<Rev>,
    },
    /// The message was committed.
    #[serde(rename = "message.sent")]
    MessageSent {
        /// What its author called it.
        temp_id: Option<String>,
        /// The revision of its `message.new`.
        rev: Rev,
        /// The message as it is now.
        message: Box<Message>,
    },
    /// The presence of the users asked for and visible.
    #[serde(rename = "presence.state")]
    PresenceState {
        /// By user.
        users: BTreeMap<UserId, PresenceStatus>,
    },
    /// The server lives.
    #[serde(rename = "pong")]
    Pong {},
    /// Somebody types.
    #[serde(rename = "typing.start")]
    TypingStart(Typing),
    /// Somebody stopped typing.
    #[serde(rename = "typing.stop")]
    TypingStop(Typing),
    /// Somebody came, went away, or left.
    #[serde(rename = "presence.update")]
    PresenceUpdate {
        /// The user whose presence changed.
        user_id: UserId,
        /// What now.
        status: PresenceStatus,
        /// When last there.
        last_seen_at: Option<Timestamp>,
    },
    /// A message of the receiver's got further.
    #[serde(rename = "message.status")]
    MessageStatus {
        /// The conversation it happened in.
        conversation_id: ConversationId,
        /// Who acknowledged or read.
        user_id: UserId,
        /// How far it got.
        status: super::resources::MessageStatus,
        /// Up to which place.
        seq: Seq,
    },
    /// The receiver's own read mark moved, on whichever device.
    #[serde(rename = "conversation.read")]
    ConversationRead {
        /// The conversation it happened in.
        conversation_id: ConversationId,
        /// The mark.
        last_read_seq: Seq,
        /// What is unread after it.
        unread_count: i64,
    },
    /// The receiver's unread totals.
    #[serde(rename = "unread")]
    Unread(UnreadCount),
    /// The token runs out.
    #[serde(rename = "auth.expiring")]
    AuthExpiring {
        /// In so many seconds.
        seconds: i64,
    },
    /// The server stops; come back after the given time.
    #[serde(rename = "server.draining")]
    ServerDraining {
        /// When to come back.
        reconnect_after_ms: u64,
    },
}

/// What a command did to a reaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReactionOutcome {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It was so already.
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

/// What a session learns when it is authenticated.
#[derive(Clone, Debug, Serialize)]
pub struct AuthSuccess {
    /// Who it is.
    pub user_id: UserId,
    /// Its own id.
    pub session_id: SessionId,
    /// How often the server pings.
    pub heartbeat_seconds: u64,
    /// The epoch all revisions belong to.
    pub epoch: String,
    /// For `/files/…?t=`.
    pub file_token: String,
    /// The conversations it is in and their revisions, at most 1,000.
    pub conversations: BTreeMap<ConversationId, Rev>,
    /// Whether there are more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// Its read marks in them.
    pub reads: BTreeMap<ConversationId, Seq>,
    /// The revision of its own stream.
    pub user_rev: Rev,
}

/// The end of a `sync`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SyncDone {
    /// The revision up to which events were sent, by conversation.
    pub conversations: BTreeMap<ConversationId, Rev>,
    /// The caller's read marks in them.
    pub reads: BTreeMap<ConversationId, Seq>,
    /// The revision of the user's own stream.
    pub user_rev: Rev,
    /// Those refused.
    pub denied: Vec<Denied>,
}

/// A conversation that was refused.
#[derive(Clone, Debug, Serialize)]
pub struct Denied {
    /// Which.
    pub id: ConversationId,
    /// Why.
    pub code: &'static str,
}

/// Who types where.
#[derive(Clone, Debug, Serialize)]
pub struct Typing {
    /// The conversation it happened in.
    pub conversation_id: ConversationId,
    /// The user who types, or stopped.
    pub user_id: UserId,
    /// Its unique name.
    pub username: String,
    /// The name it shows.
    pub display_name: String,
}

/// An error as a frame.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorPayload {
    /// The stable code.
    pub code: &'static str,
    /// A sentence.
    pub detail: String,
    /// The fields that are not valid.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<crate::error::FieldError>,
    /// The send it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temp_id: Option<String>,
    /// When to try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl ServerFrame {
    /// `error` as a frame.
    pub fn error(error: &Error, temp_id: Option<String>) -> Self {
        Self::Error(ErrorPayload {
            code: error.code().as_str(),
            detail: error.detail().to_owned(),
            errors: error.fields().to_vec(),
            temp_id,
            retry_after_ms: error.retry_after_ms(),
        })
    }

    /// The frame's text; `id` is what the client gave the command it answers.
    ///
    /// # Panics
    ///
    /// Never: a frame has string keys and no value that JSON lacks.
    pub fn text(&self, id: Option<&FrameId>) -> ByteString {
        #[derive(Serialize)]
        struct Envelope<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            id: Option<&'a FrameId>,
            #[serde(flatten)]
            frame: &'a ServerFrame,
        }
        serde_json::to_string(&Envelope { id, frame: self })
            .expect("a frame has string keys and no value that JSON lacks")
            .into()
    }
}
