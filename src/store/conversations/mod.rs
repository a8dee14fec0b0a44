//! The statements that create, change and delete conversations. What participants see of them is read in [`views`].

pub mod groups;
pub mod unread;
pub mod views;

use crate::domain::ids::{ConversationId, UserId};
use crate::domain::roles::ConversationKind;
use crate::domain::time::Timestamp;
use crate::store::conversations::groups::GroupTempId;
use crate::store::dialect;
use ::entity::conversations::ActiveModel;
use sea_orm::{ActiveValue::Set, ConnectionTrait, DbErr, EntityTrait};
use uuid::Uuid;

/// A conversation to insert.
#[derive(Clone, Debug)]
pub struct NewConversationRow {
    pub id: ConversationId,
    pub kind: ConversationKind,
    /// `None` for a direct conversation.
    pub name: Option<String>,
    pub description: Option<String>,
    pub avatar_url: Option<String>,
    /// The two users of a direct conversation, the smaller id first.
    pub direct: Option<(UserId, UserId)>,
    pub created_by: UserId,
    /// Identifies a repeated creation of a group. `None` for other conversations.
    pub temp_id: Option<GroupTempId>,
    pub created_at: Timestamp,
}

/// Inserts a conversation without messages or participants.
pub async fn insert(conn: &impl ConnectionTrait, new: &NewConversationRow) -> Result<(), DbErr> {
    let row = ActiveModel {
        id: Set(new.id.0),
        kind: Set(new.kind.as_str().to_owned()),
        name: Set(new.name.clone()),
        description: Set(new.description.clone()),
        avatar_url: Set(new.avatar_url.clone()),
        direct_low: Set(new.direct.map(|(low, _)| low.0)),
        direct_high: Set(new.direct.map(|(_, high)| high.0)),
        created_by: Set(Some(new.created_by.0)),
        created_at: Set(new.created_at.0),
        updated_at: Set(new.created_at.0),
        temp_id: Set(new.temp_id.as_ref().map(|group| group.temp_id.as_str().to_owned())),
        body_hash: Set(new.temp_id.as_ref().map(|group| group.body_hash.clone())),
        ..ActiveModel::default()
    };
    ::entity::conversations::Entity::insert(row).exec_without_returning(conn).await?;
    Ok(())
}

/// Marks a conversation as deleted. This happens when the last participant has left.
pub async fn delete(conn: &impl ConnectionTrait, id: ConversationId, at: Timestamp) -> Result<(), DbErr> {
    let statement =
        dialect::plain(conn, "UPDATE conversations SET deleted_at = $2 WHERE id = $1", vec![id.into(), at.into()]);
    dialect::run(conn, statement).await?;
    Ok(())
}

/// Returns two users in the order in which the row of their direct conversation stores them: the smaller id first.
pub fn ordered_pair(first: UserId, second: UserId) -> (UserId, UserId) {
    if first <= second { (first, second) } else { (second, first) }
}

/// Returns the direct conversation of two users. `None` if there is none.
pub async fn get_direct_id(
    conn: &impl ConnectionTrait,
    first: UserId,
    second: UserId,
) -> Result<Option<ConversationId>, DbErr> {
    let (low, high) = ordered_pair(first, second);
    let statement = dialect::plain(
        conn,
        "SELECT id FROM conversations WHERE direct_low = $1 AND direct_high = $2 AND deleted_at IS NULL",
        vec![low.into(), high.into()],
    );
    dialect::one(conn, statement).await?.map(|row| Ok(ConversationId(row.try_get("", "id")?))).transpose()
}

/// The name, the description and the avatar of a conversation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConversationDetails {
    pub name: Option<String>,
    pub description: Option<String>,
    pub avatar_url: Option<String>,
}

/// Returns the details of a conversation. Fails if it does not exist.
pub async fn get_details(conn: &impl ConnectionTrait, id: ConversationId) -> Result<ConversationDetails, DbErr> {
    let text = "SELECT name, description, avatar_url FROM conversations WHERE id = $1";
    let row = dialect::one(conn, dialect::plain(conn, text, vec![id.into()])).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("a locked conversation".to_owned()))?;
    Ok(ConversationDetails {
        name: row.try_get("", "name")?,
        description: row.try_get("", "description")?,
        avatar_url: row.try_get("", "avatar_url")?,
    })
}

/// Replaces the details of a conversation. `at` becomes the time of its last update.
pub async fn update_details(
    conn: &impl ConnectionTrait,
    id: ConversationId,
    details: &ConversationDetails,
    at: Timestamp,
) -> Result<(), DbErr> {
    let text = "UPDATE conversations SET name = $2, description = $3, avatar_url = $4, updated_at = $5 WHERE id = $1";
    let ConversationDetails { name, description, avatar_url } = details.clone();
    let values = vec![id.into(), name.into(), description.into(), avatar_url.into(), at.into()];
    dialect::run(conn, dialect::plain(conn, text, values)).await?;
    Ok(())
}

/// Returns those of `ids` that exist and are not deleted, also those whose row is locked.
pub async fn list_existing(conn: &impl ConnectionTrait, ids: &[ConversationId]) -> Result<Vec<ConversationId>, DbErr> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let text = "SELECT id FROM conversations WHERE id IN ({set}) AND deleted_at IS NULL";
    let rows = dialect::all(conn, dialect::over_ids(conn, text, &ids, vec![])).await?;
    rows.iter().map(|row| Ok(ConversationId(row.try_get("", "id")?))).collect()
}
