//! Durable events: the one form in which a change is stored, sent to other nodes and shown to clients. An event is
//! serialised once, when it is appended to the log; the same text serves everybody who may see it, so it carries nothing
//! that depends on who looks.

use super::resources::{ClassBrief, Conversation, Joined, Message, My};
use crate::domain::ids::{ConversationId, LoginId, MessageId, Rev, Seq, SessionId, UserId};
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use bytestring::ByteString;
use serde::{Deserialize, Serialize};

/// What happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", content = "payload")]
pub enum Event {
    /// A message was committed. Conversation stream.
    #[serde(rename = "message.new")]
    MessageNew {
        /// The conversation it happened in.
        conversation_id: ConversationId,
        /// The message.
        message: Box<Message>,
    },
    /// A message has another text, kept with its former ones. Conversation stream.
    #[serde(rename = "message.edited")]
    MessageEdited {
        /// The conversation it happened in.
        conversation_id: ConversationId,
        /// The message as it is now.
        message: Box<Message>,
    },
    /// A message was deleted for everyone. Conversation stream.
    #[serde(rename = "message.deleted")]
    MessageDeleted {
        /// The conversation it happened in.
        conversation_id: ConversationId,
        /// Which.
        message_id: MessageId,
        /// Its place, which stays.
        seq: Seq,
    },
    /// A message was pinned. Conversation stream.
    #[serde(rename = "message.pinned")]
    MessagePinned(Pin),
    /// A message is no longer pinned. Conversation stream.
    #[serde(rename = "message.unpinned")]
    MessageUnpinned(Pin),
    /// Somebody reacted to a message, or took it back. Conversation stream.
    #[serde(rename = "reaction.updated")]
    ReactionUpdated {
        /// The conversation it happened in.
        conversation_id: ConversationId,
        /// To which.
        message_id: MessageId,
        /// The emoji that was added or removed.
        emoji: String,
        /// The user who reacted, or took the reaction back.
        user_id: UserId,
        /// Added or removed.
        action: ReactionAction,
        /// How many react with it now.
        count: i64,
    },
    /// The conversation has another name, description or picture, or its class another state. Conversation stream.
    #[serde(rename = "conversation.updated")]
    ConversationUpdated {
        /// Which.
        conversation_id: ConversationId,
        /// Its name.
        name: Option<String>,
        /// Its description.
        description: Option<String>,
        /// Its picture.
        avatar_url: Option<String>,
        /// Its class, if it is one's.
        class: Option<ClassBrief>,
        /// When.
        updated_at: Timestamp,
    },
    /// Somebody joined. Conversation stream.
    #[serde(rename = "participant.joined")]
    ParticipantJoined {
        /// The conversation it happened in.
        conversation_id: ConversationId,
        /// Those who joined, each with the role that they begin with.
        participants: Vec<Joined>,
    },
    /// Somebody left or was removed. Conversation stream; the last event of it that user sees.
    #[serde(rename = "participant.left")]
    ParticipantLeft {
        /// The conversation it happened in.
        conversation_id: ConversationId,
        /// The user who left or was removed.
        user_id: UserId,
        /// How.
        reason: LeftReason,
    },
    /// Somebody has other rights. Conversation stream.
    #[serde(rename = "participant.updated")]
    ParticipantUpdated {
        /// The conversation it happened in.
        conversation_id: ConversationId,
        /// The participant whose role changed.
        user_id: UserId,
        /// The new role.
        role: crate::domain::roles::Role,
    },
    /// The user is in a conversation from now on. User stream; `last_rev` is the revision to subscribe from.
    #[serde(rename = "conversation.created")]
    ConversationCreated {
        /// As this user sees it; `last_message` is null.
        conversation: Box<Conversation>,
    },
    /// The user is out of a conversation from now on. User stream.
    #[serde(rename = "conversation.removed")]
    ConversationRemoved {
        /// Which.
        conversation_id: ConversationId,
    },
    /// The user's own view of a conversation changed, by the user or by a block. User stream.
    #[serde(rename = "conversation.settings")]
    ConversationSettings {
        /// Which.
        conversation_id: ConversationId,
        /// The view now.
        my: My,
    },
    /// The user deleted a message for themself alone. User stream.
    #[serde(rename = "message.hidden")]
    MessageHidden {
        /// The conversation it happened in.
        conversation_id: ConversationId,
        /// Which.
        message_id: MessageId,
    },
    /// One or all of the user's logins or sessions ended. User stream.
    #[serde(rename = "session.revoked")]
    SessionRevoked(Revoked),
    /// The account was made. User stream.
    #[serde(rename = "user.created")]
    UserCreated {
        /// The account as others see it.
        user: Box<PublicUser>,
    },
    /// The profile changed. User stream.
    #[serde(rename = "user.updated")]
    UserUpdated {
        /// The account as others see it.
        user: Box<PublicUser>,
    },
}

/// How somebody left.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftReason {
    /// By themself.
    Left,
    /// By somebody with the right to.
    Removed,
}

/// A message that was pinned or unpinned.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Pin {
    /// The conversation it happened in.
    pub conversation_id: ConversationId,
    /// Which.
    pub message_id: MessageId,
    /// By whom.
    pub user_id: UserId,
}

/// What became of a reaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReactionAction {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
}

/// A user without what changes by the minute.
#[derive(Clone, Debug, Serialize)]
pub struct PublicUser {
    /// What everybody may see of the user.
    #[serde(flatten)]
    pub brief: super::resources::UserBrief,
    /// The host application's id of the user.
    pub external_id: Option<String>,
    /// User or admin.
    pub role: super::resources::UserRole,
    /// When the account was made.
    pub created_at: Timestamp,
}

/// Which logins or sessions ended: both ids null means all of the user's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Revoked {
    /// The login, as in `/auth/sessions`.
    pub login_id: Option<LoginId>,
    /// The live session, as in `auth.success`.
    pub session_id: Option<SessionId>,
    /// Why.
    pub reason: RevokeReason,
}

/// Why a login or session ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevokeReason {
    /// Its owner signed out, or revoked it.
    Logout,
    /// The password was changed.
    Password,
    /// A spent refresh token came back.
    TokenReused,
    /// An admin ended it.
    Kicked,
    /// The account was suspended.
    Suspended,
    /// The account was deleted.
    Deleted,
}

impl RevokeReason {
    /// As stored.
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

/// What delivery must know about an event beyond its text: a room acts on the first two, a session on the others.
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    /// Nothing.
    None,
    /// This user is out of it from this revision on.
    Left(UserId),
    /// The text of this message must not be shown any more.
    Deleted(MessageId),
    /// This user's sessions subscribe to the conversation from the revision.
    Subscribe(ConversationId, Rev),
    /// These sessions close.
    Revoked(Revoked),
}

impl Event {
    /// The type as clients and the log name it.
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

    /// What delivery must know of it.
    pub fn effect(&self) -> Effect {
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
            | Self::UserUpdated { .. } => Effect::None,
            Self::MessageDeleted { message_id, .. } => Effect::Deleted(*message_id),
            Self::ParticipantLeft { user_id, .. } => Effect::Left(*user_id),
            Self::ConversationCreated { conversation } => Effect::Subscribe(conversation.id, conversation.last_rev),
            Self::SessionRevoked(revoked) => Effect::Revoked(*revoked),
        }
    }

    /// The message whose text it carries, for the log's index: what is rewritten when that is deleted.
    pub fn message_id(&self) -> Option<MessageId> {
        match self {
            Self::MessageNew { message, .. } | Self::MessageEdited { message, .. } => Some(message.id),
            _ => None,
        }
    }

    /// The message that one quotes, for the log's index.
    pub fn quoted_id(&self) -> Option<MessageId> {
        match self {
            Self::MessageNew { message, .. } | Self::MessageEdited { message, .. } => {
                message.reply_to.as_ref().map(|quote| quote.id)
            }
            _ => None,
        }
    }

    /// The text that the log keeps and clients get.
    ///
    /// # Panics
    ///
    /// Never: an event has string keys and no value that JSON lacks.
    pub fn frame(&self, stream: Stream, rev: Rev) -> String {
        Self::head(stream, rev) + &self.tail()
    }

    /// What a frame begins with; the rest of it is the same in whichever streams the event is appended to.
    pub fn head(stream: Stream, rev: Rev) -> String {
        format!(r#"{{"stream":"{}","rev":{rev},"#, stream.name())
    }

    /// What a frame ends with, after its [`Self::head`].
    ///
    /// # Panics
    ///
    /// Never: an event has string keys and no value that JSON lacks.
    pub fn tail(&self) -> String {
        let mut text = serde_json::to_string(self).expect("an event has string keys and no value that JSON lacks");
        // the brace that the head opened already
        text.remove(0);
        text
    }
}

impl Effect {
    /// The effect of a stored event, read back from its type and text.
    pub fn from_stored(event_type: &str, frame: &str) -> Self {
        #[derive(Deserialize)]
        struct Frame<P> {
            payload: P,
        }
        #[derive(Deserialize)]
        struct Left {
            user_id: UserId,
        }
        #[derive(Deserialize)]
        struct Deleted {
            message_id: MessageId,
        }
        #[derive(Deserialize)]
        struct Created {
            conversation: Gained,
        }
        #[derive(Deserialize)]
        struct Gained {
            id: ConversationId,
            last_rev: Rev,
        }
        fn payload<P: for<'de> Deserialize<'de>>(frame: &str) -> Option<P> {
            serde_json::from_str::<Frame<P>>(frame).ok().map(|frame| frame.payload)
        }
        let effect = match event_type {
            "participant.left" => payload::<Left>(frame).map(|left| Self::Left(left.user_id)),
            "message.deleted" => payload::<Deleted>(frame).map(|deleted| Self::Deleted(deleted.message_id)),
            "conversation.created" => payload::<Created>(frame)
                .map(|created| Self::Subscribe(created.conversation.id, created.conversation.last_rev)),
            "session.revoked" => payload::<Revoked>(frame).map(Self::Revoked),
            _ => None,
        };
        effect.unwrap_or(Self::None)
    }
}

/// One event as delivery carries it.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Its revision in its stream.
    pub rev: Rev,
    /// What clients get, serialised once.
    pub text: ByteString,
    /// What delivery must know of it.
    pub effect: Effect,
    /// The message whose text it carries.
    pub message_id: Option<MessageId>,
    /// The message that one quotes.
    pub quoted_id: Option<MessageId>,
}
