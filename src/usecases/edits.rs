//! Editing one's own messages, and looking at what they said before.

use super::transact::{Tx, transact_for};
use super::{Caller, conversations, mentions, rights};
use crate::app::App;
use crate::domain::content;
use crate::domain::ids::{ConversationId, MessageId};
use crate::domain::limits;
use crate::domain::roles::Action;
use crate::domain::stream::Stream;
use crate::error::{Error, Result};
use crate::protocol::events::Event;
use crate::protocol::resources::{FormerText, Message};
use crate::store::messages::Reached;
use crate::store::pools::Share;
use crate::store::{self, edits, hidden};

/// Gives one's own message another text; the former one is kept. Returns the message as its author sees it. The text it
/// has already changes nothing.
pub async fn edit(
    app: &App,
    caller: &Caller,
    conversation: ConversationId,
    id: MessageId,
    content: &str,
) -> Result<Message> {
    let text = content::content(content).map_err(|message| Error::invalid("content", message))?;
    let caller = *caller;
    transact_for(app, caller.user_id, limits::FEW_ROWS, move |tx| {
        let text = text.clone();
        Box::pin(async move { edit_in(tx, caller, conversation, id, text).await })
    })
    .await
}

async fn edit_in(
    tx: &mut Tx,
    caller: Caller,
    conversation: ConversationId,
    id: MessageId,
    text: String,
) -> Result<Message> {
    tx.lock_conversations(&[conversation]).await?;
    let sender = rights::sender(tx, conversation, caller.user_id).await?;
    rights::writes(&sender, Action::EditOwn)?;
    let mut message = rights::message(tx, conversation, caller.user_id, id).await?;
    if hidden::is_hidden(tx.conn(), caller.user_id, id).await? {
        return Err(Error::not_found("message"));
    }
    if message.sender_id != Some(caller.user_id) {
        return Err(Error::forbidden("only its author can edit a message"));
    }
    if message.deleted_at.is_some() {
        return Err(Error::conflict("this message was deleted, so it cannot be edited"));
    }
    if text.is_empty() && message.data.is_none() && message.attachments.is_empty() {
        return Err(Error::invalid("content", "must not be empty"));
    }
    if text != message.content {
        let mentioned = mentions::replace(tx, &message, &text).await?;
        edits::change(tx.conn(), id, &text, mentioned.all, tx.now()).await?;
        (message.mentions, message.mentions_all) = (mentioned.users, mentioned.all);
        message.content = text;
        message.edited_at = Some(tx.now());
        let message = Box::new(for_everybody(&message));
        tx.append(Stream::Conversation(conversation), &Event::MessageEdited { conversation_id: conversation, message });
    }
    let reached = store::messages::reached(tx.conn(), conversation, caller.user_id).await?;
    message.status = Some(Reached::status(reached, message.seq));
    Ok(message)
}

/// The message without what depends on who looks.
fn for_everybody(message: &Message) -> Message {
    let mut message = message.clone();
    message.status = None;
    for reaction in &mut message.reactions {
        reaction.me = None;
    }
    message
}

/// The texts a message had, oldest first, each with its place for the next page. A deleted message has none.
pub async fn history(
    app: &App,
    caller: &Caller,
    conversation: ConversationId,
    id: MessageId,
    after: i64,
    limit: u64,
) -> Result<Vec<(FormerText, i64)>> {
    let texts = edits::page(app.db().read(Share::Ordinary), id, after, limit).await?;
    let place = store::messages::place(app.db().read(Share::Ordinary), id).await?;
    // the right last: whoever is removed while the rows are read is not shown what came after
    conversations::require_participant(app, caller, conversation).await?;
    let here = place.is_some_and(|(place, _)| place == conversation);
    if !here || hidden::is_hidden(app.db().read(Share::Ordinary), caller.user_id, id).await? {
        return Err(Error::not_found("message"));
    }
    Ok(texts)
}
