//! A database with a long history, which statements create: one large group, many smaller groups, and rows of all
//! tables that refer to messages. The rows are not completely consistent, but a query reads as many of them as it would
//! read of real rows.

use crate::harness::TestApp;
use greenroom::domain::caller::Caller;
use greenroom::domain::ids::{ConversationId, MessageId};
use greenroom::domain::names::UserRef;
use greenroom::domain::roles::Role;
use greenroom::domain::stream::Stream;
use greenroom::protocol::events::Event;
use greenroom::protocol::shared_message::MessageEvent;
use greenroom::store::db::pools::ReadPool;
use greenroom::store::messages;
use greenroom::usecases::members;
use greenroom::work::assemble::messages::{AuthorMessage, list_for_authors};
use sea_orm::{ConnectionTrait, DatabaseConnection};

/// The number of further users, so that the tables of users are large too.
const OTHER_USERS: usize = 20_000;
/// The number of smaller groups. Together they have half of all messages.
const GROUPS: usize = 20_000;

/// The users, the conversation and the messages that the calls of the test name.
pub struct History {
    /// The owner of the large group.
    pub owner: Caller,
    /// A member of the large group, who is the author of half of the messages.
    pub target: Caller,
    /// An admin of the large group.
    pub second_admin: Caller,
    /// A user who is not in the group.
    pub guest: Caller,
    /// The large group.
    pub room: ConversationId,
    /// A message of the target in the middle of the history.
    pub theirs: MessageId,
    /// A message of the owner in the middle of the history.
    pub mine: MessageId,
}

impl History {
    /// Fills the database with this number of messages and everything that belongs to them.
    pub async fn fill(test: &TestApp, messages: usize) -> Self {
        let [owner, target, second_admin, guest] = test.users(4).await.try_into().unwrap();
        let room = test.group(&[owner, target]).await;
        let admins = [UserRef::Id(second_admin.user_id)];
        members::add(&test.app, &owner, room, &admins, Role::Admin).await.unwrap();
        test.direct(&owner, &target).await;
        let filler = Filler::new(test).await;
        filler.add_users_and_groups(owner, room).await;
        let [in_room, in_other_groups] = ["=", "<>"].map(|is| format!("id {is} {}", test.id_literal(room)));
        filler.add_messages(&in_room, messages / 2, target).await;
        filler.add_messages(&in_other_groups, messages / 2 / GROUPS, target).await;
        filler.add_message_details(owner, target).await;
        filler.add_other_rows(owner, room).await;
        if test.is_postgres() {
            // On SQLite the server removes all statistics.
            filler.run("ANALYZE").await;
        }
        let get_message = async |sender: Caller| {
            let query = format!(
                "SELECT id FROM messages WHERE conversation_id = {} AND sender_id = {} AND seq > {} ORDER BY seq LIMIT 1",
                test.id_literal(room),
                test.id_literal(sender.user_id),
                messages / 4,
            );
            MessageId(test.rows(&query).await[0].try_get("", "id").unwrap())
        };
        let (theirs, mine) = (get_message(target).await, get_message(owner).await);
        for id in [theirs, mine] {
            filler.store_event(id).await;
        }
        Self { owner, target, second_admin, guest, room, theirs, mine }
    }
}

struct Filler<'a> {
    test: &'a TestApp,
    /// The connection for statements on PostgreSQL, without the limits of the application.
    unlimited: Option<DatabaseConnection>,
}

impl<'a> Filler<'a> {
    async fn new(test: &'a TestApp) -> Self {
        let unlimited = if test.is_postgres() { Some(test.connection().await) } else { None };
        Self { test, unlimited }
    }

    async fn run(&self, statements: &str) {
        match &self.unlimited {
            Some(unlimited) => drop(unlimited.execute_unprepared(statements).await.unwrap()),
            None => self.test.run(statements).await,
        }
    }

    /// Returns an SQL expression for a new id.
    fn id(&self) -> &'static str {
        if self.test.is_postgres() { "gen_random_uuid()" } else { "randomblob(16)" }
    }

    /// Creates users and groups. One of the further users owns a group with five members. The owner is in one of a
    /// thousand groups, and a hundred of the further users are in the large one.
    async fn add_users_and_groups(&self, owner: Caller, room: ConversationId) {
        let (id, owner, room) = (self.id(), self.test.id_literal(owner.user_id), self.test.id_literal(room));
        self.run(&format!(
                "INSERT INTO users (id, username, username_key, display_name, search_text, created_at, updated_at)
                 {} SELECT {id}, 'other-' || i, 'other-' || i, 'Other ' || i, 'other-' || i || ' other ' || i, i, i FROM n;
                 INSERT INTO user_words (inside, word, user_id)
                 SELECT 0, username, id FROM users WHERE username_key LIKE 'other-%';
                 INSERT INTO conversations (id, kind, name, created_by, created_at, updated_at)
                 {} SELECT {id}, 'group', 'Group ' || i, (SELECT id FROM users WHERE username_key = 'other-' || (i % 4000 + 1)), i, i
                 FROM n;
                 INSERT INTO participants (conversation_id, user_id, role, joined_at, joined_rev)
                 {} SELECT c.id, u.id, CASE WHEN u.id = c.created_by THEN 'owner' ELSE 'member' END, u.created_at, 0
                 FROM conversations c CROSS JOIN n
                 JOIN users u ON u.username_key = 'other-' || (c.created_at % 4000 + 1 + (n.i - 1) * 4000)
                 WHERE c.id <> {room} AND c.kind = 'group';
                 INSERT INTO participants (conversation_id, user_id, role, joined_at, joined_rev)
                 SELECT id, {owner}, 'member', created_at, 0 FROM conversations
                 WHERE id <> {room} AND kind = 'group' AND created_at % 1000 = 1;
                 INSERT INTO participants (conversation_id, user_id, role, joined_at, joined_rev)
                 SELECT {room}, id, 'member', created_at, 0 FROM users WHERE created_at BETWEEN 1 AND 100;
                 UPDATE conversations SET member_count = (
                    SELECT count(*) FROM participants p WHERE p.conversation_id = conversations.id AND p.left_at IS NULL);",
                numbers(OTHER_USERS),
                numbers(GROUPS),
                numbers(5),
            ))
            .await;
    }

    /// Creates this number of messages in each conversation of the condition, by its owner and another member in turn,
    /// with an event each.
    async fn add_messages(&self, which: &str, count: usize, target: Caller) {
        let (id, target) = (self.id(), self.test.id_literal(target.user_id));
        self.run(&format!(
                "INSERT INTO messages (id, conversation_id, seq, count, rev, sender_id, kind, content, created_at)
                 {}, filled AS MATERIALIZED (
                    SELECT c.*, (SELECT p.user_id FROM participants p
                                 WHERE p.conversation_id = c.id AND p.user_id <> c.created_by
                                 ORDER BY CASE WHEN p.user_id = {target} THEN 0 ELSE 1 END, p.joined_at LIMIT 1) AS other
                    FROM conversations c WHERE {which})
                 SELECT {id}, c.id, c.last_seq + i, c.last_count + i, c.last_rev + i,
                    CASE WHEN i % 2 = 0 THEN c.created_by ELSE c.other END,
                    'text', 'message number ' || i, 1000000 + i
                 FROM n CROSS JOIN filled c;
                 INSERT INTO outbox (stream_kind, stream_id, rev, event_type, message_id, payload, created_at)
                 SELECT 0, m.conversation_id, m.rev, 'message.new', m.id,
                    '{{\"type\":\"message.new\",\"stream\":\"conversation\",\"rev\":0,\"payload\":{{}}}}', m.created_at
                 FROM messages m JOIN conversations c ON c.id = m.conversation_id
                 WHERE c.{which} AND m.rev > c.last_rev;
                 UPDATE conversations SET last_seq = last_seq + {count}, last_count = last_count + {count},
                    last_rev = last_rev + {count}, last_message_at = 1000000 + {count} WHERE {which};",
                numbers(count),
            ))
            .await;
    }

    /// Stores the event of a message in its real form, for calls that read it.
    async fn store_event(&self, id: MessageId) {
        let conn = self.test.app.db().read(ReadPool::Ordinary);
        let rows = messages::by_id(conn, id).await.unwrap().into_iter().collect();
        let AuthorMessage { message, rev, .. } = list_for_authors(conn, rows).await.unwrap().remove(&id).unwrap();
        let conversation_id = message.conversation_id;
        let event = Event::MessageNew(MessageEvent::new(message));
        let text = event.frame(Stream::Conversation(conversation_id), rev).replace('\'', "''");
        let id = self.test.id_literal(id);
        self.run(&format!("UPDATE outbox SET payload = '{text}' WHERE message_id = {id}")).await;
    }

    /// Creates reactions, mentions, former texts, hidden messages, pins, replies, links and notifications.
    async fn add_message_details(&self, owner: Caller, target: Caller) {
        let id = self.id();
        let (owner, target) = (self.test.id_literal(owner.user_id), self.test.id_literal(target.user_id));
        self.run(&format!(
                "INSERT INTO reactions (message_id, emoji, user_id, conversation_id, created_at)
                 SELECT id, '👍', {target}, conversation_id, created_at FROM messages WHERE seq % 5 = 0;
                 INSERT INTO mentions (user_id, conversation_id, seq, message_id)
                 SELECT {owner}, conversation_id, seq, id FROM messages WHERE seq % 77 = 3;
                 INSERT INTO mentions (user_id, conversation_id, seq, message_id)
                 SELECT sender_id, conversation_id, seq, id FROM messages
                 WHERE seq % 3 = 0 AND sender_id IS NOT NULL AND sender_id <> {owner};
                 INSERT INTO message_edits (conversation_id, message_id, content, edited_at)
                 SELECT conversation_id, id, 'former text', created_at FROM messages WHERE seq % 11 = 0;
                 INSERT INTO hidden_messages (user_id, message_id, conversation_id, seq, created_at)
                 SELECT {owner}, id, conversation_id, seq, created_at FROM messages WHERE seq % 1013 = 0;
                 INSERT INTO hidden_messages (user_id, message_id, conversation_id, seq, created_at)
                 SELECT sender_id, id, conversation_id, seq, created_at FROM messages
                 WHERE seq % 5 = 1 AND sender_id IS NOT NULL AND sender_id NOT IN ({owner}, {target});
                 INSERT INTO message_links (message_id, position, conversation_id, seq, url)
                 SELECT id, 0, conversation_id, seq, 'https://example.org/' || seq FROM messages WHERE seq % 17 = 0;
                 INSERT INTO notifications (id, user_id, kind, title, body, conversation_id, message_id, seq, created_at)
                 SELECT {id}, {owner}, 'mention', 'title', 'body', conversation_id, id, seq, created_at
                 FROM messages WHERE seq % 19 = 0;
                 UPDATE messages SET pinned_at = created_at, pinned_by = {owner} WHERE seq % 501 = 0;
                 UPDATE messages SET mentions_all = true WHERE seq % 997 = 5;"
            ))
            .await;
    }

    /// Creates logins, blocks, classes, read marks near the end except in the large group, and the statistics.
    async fn add_other_rows(&self, owner: Caller, room: ConversationId) {
        let (id, owner, room) = (self.id(), self.test.id_literal(owner.user_id), self.test.id_literal(room));
        let hash = if self.test.is_postgres() { "uuid_send(id)" } else { "id" };
        self.run(&format!(
                "INSERT INTO logins (id, user_id, device, ip, created_at, last_used_at)
                 SELECT {id}, id, 'a device', '127.0.0.1', 1, 1 FROM users WHERE created_at <= {OTHER_USERS};
                 INSERT INTO tickets (ticket_hash, user_id, login_id, expires_at)
                 SELECT {hash}, user_id, id, 1 FROM logins;
                 INSERT INTO blocks (blocker_id, blocked_id, created_at)
                 SELECT u.id, b.id, 1 FROM users u JOIN users b ON b.username_key = 'other-' || (u.created_at + 1)
                 WHERE u.created_at < {OTHER_USERS};
                 INSERT INTO blocks (blocker_id, blocked_id, created_at)
                 SELECT {owner}, id, created_at FROM users WHERE created_at BETWEEN 1 AND 100;
                 INSERT INTO classes (id, name, code, code_key, created_by, created_at, updated_at)
                 {} SELECT {id}, 'Class ' || i, 'C' || i, 'c' || i, {owner}, i, i FROM n;
                 DELETE FROM conversation_statistics;
                 DELETE FROM sender_statistics;
                 INSERT INTO conversation_statistics (conversation_id, messages, attachments, links, first_message_at)
                 SELECT id, last_count, 0, 0, 1 FROM conversations;
                 INSERT INTO sender_statistics (conversation_id, user_id, messages)
                 SELECT conversation_id, user_id, 1 FROM participants;
                 UPDATE participants SET
                    last_read_seq = COALESCE((SELECT m.seq FROM messages m JOIN conversations c ON c.id = m.conversation_id
                        WHERE c.id = participants.conversation_id AND m.seq = c.last_seq - 10), 0),
                    last_read_count = COALESCE((SELECT m.count FROM messages m JOIN conversations c ON c.id = m.conversation_id
                        WHERE c.id = participants.conversation_id AND m.seq = c.last_seq - 10), 0)
                 WHERE user_id = {owner} AND conversation_id <> {room};",
                numbers(GROUPS),
            ))
            .await;
    }
}

/// Returns an SQL expression for rows with the numbers from 1.
fn numbers(count: usize) -> String {
    format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) ")
}
