//! The log: the table of all durable events of all streams.

use sea_orm::entity::prelude::*;

/// A durable event, with its revision in its stream.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "outbox")]
pub struct Model {
    /// Assigned in the order of appends. An id is never used twice.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// 0 for the stream of a conversation, 1 for the stream of a user.
    pub stream_kind: i16,
    /// The id of the conversation or of the user.
    pub stream_id: Uuid,
    /// The revision of the event: 1, 2, 3 … in each stream.
    pub rev: i64,
    pub event_type: String,
    /// The message that the event contains or names.
    pub message_id: Option<Uuid>,
    /// The message that this message quotes.
    pub quoted_id: Option<Uuid>,
    /// The exact text of the frame that clients receive.
    pub payload: String,
    pub created_at: i64,
}

/// This table has no relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
