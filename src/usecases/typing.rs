//! Typing: ephemeral, told to the others in the conversation, and ending by itself.

use super::Caller;
use super::conversations::require_participant;
use crate::app::App;
use crate::cluster::typing::Unseeing;
use crate::domain::ids::{ConversationId, UserId};
use crate::domain::limits;
use crate::domain::roles::Action;
use crate::domain::stream::Stream;
use crate::error::{Error, Result};
use crate::protocol::resources::UserBrief;
use crate::protocol::server::{ServerFrame, Typing};
use crate::store::pools::Share;
use crate::store::{blocks, users};

/// The caller types, until a stop, a message, or ten seconds later.
pub async fn start(app: &App, caller: &Caller, conversation: ConversationId) -> Result<()> {
    if !require_participant(app, caller, conversation).await?.may(Action::Type) {
        return Err(Error::forbidden("observers read and do not type"));
    }
    let typing = typing(app, caller, conversation).await?;
    let apart = blocks::apart(app.db().read(Share::Ordinary), caller.user_id, conversation).await?;
    let unseeing: Unseeing = apart.into_iter().chain([caller.user_id]).collect();
    let start = app.typing().start(conversation, caller.user_id, unseeing.clone());
    let streams = vec![Stream::Conversation(conversation)];
    app.tell_others(streams.clone(), &ServerFrame::TypingStart(typing.clone()), unseeing);
    let (later, user) = (app.clone(), caller.user_id);
    app.spawn(async move {
        tokio::time::sleep(limits::TYPING).await;
        if let Some(unseeing) = later.typing().expire(conversation, user, start) {
            later.tell_others(streams, &ServerFrame::TypingStop(typing), unseeing);
        }
    });
    Ok(())
}

/// The caller stopped typing.
pub async fn stop(app: &App, caller: &Caller, conversation: ConversationId) -> Result<()> {
    require_participant(app, caller, conversation).await?;
    if let Some(unseeing) = app.typing().stop(conversation, caller.user_id) {
        let frame = ServerFrame::TypingStop(typing(app, caller, conversation).await?);
        app.tell_others(vec![Stream::Conversation(conversation)], &frame, unseeing);
    }
    Ok(())
}

/// Who types, the caller aside.
pub async fn list(app: &App, caller: &Caller, conversation: ConversationId) -> Result<Vec<UserId>> {
    require_participant(app, caller, conversation).await?;
    // who was blocked after the start was shown is left out all the same
    let apart = blocks::apart(app.db().read(Share::Ordinary), caller.user_id, conversation).await?;
    let mut typing = app.typing().seen_by(caller.user_id, conversation);
    typing.retain(|user| !apart.contains(user));
    typing.sort_unstable();
    Ok(typing)
}

/// A user who is out of a conversation does not type there any more.
pub(super) async fn ended(app: &App, conversation_id: ConversationId, user: UserId) {
    let Some(unseeing) = app.typing().stop(conversation_id, user) else { return };
    let owner = app.clone();
    let found = app.detached(async move { Ok(users::by_id(owner.db().read(Share::Ordinary), user).await?) }).await;
    if let Ok(Some(user)) = found {
        let frame = ServerFrame::TypingStop(typing_of(user.brief(), conversation_id));
        app.tell_others(vec![Stream::Conversation(conversation_id)], &frame, unseeing);
    }
}

/// What `author` types is no longer seen by `viewer`, from whom a block parts them now.
pub(super) async fn hide(app: &App, author: UserId, viewer: UserId) -> Result<()> {
    let hidden = app.typing().hide(author, viewer);
    if hidden.is_empty() {
        return Ok(());
    }
    if let Some(author) = users::by_id(app.db().read(Share::Ordinary), author).await? {
        for conversation in hidden {
            let frame = ServerFrame::TypingStop(typing_of(author.brief(), conversation));
            app.tell(vec![Stream::User(viewer)], &frame, None);
        }
    }
    Ok(())
}

async fn typing(app: &App, caller: &Caller, conversation_id: ConversationId) -> Result<Typing> {
    let user = users::by_id(app.db().read(Share::Ordinary), caller.user_id).await?.ok_or_else(Error::user_not_found)?;
    Ok(typing_of(user.brief(), conversation_id))
}

fn typing_of(user: UserBrief, conversation_id: ConversationId) -> Typing {
    Typing { conversation_id, user_id: user.id, username: user.username, display_name: user.display_name }
}
