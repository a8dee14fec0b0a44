//! The participants of a conversation: listing, adding and removing them, and leaving. Each change locks the
//! conversation first and checks the role after the lock, so that a removal and a concurrent send see each other's
//! result.

use super::Caller;
use super::system_messages::{self, SystemMessage};
use super::transact::{Tx, transact_for};
use super::{conversations, rights, typing};
use crate::app::App;
use crate::domain::ids::{ConversationId, UserId};
use crate::domain::limits;
use crate::domain::names::UserRef;
use crate::domain::roles::{Action, ConversationKind, Role};
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::protocol::events::{Event, LeftReason};
use crate::protocol::resources::{JoinedParticipant, Participant, PresenceStatus};
use crate::store::participants::{self, NewParticipant, ParticipantRow, ViewStart};
use crate::store::pools::ReadPool;
use crate::store::users;
use std::collections::HashSet;

/// Returns the users that `references` name, each once and in this order. Fails with `user_not_found` if one does not
/// exist.
pub async fn resolve(app: &App, references: &[UserRef]) -> Result<Vec<UserId>> {
    if references.len() > limits::IDS_IN_COMMAND {
        return Err(Error::group_full());
    }
    let (mut ids, mut seen) = (Vec::with_capacity(references.len()), HashSet::with_capacity(references.len()));
    for id in users::ids_by_refs(app.db().read(ReadPool::Ordinary), references).await? {
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
    let rows = participants::page(app.db().read(ReadPool::Ordinary), id, after, limit).await?;
    // Check membership after reading: a user removed meanwhile must not see newer rows.
    conversations::require_participant(app, caller, id).await?;
    let cursors: Vec<_> = rows.iter().map(|row| (row.joined_at, row.user.id)).collect();
    Ok(to_visible(app, caller, rows).await?.into_iter().zip(cursors).collect())
}

/// Returns one participant of a conversation.
pub async fn get(app: &App, caller: &Caller, id: ConversationId, user: &UserRef) -> Result<Participant> {
    let user = users::by_ref(app.db().read(ReadPool::Ordinary), user).await?;
    let rows = match user {
        Some(user) => participants::by_users(app.db().read(ReadPool::Ordinary), id, &[user.id]).await?,
        None => Vec::new(),
    };
    let mut found = to_visible(app, caller, rows).await?;
    // Check membership after reading: a user removed meanwhile must not see newer rows.
    conversations::require_participant(app, caller, id).await?;
    found.pop().ok_or_else(|| Error::not_found("participant"))
}

/// Converts rows to what the caller may see. A block hides presence and read marks. Read marks are shown only if both
/// users share theirs.
async fn to_visible(app: &App, caller: &Caller, rows: Vec<ParticipantRow>) -> Result<Vec<Participant>> {
    let me = users::by_id(app.db().read(ReadPool::Ordinary), caller.user_id).await?;
    let shares = me.is_some_and(|me| me.share_read_receipts);
    let ids: Vec<UserId> = rows.iter().map(|row| row.user.id).collect();
    let visible = users::visible_to(app.db().read(ReadPool::Ordinary), caller.user_id, &ids).await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let is_visible = visible.contains(&row.user.id);
            let presence = if is_visible { app.presence().status(row.user.id) } else { PresenceStatus::Offline };
            row.into_resource(caller.user_id, shares && is_visible, presence)
        })
        .collect())
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
    let users = resolve(app, references).await?;
    let named = users.clone();
    let rows = limits::FEW_ROWS + limits::ROWS_PER_MEMBER * users.len();
    transact_for(app, caller.user_id, rows, move |tx| {
        let users = users.clone();
        Box::pin(async move { add_in(tx, &caller, id, users, role).await })
    })
    .await?;
    let rows = participants::by_users(app.db().read(ReadPool::Ordinary), id, &named).await?;
    to_visible(app, &caller, rows).await
}

async fn add_in(tx: &mut Tx, caller: &Caller, id: ConversationId, users: Vec<UserId>, role: Role) -> Result<()> {
    tx.lock_conversations(&[id]).await?;
    let own = require_group_role(tx, caller, id).await?;
    let roles = participants::roles(tx.conn(), id, &users).await?;
    if !own.may(Action::Add(role)) {
        return Err(Error::forbidden("Only owners and admins can add members, with a role below their own."));
    }
    let new: Vec<UserId> = users.into_iter().filter(|user| !roles.contains_key(user)).collect();
    if new.is_empty() {
        return Ok(());
    }
    if participants::count(tx.conn(), id).await? as usize + new.len() > limits::GROUP_MEMBERS {
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
        tx.append(Stream::Conversation(id), &Event::ParticipantJoined { conversation_id: id, participants });
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
    participants::insert(tx.conn(), id, &rows, start).await?;
    conversations::append_joined(tx, id, &rows).await
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
    let user = match user {
        UserRef::Id(user) => *user,
        other => match users::by_ref(app.db().read(ReadPool::Ordinary), other).await? {
            Some(row) => row.brief().id,
            None => return Err(Error::not_found("participant")),
        },
    };
    let caller = *caller;
    transact_for(app, caller.user_id, limits::FEW_ROWS, move |tx| Box::pin(remove_in(tx, caller, id, user))).await?;
    typing::stop_all(app, id, user);
    Ok(())
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
    let own = rights::require_inside(&rights::get_sender(tx, id, caller.user_id).await?)?;
    match kind {
        ConversationKind::Direct => return Err(Error::cannot_leave_direct()),
        ConversationKind::Class => return Err(Error::class_conversation()),
        ConversationKind::Group => {}
    }
    let leaves = user == caller.user_id;
    let Some(role) = participants::role(tx.conn(), id, user).await? else {
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
    let event = Event::ParticipantLeft { conversation_id: id, user_id: user, reason };
    let rev = tx.append(Stream::Conversation(id), &event);
    participants::leave(tx.conn(), id, user, tx.now(), rev).await?;
    if tx.has_user(user) {
        tx.append(Stream::User(user), &Event::ConversationRemoved { conversation_id: id });
    }
    match participants::next_owner(tx.conn(), id).await? {
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
    let caller = *caller;
    let user = users::by_ref(app.db().read(ReadPool::Ordinary), user).await?.map(|row| row.id);
    let rows = transact_for(app, caller.user_id, limits::FEW_ROWS, move |tx| {
        Box::pin(change_role_in(tx, caller, id, user, role))
    })
    .await?;
    to_visible(app, &caller, rows).await?.pop().ok_or_else(|| Error::not_found("participant"))
}

async fn change_role_in(
    tx: &mut Tx,
    caller: Caller,
    id: ConversationId,
    user: Option<UserId>,
    role: Role,
) -> Result<Vec<ParticipantRow>> {
    tx.lock_conversations(&[id]).await?;
    let own = require_group_role(tx, &caller, id).await?;
    let current = match user {
        Some(user) => participants::role(tx.conn(), id, user).await?.map(|current| (user, current)),
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
    Ok(participants::by_users(tx.conn(), id, &[user]).await?)
}

async fn update_role_in(tx: &mut Tx, id: ConversationId, user: UserId, role: Role) -> Result<()> {
    participants::set_role(tx.conn(), id, user, role).await?;
    let event = Event::ParticipantUpdated { conversation_id: id, user_id: user, role };
    tx.append(Stream::Conversation(id), &event);
    Ok(())
}

/// Returns the caller's role in a locked conversation. Fails if it is not a group, because members of other
/// conversations are not managed here.
pub(super) async fn require_group_role(tx: &Tx, caller: &Caller, id: ConversationId) -> Result<Role> {
    let kind = tx.require_conversation(id)?.kind;
    let own = rights::require_inside(&rights::get_sender(tx, id, caller.user_id).await?)?;
    match kind {
        ConversationKind::Class => Err(Error::class_conversation()),
        ConversationKind::Direct => Err(Error::conflict(
            "A direct conversation always has two participants and no roles; create a group instead.",
        )),
        ConversationKind::Group => Ok(own),
    }
}
