//! Makes the resources of conversations as a participant sees them, in answers and in the events of the participant's
//! own stream.

use crate::app::App;
use crate::protocol::conversations::Conversation;
use crate::protocol::presence::PresenceStatus;
use crate::protocol::users::User;
use crate::store::conversations::views::{ConversationRow, PeerRow};

/// Returns a conversation as the participant sees it for whom `row` was read. If a block separates the two users of a
/// direct conversation, the peer is offline, without the time of the last presence.
pub fn for_viewer(app: &App, row: ConversationRow) -> Conversation {
    let is_blocked = row.my.blocked;
    build_conversation(row, |peer| {
        if is_blocked {
            User { last_seen_at: None, ..build_peer(peer, PresenceStatus::Offline) }
        } else {
            let presence = app.presence().status(peer.brief.id);
            build_peer(peer, presence)
        }
    })
}

/// Returns a conversation for the event that gives it to a participant. It contains neither the newest message, which
/// could be deleted while the event is in the log, nor the presence of the peer, which changes without an event.
pub fn for_event(row: ConversationRow) -> Conversation {
    let row = ConversationRow { last_message: None, ..row };
    build_conversation(row, |peer| build_peer(peer, PresenceStatus::Offline))
}

fn build_conversation(row: ConversationRow, to_peer: impl FnOnce(PeerRow) -> User) -> Conversation {
    Conversation {
        id: row.id,
        kind: row.kind,
        name: row.name,
        description: row.description,
        avatar_url: row.avatar_url,
        class: row.class,
        created_by: row.created_by,
        created_at: row.created_at,
        updated_at: row.updated_at,
        last_seq: row.last_seq,
        last_rev: row.last_rev,
        last_message: row.last_message,
        member_count: row.member_count,
        unread_count: row.unread_count,
        my: row.my,
        peer: row.peer.map(to_peer),
    }
}

fn build_peer(row: PeerRow, presence: PresenceStatus) -> User {
    User {
        brief: row.brief,
        external_id: row.external_id,
        role: row.role,
        presence,
        last_seen_at: row.last_seen_at,
        created_at: row.created_at,
    }
}
