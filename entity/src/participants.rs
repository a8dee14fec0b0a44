//! The table of current and former participants of conversations, with their marks.

use sea_orm::entity::prelude::*;

/// A participant. The row stays when the user leaves, and is used again when the user returns.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "participants")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub conversation_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Uuid,
    /// `owner`, `admin`, `member` or `observer`.
    pub role: String,
    pub joined_at: i64,
    /// The revision of the event about the joining.
    pub joined_rev: i64,
    pub left_at: Option<i64>,
    /// The revision of the event about the leaving. Set if `left_at` is set.
    pub left_rev: Option<i64>,
    /// The read mark: the user has read all messages up to this `seq`.
    pub last_read_seq: i64,
    /// The `count` of the message at the read mark. The unread count is `last_count` of the conversation minus this
    /// value.
    pub last_read_count: i64,
    pub read_at: Option<i64>,
    /// The delivered mark: a device of the user has received all messages up to this `seq`.
    pub delivered_seq: i64,
    pub delivered_at: Option<i64>,
    /// The end of the muting. The greatest integer means without end.
    pub muted_until: Option<i64>,
    /// The `last_seq` of the conversation when the participant archived it.
    pub archived_seq: Option<i64>,
    pub pinned_at: Option<i64>,
    /// `all`, `mentions` or `none`.
    pub notify: String,
    /// The read mark before the user left, if the user has returned.
    pub former_read_seq: i64,
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
        from = "Column::UserId",
        to = "super::users::Column::Id",
        on_delete = "Restrict"
    )]
    User,
}

impl Related<super::conversations::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Conversation.def()
    }
}

impl Related<super::users::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::User.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
