//! Groups are made here, each once for what its creator sent. What happens to them later is in `conversations` and `members`.

use super::conversations::{self, Made};
use super::system_messages::{self, System};
use super::transact::{Tx, transact_for};
use super::{Caller, members, rights};
use crate::app::App;
use crate::domain::ids::{ConversationId, Rev, UserId};
use crate::domain::names::{self, UserRef};
use crate::domain::roles::{ConversationKind, Role};
use crate::domain::time::Timestamp;
use crate::domain::{content, limits, tokens};
use crate::error::{Error, FieldError, Result};
use crate::protocol::conversations::NewConversation as Asked;
use crate::store::conversations::{self as rows, NewConversation};
use crate::store::groups::{self, GroupTempId};
use crate::store::participants::{self, NewParticipant, Start};
use crate::store::pools::Share;
use sea_orm::ConnectionTrait;

/// A group about to be made.
#[derive(Clone, Debug)]
pub struct NewGroup {
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: Option<String>,
    /// Its picture.
    pub avatar_url: Option<String>,
    /// Whom it begins with, the caller aside.
    pub members: Vec<UserRef>,
    /// By which a repeated creation is known; without it every call makes a group.
    pub sent: Option<GroupTempId>,
}

/// Checks what makes a group, with the users that `participant_ids` name; every field that is wrong is named.
pub fn new_group(new: &Asked, members: Vec<UserRef>) -> Result<NewGroup> {
    let mut wrong = Vec::new();
    let mut note = |field: &str, message: &str| {
        wrong.push(FieldError { field: field.to_owned(), message: message.to_owned() });
    };
    let name = names::name(new.name.as_deref().unwrap_or_default()).map_err(|message| note("name", message)).ok();
    let description = names::description(new.description.as_deref().unwrap_or_default())
        .map_err(|message| note("description", message))
        .ok();
    let avatar_url = new.avatar_url.as_deref().map(names::picture_url).transpose();
    let avatar_url = avatar_url.map_err(|message| note("avatar_url", message)).ok();
    let temp_id = new.temp_id.as_deref().map(content::temp_id).transpose();
    let temp_id = temp_id.map_err(|message| note("temp_id", message)).ok();
    match (name, description, avatar_url, temp_id) {
        (Some(name), Some(description), Some(avatar_url), Some(temp_id)) => {
            let sent = temp_id.map(|temp_id| GroupTempId { temp_id, body_hash: hash(new) });
            Ok(NewGroup { name, description, avatar_url, members, sent })
        }
        _ => Err(Error::validation(wrong)),
    }
}

/// The hash by which a repeated `temp_id` is told from a reused one: of all that was sent, but the `temp_id`.
fn hash(new: &Asked) -> String {
    let body = serde_json::json!([new.participant_ids, new.name, new.description, new.avatar_url]);
    tokens::body_hash(body.to_string().as_bytes())
}

/// Makes a group; its first message is the system's, and everybody in it has read that. What the caller sent before, by its
/// `temp_id`, makes no second one: the answer is the group as the caller sees it now, whoever was named in it since.
pub async fn group(app: &App, caller: &Caller, mut new: NewGroup) -> Result<Made> {
    let caller = *caller;
    // first without a lock, because those who were named may not be there any more
    if let Some(sent) = &new.sent
        && let Some(id) = made_before(app.db().read(Share::Ordinary), caller.user_id, sent).await?
    {
        return again(app, &caller, id).await;
    }
    // taken out: their names are not kept while the transaction waits for its turn
    let members = members::resolve(app, &std::mem::take(&mut new.members)).await?;
    let fresh = ConversationId::new();
    // each of them is told what it is called and looks like
    let bytes =
        [Some(&new.name), new.description.as_ref(), new.avatar_url.as_ref()].into_iter().flatten().map(String::len);
    let rows = limits::FEW_ROWS + members.len() * (limits::ROWS_PER_MEMBER + bytes.sum::<usize>() / limits::ROW_BYTES);
    let id = transact_for(app, caller.user_id, rows, move |tx| {
        let (new, mut members) = (new.clone(), members.clone());
        members.retain(|id| *id != caller.user_id);
        Box::pin(async move { make_group(tx, fresh, caller.user_id, new, members).await })
    })
    .await?;
    if id == fresh {
        Ok(Made { conversation: conversations::view(app, &caller, id).await?, new: true })
    } else {
        again(app, &caller, id).await
    }
}

/// The group that the user made by sending just this.
async fn made_before(conn: &impl ConnectionTrait, user: UserId, sent: &GroupTempId) -> Result<Option<ConversationId>> {
    match groups::by_temp_id(conn, user, &sent.temp_id).await? {
        Some((_, hash)) if hash != sent.body_hash => Err(Error::temp_id_reused()),
        found => Ok(found.map(|(id, _)| id)),
    }
}

async fn again(app: &App, caller: &Caller, id: ConversationId) -> Result<Made> {
    match rows::view_of(app.db().read(Share::Ordinary), caller.user_id, id, Timestamp::now()).await? {
        Some(view) => Ok(Made { conversation: conversations::with_presence(app, view.conversation), new: false }),
        // left, or empty and deleted since
        None => Err(Error::not_a_participant()),
    }
}

async fn make_group(
    tx: &mut Tx,
    id: ConversationId,
    caller: UserId,
    new: NewGroup,
    members: Vec<UserId>,
) -> Result<ConversationId> {
    if members.len() >= limits::GROUP_MEMBERS {
        return Err(Error::group_full());
    }
    let mut everybody = vec![caller];
    everybody.extend(&members);
    tx.lock_users(&everybody).await?;
    rights::account(tx, caller).await?;
    // the creator's row is locked, so of two that are sent at once one waits here and finds the other
    if let Some(sent) = &new.sent
        && let Some(before) = made_before(tx.conn(), caller, sent).await?
    {
        return Ok(before);
    }
    if !everybody.iter().all(|user| tx.has_user(*user)) {
        return Err(Error::user_not_found());
    }
    conversations::insert(
        tx,
        NewConversation {
            id,
            kind: ConversationKind::Group,
            name: Some(new.name.clone()),
            description: new.description,
            avatar_url: new.avatar_url,
            direct: None,
            created_by: caller,
            sent: new.sent,
            created_at: tx.now(),
        },
    )
    .await?;
    let told = system_messages::put(tx, id, System::GroupCreated { actor: caller, name: &new.name }).await?;
    let start = Start { joined_at: tx.now(), joined_rev: Rev(0), last_read_seq: told.seq, last_read_count: told.count };
    let mut joined = vec![NewParticipant { user_id: caller, role: Role::Owner }];
    joined.extend(members.iter().map(|user_id| NewParticipant { user_id: *user_id, role: Role::Member }));
    // in the order of the indexes, so that each page of them is visited once
    joined.sort_unstable_by_key(|new| new.user_id);
    participants::insert(tx.conn(), id, &joined, start).await?;
    conversations::tell_joined(tx, id, &joined).await?;
    Ok(id)
}
