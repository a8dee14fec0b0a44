//! The table of refresh tokens, of which only the hash is stored.

use sea_orm::entity::prelude::*;

/// A refresh token. The row stays after the token was used, because a second use is a sign of theft.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "refresh_tokens")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub token_hash: Vec<u8>,
    pub login_id: Uuid,
    pub created_at: i64,
    pub expires_at: i64,
    /// The time at which the token was exchanged for its successor.
    pub spent_at: Option<i64>,
    /// The number of refreshes of the login before this token: 0 for the first token.
    pub generation: i64,
}

/// The relations of this table to other tables.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "super::logins::Entity",
        from = "Column::LoginId",
        to = "super::logins::Column::Id",
        on_delete = "Cascade"
    )]
    Login,
}

impl Related<super::logins::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Login.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
