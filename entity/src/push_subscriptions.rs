//! Browsers that take web push.

use sea_orm::entity::prelude::*;

/// A push subscription of one browser.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "push_subscriptions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub user_id: Uuid,
    pub login_id: Option<Uuid>,
    pub endpoint: String,
    /// Stands for the endpoint, which may be too long for an index; unique.
    pub endpoint_hash: Vec<u8>,
    /// The browser's public key, as it gave it.
    pub p256dh: String,
    /// The browser's shared secret, as it gave it.
    pub auth: String,
    pub created_at: i64,
    pub last_pushed_at: Option<i64>,
    /// Failed pushes since the last good one.
    pub failures: i64,
    /// When to try again; set while a retry is due.
    pub next_at: Option<i64>,
}

/// What the rows refer to, and what refers to them.
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
