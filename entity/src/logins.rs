//! The table of logins, with one row for each sign-in.

use sea_orm::entity::prelude::*;

/// A login, to which a family of refresh tokens belongs.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "logins")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub user_id: Uuid,
    /// The name of the device, as the client sent it.
    pub device: String,
    /// The address of the client at sign-in.
    pub ip: String,
    pub created_at: i64,
    pub last_used_at: i64,
    pub revoked_at: Option<i64>,
    /// `logout`, `password`, `token_reused`, `kicked`, `suspended` or `deleted`. Set if `revoked_at` is set.
    pub revoke_reason: Option<String>,
    /// The generation of the newest refresh token that was issued.
    pub generation: i64,
    /// The newest generation of which an access token was accepted.
    pub seen_generation: i64,
    /// The address of the client as limits count it: an IPv4 address, or the /64 of an IPv6 address. Null if the client
    /// had no address.
    pub network: Option<String>,
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
