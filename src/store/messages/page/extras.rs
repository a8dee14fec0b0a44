//! The statement that reads what only some messages of a page have: quotes, mentions and reactions.
//!
//! It also reads the role of the viewer. These rows may be newer than those of the page, and a user removed meanwhile
//! must not see them.

use super::cells::Cells;
use crate::domain::content::MessageKind;
use crate::domain::ids::{ConversationId, MessageId, Seq, UserId};
use crate::store::dialect::{self, Column};
use crate::store::messages::QuotedRow;
use crate::store::messages::parts::ReactionRow;
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Value};
use std::collections::HashMap;
use std::sync::LazyLock;
use uuid::Uuid;

/// What to read for the messages of one conversation.
#[derive(Debug, Default)]
pub struct ExtrasQuery {
    /// The quoted messages.
    pub quoted: Vec<MessageId>,
    /// The messages that may mention users by name.
    pub mentioning: Vec<MessageId>,
    /// The messages that may have reactions.
    pub reacted: Vec<MessageId>,
    /// Look for a message with this `seq` or a greater one that the viewer has not hidden.
    pub any_from: Option<Seq>,
    /// Look for a message with this `seq` or a smaller one that the viewer has not hidden.
    pub any_to: Option<Seq>,
}

impl ExtrasQuery {
    /// Returns whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        let lists = [&self.quoted, &self.mentioning, &self.reacted];
        lists.into_iter().all(Vec::is_empty) && self.any_from.is_none() && self.any_to.is_none()
    }
}

/// What the statement has found. A deleted message has no mentions and no reactions.
#[derive(Debug, Default)]
pub struct PageExtras {
    pub quotes: HashMap<MessageId, QuotedRow>,
    /// The users that each message mentions by name, in the order of the text.
    pub mentions: HashMap<MessageId, Vec<UserId>>,
    /// The reactions to each message, ordered by the first use of each emoji.
    pub reactions: HashMap<MessageId, Vec<ReactionRow>>,
    /// Whether there is a message on the side that the query asks for.
    pub has_any: bool,
    /// Whether the viewer is in the conversation.
    pub is_participant: bool,
}

/// The number in the column `part` of each kind of row.
mod part {
    pub const QUOTED: i32 = 0;
    pub const MENTION: i32 = 1;
    pub const REACTION: i32 = 2;
    pub const ANY: i32 = 3;
    pub const PARTICIPANT: i32 = 4;
}

static POSTGRES: LazyLock<String> = LazyLock::new(|| text(true));
static SQLITE: LazyLock<String> = LazyLock::new(|| text(false));

/// Returns the text of the statement. $1: the conversation, $2: the viewer, $3 and $4: the bounds for other messages,
/// $5 to $7: the sets of quoted, mentioning and reacted messages.
fn text(is_postgres: bool) -> String {
    // LIMIT and OFFSET keep PostgreSQL from reading all rows of the conversation with a plan that it made when they were
    // few. SQLite gets the conversation from the set too: compared with a parameter, it would make SQLite read the whole
    // table into a Bloom filter.
    let of_set = |set: &str, columns: &str, table: &str, key: &str, end: &str| {
        if is_postgres {
            format!(
                "unnest({set}::uuid[]) AS k(id)
                 CROSS JOIN LATERAL (SELECT {columns} FROM {table} WHERE conversation_id = $1 AND {key} = k.id {end}) x"
            )
        } else {
            format!(
                "(SELECT unhex(value ->> 0) AS conversation_id, unhex(value ->> 1) AS id FROM jsonb_each({set})) k
                 CROSS JOIN {table} x ON x.conversation_id = k.conversation_id AND x.{key} = k.id"
            )
        }
    };
    let any = |compare: &str, bound: &str, order: &str| {
        format!(
            "SELECT {part}, NULL, NULL, NULL, y.seq, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
             FROM (SELECT m.seq FROM messages m
                   WHERE m.conversation_id = $1 AND m.seq {compare} {bound}
                     AND COALESCE((SELECT 1 FROM hidden_messages h
                                   WHERE h.user_id = $2 AND h.conversation_id = $1 AND h.seq = m.seq LIMIT 1), 0) <> 1
                   ORDER BY m.seq {order} LIMIT 1) y",
            part = part::ANY,
        )
    };
    format!(
        "SELECT CAST({quoted_part} AS integer) AS part, x.id AS a, x.sender_id AS b, CAST(NULL AS uuid) AS c, x.seq AS n1,
                x.deleted_at AS n2, {none} AS n3, {none} AS n4, {none} AS n5, {none} AS n6, {none} AS n7,
                x.kind AS t1, x.content AS t2, CAST(NULL AS text) AS t3, CAST(NULL AS text) AS t4
         FROM {quotes}
         UNION ALL
         SELECT {mention_part}, k.id, x.user_id, NULL, x.position, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
         FROM {mentions}
         UNION ALL
         SELECT {reaction_part}, k.id, NULL, NULL, min(x.position), count(*),
                max(CASE WHEN x.user_id = $2 THEN 1 ELSE 0 END), NULL, NULL, NULL, NULL, x.emoji, NULL, NULL, NULL
         FROM {reactions} GROUP BY k.id, x.emoji
         UNION ALL {any_from} UNION ALL {any_to}
         UNION ALL
         SELECT {participant_part}, user_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, role, NULL, NULL, NULL
         FROM participants WHERE conversation_id = $1 AND user_id = $2 AND left_at IS NULL",
        none = "CAST(NULL AS bigint)",
        quoted_part = part::QUOTED,
        quotes = of_set("$5", "id, sender_id, seq, deleted_at, kind, content", "messages", "id", "LIMIT 1"),
        mention_part = part::MENTION,
        mentions = of_set("$6", "user_id, position", "mentions", "message_id", "OFFSET 0"),
        reaction_part = part::REACTION,
        reactions = of_set("$7", "user_id, position, emoji", "reactions", "message_id", "OFFSET 0"),
        any_from = any(">=", "$3", "ASC"),
        any_to = any("<=", "$4", "DESC"),
        participant_part = part::PARTICIPANT,
    )
}

/// Reads what the query asks for, in one conversation.
pub async fn read(
    conn: &impl ConnectionTrait,
    conversation: ConversationId,
    viewer: UserId,
    query: &ExtrasQuery,
) -> Result<PageExtras, DbErr> {
    let bound = |seq: Option<Seq>| Value::from(seq.map(|seq| seq.0));
    let mut values = vec![conversation.into(), viewer.into(), bound(query.any_from), bound(query.any_to)];
    for set in [&query.quoted, &query.mentioning, &query.reacted] {
        let ids: Vec<Uuid> = set.iter().map(|id| id.0).collect();
        let columns = vec![Column::Uuid(vec![conversation.0; ids.len()]), Column::Uuid(ids)];
        // On PostgreSQL the conversation has a parameter of its own, so only the ids are needed.
        values.extend(dialect::rows(conn, columns).pop());
    }
    let rows = dialect::all(conn, dialect::statement(conn, &POSTGRES, &SQLITE, values)).await?;
    collect(&rows)
}

fn collect(rows: &[QueryResult]) -> Result<PageExtras, DbErr> {
    let mut found = PageExtras::default();
    let (mut mentions, mut reactions) = (Vec::new(), Vec::new());
    for cells in rows.iter().map(Cells) {
        match cells.part()? {
            part::QUOTED => {
                let quoted = read_quoted(cells)?;
                found.quotes.insert(quoted.id, quoted);
            }
            part::MENTION => mentions.push((cells.own_number(1)?, cells.own_id(2)?, cells.own_id(1)?)),
            part::REACTION => reactions.push((cells.own_id(1)?, cells.own_number(1)?, read_reaction(cells)?)),
            part::ANY => found.has_any = true,
            _ => found.is_participant = true,
        }
    }
    mentions.sort_unstable();
    for (_, user, message) in mentions {
        found.mentions.entry(message).or_default().push(user);
    }
    reactions.sort_unstable_by_key(|(message, order, _): &(MessageId, i64, _)| (*message, *order));
    for (message, _, reaction) in reactions {
        found.reactions.entry(message).or_default().push(reaction);
    }
    Ok(found)
}

fn read_quoted(cells: Cells<'_>) -> Result<QuotedRow, DbErr> {
    let is_deleted = cells.number(2)?.is_some();
    Ok(QuotedRow {
        id: cells.own_id(1)?,
        seq: Seq(cells.own_number(1)?),
        sender_id: cells.id(2)?,
        kind: MessageKind::from_stored(&cells.own_text(1)?),
        content: if is_deleted { String::new() } else { cells.own_text(2)? },
    })
}

fn read_reaction(cells: Cells<'_>) -> Result<ReactionRow, DbErr> {
    Ok(ReactionRow { emoji: cells.own_text(1)?, count: cells.own_number(2)?, is_own: cells.own_number(3)? == 1 })
}
