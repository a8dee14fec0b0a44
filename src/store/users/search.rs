//! The statements of the search for users.

use super::{UserRow, words};
use crate::domain::search::UserQuery;
use crate::store::dialect;
use entity::users::Model;
use sea_orm::{ConnectionTrait, DbErr, FromQueryResult};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use uuid::Uuid;

/// The rank and username of the last user on a page of search results. The next page begins after it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct SearchCursor {
    /// How well the user matches the query; 0 is the best.
    pub rank: i64,
    /// The username in its unique form.
    pub key: String,
}

/// Returns at most `limit` active users after `after` whose names match `query`. The best matches are first; users with
/// equal rank are in the order of their usernames. Only the users whom [`words::candidates`] returns are compared.
pub async fn search(
    conn: &impl ConnectionTrait,
    query: &UserQuery,
    after: Option<&SearchCursor>,
    limit: u64,
) -> Result<Vec<(SearchCursor, UserRow)>, DbErr> {
    let candidates = words::candidates(conn, query).await?;
    let text = "SELECT id, username_key, search_text FROM users WHERE id IN ({set}) AND status = 'active'";
    let mut found = Vec::new();
    for row in dialect::all(conn, dialect::over_ids(conn, text, &candidates, vec![])).await? {
        let names: String = row.try_get("", "search_text")?;
        if let Some(rank) = query.rate(&names) {
            let cursor = SearchCursor { rank: rank as i64, key: row.try_get("", "username_key")? };
            let id: Uuid = row.try_get("", "id")?;
            found.push((cursor, id));
        }
    }
    found.retain(|(cursor, _)| after.is_none_or(|after| cursor > after));
    found.sort();
    found.truncate(limit as usize);
    let ids: Vec<Uuid> = found.iter().map(|(_, id)| *id).collect();
    let rows =
        dialect::all(conn, dialect::over_ids(conn, "SELECT * FROM users WHERE id IN ({set})", &ids, vec![])).await?;
    let rows: Result<HashMap<Uuid, Model>, DbErr> =
        rows.iter().map(|row| Model::from_query_result(row, "").map(|model| (model.id, model))).collect();
    let mut rows = rows?;
    Ok(found.into_iter().filter_map(|(cursor, id)| Some((cursor, UserRow::from(rows.remove(&id)?)))).collect())
}
