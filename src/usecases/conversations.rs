//! What users do with conversations: creating direct ones, listing, reading and updating them. Participants are in
//! `members`, messages in `messages`.

use super::members;
use crate::app::App;
use crate::domain::caller::Caller;
use crate::domain::ids::{ConversationId, Rev, Seq, UserId};
use crate::domain::limits;
use crate::domain::names::{self, UserRef};
use crate::domain::roles::{Action, ConversationKind, Role};
use crate::domain::stream::Stream;
use crate::error::{Error, FieldError, Result};
use crate::protocol::change::Change;
use crate::protocol::conversations::{
    Conversation, ConversationChange, ConversationDetail, ConversationUpdated, UnreadCount,
};
use crate::protocol::events::Event;
use crate::store::conversations::views::{ConversationFilter, ConversationSortKey};
use crate::store::conversations::{self, ConversationDetails, NewConversationRow};
use crate::store::db::pools::ReadPool;
use crate::store::members::{NewParticipant, ViewStart};
use crate::store::{blocks, users};
use crate::work::assemble::conversations::for_viewer;
use crate::work::conversations::{self as conversation_views, append_created, get_in_tx};
use crate::work::read::read;
use crate::work::system_messages::{self, SystemMessage};
use crate::work::transact::transact_for;
use crate::work::tx::Tx;
use crate::work::unchecked_caller::UncheckedCaller;
use crate::work::{access, presence, views};

/// The result of a request to create a conversation.
#[derive(Debug)]
pub struct CreatedConversation {
    pub conversation: Conversation,
    /// False if the conversation existed before.
    pub is_new: bool,
}

/// Returns the direct conversation of the caller and another user, and creates it if there is none. Two users have only
/// one, even if both create it at the same time. `named` must name one other user; the caller and repetitions in it are
/// ignored.
pub async fn get_or_create_direct(app: &App, caller: &Caller, named: &[UserRef]) -> Result<CreatedConversation> {
    let (caller, named) = (*caller, named.to_vec());
    let named =
        read(app, ReadPool::Ordinary, move |conn| Box::pin(async move { members::resolve(conn, &named).await }));
    let peer = get_peer(caller.user_id, &named.await?)?;
    let (id, is_new) = transact_for(app, caller.user_id, limits::FEW_ROWS, move |tx| {
        Box::pin(create_direct_in(tx, caller.user_id, peer))
    })
    .await?;
    Ok(CreatedConversation { conversation: get(app, &caller, id).await?, is_new })
}

fn get_peer(caller: UserId, named: &[UserId]) -> Result<UserId> {
    match named {
        [one] if *one == caller => Err(Error::self_conversation()),
        [peer] => Ok(*peer),
        [one, peer] | [peer, one] if *one == caller => Ok(*peer),
        _ => Err(Error::invalid("participant_ids", "must name exactly one other user")),
    }
}

async fn create_direct_in(tx: &mut Tx, caller: UserId, peer: UserId) -> Result<(ConversationId, bool)> {
    tx.lock_users(&[caller, peer]).await?;
    access::get_active_user(tx, caller).await?;
    if !tx.has_user(peer) {
        return Err(Error::user_not_found());
    }
    if let Some(id) = conversations::get_direct_id(tx.conn(), caller, peer).await? {
        return Ok((id, false));
    }
    if blocks::between(tx.conn(), caller, peer).await?.is_any() {
        return Err(Error::blocked());
    }
    let id = ConversationId::new();
    let direct = Some(conversations::ordered_pair(caller, peer));
    conversation_views::insert_conversation(
        tx,
        NewConversationRow {
            id,
            kind: ConversationKind::Direct,
            name: None,
            description: None,
            avatar_url: None,
            direct,
            created_by: caller,
            temp_id: None,
            created_at: tx.now(),
        },
    )
    .await?;
    let both = [caller, peer].map(|user_id| NewParticipant { user_id, role: Role::Member });
    let start = ViewStart { joined_at: tx.now(), joined_rev: Rev(0), last_read_seq: Seq(0), last_read_count: 0 };
    conversation_views::insert_participants(tx, id, &both, start).await?;
    append_created(tx, id, &[caller, peer]).await?;
    // The two users do not get each other's presence before the commit, because they are not peers yet.
    tx.after_commit(move |app| presence::notify_visible(app, caller, peer));
    Ok((id, true))
}

/// A valid change of a group.
#[derive(Clone)]
struct CheckedGroupChange {
    name: Option<String>,
    description: Change<Option<String>>,
    avatar_url: Change<String>,
}

/// Checks a change of a group. The error names all invalid fields.
fn check_change(change: ConversationChange) -> Result<CheckedGroupChange> {
    let mut errors = Vec::new();
    let mut add_error = |field: &str, message: &str| {
        errors.push(FieldError { field: field.to_owned(), message: message.to_owned() });
    };
    let name = match change.name {
        Change::Keep => None,
        Change::Clear => Some(Err("must not be null".into())),
        Change::Set(name) => Some(names::parse_name(&name)),
    };
    let name = name.and_then(|name| name.map_err(|message| add_error("name", &message)).ok());
    let description = match change.description {
        Change::Keep => Change::Keep,
        Change::Clear => Change::Clear,
        Change::Set(text) => names::parse_description(&text)
            .map_err(|message| add_error("description", &message))
            .map_or(Change::Keep, Change::Set),
    };
    let avatar_url = match change.avatar_url {
        Change::Keep => Change::Keep,
        Change::Clear => Change::Clear,
        Change::Set(url) => names::parse_avatar_url(&url)
            .map_err(|message| add_error("avatar_url", &message))
            .map_or(Change::Keep, Change::Set),
    };
    if let Change::Set(_) = change.avatar_upload_id {
        add_error("avatar_upload_id", "must be the id of an upload of yours");
    }
    if errors.is_empty() {
        Ok(CheckedGroupChange { name, description, avatar_url })
    } else {
        Err(Error::validation(errors))
    }
}

/// Updates the name, the description and the avatar of a group. Absent fields stay as they are. If nothing changes, no
/// event is appended.
pub async fn update(
    app: &App,
    caller: &Caller,
    id: ConversationId,
    change: ConversationChange,
) -> Result<Conversation> {
    let caller = *caller;
    let change = check_change(change)?;
    let changed = transact_for(app, caller.user_id, limits::FEW_ROWS, move |tx| {
        let CheckedGroupChange { name, description, avatar_url } = change.clone();
        Box::pin(async move {
            tx.lock_conversations(&[id]).await?;
            if !access::require_group_role(tx, id, caller.user_id).await?.may(Action::Update) {
                return Err(Error::forbidden("Only owners and admins can change a group."));
            }
            let old = conversations::get_details(tx.conn(), id).await?;
            let new = ConversationDetails {
                name: name.or_else(|| old.name.clone()),
                description: description.applied_to(old.description.clone().map(Some)).flatten(),
                avatar_url: avatar_url.applied_to(old.avatar_url.clone()),
            };
            if new != old {
                update_group_in(tx, id, caller.user_id, &old, new).await?;
                tx.flush().await?;
            }
            get_in_tx(tx, caller.user_id, id).await
        })
    })
    .await?;
    Ok(for_viewer(app, changed))
}

async fn update_group_in(
    tx: &mut Tx,
    id: ConversationId,
    actor: UserId,
    old: &ConversationDetails,
    new: ConversationDetails,
) -> Result<()> {
    conversations::update_details(tx.conn(), id, &new, tx.now()).await?;
    let renamed = new.name.clone().filter(|_| new.name != old.name);
    let event = Event::ConversationUpdated(ConversationUpdated {
        conversation_id: id,
        name: new.name,
        description: new.description,
        avatar_url: new.avatar_url,
        class: None,
        updated_at: tx.now(),
    });
    tx.append(Stream::Conversation(id), &event);
    if let Some(name) = renamed {
        system_messages::insert(tx, id, SystemMessage::Renamed { actor, name: &name }).await?;
    }
    Ok(())
}

/// Returns the direct conversation of the caller and another user. Fails with `not_found` if there is none.
pub async fn get_direct(app: &App, caller: &Caller, other: &UserRef) -> Result<Conversation> {
    let (user, other) = (caller.user_id, other.clone());
    let id = read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move {
            let not_found = || Error::not_found("conversation");
            let peer = users::by_ref(conn, &other).await?.ok_or_else(not_found)?;
            conversations::get_direct_id(conn, user, peer.id).await?.ok_or_else(not_found)
        })
    });
    views::get(app, user, id.await?).await
}

/// Returns one conversation as the caller sees it. Fails if the caller is not a participant.
pub async fn get(app: &App, caller: &Caller, id: ConversationId) -> Result<Conversation> {
    views::get(app, caller.user_id, id).await
}

/// Returns one conversation with its first participants, in the order in which they joined.
pub async fn get_detail(app: &App, caller: &Caller, id: ConversationId) -> Result<ConversationDetail> {
    let user = caller.user_id;
    let first = read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move { members::read_page(conn, user, id, None, limits::DETAIL_MEMBERS).await })
    });
    let first = first.await?.into_participants(app);
    // Read the conversation last: it checks membership, and a user removed meanwhile must not see newer rows.
    Ok(ConversationDetail { conversation: views::get(app, user, id).await?, members: first })
}

/// Lists the caller's conversations after the cursor `after`: pinned ones first, then those with the newest message
/// first. Also returns the cursor of the next page, if there is one.
pub async fn list(
    app: &App,
    caller: &UncheckedCaller,
    filter: ConversationFilter,
    after: Option<ConversationSortKey>,
    limit: u64,
) -> Result<(Vec<Conversation>, Option<ConversationSortKey>)> {
    views::list(app, caller, filter, after, limit).await
}

/// Returns the unread counts over all of the caller's conversations.
pub async fn get_unread_count(app: &App, caller: &Caller) -> Result<UnreadCount> {
    views::get_unread_count(app, caller.user_id).await
}
