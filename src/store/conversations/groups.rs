//! The statement that finds a group by the id that its creator sent with the request, so that a repeated request
//! creates no second group.

use crate::domain::content::TempId;
use crate::domain::ids::{ConversationId, UserId};
use crate::store::dialect;
use sea_orm::{ConnectionTrait, DbErr};

/// Identifies the request that created a group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupTempId {
    /// The id that the creator chose.
    pub temp_id: TempId,
    /// The hash of the rest of the request, in hexadecimal. Another hash means that the creator used the
    /// id for two different requests.
    pub body_hash: String,
}

/// Returns the group that the user created with this `temp_id`, and the hash of that request. Includes deleted groups.
pub async fn get_by_temp_id(
    conn: &impl ConnectionTrait,
    creator: UserId,
    temp_id: &TempId,
) -> Result<Option<(ConversationId, String)>, DbErr> {
    let text = "SELECT id, body_hash FROM conversations WHERE created_by = $1 AND temp_id = $2";
    let row = dialect::one(conn, dialect::plain(conn, text, vec![creator.into(), temp_id.as_str().into()])).await?;
    row.map(|row| Ok((ConversationId(row.try_get("", "id")?), row.try_get("", "body_hash")?))).transpose()
}
