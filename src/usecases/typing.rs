//! Typing: ephemeral, told to the others in the conversation, and ending by itself.

use super::Caller;
use super::conversations::require_participant;
use crate::app::App;
use crate::cluster::typing::{Stopped, Typist, Unseeing};
use crate::domain::ids::{ConversationId, UserId};
use crate::domain::limits;
use crate::domain::roles::Action;
use crate::domain::stream::Stream;
use crate::error::{Error, Result};
use crate::protocol::resources::UserBrief;
use crate::protocol::server::{ServerFrame, Typing};
use crate::store::pools::Share;
use crate::store::{blocks, users};

/// The caller types on one session, until a stop, a message, the end of the session, or ten seconds later.
pub async fn start(app: &App, caller: &Caller, typist: &Typist, conversation: ConversationId) -> Result<()> {
    if !require_participant(app, caller, conversation).await?.may(Action::Type) {
        return Err(Error::forbidden("observers can only read"));
    }
    let typing = typing(app, caller, conversation).await?;
    let apart = blocks::apart(app.db().read(Share::Ordinary), caller.user_id, conversation).await?;
    let unseeing: Unseeing = apart.into_iter().chain([caller.user_id]).collect();
    let told = Stopped { typing: typing.clone(), unseeing: unseeing.clone() };
    let Some(start) = app.typing().start(typist, told) else { return Ok(()) };
    app.tell_others(vec![Stream::Conversation(conversation)], &ServerFrame::TypingStart(typing), unseeing);
    let (later, user, typist) = (app.clone(), caller.user_id, typist.clone());
    app.spawn(async move {
        tokio::time::sleep(limits::TYPING).await;
        tell(&later, later.typing().expire(conversation, user, &typist, start));
    });
    Ok(())
}

/// The caller stopped typing on one session.
pub async fn stop(app: &App, caller: &Caller, typist: &Typist, conversation: ConversationId) -> Result<()> {
    require_participant(app, caller, conversation).await?;
    tell(app, app.typing().pause(conversation, caller.user_id, typist));
    Ok(())
}

/// A session of the user ended, and what it typed with it.
pub fn closed(app: &App, user: UserId, typist: &Typist) {
    tell(app, app.typing().close(user, typist));
}

/// Tells whoever saw it that somebody stopped typing.
fn tell(app: &App, stopped: impl IntoIterator<Item = Stopped>) {
    for Stopped { typing, unseeing } in stopped {
        let streams = vec![Stream::Conversation(typing.conversation_id)];
        app.tell_others(streams, &ServerFrame::TypingStop(typing), unseeing);
    }
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

/// A user who is out of a conversation, or has sent to it, does not type there any more.
pub(super) fn ended(app: &App, conversation: ConversationId, user: UserId) {
    tell(app, app.typing().stop(conversation, user));
}

/// What `author` types is no longer seen by `viewer`, from whom a block parts them now.
pub(super) fn hide(app: &App, author: UserId, viewer: UserId) {
    for typing in app.typing().hide(author, viewer) {
        app.tell(vec![Stream::User(viewer)], &ServerFrame::TypingStop(typing), None);
    }
}

async fn typing(app: &App, caller: &Caller, conversation_id: ConversationId) -> Result<Typing> {
    let user = users::by_id(app.db().read(Share::Ordinary), caller.user_id).await?.ok_or_else(Error::user_not_found)?;
    let UserBrief { id: user_id, username, display_name, .. } = user.brief();
    Ok(Typing { conversation_id, user_id, username, display_name })
}
