//! Resources: what REST answers with and events carry. Shapes only; nothing here reads a database.

use crate::domain::content::MessageKind;
use crate::domain::ids::{ClassId, ConversationId, LoginId, MessageId, Rev, Seq, UserId};
use crate::domain::roles::{ConversationKind, Role};
use crate::domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A user as others see one beside a message or in a list.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct UserBrief {
    /// Its id.
    pub id: UserId,
    /// Its unique name.
    pub username: String,
    /// The name it shows.
    pub display_name: String,
    /// Its picture, if it has one.
    pub avatar_url: Option<String>,
}

/// Whether a user is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PresenceStatus {
    /// Has a live session that is not away.
    Online,
    /// All live sessions are away.
    Away,
    /// Has had no session for five seconds.
    Offline,
}

/// A user's part in the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserRole {
    /// Uses it.
    User,
    /// Also administers it.
    Admin,
}

impl UserRole {
    /// As stored and as in a token.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
        }
    }

    /// From the stored form; what is unknown has the fewest rights.
    pub fn from_stored(text: &str) -> Self {
        if text == "admin" { Self::Admin } else { Self::User }
    }
}

/// A user as others see one.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// Who.
    #[serde(flatten)]
    pub brief: UserBrief,
    /// The host application's id of the user.
    pub external_id: Option<String>,
    /// User or admin.
    pub role: UserRole,
    /// Whether the user is there.
    pub presence: PresenceStatus,
    /// When the user was last there; null if never seen.
    pub last_seen_at: Option<Timestamp>,
    /// When the account was made.
    pub created_at: Timestamp,
}

/// A user as seen by that user.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// What others see.
    #[serde(flatten)]
    pub user: User,
    /// The e-mail address, if one was given.
    pub email: Option<String>,
    /// The language, if one was given.
    pub locale: Option<String>,
    /// `active`, or what ended it.
    pub status: String,
    /// Whether others see what one has read, and one what they have.
    pub share_read_receipts: bool,
}

/// What signing in, up or a refresh answers with.
#[derive(Debug, Serialize, ToSchema)]
pub struct Tokens {
    /// Who signed in.
    pub user: Me,
    /// For the `Authorization` header and the WebSocket.
    pub access_token: String,
    /// For one refresh.
    pub refresh_token: String,
    /// Always `Bearer`.
    pub token_type: &'static str,
    /// Seconds the access token is good for.
    pub expires_in: u64,
}

/// One of the caller's logins.
#[derive(Debug, Serialize, ToSchema)]
pub struct Login {
    /// Its id; `sid` in its access tokens, `login_id` in `session.revoked`.
    pub id: LoginId,
    /// What the client called itself.
    pub device: String,
    /// Where it signed in from.
    pub ip: String,
    /// When it signed in.
    pub created_at: Timestamp,
    /// When it last refreshed its token.
    pub last_used_at: Timestamp,
    /// Whether it is the one that asks.
    pub current: bool,
}

/// A single-use ticket for `/ws?ticket=`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ticket {
    /// The ticket.
    pub ticket: String,
    /// Seconds it is good for.
    pub expires_in: u64,
}

/// Whether a user is there, and when last.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PresenceState {
    /// Online, away or offline.
    pub status: PresenceStatus,
    /// When the user was last there.
    pub last_seen_at: Option<Timestamp>,
}

/// The presence of the users asked for and visible to the caller.
#[derive(Debug, Serialize, ToSchema)]
pub struct PresenceStates {
    /// By user id.
    pub users: BTreeMap<UserId, PresenceState>,
}

/// How far a message got; only of the caller's own, and only up to 100 members.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageStatus {
    /// Stored.
    Sent,
    /// Acknowledged by another participant's client.
    Delivered,
    /// Read by another participant.
    Seen,
}

/// A message as another one quotes it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Quote {
    /// The quoted message.
    pub id: MessageId,
    /// Its place.
    pub seq: Seq,
    /// Its author; null for a system message.
    pub sender_id: Option<UserId>,
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: MessageKind,
    /// Its first 100 characters; empty when it was deleted.
    pub content: String,
}

/// One emoji's reactions to a message.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Reaction {
    /// The emoji.
    pub emoji: String,
    /// How many reacted with it.
    pub count: i64,
    /// Whether the caller did; left out of events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub me: Option<bool>,
}

/// A file that belongs to a message.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Attachment {
    /// Its id.
    pub id: uuid::Uuid,
    /// image, video, audio or file.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its type, read from its bytes.
    pub mime: String,
    /// Bytes.
    pub size: i64,
    /// Pixels, of an image or video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<i64>,
    /// Pixels, of an image or video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<i64>,
    /// Seconds, of a sound or video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// Where it is fetched.
    pub url: String,
    /// Where its thumbnail is fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbnail_url: Option<String>,
}

/// A message. In an event, `status` and `reactions[].me` are left out: one text serves all who see it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// Where it stands.
    pub conversation_id: ConversationId,
    /// Its place there.
    pub seq: Seq,
    /// Its author; null for a system message.
    pub sender_id: Option<UserId>,
    /// Its author; null for a system message.
    pub sender: Option<UserBrief>,
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: MessageKind,
    /// Its text; empty when it was deleted.
    pub content: String,
    /// What its kind needs beside text.
    pub data: Option<serde_json::Value>,
    /// Its files.
    pub attachments: Vec<Attachment>,
    /// What it answers.
    pub reply_to: Option<Quote>,
    /// Whom it mentions.
    pub mentions: Vec<UserId>,
    /// Reactions by emoji.
    pub reactions: Vec<Reaction>,
    /// Whether it is pinned.
    pub pinned: bool,
    /// How far it got; only of the caller's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<MessageStatus>,
    /// What its author's client called it.
    pub temp_id: Option<String>,
    /// When it was last edited.
    pub edited_at: Option<Timestamp>,
    /// When it was deleted for everyone.
    pub deleted_at: Option<Timestamp>,
    /// When it was committed.
    pub created_at: Timestamp,
}

/// A page of messages, always ascending by `seq`.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessagePage {
    /// The messages.
    pub items: Vec<Message>,
    /// Whether older ones exist.
    pub has_more_before: bool,
    /// Whether newer ones exist.
    pub has_more_after: bool,
    /// The conversation's revision, read before the messages: drop events at or below it.
    pub rev: Rev,
}

/// The class of a class conversation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ClassBrief {
    /// Its id.
    pub id: ClassId,
    /// Whether it is read-only.
    pub archived: bool,
}

/// The newest message of a conversation, for lists.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct LastMessage {
    /// Its id.
    pub id: MessageId,
    /// Its place.
    pub seq: Seq,
    /// Its author; null for a system message.
    pub sender_id: Option<UserId>,
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: MessageKind,
    /// Its first 100 characters.
    pub content: String,
    /// When it was committed.
    pub created_at: Timestamp,
}

/// Which messages of a conversation make a notification.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotifyLevel {
    /// All of them.
    All,
    /// Mentions and replies.
    Mentions,
    /// None.
    None,
}

/// The caller's own view of a conversation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct My {
    /// The caller's role.
    pub role: Role,
    /// The caller's read mark.
    pub last_read_seq: Seq,
    /// Muted until then; null when not muted.
    pub muted_until: Option<Timestamp>,
    /// Archived, and no later message has come.
    pub archived: bool,
    /// Pinned to the top of the list.
    pub pinned: bool,
    /// What makes a notification.
    pub notify: NotifyLevel,
    /// Whether a block stands between the two of a direct conversation.
    pub blocked: bool,
}

/// A conversation as the caller sees it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Conversation {
    /// Its id.
    pub id: ConversationId,
    /// direct, group or class.
    #[serde(rename = "type")]
    pub kind: ConversationKind,
    /// Its name; null for a direct one.
    pub name: Option<String>,
    /// Its description.
    pub description: Option<String>,
    /// Its picture.
    pub avatar_url: Option<String>,
    /// Its class, if it is one's.
    pub class: Option<ClassBrief>,
    /// Who made it.
    pub created_by: Option<UserId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its name, picture or description last changed.
    pub updated_at: Timestamp,
    /// The place of its newest message.
    pub last_seq: Seq,
    /// Its newest revision.
    pub last_rev: Rev,
    /// Its newest message; null in events.
    pub last_message: Option<LastMessage>,
    /// How many participants it has.
    pub member_count: i64,
    /// Messages after the caller's read mark, system messages aside.
    pub unread_count: i64,
    /// The caller's own view.
    pub my: My,
    /// The other one of a direct conversation.
    pub peer: Option<User>,
}

/// A conversation with its first hundred participants.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConversationDetail {
    /// The conversation.
    #[serde(flatten)]
    pub conversation: Conversation,
    /// Its first 100 participants.
    pub members: Vec<Participant>,
}

/// Somebody in a conversation.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
pub struct Participant {
    /// Who.
    pub user: UserBrief,
    /// With what rights.
    pub role: Role,
    /// Whether the user is there.
    pub presence: PresenceStatus,
    /// Since when.
    pub joined_at: Timestamp,
    /// The read mark; null where receipts are off.
    pub last_read_seq: Option<Seq>,
}

/// Somebody who joined, as `participant.joined` tells it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Joined {
    /// Who.
    pub user: UserBrief,
    /// With what rights.
    pub role: Role,
}

/// What is unread over all conversations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct UnreadCount {
    /// Unread messages.
    pub messages: i64,
    /// Conversations with any.
    pub conversations: i64,
    /// Unread mentions.
    pub mentions: i64,
}

/// Where the caller's read mark stands now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReadMark {
    /// The mark.
    pub last_read_seq: Seq,
    /// Messages after it, system messages aside.
    pub unread_count: i64,
    /// Messages this call marked, counted as unread are.
    pub marked: i64,
}

/// A page of a collection.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// For the next page; null at the end.
    pub next_cursor: Option<String>,
}
