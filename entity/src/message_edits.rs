//! The table of earlier texts of edited messages.

use sea_orm::entity::prelude::*;

/// An earlier text of a message.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "message_edits")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub conversation_id: Uuid,
    pub message_id: Uuid,
    pub content: String,
    /// The time at which this text was replaced.
    pub edited_at: i64,
}

/// The relations of this table to other tables.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "super::messages::Entity",
        from = "(Column::ConversationId, Column::MessageId)",
        to = "(super::messages::Column::ConversationId, super::messages::Column::Id)",
        on_delete = "Cascade"
    )]
    Message,
}

impl Related<super::messages::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Message.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
