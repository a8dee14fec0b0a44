//! The table of links in messages, used for the list of links of a conversation.

use sea_orm::entity::prelude::*;

/// A link in the text of a message.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "message_links")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub conversation_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub message_id: Uuid,
    /// The index among the links of the message, from 0.
    #[sea_orm(primary_key, auto_increment = false)]
    pub position: i64,
    pub seq: i64,
    pub url: String,
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
