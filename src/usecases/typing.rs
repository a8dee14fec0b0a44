//! Typing notifications: ephemeral frames for the other participants, which end by themselves.

use super::Caller;
use super::conversations::require_participant;
use crate::app::App;
use crate::cluster::typing::{ExcludedUsers, TypingNotice, TypingSession};
use crate::domain::ids::{ConversationId, UserId};
use crate::domain::limits;
use crate::domain::roles::Action;
use crate::domain::stream::Stream;
use crate::error::{Error, Result};
use crate::protocol::resources::UserBrief;
use crate::protocol::server::{ServerFrame, Typing};
use crate::store::pools::ReadPool;
use crate::store::{blocks, users};

/// Starts the caller's typing on one session. It ends with a stop, a message, the end of the session, or after
/// [`limits::TYPING_DURATION`].
pub async fn start(
    app: &App,
    caller: &Caller,
    typing_session: &TypingSession,
    conversation: ConversationId,
) -> Result<()> {
    if !require_participant(app, caller, conversation).await?.may(Action::Type) {
        return Err(Error::forbidden("Observers can only read this conversation."));
    }
    let typing = build_typing(app, caller, conversation).await?;
    let blocked =
        blocks::list_blocked_participants(app.db().read(ReadPool::Ordinary), caller.user_id, conversation).await?;
    let excluded: ExcludedUsers = blocked.into_iter().chain([caller.user_id]).collect();
    let notice = TypingNotice { typing: typing.clone(), excluded: excluded.clone() };
    let Some(start) = app.typing().start(typing_session, notice) else { return Ok(()) };
    app.notify_except(vec![Stream::Conversation(conversation)], &ServerFrame::TypingStart(typing), excluded);
    let (owned_app, user, typing_session) = (app.clone(), caller.user_id, typing_session.clone());
    app.spawn(async move {
        tokio::time::sleep(limits::TYPING_DURATION).await;
        notify_stopped(&owned_app, owned_app.typing().expire(conversation, user, &typing_session, start));
    });
    Ok(())
}

/// Stops the caller's typing on one session.
pub async fn stop(
    app: &App,
    caller: &Caller,
    typing_session: &TypingSession,
    conversation: ConversationId,
) -> Result<()> {
    require_participant(app, caller, conversation).await?;
    notify_stopped(app, app.typing().stop_session(conversation, caller.user_id, typing_session));
    Ok(())
}

/// Stops all typing of a session that has ended.
pub fn session_closed(app: &App, user: UserId, typing_session: &TypingSession) {
    notify_stopped(app, app.typing().end_session(user, typing_session));
}

/// Notifies the users who saw the typing that it has stopped.
fn notify_stopped(app: &App, stopped: impl IntoIterator<Item = TypingNotice>) {
    for TypingNotice { typing, excluded } in stopped {
        let streams = vec![Stream::Conversation(typing.conversation_id)];
        app.notify_except(streams, &ServerFrame::TypingStop(typing), excluded);
    }
}

/// Lists the users who are typing in a conversation, without the caller and without users who are separated by a block.
pub async fn list(app: &App, caller: &Caller, conversation: ConversationId) -> Result<Vec<UserId>> {
    require_participant(app, caller, conversation).await?;
    // A block may be newer than the start of the typing.
    let blocked =
        blocks::list_blocked_participants(app.db().read(ReadPool::Ordinary), caller.user_id, conversation).await?;
    let mut typing = app.typing().list_visible(caller.user_id, conversation);
    typing.retain(|user| !blocked.contains(user));
    typing.sort_unstable();
    Ok(typing)
}

/// Stops all typing of a user in a conversation, because the user left it or sent a message.
pub(super) fn stop_all(app: &App, conversation: ConversationId, user: UserId) {
    notify_stopped(app, app.typing().stop(conversation, user));
}

/// Stops showing the typing of `author` to `viewer`, because a block now separates them.
pub(super) fn hide_from(app: &App, author: UserId, viewer: UserId) {
    for typing in app.typing().exclude_viewer(author, viewer) {
        app.notify(vec![Stream::User(viewer)], &ServerFrame::TypingStop(typing), None);
    }
}

async fn build_typing(app: &App, caller: &Caller, conversation_id: ConversationId) -> Result<Typing> {
    let user =
        users::by_id(app.db().read(ReadPool::Ordinary), caller.user_id).await?.ok_or_else(Error::user_not_found)?;
    let UserBrief { id: user_id, username, display_name, .. } = user.brief();
    Ok(Typing { conversation_id, user_id, username, display_name })
}
