//! The index behind the search of users: what their names hold, word by word.

use sea_orm::entity::prelude::*;

/// What a word of an active user's folded names holds from some place on. It has no foreign key: users are never deleted,
/// and an index by user would double the table.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "user_words")]
pub struct Model {
    /// 0 where a word begins, 1 inside one.
    #[sea_orm(primary_key, auto_increment = false)]
    pub inside: i16,
    /// At most 32 characters.
    #[sea_orm(primary_key, auto_increment = false)]
    pub word: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Uuid,
}

/// What the rows refer to: nothing.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
