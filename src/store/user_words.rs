//! The index behind the search of users. Whoever changes a user's names, or whether the account is active, changes it in
//! the same transaction: only active users are in it, so that others take no place among the candidates.

use super::dialect::{self, Column};
use crate::domain::ids::UserId;
use crate::domain::limits::SEARCH_CANDIDATES;
use crate::domain::search::{self, INDEXED_CHARS, INSIDE_CHARS, Query, Word};
use sea_orm::{ConnectionTrait, DbErr};
use uuid::Uuid;

/// Has the user found by the names folded in `after`, and no longer by those in `before`; an empty text is no name.
pub async fn change(conn: &impl ConnectionTrait, user: UserId, before: &str, after: &str) -> Result<(), DbErr> {
    let (before, after) = (search::words(before), search::words(after));
    let columns = |words: Vec<&Word>| {
        vec![
            Column::Int(words.iter().map(|word| i64::from(word.inside)).collect()),
            Column::Text(words.iter().map(|word| word.word.clone()).collect()),
            Column::Uuid(vec![user.0; words.len()]),
        ]
    };
    let gone: Vec<&Word> = before.difference(&after).collect();
    if !gone.is_empty() {
        let statement = dialect::statement(
            conn,
            "DELETE FROM user_words USING unnest($1::bigint[], $2::text[], $3::uuid[]) AS t(i, w, u)
             WHERE inside = i AND word = w AND user_id = u",
            "DELETE FROM user_words WHERE (inside, word, user_id) IN
                 (SELECT value ->> 0, value ->> 1, unhex(value ->> 2) FROM jsonb_each($1))",
            dialect::rows(conn, columns(gone)),
        );
        dialect::run(conn, statement).await?;
    }
    let new: Vec<&Word> = after.difference(&before).collect();
    if !new.is_empty() {
        let statement = dialect::statement(
            conn,
            "INSERT INTO user_words (inside, word, user_id)
             SELECT i, w, u FROM unnest($1::bigint[], $2::text[], $3::uuid[]) AS t(i, w, u) ON CONFLICT DO NOTHING",
            "INSERT INTO user_words (inside, word, user_id)
             SELECT value ->> 0, value ->> 1, unhex(value ->> 2) FROM jsonb_each($1) WHERE TRUE ON CONFLICT DO NOTHING",
            dialect::rows(conn, columns(new)),
        );
        dialect::run(conn, statement).await?;
    }
    Ok(())
}

/// Users among whom are those whom `query` finds, at most [`SEARCH_CANDIDATES`]: by the word of it that the fewest have.
pub async fn candidates(conn: &impl ConnectionTrait, query: &Query) -> Result<Vec<Uuid>, DbErr> {
    let mut longest_first: Vec<&String> = query.words().iter().collect();
    longest_first.sort_by_key(|word| std::cmp::Reverse(word.chars().count()));
    let mut fewest: Option<Vec<Uuid>> = None;
    for word in longest_first {
        let found = having(conn, word).await?;
        if fewest.as_ref().is_none_or(|fewest| found.len() < fewest.len()) {
            fewest = Some(found);
        }
        if fewest.as_ref().is_some_and(|fewest| (fewest.len() as u64) < SEARCH_CANDIDATES) {
            break;
        }
    }
    let mut users = fewest.unwrap_or_default();
    users.sort_unstable();
    users.dedup();
    Ok(users)
}

/// Users in whom a word begins with `word`, then those who have it inside of one; the shortest words first.
async fn having(conn: &impl ConnectionTrait, word: &str) -> Result<Vec<Uuid>, DbErr> {
    let from: String = word.chars().take(INDEXED_CHARS).collect();
    // the greatest character stands behind everything that begins with the word
    let upto = format!("{from}{}", char::MAX);
    let places = if word.chars().count() >= INSIDE_CHARS { 2 } else { 1 };
    let mut users = Vec::new();
    for inside in 0..places {
        let left = SEARCH_CANDIDATES.saturating_sub(users.len() as u64);
        if left == 0 {
            break;
        }
        let statement = dialect::plain(
            conn,
            "SELECT user_id FROM user_words WHERE inside = $1 AND word >= $2 AND word < $3
             ORDER BY word, user_id LIMIT $4",
            vec![inside.into(), from.as_str().into(), upto.as_str().into(), (left as i64).into()],
        );
        for row in dialect::all(conn, statement).await? {
            users.push(row.try_get("", "user_id")?);
        }
    }
    Ok(users)
}
