//! Logins: one row for each time somebody signed in.

use sea_orm::entity::prelude::*;

/// A login, the family its refresh tokens belong to.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "logins")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub user_id: Uuid,
    /// What the client called itself.
    pub device: String,
    /// The client's address at sign-in.
    pub ip: String,
    pub created_at: i64,
    pub last_used_at: i64,
    pub revoked_at: Option<i64>,
    /// `logout`, `password`, `token_reused`, `kicked`, `suspended` or `deleted`; set exactly when `revoked_at` is.
    pub revoke_reason: Option<String>,
    /// Of the newest refresh token given out.
    pub generation: i64,
    /// The newest of which an access token was accepted.
    pub seen_generation: i64,
    /// What counts as the client's address: itself, or the /64 of an IPv6 one; none where it had no address.
    pub network: Option<String>,
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
    #[sea_orm(has_many = "super::refresh_tokens::Entity")]
    RefreshTokens,
    #[sea_orm(has_many = "super::tickets::Entity")]
    Tickets,
    #[sea_orm(has_many = "super::push_subscriptions::Entity")]
    PushSubscriptions,
}

impl Related<super::users::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::User.def()
    }
}

impl Related<super::refresh_tokens::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::RefreshTokens.def()
    }
}

impl Related<super::tickets::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Tickets.def()
    }
}

impl Related<super::push_subscriptions::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::PushSubscriptions.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
