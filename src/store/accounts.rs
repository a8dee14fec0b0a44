//! The statements that create and change accounts. No other file reads password hashes.
//!
//! The calling function locks the row of the user before it changes an account.

use crate::domain::accounts::{AccountStatus, UserRole};
use crate::domain::ids::UserId;
use crate::domain::names::{Email, Username};
use crate::domain::search;
use crate::domain::time::Timestamp;
use crate::store::dialect;
use crate::store::users::UserRow;
use crate::store::users::words;
use entity::users::{self, ActiveModel, Entity, Model};
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryResult,
    QuerySelect,
};
use uuid::Uuid;

/// The password hash of a user, and the status that decides whether the account can be used.
#[derive(Clone, Debug)]
pub struct StoredPassword {
    pub user_id: UserId,
    /// A PHC string. `None` for users of the host application.
    pub hash: Option<String>,
    pub status: AccountStatus,
}

impl From<Model> for StoredPassword {
    fn from(model: Model) -> Self {
        Self { user_id: UserId(model.id), hash: model.password_hash, status: AccountStatus::from_stored(&model.status) }
    }
}

/// The state of an account, which decides whether the server accepts a credential of its user now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AccountState {
    pub user_id: UserId,
    pub role: UserRole,
    pub status: AccountStatus,
}

impl AccountState {
    /// Reads the columns `user_id`, `role` and `status` of a row.
    pub(super) fn from_row(row: &QueryResult) -> Result<Self, DbErr> {
        Ok(Self {
            user_id: UserId(row.try_get("", "user_id")?),
            role: UserRole::from_stored(&row.try_get::<String>("", "role")?),
            status: AccountStatus::from_stored(&row.try_get::<String>("", "status")?),
        })
    }
}

/// Returns the state of the account of a user. `None` if there is no such user.
pub async fn get_state(conn: &impl ConnectionTrait, id: UserId) -> Result<Option<AccountState>, DbErr> {
    let statement =
        dialect::plain(conn, "SELECT id AS user_id, role, status FROM users WHERE id = $1", vec![id.into()]);
    dialect::one(conn, statement).await?.as_ref().map(AccountState::from_row).transpose()
}

/// Returns the stored password of a user. `None` if there is no such user.
pub async fn get_password(conn: &impl ConnectionTrait, id: UserId) -> Result<Option<StoredPassword>, DbErr> {
    Ok(Entity::find_by_id(id.0).one(conn).await?.map(StoredPassword::from))
}

/// Returns the stored password of the user with this username, or with this e-mail address if `name` contains an `@`.
/// `None` if there is no such user.
pub async fn get_password_by_name(conn: &impl ConnectionTrait, name: &str) -> Result<Option<StoredPassword>, DbErr> {
    let name = name.trim();
    let filter = match (Email::parse(name), Username::parse(name)) {
        (Ok(email), _) => users::Column::EmailKey.eq(email.key()),
        (_, Ok(username)) => users::Column::UsernameKey.eq(username.key()),
        _ => return Ok(None),
    };
    Ok(Entity::find().filter(filter).one(conn).await?.map(StoredPassword::from))
}

/// Returns whether a user has this username. `key` is a [`Username::key`].
pub async fn is_username_taken(conn: &impl ConnectionTrait, key: &str) -> Result<bool, DbErr> {
    is_taken(conn, users::Column::UsernameKey, key, None).await
}

/// Returns whether a user other than `except` has this e-mail address. `key` is an [`Email::key`].
pub async fn is_email_taken(conn: &impl ConnectionTrait, key: &str, except: Option<UserId>) -> Result<bool, DbErr> {
    is_taken(conn, users::Column::EmailKey, key, except).await
}

async fn is_taken(
    conn: &impl ConnectionTrait,
    column: users::Column,
    key: &str,
    except: Option<UserId>,
) -> Result<bool, DbErr> {
    let query = Entity::find().select_only().column(users::Column::Id).filter(column.eq(key));
    let found: Option<Uuid> = query.into_tuple().one(conn).await?;
    Ok(found.is_some_and(|id| Some(UserId(id)) != except))
}

/// An account to store. All its values are checked.
#[derive(Clone, Debug)]
pub struct NewUser {
    pub id: UserId,
    pub username: Username,
    pub display_name: String,
    pub email: Option<Email>,
    /// A PHC string.
    pub password_hash: Option<String>,
    pub role: UserRole,
}

/// Stores an account. Fails with a violation of `username_key` or `email_key` if another user has the username or the
/// e-mail address.
pub async fn insert(conn: &impl ConnectionTrait, user: &NewUser, now: Timestamp) -> Result<UserRow, DbErr> {
    let model = ActiveModel {
        id: ActiveValue::Set(user.id.0),
        username: ActiveValue::Set(user.username.as_str().to_owned()),
        username_key: ActiveValue::Set(user.username.key()),
        display_name: ActiveValue::Set(user.display_name.clone()),
        search_text: ActiveValue::Set(search::searchable_text(user.username.as_str(), &user.display_name)),
        email: ActiveValue::Set(user.email.as_ref().map(|email| email.as_str().to_owned())),
        email_key: ActiveValue::Set(user.email.as_ref().map(Email::key)),
        password_hash: ActiveValue::Set(user.password_hash.clone()),
        avatar_url: ActiveValue::Set(None),
        locale: ActiveValue::Set(None),
        role: ActiveValue::Set(user.role.as_str().to_owned()),
        status: ActiveValue::Set(AccountStatus::Active.as_str().to_owned()),
        external_id: ActiveValue::Set(None),
        share_read_receipts: ActiveValue::Set(true),
        last_seen_at: ActiveValue::Set(None),
        last_rev: ActiveValue::Set(0),
        created_at: ActiveValue::Set(now.0),
        updated_at: ActiveValue::Set(now.0),
        deleted_at: ActiveValue::Set(None),
    };
    let stored = model.insert(conn).await?;
    words::update(conn, user.id, "", &stored.search_text).await?;
    Ok(stored.into())
}

/// The part of an account that its user may change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Profile {
    pub display_name: String,
    pub avatar_url: Option<String>,
    pub locale: Option<String>,
    pub email: Option<Email>,
    /// If false, others do not see what this user has read, and this user does not see what others have read.
    pub share_read_receipts: bool,
}

/// Updates a profile. Fails with a violation of `email_key` if another user has the e-mail address.
pub async fn update_profile(
    conn: &impl ConnectionTrait,
    user: &UserRow,
    profile: &Profile,
    now: Timestamp,
) -> Result<UserRow, DbErr> {
    let text = search::searchable_text(&user.username, &profile.display_name);
    if user.display_name != profile.display_name {
        let query = Entity::find_by_id(user.id.0).select_only().column(users::Column::SearchText);
        let before: Option<String> = query.into_tuple().one(conn).await?;
        words::update(conn, user.id, &before.unwrap_or_default(), &text).await?;
    }
    let model = ActiveModel {
        id: ActiveValue::Unchanged(user.id.0),
        display_name: ActiveValue::Set(profile.display_name.clone()),
        search_text: ActiveValue::Set(text),
        avatar_url: ActiveValue::Set(profile.avatar_url.clone()),
        locale: ActiveValue::Set(profile.locale.clone()),
        email: ActiveValue::Set(profile.email.as_ref().map(|email| email.as_str().to_owned())),
        email_key: ActiveValue::Set(profile.email.as_ref().map(Email::key)),
        share_read_receipts: ActiveValue::Set(profile.share_read_receipts),
        updated_at: ActiveValue::Set(now.0),
        ..Default::default()
    };
    Ok(Entity::update(model).exec(conn).await?.into())
}

/// Replaces the password hash of a user. `hash` is a PHC string.
pub async fn update_password(
    conn: &impl ConnectionTrait,
    id: UserId,
    hash: &str,
    now: Timestamp,
) -> Result<UserRow, DbErr> {
    let model = ActiveModel {
        id: ActiveValue::Unchanged(id.0),
        password_hash: ActiveValue::Set(Some(hash.to_owned())),
        updated_at: ActiveValue::Set(now.0),
        ..Default::default()
    };
    Ok(Entity::update(model).exec(conn).await?.into())
}

/// Updates the role of a user on the server.
pub async fn update_role(
    conn: &impl ConnectionTrait,
    id: UserId,
    role: UserRole,
    now: Timestamp,
) -> Result<UserRow, DbErr> {
    let model = ActiveModel {
        id: ActiveValue::Unchanged(id.0),
        role: ActiveValue::Set(role.as_str().to_owned()),
        updated_at: ActiveValue::Set(now.0),
        ..Default::default()
    };
    Ok(Entity::update(model).exec(conn).await?.into())
}
