//! The table of tickets, which are single-use tokens for one socket.

use sea_orm::entity::prelude::*;

/// A ticket. The row is removed when the ticket is used.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tickets")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub ticket_hash: Vec<u8>,
    pub user_id: Uuid,
    /// Null if the caller who created the ticket did not act by a login.
    pub login_id: Option<Uuid>,
    pub expires_at: i64,
}

/// The relations of this table to other tables.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "super::users::Entity",
        from = "Column::UserId",
        to = "super::users::Column::Id",
        on_delete = "Cascade"
    )]
    User,
    #[sea_orm(
        belongs_to = "super::logins::Entity",
        from = "Column::LoginId",
        to = "super::logins::Column::Id",
        on_delete = "Cascade"
    )]
    Login,
}

impl Related<super::users::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::User.def()
    }
}

impl Related<super::logins::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Login.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
