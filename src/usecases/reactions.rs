//! Reactions: add one, take it back, see whose they are. Doing either again changes nothing and tells nobody.

use super::Caller;
use super::conversations::require_participant;
use super::rights;
use super::transact::{Tx, transact_for};
use crate::app::App;
use crate::domain::emoji::Emoji;
use crate::domain::ids::{ConversationId, MessageId};
use crate::domain::limits;
use crate::domain::roles::Action;
use crate::domain::stream::Stream;
use crate::error::{Error, Result};
use crate::protocol::events::{Event, ReactionAction};
use crate::protocol::resources::{Reaction, Reactors};
use crate::store::pools::Share;
use crate::store::reactions::{self, NewReaction};
use crate::store::targets::{self, Target};

/// What became of a reaction.
#[derive(Clone, PartialEq, Debug)]
pub struct Reacted {
    /// What changed; nothing when it was so already.
    pub action: Option<ReactionAction>,
    /// The emoji as the caller sees it now.
    pub reaction: Reaction,
}

/// The caller reacts to a message.
pub async fn add(
    app: &App,
    caller: &Caller,
    conversation: ConversationId,
    message: MessageId,
    emoji: &str,
) -> Result<Reacted> {
    change(app, caller, conversation, message, emoji, ReactionAction::Added).await
}

/// The caller takes a reaction back.
pub async fn remove(
    app: &App,
    caller: &Caller,
    conversation: ConversationId,
    message: MessageId,
    emoji: &str,
) -> Result<Reacted> {
    change(app, caller, conversation, message, emoji, ReactionAction::Removed).await
}

async fn change(
    app: &App,
    caller: &Caller,
    conversation: ConversationId,
    message: MessageId,
    emoji: &str,
    action: ReactionAction,
) -> Result<Reacted> {
    let emoji = Emoji::parse(emoji).map_err(|wrong| Error::invalid("emoji", wrong))?;
    let wanted = Wanted { caller: *caller, conversation, message, emoji, action };
    transact_for(app, caller.user_id, limits::FEW_ROWS, move |tx| Box::pin(change_in(tx, wanted))).await
}

#[derive(Clone, Copy)]
struct Wanted {
    caller: Caller,
    conversation: ConversationId,
    message: MessageId,
    emoji: Emoji,
    action: ReactionAction,
}

async fn change_in(tx: &mut Tx, wanted: Wanted) -> Result<Reacted> {
    let Wanted { caller, conversation, message, emoji, action } = wanted;
    let user = caller.user_id;
    tx.lock_conversations(&[conversation]).await?;
    rights::writes(&rights::sender(tx, conversation, user).await?, Action::React)?;
    let adds = action == ReactionAction::Added;
    if adds {
        standing(tx, caller, conversation, message).await?;
    } else {
        // a deleted message has no reactions, so there is nothing left to take back
        present(tx, caller, conversation, message).await?;
    }
    let tally = reactions::tally(tx.conn(), message, emoji, user).await?;
    let reacted = |action, count| Reacted {
        action,
        reaction: Reaction { emoji: emoji.as_str().to_owned(), count, me: Some(adds) },
    };
    if tally.mine == adds {
        return Ok(reacted(None, tally.count));
    }
    let count = if adds {
        let place = match tally.place {
            Some(place) => place,
            None => new_place(tx, message).await?,
        };
        let new = NewReaction {
            message_id: message,
            emoji,
            user_id: user,
            conversation_id: conversation,
            created_at: tx.now(),
            place,
        };
        reactions::insert(tx.conn(), &new).await?;
        tally.count + 1
    } else {
        reactions::delete(tx.conn(), message, emoji, user).await?;
        tally.count - 1
    };
    let event = Event::ReactionUpdated {
        conversation_id: conversation,
        message_id: message,
        emoji: emoji.as_str().to_owned(),
        user_id: user,
        action,
        count,
    };
    tx.append(Stream::Conversation(conversation), &event);
    Ok(reacted(Some(action), count))
}

/// The place of an emoji that nobody reacted with before: after all others, so that it comes last for whoever lists the
/// reactions as for whoever follows the events.
async fn new_place(tx: &Tx, message: MessageId) -> Result<i64> {
    let (emojis, last) = reactions::emojis(tx.conn(), message).await?;
    if emojis >= limits::EMOJIS_PER_MESSAGE {
        return Err(Error::conflict("this message has reactions with as many emojis as it may; take one of those"));
    }
    Ok(last + 1)
}

/// A message that the caller has and that still stands; its conversation is locked.
pub(super) async fn standing(
    tx: &Tx,
    caller: Caller,
    conversation: ConversationId,
    message: MessageId,
) -> Result<Target> {
    let target = present(tx, caller, conversation, message).await?;
    if target.deleted {
        Err(Error::conflict("this message was deleted, so nobody can react to it"))
    } else {
        Ok(target)
    }
}

/// A message that the caller has, deleted for everyone or not; its conversation is locked.
pub(super) async fn present(
    tx: &Tx,
    caller: Caller,
    conversation: ConversationId,
    message: MessageId,
) -> Result<Target> {
    let target = targets::find(tx.conn(), conversation, message, caller.user_id).await?;
    target.ok_or_else(|| Error::not_found("message"))
}

/// Who reacts to a message, by emoji, each with its place for the next page.
pub async fn page(
    app: &App,
    caller: &Caller,
    conversation: ConversationId,
    message: MessageId,
    after: i64,
    limit: u64,
) -> Result<Vec<(Reactors, i64)>> {
    let conn = app.db().read(Share::Ordinary);
    let target = targets::find(conn, conversation, message, caller.user_id).await?;
    let rows = match target {
        Some(target) if !target.deleted => reactions::page(conn, message, after, limit).await?,
        _ => Vec::new(),
    };
    // the right last: whoever is removed while the rows are read is not shown what came after
    require_participant(app, caller, conversation).await?;
    target.ok_or_else(|| Error::not_found("message"))?;
    Ok(rows)
}
