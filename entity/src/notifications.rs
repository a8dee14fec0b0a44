//! The table of notifications.

use sea_orm::entity::prelude::*;

/// A notification for one user.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "notifications")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub user_id: Uuid,
    /// `class_invite`, `mention`, `reply`, `new_message`, `welcome` or `custom`.
    pub kind: String,
    pub title: String,
    pub body: String,
    /// The type of the object that `entity_id` names. Both are set, or both are null.
    pub entity_type: Option<String>,
    pub entity_id: Option<Uuid>,
    pub conversation_id: Option<Uuid>,
    pub message_id: Option<Uuid>,
    /// The `seq` of the message, compared with the read mark of the user.
    pub seq: Option<i64>,
    /// JSON text.
    pub data: Option<String>,
    /// The number of messages that this row counts.
    pub count: i64,
    pub read_at: Option<i64>,
    pub created_at: i64,
}

/// The relations of this table to other tables.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "super::users::Entity",
        from = "Column::UserId",
        to = "super::users::Column::Id",
        on_delete = "Cascade"
    )]
    User,
    #[sea_orm(
        belongs_to = "super::conversations::Entity",
        from = "Column::ConversationId",
        to = "super::conversations::Column::Id",
        on_delete = "Cascade"
    )]
    Conversation,
    #[sea_orm(
        belongs_to = "super::messages::Entity",
        from = "(Column::ConversationId, Column::MessageId)",
        to = "(super::messages::Column::ConversationId, super::messages::Column::Id)",
        on_delete = "Cascade"
    )]
    Message,
}

impl Related<super::users::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::User.def()
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
