//! The index for the search of users: the words of their names.

use sea_orm::entity::prelude::*;

/// The rest of a word from one of its characters on, for a word in the folded names of an active user. The table has no
/// foreign key, because users are never deleted and an index by user would double its size.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "user_words")]
pub struct Model {
    /// 0 if `word` begins at the start of a word, 1 if it begins inside a word.
    #[sea_orm(primary_key, auto_increment = false)]
    pub inside: i16,
    /// Cut after 32 characters.
    #[sea_orm(primary_key, auto_increment = false)]
    pub word: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Uuid,
}

/// This table has no relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
