//! The table of users.

use sea_orm::entity::prelude::*;

/// A user. The row is never deleted: a deleted user keeps the id and loses all personal texts.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub username: String,
    /// The username in lower case, unique.
    pub username_key: String,
    pub display_name: String,
    /// The username and the display name without case and accents, for the search of users.
    pub search_text: String,
    pub email: Option<String>,
    /// The e-mail address in lower case and NFC, unique. Set if `email` is set.
    pub email_key: Option<String>,
    /// A PHC string. Null for users of a host application.
    pub password_hash: Option<String>,
    pub avatar_url: Option<String>,
    pub locale: Option<String>,
    /// `user` or `admin`.
    pub role: String,
    /// `active`, `suspended` or `deleted`.
    pub status: String,
    /// The name of the user in the host application, unique.
    pub external_id: Option<String>,
    /// If false, other users do not see the read marks of this user, and this user does not see theirs.
    pub share_read_receipts: bool,
    pub last_seen_at: Option<i64>,
    /// The newest revision of the stream of the user.
    pub last_rev: i64,
    pub created_at: i64,
    pub updated_at: i64,
    /// Set if `status` is `deleted`.
    pub deleted_at: Option<i64>,
}

/// The relations of this table to other tables.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(has_many = "super::logins::Entity")]
    Logins,
    #[sea_orm(has_many = "super::tickets::Entity")]
    Tickets,
    #[sea_orm(has_many = "super::classes::Entity")]
    Classes,
    #[sea_orm(has_many = "super::class_members::Entity")]
    ClassMembers,
    #[sea_orm(has_many = "super::participants::Entity")]
    Participants,
    #[sea_orm(has_many = "super::mentions::Entity")]
    Mentions,
    #[sea_orm(has_many = "super::hidden_messages::Entity")]
    HiddenMessages,
    #[sea_orm(has_many = "super::reactions::Entity")]
    Reactions,
    #[sea_orm(has_many = "super::uploads::Entity")]
    Uploads,
    #[sea_orm(has_many = "super::notifications::Entity")]
    Notifications,
    #[sea_orm(has_one = "super::notification_settings::Entity")]
    NotificationSettings,
    #[sea_orm(has_many = "super::push_subscriptions::Entity")]
    PushSubscriptions,
}

impl Related<super::logins::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Logins.def()
    }
}

impl Related<super::tickets::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Tickets.def()
    }
}

impl Related<super::classes::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Classes.def()
    }
}

impl Related<super::class_members::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::ClassMembers.def()
    }
}

impl Related<super::participants::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Participants.def()
    }
}

impl Related<super::mentions::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Mentions.def()
    }
}

impl Related<super::hidden_messages::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::HiddenMessages.def()
    }
}

impl Related<super::reactions::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Reactions.def()
    }
}

impl Related<super::uploads::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Uploads.def()
    }
}

impl Related<super::notifications::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Notifications.def()
    }
}

impl Related<super::notification_settings::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::NotificationSettings.def()
    }
}

impl Related<super::push_subscriptions::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::PushSubscriptions.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
