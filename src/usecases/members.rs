//! What users do with the participants of a conversation: listing, adding and removing them, and leaving. Each change
//! locks the conversation first and checks the role after the lock, so that a removal and a concurrent send see each
//! other's result.

use crate::app::App;
use crate::domain::caller::Caller;
use crate::domain::ids::{ConversationId, UserId};
use crate::domain::limits;
use crate::domain::names::UserRef;
use crate::domain::roles::{Action, ConversationKind, Role};
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::protocol::conversations::ConversationRemoved;
use crate::protocol::events::Event;
use crate::protocol::members::{
    JoinedParticipant, LeftReason, Participant, ParticipantJoined, ParticipantLeft, ParticipantUpdated,
};
use crate::store::db::pools::ReadPool;
use crate::store::members::{self, NewParticipant, ParticipantRow, ViewStart};
use crate::store::users;
use crate::work::assemble::members::ParticipantsView;
use crate::work::conversations::{append_joined, insert_participants, remove_participant};
use crate::work::read::read;
use crate::work::system_messages::{self, SystemMessage};
use crate::work::transact::transact_for;
use crate::work::tx::Tx;
use crate::work::{access, typing};
use sea_orm::ConnectionTrait;
use std::collections::HashSet;

/// Returns the users that `references` name, each once and in this order. Fails with `user_not_found` if one does not
/// exist.
pub(super) async fn resolve(conn: &impl ConnectionTrait, references: &[UserRef]) -> Result<Vec<UserId>> {
    if references.len() > limits::IDS_IN_COMMAND {
        return Err(Error::group_full());
    }
    let (mut ids, mut seen) = (Vec::with_capacity(references.len()), HashSet::with_capacity(references.len()));
    for id in users::ids_by_refs(conn, references).await? {
        let id = id.ok_or_else(Error::user_not_found)?;
        if seen.insert(id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// Lists participants in the order in which they joined, each with the cursor after it.
pub async fn list(
    app: &App,
    caller: &Caller,
    id: ConversationId,
    after: Option<(Timestamp, UserId)>,
    limit: u64,
) -> Result<Vec<(Participant, (Timestamp, UserId))>> {
    let user = caller.user_id;
    let page = read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move { read_page(conn, user, id, after, limit).await })
    })
    .await?;
    let cursors = page.cursors();
    Ok(page.into_participants(app).into_iter().zip(cursors).collect())
}

/// Reads participants in the order in which they joined.
pub(super) async fn read_page(
    conn: &impl ConnectionTrait,
    user: UserId,
    id: ConversationId,
    after: Option<(Timestamp, UserId)>,
    limit: u64,
) -> Result<ParticipantsView> {
    let page = ParticipantsView::read(conn, user, members::page(conn, id, after, limit).await?).await?;
    // Check membership after reading: a user removed meanwhile must not see newer rows.
    access::require_participant(conn, id, user).await?;
    Ok(page)
}

/// Returns one participant. Fails with `not_found` if `user` is not in the conversation.
pub async fn get(app: &App, caller: &Caller, id: ConversationId, user: &UserRef) -> Result<Participant> {
    let (viewer, user) = (caller.user_id, user.clone());
    let found = read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move {
            let rows = match users::by_ref(conn, &user).await? {
                Some(user) => members::by_users(conn, id, &[user.id]).await?,
                None => Vec::new(),
            };
            let found = ParticipantsView::read(conn, viewer, rows).await?;
            // Check membership after reading: a user removed meanwhile must not see newer rows.
            access::require_participant(conn, id, viewer).await?;
            Ok(found)
        })
    })
    .await?;
    found.into_participants(app).pop().ok_or_else(|| Error::not_found("participant"))
}

/// Adds users to a group and returns them as participants. Users who are in it already keep their role.
pub async fn add(
    app: &App,
    caller: &Caller,
    id: ConversationId,
    references: &[UserRef],
    role: Role,
) -> Result<Vec<Participant>> {
    let caller = *caller;
    if references.is_empty() {
        return Err(Error::invalid("user_ids", "must not be empty"));
    }
    if role == Role::Owner {
        return Err(Error::invalid("role", "must be admin, member or observer"));
    }
    let references = references.to_vec();
    let users =
        read(app, ReadPool::Ordinary, move |conn| Box::pin(async move { resolve(conn, &references).await })).await?;
    let named = users.clone();
    let rows = limits::FEW_ROWS + limits::ROWS_PER_MEMBER * users.len();
    transact_for(app, caller.user_id, rows, move |tx| {
        let users = users.clone();
        Box::pin(async move { add_in(tx, &caller, id, users, role).await })
    })
    .await?;
    let added = read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move {
            ParticipantsView::read(conn, caller.user_id, members::by_users(conn, id, &named).await?).await
        })
    });
    Ok(added.await?.into_participants(app))
}

async fn add_in(tx: &mut Tx, caller: &Caller, id: ConversationId, users: Vec<UserId>, role: Role) -> Result<()> {
    tx.lock_conversations(&[id]).await?;
    let own = access::require_group_role(tx, id, caller.user_id).await?;
    let roles = members::roles(tx.conn(), id, &users).await?;
    if !own.may(Action::Add(role)) {
        return Err(Error::forbidden("Only owners and admins can add members, with a role below their own."));
    }
    let new: Vec<UserId> = users.into_iter().filter(|user| !roles.contains_key(user)).collect();
    if new.is_empty() {
        return Ok(());
    }
    let members_before = tx.require_conversation(id)?.member_count as usize;
    if members_before + new.len() > limits::GROUP_MEMBERS {
        return Err(Error::group_full());
    }
    tx.lock_users(&new).await?;
    if !new.iter().all(|user| tx.has_user(*user)) {
        return Err(Error::user_not_found());
    }
    let briefs = users::briefs(tx.conn(), &new).await?;
    let joined =
        new.iter().filter_map(|user| briefs.get(user)).map(|user| JoinedParticipant { user: user.clone(), role });
    for participants in split_joined(joined)? {
        tx.append(
            Stream::Conversation(id),
            &Event::ParticipantJoined(ParticipantJoined { conversation_id: id, participants }),
        );
    }
    let added =
        system_messages::insert(tx, id, SystemMessage::MembersAdded { actor: caller.user_id, users: &new }).await?;
    let start = ViewStart {
        joined_at: tx.now(),
        joined_rev: added.rev,
        last_read_seq: added.seq,
        last_read_count: added.count,
    };
    let mut rows: Vec<_> = new.iter().map(|user_id| NewParticipant { user_id: *user_id, role }).collect();
    // Insert in the order of the indexes, so that each index page is visited once.
    rows.sort_unstable_by_key(|new| new.user_id);
    insert_participants(tx, id, &rows, start).await?;
    append_joined(tx, id, &rows).await
}

/// Splits the users who joined into one part for each event. A part has at most [`limits::JOINED_BYTES`], or one user.
fn split_joined(joined: impl Iterator<Item = JoinedParticipant>) -> Result<Vec<Vec<JoinedParticipant>>> {
    let (mut parts, mut part, mut bytes) = (Vec::new(), Vec::new(), 0);
    for participant in joined {
        let size = serde_json::to_string(&participant).map_err(Error::internal)?.len();
        if !part.is_empty() && bytes + size > limits::JOINED_BYTES {
            parts.push(std::mem::take(&mut part));
            bytes = 0;
        }
        bytes += size;
        part.push(participant);
    }
    parts.push(part);
    Ok(parts)
}

/// Removes a participant. If this is the caller, the caller leaves. `participant.left` is the last event of the
/// conversation that the user gets.
pub async fn remove(app: &App, caller: &Caller, id: ConversationId, user: &UserRef) -> Result<()> {
    let (caller, user) = (*caller, user.clone());
    let user = match user {
        UserRef::Id(user) => user,
        other => find_user(app, other).await?.ok_or_else(|| Error::not_found("participant"))?,
    };
    transact_for(app, caller.user_id, limits::FEW_ROWS, move |tx| Box::pin(remove_in(tx, caller, id, user))).await
}

async fn find_user(app: &App, user: UserRef) -> Result<Option<UserId>> {
    let found =
        read(app, ReadPool::Ordinary, move |conn| Box::pin(async move { Ok(users::by_ref(conn, &user).await?) }));
    Ok(found.await?.map(|row| row.id))
}

/// Removes the caller from a group. The role of the owner passes to the oldest admin, else to the oldest member. The
/// group is deleted with its last member.
pub async fn leave(app: &App, caller: &Caller, id: ConversationId) -> Result<()> {
    remove(app, caller, id, &UserRef::Id(caller.user_id)).await
}

async fn remove_in(tx: &mut Tx, caller: Caller, id: ConversationId, user: UserId) -> Result<()> {
    tx.lock_conversations(&[id]).await?;
    let kind = tx.require_conversation(id)?.kind;
    tx.lock_users(&[user]).await?;
    let own = access::require_inside(&access::get_rights(tx, id, caller.user_id).await?)?;
    match kind {
        ConversationKind::Direct => return Err(Error::cannot_leave_direct()),
        ConversationKind::Class => return Err(Error::class_conversation()),
        ConversationKind::Group => {}
    }
    let leaves = user == caller.user_id;
    let Some(role) = members::role(tx.conn(), id, user).await? else {
        // Removing a user who is not in the group changes nothing, but only for callers who may remove members.
        return if own.may(Action::Remove(Role::Observer)) {
            Ok(())
        } else {
            Err(Error::forbidden("Only owners and admins can remove members."))
        };
    };
    if !leaves && !own.may(Action::Remove(role)) {
        return Err(Error::forbidden("Owners can remove every member, and admins can remove members and observers."));
    }
    let reason = if leaves { LeftReason::Left } else { LeftReason::Removed };
    let event = Event::ParticipantLeft(ParticipantLeft { conversation_id: id, user_id: user, reason });
    let rev = tx.append(Stream::Conversation(id), &event);
    remove_participant(tx, id, user, rev).await?;
    tx.after_commit(move |app| typing::stop_all(app, id, user));
    if tx.has_user(user) {
        tx.append(Stream::User(user), &Event::ConversationRemoved(ConversationRemoved { conversation_id: id }));
    }
    match members::next_owner(tx.conn(), id).await? {
        Some(successor) if role == Role::Owner => update_role_in(tx, id, successor, Role::Owner).await?,
        Some(_) => {}
        None => crate::store::conversations::delete(tx.conn(), id, tx.now()).await?,
    }
    let message = if leaves {
        SystemMessage::MemberLeft { user }
    } else {
        SystemMessage::MemberRemoved { actor: caller.user_id, user }
    };
    system_messages::insert(tx, id, message).await?;
    Ok(())
}

/// Changes the role of a participant. An owner who makes another member the owner becomes an admin. Other members can
/// lower their own role.
pub async fn update_role(
    app: &App,
    caller: &Caller,
    id: ConversationId,
    user: &UserRef,
    role: Role,
) -> Result<Participant> {
    let (caller, user) = (*caller, user.clone());
    let user = find_user(app, user).await?;
    let rows = transact_for(app, caller.user_id, limits::FEW_ROWS, move |tx| {
        Box::pin(change_role_in(tx, caller, id, user, role))
    })
    .await?;
    let changed = read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move { ParticipantsView::read(conn, caller.user_id, rows).await })
    });
    changed.await?.into_participants(app).pop().ok_or_else(|| Error::not_found("participant"))
}

async fn change_role_in(
    tx: &mut Tx,
    caller: Caller,
    id: ConversationId,
    user: Option<UserId>,
    role: Role,
) -> Result<Vec<ParticipantRow>> {
    tx.lock_conversations(&[id]).await?;
    let own = access::require_group_role(tx, id, caller.user_id).await?;
    let current = match user {
        Some(user) => members::role(tx.conn(), id, user).await?.map(|current| (user, current)),
        None => None,
    };
    let lowest = Action::SetRole { from: Role::Observer, to: Role::Observer };
    let (user, from) = match current {
        Some(current) => current,
        None if own.may(lowest) => return Err(Error::not_found("participant")),
        None => return Err(Error::forbidden("Only owners and admins can change roles.")),
    };
    if user == caller.user_id {
        if own == Role::Owner {
            return Err(Error::forbidden("The owner cannot change their own role; make another member the owner."));
        }
        if role > own {
            return Err(Error::forbidden("You cannot raise your own role; ask an owner or an admin."));
        }
    } else if !own.may(Action::SetRole { from, to: role }) {
        return Err(Error::forbidden(
            "Owners can give every role. Admins can give roles below their own to members below them.",
        ));
    }
    if from != role {
        update_role_in(tx, id, user, role).await?;
        if role == Role::Owner {
            update_role_in(tx, id, caller.user_id, Role::Admin).await?;
        }
    }
    Ok(members::by_users(tx.conn(), id, &[user]).await?)
}

async fn update_role_in(tx: &mut Tx, id: ConversationId, user: UserId, role: Role) -> Result<()> {
    members::set_role(tx.conn(), id, user, role).await?;
    let event = Event::ParticipantUpdated(ParticipantUpdated { conversation_id: id, user_id: user, role });
    tx.append(Stream::Conversation(id), &event);
    Ok(())
}
