//! By what the creator of a group knows it again.

use super::dialect;
use crate::domain::ids::{ConversationId, UserId};
use sea_orm::{ConnectionTrait, DbErr};

/// What tells a repeated creation of a group from another one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupTempId {
    /// The creator's own id of it.
    pub temp_id: String,
    /// The hash of all else that was sent, in hexadecimal.
    pub body_hash: String,
}

/// The group that the user made with this `temp_id`, if there is one, and the hash of what was sent; also one that is
/// deleted.
pub async fn by_temp_id(
    conn: &impl ConnectionTrait,
    creator: UserId,
    temp_id: &str,
) -> Result<Option<(ConversationId, String)>, DbErr> {
    let text = "SELECT id, body_hash FROM conversations WHERE created_by = $1 AND temp_id = $2";
    let row = dialect::one(conn, dialect::plain(conn, text, vec![creator.into(), temp_id.into()])).await?;
    row.map(|row| Ok((ConversationId(row.try_get("", "id")?), row.try_get("", "body_hash")?))).transpose()
}
