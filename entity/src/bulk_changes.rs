//! The table of bulk changes: changes that are too large for one transaction and are done in steps.

use sea_orm::entity::prelude::*;

/// A bulk change that is not finished. Its row is removed in the transaction of its last step.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "bulk_changes")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Names the code that makes the change.
    pub kind: String,
    /// JSON, what the kind needs to know.
    pub argument: String,
    /// Where the next step begins; `None` before the first step.
    pub cursor: Option<String>,
    /// The number of failed attempts at the next step.
    pub attempts: i64,
    /// The time of the next attempt.
    pub next_at: i64,
    pub last_error: Option<String>,
    /// `running` or `failed`.
    pub status: String,
    pub created_at: i64,
}

/// This table has no relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
