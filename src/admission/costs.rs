//! What each thing costs (SPEC 14). Whatever is not named here costs 1.

use super::Kind;
use crate::protocol::client::Command;

/// A search for users.
pub const USER_SEARCH: u32 = 5;
/// Conversations named in one `sync` or `subscribe`, or users named in a presence command, for one unit.
const IDS: usize = 100;
/// Users named when a group is made or members are added, for one unit.
const MEMBERS: usize = 10;

/// Which bucket a command is charged to, and how much.
pub fn of_command(command: &Command) -> (Kind, u32) {
    match command {
        Command::Send(_) => (Kind::Send, 1),
        Command::Sync(sync) => (Kind::Command, each(sync.conversations.len(), IDS)),
        Command::Subscribe(wanted) => (Kind::Command, each(wanted.conversation_ids.len(), IDS)),
        Command::WatchPresence(wanted) | Command::UnwatchPresence(wanted) => {
            (Kind::Command, each(wanted.user_ids.len(), IDS))
        }
        _ => (Kind::Command, 1),
    }
}

/// A call that makes `users` members of a group.
pub fn of_members(users: usize) -> u32 {
    each(users, MEMBERS)
}

fn each(items: usize, a_unit: usize) -> u32 {
    u32::try_from(items.div_ceil(a_unit)).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{ConversationId, Rev};
    use crate::protocol::client::{Conversations, SendMessage, Sync, Users};

    #[test]
    fn ids_cost_one_unit_a_hundred_and_members_one_unit_ten() {
        for (items, cost) in [(0, 1), (1, 1), (100, 1), (101, 2), (1000, 10), (10_000, 100)] {
            let ids: Vec<_> = (0..items).map(|_| ConversationId::new()).collect();
            let sync = Sync { conversations: ids.iter().map(|id| (*id, Rev(1))).collect(), ..Sync::default() };
            assert_eq!(of_command(&Command::Sync(sync)), (Kind::Command, cost));
            let subscribe = Command::Subscribe(Conversations { conversation_ids: ids.clone() });
            assert_eq!(of_command(&subscribe), (Kind::Command, cost));
            let unsubscribe = Command::Unsubscribe(Conversations { conversation_ids: ids });
            assert_eq!(of_command(&unsubscribe), (Kind::Command, 1));
            let users = || Users { user_ids: vec!["ada".to_owned(); items] };
            assert_eq!(of_command(&Command::WatchPresence(users())), (Kind::Command, cost));
            assert_eq!(of_command(&Command::UnwatchPresence(users())), (Kind::Command, cost));
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
        assert_eq!(of_command(&Command::Send(send)), (Kind::Send, 1));
        assert_eq!(of_command(&Command::Ping), (Kind::Command, 1));
    }
}
