//! Who is in a conversation: look, add, remove, leave. Each change locks the conversation first and asks the permission
//! table after the lock, so that a removal and a send that race see each other.

use super::Caller;
use super::transact::{Place, Tx, transact};
use super::{conversations, typing};
use crate::app::App;
use crate::domain::content::MessageKind;
use crate::domain::ids::{ConversationId, MessageId, UserId};
use crate::domain::limits;
use crate::domain::names::UserRef;
use crate::domain::roles::{Action, ConversationKind, Role};
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::protocol::events::{Event, LeftReason};
use crate::protocol::resources::{Joined, Message, Participant};
use crate::store::participants::{self, NewParticipant, Start};
use crate::store::users;
use crate::store::writes::NewMessage;
use serde_json::json;

/// The users that references name, each once, in their order; `user_not_found` if one names nobody.
pub async fn resolve(app: &App, references: &[UserRef]) -> Result<Vec<UserId>> {
    if references.len() > limits::IDS_IN_COMMAND {
        return Err(Error::group_full());
    }
    let mut ids = Vec::with_capacity(references.len());
    for row in users::by_refs(app.db().read(), references).await? {
        let id = row.ok_or_else(Error::user_not_found)?.brief().id;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// What a system message tells.
pub(super) enum System<'a> {
    /// The group was made.
    GroupCreated { actor: UserId, name: &'a str },
    /// These were added.
    MembersAdded { actor: UserId, users: &'a [UserId] },
    /// This one was removed.
    MemberRemoved { actor: UserId, user: UserId },
    /// This one left.
    MemberLeft { user: UserId },
}

/// Puts a system message into a locked conversation; it takes a place and is not counted as unread.
pub(super) async fn system_message(tx: &mut Tx, id: ConversationId, what: System<'_>) -> Result<Place> {
    let mut named = match &what {
        System::GroupCreated { actor, .. } => vec![*actor],
        System::MembersAdded { actor, users } => [&[*actor], *users].concat(),
        System::MemberRemoved { actor, user } => vec![*actor, *user],
        System::MemberLeft { user } => vec![*user],
    };
    named.truncate(4);
    let briefs = users::briefs(tx.conn(), &named).await?;
    let name_of = |id: &UserId| briefs.get(id).map_or("somebody", |brief| brief.display_name.as_str());
    let (data, content) = match &what {
        System::GroupCreated { actor, name } => (
            json!({"event": "group_created", "actor_id": actor, "name": name}),
            format!("{} created the group “{name}”", name_of(actor)),
        ),
        System::MembersAdded { actor, users } => (
            json!({"event": "members_added", "actor_id": actor, "user_ids": users}),
            format!("{} added {}", name_of(actor), enumerate(users, name_of)),
        ),
        System::MemberRemoved { actor, user } => (
            json!({"event": "member_removed", "actor_id": actor, "user_ids": [user]}),
            format!("{} removed {}", name_of(actor), name_of(user)),
        ),
        System::MemberLeft { user } => {
            (json!({"event": "member_left", "actor_id": user}), format!("{} left", name_of(user)))
        }
    };
    let place = tx.next_place(id, false);
    let message = Message {
        id: MessageId::new(),
        conversation_id: id,
        seq: place.seq,
        sender_id: None,
        sender: None,
        kind: MessageKind::System,
        content,
        data: Some(data),
        attachments: Vec::new(),
        reply_to: None,
        mentions: Vec::new(),
        reactions: Vec::new(),
        pinned: false,
        status: None,
        temp_id: None,
        edited_at: None,
        deleted_at: None,
        created_at: tx.now(),
    };
    tx.insert_message(NewMessage {
        id: message.id,
        conversation_id: id,
        seq: place.seq,
        count: place.count,
        rev: place.rev,
        sender_id: None,
        kind: MessageKind::System.as_str(),
        content: message.content.clone(),
        data: message.data.as_ref().map(ToString::to_string),
        reply_to_id: None,
        temp_id: None,
        body_hash: None,
        created_at: tx.now(),
    });
    tx.append(Stream::Conversation(id), &Event::MessageNew { conversation_id: id, message: Box::new(message) });
    Ok(place)
}

/// "Ada", "Ada and Bo", "Ada, Bo and 7 others"
fn enumerate<'a>(users: &[UserId], name_of: impl Fn(&UserId) -> &'a str) -> String {
    match users {
        [] => String::new(),
        [one] => name_of(one).to_owned(),
        [one, two] => format!("{} and {}", name_of(one), name_of(two)),
        [one, two, three] => format!("{}, {} and {}", name_of(one), name_of(two), name_of(three)),
        [one, two, rest @ ..] => format!("{}, {} and {} others", name_of(one), name_of(two), rest.len()),
    }
}

/// Participants in the order in which they joined, each with its place for the next page.
pub async fn page(
    app: &App,
    caller: &Caller,
    id: ConversationId,
    after: Option<(Timestamp, UserId)>,
    limit: u64,
) -> Result<Vec<(Participant, (Timestamp, UserId))>> {
    let rows = participants::page(app.db().read(), id, after, limit).await?;
    // the right last: whoever is removed while the rows are read is not shown who came after
    conversations::require_participant(app, caller, id).await?;
    let places: Vec<_> = rows.iter().map(|row| (row.joined_at, row.user.id)).collect();
    Ok(present(app, caller, rows).await?.into_iter().zip(places).collect())
}

/// One participant.
pub async fn get(app: &App, caller: &Caller, id: ConversationId, user: &UserRef) -> Result<Participant> {
    conversations::require_participant(app, caller, id).await?;
    let user = users::by_ref(app.db().read(), user).await?.ok_or_else(|| Error::not_found("participant"))?;
    let rows = participants::among(app.db().read(), id, &[user.brief().id]).await?;
    present(app, caller, rows).await?.pop().ok_or_else(|| Error::not_found("participant"))
}

/// `rows` as the caller may see them: presence and read marks not across a block, marks only when both share theirs.
async fn present(app: &App, caller: &Caller, rows: Vec<participants::ParticipantRow>) -> Result<Vec<Participant>> {
    let me = users::by_id(app.db().read(), caller.user_id).await?;
    let shares = me.is_some_and(|me| me.share_read_receipts);
    let ids: Vec<UserId> = rows.iter().map(|row| row.user.id).collect();
    let visible = users::visible_to(app.db().read(), caller.user_id, &ids).await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let seen = visible.contains(&row.user.id);
            let presence = if seen {
                app.presence().status(row.user.id)
            } else {
                crate::protocol::resources::PresenceStatus::Offline
            };
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
    transact(app, move |tx| {
        let users = users.clone();
        Box::pin(async move { add_in(tx, &caller, id, users, role).await })
    })
    .await?;
    let rows = participants::among(app.db().read(), id, &named).await?;
    present(app, &caller, rows).await
}

async fn add_in(tx: &mut Tx, caller: &Caller, id: ConversationId, users: Vec<UserId>, role: Role) -> Result<()> {
    tx.lock_conversations(&[id]).await?;
    let kind = tx.existing(id)?.kind;
    let mut asked = users.clone();
    asked.push(caller.user_id);
    let roles = participants::roles(tx.conn(), id, &asked).await?;
    let own = *roles.get(&caller.user_id).ok_or_else(Error::not_a_participant)?;
    match kind {
        ConversationKind::Class => return Err(Error::class_conversation()),
        ConversationKind::Direct => return Err(Error::conflict("a direct conversation has exactly two participants")),
        ConversationKind::Group => {}
    }
    if !own.may(Action::Add(role)) {
        return Err(Error::forbidden("owners and admins add members, with a role below their own"));
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
    let event = Event::ParticipantJoined { conversation_id: id, participants: joined.collect() };
    tx.append(Stream::Conversation(id), &event);
    let told = system_message(tx, id, System::MembersAdded { actor: caller.user_id, users: &new }).await?;
    let start =
        Start { joined_at: tx.now(), joined_rev: told.rev, last_read_seq: told.seq, last_read_count: told.count };
    let rows: Vec<_> = new.iter().map(|user_id| NewParticipant { user_id: *user_id, role }).collect();
    participants::insert(tx.conn(), id, &rows, start).await?;
    conversations::tell_created(tx, id, &new).await
}

/// Removes a participant, or leaves when it is the caller. The last event the one who left sees is `participant.left`.
pub async fn remove(app: &App, caller: &Caller, id: ConversationId, user: &UserRef) -> Result<()> {
    let user = match user {
        UserRef::Id(user) => *user,
        other => match users::by_ref(app.db().read(), other).await? {
            Some(row) => row.brief().id,
            None => return Err(Error::not_found("participant")),
        },
    };
    let caller = *caller;
    transact(app, move |tx| Box::pin(remove_in(tx, caller, id, user))).await?;
    typing::ended(app, id, user).await;
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
    let roles = participants::roles(tx.conn(), id, &[caller.user_id, user]).await?;
    let own = *roles.get(&caller.user_id).ok_or_else(Error::not_a_participant)?;
    match kind {
        ConversationKind::Direct => return Err(Error::cannot_leave_direct()),
        ConversationKind::Class => return Err(Error::class_conversation()),
        ConversationKind::Group => {}
    }
    let itself = user == caller.user_id;
    let Some(role) = roles.get(&user).copied() else {
        // removing whoever is out already changes nothing, for those who may remove at all
        return if own.may(Action::Remove(Role::Observer)) {
            Ok(())
        } else {
            Err(Error::forbidden("owners and admins remove members"))
        };
    };
    if !itself && !own.may(Action::Remove(role)) {
        return Err(Error::forbidden("owners remove anybody, admins remove members"));
    }
    let reason = if itself { LeftReason::Left } else { LeftReason::Removed };
    let event = Event::ParticipantLeft { conversation_id: id, user_id: user, reason };
    let rev = tx.append(Stream::Conversation(id), &event);
    participants::leave(tx.conn(), id, user, tx.now(), rev).await?;
    if tx.has_user(user) {
        tx.append(Stream::User(user), &Event::ConversationRemoved { conversation_id: id });
    }
    if role == Role::Owner {
        match participants::heir(tx.conn(), id).await? {
            Some(heir) => {
                participants::set_role(tx.conn(), id, heir, Role::Owner).await?;
                let event = Event::ParticipantUpdated { conversation_id: id, user_id: heir, role: Role::Owner };
                tx.append(Stream::Conversation(id), &event);
            }
            None => crate::store::conversations::delete(tx.conn(), id, tx.now()).await?,
        }
    }
    let what = if itself { System::MemberLeft { user } } else { System::MemberRemoved { actor: caller.user_id, user } };
    system_message(tx, id, what).await?;
    Ok(())
}
