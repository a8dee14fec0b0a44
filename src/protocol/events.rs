//! Durable events: the one form in which a change is stored, sent to other nodes and sent to clients.
//!
//! An event is serialised once, when it is appended to the log. All users who may see the event get the same text, so
//! it has no field whose value depends on the reader.

use super::conversations::{ClassBrief, Conversation};
use super::event_type::EventType;
use super::logins::Revoked;
use super::members::{JoinedParticipant, LeftReason};
use super::messages::Message;
use super::pins::Pin;
use super::reactions::ReactionAction;
use super::settings::OwnView;
use super::users::PublicUser;
use crate::domain::ids::{ConversationId, MessageId, Rev, Seq, UserId};
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use bytestring::ByteString;
use serde::Serialize;

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
    /// Returns the type of the event.
    pub fn event_type(&self) -> EventType {
        match self {
            Self::MessageNew { .. } => EventType::MessageNew,
            Self::MessageEdited { .. } => EventType::MessageEdited,
            Self::MessageDeleted { .. } => EventType::MessageDeleted,
            Self::MessagePinned(_) => EventType::MessagePinned,
            Self::MessageUnpinned(_) => EventType::MessageUnpinned,
            Self::ReactionUpdated { .. } => EventType::ReactionUpdated,
            Self::ConversationUpdated { .. } => EventType::ConversationUpdated,
            Self::ConversationSettings { .. } => EventType::ConversationSettings,
            Self::MessageHidden { .. } => EventType::MessageHidden,
            Self::ParticipantJoined { .. } => EventType::ParticipantJoined,
            Self::ParticipantLeft { .. } => EventType::ParticipantLeft,
            Self::ParticipantUpdated { .. } => EventType::ParticipantUpdated,
            Self::ConversationCreated { .. } => EventType::ConversationCreated,
            Self::ConversationRemoved { .. } => EventType::ConversationRemoved,
            Self::SessionRevoked(_) => EventType::SessionRevoked,
            Self::UserCreated { .. } => EventType::UserCreated,
            Self::UserUpdated { .. } => EventType::UserUpdated,
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

    /// Returns the message that the event contains. When it or the message that it quotes is deleted, the event is
    /// rewritten by [`redact_frame`](super::redaction::redact_frame), which must know each type that has a message.
    fn message(&self) -> Option<&Message> {
        match self {
            Self::MessageNew { message, .. } | Self::MessageEdited { message, .. } => Some(message),
            Self::MessageDeleted { .. }
            | Self::MessagePinned(_)
            | Self::MessageUnpinned(_)
            | Self::ReactionUpdated { .. }
            | Self::ConversationUpdated { .. }
            | Self::ConversationSettings { .. }
            | Self::MessageHidden { .. }
            | Self::ParticipantJoined { .. }
            | Self::ParticipantLeft { .. }
            | Self::ParticipantUpdated { .. }
            | Self::ConversationCreated { .. }
            | Self::ConversationRemoved { .. }
            | Self::SessionRevoked(_)
            | Self::UserCreated { .. }
            | Self::UserUpdated { .. } => None,
        }
    }

    /// Returns the message whose text the event contains, for the index of the log.
    pub fn message_id(&self) -> Option<MessageId> {
        self.message().map(|message| message.id)
    }

    /// Returns the message that is quoted in the event, for the index of the log.
    pub fn quoted_id(&self) -> Option<MessageId> {
        self.message().and_then(|message| message.reply_to.as_ref()).map(|quote| quote.id)
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

#[cfg(test)]
mod tests;
