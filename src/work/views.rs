//! How use cases read conversations and unread counts as a user sees them, outside a transaction: one conversation, the
//! list, and the counts over all conversations.
//!
//! All these reads pass through this file, so that only one file decides how they are answered. A transaction reads the
//! rows itself ([`super::conversations`]), because its decision must not depend on an older answer.

use super::access;
use super::assemble::conversations::for_viewer;
use super::read::{read, read_as_server};
use super::unchecked_caller::UncheckedCaller;
use crate::app::App;
use crate::domain::ids::{ConversationId, UserId};
use crate::domain::time::Timestamp;
use crate::error::Result;
use crate::protocol::conversations::{Conversation, UnreadCount};
use crate::store::conversations::unread;
use crate::store::conversations::views::{self, ConversationFilter, ConversationSortKey, ListedConversations};
use crate::store::db::pools::ReadPool;
use std::collections::HashMap;

/// The number of users whose unread messages one statement counts, so that no statement takes long.
const USERS_PER_STATEMENT: usize = 100;

/// Returns a conversation as `user` sees it. Fails if the user is not a participant.
pub async fn get(app: &App, user: UserId, id: ConversationId) -> Result<Conversation> {
    let row = read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move {
            match views::get_view(conn, user, id, Timestamp::now()).await? {
                Some(row) => Ok(row),
                None => Err(access::outsider_error(conn, id).await?),
            }
        })
    });
    Ok(for_viewer(app, row.await?))
}

/// Returns a conversation as `user` sees it, or `None` if the user is not a participant.
pub async fn find(app: &App, user: UserId, id: ConversationId) -> Result<Option<Conversation>> {
    let row = read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move { Ok(views::get_view(conn, user, id, Timestamp::now()).await?) })
    });
    Ok(row.await?.map(|row| for_viewer(app, row)))
}

/// Lists the conversations of the caller after the cursor `after`: pinned ones first, then those with the newest message
/// first. Also returns the cursor of the next page, if there is one.
pub async fn list(
    app: &App,
    caller: &UncheckedCaller,
    filter: ConversationFilter,
    after: Option<ConversationSortKey>,
    limit: u64,
) -> Result<(Vec<Conversation>, Option<ConversationSortKey>)> {
    let (user, login) = (caller.user_id(), caller.login_to_read());
    let found = read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move { Ok(views::list(conn, user, login, filter, after, limit + 1, Timestamp::now()).await?) })
    });
    let ListedConversations { login, mut rows } = found.await?;
    caller.decide(app, login).await?;
    let more = rows.len() as u64 > limit;
    rows.truncate(limit as usize);
    let next = if more { rows.last().map(|row| row.sort_key) } else { None };
    Ok((rows.into_iter().map(|row| for_viewer(app, row)).collect(), next))
}

/// Returns the unread counts over all conversations of `user`.
pub async fn get_unread_count(app: &App, user: UserId) -> Result<UnreadCount> {
    read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move { Ok(unread::get_unread_count(conn, user, Timestamp::now()).await?) })
    })
    .await
}

/// Returns the unread counts over all conversations of each of `users`, read in as few statements as possible.
pub async fn list_unread_counts(app: &App, users: &[UserId]) -> Result<HashMap<UserId, UnreadCount>> {
    let mut counts = HashMap::with_capacity(users.len());
    for users in users.chunks(USERS_PER_STATEMENT) {
        counts.extend(
            read_as_server(app, ReadPool::Ordinary, async |conn| {
                Ok(unread::list_unread_counts(conn, users, Timestamp::now()).await?)
            })
            .await?,
        );
    }
    Ok(counts)
}
