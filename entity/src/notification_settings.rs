//! How each user wants to be notified.

use sea_orm::entity::prelude::*;

/// One user's notification settings; the defaults hold where there is no row.
#[allow(clippy::struct_excessive_bools)] // four switches that have nothing to do with one another
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "notification_settings")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Uuid,
    pub push: bool,
    pub mentions: bool,
    pub direct: bool,
    /// Groups and classes.
    pub groups: bool,
    /// Minutes after midnight in `quiet_tz`; the three are set together.
    pub quiet_from: Option<i16>,
    /// Minutes after midnight in `quiet_tz`.
    pub quiet_to: Option<i16>,
    /// IANA name of a time zone.
    pub quiet_tz: Option<String>,
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
}

impl Related<super::users::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::User.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
