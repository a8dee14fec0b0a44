//! Users as they are stored, and how they are found. What changes an account, and the hash of its password, is in
//! [`super::accounts`].

use super::dialect::{self, Column};
use super::user_words;
use crate::domain::ids::{Rev, UserId};
use crate::domain::names::UserRef;
use crate::domain::search::Query;
use crate::domain::time::Timestamp;
use crate::protocol::events::PublicUser;
use crate::protocol::resources::{Me, PresenceStatus, User, UserBrief, UserRole};
use entity::users::{self, Entity, Model};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QueryResult,
};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Whether an account can be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// It can.
    Active,
    /// An admin has stopped it for now.
    Suspended,
    /// It is erased for good.
    Deleted,
}

impl Status {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
        }
    }

    /// From the stored form; what is unknown can not be used.
    pub fn from_stored(text: &str) -> Self {
        match text {
            "active" => Self::Active,
            "suspended" => Self::Suspended,
            _ => Self::Deleted,
        }
    }
}

/// An account without its password.
#[derive(Clone, PartialEq, Debug)]
pub struct UserRow {
    /// Its id.
    pub id: UserId,
    /// As its owner wrote it.
    pub username: String,
    /// The name it shows.
    pub display_name: String,
    /// Its picture.
    pub avatar_url: Option<String>,
    /// As its owner wrote it.
    pub email: Option<String>,
    /// The language.
    pub locale: Option<String>,
    /// User or admin.
    pub role: UserRole,
    /// Whether it can be used.
    pub status: Status,
    /// The host application's id of it.
    pub external_id: Option<String>,
    /// Whether others see its reads, and it theirs.
    pub share_read_receipts: bool,
    /// When its owner was last there.
    pub last_seen_at: Option<Timestamp>,
    /// The newest revision of its stream.
    pub last_rev: Rev,
    /// When it was made.
    pub created_at: Timestamp,
}

impl UserRow {
    /// As others see it beside a message.
    pub fn brief(&self) -> UserBrief {
        UserBrief {
            id: self.id,
            username: self.username.clone(),
            display_name: self.display_name.clone(),
            avatar_url: self.avatar_url.clone(),
        }
    }

    /// As others see it who may see its presence.
    pub fn to_user(&self, presence: PresenceStatus) -> User {
        User {
            brief: self.brief(),
            external_id: self.external_id.clone(),
            role: self.role,
            presence,
            last_seen_at: self.last_seen_at,
            created_at: self.created_at,
        }
    }

    /// As others see it from whom its presence is hidden: offline, and never seen.
    pub fn to_stranger(&self) -> User {
        User { last_seen_at: None, ..self.to_user(PresenceStatus::Offline) }
    }

    /// As its owner sees it.
    pub fn to_me(&self, presence: PresenceStatus) -> Me {
        Me {
            user: self.to_user(presence),
            email: self.email.clone(),
            locale: self.locale.clone(),
            status: self.status.as_str().to_owned(),
            share_read_receipts: self.share_read_receipts,
        }
    }

    /// As events carry it.
    pub fn to_public(&self) -> PublicUser {
        PublicUser {
            brief: self.brief(),
            external_id: self.external_id.clone(),
            role: self.role,
            created_at: self.created_at,
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
            status: Status::from_stored(&model.status),
            external_id: model.external_id,
            share_read_receipts: model.share_read_receipts,
            last_seen_at: model.last_seen_at.map(Timestamp),
            last_rev: Rev(model.last_rev),
            created_at: Timestamp(model.created_at),
        }
    }
}

/// The account of `id`, whatever its status.
pub async fn by_id(conn: &impl ConnectionTrait, id: UserId) -> Result<Option<UserRow>, DbErr> {
    Ok(Entity::find_by_id(id.0).one(conn).await?.map(UserRow::from))
}

/// The account that `reference` names, whatever its status.
pub async fn by_ref(conn: &impl ConnectionTrait, reference: &UserRef) -> Result<Option<UserRow>, DbErr> {
    let query = match reference {
        UserRef::Id(id) => Entity::find_by_id(id.0),
        UserRef::Username(key) => Entity::find().filter(users::Column::UsernameKey.eq(key)),
        UserRef::External(id) => Entity::find().filter(users::Column::ExternalId.eq(id)),
    };
    Ok(query.one(conn).await?.map(UserRow::from))
}

/// The accounts that `references` name, each at its reference's place, whatever their status.
pub async fn by_refs(conn: &impl ConnectionTrait, references: &[UserRef]) -> Result<Vec<Option<UserRow>>, DbErr> {
    found(conn, "*", references, |row| Ok(UserRow::from(Model::from_query_result(row, "")?))).await
}

/// [`by_refs`] where only the ids are asked for: a thousand may be named.
pub async fn ids_by_refs(conn: &impl ConnectionTrait, references: &[UserRef]) -> Result<Vec<Option<UserId>>, DbErr> {
    found(conn, "id, username_key, external_id", references, |row| Ok(UserId(row.try_get("", "id")?))).await
}

/// What `read` makes of the row of each user whom `references` name.
async fn found<T: Clone>(
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
    for row in named(conn, columns, "username_key", keys).await? {
        found.insert(UserRef::Username(row.try_get("", "username_key")?), read(&row)?);
    }
    for row in named(conn, columns, "external_id", externals).await? {
        found.insert(UserRef::External(row.try_get("", "external_id")?), read(&row)?);
    }
    Ok(references.iter().map(|reference| found.get(reference).cloned()).collect())
}

async fn named(
    conn: &impl ConnectionTrait,
    columns: &str,
    column: &str,
    names: Vec<String>,
) -> Result<Vec<QueryResult>, DbErr> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let statement = dialect::statement(
        conn,
        &format!("SELECT {columns} FROM users WHERE {column} IN (SELECT unnest($1::text[]))"),
        &format!("SELECT {columns} FROM users WHERE {column} IN (SELECT value ->> 0 FROM jsonb_each($1))"),
        dialect::rows(conn, vec![Column::Text(names)]),
    );
    dialect::all(conn, statement).await
}

/// How others see those of `ids` that exist, whatever their status.
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

/// Those of `ids` whose presence `viewer` may see: oneself, and whom one shares a conversation with and has no block with.
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

/// Those of the pairs who may see each other's presence, as [`visible_to`] says; none with a deleted second.
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

/// Whether two users share a conversation.
pub async fn meet(conn: &impl ConnectionTrait, one: UserId, other: UserId) -> Result<bool, DbErr> {
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

/// Every account that is not deleted, by username.
pub async fn all(conn: &impl ConnectionTrait) -> Result<Vec<UserRow>, DbErr> {
    let query = Entity::find()
        .filter(users::Column::Status.ne(Status::Deleted.as_str()))
        .order_by_asc(users::Column::UsernameKey);
    Ok(query.all(conn).await?.into_iter().map(UserRow::from).collect())
}

/// Where a page of a search goes on: after this rank (how well it matches, 0 best) and unique username.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct SearchPlace {
    /// The rank.
    pub rank: i64,
    /// The username in its unique form.
    pub key: String,
}

/// Active users whose names match `query`, the best matches first, then by username; at most `limit`, after `after`. Of
/// those that the index finds [`limits::SEARCH_CANDIDATES`] are looked at, the shortest words first.
pub async fn search(
    conn: &impl ConnectionTrait,
    query: &Query,
    after: Option<&SearchPlace>,
    limit: u64,
) -> Result<Vec<(SearchPlace, UserRow)>, DbErr> {
    let candidates = user_words::candidates(conn, query).await?;
    let text = "SELECT id, username_key, search_text FROM users WHERE id IN ({set}) AND status = 'active'";
    let mut found = Vec::new();
    for row in dialect::all(conn, dialect::over_ids(conn, text, &candidates, vec![])).await? {
        let names: String = row.try_get("", "search_text")?;
        if let Some(how) = query.matches(&names) {
            let place = SearchPlace { rank: how as i64, key: row.try_get("", "username_key")? };
            let id: Uuid = row.try_get("", "id")?;
            found.push((place, id));
        }
    }
    found.retain(|(place, _)| after.is_none_or(|after| place > after));
    found.sort();
    found.truncate(limit as usize);
    let ids: Vec<Uuid> = found.iter().map(|(_, id)| *id).collect();
    let rows =
        dialect::all(conn, dialect::over_ids(conn, "SELECT * FROM users WHERE id IN ({set})", &ids, vec![])).await?;
    let rows: Result<HashMap<Uuid, Model>, DbErr> =
        rows.iter().map(|row| Model::from_query_result(row, "").map(|model| (model.id, model))).collect();
    let mut rows = rows?;
    Ok(found.into_iter().filter_map(|(place, id)| Some((place, UserRow::from(rows.remove(&id)?)))).collect())
}
