//! The table of uploaded files: attachments and avatars. The content is in the file store.

use sea_orm::entity::prelude::*;

/// An uploaded file. It may not be attached to a message or used as an avatar yet.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "uploads")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub uploader_id: Uuid,
    /// `message` or `avatar`. Null until the file is attached.
    pub purpose: Option<String>,
    /// The conversation of the message, or the conversation with this avatar. Null for the avatar of a user.
    pub conversation_id: Option<Uuid>,
    pub message_id: Option<Uuid>,
    /// The index among the attachments of the message, from 0.
    pub position: Option<i64>,
    /// The `seq` of the message.
    pub seq: Option<i64>,
    /// `image`, `video`, `audio` or `file`.
    pub kind: String,
    pub name: String,
    pub mime: String,
    /// In bytes.
    pub size: i64,
    /// In pixels.
    pub width: Option<i64>,
    /// In pixels. Set if `width` is set.
    pub height: Option<i64>,
    pub duration_ms: Option<i64>,
    /// The key of the content in the file store.
    pub storage_key: String,
    pub thumbnail_key: Option<String>,
    pub attached_at: Option<i64>,
    pub created_at: i64,
    pub deleted_at: Option<i64>,
}

/// The relations of this table to other tables.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "super::users::Entity",
        from = "Column::UploaderId",
        to = "super::users::Column::Id",
        on_delete = "Restrict"
    )]
    Uploader,
    #[sea_orm(
        belongs_to = "super::conversations::Entity",
        from = "Column::ConversationId",
        to = "super::conversations::Column::Id",
        on_delete = "Restrict"
    )]
    Conversation,
    #[sea_orm(
        belongs_to = "super::messages::Entity",
        from = "(Column::ConversationId, Column::MessageId)",
        to = "(super::messages::Column::ConversationId, super::messages::Column::Id)",
        on_delete = "Restrict"
    )]
    Message,
}

impl Related<super::users::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Uploader.def()
    }
}

impl Related<super::conversations::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Conversation.def()
    }
}

impl Related<super::messages::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Message.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
