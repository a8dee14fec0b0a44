//! The statement that reads a page of messages: the messages with their authors, the revision, the membership and the
//! login of the viewer, and the marks of the other participants.
//!
//! One statement is one snapshot, so nobody can be removed between two of these reads. It is also one round trip
//! instead of eight. What few messages have, [`extras`] reads with a second statement, if the page has it at all.
//!
//! Each kind of row is one part of a UNION ALL ([`cells`]). A part that the page does not need reads nothing.

pub mod cells;
pub mod extras;

use super::FurthestMarks;
use super::rows::MessageRow;
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
use cells::Cells;
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use std::collections::HashMap;
use std::sync::LazyLock;

/// Selects the messages on one side or on both sides of a point between two messages.
#[derive(Clone, Copy, Debug)]
pub struct PageRange {
    /// The messages with a smaller `seq` are before the point.
    pub point: Seq,
    /// Where the point lies if it is beyond the newest message.
    pub end: PageEnd,
    pub sides: PageSides,
}

/// Where a point lies that is beyond the newest message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PageEnd {
    AfterNewest,
    BeforeNewest,
}

/// The sides of the point, and the greatest number of messages on each.
#[derive(Clone, Copy, Debug)]
pub enum PageSides {
    Before(u64),
    After(u64),
    Both { before: u64, after: u64 },
}

/// What the statement has found.
#[derive(Debug, Default)]
pub struct PageRows {
    /// The state of the login in the arguments. `None` if there is no such login.
    pub login: Option<LoginState>,
    /// `None` if there is no such conversation.
    pub conversation: Option<PageConversation>,
    /// The messages before the point that the viewer has not hidden, in the order of their `seq`. Their quotes are read
    /// by [`extras`].
    pub before: Vec<MessageRow>,
    /// The messages after the point, in the same form.
    pub after: Vec<MessageRow>,
    /// The replies, each with the message that it quotes.
    pub replies: HashMap<MessageId, MessageId>,
    /// How far the other participants have come. Nothing was received or read, as far as the viewer may know, if the
    /// viewer has written no message of the page, or if the conversation is larger than [`limits::STATUS_MEMBERS`].
    pub marks: FurthestMarks,
}

/// The conversation of a page.
#[derive(Clone, Copy, Debug)]
pub struct PageConversation {
    pub rev: Rev,
    pub last_seq: Seq,
    pub is_deleted: bool,
    /// `None` if the viewer is not in the conversation.
    pub role: Option<Role>,
    /// Whether the viewer has hidden messages of it.
    pub hides_messages: bool,
    /// Whether it has messages with reactions.
    pub has_reactions: bool,
}

/// The number in the column `part` of each kind of row.
mod part {
    pub const BEFORE: i32 = 0;
    pub const AFTER: i32 = 1;
    pub const AUTHOR: i32 = 2;
    pub const HEAD: i32 = 3;
    pub const MARKS: i32 = 4;
}

/// The texts of the statement for one database.
struct Texts {
    before: String,
    after: String,
    both: String,
}

static POSTGRES: LazyLock<Texts> = LazyLock::new(|| Texts::new(true));
static SQLITE: LazyLock<Texts> = LazyLock::new(|| Texts::new(false));

impl Texts {
    fn new(is_postgres: bool) -> Self {
        let before = side_text(part::BEFORE, "<", "DESC", "$6");
        let after = |limit| side_text(part::AFTER, ">=", "ASC", limit);
        Self {
            before: text(is_postgres, &before),
            after: text(is_postgres, &after("$6")),
            both: text(is_postgres, &format!("{before} UNION ALL {}", after("$7"))),
        }
    }
}

/// Returns the text of the statement. $1: the conversation, $2: the viewer, $3: the login, $4: the point, $5: 1 if a
/// point beyond the end is after the newest message, else 0, $6 and, for both sides, $7: the greatest numbers of
/// messages.
fn text(is_postgres: bool, sides: &str) -> String {
    let by_key = |table: &str, alias: &str| dialect::by_key(is_postgres, table, alias);
    let least = if is_postgres { "LEAST" } else { "min" };
    // Neither form lets a plan read all users, even if they were few when the plan was made or when ANALYZE ran.
    let authors = if is_postgres {
        "users a WHERE a.id = ANY (ARRAY(SELECT sender_id FROM page WHERE sender_id IS NOT NULL))".to_owned()
    } else {
        let senders = "SELECT DISTINCT sender_id FROM page WHERE sender_id IS NOT NULL";
        format!("({senders}) k CROSS JOIN {} ON a.id = k.sender_id", by_key("users", "a"))
    };
    let both_users = |column: &str| {
        if is_postgres {
            format!("{column} = ANY (ARRAY[$2, p.user_id])")
        } else {
            format!("{column} IN ($2, p.user_id)")
        }
    };
    format!(
        "WITH head AS MATERIALIZED (
             SELECT l.user_id, l.revoked_at, l.generation, l.seen_generation, u.role, u.status, u.share_read_receipts,
                    c.last_rev, c.last_seq, c.deleted_at, c.member_count, p.role AS own_role,
                    {least}($4, c.last_seq + $5) AS point,
                    COALESCE((SELECT 1 FROM hidden_messages WHERE user_id = $2 AND conversation_id = $1 LIMIT 1), 0) AS hides,
                    COALESCE((SELECT 1 FROM reactions WHERE conversation_id = $1 LIMIT 1), 0) AS reacted
             FROM {viewer} LEFT JOIN {login} ON l.id = $3 LEFT JOIN {conversation} ON c.id = $1
             LEFT JOIN participants p ON p.conversation_id = $1 AND p.user_id = $2 AND p.left_at IS NULL
             WHERE u.id = $2
         ), page AS MATERIALIZED ({sides})
         SELECT part, id AS a, sender_id AS b, reply_to_id AS c, seq AS n1, edited_at AS n2, deleted_at AS n3,
                pinned_at AS n4, created_at AS n5, rev AS n6, CAST(CASE WHEN mentions_all THEN 1 ELSE 0 END AS bigint) AS n7,
                kind AS t1, content AS t2, data AS t3, temp_id AS t4
         FROM page
         UNION ALL
         SELECT {author_part}, a.id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
                a.username, a.display_name, a.avatar_url, NULL
         FROM {authors}
         UNION ALL
         SELECT {head_part}, user_id, NULL, NULL, last_rev, deleted_at, revoked_at, generation, seen_generation, last_seq,
                hides + 2 * reacted, role, status, own_role, NULL
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
             SELECT CAST({part} AS integer) AS part, m.id, m.sender_id, m.reply_to_id, m.seq, m.edited_at, m.deleted_at,
                    m.pinned_at, m.created_at, m.rev, m.mentions_all, m.kind, m.content, m.data, m.temp_id
             FROM messages m
             WHERE m.conversation_id = $1 AND m.seq {compare} (SELECT point FROM head)
               AND ((SELECT hides FROM head) <> 1
                    OR COALESCE((SELECT 1 FROM hidden_messages h
                                 WHERE h.user_id = $2 AND h.conversation_id = $1 AND h.seq = m.seq LIMIT 1), 0) <> 1)
             ORDER BY m.seq {order} LIMIT {limit}
         ) side_{part}"
    )
}

/// Reads the messages of a conversation beside a point, as far as `viewer` has not hidden them, and the state of
/// `login`.
pub async fn read(
    conn: &impl ConnectionTrait,
    conversation: ConversationId,
    viewer: UserId,
    login: Option<LoginId>,
    range: PageRange,
) -> Result<PageRows, DbErr> {
    let texts = if dialect::is_postgres(conn) { &POSTGRES } else { &SQLITE };
    let (text, limits) = match range.sides {
        PageSides::Before(limit) => (&texts.before, vec![limit]),
        PageSides::After(limit) => (&texts.after, vec![limit]),
        PageSides::Both { before, after } => (&texts.both, vec![before, after]),
    };
    let mut values = vec![
        conversation.into(),
        viewer.into(),
        login.map(|login| login.0).into(),
        range.point.into(),
        i64::from(range.end == PageEnd::AfterNewest).into(),
    ];
    values.extend(limits.into_iter().map(|limit| (limit as i64).into()));
    collect(conversation, &dialect::all(conn, dialect::plain(conn, text, values)).await?)
}

/// Makes the result from the rows, which come in any order.
fn collect(conversation: ConversationId, rows: &[QueryResult]) -> Result<PageRows, DbErr> {
    let mut found = PageRows::default();
    let mut authors = HashMap::new();
    let mut messages = Vec::with_capacity(rows.len());
    for cells in rows.iter().map(Cells) {
        match cells.part()? {
            part::AUTHOR => {
                let author = read_author(cells)?;
                authors.insert(author.id, author);
            }
            part::HEAD => (found.login, found.conversation) = (read_login(cells)?, read_conversation(cells)?),
            part::MARKS => {
                let [read, delivered] = [cells.number(1)?, cells.number(2)?].map(|seq| Seq(seq.unwrap_or_default()));
                found.marks = FurthestMarks { read, delivered };
            }
            side => messages.push((side, cells)),
        }
    }
    for (side, cells) in messages {
        let message = read_message(cells, conversation, &authors)?;
        if let Some(quoted) = cells.id(3)? {
            found.replies.insert(message.id, quoted);
        }
        if side == part::BEFORE { &mut found.before } else { &mut found.after }.push(message);
    }
    found.before.sort_by_key(|message| message.seq);
    found.after.sort_by_key(|message| message.seq);
    Ok(found)
}

fn read_author(cells: Cells<'_>) -> Result<UserBrief, DbErr> {
    Ok(UserBrief {
        id: cells.own_id(1)?,
        username: cells.own_text(1)?,
        display_name: cells.own_text(2)?,
        avatar_url: cells.text(3)?,
    })
}

fn read_login(cells: Cells<'_>) -> Result<Option<LoginState>, DbErr> {
    let Some(user_id) = cells.id(1)? else { return Ok(None) };
    let role = UserRole::from_stored(&cells.own_text(1)?);
    let account = AccountState { user_id, role, status: AccountStatus::from_stored(&cells.own_text(2)?) };
    let revoked = cells.number(3)?.is_some();
    Ok(Some(LoginState { account, revoked, generation: cells.own_number(4)?, seen_generation: cells.own_number(5)? }))
}

fn read_conversation(cells: Cells<'_>) -> Result<Option<PageConversation>, DbErr> {
    let Some(rev) = cells.number(1)?.map(Rev) else { return Ok(None) };
    let flags = cells.own_number(7)?;
    Ok(Some(PageConversation {
        rev,
        last_seq: Seq(cells.own_number(6)?),
        is_deleted: cells.number(2)?.is_some(),
        role: cells.text(3)?.map(|role| Role::from_stored(&role)),
        hides_messages: flags & 1 != 0,
        has_reactions: flags & 2 != 0,
    }))
}

fn read_message(
    cells: Cells<'_>,
    conversation_id: ConversationId,
    authors: &HashMap<UserId, UserBrief>,
) -> Result<MessageRow, DbErr> {
    let sender = cells.id(2)?.and_then(|id: UserId| authors.get(&id).cloned());
    let deleted_at = cells.number(3)?.map(Timestamp);
    let is_shown = deleted_at.is_none();
    let data = if is_shown { cells.text(3)? } else { None };
    Ok(MessageRow {
        id: cells.own_id(1)?,
        conversation_id,
        seq: Seq(cells.own_number(1)?),
        rev: Rev(cells.own_number(6)?),
        sender,
        kind: MessageKind::from_stored(&cells.own_text(1)?),
        content: if is_shown { cells.own_text(2)? } else { String::new() },
        data: data.and_then(JsonText::from_stored),
        reply_to: None,
        mentions_all: cells.own_number(7)? == 1,
        pinned: cells.number(4)?.is_some(),
        temp_id: cells.text(4)?,
        edited_at: cells.number(2)?.map(Timestamp),
        deleted_at,
        created_at: Timestamp(cells.own_number(5)?),
    })
}
