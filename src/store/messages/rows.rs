//! The row of a message, with its author and the message that it quotes.

use crate::domain::content::MessageKind;
use crate::domain::ids::{ConversationId, MessageId, MessageKey, Rev, Seq, UserId};
use crate::domain::json_text::JsonText;
use crate::domain::time::Timestamp;
use crate::protocol::users::UserBrief;
use sea_orm::{DbErr, QueryResult};
use uuid::Uuid;

/// A message as stored, with its author and the message that it quotes. [`super::parts`] reads what other tables add.
#[derive(Clone, Debug)]
pub struct MessageRow {
    pub id: MessageId,
    pub conversation_id: ConversationId,
    pub seq: Seq,
    /// The revision of its `message.new`.
    pub rev: Rev,
    /// `None` for a system message.
    pub sender: Option<UserBrief>,
    pub kind: MessageKind,
    /// Empty if the message was deleted.
    pub content: String,
    /// `None` if the message was deleted.
    pub data: Option<JsonText>,
    /// The message to which this message is a reply.
    pub reply_to: Option<QuotedRow>,
    pub mentions_all: bool,
    pub pinned: bool,
    pub temp_id: Option<String>,
    pub edited_at: Option<Timestamp>,
    pub deleted_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

/// A message that another one quotes.
#[derive(Clone, Debug)]
pub struct QuotedRow {
    pub id: MessageId,
    pub seq: Seq,
    /// `None` for a system message.
    pub sender_id: Option<UserId>,
    pub kind: MessageKind,
    /// The whole text. Empty if the message was deleted.
    pub content: String,
}

impl MessageRow {
    /// Returns the key of the message.
    pub fn key(&self) -> MessageKey {
        (self.conversation_id, self.id)
    }

    /// Returns the author. `None` for a system message.
    pub fn sender_id(&self) -> Option<UserId> {
        self.sender.as_ref().map(|sender| sender.id)
    }

    /// Reads the columns of a statement that selects messages.
    pub(super) fn from_row(row: &QueryResult) -> Result<Self, DbErr> {
        let sender = match row.try_get::<Option<Uuid>>("", "sender_id")? {
            Some(id) => Some(UserBrief {
                id: UserId(id),
                username: row.try_get("", "username")?,
                display_name: row.try_get("", "display_name")?,
                avatar_url: row.try_get("", "avatar_url")?,
            }),
            None => None,
        };
        let deleted_at = row.try_get::<Option<i64>>("", "deleted_at")?.map(Timestamp);
        let content: String = row.try_get("", "content")?;
        let data: Option<String> = row.try_get("", "data")?;
        Ok(Self {
            id: MessageId(row.try_get("", "id")?),
            conversation_id: ConversationId(row.try_get("", "conversation_id")?),
            seq: Seq(row.try_get("", "seq")?),
            rev: Rev(row.try_get("", "rev")?),
            sender,
            kind: MessageKind::from_stored(&row.try_get::<String>("", "kind")?),
            content: if deleted_at.is_some() { String::new() } else { content },
            data: if deleted_at.is_some() { None } else { data.and_then(JsonText::from_stored) },
            reply_to: QuotedRow::from_row(row)?,
            mentions_all: row.try_get("", "mentions_all")?,
            pinned: row.try_get::<Option<i64>>("", "pinned_at")?.is_some(),
            temp_id: row.try_get("", "temp_id")?,
            edited_at: row.try_get::<Option<i64>>("", "edited_at")?.map(Timestamp),
            deleted_at,
            created_at: Timestamp(row.try_get("", "created_at")?),
        })
    }
}

impl QuotedRow {
    /// Reads the columns of the quoted message of a row; `None` if there is none.
    pub(super) fn from_row(row: &QueryResult) -> Result<Option<Self>, DbErr> {
        let Some(id) = row.try_get::<Option<Uuid>>("", "reply_to_id")? else { return Ok(None) };
        let Some(seq) = row.try_get::<Option<i64>>("", "q_seq")? else { return Ok(None) };
        let content: String = row.try_get("", "q_content")?;
        let deleted = row.try_get::<Option<i64>>("", "q_deleted_at")?.is_some();
        Ok(Some(Self {
            id: MessageId(id),
            seq: Seq(seq),
            sender_id: row.try_get::<Option<Uuid>>("", "q_sender_id")?.map(UserId),
            kind: MessageKind::from_stored(&row.try_get::<String>("", "q_kind")?),
            content: if deleted { String::new() } else { content },
        }))
    }
}
