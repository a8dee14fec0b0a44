//! Uploaded files: attachments and avatars. The bytes lie in the file store.

use sea_orm::entity::prelude::*;

/// An uploaded file, attached or not yet.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "uploads")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub uploader_id: Uuid,
    /// `message` or `avatar`; none until the upload is attached.
    pub purpose: Option<String>,
    /// The conversation of the message, or whose avatar it is; none for a user's avatar.
    pub conversation_id: Option<Uuid>,
    pub message_id: Option<Uuid>,
    /// The place among the message's attachments, from 0.
    pub position: Option<i64>,
    /// The message's `seq`.
    pub seq: Option<i64>,
    /// `image`, `video`, `audio` or `file`.
    pub kind: String,
    pub name: String,
    pub mime: String,
    /// Bytes.
    pub size: i64,
    /// Pixels.
    pub width: Option<i64>,
    /// Pixels; set exactly when `width` is.
    pub height: Option<i64>,
    pub duration_ms: Option<i64>,
    /// Where the bytes lie in the file store.
    pub storage_key: String,
    pub thumbnail_key: Option<String>,
    pub attached_at: Option<i64>,
    pub created_at: i64,
    pub deleted_at: Option<i64>,
}

/// What the rows refer to, and what refers to them.
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
        from = "Column::MessageId",
        to = "super::messages::Column::Id",
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
