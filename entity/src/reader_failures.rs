//! The table of events that a reader could not process.

use sea_orm::entity::prelude::*;

/// An event that a reader could not process: its stream is parked, or the reader stopped trying.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "reader_failures")]
pub struct Model {
    /// The name of the reader.
    #[sea_orm(primary_key, auto_increment = false)]
    pub reader: String,
    /// 0 for the stream of a conversation, 1 for the stream of a user.
    #[sea_orm(primary_key, auto_increment = false)]
    pub stream_kind: i16,
    #[sea_orm(primary_key, auto_increment = false)]
    pub stream_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub rev: i64,
    pub attempts: i64,
    /// The time of the next attempt.
    pub next_at: i64,
    pub last_error: String,
    /// `parked` or `failed`.
    pub status: String,
}

/// The relations of this table to other tables.
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
