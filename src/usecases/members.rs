//! Who is in a conversation: look, add, remove, leave. Each change locks the conversation first and asks the permission
//! table after the lock, so that a removal and a send that race see each other.

use super::Caller;
use super::system_messages::{self, System};
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
use crate::protocol::resources::{Joined, Participant, PresenceStatus};
use crate::store::participants::{self, NewParticipant, ParticipantRow, Start};
use crate::store::pools::Share;
use crate::store::users;
use std::collections::HashSet;

/// The users that references name, each once, in their order; `user_not_found` if one names nobody.
pub async fn resolve(app: &App, references: &[UserRef]) -> Result<Vec<UserId>> {
    if references.len() > limits::IDS_IN_COMMAND {
        return Err(Error::group_full());
    }
    let (mut ids, mut named) = (Vec::with_capacity(references.len()), HashSet::with_capacity(references.len()));
    for id in users::ids_by_refs(app.db().read(Share::Ordinary), references).await? {
        let id = id.ok_or_else(Error::user_not_found)?;
        if named.insert(id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// Participants in the order in which they joined, each with its place for the next page.
pub async fn page(
    app: &App,
    caller: &Caller,
    id: ConversationId,
    after: Option<(Timestamp, UserId)>,
    limit: u64,
) -> Result<Vec<(Participant, (Timestamp, UserId))>> {
    let rows = participants::page(app.db().read(Share::Ordinary), id, after, limit).await?;
    // the right last: whoever is removed while the rows are read is not shown who came after
    conversations::require_participant(app, caller, id).await?;
    let places: Vec<_> = rows.iter().map(|row| (row.joined_at, row.user.id)).collect();
    Ok(present(app, caller, rows).await?.into_iter().zip(places).collect())
}

/// One participant.
pub async fn get(app: &App, caller: &Caller, id: ConversationId, user: &UserRef) -> Result<Participant> {
    let user = users::by_ref(app.db().read(Share::Ordinary), user).await?;
    let rows = match user {
        Some(user) => participants::among(app.db().read(Share::Ordinary), id, &[user.id]).await?,
        None => Vec::new(),
    };
    let mut found = present(app, caller, rows).await?;
    // the right last: whoever is removed while the rows are read is not shown what came after
    conversations::require_participant(app, caller, id).await?;
    found.pop().ok_or_else(|| Error::not_found("participant"))
}

/// `rows` as the caller may see them: presence and read marks not across a block, marks only when both share theirs.
async fn present(app: &App, caller: &Caller, rows: Vec<ParticipantRow>) -> Result<Vec<Participant>> {
    let me = users::by_id(app.db().read(Share::Ordinary), caller.user_id).await?;
    let shares = me.is_some_and(|me| me.share_read_receipts);
    let ids: Vec<UserId> = rows.iter().map(|row| row.user.id).collect();
    let visible = users::visible_to(app.db().read(Share::Ordinary), caller.user_id, &ids).await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let seen = visible.contains(&row.user.id);
            let presence = if seen { app.presence().status(row.user.id) } else { PresenceStatus::Offline };
            row.resource(caller.user_id, shares && seen, presence)
        })
        .collect())
}

/// Adds users to a group; whoever is in it already stays as they are. Answers with the participants named.
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
    let rows = participants::among(app.db().read(Share::Ordinary), id, &named).await?;
    present(app, &caller, rows).await
}

async fn add_in(tx: &mut Tx, caller: &Caller, id: ConversationId, users: Vec<UserId>, role: Role) -> Result<()> {
    tx.lock_conversations(&[id]).await?;
    let own = in_group(tx, caller, id).await?;
    let roles = participants::roles(tx.conn(), id, &users).await?;
    if !own.may(Action::Add(role)) {
        return Err(Error::forbidden("only owners and admins can add members, with a role below their own"));
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
    let joined = new.iter().filter_map(|user| briefs.get(user)).map(|user| Joined { user: user.clone(), role });
    for participants in in_parts(joined)? {
        tx.append(Stream::Conversation(id), &Event::ParticipantJoined { conversation_id: id, participants });
    }
    let told = system_messages::put(tx, id, System::MembersAdded { actor: caller.user_id, users: &new }).await?;
    let start =
        Start { joined_at: tx.now(), joined_rev: told.rev, last_read_seq: told.seq, last_read_count: told.count };
    let mut rows: Vec<_> = new.iter().map(|user_id| NewParticipant { user_id: *user_id, role }).collect();
    // in the order of the indexes, so that each page of them is visited once
    rows.sort_unstable_by_key(|new| new.user_id);
    participants::insert(tx.conn(), id, &rows, start).await?;
    conversations::tell_joined(tx, id, &rows).await
}

/// Those who joined, in as many parts as it takes for no event to be large.
fn in_parts(joined: impl Iterator<Item = Joined>) -> Result<Vec<Vec<Joined>>> {
    let (mut parts, mut part, mut bytes) = (Vec::new(), Vec::new(), 0);
    for participant in joined {
        let more = serde_json::to_string(&participant).map_err(Error::internal)?.len();
        if !part.is_empty() && bytes + more > limits::JOINED_BYTES {
            parts.push(std::mem::take(&mut part));
            bytes = 0;
        }
        bytes += more;
        part.push(participant);
    }
    parts.push(part);
    Ok(parts)
}

/// Removes a participant, or leaves when it is the caller. The last event the one who left sees is `participant.left`.
pub async fn remove(app: &App, caller: &Caller, id: ConversationId, user: &UserRef) -> Result<()> {
    let user = match user {
        UserRef::Id(user) => *user,
        other => match users::by_ref(app.db().read(Share::Ordinary), other).await? {
            Some(row) => row.brief().id,
            None => return Err(Error::not_found("participant")),
        },
    };
    let caller = *caller;
    transact_for(app, caller.user_id, limits::FEW_ROWS, move |tx| Box::pin(remove_in(tx, caller, id, user))).await?;
    typing::ended(app, id, user);
    Ok(())
}

/// Leaves a group. The owner's role passes to the oldest admin, else to the oldest member; the last one out deletes it.
pub async fn leave(app: &App, caller: &Caller, id: ConversationId) -> Result<()> {
    remove(app, caller, id, &UserRef::Id(caller.user_id)).await
}

async fn remove_in(tx: &mut Tx, caller: Caller, id: ConversationId, user: UserId) -> Result<()> {
    tx.lock_conversations(&[id]).await?;
    let kind = tx.existing(id)?.kind;
    tx.lock_users(&[user]).await?;
    let own = rights::inside(&rights::sender(tx, id, caller.user_id).await?)?;
    match kind {
        ConversationKind::Direct => return Err(Error::cannot_leave_direct()),
        ConversationKind::Class => return Err(Error::class_conversation()),
        ConversationKind::Group => {}
    }
    let itself = user == caller.user_id;
    let Some(role) = participants::role(tx.conn(), id, user).await? else {
        // removing whoever is out already changes nothing, for those who may remove at all
        return if own.may(Action::Remove(Role::Observer)) {
            Ok(())
        } else {
            Err(Error::forbidden("only owners and admins can remove members"))
        };
    };
    if !itself && !own.may(Action::Remove(role)) {
        return Err(Error::forbidden("owners can remove anybody, and admins members and observers"));
    }
    let reason = if itself { LeftReason::Left } else { LeftReason::Removed };
    let event = Event::ParticipantLeft { conversation_id: id, user_id: user, reason };
    let rev = tx.append(Stream::Conversation(id), &event);
    participants::leave(tx.conn(), id, user, tx.now(), rev).await?;
    if tx.has_user(user) {
        tx.append(Stream::User(user), &Event::ConversationRemoved { conversation_id: id });
    }
    match participants::heir(tx.conn(), id).await? {
        Some(heir) if role == Role::Owner => give_role(tx, id, heir, Role::Owner).await?,
        Some(_) => {}
        None => crate::store::conversations::delete(tx.conn(), id, tx.now()).await?,
    }
    let what = if itself { System::MemberLeft { user } } else { System::MemberRemoved { actor: caller.user_id, user } };
    system_messages::put(tx, id, what).await?;
    Ok(())
}

/// Gives a participant another role. The owner gives theirs away by giving it, and is an admin then; anybody else may lower
/// their own.
pub async fn set_role(
    app: &App,
    caller: &Caller,
    id: ConversationId,
    user: &UserRef,
    role: Role,
) -> Result<Participant> {
    let caller = *caller;
    let user = users::by_ref(app.db().read(Share::Ordinary), user).await?.map(|row| row.id);
    let rows = transact_for(app, caller.user_id, limits::FEW_ROWS, move |tx| {
        Box::pin(set_role_in(tx, caller, id, user, role))
    })
    .await?;
    present(app, &caller, rows).await?.pop().ok_or_else(|| Error::not_found("participant"))
}

async fn set_role_in(
    tx: &mut Tx,
    caller: Caller,
    id: ConversationId,
    user: Option<UserId>,
    role: Role,
) -> Result<Vec<ParticipantRow>> {
    tx.lock_conversations(&[id]).await?;
    let own = in_group(tx, &caller, id).await?;
    let current = match user {
        Some(user) => participants::role(tx.conn(), id, user).await?.map(|current| (user, current)),
        None => None,
    };
    let lowest = Action::SetRole { from: Role::Observer, to: Role::Observer };
    let (user, from) = match current {
        Some(current) => current,
        None if own.may(lowest) => return Err(Error::not_found("participant")),
        None => return Err(Error::forbidden("only owners and admins can give roles")),
    };
    if user == caller.user_id {
        if own == Role::Owner {
            return Err(Error::forbidden("an owner changes their own role by making somebody else the owner"));
        }
        if role > own {
            return Err(Error::forbidden("nobody can raise their own role"));
        }
    } else if !own.may(Action::SetRole { from, to: role }) {
        return Err(Error::forbidden(
            "owners can give any role, and admins a role below their own to somebody below them",
        ));
    }
    if from != role {
        give_role(tx, id, user, role).await?;
        if role == Role::Owner {
            give_role(tx, id, caller.user_id, Role::Admin).await?;
        }
    }
    Ok(participants::among(tx.conn(), id, &[user]).await?)
}

async fn give_role(tx: &mut Tx, id: ConversationId, user: UserId, role: Role) -> Result<()> {
    participants::set_role(tx.conn(), id, user, role).await?;
    let event = Event::ParticipantUpdated { conversation_id: id, user_id: user, role };
    tx.append(Stream::Conversation(id), &event);
    Ok(())
}

/// The caller's role in a locked conversation whose members are managed there: a group.
pub(super) async fn in_group(tx: &Tx, caller: &Caller, id: ConversationId) -> Result<Role> {
    let kind = tx.existing(id)?.kind;
    let own = rights::inside(&rights::sender(tx, id, caller.user_id).await?)?;
    match kind {
        ConversationKind::Class => Err(Error::class_conversation()),
        ConversationKind::Direct => Err(Error::conflict(
            "a direct conversation has two participants, and no others and no roles; make a group instead",
        )),
        ConversationKind::Group => Ok(own),
    }
}
