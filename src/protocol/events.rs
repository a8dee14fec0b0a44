//! Durable events: the one form in which a change is stored, sent to other nodes and sent to clients.
//!
//! An event is serialised once, when it is appended to the log. All users who may see the event get the same text, so
//! it has no field whose value depends on the user who gets it.

use super::conversations::{ConversationCreated, ConversationRemoved, ConversationUpdated};
use super::event_type::EventType;
use super::logins::Revoked;
use super::members::{ParticipantJoined, ParticipantLeft, ParticipantUpdated};
use super::messages::{Message, MessageDeleted, MessageHidden};
use super::pins::Pin;
use super::reactions::ReactionUpdated;
use super::settings::ConversationSettings;
use super::shared_message::MessageEvent;
use super::users::UserEvent;
use crate::domain::ids::{ConversationId, MessageId, Rev, UserId};
use crate::domain::stream::Stream;
use serde::Serialize;

/// One durable change in a stream. The comment of each variant names the kind of stream.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", content = "payload")]
pub enum Event {
    /// A message was sent. Conversation stream.
    #[serde(rename = "message.new")]
    MessageNew(MessageEvent),
    /// A message has a new text. The database keeps the former texts. Conversation stream.
    #[serde(rename = "message.edited")]
    MessageEdited(MessageEvent),
    /// A message was deleted for everyone. Conversation stream.
    #[serde(rename = "message.deleted")]
    MessageDeleted(MessageDeleted),
    /// A message was pinned. Conversation stream.
    #[serde(rename = "message.pinned")]
    MessagePinned(Pin),
    /// A message is no longer pinned. Conversation stream.
    #[serde(rename = "message.unpinned")]
    MessageUnpinned(Pin),
    /// A user reacted to a message, or removed the reaction. Conversation stream.
    #[serde(rename = "reaction.updated")]
    ReactionUpdated(ReactionUpdated),
    /// The name, the description or the avatar of a conversation changed, or its class was archived or restored.
    /// Conversation stream.
    #[serde(rename = "conversation.updated")]
    ConversationUpdated(ConversationUpdated),
    /// Users joined. Conversation stream.
    #[serde(rename = "participant.joined")]
    ParticipantJoined(ParticipantJoined),
    /// A participant left or was removed. Conversation stream. It is the last event of the stream that this user gets.
    #[serde(rename = "participant.left")]
    ParticipantLeft(ParticipantLeft),
    /// The role of a participant changed. Conversation stream.
    #[serde(rename = "participant.updated")]
    ParticipantUpdated(ParticipantUpdated),
    /// The user became a participant of a conversation. User stream. The subscription begins after `last_rev` of the
    /// conversation.
    #[serde(rename = "conversation.created")]
    ConversationCreated(ConversationCreated),
    /// The user is no longer a participant of a conversation. User stream.
    #[serde(rename = "conversation.removed")]
    ConversationRemoved(ConversationRemoved),
    /// The user's own view of a conversation changed, because of the user or because of a block. User stream.
    #[serde(rename = "conversation.settings")]
    ConversationSettings(ConversationSettings),
    /// The user hid a message from their own view. User stream.
    #[serde(rename = "message.hidden")]
    MessageHidden(MessageHidden),
    /// One or all of the logins or sessions of the user ended. User stream.
    #[serde(rename = "session.revoked")]
    SessionRevoked(Revoked),
    /// The account was created. User stream.
    #[serde(rename = "user.created")]
    UserCreated(UserEvent),
    /// The profile changed. User stream.
    #[serde(rename = "user.updated")]
    UserUpdated(UserEvent),
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
            Self::MessageNew(_) => EventType::MessageNew,
            Self::MessageEdited(_) => EventType::MessageEdited,
            Self::MessageDeleted(_) => EventType::MessageDeleted,
            Self::MessagePinned(_) => EventType::MessagePinned,
            Self::MessageUnpinned(_) => EventType::MessageUnpinned,
            Self::ReactionUpdated(_) => EventType::ReactionUpdated,
            Self::ConversationUpdated(_) => EventType::ConversationUpdated,
            Self::ConversationSettings(_) => EventType::ConversationSettings,
            Self::MessageHidden(_) => EventType::MessageHidden,
            Self::ParticipantJoined(_) => EventType::ParticipantJoined,
            Self::ParticipantLeft(_) => EventType::ParticipantLeft,
            Self::ParticipantUpdated(_) => EventType::ParticipantUpdated,
            Self::ConversationCreated(_) => EventType::ConversationCreated,
            Self::ConversationRemoved(_) => EventType::ConversationRemoved,
            Self::SessionRevoked(_) => EventType::SessionRevoked,
            Self::UserCreated(_) => EventType::UserCreated,
            Self::UserUpdated(_) => EventType::UserUpdated,
        }
    }

    /// Returns the effect of the event on rooms and sessions.
    pub fn effect(&self) -> EventEffect {
        match self {
            Self::MessageNew(_)
            | Self::MessageEdited(_)
            | Self::MessagePinned(_)
            | Self::MessageUnpinned(_)
            | Self::ReactionUpdated(_)
            | Self::ConversationUpdated(_)
            | Self::ConversationSettings(_)
            | Self::MessageHidden(_)
            | Self::ParticipantJoined(_)
            | Self::ParticipantUpdated(_)
            | Self::ConversationRemoved(_)
            | Self::UserCreated(_)
            | Self::UserUpdated(_) => EventEffect::None,
            Self::MessageDeleted(deleted) => EventEffect::Deleted(deleted.message_id),
            Self::ParticipantLeft(left) => EventEffect::Left(left.user_id),
            Self::ConversationCreated(created) => {
                EventEffect::Subscribe(created.conversation.id, created.conversation.last_rev)
            }
            Self::SessionRevoked(revoked) => EventEffect::Revoked(*revoked),
        }
    }

    /// Returns the message that the event contains. When it or the message that it quotes is deleted, the event is
    /// rewritten by [`redact_frame`](super::redaction::redact_frame), which must know each type that has a message.
    fn message(&self) -> Option<&Message> {
        match self {
            Self::MessageNew(event) | Self::MessageEdited(event) => Some(&event.message),
            Self::MessageDeleted(_)
            | Self::MessagePinned(_)
            | Self::MessageUnpinned(_)
            | Self::ReactionUpdated(_)
            | Self::ConversationUpdated(_)
            | Self::ConversationSettings(_)
            | Self::MessageHidden(_)
            | Self::ParticipantJoined(_)
            | Self::ParticipantLeft(_)
            | Self::ParticipantUpdated(_)
            | Self::ConversationCreated(_)
            | Self::ConversationRemoved(_)
            | Self::SessionRevoked(_)
            | Self::UserCreated(_)
            | Self::UserUpdated(_) => None,
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
        format!(r#"{{"stream":"{}","rev":{rev},"#, stream.kind_name())
    }

    /// Returns the second part of a frame, which follows [`Self::frame_start`].
    ///
    /// # Panics
    ///
    /// Never: an event has string keys and no value that JSON lacks.
    pub fn frame_end(&self) -> String {
        let mut text = serde_json::to_string(self).expect("an event has string keys and no value that JSON lacks");
        // Remove the opening brace, because the frame start already has it.
        text.remove(0);
        text
    }
}

#[cfg(test)]
mod tests;
