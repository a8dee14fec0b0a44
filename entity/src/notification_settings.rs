//! The table of notification settings of users.

use sea_orm::entity::prelude::*;

/// The notification settings of one user. A user without a row has the defaults.
#[allow(clippy::struct_excessive_bools)] // the four switches are independent of one another
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "notification_settings")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Uuid,
    pub push: bool,
    pub mentions: bool,
    pub direct: bool,
    /// For messages in groups and classes.
    pub groups: bool,
    /// In minutes after midnight in `quiet_tz`. `quiet_from`, `quiet_to` and `quiet_tz` are set together.
    pub quiet_from: Option<i16>,
    /// In minutes after midnight in `quiet_tz`.
    pub quiet_to: Option<i16>,
    /// The IANA name of a time zone.
    pub quiet_tz: Option<String>,
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
}

impl Related<super::users::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::User.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
