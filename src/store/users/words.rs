//! The statements of the index for the search of users. A transaction that changes a user's names, or makes an account
//! active or inactive, must update the index too. Only active users are in the index, so that others are never among
//! the candidates.

use crate::domain::ids::UserId;
use crate::domain::limits::SEARCH_CANDIDATES;
use crate::domain::search::{self, INDEXED_CHARS, INSIDE_CHARS, IndexedWord, UserQuery};
use crate::store::dialect::{self, Column};
use sea_orm::{ConnectionTrait, DbErr};
use uuid::Uuid;

/// Replaces the words of `before` by the words of `after` in the index. Both are search texts: the folded names of the
/// user. An empty text has no words.
pub async fn update(conn: &impl ConnectionTrait, user: UserId, before: &str, after: &str) -> Result<(), DbErr> {
    let (before, after) = (search::indexed_words(before), search::indexed_words(after));
    let columns = |words: Vec<&IndexedWord>| {
        vec![
            Column::Int(words.iter().map(|word| i64::from(word.inside)).collect()),
            Column::Text(words.iter().map(|word| word.word.clone()).collect()),
            Column::Uuid(vec![user.0; words.len()]),
        ]
    };
    let removed: Vec<&IndexedWord> = before.difference(&after).collect();
    if !removed.is_empty() {
        let statement = dialect::statement(
            conn,
            "DELETE FROM user_words USING unnest($1::bigint[], $2::text[], $3::uuid[]) AS t(i, w, u)
             WHERE inside = i AND word = w AND user_id = u",
            "DELETE FROM user_words WHERE (inside, word, user_id) IN
                 (SELECT value ->> 0, value ->> 1, unhex(value ->> 2) FROM jsonb_each($1))",
            dialect::rows(conn, columns(removed)),
        );
        dialect::run(conn, statement).await?;
    }
    let added: Vec<&IndexedWord> = after.difference(&before).collect();
    if !added.is_empty() {
        let statement = dialect::statement(
            conn,
            "INSERT INTO user_words (inside, word, user_id)
             SELECT i, w, u FROM unnest($1::bigint[], $2::text[], $3::uuid[]) AS t(i, w, u) ON CONFLICT DO NOTHING",
            "INSERT INTO user_words (inside, word, user_id)
             SELECT value ->> 0, value ->> 1, unhex(value ->> 2) FROM jsonb_each($1) WHERE TRUE ON CONFLICT DO NOTHING",
            dialect::rows(conn, columns(added)),
        );
        dialect::run(conn, statement).await?;
    }
    Ok(())
}

/// Returns at most [`SEARCH_CANDIDATES`] users who may match `query`: those with the word of the query that the fewest
/// users have. The calling function must compare them with the whole query.
pub async fn candidates(conn: &impl ConnectionTrait, query: &UserQuery) -> Result<Vec<Uuid>, DbErr> {
    let mut longest_first: Vec<&String> = query.words().iter().collect();
    longest_first.sort_by_key(|word| std::cmp::Reverse(word.chars().count()));
    let mut fewest: Option<Vec<Uuid>> = None;
    for word in longest_first {
        let found = find_by_word(conn, word).await?;
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

/// Returns users with a word that begins with `word`, then users with `word` inside a longer word. Within each group
/// the words are in alphabetical order, so that the word itself comes before longer ones.
async fn find_by_word(conn: &impl ConnectionTrait, word: &str) -> Result<Vec<Uuid>, DbErr> {
    let prefix: String = word.chars().take(INDEXED_CHARS).collect();
    // With the greatest character at its end, `prefix_end` is after all texts that begin with the prefix.
    let prefix_end = format!("{prefix}{}", char::MAX);
    // The column `inside` is 0 at the beginning of words and 1 inside words. The inside is searched only for long
    // enough search words.
    let groups = if word.chars().count() >= INSIDE_CHARS { 2 } else { 1 };
    let mut users = Vec::new();
    for inside in 0..groups {
        let remaining = SEARCH_CANDIDATES.saturating_sub(users.len() as u64);
        if remaining == 0 {
            break;
        }
        let statement = dialect::plain(
            conn,
            "SELECT user_id FROM user_words WHERE inside = $1 AND word >= $2 AND word < $3
             ORDER BY word, user_id LIMIT $4",
            vec![inside.into(), prefix.as_str().into(), prefix_end.as_str().into(), (remaining as i64).into()],
        );
        for row in dialect::all(conn, statement).await? {
            users.push(row.try_get("", "user_id")?);
        }
    }
    Ok(users)
}
