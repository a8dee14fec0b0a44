//! The table of conversations: direct, group and class.

use sea_orm::entity::prelude::*;

/// A conversation, and the newest revision of its stream.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "conversations")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// `direct`, `group` or `class`.
    pub kind: String,
    /// Null only for direct conversations.
    pub name: Option<String>,
    pub description: Option<String>,
    pub avatar_url: Option<String>,
    /// Set only for the conversation of a class; unique.
    pub class_id: Option<Uuid>,
    /// The smaller of the two user ids of a direct conversation, in byte order.
    pub direct_low: Option<Uuid>,
    /// The greater of the two user ids. The pair is unique.
    pub direct_high: Option<Uuid>,
    pub created_by: Option<Uuid>,
    pub created_at: i64,
    pub updated_at: i64,
    /// The `seq` of the newest message, or 0 if there is none.
    pub last_seq: i64,
    /// The number of messages without system messages.
    pub last_count: i64,
    /// The newest revision of the stream of the conversation.
    pub last_rev: i64,
    pub last_message_at: Option<i64>,
    /// The time of the last mention of all participants (`@all`).
    pub all_mentioned_at: Option<i64>,
    pub deleted_at: Option<i64>,
    /// The id that the client of the creator chose for a group. Unique for each creator.
    pub temp_id: Option<String>,
    /// The hash of the request that created the group, in hexadecimal. Set if `temp_id` is set.
    pub body_hash: Option<String>,
    /// The number of participants who have not left.
    pub member_count: i64,
}

/// The relations of this table to other tables.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "super::classes::Entity",
        from = "Column::ClassId",
        to = "super::classes::Column::Id",
        on_delete = "Restrict"
    )]
    Class,
    #[sea_orm(
        belongs_to = "super::users::Entity",
        from = "Column::DirectLow",
        to = "super::users::Column::Id",
        on_delete = "Restrict"
    )]
    DirectLow,
    #[sea_orm(
        belongs_to = "super::users::Entity",
        from = "Column::DirectHigh",
        to = "super::users::Column::Id",
        on_delete = "Restrict"
    )]
    DirectHigh,
    #[sea_orm(
        belongs_to = "super::users::Entity",
        from = "Column::CreatedBy",
        to = "super::users::Column::Id",
        on_delete = "Restrict"
    )]
    CreatedBy,
    #[sea_orm(has_many = "super::participants::Entity")]
    Participants,
    #[sea_orm(has_many = "super::messages::Entity")]
    Messages,
    #[sea_orm(has_many = "super::uploads::Entity")]
    Uploads,
    #[sea_orm(has_many = "super::notifications::Entity")]
    Notifications,
}

impl Related<super::classes::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Class.def()
    }
}

impl Related<super::participants::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Participants.def()
    }
}

impl Related<super::messages::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Messages.def()
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
