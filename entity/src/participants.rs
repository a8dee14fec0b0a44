//! Who takes part in a conversation, or did, and how far each has read.

use sea_orm::entity::prelude::*;

/// A participant and its marks. The row stays when the user leaves and is revived on return.
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
    /// The revision of the event that told of the joining.
    pub joined_rev: i64,
    pub left_at: Option<i64>,
    /// The revision of the event that told of the leaving; set exactly when `left_at` is.
    pub left_rev: Option<i64>,
    /// The read mark: every message up to this `seq` is read.
    pub last_read_seq: i64,
    /// The conversation's running count at the read mark; unread is `last_count` less this.
    pub last_read_count: i64,
    pub read_at: Option<i64>,
    /// The delivered mark: a client has every message up to this `seq`.
    pub delivered_seq: i64,
    pub delivered_at: Option<i64>,
    /// Muted up to this time; the greatest integer when for good.
    pub muted_until: Option<i64>,
    /// The conversation's `last_seq` when the participant archived it.
    pub archived_seq: Option<i64>,
    pub pinned_at: Option<i64>,
    /// `all`, `mentions` or `none`.
    pub notify: String,
    /// How far a participant had read who left and came back.
    pub former_read_seq: i64,
}

/// What the rows refer to, and what refers to them.
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
