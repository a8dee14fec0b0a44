//! Events as they are read back from the log, which also has events of older and of newer versions of the server.
//!
//! Code that uses an event matches every variant of [`StoredEvent`] and reads only the payloads that it needs. A
//! payload that is not needed is not parsed, so it costs nothing and cannot fail. The payloads here have the fields
//! that the server uses; an unknown field or value elsewhere in the text is no error.

use super::event_type::{EventType, StoredEventType};
use super::events::EventEffect;
use super::logins::Revoked;
use super::shared_message::MessageEvent;
use crate::domain::ids::{ConversationId, MessageId, Rev, Seq, UserId};
use crate::domain::time::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;

/// An event of the log. A variant without a value is one whose payload the server does not use.
#[derive(Clone, Copy, Debug)]
pub enum StoredEvent<'a> {
    MessageNew(StoredMessage<'a>),
    MessageEdited(StoredMessage<'a>),
    MessageDeleted(StoredPayload<'a, StoredMessageDeleted>),
    MessagePinned,
    MessageUnpinned,
    ReactionUpdated,
    ConversationUpdated,
    ParticipantJoined,
    ParticipantLeft(StoredPayload<'a, StoredParticipantLeft>),
    ParticipantUpdated,
    ConversationCreated(StoredPayload<'a, StoredConversationCreated>),
    ConversationRemoved,
    ConversationSettings,
    MessageHidden,
    SessionRevoked(StoredPayload<'a, Revoked>),
    UserCreated,
    UserUpdated,
    /// An event of a newer version. It is delivered without an effect, readers of the log skip it, and a message that
    /// it may contain cannot be deleted by this version.
    Unknown,
}

/// The payload of a stored event, not yet parsed, with the type to read it as.
#[derive(Debug)]
pub struct StoredPayload<'a, P> {
    text: &'a str,
    payload: PhantomData<fn() -> P>,
}

/// The payload, not yet parsed, of a stored event that contains a message.
#[derive(Clone, Copy, Debug)]
pub struct StoredMessage<'a> {
    text: &'a str,
}

/// A stored frame that contains a message, with everything in it.
#[derive(Debug, Deserialize)]
pub struct MessageFrame {
    pub rev: Rev,
    pub payload: MessageEvent,
}

/// The payload of an event that contains a message, with the fields that every version has.
#[derive(Debug, Deserialize)]
pub struct CorePayload {
    pub conversation_id: ConversationId,
    pub message: CoreMessageFields,
}

/// The fields of a message that every version has.
#[derive(Debug, Deserialize)]
pub struct CoreMessageFields {
    pub id: MessageId,
    pub seq: Seq,
    pub sender_id: Option<UserId>,
    pub content: String,
    pub created_at: Timestamp,
}

/// The message that was deleted.
#[derive(Debug, Deserialize)]
pub struct StoredMessageDeleted {
    pub conversation_id: ConversationId,
    pub message_id: MessageId,
}

/// The user who is no longer a participant.
#[derive(Debug, Deserialize)]
pub struct StoredParticipantLeft {
    pub user_id: UserId,
}

/// The conversation that a user was added to.
#[derive(Debug, Deserialize)]
pub struct StoredConversationCreated {
    pub conversation: ConversationHead,
}

/// A conversation and its newest revision.
#[derive(Debug, Deserialize)]
pub struct ConversationHead {
    pub id: ConversationId,
    pub last_rev: Rev,
}

impl<'a> StoredEvent<'a> {
    /// Returns the event of a log row. `text` is the text of its frame, which is not read yet.
    pub fn parse(event_type: &StoredEventType, text: &'a str) -> Self {
        let StoredEventType::Known(event_type) = event_type else { return Self::Unknown };
        match event_type {
            EventType::MessageNew => Self::MessageNew(StoredMessage { text }),
            EventType::MessageEdited => Self::MessageEdited(StoredMessage { text }),
            EventType::MessageDeleted => Self::MessageDeleted(StoredPayload::new(text)),
            EventType::MessagePinned => Self::MessagePinned,
            EventType::MessageUnpinned => Self::MessageUnpinned,
            EventType::ReactionUpdated => Self::ReactionUpdated,
            EventType::ConversationUpdated => Self::ConversationUpdated,
            EventType::ParticipantJoined => Self::ParticipantJoined,
            EventType::ParticipantLeft => Self::ParticipantLeft(StoredPayload::new(text)),
            EventType::ParticipantUpdated => Self::ParticipantUpdated,
            EventType::ConversationCreated => Self::ConversationCreated(StoredPayload::new(text)),
            EventType::ConversationRemoved => Self::ConversationRemoved,
            EventType::ConversationSettings => Self::ConversationSettings,
            EventType::MessageHidden => Self::MessageHidden,
            EventType::SessionRevoked => Self::SessionRevoked(StoredPayload::new(text)),
            EventType::UserCreated => Self::UserCreated,
            EventType::UserUpdated => Self::UserUpdated,
        }
    }

    /// Returns the effect of the event on rooms and sessions. An unknown event has none, and neither has one that is
    /// malformed.
    pub fn effect(self) -> EventEffect {
        let effect = match self {
            Self::ParticipantLeft(payload) => payload.read().map(|left| EventEffect::Left(left.user_id)),
            Self::MessageDeleted(payload) => payload.read().map(|deleted| EventEffect::Deleted(deleted.message_id)),
            Self::ConversationCreated(payload) => payload.read().map(|StoredConversationCreated { conversation }| {
                EventEffect::Subscribe(conversation.id, conversation.last_rev)
            }),
            Self::SessionRevoked(payload) => payload.read().map(EventEffect::Revoked),
            Self::MessageNew(_)
            | Self::MessageEdited(_)
            | Self::MessagePinned
            | Self::MessageUnpinned
            | Self::ReactionUpdated
            | Self::ConversationUpdated
            | Self::ParticipantJoined
            | Self::ParticipantUpdated
            | Self::ConversationRemoved
            | Self::ConversationSettings
            | Self::MessageHidden
            | Self::UserCreated
            | Self::UserUpdated
            | Self::Unknown => Ok(EventEffect::None),
        };
        effect.unwrap_or(EventEffect::None)
    }
}

impl<'a, P: DeserializeOwned> StoredPayload<'a, P> {
    fn new(text: &'a str) -> Self {
        Self { text, payload: PhantomData }
    }

    /// Reads the payload.
    pub fn read(&self) -> Result<P, serde_json::Error> {
        read_payload(self.text)
    }
}

impl<P> Clone for StoredPayload<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for StoredPayload<'_, P> {}

impl StoredMessage<'_> {
    /// Reads what every version has. Use it where the rest of the message does not matter.
    pub fn read_core(&self) -> Result<CorePayload, serde_json::Error> {
        read_payload(self.text)
    }

    /// Reads the whole frame.
    pub fn read_frame(&self) -> Result<MessageFrame, serde_json::Error> {
        serde_json::from_str(self.text)
    }
}

fn read_payload<P: DeserializeOwned>(text: &str) -> Result<P, serde_json::Error> {
    #[derive(Deserialize)]
    struct FramePayload<P> {
        payload: P,
    }
    serde_json::from_str::<FramePayload<P>>(text).map(|frame| frame.payload)
}
