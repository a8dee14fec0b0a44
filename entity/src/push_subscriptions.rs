//! The table of browsers that receive web push messages.

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
    /// The hash of the endpoint, unique. The endpoint itself can be too long for an index.
    pub endpoint_hash: Vec<u8>,
    /// The public key of the browser, as the browser sent it.
    pub p256dh: String,
    /// The shared secret of the browser, as the browser sent it.
    pub auth: String,
    pub created_at: i64,
    pub last_pushed_at: Option<i64>,
    /// The number of failed pushes since the last successful one.
    pub failures: i64,
    /// The time of the next retry. Null if no retry is planned.
    pub next_at: Option<i64>,
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
