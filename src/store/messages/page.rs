//! The statement that reads a page of messages with everything that belongs to it.
//!
//! One statement is one snapshot: the state and the membership of the viewer, the revision and the messages belong
//! together, so nobody can be removed between two of them. It is also one round trip instead of eight.
//!
//! Each kind of row is one part of a UNION ALL. The parts share the columns: `a`, `b` and `c` are ids, `n1` to `n7`
//! numbers, `t1` to `t4` texts. A part that the page does not need reads nothing.

use super::rows::{MessageRow, QuotedRow};
use crate::domain::accounts::{AccountStatus, UserRole};
use crate::domain::content::MessageKind;
use crate::domain::ids::{ConversationId, LoginId, MessageId, Rev, Seq, UserId};
use crate::domain::json_text::JsonText;
use crate::domain::limits;
use crate::domain::roles::Role;
use crate::domain::time::Timestamp;
use crate::protocol::users::UserBrief;
use crate::store::accounts::AccountState;
use crate::store::dialect;
use crate::store::logins::LoginState;
use crate::store::messages::FurthestMarks;
use crate::store::messages::parts::ReactionRow;
use sea_orm::{ConnectionTrait, DbErr, QueryResult, TryGetable};
use std::collections::HashMap;
use std::sync::LazyLock;
use uuid::Uuid;

/// Selects the messages on both sides of a point between two messages.
#[derive(Clone, Copy, Debug)]
pub struct PageRange {
    /// The messages with a smaller `seq` are before the point. The point is never beyond the end of the conversation:
    /// see `end`.
    pub point: Seq,
    pub end: PageEnd,
    /// The greatest number of messages before the point.
    pub before: u64,
    /// The greatest number of messages after the point.
    pub after: u64,
}

/// Where a point lies that is beyond the newest message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PageEnd {
    /// After the newest message.
    AfterNewest,
    /// Before the newest message.
    BeforeNewest,
}

/// What the statement has found.
#[derive(Debug, Default)]
pub struct PageRows {
    /// The state of the login in the arguments. `None` if there is no such login.
    pub login: Option<LoginState>,
    /// `None` if there is no such conversation.
    pub conversation: Option<PageConversation>,
    /// The messages before the point that the viewer has not hidden, in the order of their `seq`.
    pub before: Vec<MessageRow>,
    /// The messages after the point that the viewer has not hidden, in the order of their `seq`.
    pub after: Vec<MessageRow>,
    pub extras: PageExtras,
}

/// The conversation of a page.
#[derive(Clone, Copy, Debug)]
pub struct PageConversation {
    pub rev: Rev,
    pub is_deleted: bool,
    /// `None` if the viewer is not in the conversation.
    pub role: Option<Role>,
}

/// What other tables add to the messages of a page. Only messages that are not deleted have mentions and reactions.
#[derive(Debug, Default)]
pub struct PageExtras {
    /// The users that each message mentions by name, in the order of the text.
    pub mentions: HashMap<MessageId, Vec<UserId>>,
    /// The reactions to each message, ordered by the first use of each emoji.
    pub reactions: HashMap<MessageId, Vec<ReactionRow>>,
    /// How far the other participants have come. Nothing was received or read, as far as the viewer may know, if the
    /// viewer has written no message of the page, or if the conversation is larger than [`limits::STATUS_MEMBERS`].
    pub marks: FurthestMarks,
}

/// The number in the column `part` of each kind of row.
mod part {
    pub const BEFORE: i32 = 0;
    pub const AFTER: i32 = 1;
    pub const AUTHOR: i32 = 2;
    pub const QUOTED: i32 = 3;
    pub const MENTION: i32 = 4;
    pub const REACTION: i32 = 5;
    pub const HEAD: i32 = 6;
    pub const MARKS: i32 = 7;
}

/// The text for each database.
static POSTGRES: LazyLock<String> = LazyLock::new(|| text(true));
static SQLITE: LazyLock<String> = LazyLock::new(|| text(false));

/// Returns the text of the statement. $1: the conversation, $2: the viewer, $3: the login, $4: the point, $5: 1 if a
/// point beyond the end is after the newest message, else 0, $6 and $7: the numbers of messages.
fn text(is_postgres: bool) -> String {
    let least = if is_postgres { "LEAST" } else { "min" };
    let (before, after) =
        (side_text(part::BEFORE, "<", "DESC", "$6"), side_text(part::AFTER, ">=", "ASC", "$7"));
    // The rows of another table whose `column` is the `value` of a message of the page. Neither form lets a plan read
    // the whole table, even if the table was small when the plan was made or when ANALYZE ran. On SQLite the
    // conversation comes from the page too: compared with a parameter, it would make SQLite read the whole table into a
    // Bloom filter.
    let of_page = |table: &str, column: &str, value: &str, condition: &str| {
        if is_postgres {
            format!("FROM {table} WHERE {column} = ANY (ARRAY(SELECT {value} FROM page WHERE {condition}))")
        } else {
            format!(
                "FROM (SELECT DISTINCT conversation_id AS c, {value} AS value FROM page WHERE {condition}) k
                 CROSS JOIN {table} ON {column} = k.value WHERE TRUE"
            )
        }
    };
    let conversation_id = if is_postgres { "$1" } else { "k.c" };
    let both_users = |column: &str| {
        if is_postgres { format!("{column} = ANY (ARRAY[$2, p.user_id])") } else { format!("{column} IN ($2, p.user_id)") }
    };
    let by_key = |table: &str, alias: &str| dialect::by_key(is_postgres, table, alias);
    format!(
        "WITH head AS MATERIALIZED (
             SELECT l.user_id, l.revoked_at, l.generation, l.seen_generation, u.role, u.status, u.share_read_receipts,
                    c.last_rev, c.deleted_at, c.member_count, p.role AS own_role, {least}($4, c.last_seq + $5) AS point,
                    COALESCE((SELECT 1 FROM hidden_messages WHERE user_id = $2 AND conversation_id = $1 LIMIT 1), 0) AS hides
             FROM {viewer} LEFT JOIN {login} ON l.id = $3 LEFT JOIN {conversation} ON c.id = $1
             LEFT JOIN participants p ON p.conversation_id = $1 AND p.user_id = $2 AND p.left_at IS NULL
             WHERE u.id = $2
         ), page AS MATERIALIZED ({before} UNION ALL {after})
         SELECT part, id AS a, sender_id AS b, reply_to_id AS c, seq AS n1, edited_at AS n2, deleted_at AS n3,
                pinned_at AS n4, created_at AS n5, rev AS n6, CAST(CASE WHEN mentions_all THEN 1 ELSE 0 END AS bigint) AS n7,
                kind AS t1, content AS t2, data AS t3, temp_id AS t4
         FROM page
         UNION ALL
         SELECT {author_part}, a.id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
                a.username, a.display_name, a.avatar_url, NULL {authors}
         UNION ALL
         SELECT {quoted_part}, q.id, q.sender_id, NULL, q.seq, NULL, q.deleted_at, NULL, NULL, NULL, NULL,
                q.kind, q.content, NULL, NULL {quotes} AND q.conversation_id = {conversation_id}
         UNION ALL
         SELECT {mention_part}, n.message_id, n.user_id, NULL, n.position, NULL, NULL, NULL, NULL, NULL, NULL,
                NULL, NULL, NULL, NULL {mentions} AND n.conversation_id = {conversation_id}
         UNION ALL
         SELECT {reaction_part}, r.message_id, NULL, NULL, min(r.position), count(*),
                max(CASE WHEN r.user_id = $2 THEN 1 ELSE 0 END), NULL, NULL, NULL, NULL,
                r.emoji, NULL, NULL, NULL {reactions} AND r.conversation_id = {conversation_id}
         GROUP BY r.message_id, r.emoji
         UNION ALL
         SELECT {head_part}, user_id, NULL, NULL, last_rev, deleted_at, revoked_at, generation, seen_generation, NULL, NULL,
                role, status, own_role, NULL
         FROM head
         UNION ALL
         SELECT {marks_part}, NULL, NULL, NULL, max(CASE WHEN o.shares THEN o.read_to END),
                max(CASE WHEN o.read_to > o.delivered_seq THEN o.read_to ELSE o.delivered_seq END),
                NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
         FROM (SELECT CASE WHEN p.read_at IS NULL THEN p.former_read_seq ELSE p.last_read_seq END AS read_to,
                      p.delivered_seq,
                      (SELECT share_read_receipts FROM head)
                          AND (SELECT s.share_read_receipts FROM {sharer} WHERE s.id = p.user_id) AS shares
               FROM participants p
               WHERE p.conversation_id = $1 AND p.user_id <> $2 AND (SELECT member_count FROM head) <= {members}
                 AND (SELECT 1 FROM page WHERE sender_id = $2 LIMIT 1) IS NOT NULL
                 AND COALESCE((SELECT 1 FROM blocks WHERE {blocker} AND {blocked} LIMIT 1), 0) <> 1) o",
        viewer = by_key("users", "u"),
        login = by_key("logins", "l"),
        conversation = by_key("conversations", "c"),
        sharer = by_key("users", "s"),
        author_part = part::AUTHOR,
        authors = of_page(&by_key("users", "a"), "a.id", "sender_id", "sender_id IS NOT NULL"),
        quoted_part = part::QUOTED,
        quotes = of_page("messages q", "q.id", "reply_to_id", "reply_to_id IS NOT NULL"),
        mention_part = part::MENTION,
        mentions = of_page("mentions n", "n.message_id", "id", "deleted_at IS NULL"),
        reaction_part = part::REACTION,
        reactions = of_page("reactions r", "r.message_id", "id", "deleted_at IS NULL"),
        head_part = part::HEAD,
        marks_part = part::MARKS,
        members = limits::STATUS_MEMBERS,
        // No user blocks themself, so a block is between the two users.
        blocker = both_users("blocker_id"),
        blocked = both_users("blocked_id"),
    )
}

/// Returns the query for the messages on one side of the point. Most users have hidden nothing in a conversation. Then
/// no message is looked up among the hidden ones.
///
/// The conditions compare with `<>`, of which PostgreSQL expects that most rows fulfil it. With IS NULL it expects that
/// nearly none does, and then reads and sorts all messages on that side.
fn side_text(part: i32, compare: &str, order: &str, limit: &str) -> String {
    format!(
        "SELECT * FROM (
             SELECT CAST({part} AS integer) AS part, m.conversation_id, m.id, m.sender_id, m.reply_to_id, m.seq,
                    m.edited_at, m.deleted_at, m.pinned_at, m.created_at, m.rev, m.mentions_all, m.kind, m.content,
                    m.data, m.temp_id
             FROM messages m
             WHERE m.conversation_id = $1 AND m.seq {compare} (SELECT point FROM head)
               AND ((SELECT hides FROM head) <> 1
                    OR COALESCE((SELECT 1 FROM hidden_messages h
                                 WHERE h.user_id = $2 AND h.conversation_id = $1 AND h.seq = m.seq LIMIT 1), 0) <> 1)
             ORDER BY m.seq {order} LIMIT {limit}
         ) side_{part}"
    )
}

/// Reads the messages of a conversation on both sides of a point, as far as `viewer` has not hidden them, with
/// everything that belongs to them, and the state of `login`.
pub async fn read(
    conn: &impl ConnectionTrait,
    conversation: ConversationId,
    viewer: UserId,
    login: Option<LoginId>,
    range: PageRange,
) -> Result<PageRows, DbErr> {
    let values = vec![
        conversation.into(),
        viewer.into(),
        login.map(|login| login.0).into(),
        range.point.into(),
        i64::from(range.end == PageEnd::AfterNewest).into(),
        (range.before as i64).into(),
        (range.after as i64).into(),
    ];
    let rows = dialect::all(conn, dialect::statement(conn, &POSTGRES, &SQLITE, values)).await?;
    collect(conversation, &rows)
}

/// Makes the result from the rows, which come in any order.
fn collect(conversation: ConversationId, rows: &[QueryResult]) -> Result<PageRows, DbErr> {
    let mut found = PageRows::default();
    let (mut authors, mut quotes) = (HashMap::new(), HashMap::new());
    let (mut mentions, mut reactions) = (Vec::new(), Vec::new());
    let mut messages = Vec::with_capacity(rows.len());
    for row in rows {
        let cells = Cells(row);
        match cells.part()? {
            part::AUTHOR => {
                let author = cells.author()?;
                authors.insert(author.id, author);
            }
            part::QUOTED => {
                let quoted = cells.quoted()?;
                quotes.insert(quoted.id, quoted);
            }
            part::MENTION => mentions.push((cells.number(1)?, cells.user()?, cells.message()?)),
            part::REACTION => reactions.push((cells.number(1)?, cells.message()?, cells.reaction()?)),
            part::HEAD => (found.login, found.conversation) = (cells.login()?, cells.conversation()?),
            part::MARKS => found.extras.marks = cells.marks()?,
            side => messages.push((side, cells)),
        }
    }
    for (side, cells) in messages {
        let message = cells.message_row(conversation, &authors, &quotes)?;
        if side == part::BEFORE { &mut found.before } else { &mut found.after }.push(message);
    }
    found.before.sort_by_key(|message| message.seq);
    found.after.sort_by_key(|message| message.seq);
    mentions.sort_unstable();
    for (_, user, message) in mentions {
        found.extras.mentions.entry(message).or_default().push(user);
    }
    reactions.sort_unstable_by_key(|(order, message, _)| (*message, *order));
    for (_, message, reaction) in reactions {
        found.extras.reactions.entry(message).or_default().push(reaction);
    }
    Ok(found)
}

/// One row, whose columns are read by index, which is faster than by name.
struct Cells<'r>(&'r QueryResult);

impl Cells<'_> {
    fn get<T: TryGetable>(&self, index: usize) -> Result<T, DbErr> {
        self.0.try_get_by_index(index)
    }

    fn part(&self) -> Result<i32, DbErr> {
        self.get(0)
    }

    /// Returns the id `a` (1), `b` (2) or `c` (3).
    fn id(&self, index: usize) -> Result<Option<Uuid>, DbErr> {
        self.get(index)
    }

    /// Returns the number `n1` … `n7`.
    fn number(&self, index: usize) -> Result<Option<i64>, DbErr> {
        self.get(3 + index)
    }

    fn count(&self, index: usize) -> Result<i64, DbErr> {
        self.get(3 + index)
    }

    /// Returns the text `t1` … `t4`.
    fn text(&self, index: usize) -> Result<Option<String>, DbErr> {
        self.get(10 + index)
    }

    fn word(&self, index: usize) -> Result<String, DbErr> {
        self.get(10 + index)
    }

    fn message(&self) -> Result<MessageId, DbErr> {
        self.get(1).map(MessageId)
    }

    fn user(&self) -> Result<UserId, DbErr> {
        self.get(2).map(UserId)
    }

    fn author(&self) -> Result<UserBrief, DbErr> {
        Ok(UserBrief {
            id: UserId(self.get(1)?),
            username: self.word(1)?,
            display_name: self.word(2)?,
            avatar_url: self.text(3)?,
        })
    }

    fn quoted(&self) -> Result<QuotedRow, DbErr> {
        let is_deleted = self.number(3)?.is_some();
        Ok(QuotedRow {
            id: self.message()?,
            seq: Seq(self.count(1)?),
            sender_id: self.id(2)?.map(UserId),
            kind: MessageKind::from_stored(&self.word(1)?),
            content: if is_deleted { String::new() } else { self.word(2)? },
        })
    }

    fn reaction(&self) -> Result<ReactionRow, DbErr> {
        Ok(ReactionRow { emoji: self.word(1)?, count: self.count(2)?, is_own: self.count(3)? == 1 })
    }

    fn login(&self) -> Result<Option<LoginState>, DbErr> {
        let Some(user_id) = self.id(1)?.map(UserId) else { return Ok(None) };
        let role = UserRole::from_stored(&self.word(1)?);
        let account = AccountState { user_id, role, status: AccountStatus::from_stored(&self.word(2)?) };
        let revoked = self.number(3)?.is_some();
        Ok(Some(LoginState { account, revoked, generation: self.count(4)?, seen_generation: self.count(5)? }))
    }

    fn conversation(&self) -> Result<Option<PageConversation>, DbErr> {
        let Some(rev) = self.number(1)?.map(Rev) else { return Ok(None) };
        let role = self.text(3)?.map(|role| Role::from_stored(&role));
        Ok(Some(PageConversation { rev, is_deleted: self.number(2)?.is_some(), role }))
    }

    fn marks(&self) -> Result<FurthestMarks, DbErr> {
        Ok(FurthestMarks {
            read: Seq(self.number(1)?.unwrap_or_default()),
            delivered: Seq(self.number(2)?.unwrap_or_default()),
        })
    }

    fn message_row(
        &self,
        conversation_id: ConversationId,
        authors: &HashMap<UserId, UserBrief>,
        quotes: &HashMap<MessageId, QuotedRow>,
    ) -> Result<MessageRow, DbErr> {
        let sender = self.id(2)?.and_then(|id| authors.get(&UserId(id)).cloned());
        let deleted_at = self.number(3)?.map(Timestamp);
        let is_shown = deleted_at.is_none();
        let data = if is_shown { self.text(3)? } else { None };
        Ok(MessageRow {
            id: self.message()?,
            conversation_id,
            seq: Seq(self.count(1)?),
            rev: Rev(self.count(6)?),
            sender,
            kind: MessageKind::from_stored(&self.word(1)?),
            content: if is_shown { self.word(2)? } else { String::new() },
            data: data.and_then(JsonText::from_stored),
            reply_to: self.id(3)?.and_then(|id| quotes.get(&MessageId(id)).cloned()),
            mentions_all: self.count(7)? == 1,
            pinned: self.number(4)?.is_some(),
            temp_id: self.text(4)?,
            edited_at: self.number(2)?.map(Timestamp),
            deleted_at,
            created_at: Timestamp(self.count(5)?),
        })
    }
}
