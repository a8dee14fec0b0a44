//! How use cases create conversations and change their participants: the rows, and the events for users who join.

use super::assemble::conversations::for_event;
use super::tx::Tx;

use crate::domain::ids::{ConversationId, Rev, Seq, UserId};
use crate::domain::roles::Role;
use crate::domain::stream::Stream;
use crate::error::{Error, Result};
use crate::protocol::conversations::ConversationCreated;
use crate::protocol::events::Event;
use crate::store::conversations::views::{self, ConversationRow};
use crate::store::conversations::{self, NewConversationRow};
use crate::store::locks::LockedConversation;
use crate::store::members::{self, NewParticipant, ViewStart};
use std::collections::BTreeMap;

/// Inserts a conversation, which then counts as locked.
pub async fn insert_conversation(tx: &mut Tx, new: NewConversationRow) -> Result<()> {
    conversations::insert(tx.conn(), &new).await?;
    tx.add_conversation(
        new.id,
        LockedConversation {
            kind: new.kind,
            class_id: None,
            direct: new.direct,
            deleted: false,
            last_seq: Seq(0),
            last_count: 0,
            last_rev: Rev(0),
            member_count: 0,
            last_message_at: None,
            all_mentioned_at: None,
        },
    );
    Ok(())
}

/// Inserts participants of a locked conversation, who are not in it yet, and counts them.
pub async fn insert_participants(
    tx: &mut Tx,
    id: ConversationId,
    participants: &[NewParticipant],
    start: ViewStart,
) -> Result<()> {
    members::insert(tx.conn(), id, participants, start).await?;
    tx.add_to_member_count(id, participants.len() as i64);
    Ok(())
}

/// Stores that a participant left a locked conversation with the event of this revision, and counts the others.
pub async fn remove_participant(tx: &mut Tx, id: ConversationId, user: UserId, rev: Rev) -> Result<()> {
    members::leave(tx.conn(), id, user, tx.now(), rev).await?;
    tx.add_to_member_count(id, -1);
    Ok(())
}

/// Appends `conversation.created` to the streams of `users`, who are locked and in the conversation. `last_rev` in the
/// event is the revision that this transaction has reached.
pub async fn append_created(tx: &mut Tx, id: ConversationId, users: &[UserId]) -> Result<()> {
    tx.flush().await?;
    for (user, row) in views::list_views(tx.conn(), users, id, tx.now()).await? {
        tx.append(Stream::User(user), &created(row));
    }
    Ok(())
}

/// Does the same for users who joined a group in this transaction. Their views differ only in the role, so the view is
/// read once.
pub async fn append_joined(tx: &mut Tx, id: ConversationId, joined: &[NewParticipant]) -> Result<()> {
    let Some(one) = joined.first() else { return Ok(()) };
    tx.flush().await?;
    let mut row = get_in_tx(tx, one.user_id, id).await?;
    let mut by_role: BTreeMap<Role, Vec<UserId>> = BTreeMap::new();
    for new in joined {
        by_role.entry(new.role).or_default().push(new.user_id);
    }
    for (role, users) in by_role {
        row.my.role = role;
        tx.append_same(&users, &created(row.clone())).await?;
    }
    Ok(())
}

fn created(row: ConversationRow) -> Event {
    Event::ConversationCreated(ConversationCreated { conversation: Box::new(for_event(row)) })
}

/// Returns the row of a locked conversation for a participant, with the changes of this transaction that are flushed.
pub async fn get_in_tx(tx: &Tx, user: UserId, id: ConversationId) -> Result<ConversationRow> {
    views::get_view(tx.conn(), user, id, tx.now()).await?.ok_or_else(Error::not_a_participant)
}
