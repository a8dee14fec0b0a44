//! The table of messages.

use sea_orm::entity::prelude::*;

/// A message. A message that is deleted for everyone keeps its row and its `seq`, without its text.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "messages")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub conversation_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    /// Unique in the whole table, so that a message is also found by its id alone.
    pub id: Uuid,
    /// The number of the message in its conversation: 1, 2, 3 … without a gap.
    pub seq: i64,
    /// The number of messages up to this one, without system messages.
    pub count: i64,
    /// The revision of its `message.new` event.
    pub rev: i64,
    /// Null only for system messages.
    pub sender_id: Option<Uuid>,
    /// `text`, `image`, `video`, `audio`, `file`, `mixed`, `sticker`, `location`, `contact` or `system`.
    pub kind: String,
    pub content: String,
    /// JSON. Set for stickers, locations, contacts and system messages that are not deleted.
    pub data: Option<String>,
    /// The quoted message, which is in the same conversation.
    pub reply_to_id: Option<Uuid>,
    /// The id that the client of the sender chose. Unique for each sender and conversation.
    pub temp_id: Option<String>,
    /// The hash of the request that created the message. It distinguishes a repeated request from another request with
    /// the same `temp_id`.
    pub body_hash: Option<Vec<u8>>,
    pub edited_at: Option<i64>,
    pub deleted_at: Option<i64>,
    pub deleted_by: Option<Uuid>,
    pub pinned_at: Option<i64>,
    pub pinned_by: Option<Uuid>,
    pub created_at: i64,
    /// Whether the message mentions all participants.
    pub mentions_all: bool,
}

/// The relations of this table to other tables.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "super::conversations::Entity",
        from = "Column::ConversationId",
        to = "super::conversations::Column::Id",
        on_delete = "Cascade"
    )]
    Conversation,
    #[sea_orm(
        belongs_to = "super::users::Entity",
        from = "Column::SenderId",
        to = "super::users::Column::Id",
        on_delete = "Restrict"
    )]
    Sender,
    #[sea_orm(
        belongs_to = "Entity",
        from = "(Column::ConversationId, Column::ReplyToId)",
        to = "(Column::ConversationId, Column::Id)"
    )]
    ReplyTo,
    #[sea_orm(
        belongs_to = "super::users::Entity",
        from = "Column::DeletedBy",
        to = "super::users::Column::Id",
        on_delete = "Restrict"
    )]
    DeletedBy,
    #[sea_orm(
        belongs_to = "super::users::Entity",
        from = "Column::PinnedBy",
        to = "super::users::Column::Id",
        on_delete = "Restrict"
    )]
    PinnedBy,
    #[sea_orm(has_many = "super::mentions::Entity")]
    Mentions,
    #[sea_orm(has_many = "super::message_edits::Entity")]
    MessageEdits,
    #[sea_orm(has_many = "super::hidden_messages::Entity")]
    HiddenMessages,
    #[sea_orm(has_many = "super::reactions::Entity")]
    Reactions,
    #[sea_orm(has_many = "super::message_links::Entity")]
    MessageLinks,
    #[sea_orm(has_many = "super::uploads::Entity")]
    Uploads,
    #[sea_orm(has_many = "super::notifications::Entity")]
    Notifications,
}

impl Related<super::conversations::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Conversation.def()
    }
}

impl Related<super::mentions::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Mentions.def()
    }
}

impl Related<super::message_edits::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::MessageEdits.def()
    }
}

impl Related<super::hidden_messages::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::HiddenMessages.def()
    }
}

impl Related<super::reactions::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Reactions.def()
    }
}

impl Related<super::message_links::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::MessageLinks.def()
    }
}

impl Related<super::uploads::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Uploads.def()
    }
}

impl Related<super::notifications::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Notifications.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
