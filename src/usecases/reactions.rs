//! What users do with reactions: adding, removing and listing them. Repeating a call changes nothing and appends no
//! event.

use crate::app::App;
use crate::domain::caller::Caller;
use crate::domain::emoji::Emoji;
use crate::domain::ids::{ConversationId, MessageId};
use crate::domain::limits;
use crate::domain::roles::Action;
use crate::domain::stream::Stream;
use crate::error::{Error, Result};
use crate::protocol::events::Event;
use crate::protocol::reactions::{Reaction, ReactionAction, ReactionUpdated, ReactionUsers};
use crate::store::db::pools::ReadPool;
use crate::store::messages::target;
use crate::store::reactions::{self, NewReaction};
use crate::work::access;
use crate::work::read::read;
use crate::work::transact::transact_for;
use crate::work::tx::Tx;

/// The result of a request to add or remove a reaction.
#[derive(Clone, PartialEq, Debug)]
pub struct ReactionChange {
    /// `None` if nothing changed.
    pub action: Option<ReactionAction>,
    pub reaction: Reaction,
}

/// Adds a reaction of the caller to a message.
pub async fn add(
    app: &App,
    caller: &Caller,
    conversation_id: ConversationId,
    message_id: MessageId,
    emoji: &str,
) -> Result<ReactionChange> {
    change(app, caller, conversation_id, message_id, emoji, ReactionAction::Added).await
}

/// Removes a reaction of the caller from a message.
pub async fn remove(
    app: &App,
    caller: &Caller,
    conversation_id: ConversationId,
    message_id: MessageId,
    emoji: &str,
) -> Result<ReactionChange> {
    change(app, caller, conversation_id, message_id, emoji, ReactionAction::Removed).await
}

async fn change(
    app: &App,
    caller: &Caller,
    conversation_id: ConversationId,
    message_id: MessageId,
    emoji: &str,
    action: ReactionAction,
) -> Result<ReactionChange> {
    let emoji = Emoji::parse(emoji).map_err(|wrong| Error::invalid("emoji", wrong))?;
    let request = ReactionRequest { caller: *caller, conversation_id, message_id, emoji, action };
    transact_for(app, caller.user_id, limits::FEW_ROWS, move |tx| Box::pin(change_in(tx, request))).await
}

#[derive(Clone, Copy)]
struct ReactionRequest {
    caller: Caller,
    conversation_id: ConversationId,
    message_id: MessageId,
    emoji: Emoji,
    action: ReactionAction,
}

async fn change_in(tx: &mut Tx, request: ReactionRequest) -> Result<ReactionChange> {
    let ReactionRequest { caller, conversation_id, message_id, emoji, action } = request;
    let user = caller.user_id;
    tx.lock_conversations(&[conversation_id]).await?;
    access::require_writable(&access::get_rights(tx, conversation_id, user).await?, Action::React)?;
    let adds = action == ReactionAction::Added;
    if adds {
        access::get_undeleted_target(tx, conversation_id, message_id, user).await?;
    } else {
        // A deleted message has no reactions, so a missing one is no error.
        access::get_target(tx, conversation_id, message_id, user).await?;
    }
    let tally = reactions::count(tx.conn(), conversation_id, message_id, emoji, user).await?;
    let result = |action, count| ReactionChange {
        action,
        reaction: Reaction { emoji: emoji.as_str().to_owned(), count, me: Some(adds) },
    };
    if tally.mine == adds {
        return Ok(result(None, tally.count));
    }
    let count = if adds {
        let order = match tally.order {
            Some(order) => order,
            None => next_order(tx, conversation_id, message_id).await?,
        };
        let new = NewReaction { message_id, emoji, user_id: user, conversation_id, created_at: tx.now(), order };
        reactions::insert(tx.conn(), &new).await?;
        tally.count + 1
    } else {
        reactions::remove(tx.conn(), conversation_id, message_id, emoji, user).await?;
        tally.count - 1
    };
    let event = Event::ReactionUpdated(ReactionUpdated {
        conversation_id,
        message_id,
        emoji: emoji.as_str().to_owned(),
        user_id: user,
        action,
        count,
    });
    tx.append(Stream::Conversation(conversation_id), &event);
    Ok(result(Some(action), count))
}

/// Returns the order of an emoji that the message did not have before: after all others. Clients that list the
/// reactions and clients that follow the events then see the same order.
async fn next_order(tx: &Tx, conversation_id: ConversationId, message_id: MessageId) -> Result<i64> {
    let (emojis, last) = reactions::count_emojis(tx.conn(), conversation_id, message_id).await?;
    if emojis >= limits::EMOJIS_PER_MESSAGE {
        return Err(Error::conflict("This message has the largest number of different emojis; choose one of those."));
    }
    Ok(last + 1)
}

/// Lists the users who reacted to a message, by emoji, each with the cursor after it.
pub async fn list(
    app: &App,
    caller: &Caller,
    conversation_id: ConversationId,
    message_id: MessageId,
    after: i64,
    limit: u64,
) -> Result<Vec<(ReactionUsers, i64)>> {
    let user = caller.user_id;
    read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move {
            let target = target::find(conn, conversation_id, message_id, user).await?;
            let rows = match target {
                Some(target) if !target.deleted => {
                    reactions::page(conn, conversation_id, message_id, after, limit).await?
                }
                _ => Vec::new(),
            };
            // Check membership after reading: a user removed meanwhile must not see newer rows.
            access::require_participant(conn, conversation_id, user).await?;
            target.ok_or_else(|| Error::not_found("message"))?;
            Ok(rows)
        })
    })
    .await
}
