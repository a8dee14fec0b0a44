//! How users create groups. A request that is repeated with its `temp_id` creates no second group. Later changes of a
//! group are in `conversations` and `members`.

use super::conversations::CreatedConversation;
use super::members;
use crate::app::App;
use crate::domain::caller::Caller;
use crate::domain::content::TempId;
use crate::domain::ids::{ConversationId, Rev, UserId};
use crate::domain::names::{self, UserRef};
use crate::domain::roles::{ConversationKind, Role};
use crate::domain::{limits, tokens};
use crate::error::{Error, FieldError, Result};
use crate::protocol::conversations::NewConversation as CreateRequest;
use crate::store::conversations::NewConversationRow;
use crate::store::conversations::groups::{self, GroupTempId};
use crate::store::db::pools::ReadPool;
use crate::store::members::{NewParticipant, ViewStart};
use crate::work::conversations::{self as conversation_views, append_joined};
use crate::work::read::read;
use crate::work::system_messages::{self, SystemMessage};
use crate::work::transact::transact_for;
use crate::work::tx::Tx;
use crate::work::{access, views};
use sea_orm::ConnectionTrait;

/// A valid request to create a group.
#[derive(Clone, Debug)]
pub struct NewGroup {
    pub name: String,
    pub description: Option<String>,
    pub avatar_url: Option<String>,
    /// The first members. The caller is the owner and is ignored here.
    pub members: Vec<UserRef>,
    /// Recognises a repeated request. `None`: every request creates a group.
    pub temp_id: Option<GroupTempId>,
}

/// Checks a request to create a group with these first members. The error names all invalid fields.
pub fn check_new_group(new: &CreateRequest, members: Vec<UserRef>) -> Result<NewGroup> {
    let mut errors = Vec::new();
    let mut add_error = |field: &str, message: &str| {
        errors.push(FieldError { field: field.to_owned(), message: message.to_owned() });
    };
    let name =
        names::parse_name(new.name.as_deref().unwrap_or_default()).map_err(|message| add_error("name", &message)).ok();
    let description = names::parse_description(new.description.as_deref().unwrap_or_default())
        .map_err(|message| add_error("description", &message))
        .ok();
    let avatar_url = new.avatar_url.as_deref().map(names::parse_avatar_url).transpose();
    let avatar_url = avatar_url.map_err(|message| add_error("avatar_url", &message)).ok();
    let temp_id = new.temp_id.as_deref().map(TempId::parse).transpose();
    let temp_id = temp_id.map_err(|message| add_error("temp_id", &message)).ok();
    match (name, description, avatar_url, temp_id) {
        (Some(name), Some(description), Some(avatar_url), Some(temp_id)) => {
            let temp_id = temp_id.map(|temp_id| GroupTempId { temp_id, body_hash: body_hash(new) });
            Ok(NewGroup { name, description, avatar_url, members, temp_id })
        }
        _ => Err(Error::validation(errors)),
    }
}

/// Returns the hash of the request without its `temp_id`. It shows whether a `temp_id` is repeated with the same
/// request or used again for another one.
fn body_hash(new: &CreateRequest) -> String {
    let body = serde_json::json!([new.participant_ids, new.name, new.description, new.avatar_url]);
    tokens::body_hash(body.to_string().as_bytes())
}

/// Creates a group. Its first message is a system message, which all members have read. If the caller sent the same
/// request before, this function creates nothing and returns that group as the caller sees it now, whatever its members
/// are now.
pub async fn create(app: &App, caller: &Caller, new: NewGroup) -> Result<CreatedConversation> {
    let user = caller.user_id;
    // The references are moved out of `new`, so that they use no memory while the transaction waits for its turn.
    let (new, preparation) = prepare(app, user, new).await?;
    let members = match preparation {
        Preparation::Existing(id) => return get_existing(app, user, id).await,
        Preparation::New(members) => members,
    };
    let new_id = ConversationId::new();
    // Each member gets an event that contains the name, the description and the avatar.
    let bytes =
        [Some(&new.name), new.description.as_ref(), new.avatar_url.as_ref()].into_iter().flatten().map(String::len);
    let rows = limits::FEW_ROWS + members.len() * (limits::ROWS_PER_MEMBER + bytes.sum::<usize>() / limits::ROW_BYTES);
    let id = transact_for(app, user, rows, move |tx| {
        let (new, mut members) = (new.clone(), members.clone());
        members.retain(|id| *id != user);
        Box::pin(async move { create_in(tx, new_id, user, new, members).await })
    })
    .await?;
    if id != new_id {
        return get_existing(app, user, id).await;
    }
    Ok(CreatedConversation { conversation: views::get(app, user, id).await?, is_new: true })
}

/// What is read before a group is created.
enum Preparation {
    /// The group that the same request created before.
    Existing(ConversationId),
    /// The first members of a new group.
    New(Vec<UserId>),
}

/// Returns the request without its members, which are looked up.
async fn prepare(app: &App, user: UserId, mut new: NewGroup) -> Result<(NewGroup, Preparation)> {
    read(app, ReadPool::Ordinary, move |conn| {
        Box::pin(async move {
            // Look for the earlier group before the members are resolved, because their accounts may be deleted by
            // now.
            if let Some(temp_id) = &new.temp_id
                && let Some(id) = find_by_temp_id(conn, user, temp_id).await?
            {
                return Ok((new, Preparation::Existing(id)));
            }
            let members = members::resolve(conn, &std::mem::take(&mut new.members)).await?;
            Ok((new, Preparation::New(members)))
        })
    })
    .await
}

/// Returns the group that the user created with this `temp_id`. Fails if the earlier request had another body.
async fn find_by_temp_id(
    conn: &impl ConnectionTrait,
    user: UserId,
    temp_id: &GroupTempId,
) -> Result<Option<ConversationId>> {
    match groups::get_by_temp_id(conn, user, &temp_id.temp_id).await? {
        Some((_, hash)) if hash != temp_id.body_hash => Err(Error::temp_id_reused()),
        found => Ok(found.map(|(id, _)| id)),
    }
}

async fn get_existing(app: &App, user: UserId, id: ConversationId) -> Result<CreatedConversation> {
    match views::find(app, user, id).await? {
        Some(conversation) => Ok(CreatedConversation { conversation, is_new: false }),
        // The caller has left the group, or it was deleted with its last member.
        None => Err(Error::not_a_participant()),
    }
}

async fn create_in(
    tx: &mut Tx,
    id: ConversationId,
    caller: UserId,
    new: NewGroup,
    members: Vec<UserId>,
) -> Result<ConversationId> {
    if members.len() >= limits::GROUP_MEMBERS {
        return Err(Error::group_full());
    }
    let mut all_members = vec![caller];
    all_members.extend(&members);
    tx.lock_users(&all_members).await?;
    access::get_active_user(tx, caller).await?;
    // The row of the creator is locked. Of two equal requests at the same time, the second waits here and finds the
    // first group.
    if let Some(temp_id) = &new.temp_id
        && let Some(before) = find_by_temp_id(tx.conn(), caller, temp_id).await?
    {
        return Ok(before);
    }
    if !all_members.iter().all(|user| tx.has_user(*user)) {
        return Err(Error::user_not_found());
    }
    conversation_views::insert_conversation(
        tx,
        NewConversationRow {
            id,
            kind: ConversationKind::Group,
            name: Some(new.name.clone()),
            description: new.description,
            avatar_url: new.avatar_url,
            direct: None,
            created_by: caller,
            temp_id: new.temp_id,
            created_at: tx.now(),
        },
    )
    .await?;
    let first = system_messages::insert(tx, id, SystemMessage::GroupCreated { actor: caller, name: &new.name }).await?;
    let start =
        ViewStart { joined_at: tx.now(), joined_rev: Rev(0), last_read_seq: first.seq, last_read_count: first.count };
    let mut joined = vec![NewParticipant { user_id: caller, role: Role::Owner }];
    joined.extend(members.iter().map(|user_id| NewParticipant { user_id: *user_id, role: Role::Member }));
    // Insert in the order of the indexes, so that each index page is visited once.
    joined.sort_unstable_by_key(|new| new.user_id);
    conversation_views::insert_participants(tx, id, &joined, start).await?;
    append_joined(tx, id, &joined).await?;
    Ok(id)
}
