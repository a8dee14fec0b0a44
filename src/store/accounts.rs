//! Accounts as they are made and changed, and the hash of their passwords, which is read here and nowhere else. Whoever
//! changes one has locked the user's row.

use super::user_words;
use super::users::{Status, UserRow};
use crate::domain::ids::UserId;
use crate::domain::names::{Email, Username};
use crate::domain::search;
use crate::domain::time::Timestamp;
use crate::protocol::resources::UserRole;
use entity::users::{self, ActiveModel, Entity, Model};
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QuerySelect,
};
use uuid::Uuid;

/// What a password is checked against.
#[derive(Clone, Debug)]
pub struct Secret {
    /// Whose it is.
    pub user_id: UserId,
    /// Its hash, as a PHC string; none for users of the host application.
    pub hash: Option<String>,
    /// Whether the account can be used.
    pub status: Status,
}

impl From<Model> for Secret {
    fn from(model: Model) -> Self {
        Self { user_id: UserId(model.id), hash: model.password_hash, status: Status::from_stored(&model.status) }
    }
}

/// The secret of a user.
pub async fn secret_of(conn: &impl ConnectionTrait, id: UserId) -> Result<Option<Secret>, DbErr> {
    Ok(Entity::find_by_id(id.0).one(conn).await?.map(Secret::from))
}

/// The secret of the user whose username or, with an `@` in it, e-mail address `login` is.
pub async fn secret_by_login(conn: &impl ConnectionTrait, login: &str) -> Result<Option<Secret>, DbErr> {
    let login = login.trim();
    let filter = match (Email::parse(login), Username::parse(login)) {
        (Ok(email), _) => users::Column::EmailKey.eq(email.key()),
        (_, Ok(username)) => users::Column::UsernameKey.eq(username.key()),
        _ => return Ok(None),
    };
    Ok(Entity::find().filter(filter).one(conn).await?.map(Secret::from))
}

/// Whether somebody has this username.
pub async fn has_username(conn: &impl ConnectionTrait, key: &str) -> Result<bool, DbErr> {
    exists(conn, users::Column::UsernameKey, key, None).await
}

/// Whether somebody but `owner` has this e-mail address.
pub async fn has_email(conn: &impl ConnectionTrait, key: &str, owner: Option<UserId>) -> Result<bool, DbErr> {
    exists(conn, users::Column::EmailKey, key, owner).await
}

async fn exists(
    conn: &impl ConnectionTrait,
    column: users::Column,
    key: &str,
    except: Option<UserId>,
) -> Result<bool, DbErr> {
    let query = Entity::find().select_only().column(users::Column::Id).filter(column.eq(key));
    let found: Option<Uuid> = query.into_tuple().one(conn).await?;
    Ok(found.is_some_and(|id| Some(UserId(id)) != except))
}

/// An account about to be stored, checked.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// Its id.
    pub id: UserId,
    /// Its unique name.
    pub username: Username,
    /// The name it shows.
    pub display_name: String,
    /// Its address.
    pub email: Option<Email>,
    /// The hash of its password, as a PHC string.
    pub password_hash: Option<String>,
    /// User or admin.
    pub role: UserRole,
}

/// Stores an account. A name or address that somebody has is a violation of `username_key` or `email_key`.
pub async fn insert(conn: &impl ConnectionTrait, user: &NewUser, now: Timestamp) -> Result<UserRow, DbErr> {
    let model = ActiveModel {
        id: ActiveValue::Set(user.id.0),
        username: ActiveValue::Set(user.username.as_str().to_owned()),
        username_key: ActiveValue::Set(user.username.key()),
        display_name: ActiveValue::Set(user.display_name.clone()),
        search_text: ActiveValue::Set(search::text_of(user.username.as_str(), &user.display_name)),
        email: ActiveValue::Set(user.email.as_ref().map(|email| email.as_str().to_owned())),
        email_key: ActiveValue::Set(user.email.as_ref().map(Email::key)),
        password_hash: ActiveValue::Set(user.password_hash.clone()),
        avatar_url: ActiveValue::Set(None),
        locale: ActiveValue::Set(None),
        role: ActiveValue::Set(user.role.as_str().to_owned()),
        status: ActiveValue::Set(Status::Active.as_str().to_owned()),
        external_id: ActiveValue::Set(None),
        share_read_receipts: ActiveValue::Set(true),
        last_seen_at: ActiveValue::Set(None),
        last_rev: ActiveValue::Set(0),
        created_at: ActiveValue::Set(now.0),
        updated_at: ActiveValue::Set(now.0),
        deleted_at: ActiveValue::Set(None),
    };
    let stored = model.insert(conn).await?;
    user_words::change(conn, user.id, "", &stored.search_text).await?;
    Ok(stored.into())
}

/// What an account's owner may change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Profile {
    /// The name it shows.
    pub display_name: String,
    /// Its picture.
    pub avatar_url: Option<String>,
    /// The language.
    pub locale: Option<String>,
    /// The address.
    pub email: Option<Email>,
    /// Whether others see its reads, and it theirs.
    pub share_read_receipts: bool,
}

/// Writes a profile. An address that somebody has is a violation of `email_key`.
pub async fn set_profile(
    conn: &impl ConnectionTrait,
    user: &UserRow,
    profile: &Profile,
    now: Timestamp,
) -> Result<UserRow, DbErr> {
    let text = search::text_of(&user.username, &profile.display_name);
    if user.display_name != profile.display_name {
        let query = Entity::find_by_id(user.id.0).select_only().column(users::Column::SearchText);
        let before: Option<String> = query.into_tuple().one(conn).await?;
        user_words::change(conn, user.id, &before.unwrap_or_default(), &text).await?;
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

/// Writes the hash of a new password.
pub async fn set_password(
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

/// Writes a user's part in the server.
pub async fn set_role(
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
