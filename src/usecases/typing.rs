//! What users do with typing notifications: ephemeral frames for the other participants, which end by themselves.

use crate::app::App;
use crate::cluster::typing::{ExcludedUsers, TypingNotice, TypingSession};
use crate::domain::caller::Caller;
use crate::domain::ids::{ConversationId, UserId};
use crate::domain::limits;
use crate::domain::roles::Action;
use crate::domain::stream::Stream;
use crate::error::{Error, Result};
use crate::protocol::server::ServerFrame;
use crate::protocol::typing::Typing;
use crate::protocol::users::UserBrief;
use crate::store::db::pools::ReadPool;
use crate::store::{blocks, users};
use crate::work::access;
use crate::work::read::read;
use crate::work::typing::notify_stopped;
use sea_orm::ConnectionTrait;

/// Starts the caller's typing on one session. It ends with a stop, a message, the end of the session, or after
/// [`limits::TYPING_DURATION`].
pub async fn start(
    app: &App,
    caller: &Caller,
    typing_session: &TypingSession,
    conversation_id: ConversationId,
) -> Result<()> {
    let user = caller.user_id;
    let (typing, blocked) = read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move {
            if !access::require_participant(conn, conversation_id, user).await?.may(Action::Type) {
                return Err(Error::forbidden("Observers can only read this conversation."));
            }
            let typing = build_typing(conn, user, conversation_id).await?;
            Ok((typing, blocks::list_blocked_participants(conn, user, conversation_id).await?))
        })
    })
    .await?;
    let excluded: ExcludedUsers = blocked.into_iter().chain([user]).collect();
    let notice = TypingNotice { typing: typing.clone(), excluded: excluded.clone() };
    let Some(start) = app.typing().start(typing_session, notice) else { return Ok(()) };
    app.notify_except(vec![Stream::Conversation(conversation_id)], &ServerFrame::TypingStart(typing), excluded);
    let (owned_app, typing_session) = (app.clone(), typing_session.clone());
    app.spawn(async move {
        tokio::time::sleep(limits::TYPING_DURATION).await;
        notify_stopped(&owned_app, owned_app.typing().expire(conversation_id, user, &typing_session, start));
    });
    Ok(())
}

/// Stops the caller's typing on one session.
pub async fn stop(
    app: &App,
    caller: &Caller,
    typing_session: &TypingSession,
    conversation_id: ConversationId,
) -> Result<()> {
    let user = caller.user_id;
    read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move { access::require_participant(conn, conversation_id, user).await })
    })
    .await?;
    notify_stopped(app, app.typing().stop_session(conversation_id, caller.user_id, typing_session));
    Ok(())
}

/// Stops all typing of a session that has ended.
pub fn session_closed(app: &App, user: UserId, typing_session: &TypingSession) {
    notify_stopped(app, app.typing().end_session(user, typing_session));
}

/// Lists the users who are typing in a conversation, without the caller and without users who are separated by a block.
pub async fn list(app: &App, caller: &Caller, conversation_id: ConversationId) -> Result<Vec<UserId>> {
    let user = caller.user_id;
    let blocked = read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move {
            access::require_participant(conn, conversation_id, user).await?;
            // A block may be newer than the start of the typing.
            Ok(blocks::list_blocked_participants(conn, user, conversation_id).await?)
        })
    })
    .await?;
    let mut typing = app.typing().list_visible(caller.user_id, conversation_id);
    typing.retain(|user| !blocked.contains(user));
    typing.sort_unstable();
    Ok(typing)
}

async fn build_typing(conn: &impl ConnectionTrait, user: UserId, conversation_id: ConversationId) -> Result<Typing> {
    let user = users::by_id(conn, user).await?.ok_or_else(Error::user_not_found)?;
    let UserBrief { id: user_id, username, display_name, .. } = user.brief();
    Ok(Typing { conversation_id, user_id, username, display_name })
}
