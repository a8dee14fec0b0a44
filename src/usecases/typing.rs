//! Typing: ephemeral, told to the others in the conversation, and ending by itself.

use super::Caller;
use super::conversations::require_participant;
use crate::app::App;
use crate::domain::ids::{ConversationId, UserId};
use crate::domain::limits;
use crate::domain::roles::Action;
use crate::domain::stream::Stream;
use crate::error::{Error, Result};
use crate::protocol::server::{ServerFrame, Typing};
use crate::store::users;

/// The caller types, until a stop, a message, or ten seconds later.
pub async fn start(app: &App, caller: &Caller, conversation: ConversationId) -> Result<()> {
    if !require_participant(app, caller, conversation).await?.may(Action::Type) {
        return Err(Error::forbidden("observers read and do not type"));
    }
    let typing = typing(app, caller, conversation).await?;
    let start = app.typing().start(conversation, caller.user_id);
    let streams = vec![Stream::Conversation(conversation)];
    app.tell(streams.clone(), &ServerFrame::TypingStart(typing.clone()), Some(caller.user_id));
    let (later, user) = (app.clone(), caller.user_id);
    app.spawn(async move {
        tokio::time::sleep(limits::TYPING).await;
        if later.typing().expire(conversation, user, start) {
            later.tell(streams, &ServerFrame::TypingStop(typing), Some(user));
        }
    });
    Ok(())
}

/// The caller stopped typing.
pub async fn stop(app: &App, caller: &Caller, conversation: ConversationId) -> Result<()> {
    require_participant(app, caller, conversation).await?;
    if app.typing().stop(conversation, caller.user_id) {
        let frame = ServerFrame::TypingStop(typing(app, caller, conversation).await?);
        app.tell(vec![Stream::Conversation(conversation)], &frame, Some(caller.user_id));
    }
    Ok(())
}

/// A user who is out of a conversation does not type there any more.
pub(super) async fn ended(app: &App, conversation_id: ConversationId, user: UserId) {
    if !app.typing().stop(conversation_id, user) {
        return;
    }
    let owner = app.clone();
    let found = app.detached(async move { Ok(users::by_id(owner.db().read(), user).await?) }).await;
    if let Ok(Some(user)) = found {
        let user = user.brief();
        let typing =
            Typing { conversation_id, user_id: user.id, username: user.username, display_name: user.display_name };
        app.tell(vec![Stream::Conversation(conversation_id)], &ServerFrame::TypingStop(typing), None);
    }
}

async fn typing(app: &App, caller: &Caller, conversation_id: ConversationId) -> Result<Typing> {
    let user = users::by_id(app.db().read(), caller.user_id).await?.ok_or_else(Error::user_not_found)?.brief();
    Ok(Typing { conversation_id, user_id: user.id, username: user.username, display_name: user.display_name })
}
