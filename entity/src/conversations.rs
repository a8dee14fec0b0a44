//! Conversations: direct, group and class.

use sea_orm::entity::prelude::*;

/// A conversation, and the head of its stream.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "conversations")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// `direct`, `group` or `class`.
    pub kind: String,
    /// Set unless the conversation is direct.
    pub name: Option<String>,
    pub description: Option<String>,
    pub avatar_url: Option<String>,
    /// Set exactly when the conversation is a class's; unique.
    pub class_id: Option<Uuid>,
    /// The smaller of the two user ids of a direct conversation, by bytes.
    pub direct_low: Option<Uuid>,
    /// The greater of the two; the pair is unique.
    pub direct_high: Option<Uuid>,
    pub created_by: Option<Uuid>,
    pub created_at: i64,
    pub updated_at: i64,
    /// The `seq` of the newest message, 0 before the first.
    pub last_seq: i64,
    /// How many messages there are, system messages aside.
    pub last_count: i64,
    /// The newest revision of the conversation's stream.
    pub last_rev: i64,
    pub last_message_at: Option<i64>,
    /// When `@all` last mentioned everybody.
    pub all_mentioned_at: Option<i64>,
    pub deleted_at: Option<i64>,
    /// The creator's own id of a group, unique with the creator.
    pub temp_id: Option<String>,
    /// Of what was sent to make it, in hexadecimal; set with `temp_id`.
    pub body_hash: Option<String>,
}

/// What the rows refer to, and what refers to them.
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
