//! System messages: what the server itself says in a conversation, in the transaction that does what it tells of.

use super::transact::{Place, Tx};
use crate::domain::content::MessageKind;
use crate::domain::ids::{ConversationId, MessageId, UserId};
use crate::domain::stream::Stream;
use crate::error::Result;
use crate::protocol::events::Event;
use crate::protocol::resources::Message;
use crate::store::users;
use crate::store::writes::NewMessage;
use serde_json::json;

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
    /// The conversation has another name.
    Renamed { actor: UserId, name: &'a str },
}

/// Puts a system message into a locked conversation; it takes a place and is not counted as unread.
pub(super) async fn put(tx: &mut Tx, id: ConversationId, what: System<'_>) -> Result<Place> {
    let mut named = match &what {
        System::GroupCreated { actor, .. } | System::Renamed { actor, .. } => vec![*actor],
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
        System::Renamed { actor, name } => (
            json!({"event": "renamed", "actor_id": actor, "name": name}),
            format!("{} renamed the conversation to “{name}”", name_of(actor)),
        ),
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
        mentions_all: false,
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
        mentions_all: false,
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
