//! How use cases write system messages into a conversation. Each is inserted in the transaction that makes the change
//! that it reports.

use super::assemble::new_messages::{self, NewMessageFields};
use super::mentions::Mentioned;
use super::tx::{MessageNumbers, Tx};
use crate::domain::content::MessageKind;
use crate::domain::ids::{ConversationId, MessageId, UserId};
use crate::error::Result;
use crate::store::users;
use serde_json::json;

/// The change that a system message reports.
pub enum SystemMessage<'a> {
    GroupCreated { actor: UserId, name: &'a str },
    MembersAdded { actor: UserId, users: &'a [UserId] },
    MemberRemoved { actor: UserId, user: UserId },
    MemberLeft { user: UserId },
    Renamed { actor: UserId, name: &'a str },
}

/// Inserts a system message into a locked conversation. It has a `seq` and does not count as unread.
pub async fn insert(tx: &mut Tx, id: ConversationId, system_message: SystemMessage<'_>) -> Result<MessageNumbers> {
    let mut named = match &system_message {
        SystemMessage::GroupCreated { actor, .. } | SystemMessage::Renamed { actor, .. } => vec![*actor],
        SystemMessage::MembersAdded { actor, users } => [&[*actor], *users].concat(),
        SystemMessage::MemberRemoved { actor, user } => vec![*actor, *user],
        SystemMessage::MemberLeft { user } => vec![*user],
    };
    named.truncate(4);
    let briefs = users::briefs(tx.conn(), &named).await?;
    let name_of = |id: &UserId| briefs.get(id).map_or("a user", |brief| brief.display_name.as_str());
    let (data, text) = match &system_message {
        SystemMessage::GroupCreated { actor, name } => (
            json!({"event": "group_created", "actor_id": actor, "name": name}),
            format!("{} created the group “{name}”", name_of(actor)),
        ),
        SystemMessage::MembersAdded { actor, users } => (
            json!({"event": "members_added", "actor_id": actor, "user_ids": users}),
            format!("{} added {}", name_of(actor), join_names(users, name_of)),
        ),
        SystemMessage::MemberRemoved { actor, user } => (
            json!({"event": "member_removed", "actor_id": actor, "user_ids": [user]}),
            format!("{} removed {}", name_of(actor), name_of(user)),
        ),
        SystemMessage::MemberLeft { user } => {
            (json!({"event": "member_left", "actor_id": user}), format!("{} left", name_of(user)))
        }
        SystemMessage::Renamed { actor, name } => (
            json!({"event": "renamed", "actor_id": actor, "name": name}),
            format!("{} renamed the conversation to “{name}”", name_of(actor)),
        ),
    };
    let inserted = new_messages::insert(
        tx,
        NewMessageFields {
            id: MessageId::new(),
            conversation_id: id,
            author: None,
            kind: MessageKind::System,
            text: &text,
            data: Some(&data),
            reply_to: None,
            mentioned: Mentioned::default(),
        },
    );
    Ok(inserted.numbers)
}

/// Formats a list of names: "Ada", "Ada and Bo", "Ada, Bo and 7 others".
fn join_names<'a>(users: &[UserId], name_of: impl Fn(&UserId) -> &'a str) -> String {
    match users {
        [] => String::new(),
        [one] => name_of(one).to_owned(),
        [one, two] => format!("{} and {}", name_of(one), name_of(two)),
        [one, two, three] => format!("{}, {} and {}", name_of(one), name_of(two), name_of(three)),
        [one, two, rest @ ..] => format!("{}, {} and {} others", name_of(one), name_of(two), rest.len()),
    }
}
