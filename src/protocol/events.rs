//! Durable events: the one form in which a change is stored, sent to other nodes and sent to clients.
//!
//! An event is serialised once, when it is appended to the log. All users who may see the event get the same text, so
//! it has no field whose value depends on the reader.

use super::resources::{ClassBrief, Conversation, JoinedParticipant, Message, OwnView};
use crate::domain::ids::{ConversationId, LoginId, MessageId, Rev, Seq, SessionId, UserId};
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use bytestring::ByteString;
use serde::{Deserialize, Serialize};

/// One durable change in a stream. The comment of each variant names the kind of stream.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", content = "payload")]
pub enum Event {
    /// A message was sent. Conversation stream.
    #[serde(rename = "message.new")]
    MessageNew { conversation_id: ConversationId, message: Box<Message> },
    /// A message has a new text. The database keeps the former texts. Conversation stream.
    #[serde(rename = "message.edited")]
    MessageEdited { conversation_id: ConversationId, message: Box<Message> },
    /// A message was deleted for everyone. Conversation stream.
    #[serde(rename = "message.deleted")]
    MessageDeleted {
        conversation_id: ConversationId,
        message_id: MessageId,
        /// The `seq` of the message, which no other message gets.
        seq: Seq,
    },
    /// A message was pinned. Conversation stream.
    #[serde(rename = "message.pinned")]
    MessagePinned(Pin),
    /// A message is no longer pinned. Conversation stream.
    #[serde(rename = "message.unpinned")]
    MessageUnpinned(Pin),
    /// A user reacted to a message, or removed the reaction. Conversation stream.
    #[serde(rename = "reaction.updated")]
    ReactionUpdated {
        conversation_id: ConversationId,
        message_id: MessageId,
        emoji: String,
        user_id: UserId,
        action: ReactionAction,
        /// The number of users who react with this emoji now.
        count: i64,
    },
    /// The name, the description or the avatar of a conversation changed, or its class was archived or restored.
    /// Conversation stream.
    #[serde(rename = "conversation.updated")]
    ConversationUpdated {
        conversation_id: ConversationId,
        name: Option<String>,
        description: Option<String>,
        avatar_url: Option<String>,
        /// The class of a class conversation.
        class: Option<ClassBrief>,
        updated_at: Timestamp,
    },
    /// Users joined. Conversation stream.
    #[serde(rename = "participant.joined")]
    ParticipantJoined { conversation_id: ConversationId, participants: Vec<JoinedParticipant> },
    /// A participant left or was removed. Conversation stream. It is the last event of the stream that this user gets.
    #[serde(rename = "participant.left")]
    ParticipantLeft { conversation_id: ConversationId, user_id: UserId, reason: LeftReason },
    /// The role of a participant changed. Conversation stream.
    #[serde(rename = "participant.updated")]
    ParticipantUpdated { conversation_id: ConversationId, user_id: UserId, role: crate::domain::roles::Role },
    /// The user became a participant of a conversation. User stream. The subscription begins after `last_rev` of the
    /// conversation.
    #[serde(rename = "conversation.created")]
    ConversationCreated {
        /// The conversation as this user sees it. Its `last_message` is null.
        conversation: Box<Conversation>,
    },
    /// The user is no longer a participant of a conversation. User stream.
    #[serde(rename = "conversation.removed")]
    ConversationRemoved { conversation_id: ConversationId },
    /// The user's own view of a conversation changed, because of the user or because of a block. User stream.
    #[serde(rename = "conversation.settings")]
    ConversationSettings { conversation_id: ConversationId, my: OwnView },
    /// The user hid a message from their own view. User stream.
    #[serde(rename = "message.hidden")]
    MessageHidden { conversation_id: ConversationId, message_id: MessageId },
    /// One or all of the logins or sessions of the user ended. User stream.
    #[serde(rename = "session.revoked")]
    SessionRevoked(Revoked),
    /// The account was created. User stream.
    #[serde(rename = "user.created")]
    UserCreated { user: Box<PublicUser> },
    /// The profile changed. User stream.
    #[serde(rename = "user.updated")]
    UserUpdated { user: Box<PublicUser> },
}

/// The way in which a participant left.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftReason {
    /// The participant left.
    Left,
    /// Another user removed the participant.
    Removed,
}

/// A message that a user pinned or unpinned.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Pin {
    pub conversation_id: ConversationId,
    pub message_id: MessageId,
    pub user_id: UserId,
}

/// The change of a reaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReactionAction {
    Added,
    Removed,
}

/// A user without the fields that change often, such as the presence.
#[derive(Clone, Debug, Serialize)]
pub struct PublicUser {
    #[serde(flatten)]
    pub brief: super::resources::UserBrief,
    /// The id of the user in the host application.
    pub external_id: Option<String>,
    pub role: super::resources::UserRole,
    pub created_at: Timestamp,
}

/// The logins or sessions that ended. If both ids are null, all logins and sessions of the user ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Revoked {
    /// The login, as in `/auth/sessions`.
    pub login_id: Option<LoginId>,
    /// The live session, as in `auth.success`.
    pub session_id: Option<SessionId>,
    pub reason: RevokeReason,
}

/// Why a login or session ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevokeReason {
    /// The user signed out, or ended the login.
    Logout,
    /// The password was changed.
    Password,
    /// A refresh token was used again.
    TokenReused,
    /// An admin ended it.
    Kicked,
    /// The account was suspended.
    Suspended,
    /// The account was deleted.
    Deleted,
}

impl RevokeReason {
    /// Returns the reason as it is stored and sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Password => "password",
            Self::TokenReused => "token_reused",
            Self::Kicked => "kicked",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
        }
    }
}

/// The effect of an event on rooms and sessions. Delivery needs it in addition to the text of the event.
#[derive(Clone, PartialEq, Debug)]
pub enum EventEffect {
    None,
    /// The user gets no later event of the stream. The room acts on it.
    Left(UserId),
    /// The text of the message must not be sent any more. The room acts on it.
    Deleted(MessageId),
    /// The sessions of the user subscribe to the conversation after the revision.
    Subscribe(ConversationId, Rev),
    /// The sessions that belong to these logins close.
    Revoked(Revoked),
}

impl Event {
    /// Returns the type as clients and the log name it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::MessageNew { .. } => "message.new",
            Self::MessageEdited { .. } => "message.edited",
            Self::MessageDeleted { .. } => "message.deleted",
            Self::MessagePinned(_) => "message.pinned",
            Self::MessageUnpinned(_) => "message.unpinned",
            Self::ReactionUpdated { .. } => "reaction.updated",
            Self::ConversationUpdated { .. } => "conversation.updated",
            Self::ConversationSettings { .. } => "conversation.settings",
            Self::MessageHidden { .. } => "message.hidden",
            Self::ParticipantJoined { .. } => "participant.joined",
            Self::ParticipantLeft { .. } => "participant.left",
            Self::ParticipantUpdated { .. } => "participant.updated",
            Self::ConversationCreated { .. } => "conversation.created",
            Self::ConversationRemoved { .. } => "conversation.removed",
            Self::SessionRevoked(_) => "session.revoked",
            Self::UserCreated { .. } => "user.created",
            Self::UserUpdated { .. } => "user.updated",
        }
    }

    /// Returns the effect of the event on rooms and sessions.
    pub fn effect(&self) -> EventEffect {
        match self {
            Self::MessageNew { .. }
            | Self::MessageEdited { .. }
            | Self::MessagePinned(_)
            | Self::MessageUnpinned(_)
            | Self::ReactionUpdated { .. }
            | Self::ConversationUpdated { .. }
            | Self::ConversationSettings { .. }
            | Self::MessageHidden { .. }
            | Self::ParticipantJoined { .. }
            | Self::ParticipantUpdated { .. }
            | Self::ConversationRemoved { .. }
            | Self::UserCreated { .. }
            | Self::UserUpdated { .. } => EventEffect::None,
            Self::MessageDeleted { message_id, .. } => EventEffect::Deleted(*message_id),
            Self::ParticipantLeft { user_id, .. } => EventEffect::Left(*user_id),
            Self::ConversationCreated { conversation } => {
                EventEffect::Subscribe(conversation.id, conversation.last_rev)
            }
            Self::SessionRevoked(revoked) => EventEffect::Revoked(*revoked),
        }
    }

    /// Returns the message whose text the event contains, for the index of the log. The event is rewritten when that
    /// message is deleted.
    pub fn message_id(&self) -> Option<MessageId> {
        match self {
            Self::MessageNew { message, .. } | Self::MessageEdited { message, .. } => Some(message.id),
            _ => None,
        }
    }

    /// Returns the message that is quoted in the event, for the index of the log.
    pub fn quoted_id(&self) -> Option<MessageId> {
        match self {
            Self::MessageNew { message, .. } | Self::MessageEdited { message, .. } => {
                message.reply_to.as_ref().map(|quote| quote.id)
            }
            _ => None,
        }
    }

    /// Returns the text that the log keeps and that clients get.
    ///
    /// # Panics
    ///
    /// Never: an event has string keys and no value that JSON lacks.
    pub fn frame(&self, stream: Stream, rev: Rev) -> String {
        Self::frame_start(stream, rev) + &self.frame_end()
    }

    /// Returns the first part of a frame. The second part, [`Self::frame_end`], is the same in all streams.
    pub fn frame_start(stream: Stream, rev: Rev) -> String {
        format!(r#"{{"stream":"{}","rev":{rev},"#, stream.name())
    }

    /// Returns the second part of a frame, which follows [`Self::frame_start`].
    ///
    /// # Panics
    ///
    /// Never: an event has string keys and no value that JSON lacks.
    pub fn frame_end(&self) -> String {
        let mut text = serde_json::to_string(self).expect("an event has string keys and no value that JSON lacks");
        // remove the opening brace, because the frame start already has it
        text.remove(0);
        text
    }
}

impl EventEffect {
    /// Returns the effect of a stored event, from its type and text. An unknown or malformed event has no effect.
    pub fn from_stored(event_type: &str, frame: &str) -> Self {
        #[derive(Deserialize)]
        struct StoredFrame<P> {
            payload: P,
        }
        #[derive(Deserialize)]
        struct LeftPayload {
            user_id: UserId,
        }
        #[derive(Deserialize)]
        struct DeletedPayload {
            message_id: MessageId,
        }
        #[derive(Deserialize)]
        struct CreatedPayload {
            conversation: ConversationHead,
        }
        #[derive(Deserialize)]
        struct ConversationHead {
            id: ConversationId,
            last_rev: Rev,
        }
        fn payload<P: for<'de> Deserialize<'de>>(frame: &str) -> Option<P> {
            serde_json::from_str::<StoredFrame<P>>(frame).ok().map(|frame| frame.payload)
        }
        let effect = match event_type {
            "participant.left" => payload::<LeftPayload>(frame).map(|left| Self::Left(left.user_id)),
            "message.deleted" => payload::<DeletedPayload>(frame).map(|deleted| Self::Deleted(deleted.message_id)),
            "conversation.created" => payload::<CreatedPayload>(frame)
                .map(|created| Self::Subscribe(created.conversation.id, created.conversation.last_rev)),
            "session.revoked" => payload::<Revoked>(frame).map(Self::Revoked),
            _ => None,
        };
        effect.unwrap_or(Self::None)
    }
}

/// One event in the form in which rooms and sessions get it.
#[derive(Clone, Debug)]
pub struct Frame {
    pub rev: Rev,
    /// The text that clients get. It is serialised once.
    pub text: ByteString,
    pub effect: EventEffect,
    /// The message whose text the event contains.
    pub message_id: Option<MessageId>,
    /// The message that is quoted in the event.
    pub quoted_id: Option<MessageId>,
}
