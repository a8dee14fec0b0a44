//! The cost of each call and command. Calls and commands that are not named here cost 1.

use super::ChargeKind;
use crate::domain::limits;
use crate::protocol::client::Command;

/// Returns the bucket that a command is charged to, and its cost.
pub fn of_command(command: &Command) -> (ChargeKind, u32) {
    match command {
        Command::Send(_) => (ChargeKind::Send, 1),
        Command::Sync(sync) => (ChargeKind::Command, cost_of_items(sync.conversations.len(), limits::IDS_PER_COST)),
        Command::Subscribe(subscribe) => {
            (ChargeKind::Command, cost_of_items(subscribe.conversation_ids.len(), limits::IDS_PER_COST))
        }
        Command::WatchPresence(presence) | Command::UnwatchPresence(presence) => {
            (ChargeKind::Command, cost_of_items(presence.user_ids.len(), limits::IDS_PER_COST))
        }
        _ => (ChargeKind::Command, 1),
    }
}

/// Returns the cost of a call that adds this number of members to a group.
pub fn of_members(users: usize) -> u32 {
    cost_of_items(users, limits::MEMBERS_PER_COST)
}

fn cost_of_items(items: usize, items_per_unit: usize) -> u32 {
    u32::try_from(items.div_ceil(items_per_unit)).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{ConversationId, Rev};
    use crate::protocol::messages::SendMessage;
    use crate::protocol::presence::PresenceUsers;
    use crate::protocol::subscriptions::{ConversationIds, SyncConversations};

    #[test]
    fn a_unit_pays_for_a_hundred_ids_or_ten_members() {
        for (items, cost) in [(0, 1), (1, 1), (100, 1), (101, 2), (1000, 10), (10_000, 100)] {
            let ids: Vec<_> = (0..items).map(|_| ConversationId::new()).collect();
            let sync = SyncConversations {
                conversations: ids.iter().map(|id| (*id, Rev(1))).collect(),
                ..SyncConversations::default()
            };
            assert_eq!(of_command(&Command::Sync(sync)), (ChargeKind::Command, cost));
            let subscribe = Command::Subscribe(ConversationIds { conversation_ids: ids.clone() });
            assert_eq!(of_command(&subscribe), (ChargeKind::Command, cost));
            let unsubscribe = Command::Unsubscribe(ConversationIds { conversation_ids: ids });
            assert_eq!(of_command(&unsubscribe), (ChargeKind::Command, 1));
            let users = || PresenceUsers { user_ids: vec!["ada".to_owned(); items] };
            assert_eq!(of_command(&Command::WatchPresence(users())), (ChargeKind::Command, cost));
            assert_eq!(of_command(&Command::UnwatchPresence(users())), (ChargeKind::Command, cost));
        }
        for (users, cost) in [(0, 1), (10, 1), (11, 2), (1000, 100)] {
            assert_eq!(of_members(users), cost);
        }
    }

    #[test]
    fn sends_have_a_bucket_of_their_own() {
        let send = SendMessage {
            conversation_id: ConversationId::new(),
            content: None,
            kind: None,
            data: None,
            attachment_ids: None,
            reply_to_id: None,
            temp_id: None,
        };
        assert_eq!(of_command(&Command::Send(send)), (ChargeKind::Send, 1));
        assert_eq!(of_command(&Command::Ping), (ChargeKind::Command, 1));
    }
}
