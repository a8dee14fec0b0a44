//! Conversations: make, list, look at, change. Who is in them is in `members`, what is said in them in `messages`.

use super::Caller;
use super::members;
use super::presence;
use super::rights;
use super::system_messages::{self, System};
use super::transact::{Tx, transact_for};
use crate::app::App;
use crate::domain::ids::{ConversationId, Rev, Seq, UserId};
use crate::domain::limits;
use crate::domain::names::{self, UserRef};
use crate::domain::roles::{Action, ConversationKind, Role};
use crate::domain::stream::Stream;
use crate::domain::time::Timestamp;
use crate::error::{Error, FieldError, Result};
use crate::protocol::accounts::Change;
use crate::protocol::conversations::ConversationChange;
use crate::protocol::events::Event;
use crate::protocol::resources::{Conversation, ConversationDetail, UnreadCount};
use crate::store::conversations::{self, Filter, Look, NewConversation, Place};
use crate::store::participants::{self, NewParticipant, Start};
use crate::store::pools::Share;
use crate::store::writes::{self, Head};
use crate::store::{blocks, users};
use std::collections::BTreeMap;

/// A conversation that was asked for, and whether it was made now.
#[derive(Debug)]
pub struct Made {
    /// The conversation as the caller sees it.
    pub conversation: Conversation,
    /// Whether it is new.
    pub new: bool,
}

/// Gets or makes the direct conversation of the caller and another user: one a pair, also when both make it at once.
/// `named` may name the two however often, and must name nobody else.
pub async fn direct(app: &App, caller: &Caller, named: &[UserRef]) -> Result<Made> {
    let caller = *caller;
    let peer = peer(caller, &members::resolve(app, named).await?)?;
    let (id, new) =
        transact_for(app, caller.user_id, limits::FEW_ROWS, move |tx| Box::pin(make_direct(tx, caller.user_id, peer)))
            .await?;
    if new {
        // whoever came or went while the two were not yet a pair told the other nothing
        presence::show(app, caller.user_id, peer);
    }
    Ok(Made { conversation: view(app, &caller, id).await?, new })
}

fn peer(caller: Caller, named: &[UserId]) -> Result<UserId> {
    match named {
        [one] if *one == caller.user_id => Err(Error::self_conversation()),
        [peer] => Ok(*peer),
        [one, peer] | [peer, one] if *one == caller.user_id => Ok(*peer),
        _ => Err(Error::invalid("participant_ids", "must name exactly one other user")),
    }
}

async fn make_direct(tx: &mut Tx, caller: UserId, peer: UserId) -> Result<(ConversationId, bool)> {
    tx.lock_users(&[caller, peer]).await?;
    rights::account(tx, caller).await?;
    if !tx.has_user(peer) {
        return Err(Error::user_not_found());
    }
    if let Some(id) = conversations::direct_of(tx.conn(), caller, peer).await? {
        return Ok((id, false));
    }
    if blocks::between(tx.conn(), caller, peer).await?.stands() {
        return Err(Error::blocked());
    }
    let id = ConversationId::new();
    let direct = Some(conversations::pair(caller, peer));
    insert(
        tx,
        NewConversation {
            id,
            kind: ConversationKind::Direct,
            name: None,
            description: None,
            avatar_url: None,
            direct,
            created_by: caller,
            sent: None,
            created_at: tx.now(),
        },
    )
    .await?;
    let both = [caller, peer].map(|user_id| NewParticipant { user_id, role: Role::Member });
    let start = Start { joined_at: tx.now(), joined_rev: Rev(0), last_read_seq: Seq(0), last_read_count: 0 };
    participants::insert(tx.conn(), id, &both, start).await?;
    tell_created(tx, id, &[caller, peer]).await?;
    Ok((id, true))
}

pub(super) async fn insert(tx: &mut Tx, new: NewConversation) -> Result<()> {
    conversations::insert(tx.conn(), &new).await?;
    tx.created_conversation(
        new.id,
        Head {
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

/// Tells `users`, locked and in the conversation, that they are in it from the revision this transaction has reached.
pub(super) async fn tell_created(tx: &mut Tx, id: ConversationId, users: &[UserId]) -> Result<()> {
    tx.flush().await?;
    for (user, mut conversation) in conversations::views_of(tx.conn(), users, id, tx.now()).await? {
        conversation.last_message = None;
        tx.append(Stream::User(user), &Event::ConversationCreated { conversation: Box::new(conversation) });
    }
    Ok(())
}

/// The same for those who are in a group since just now: as they see it, they differ by their roles alone.
pub(super) async fn tell_joined(tx: &mut Tx, id: ConversationId, joined: &[NewParticipant]) -> Result<()> {
    let Some(one) = joined.first() else { return Ok(()) };
    tx.flush().await?;
    let mut conversation = own_view(tx, one.user_id, id).await?;
    conversation.last_message = None;
    let mut by_role: BTreeMap<Role, Vec<UserId>> = BTreeMap::new();
    for new in joined {
        by_role.entry(new.role).or_default().push(new.user_id);
    }
    for (role, users) in by_role {
        conversation.my.role = role;
        tx.append_same(&users, &Event::ConversationCreated { conversation: Box::new(conversation.clone()) }).await?;
    }
    Ok(())
}

/// A change of a group, checked.
#[derive(Clone)]
struct CheckedChange {
    name: Option<String>,
    description: Change<Option<String>>,
    avatar_url: Change<String>,
}

/// Checks what a group is to be called and look like from now on; every field that is wrong is named.
fn checked(change: ConversationChange) -> Result<CheckedChange> {
    let mut wrong = Vec::new();
    let mut note = |field: &str, message: &str| {
        wrong.push(FieldError { field: field.to_owned(), message: message.to_owned() });
    };
    let name = match change.name {
        Change::Keep => None,
        Change::Clear => Some(Err("must not be null")),
        Change::Set(name) => Some(names::name(&name)),
    };
    let name = name.and_then(|name| name.map_err(|message| note("name", message)).ok());
    let description = match change.description {
        Change::Keep => Change::Keep,
        Change::Clear => Change::Clear,
        Change::Set(text) => {
            names::description(&text).map_err(|message| note("description", message)).map_or(Change::Keep, Change::Set)
        }
    };
    let avatar_url = match change.avatar_url {
        Change::Keep => Change::Keep,
        Change::Clear => Change::Clear,
        Change::Set(url) => {
            names::picture_url(&url).map_err(|message| note("avatar_url", message)).map_or(Change::Keep, Change::Set)
        }
    };
    if let Change::Set(_) = change.avatar_upload_id {
        note("avatar_upload_id", "is not an upload of yours");
    }
    if wrong.is_empty() { Ok(CheckedChange { name, description, avatar_url }) } else { Err(Error::validation(wrong)) }
}

/// Changes what a group is called and looks like. What is absent stays; a change that changes nothing tells nobody.
pub async fn update(
    app: &App,
    caller: &Caller,
    id: ConversationId,
    change: ConversationChange,
) -> Result<Conversation> {
    let caller = *caller;
    let change = checked(change)?;
    let changed = transact_for(app, caller.user_id, limits::FEW_ROWS, move |tx| {
        let CheckedChange { name, description, avatar_url } = change.clone();
        Box::pin(async move {
            tx.lock_conversations(&[id]).await?;
            if !members::in_group(tx, &caller, id).await?.may(Action::Update) {
                return Err(Error::forbidden("only owners and admins can change a group"));
            }
            let old = conversations::look(tx.conn(), id).await?;
            let new = Look {
                name: name.or_else(|| old.name.clone()),
                description: description.applied_to(old.description.clone().map(Some)).flatten(),
                avatar_url: avatar_url.applied_to(old.avatar_url.clone()),
            };
            if new != old {
                change_look(tx, id, caller.user_id, &old, new).await?;
                tx.flush().await?;
            }
            own_view(tx, caller.user_id, id).await
        })
    })
    .await?;
    Ok(with_presence(app, changed))
}

async fn change_look(tx: &mut Tx, id: ConversationId, actor: UserId, old: &Look, new: Look) -> Result<()> {
    conversations::set_look(tx.conn(), id, &new, tx.now()).await?;
    let renamed = new.name.clone().filter(|_| new.name != old.name);
    let event = Event::ConversationUpdated {
        conversation_id: id,
        name: new.name,
        description: new.description,
        avatar_url: new.avatar_url,
        class: None,
        updated_at: tx.now(),
    };
    tx.append(Stream::Conversation(id), &event);
    if let Some(name) = renamed {
        system_messages::put(tx, id, System::Renamed { actor, name: &name }).await?;
    }
    Ok(())
}

/// The direct conversation of the caller and another user, if there is one.
pub async fn existing_direct(app: &App, caller: &Caller, other: &UserRef) -> Result<Conversation> {
    let peer =
        users::by_ref(app.db().read(Share::Ordinary), other).await?.ok_or_else(|| Error::not_found("conversation"))?;
    let id = conversations::direct_of(app.db().read(Share::Ordinary), caller.user_id, peer.brief().id)
        .await?
        .ok_or_else(|| Error::not_found("conversation"))?;
    view(app, caller, id).await
}

/// One conversation as the caller sees it.
pub async fn view(app: &App, caller: &Caller, id: ConversationId) -> Result<Conversation> {
    match conversations::view_of(app.db().read(Share::Ordinary), caller.user_id, id, Timestamp::now()).await? {
        Some(view) => Ok(with_presence(app, view.conversation)),
        None => Err(absent(app, id).await?),
    }
}

/// A locked conversation as a participant sees it, with what this transaction has written of it.
pub(super) async fn own_view(tx: &Tx, user: UserId, id: ConversationId) -> Result<Conversation> {
    let view = conversations::view_of(tx.conn(), user, id, tx.now()).await?;
    Ok(view.ok_or_else(Error::not_a_participant)?.conversation)
}

/// One conversation with its first participants.
pub async fn detail(app: &App, caller: &Caller, id: ConversationId) -> Result<ConversationDetail> {
    let conversation = view(app, caller, id).await?;
    let members = members::page(app, caller, id, None, limits::DETAIL_MEMBERS).await?;
    Ok(ConversationDetail { conversation, members: members.into_iter().map(|(member, _)| member).collect() })
}

/// The caller's conversations after a place: pinned ones first, then the newest message first.
pub async fn list(
    app: &App,
    caller: &Caller,
    filter: Filter,
    after: Option<Place>,
    limit: u64,
) -> Result<(Vec<Conversation>, Option<Place>)> {
    let mut views =
        conversations::page(app.db().read(Share::Ordinary), caller.user_id, filter, after, limit + 1, Timestamp::now())
            .await?;
    let more = views.len() as u64 > limit;
    views.truncate(limit as usize);
    let next = if more { views.last().map(|view| view.place) } else { None };
    Ok((views.into_iter().map(|view| with_presence(app, view.conversation)).collect(), next))
}

/// What is unread over all of the caller's conversations.
pub async fn unread_count(app: &App, caller: &Caller) -> Result<UnreadCount> {
    Ok(conversations::unread(app.db().read(Share::Ordinary), caller.user_id, Timestamp::now()).await?)
}

/// The caller's role in the conversation; an error tells a missing conversation from one the caller is not in.
pub async fn require_participant(app: &App, caller: &Caller, id: ConversationId) -> Result<Role> {
    match participants::role(app.db().read(Share::Ordinary), id, caller.user_id).await? {
        Some(role) => Ok(role),
        None => Err(absent(app, id).await?),
    }
}

async fn absent(app: &App, id: ConversationId) -> Result<Error> {
    let exists = !writes::existing(app.db().read(Share::Ordinary), &[id]).await?.is_empty();
    Ok(if exists { Error::not_a_participant() } else { Error::not_found("conversation") })
}

/// Fills in the peer's presence, which is not shown across a block.
pub(super) fn with_presence(app: &App, mut conversation: Conversation) -> Conversation {
    if let Some(peer) = &mut conversation.peer {
        if conversation.my.blocked {
            peer.last_seen_at = None;
        } else {
            peer.presence = app.presence().status(peer.brief.id);
        }
    }
    conversation
}
