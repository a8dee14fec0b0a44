//! The statements that read users by id or reference, and which users may see the presence of which. The statements
//! that change accounts are in [`crate::store::accounts`].

mod search;
pub mod words;

pub use search::{SearchCursor, search};

use crate::domain::accounts::{AccountStatus, UserRole};
use crate::domain::ids::{Rev, UserId};
use crate::domain::names::UserRef;
use crate::domain::time::Timestamp;
use crate::protocol::users::UserBrief;
use crate::store::dialect::{self, Column};
use entity::users::{self, Entity, Model};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QueryResult,
};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// An account as stored, without its password.
#[derive(Clone, PartialEq, Debug)]
pub struct UserRow {
    pub id: UserId,
    /// The username as the user wrote it, not in its unique form.
    pub username: String,
    pub display_name: String,
    pub avatar_url: Option<String>,
    /// The address as the user wrote it, not in its unique form.
    pub email: Option<String>,
    pub locale: Option<String>,
    pub role: UserRole,
    pub status: AccountStatus,
    /// The id of the user in the host application.
    pub external_id: Option<String>,
    /// Whether the user and the others see each other's read marks.
    pub share_read_receipts: bool,
    /// The time when the user was last online.
    pub last_seen_at: Option<Timestamp>,
    /// The newest revision of the user's stream.
    pub last_rev: Rev,
    pub created_at: Timestamp,
}

impl UserRow {
    /// Returns the part of the profile that messages and lists contain.
    pub fn brief(&self) -> UserBrief {
        UserBrief {
            id: self.id,
            username: self.username.clone(),
            display_name: self.display_name.clone(),
            avatar_url: self.avatar_url.clone(),
        }
    }
}

impl From<Model> for UserRow {
    fn from(model: Model) -> Self {
        Self {
            id: UserId(model.id),
            username: model.username,
            display_name: model.display_name,
            avatar_url: model.avatar_url,
            email: model.email,
            locale: model.locale,
            role: UserRole::from_stored(&model.role),
            status: AccountStatus::from_stored(&model.status),
            external_id: model.external_id,
            share_read_receipts: model.share_read_receipts,
            last_seen_at: model.last_seen_at.map(Timestamp),
            last_rev: Rev(model.last_rev),
            created_at: Timestamp(model.created_at),
        }
    }
}

/// Returns the user with this id, in any status.
pub async fn by_id(conn: &impl ConnectionTrait, id: UserId) -> Result<Option<UserRow>, DbErr> {
    Ok(Entity::find_by_id(id.0).one(conn).await?.map(UserRow::from))
}

/// Returns the user with this reference, in any status.
pub async fn by_ref(conn: &impl ConnectionTrait, reference: &UserRef) -> Result<Option<UserRow>, DbErr> {
    let query = match reference {
        UserRef::Id(id) => Entity::find_by_id(id.0),
        UserRef::Username(key) => Entity::find().filter(users::Column::UsernameKey.eq(key)),
        UserRef::External(id) => Entity::find().filter(users::Column::ExternalId.eq(id)),
    };
    Ok(query.one(conn).await?.map(UserRow::from))
}

/// Returns one item for each reference, in the same order: the user in any status, or `None` if there is no such user.
pub async fn by_refs(conn: &impl ConnectionTrait, references: &[UserRef]) -> Result<Vec<Option<UserRow>>, DbErr> {
    find_each(conn, "*", references, |row| Ok(UserRow::from(Model::from_query_result(row, "")?))).await
}

/// Like [`by_refs`], but returns only the ids, because there may be a thousand references.
pub async fn ids_by_refs(conn: &impl ConnectionTrait, references: &[UserRef]) -> Result<Vec<Option<UserId>>, DbErr> {
    find_each(conn, "id, username_key, external_id", references, |row| Ok(UserId(row.try_get("", "id")?))).await
}

/// Selects `columns` of the users with these references and converts each row with `read`. The result has one item for
/// each reference, in the same order.
async fn find_each<T: Clone>(
    conn: &impl ConnectionTrait,
    columns: &str,
    references: &[UserRef],
    read: impl Fn(&QueryResult) -> Result<T, DbErr>,
) -> Result<Vec<Option<T>>, DbErr> {
    let mut ids = Vec::new();
    let mut keys = Vec::new();
    let mut externals = Vec::new();
    for reference in references {
        match reference {
            UserRef::Id(id) => ids.push(id.0),
            UserRef::Username(key) => keys.push(key.clone()),
            UserRef::External(id) => externals.push(id.clone()),
        }
    }
    let mut found = HashMap::new();
    if !ids.is_empty() {
        let text = format!("SELECT {columns} FROM users WHERE id IN ({{set}})");
        for row in dialect::all(conn, dialect::over_ids(conn, &text, &ids, vec![])).await? {
            found.insert(UserRef::Id(UserId(row.try_get("", "id")?)), read(&row)?);
        }
    }
    for row in rows_by_text(conn, columns, "username_key", keys).await? {
        found.insert(UserRef::Username(row.try_get("", "username_key")?), read(&row)?);
    }
    for row in rows_by_text(conn, columns, "external_id", externals).await? {
        found.insert(UserRef::External(row.try_get("", "external_id")?), read(&row)?);
    }
    Ok(references.iter().map(|reference| found.get(reference).cloned()).collect())
}

/// Selects `columns` of the users whose text in `column` is one of `texts`.
async fn rows_by_text(
    conn: &impl ConnectionTrait,
    columns: &str,
    column: &str,
    texts: Vec<String>,
) -> Result<Vec<QueryResult>, DbErr> {
    if texts.is_empty() {
        return Ok(Vec::new());
    }
    let statement = dialect::statement(
        conn,
        &format!("SELECT {columns} FROM users WHERE {column} IN (SELECT unnest($1::text[]))"),
        &format!("SELECT {columns} FROM users WHERE {column} IN (SELECT value ->> 0 FROM jsonb_each($1))"),
        dialect::rows(conn, vec![Column::Text(texts)]),
    );
    dialect::all(conn, statement).await
}

/// Returns the short profiles of those of `ids` that exist, in any status.
pub async fn briefs(conn: &impl ConnectionTrait, ids: &[UserId]) -> Result<HashMap<UserId, UserBrief>, DbErr> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let text = "SELECT id, username, display_name, avatar_url FROM users WHERE id IN ({set})";
    let rows = dialect::all(conn, dialect::over_ids(conn, text, &ids, vec![])).await?;
    rows.iter().map(|row| brief(row).map(|brief| (brief.id, brief))).collect()
}

fn brief(row: &QueryResult) -> Result<UserBrief, DbErr> {
    Ok(UserBrief {
        id: UserId(row.try_get("", "id")?),
        username: row.try_get("", "username")?,
        display_name: row.try_get("", "display_name")?,
        avatar_url: row.try_get("", "avatar_url")?,
    })
}

/// Returns those of `ids` whose presence `viewer` may see: the viewer themself, and users who are in a conversation
/// with the viewer and have no block with the viewer. Deleted users are left out.
pub async fn visible_to(conn: &impl ConnectionTrait, viewer: UserId, ids: &[UserId]) -> Result<HashSet<UserId>, DbErr> {
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let text = "SELECT u.id AS id FROM users u WHERE u.id IN ({set}) AND u.status <> 'deleted' AND (u.id = $2 OR (
             EXISTS (SELECT 1 FROM participants theirs
                     JOIN participants mine ON mine.conversation_id = theirs.conversation_id
                     JOIN conversations c ON c.id = theirs.conversation_id
                     WHERE theirs.user_id = u.id AND theirs.left_at IS NULL
                           AND mine.user_id = $2 AND mine.left_at IS NULL AND c.deleted_at IS NULL)
             AND NOT EXISTS (SELECT 1 FROM blocks b
                             WHERE (b.blocker_id = u.id AND b.blocked_id = $2)
                                OR (b.blocker_id = $2 AND b.blocked_id = u.id))))";
    let rows = dialect::all(conn, dialect::over_ids(conn, text, &ids, vec![viewer.into()])).await?;
    rows.iter().map(|row| Ok(UserId(row.try_get("", "id")?))).collect()
}

/// Returns those of these pairs in which the first user may see the presence of the second, by the rules of
/// [`visible_to`].
pub async fn visible_pairs(
    conn: &impl ConnectionTrait,
    pairs: &[(UserId, UserId)],
) -> Result<HashSet<(UserId, UserId)>, DbErr> {
    if pairs.is_empty() {
        return Ok(HashSet::new());
    }
    let columns = vec![
        Column::Uuid(pairs.iter().map(|(one, _)| one.0).collect()),
        Column::Uuid(pairs.iter().map(|(_, other)| other.0).collect()),
    ];
    let see = |one: &str| {
        format!(
            "u.id = {one} OR (
             EXISTS (SELECT 1 FROM participants theirs
                     JOIN participants mine ON mine.conversation_id = theirs.conversation_id
                     JOIN conversations c ON c.id = theirs.conversation_id
                     WHERE theirs.user_id = u.id AND theirs.left_at IS NULL
                           AND mine.user_id = {one} AND mine.left_at IS NULL AND c.deleted_at IS NULL)
             AND NOT EXISTS (SELECT 1 FROM blocks b
                             WHERE (b.blocker_id = u.id AND b.blocked_id = {one})
                                OR (b.blocker_id = {one} AND b.blocked_id = u.id)))"
        )
    };
    let postgres = format!(
        "SELECT t.one AS one, u.id AS other FROM unnest($1::uuid[], $2::uuid[]) AS t (one, other)
         JOIN users u ON u.id = t.other AND u.status <> 'deleted' WHERE {}",
        see("t.one")
    );
    let sqlite = format!(
        "SELECT unhex(t.value ->> 0) AS one, u.id AS other FROM jsonb_each($1) AS t
         CROSS JOIN users u ON u.id = unhex(t.value ->> 1) AND u.status <> 'deleted' WHERE {}",
        see("unhex(t.value ->> 0)")
    );
    let statement = dialect::statement(conn, &postgres, &sqlite, dialect::rows(conn, columns));
    let rows = dialect::all(conn, statement).await?;
    rows.iter().map(|row| Ok((UserId(row.try_get("", "one")?), UserId(row.try_get("", "other")?)))).collect()
}

/// Returns true if both users are in one conversation.
pub async fn have_common_conversation(conn: &impl ConnectionTrait, one: UserId, other: UserId) -> Result<bool, DbErr> {
    let statement = dialect::plain(
        conn,
        "SELECT 1 AS found FROM participants mine
         JOIN participants theirs ON theirs.conversation_id = mine.conversation_id AND theirs.user_id = $2
         JOIN conversations c ON c.id = mine.conversation_id
         WHERE mine.user_id = $1 AND mine.left_at IS NULL AND theirs.left_at IS NULL AND c.deleted_at IS NULL LIMIT 1",
        vec![one.into(), other.into()],
    );
    Ok(dialect::one(conn, statement).await?.is_some())
}

/// Returns all users who are not deleted, in the order of their usernames.
pub async fn all(conn: &impl ConnectionTrait) -> Result<Vec<UserRow>, DbErr> {
    let query = Entity::find()
        .filter(users::Column::Status.ne(AccountStatus::Deleted.as_str()))
        .order_by_asc(users::Column::UsernameKey);
    Ok(query.all(conn).await?.into_iter().map(UserRow::from).collect())
}
