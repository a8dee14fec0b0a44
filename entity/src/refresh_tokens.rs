//! Refresh tokens, known by their hash alone.

use sea_orm::entity::prelude::*;

/// A refresh token. Kept after it was spent, because its return is the sign of a theft.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "refresh_tokens")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub token_hash: Vec<u8>,
    pub login_id: Uuid,
    pub created_at: i64,
    pub expires_at: i64,
    /// When its successor was given out.
    pub spent_at: Option<i64>,
    /// Counts the refreshes of the login; 0 for the first.
    pub generation: i64,
}

/// What the rows refer to, and what refers to them.
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
