//! The table of readers of the log, with their leases and cursors.

use sea_orm::entity::prelude::*;

/// A reader of the log.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "readers")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// The node that holds the lease until `leased_until`.
    pub holder: Option<String>,
    pub leased_until: i64,
    /// The id of the last log row that the reader has processed.
    pub cursor: i64,
    pub updated_at: i64,
    /// `None` while the reader works. A failed reader does not run and keeps no rows in the log.
    pub failed_at: Option<i64>,
}

/// The relations of this table to other tables.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(has_many = "super::reader_failures::Entity")]
    ReaderFailures,
}

impl Related<super::reader_failures::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::ReaderFailures.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
