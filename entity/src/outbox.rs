//! The log: every durable event of every stream.

use sea_orm::entity::prelude::*;

/// An event in the log, at its revision of its stream.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "outbox")]
pub struct Model {
    /// Given in the order of appending; never used twice.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The place in the one order of all streams; stamped after the commit.
    pub position: Option<i64>,
    /// 0 for a conversation's stream, 1 for a user's.
    pub stream_kind: i16,
    /// The conversation or the user.
    pub stream_id: Uuid,
    /// Counts 1, 2, 3 … in each stream.
    pub rev: i64,
    pub event_type: String,
    /// The message the event carries or names.
    pub message_id: Option<Uuid>,
    /// The message it quotes.
    pub quoted_id: Option<Uuid>,
    /// The exact text of the frame that clients get.
    pub payload: String,
    pub created_at: i64,
}

/// None.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
