//! Events that a reader could not handle.

use sea_orm::entity::prelude::*;

/// An event at which a reader's stream is parked, or that it gave up.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "reader_failures")]
pub struct Model {
    /// The reader's name.
    #[sea_orm(primary_key, auto_increment = false)]
    pub reader: String,
    /// 0 for a conversation's stream, 1 for a user's.
    #[sea_orm(primary_key, auto_increment = false)]
    pub stream_kind: i16,
    #[sea_orm(primary_key, auto_increment = false)]
    pub stream_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub rev: i64,
    pub attempts: i64,
    /// When to try again.
    pub next_at: i64,
    pub last_error: String,
    /// `parked` or `failed`.
    pub status: String,
}

/// What the rows refer to, and what refers to them.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "super::readers::Entity",
        from = "Column::Reader",
        to = "super::readers::Column::Name",
        on_delete = "Cascade"
    )]
    Readers,
}

impl Related<super::readers::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Readers.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
