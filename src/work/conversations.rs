//! Conversations as one user sees them, and the events that give them to users who join. Several use cases create and
//! change conversations.

use super::access;
use super::transact::Tx;
use crate::app::App;
use crate::domain::ids::{ConversationId, Rev, Seq, UserId};
use crate::domain::roles::Role;
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::protocol::conversations::{Conversation, ConversationCreated};
use crate::protocol::events::Event;
use crate::store::conversations::views;
use crate::store::conversations::{self, NewConversationRow};
use crate::store::locks::LockedConversation;
use crate::store::members::NewParticipant;
use sea_orm::ConnectionTrait;
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
            last_message_at: None,
        },
    );
    Ok(())
}

/// Appends `conversation.created` to the streams of `users`, who are locked and in the conversation. `last_rev` in the
/// event is the revision that this transaction has reached.
pub async fn append_created(tx: &mut Tx, id: ConversationId, users: &[UserId]) -> Result<()> {
    tx.flush().await?;
    for (user, mut conversation) in views::list_views(tx.conn(), users, id, tx.now()).await? {
        conversation.last_message = None;
        tx.append(
            Stream::User(user),
            &Event::ConversationCreated(ConversationCreated { conversation: Box::new(conversation) }),
        );
    }
    Ok(())
}

/// Does the same for users who joined a group in this transaction. Their views differ only in the role, so the view is
/// read once.
pub async fn append_joined(tx: &mut Tx, id: ConversationId, joined: &[NewParticipant]) -> Result<()> {
    let Some(one) = joined.first() else { return Ok(()) };
    tx.flush().await?;
    let mut conversation = get_view_in_tx(tx, one.user_id, id).await?;
    conversation.last_message = None;
    let mut by_role: BTreeMap<Role, Vec<UserId>> = BTreeMap::new();
    for new in joined {
        by_role.entry(new.role).or_default().push(new.user_id);
    }
    for (role, users) in by_role {
        conversation.my.role = role;
        tx.append_same(
            &users,
            &Event::ConversationCreated(ConversationCreated { conversation: Box::new(conversation.clone()) }),
        )
        .await?;
    }
    Ok(())
}

/// Returns a conversation as a participant sees it. Fails if the user is not in it.
pub async fn get(conn: &impl ConnectionTrait, user: UserId, id: ConversationId) -> Result<Conversation> {
    match views::get_view(conn, user, id, Timestamp::now()).await? {
        Some(view) => Ok(view.conversation),
        None => Err(access::outsider_error(conn, id).await?),
    }
}

/// Returns a locked conversation as a participant sees it, with the changes of this transaction that are flushed.
pub async fn get_view_in_tx(tx: &Tx, user: UserId, id: ConversationId) -> Result<Conversation> {
    let view = views::get_view(tx.conn(), user, id, tx.now()).await?;
    Ok(view.ok_or_else(Error::not_a_participant)?.conversation)
}

/// Sets the peer's presence. If a block separates the two users, removes the time when the peer was last online
/// instead.
pub fn with_presence(app: &App, mut conversation: Conversation) -> Conversation {
    if let Some(peer) = &mut conversation.peer {
        if conversation.my.blocked {
            peer.last_seen_at = None;
        } else {
            peer.presence = app.presence().status(peer.brief.id);
        }
    }
    conversation
}
